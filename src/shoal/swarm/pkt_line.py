r"""git's pkt-lines: what the two ends of a fetch say to each other.

    offset  length  field
    0       4       length of the whole in hex, these 4 included; 0000 is a flush
    4       …       content, at most 65516 bytes

Source: git's protocol-common and pack-protocol. The reader here takes lines cut anywhere; a
*writer* must not cut one: Debian's Jami parses each packet of a channel on its own.
"""

from __future__ import annotations

from typing import Final

from shoal.core import DecodeError

FLUSH: Final = b"0000"
CONTENT_MAX: Final = 65_516  # git: LARGE_PACKET_DATA_MAX
SIDE_BAND_DATA_MAX: Final = 65_515  # less the number of the band
_HEAD: Final = 4


def encode(content: bytes) -> bytes:
    """Return *content* as one line."""
    assert len(content) <= CONTENT_MAX, "callers cut what they send"
    return b"%04x" % (len(content) + _HEAD) + content


class PktLineReader:
    """Cuts a stream into lines; a flush is None."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    def feed(self, data: bytes) -> list[bytes | None]:
        """Return the lines that *data* completes.

        Raises:
            DecodeError: a length that is none.
        """
        self._buffer += data
        buffer, position, lines = self._buffer, 0, list[bytes | None]()
        while len(buffer) - position >= _HEAD:
            length = _length(bytes(buffer[position : position + _HEAD]))
            if length == 0:
                lines.append(None)
                position += _HEAD
            elif len(buffer) - position < length:
                break
            else:
                lines.append(bytes(buffer[position + _HEAD : position + length]))
                position += length
        del buffer[:position]
        return lines


def _length(head: bytes) -> int:
    try:
        if not head.isalnum():
            raise ValueError  # noqa: TRY301 - int() would take signs and blanks
        length = int(head, 16)
    except ValueError as error:
        raise DecodeError(f"a pkt-line of length {head!r}") from error
    if length and not _HEAD <= length <= CONTENT_MAX + _HEAD:
        raise DecodeError(f"a pkt-line of {length} bytes")
    return length
