"""HTTP as routers speak it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shoal.core import Address, DecodeError
from shoal.net.mapping import http

ROUTER = Address.parse("192.168.1.1", 5000)


def test_requests() -> None:
    """A GET, a POST, and IPv6 in brackets."""
    assert http.request(ROUTER, "/desc.xml") == (
        b"GET /desc.xml HTTP/1.1\r\nHost: 192.168.1.1:5000\r\nConnection: close\r\n\r\n"
    )
    posted = http.request(Address.parse("fd00::1", 80), "/", headers={"A": "b"}, body=b"xy")
    assert posted == (
        b"POST / HTTP/1.1\r\nHost: [fd00::1]:80\r\nConnection: close\r\nA: b\r\n"
        b"Content-Length: 2\r\n\r\nxy"
    )


def test_bodies() -> None:
    """By length, in chunks, to the end of the connection."""
    by_length = b"HTTP/1.1 200 OK\r\nContent-LENGTH: 3\r\n\r\nabcdef"
    assert http.decode(by_length) == http.Response(200, {"content-length": "3"}, b"abc")
    chunked = (
        b"HTTP/1.1 500 No\r\nTransfer-Encoding: chunked\r\n\r\n"
        b"3;x=y\r\nabc\r\nA\r\n0123456789\r\n0\r\n\r\n"
    )
    assert http.decode(chunked).body == b"abc0123456789"
    assert http.decode(b"HTTP/1.0 200 OK\r\nno header\r\n\r\nabc").body == b"abc"


def test_when_everything_is_there() -> None:
    """Without a length only the end of the connection tells."""
    assert http.is_complete(b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc")
    assert not http.is_complete(b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nab")
    assert not http.is_complete(b"HTTP/1.1 200 OK\r\n\r\nabc")
    assert not http.is_complete(b"HTTP/1.1 200")


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"HTTP/1.1 200 OK\r\n",
        b"SPDY/1 200 OK\r\n\r\n",
        b"HTTP/1.1 2x0 OK\r\n\r\n",
        b"HTTP/1.1\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 9999999999\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\na",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n-5\r\nab",
        b"HTTP/1.1 200 OK\r\n" + b"a: b\r\n" * 200 + b"\r\n",
    ],
)
def test_what_is_none(data: bytes) -> None:
    """Incomplete, malformed or too much."""
    with pytest.raises(DecodeError):
        http.decode(data)


@given(st.binary(max_size=80), st.sampled_from([b"", b"Transfer-Encoding: chunked\r\n"]))
def test_any_bytes(data: bytes, header: bytes) -> None:
    """A response or a DecodeError."""
    for each in (data, b"HTTP/1.1 200 OK\r\n" + header + b"\r\n" + data):
        try:
            http.decode(each)
        except DecodeError:
            continue
