"""The stream of a multiplexed connection: frames, and what control frames say.

A frame is a msgpack array of two, `[channel: uint16, data: bin of at most 65,535 bytes]`:

| channel | data |
| --- | --- |
| 0 | control: arrays `[name: str, number: uint16, state: 0 request, 1 accept, 2 decline]` |
| 0xffff | protocol: a map, `{"v": version}`, beacon `{"p": true}`, answer `{"p": false}` |
| others | one packet of that channel; empty to close it |

Several control arrays may follow one another in a frame, and a map among them counts as protocol
data. Readers take msgpack's longer forms of the same numbers and lengths too. A frame may be cut
over reads in any way. The header alone decides whether a frame is too large, before its data comes.

Source: the bytes that Jami 13.7 sends, and dhtnet multiplexed_socket.cpp for the names.
"""

from __future__ import annotations

import enum
from typing import TYPE_CHECKING, Final, NamedTuple, TypeAlias

import msgpack

from shoal.core import DecodeError

if TYPE_CHECKING:
    from collections.abc import Iterator

CONTROL: Final = 0  # dhtnet multiplexed_socket.h: CONTROL_CHANNEL
PROTOCOL: Final = 0xFFFF  # dhtnet multiplexed_socket.h: PROTOCOL_CHANNEL
PACKET_MAX: Final = 0xFFFF  # bytes of data in a frame; dhtnet: UINT16_MAX
VERSION: Final = 1  # dhtnet multiplexed_socket.cpp: MULTIPLEXED_SOCKET_VERSION
HEADER_MAX: Final = 19  # bytes: 5 for the array, 9 for the number, 5 for the length

# Markers of msgpack's specification, with the width of what follows them.
_ARRAY_OF_TWO: Final = 0x92
_LONG_ARRAYS: Final = {0xDC: 2, 0xDD: 4}
_UINTS: Final = {0xCC: 1, 0xCD: 2, 0xCE: 4, 0xCF: 8}
_BINS: Final = {0xC4: 1, 0xC5: 2, 0xC6: 4}
_FIXINT_MAX: Final = 0x7F
_BYTE_MAX: Final = 0xFF


class ChannelState(enum.IntEnum):
    """What a control message says of its channel."""

    REQUEST = 0
    ACCEPT = 1
    DECLINE = 2


class ChannelMessage(NamedTuple):
    """Somebody asks for a channel, or answers that."""

    name: str
    number: int
    state: ChannelState


class VersionMessage(NamedTuple):
    """The sender speaks this version; from 1 on it answers beacons."""

    version: int


class BeaconMessage(NamedTuple):
    """A sign of life is wanted, or here it is."""

    is_request: bool


ControlMessage: TypeAlias = ChannelMessage | VersionMessage | BeaconMessage


class Frame(NamedTuple):
    """One frame."""

    channel: int
    data: bytes


class FrameReader:
    """Cuts a stream into frames; holds at most one that is incomplete."""

    __slots__ = ("_buffer", "_wanted")

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._wanted = 0  # bytes that the frame which has begun needs at least

    @property
    def is_inside(self) -> bool:
        """Whether a frame has begun and is not complete."""
        return bool(self._buffer)

    def feed(self, data: bytes | memoryview) -> list[Frame]:
        """Take bytes, return the frames that they complete.

        Raises:
            DecodeError: this is no stream of frames.
        """
        frames: list[Frame] = []
        with memoryview(data) as view:
            position, size = self._complete(view, frames), len(view)
            while position < size:
                channel, start, end = _read_header(view, position, size)
                if end > size:
                    self._wanted = end - position
                    self._buffer += view[position:]
                    break
                frames.append(Frame(channel, bytes(view[start:end])))
                position = end
        return frames

    def _complete(self, view: memoryview, frames: list[Frame]) -> int:
        """Complete the frame that has begun, if one has; return how many bytes that took."""
        buffer, position = self._buffer, 0
        while buffer and position < len(view):
            piece = view[position : position + self._wanted - len(buffer)]
            buffer += piece
            position += len(piece)
            if len(buffer) < self._wanted:
                break
            with memoryview(buffer) as begun:
                channel, start, end = _read_header(begun, 0, len(begun))
                if end > len(begun):
                    self._wanted = end
                    continue
                frames.append(Frame(channel, bytes(begun[start:end])))
            buffer.clear()
        return position


def _read_header(view: memoryview, position: int, size: int) -> tuple[int, int, int]:
    """Return a frame's channel, and where its data starts and ends; an end past *size* if cut."""
    try:
        if view[position] == _ARRAY_OF_TWO:
            position += 1
        else:
            count, position = _read_number(view, position, size, _LONG_ARRAYS)
            if count != 2:  # noqa: PLR2004 - channel and data
                raise DecodeError("a frame that is not an array of two", position)
        channel, position = _read_number(view, position, size, _UINTS)
        if channel > PROTOCOL:
            raise DecodeError("a channel number above 65535", position)
        length, position = _read_number(view, position, size, _BINS)
    except IndexError:  # the header is cut
        return 0, 0, size + 1
    if length > PACKET_MAX:
        raise DecodeError(f"a frame of {length} bytes; {PACKET_MAX} at most", position)
    return channel, position, position + length


def _read_number(
    view: memoryview, position: int, size: int, widths: dict[int, int]
) -> tuple[int, int]:
    """Return the number behind one of the markers in *widths*, and where it ends.

    Raises:
        IndexError: the bytes end before it does.
        DecodeError: another marker stands there.
    """
    marker = view[position]
    position += 1
    if marker <= _FIXINT_MAX and widths is _UINTS:
        return marker, position
    width = widths.get(marker)
    if width is None:
        raise DecodeError("not a frame: [channel, data]", position - 1)
    end = position + width
    if end > size:
        raise IndexError
    return int.from_bytes(view[position:end]), end


def frame_head(channel: int, length: int) -> bytes:
    """Return what stands before *length* bytes of data."""
    if channel <= _FIXINT_MAX:
        number = bytes((_ARRAY_OF_TWO, channel))
    elif channel <= _BYTE_MAX:
        number = bytes((_ARRAY_OF_TWO, 0xCC, channel))
    else:
        number = bytes((_ARRAY_OF_TWO, 0xCD)) + channel.to_bytes(2)
    if length <= _BYTE_MAX:
        return number + bytes((0xC4, length))
    return number + b"\xc5" + length.to_bytes(2)


def encode_frame(channel: int, data: bytes) -> bytes:
    """Write one frame; *data* has at most 65,535 bytes."""
    return frame_head(channel, len(data)) + data


def encode_message(message: ControlMessage) -> bytes:
    """Write a control or protocol message with its frame."""
    match message:
        case ChannelMessage(name, number, state):
            body = msgpack.packb([name, number, int(state)])
            return encode_frame(CONTROL, body)
        case VersionMessage(version):
            return encode_frame(PROTOCOL, msgpack.packb({"v": version}))
        case BeaconMessage(is_request):
            return encode_frame(PROTOCOL, msgpack.packb({"p": is_request}))


def decode_control(data: bytes) -> Iterator[ControlMessage]:
    """Read the messages in the data of a control or a protocol frame, one after the other.

    Maps that say nothing we know are passed over.

    Raises:
        DecodeError: from there on it is not a message. Nothing else is ever raised.
    """
    unpacker = msgpack.Unpacker(
        max_buffer_size=PACKET_MAX, max_array_len=16, max_map_len=16, max_ext_len=0
    )
    try:
        unpacker.feed(data)
        while unpacker.tell() < len(data):
            item = unpacker.unpack()
            if type(item) is list:
                yield _read_channel_message(item)
            elif type(item) is dict:
                yield from _read_protocol(item)
            else:
                raise DecodeError("control data that are neither array nor map")
    except (ValueError, TypeError, msgpack.UnpackException, RecursionError) as error:
        raise DecodeError(f"not control data: {error}") from error


def _read_channel_message(item: list[object]) -> ChannelMessage:
    """Read name, number and state."""
    if len(item) != 3:  # noqa: PLR2004 - name, number, state
        raise DecodeError(f"a control message of {len(item)} items")
    name, number, state = item
    if type(name) is not str or type(number) is not int or type(state) is not int:
        raise DecodeError("a control message with items of other types")
    if not 0 <= number <= PROTOCOL:
        raise DecodeError(f"no channel number: {number}")
    try:
        return ChannelMessage(name, number, ChannelState(state))
    except ValueError as error:
        raise DecodeError(f"no state of a channel: {state}") from error


def _read_protocol(item: dict[object, object]) -> Iterator[ControlMessage]:
    """Read a version or a beacon."""
    version, beacon = item.get("v"), item.get("p")
    if type(version) is int and version >= 0:
        yield VersionMessage(version)
    if type(beacon) is bool:
        yield BeaconMessage(beacon)
