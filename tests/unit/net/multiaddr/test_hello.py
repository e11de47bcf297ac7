"""Greetings of direct connections."""

from __future__ import annotations

import contextlib

import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shoal.core import DeviceId
from shoal.net.errors import HelloError
from shoal.net.multiaddr.hello import Hello, encode_frame, frame_size, sealed_part

ME = DeviceId(b"\7" * 32)
NOW = 1.8e9
HELLO = Hello(b"-----BEGIN", NOW, ME)


def test_a_greeting_comes_back() -> None:
    """Sealing is somebody else's."""
    assert Hello.unpack(HELLO.packed(), ME, NOW + 500) == HELLO


@pytest.mark.parametrize("wall_now", [NOW - 601, NOW + 601])
def test_of_another_time(wall_now: float) -> None:
    """It may have been recorded."""
    with pytest.raises(HelloError):
        Hello.unpack(HELLO.packed(), ME, wall_now)


def test_for_another_device() -> None:
    """It may have been passed on."""
    with pytest.raises(HelloError):
        Hello.unpack(HELLO.packed(), DeviceId(bytes(32)), NOW)


@pytest.mark.parametrize(
    "change",
    [{"chain": "text"}, {"chain": bytes(20_481)}, {"t": 1.5}, {"t": None}, {"dev": bytes(31)}],
)
def test_what_is_no_greeting(change: dict[str, object]) -> None:
    """Each field is looked at."""
    fields = {"chain": b"x", "t": int(NOW), "dev": bytes(ME)} | change
    with pytest.raises(HelloError):
        Hello.unpack(msgpack.packb(fields), ME, NOW)


@given(st.binary(max_size=200))
def test_any_bytes_give_a_greeting_or_an_error(data: bytes) -> None:
    """No other error, ever."""
    with contextlib.suppress(HelloError):
        Hello.unpack(data, ME, NOW)


def test_frames_are_recognised_as_they_come() -> None:
    """Byte by byte."""
    frame = encode_frame(b"sealed")
    assert frame == b"\0\x0aSHL1sealed"
    assert [frame_size(frame[:length]) for length in range(len(frame) + 1)] == [
        None,
        None,
        *[len(frame)] * (len(frame) - 1),
    ]
    assert sealed_part(frame) == b"sealed"


@pytest.mark.parametrize("begun", [b"\0\x04SHL1", b"\xff\xff", b"\0\x0aS1", b"GET / HTTP"])
def test_other_protocols_are_told_at_once(begun: bytes) -> None:
    """Too short, too long, or with another mark."""
    with pytest.raises(HelloError):
        frame_size(begun)


@given(st.binary(max_size=40))
def test_any_beginning(data: bytes) -> None:
    """A size, not yet, or an error."""
    with contextlib.suppress(HelloError):
        size = frame_size(data)
        assert size is None or size > 6
