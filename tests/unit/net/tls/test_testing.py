"""The filter for simulations behaves as TLS does."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shoal.crypto.testing import SeededSuite
from shoal.net.errors import (
    PeerCertificateError,
    TlsHandshakeError,
    TlsRefusedError,
    TlsTruncatedError,
    WrongPeerError,
)
from shoal.net.tls.filter import TlsClosed, TlsEffect, TlsEstablished, TlsReceived, TlsSend
from shoal.net.tls.testing import CarryingStream, CarryingTls
from tests.unit.net.devices import simulated

SUITE = SeededSuite()


def stream(name: str, other: str, *, is_server: bool) -> CarryingStream:
    """Return the stream of *name*, who expects *other*."""
    return CarryingTls(SUITE.identity(name), SUITE)(simulated(other), is_server=is_server)


def sent(effects: list[TlsEffect]) -> bytes:
    """Return what is sent."""
    return b"".join(each.data for each in effects if isinstance(each, TlsSend))


def error_of(effects: list[TlsEffect]) -> type[object]:
    """Return the kind of error that ended it."""
    closed = effects[-1]
    assert isinstance(closed, TlsClosed)
    return type(closed.error)


def shaken() -> tuple[CarryingStream, CarryingStream]:
    """Return a server and a client that have shaken hands."""
    server, client = (
        stream("a", "b", is_server=True),
        stream("b", "a", is_server=False),
    )
    assert server.start() == []
    answer = server.receive(sent(client.start()))
    assert isinstance(answer[-1], TlsEstablished)
    assert isinstance(client.receive(sent(answer))[-1], TlsEstablished)
    return server, client


@pytest.mark.parametrize("cut", [1, 3, 1000])
def test_text_arrives(cut: int) -> None:
    """However it is cut."""
    server, client = shaken()
    data = sent(server.send(bytes(500)))
    found: list[TlsEffect] = []
    for start in range(0, len(data), cut):
        found += client.receive(data[start : start + cut])
    assert found == [TlsReceived(bytes(500))]


def test_good_bye() -> None:
    """Is answered; nothing follows."""
    server, client = shaken()
    effects = client.receive(sent(server.close()))
    assert effects[-1] == TlsClosed(None)
    assert server.close() == server.send(b"x") == server.receive(b"x") == server.receive_eof() == []


def test_the_wrong_peer() -> None:
    """Both sides learn of it."""
    server = stream("a", "c", is_server=True)
    client = stream("b", "a", is_server=False)
    effects = server.receive(sent(client.start()))
    assert error_of(effects) is WrongPeerError
    assert error_of(client.receive(sent(effects))) is TlsRefusedError


def test_what_is_wrong() -> None:
    """No record, no certificate, out of turn, cut off."""
    assert error_of(stream("a", "b", is_server=True).receive(b"\x09\0\0\0\0")) is TlsHandshakeError
    too_large = b"\x01\xff\xff\xff\xff"
    assert error_of(stream("a", "b", is_server=True).receive(too_large)) is TlsHandshakeError
    nonsense = b"\x01\0\0\0\x01x"
    assert error_of(stream("a", "b", is_server=True).receive(nonsense)) is PeerCertificateError
    early = b"\x02\0\0\0\x01x"
    assert error_of(stream("a", "b", is_server=True).receive(early)) is TlsHandshakeError
    assert error_of(stream("a", "b", is_server=True).receive_eof()) is TlsTruncatedError


@given(st.binary(max_size=100))
def test_any_bytes(data: bytes) -> None:
    """Never raise."""
    stream("a", "b", is_server=True).receive(data)
