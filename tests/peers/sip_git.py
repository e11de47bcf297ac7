"""What a test says on channels that every Jami answers: a text over SIP, a question of git."""

from __future__ import annotations

import re
import secrets
from typing import Final

_CONTENT_LENGTH: Final = re.compile(rb"^Content-Length:\s*(\d+)", re.IGNORECASE | re.MULTILINE)
_PACKET_LENGTH_DIGITS: Final = 4  # gitprotocol-common: pkt-line
FLUSH: Final = b"0000"


def sip_request(method: str, sender: str, recipient: str, text: str = "") -> bytes:
    """Return a SIP request outside of any dialog between two accounts, RFC 3428 for MESSAGE."""
    tag, body = secrets.token_hex(6), text.encode()
    lines = [
        f"{method} sip:{recipient}@ring.dht SIP/2.0",
        f"Via: SIP/2.0/TLS 192.0.2.1:5060;rport;branch=z9hG4bK{tag}",
        "Max-Forwards: 70",
        f"From: <sip:{sender}@ring.dht>;tag={tag}",
        f"To: <sip:{recipient}@ring.dht>",
        f"Call-ID: {tag}",
        f"CSeq: 1 {method}",
        *(["Content-Type: text/plain"] if body else []),
        f"Content-Length: {len(body)}",
    ]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


def sip_ok(request: bytes) -> bytes:
    """Return the answer 200 to a SIP request."""
    head = request.partition(b"\r\n\r\n")[0].split(b"\r\n")
    echoed = [
        line
        for line in head[1:]
        if line.split(b":")[0].strip().lower()
        in {b"via", b"v", b"from", b"f", b"to", b"t", b"call-id", b"i", b"cseq"}
    ]
    return b"\r\n".join([b"SIP/2.0 200 OK", *echoed, b"Content-Length: 0"]) + b"\r\n\r\n"


def first_sip_message(stream: bytes) -> bytes | None:
    """Return the first whole message of a stream; None while it is not whole."""
    head, found, rest = stream.lstrip(b"\r\n").partition(b"\r\n\r\n")
    if not found:
        return None
    length = _CONTENT_LENGTH.search(head)
    size = int(length[1]) if length else 0
    return head + found + rest[:size] if len(rest) >= size else None


def git_question(device: str, conversation: str) -> bytes:
    """Return how git begins to fetch (gitprotocol-pack, "Git Transport")."""
    return _packet(f"git-upload-pack /{conversation}\0host={device}\0".encode())


def git_packets(stream: bytes) -> list[bytes] | None:
    """Return the packets before the first flush; None while it has not come."""
    packets: list[bytes] = []
    while len(stream) >= _PACKET_LENGTH_DIGITS:
        size = int(stream[:_PACKET_LENGTH_DIGITS], 16)
        if size == 0:
            return packets
        if len(stream) < size:
            return None
        packets.append(stream[_PACKET_LENGTH_DIGITS:size])
        stream = stream[size:]
    return None


def _packet(data: bytes) -> bytes:
    return b"%04x" % (len(data) + _PACKET_LENGTH_DIGITS) + data
