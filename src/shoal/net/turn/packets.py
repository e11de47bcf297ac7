"""ChannelData, and where packets end on a TCP connection to a TURN server (RFC 8656 section 12).

offset  bytes  field of ChannelData
0       2      channel number, 0x4000 to 0x4FFF
2       2      length of the data
4       …      data; over TCP padded to a multiple of 4
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from shoal.core import DecodeError
from shoal.net import stun

if TYPE_CHECKING:
    from collections.abc import Iterator

CHANNEL_HEADER_LENGTH: Final = 4  # RFC 8656 section 12.4
_CHANNELS: Final = range(0x40, 0x50)  # first bytes, RFC 8656 section 12
_STUN_BYTES: Final = range(4)  # first bytes, RFC 7983


def channel_data(channel: int, data: bytes, *, is_padded: bool) -> bytes:
    """Write ChannelData."""
    padding = bytes(-len(data) % 4) if is_padded else b""
    return b"".join((channel.to_bytes(2), len(data).to_bytes(2), data, padding))


def channel_of(packet: bytes) -> tuple[int, bytes] | None:
    """Return channel number and data; None if *packet* is not ChannelData."""
    if len(packet) < CHANNEL_HEADER_LENGTH or packet[0] not in _CHANNELS:
        return None
    length = int.from_bytes(packet[2:4])
    if CHANNEL_HEADER_LENGTH + length > len(packet):
        return None
    return int.from_bytes(packet[:2]), packet[CHANNEL_HEADER_LENGTH:][:length]


class PacketSplitter:
    """Cuts what the server sends on a TCP connection into STUN messages and ChannelData."""

    def __init__(self) -> None:
        self._begun = bytearray()

    def feed(self, data: bytes | memoryview) -> Iterator[bytes]:
        """Yield the packets that *data* completes.

        Raises:
            DecodeError: something else came; there is no way to find the next packet.
        """
        self._begun += data
        while len(self._begun) >= CHANNEL_HEADER_LENGTH:
            length = int.from_bytes(self._begun[2:4])
            if self._begun[0] in _CHANNELS:
                total = CHANNEL_HEADER_LENGTH + length + -length % 4
            elif self._begun[0] in _STUN_BYTES and length % 4 == 0:
                total = stun.HEADER_LENGTH + length
            else:
                raise DecodeError("neither STUN nor ChannelData", 0)
            if len(self._begun) < total:
                return
            packet = bytes(self._begun[:total])
            del self._begun[:total]
            yield packet
