"""SIP messages, with a sample that Jami wrote."""

from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shoal.core import AccountId, DecodeError
from shoal.swarm import sip_wire
from shoal.swarm.sip_wire import SipMessage, SipReader, encode_message, encode_response

ALICE = AccountId.from_hex("0b9a824ba5363cfb4a9e40bfb51f59fa93fa5c69")
BOB = AccountId.from_hex("c81424f1cb1827a99c25c079837fea1afc66754a")
SAMPLE = (
    f"MESSAGE sips:{BOB}@10.79.0.5:40400;transport=tls SIP/2.0\r\n"
    "Via: SIP/2.0/TLS 10.79.0.2:51559;rport;branch=z9hG4bKPj02e88c85;alias\r\n"
    "Max-Forwards: 70\r\n"
    f'From: "Disp a" <sip:{ALICE}@ring.dht>;tag=b1b70015\r\n'
    f"To: <sips:{BOB}@10.79.0.5>\r\n"
    "Call-ID: ca476825-cfcf-4bb0-a410-2e2bef2bde39\r\n"
    "CSeq: 52928 MESSAGE\r\n"
    "Date: Fri Nov 20 23:52:29 2026\r\n"
    "Message-ID: 0016ffce86b55c1b\r\n"
    "User-Agent: Jami Daemon 13.7.0 (linux)\r\n"
    "Content-Type: application/im-gitmessage-id\r\n"
    "Content-Length:   5\r\n"
    "\r\n"
    "{ 1 }"
).encode()


def ours() -> bytes:
    """A message of ours."""
    return encode_message(
        to=BOB,
        sender=ALICE,
        name='Al"ice',
        mime="application/invite",
        content="é",
        token="00" * 8,
        sequence=1,
        date="Fri Nov 20 23:52:29 2026",
    )


@pytest.mark.parametrize("size", [1, 10, 10_000])
def test_jamis_message(size: int) -> None:
    """It is read however it is cut; what belongs to it ends where it says."""
    stream, found, reader = b"\r\n" + SAMPLE + ours(), list[SipMessage](), SipReader()
    for start in range(0, len(stream), size):
        found += reader.feed(stream[start : start + size])
    first, second = found

    assert (first.method, first.sender) == ("MESSAGE", str(ALICE))
    assert first.header("message-id") == "0016ffce86b55c1b"
    assert first.body == b"{ 1 }"
    assert (second.sender, second.body) == (str(ALICE), "é".encode())
    assert second.header("from").startswith('"Alice" <sip:')


def test_answers() -> None:
    """An answer repeats what identifies the request, and gives To a tag."""
    (request,) = SipReader().feed(ours())
    (answer,) = SipReader().feed(encode_response(request, 200, "OK"))

    assert (answer.status, answer.method, answer.body) == (200, "", b"")
    for name in ("via", "from", "call-id", "cseq"):
        assert answer.header(name) == request.header(name)
    assert answer.header("to").startswith(request.header("to") + ";tag=")
    (again,) = SipReader().feed(encode_response(answer, 200, "OK"))
    assert again.header("to") == answer.header("to")


def test_compact_and_folded_headers() -> None:
    """Both old habits are read."""
    (found,) = SipReader().feed(
        b"OPTIONS sip:a SIP/2.0\r\nf: <sip:x@y>\r\nA: b\r\n c\r\nl: 0\r\n\r\n"
    )
    assert found.sender == "x"
    assert found.header("a") == "b c"
    assert SipMessage().sender == ""


@pytest.mark.parametrize(
    "data",
    [
        b"GET / HTTP/1.1\r\n\r\n",
        b"OPTIONS sip:a SIP/2.0\r\n\r\n",
        b"OPTIONS sip:a SIP/2.0\r\nContent-Length: -1\r\n\r\n",
        b"OPTIONS sip:a SIP/2.0\r\nContent-Length: 99999999999999\r\n\r\n",
        b"OPTIONS sip:a SIP/2.0\r\nno colon\r\n\r\n",
        b"OPTIONS sip:\xff SIP/2.0\r\n\r\n",
        b"x" * (sip_wire.HEAD_SIZE_MAX + 1),
    ],
)
def test_nonsense(data: bytes) -> None:
    """Each is a DecodeError."""
    with pytest.raises(DecodeError):
        list(SipReader().feed(data))


@given(st.lists(st.binary(max_size=60) | st.just(SAMPLE[:200]), max_size=4))
def test_any_bytes(pieces: list[bytes]) -> None:
    """Bytes are messages or a DecodeError."""
    reader = SipReader()
    with suppress(DecodeError):
        for piece in pieces:
            list(reader.feed(piece))
