"""Messages on `msg:` channels."""

from __future__ import annotations

from contextlib import suppress

import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shoal.core import DecodeError
from shoal.swarm import message_wire
from shoal.swarm.message_wire import DeviceMessage, MessageReader, encode

MESSAGES = st.builds(DeviceMessage, st.text(max_size=20), st.text(max_size=50))


@given(st.lists(MESSAGES, max_size=5), st.integers(1, 60))
def test_round_trip(messages: list[DeviceMessage], size: int) -> None:
    """However the stream is cut, the messages are the same."""
    stream = b"".join(map(encode, messages))
    reader, found = MessageReader(), list[DeviceMessage]()
    for start in range(0, len(stream), size):
        found += reader.feed(stream[start : start + size])

    assert found == messages


def test_fields() -> None:
    """The four keys of Jami's decoder; text that is no UTF-8 is shown as such."""
    assert msgpack.unpackb(encode(DeviceMessage("a/b", "c"), 7)) == {
        "id": 7,
        "t": "a/b",
        "c": "c",
        "req": None,
    }
    (message,) = MessageReader().feed(b"\x82\xa1t\xa3a/b\xa1c\xa1\xff")
    assert message.content == "\N{REPLACEMENT CHARACTER}"


@pytest.mark.parametrize("message", [5, {}, {"t": "a/b"}, {"t": 5, "c": "x"}, {"t": "x", "c": b""}])
def test_nonsense(message: object) -> None:
    """Each is a DecodeError."""
    with pytest.raises(DecodeError):
        list(MessageReader().feed(msgpack.packb(message)))


def test_limits() -> None:
    """Neither endless messages nor endlessly many."""
    with pytest.raises(DecodeError):
        list(MessageReader().feed(b"\xdb\x7f\xff\xff\xff" + bytes(message_wire.MESSAGE_SIZE_MAX)))
    many = encode(DeviceMessage("a/b", "")) * (message_wire.MESSAGES_PER_PACKET_MAX + 1)
    with pytest.raises(DecodeError):
        list(MessageReader().feed(many))


@given(st.lists(st.binary(max_size=60), max_size=4))
def test_any_bytes(pieces: list[bytes]) -> None:
    """Bytes are messages or a DecodeError."""
    reader = MessageReader()
    with suppress(DecodeError):
        for piece in pieces:
            list(reader.feed(piece))
