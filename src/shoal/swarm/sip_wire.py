r"""SIP on a channel `sip`, as far as messages go: how Debian's Jami is told of news.

    MESSAGE sips:ACCOUNT@HOST SIP/2.0\r\n        or  SIP/2.0 200 OK\r\n
    Header: value\r\n  …  Content-Length: N\r\n
    \r\n
    N bytes

The channel is a reliable stream, so there are no retransmissions, and nothing routes on addresses.
Jami finds the sender by the From header, which is checked here against the certificate of the
channel. Source: RFC 3261 sections 7, 18.3 and 20; RFC 3428.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from shoal.core import DecodeError
from shoal.core.records import dataclass

if TYPE_CHECKING:
    from collections.abc import Iterator

    from shoal.core import AccountId

HEAD_SIZE_MAX: Final = 16_384  # bytes, ours
BODY_SIZE_MAX: Final = 1_048_576  # bytes, ours; Jami's longest, in conferences, have some KiB
AGENT: Final = "Jami Daemon 13.7.0 (linux)"  # peers switch features by this text
_ALLOW: Final = "MESSAGE"
_START: Final = re.compile(r"(?:SIP/2\.0 (\d{3}) (.*)|([A-Z]{1,32}) (\S+) SIP/2\.0)")
_USER: Final = re.compile(r"<?sips?:([^@;>\s]+)@")
# RFC 3261 section 7.3.3
_COMPACT: Final = {"v": "via", "f": "from", "t": "to", "i": "call-id", "l": "content-length"} | {
    "c": "content-type",
    "m": "contact",
}


@dataclass(frozen=True, slots=True)
class SipMessage:
    """A request or a response. Headers keep their order; names are lower case."""

    method: str = ""  # of a request
    status: int = 0  # of a response
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes = b""

    def header(self, name: str) -> str:
        """Return the first header of that name; empty if there is none."""
        return next((value for key, value in self.headers if key == name), "")

    @property
    def sender(self) -> str:
        """The user part of From, an account id where a Jami device wrote it."""
        found = _USER.search(self.header("from"))
        return found[1] if found else ""


class SipReader:
    """Cuts a stream into SIP messages."""

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._head: SipMessage | None = None
        self._length = 0

    def feed(self, data: bytes) -> Iterator[SipMessage]:
        """Yield the messages that *data* completes.

        Raises:
            DecodeError: it is no SIP, or too large; the stream is of no more use.
        """
        self._buffer += data
        while True:
            if self._head is None and not self._read_head():
                return
            assert self._head is not None
            if len(self._buffer) < self._length:
                return
            body = bytes(self._buffer[: self._length])
            del self._buffer[: self._length]
            head, self._head = self._head, None
            yield SipMessage(head.method, head.status, head.headers, body)

    def _read_head(self) -> bool:
        # RFC 3261 section 7.5: "Implementations processing SIP messages over stream-oriented
        # transports MUST ignore any CRLF appearing before the start-line".
        while self._buffer.startswith(b"\r\n"):
            del self._buffer[:2]
        end = self._buffer.find(b"\r\n\r\n", 0, HEAD_SIZE_MAX + 4)
        if end < 0:
            if len(self._buffer) > HEAD_SIZE_MAX:
                raise DecodeError(f"a SIP head of more than {HEAD_SIZE_MAX} bytes")
            return False
        self._head = _parse_head(bytes(self._buffer[:end]))
        del self._buffer[: end + 4]
        self._length = _content_length(self._head)
        return True


def encode_message(
    *,
    to: AccountId,
    sender: AccountId,
    name: str,
    mime: str,
    content: str,
    token: str,
    sequence: int,
    date: str,
) -> bytes:
    """Return a MESSAGE request; *token* is 16 hex digits that no other message has.

    *date* is C's `ctime` format, which Jami reads.
    """
    body = content.encode()
    shown = "".join(c for c in name if c.isprintable() and c not in '"\\<>')[:128]
    lines = [
        f"MESSAGE sips:{to}@127.0.0.1:5061;transport=tls SIP/2.0",
        f"Via: SIP/2.0/TLS 127.0.0.1:5061;rport;branch=z9hG4bKPj{token};alias",
        "Max-Forwards: 70",
        f'From: "{shown}" <sip:{sender}@ring.dht>;tag={token}',
        f"To: <sips:{to}@127.0.0.1>",
        f"Call-ID: {token}",
        f"CSeq: {sequence} MESSAGE",
        f"Date: {date}",
        f"Message-ID: {token}",
        f"User-Agent: {AGENT}",
        f"Content-Type: {mime}",
        f"Content-Length: {len(body)}",
    ]
    return "\r\n".join([*lines, "", ""]).encode() + body


def encode_response(request: SipMessage, status: int, reason: str) -> bytes:
    """Return the answer to *request*; it repeats what RFC 3261 section 8.2.6.2 names."""
    lines = [f"SIP/2.0 {status} {reason}"]
    for name, shown in (("via", "Via"), ("from", "From"), ("to", "To"), ("call-id", "Call-ID")):
        for key, value in request.headers:
            if key == name:
                tagged = name == "to" and "tag=" not in value
                lines.append(f"{shown}: {value}{';tag=shoal' if tagged else ''}")
    lines += [
        f"CSeq: {request.header('cseq')}",
        f"Allow: {_ALLOW}",
        f"User-Agent: {AGENT}",
        "Content-Length: 0",
    ]
    return "\r\n".join([*lines, "", ""]).encode()


def _parse_head(head: bytes) -> SipMessage:
    try:
        first, *rest = head.decode().split("\r\n")
    except UnicodeDecodeError as error:
        raise DecodeError("a SIP head that is not UTF-8") from error
    start = _START.fullmatch(first)
    if start is None:
        raise DecodeError(f"not a SIP message: {first[:80]!r}")
    headers: list[tuple[str, str]] = []
    for line in rest:
        if line[:1] in (" ", "\t") and headers:  # RFC 3261 section 7.3.1: a folded header
            headers[-1] = (headers[-1][0], f"{headers[-1][1]} {line.strip()}")
            continue
        name, found, value = line.partition(":")
        if not found:
            raise DecodeError(f"a SIP header without a colon: {line[:80]!r}")
        key = name.strip().lower()
        headers.append((_COMPACT.get(key, key), value.strip()))
    return SipMessage(start[3] or "", int(start[1] or 0), tuple(headers))


def _content_length(message: SipMessage) -> int:
    text = message.header("content-length")
    if not text.isascii() or not text.isdigit() or int(text[:10]) > BODY_SIZE_MAX:
        # RFC 3261 section 18.3: on a stream, "it is an error" if it is missing.
        raise DecodeError(f"a SIP message of length {text[:20]!r}")
    return int(text)
