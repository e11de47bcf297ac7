"""Frames and control messages: vectors of Jami's, round trips, and any bytes."""

from __future__ import annotations

import contextlib
import functools
import operator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shoal.core import DecodeError
from shoal.net.mux.wire import (
    CONTROL,
    HEADER_MAX,
    PACKET_MAX,
    PROTOCOL,
    BeaconMessage,
    ChannelMessage,
    ChannelState,
    ControlMessage,
    Frame,
    FrameReader,
    VersionMessage,
    decode_control,
    encode_frame,
    encode_message,
)

VECTORS: dict[str, ControlMessage] = {  # reference A.8, from Jami 13.7
    "92cdffffc40481a17601": VersionMessage(1),
    "92cdffffc40481a170c3": BeaconMessage(is_request=True),
    "92cdffffc40481a170c2": BeaconMessage(is_request=False),
    "9200c40993a3736970cd5b9400": ChannelMessage("sip", 0x5B94, ChannelState.REQUEST),
    "9200c40993a3736970cd5b9401": ChannelMessage("sip", 0x5B94, ChannelState.ACCEPT),
}
MESSAGES = (
    st.builds(
        ChannelMessage,
        st.text(st.characters(exclude_categories=["Cs"]), max_size=40),
        st.integers(0, PROTOCOL),
        st.sampled_from(ChannelState),
    )
    | st.builds(VersionMessage, st.integers(0, 2**31))
    | st.builds(BeaconMessage, st.booleans())
)
FRAMES = st.builds(Frame, st.integers(0, PROTOCOL), st.binary(max_size=600))


@pytest.mark.parametrize("vector", VECTORS)
def test_messages_are_the_bytes_of_jami(vector: str) -> None:
    """Written as Jami writes them, read as what they are."""
    message = VECTORS[vector]
    (frame,) = FrameReader().feed(bytes.fromhex(vector))

    assert encode_message(message) == bytes.fromhex(vector)
    assert list(decode_control(frame.data)) == [message]
    assert frame.channel == (CONTROL if isinstance(message, ChannelMessage) else PROTOCOL)


def test_closing_a_channel_is_an_empty_frame() -> None:
    """The vector of Jami's."""
    assert encode_frame(0x5B94, b"") == bytes.fromhex("92cd5b94c400")
    assert FrameReader().feed(bytes.fromhex("92cd5b94c400")) == [Frame(0x5B94, b"")]


@given(MESSAGES)
def test_messages_come_back(message: ControlMessage) -> None:
    """What is written is read."""
    (frame,) = FrameReader().feed(encode_message(message))
    assert list(decode_control(frame.data)) == [message]


@given(st.lists(FRAMES, max_size=5), st.lists(st.integers(1, 700), max_size=9))
def test_frames_come_back_however_they_are_cut(frames: list[Frame], sizes: list[int]) -> None:
    """Reads of any size give the same frames, and nothing is left inside."""
    stream = b"".join(encode_frame(*frame) for frame in frames)
    reader, found = FrameReader(), []
    for size in sizes:
        found += reader.feed(stream[:size])
        stream = stream[size:]
    found += reader.feed(memoryview(stream))

    assert found == frames
    assert not reader.is_inside


def test_byte_by_byte() -> None:
    """The slowest sender is understood, and known to be inside a frame."""
    reader = FrameReader()
    found: list[Frame] = []
    for byte in encode_frame(0xABCD, bytes(300)):
        assert not found
        found = reader.feed(bytes([byte]))
        assert reader.is_inside != bool(found)
    assert found == [Frame(0xABCD, bytes(300))]


@pytest.mark.parametrize(
    ("frame", "hexadecimal"),
    [
        (Frame(5, b"ab"), "dc000205c4026162"),
        (Frame(5, b"ab"), "dd00000002cc05c500026162"),
        (Frame(200, b"ab"), "92cd00c8c600000002 6162"),
        (Frame(5, b"ab"), "92ce00000005c4026162"),
        (Frame(5, b"ab"), "92cf0000000000000005c4026162"),
    ],
)
def test_longer_forms_mean_the_same(frame: Frame, hexadecimal: str) -> None:
    """Whatever form of msgpack a sender takes; also when it is cut."""
    data = bytes.fromhex(hexadecimal)
    assert FrameReader().feed(data) == [frame]
    reader = FrameReader()
    pieces = [reader.feed(data[at : at + 1]) for at in range(len(data))]
    assert functools.reduce(operator.iadd, pieces, []) == [frame]


@pytest.mark.parametrize(
    "hexadecimal",
    [
        "91",  # an array of one
        "dc0003",  # an array of three
        "81a17601",  # a map
        "92a161",  # a channel that is a text
        "92ce00010000c400",  # a channel above 65535
        "9205a161",  # data that are a text
        "9205c600010000",  # a giant, known by its header alone
        "9205c6ffffffff",
    ],
)
def test_what_is_no_frame_is_refused_by_its_header(hexadecimal: str) -> None:
    """Nothing is waited for that could not be taken."""
    with pytest.raises(DecodeError):
        FrameReader().feed(bytes.fromhex(hexadecimal))


@given(st.lists(st.binary(max_size=300), max_size=6))
def test_any_bytes_give_frames_or_decode_error(pieces: list[bytes]) -> None:
    """And no more is kept than one frame."""
    reader = FrameReader()
    with contextlib.suppress(DecodeError):
        for piece in pieces:
            reader.feed(piece)
            assert len(reader._buffer) <= HEADER_MAX + PACKET_MAX  # noqa: SLF001


@given(st.binary(max_size=300))
def test_any_control_data_give_messages_or_decode_error(data: bytes) -> None:
    """No other error, ever."""
    with contextlib.suppress(DecodeError):
        for message in decode_control(data):
            assert isinstance(message, ChannelMessage | VersionMessage | BeaconMessage)


@pytest.mark.parametrize(
    "hexadecimal",
    [
        "93a161cd000105",  # no such state
        "92a16105",  # two items
        "93a161a16200",  # a number that is a text
        "93a161ce0001000000",  # a number above 65535
        "93a1ff0500",  # a name that is no text
        "05",  # neither array nor map
        "93a16105",  # cut
        "c1",  # no msgpack
        "91" * 200 + "00",  # deep
        "c7ff00" + "00" * 255,  # an extension
    ],
)
def test_control_data_that_make_no_sense(hexadecimal: str) -> None:
    """Each is a DecodeError."""
    with pytest.raises(DecodeError):
        list(decode_control(bytes.fromhex(hexadecimal)))


def test_messages_before_the_damage_count() -> None:
    """Several in one frame; a map among them; unknown maps pass."""
    data = bytes.fromhex("93a1610500" + "81a17601" + "81a17801" + "93a1620601" + "c1")
    messages = decode_control(data)
    found = [next(messages) for _ in range(3)]
    with pytest.raises(DecodeError):
        next(messages)
    assert found == [
        ChannelMessage("a", 5, ChannelState.REQUEST),
        VersionMessage(1),
        ChannelMessage("b", 6, ChannelState.ACCEPT),
    ]
