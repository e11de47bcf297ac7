"""RFC 4571 framing: a 16-bit length before everything on an ICE-TCP link (reference 5.6, 5.7).

A link carries STUN messages and the application's stream by turns. The deframer tells them apart
by the first 20 bytes of a frame: STUN is collected whole, anything else is passed on as it comes,
without waiting for the end of its frame and without a copy.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from shoal.net import stun

if TYPE_CHECKING:
    from collections.abc import Iterator

FRAME_LENGTH_MAX: Final = 65_535  # RFC 4571 section 2
STUN_LENGTH_MAX: Final = 2048  # ours: Jami's checks have 120 bytes; longer ones pass as data


def frame(data: bytes) -> bytes:
    """Put the length before one message of at most 65,535 bytes."""
    return len(data).to_bytes(2) + data


def frames(data: bytes | memoryview, size: int) -> bytes:
    """Cut a piece of the stream into frames with *size* bytes of payload."""
    length = len(data)
    if length <= size:
        return b"".join((length.to_bytes(2), data)) if length else b""
    view = memoryview(data)
    pieces: list[bytes | memoryview] = []
    for start in range(0, length, size):
        piece = view[start : start + size]
        pieces += (len(piece).to_bytes(2), piece)
    return b"".join(pieces)


class Deframer:
    """Cuts the bytes of one link into STUN messages, as `bytes`, and data, as views."""

    __slots__ = ("_begun", "_left")

    def __init__(self) -> None:
        self._begun = (
            b""  # of a frame not yet told apart, or of a STUN message, its length included
        )
        self._left = 0  # bytes of data to come before the next frame begins

    def feed(self, data: bytes | memoryview) -> Iterator[bytes | memoryview]:
        """Yield what *data* completes; memoryviews are data, bytes are STUN messages."""
        view = memoryview(data)
        if self._begun:
            view = memoryview(self._begun + view)
            self._begun = b""
        position, end = 0, len(view)
        while position < end:
            if self._left:
                piece = view[position : position + self._left]
                position += len(piece)
                self._left -= len(piece)
                yield piece
                continue
            available = end - position - 2
            if available < 0:
                break
            length = view[position] << 8 | view[position + 1]
            head = min(length, stun.HEADER_LENGTH)
            if available < head:
                break
            start = position + 2
            if length <= STUN_LENGTH_MAX and stun.is_stun(view[start : start + head], length):
                if available < length:
                    break
                yield bytes(view[start : start + length])
                position = start + length
            else:
                position, self._left = start, length
        self._begun = bytes(view[position:])
