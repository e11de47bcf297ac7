"""ChannelData, and packets on a stream."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shoal.core import DecodeError
from shoal.net import stun
from shoal.net.stun import Class, Message, Method
from shoal.net.turn.packets import PacketSplitter, channel_data, channel_of

STUN = stun.encode(Message(Method.BINDING, Class.INDICATION, bytes(12)))


def test_channel_data() -> None:
    """Four bytes before the data; over TCP padded."""
    assert channel_data(0x4001, b"abcde", is_padded=False) == bytes.fromhex("40010005") + b"abcde"
    padded = channel_data(0x4001, b"abcde", is_padded=True)
    assert padded == bytes.fromhex("40010005") + b"abcde\0\0\0"
    assert channel_of(padded) == (0x4001, b"abcde")
    assert channel_of(STUN) is None
    assert channel_of(b"\x40\x01\x00\x05abc") is None
    assert channel_of(b"\x40") is None


@pytest.mark.parametrize("size", [1, 3, 4, 5, 1000])
def test_a_stream_of_both(size: int) -> None:
    """STUN and ChannelData in pieces of any size."""
    packets = [STUN, channel_data(0x4001, b"abcde", is_padded=True), STUN]
    stream = b"".join(packets)
    splitter = PacketSplitter()
    found = [
        packet
        for start in range(0, len(stream), size)
        for packet in splitter.feed(stream[start : start + size])
    ]
    assert found == packets


def test_something_else() -> None:
    """There is no way to go on after it."""
    with pytest.raises(DecodeError):
        list(PacketSplitter().feed(b"SSH-2.0-OpenSSH"))


@given(st.lists(st.binary(max_size=40)))
def test_any_bytes(pieces: list[bytes]) -> None:
    """Packets or a DecodeError."""
    splitter = PacketSplitter()
    try:
        for piece in pieces:
            for packet in splitter.feed(piece):
                channel_of(packet)
    except DecodeError:
        return
