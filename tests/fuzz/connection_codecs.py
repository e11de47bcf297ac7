"""Targets for what peers send on the way to a channel, and on it."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Final

from shoal.core import DecodeError, DeviceId
from shoal.net import MuxConfig, MuxEngine, PeerRequest
from shoal.net.multiaddr import AddressBundle, Multiaddr
from shoal.net.multiaddr.hello import Hello, encode_frame, frame_size
from shoal.net.mux.effects import Asked
from shoal.net.mux.wire import (
    BeaconMessage,
    ChannelMessage,
    ChannelState,
    ControlMessage,
    FrameReader,
    VersionMessage,
    decode_control,
    encode_message,
)
from shoal.net.mux.wire import (
    encode_frame as encode_packet,
)

if TYPE_CHECKING:
    from collections.abc import Callable

_ME: Final = DeviceId(bytes(32))
_NOW: Final = 1.8e9
_SMALL: Final = MuxConfig(channels_max=8, buffer_max=300, buffer_high=100, buffer_total_max=600)
_PIECE: Final = 23  # bytes handed over at once: frames are cut everywhere


def peer_request(data: bytes) -> None:
    """An offer that unpacks packs to something that unpacks to the same."""
    with contextlib.suppress(DecodeError):
        request = PeerRequest.unpack(data)
        assert PeerRequest.unpack(request.packed()) == request


def frames(data: bytes) -> None:
    """A stream gives the same frames however it is cut; control data give messages."""
    whole, cut = FrameReader(), FrameReader()
    try:
        found = whole.feed(data)
    except DecodeError:
        return
    pieces = [cut.feed(data[at : at + 1]) for at in range(len(data))]
    assert found == [frame for piece in pieces for frame in piece]
    for frame in found:
        with contextlib.suppress(DecodeError):
            list(decode_control(frame.data))


def mux(data: bytes) -> None:
    """A connection takes any stream, answers what it must, and stays within its limits."""
    engine = MuxEngine(is_tls_server=len(data) % 2 == 0, config=_SMALL)
    engine.start(0.0)
    engine.open(1, "ours", 0.0)
    for number, start in enumerate(range(0, len(data), _PIECE)):
        now = number * 0.4
        for effect in engine.receive(data[start : start + _PIECE], now):
            if isinstance(effect, Asked):
                (engine.accept if number % 3 else engine.decline)(effect.number, now)
        engine.advance(now)
        deadline = engine.next_deadline()
        assert deadline is None or deadline > now
        assert engine.open_channels <= _SMALL.channels_max
        assert engine.held_bytes <= _SMALL.buffer_total_max


def addresses(data: bytes) -> None:
    """A record of addresses is read or refused; an address comes back as it was."""
    with contextlib.suppress(DecodeError):
        AddressBundle.unpack(data, b"key", _NOW, lambda *_: True)
    with contextlib.suppress(DecodeError):
        address = Multiaddr.parse(data.decode(errors="replace"))
        assert Multiaddr.parse(str(address)) == address


def greeting(data: bytes) -> None:
    """A greeting is read or refused, and so is its frame."""
    with contextlib.suppress(DecodeError):
        frame_size(data)
    with contextlib.suppress(DecodeError):
        Hello.unpack(data, _ME, _NOW)


def _known_stream() -> list[bytes]:
    messages: tuple[ControlMessage, ...] = (
        VersionMessage(1),
        ChannelMessage("sip", 5, ChannelState.REQUEST),
        ChannelMessage("ours", 0x8000, ChannelState.ACCEPT),
        BeaconMessage(is_request=True),
    )
    stream = b"".join(map(encode_message, messages)) + encode_packet(5, bytes(40))
    return [stream, stream + encode_packet(5, b"")]


def _known_records() -> list[bytes]:
    address = Multiaddr.parse("/ip4/44.128.0.1/tcp/4433")
    bundle = AddressBundle.of(_ME, [address], _NOW)
    return [bundle.pack(lambda record: record[:8]), str(address).encode()]


TARGETS: Final[dict[str, tuple[Callable[[bytes], None], Callable[[], list[bytes]]]]] = {
    "addresses": (addresses, _known_records),
    "greeting": (greeting, lambda: [Hello(b"chain", _NOW, _ME).packed(), encode_frame(b"sealed")]),
    "mux": (mux, _known_stream),
    "mux-frames": (frames, _known_stream),
    "peer-request": (
        peer_request,
        lambda: [PeerRequest(7, "ufrag\npwd\n", is_answer=False, connection_type="sync").packed()],
    ),
}
