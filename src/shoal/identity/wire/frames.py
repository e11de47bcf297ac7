"""A stream of msgpack objects, cut into objects: each byte is looked at once, nothing is built.

Channels may deliver an object in any number of packets, or several in one. What is counted here is
how many objects are still to come: an array of n is one object done and n more to come, a map of n
is two for each entry. So a length that no bytes stand behind costs nothing.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from shoal.core import DecodeError


class _Kind(NamedTuple):
    """How an object goes on after its first byte."""

    width: int = 0  # bytes of a length
    extra: int = 0  # bytes after that
    unit_bytes: int = 0  # bytes for each unit of the length
    unit_objects: int = 0  # objects for each unit of the length
    objects: int = 0  # objects besides


# msgpack specification, "formats", by first byte; c1 is never used
_FIXED_LENGTHS: Final = (4, 8, 1, 2, 4, 8, 1, 2, 4, 8, 2, 3, 5, 9, 17)
_KINDS: Final = {
    **{first: _Kind() for first in (*range(0x80), *range(0xE0, 0x100), 0xC0, 0xC2, 0xC3)},
    **{0x80 + count: _Kind(objects=2 * count) for count in range(16)},
    **{0x90 + count: _Kind(objects=count) for count in range(16)},
    **{0xA0 + length: _Kind(extra=length) for length in range(32)},
    **{0xCA + index: _Kind(extra=length) for index, length in enumerate(_FIXED_LENGTHS)},
    **{
        first: _Kind(width, 0, 1) for first, width in zip(range(0xC4, 0xC7), (1, 2, 4), strict=True)
    },
    **{
        first: _Kind(width, 1, 1) for first, width in zip(range(0xC7, 0xCA), (1, 2, 4), strict=True)
    },
    **{
        first: _Kind(width, 0, 1) for first, width in zip(range(0xD9, 0xDC), (1, 2, 4), strict=True)
    },
    **{first: _Kind(width, 0, 0, 1) for first, width in ((0xDC, 2), (0xDD, 4))},
    **{first: _Kind(width, 0, 0, 2) for first, width in ((0xDE, 2), (0xDF, 4))},
}


class ObjectSplitter:
    """Collects bytes and gives whole packed objects, each of *size_max* bytes at most."""

    def __init__(self, size_max: int) -> None:
        self._size_max = size_max
        self._buffer = bytearray()
        self._position = 0  # where the next object begins; beyond the buffer while in a blob
        self._wanted = 1  # objects until the outermost one is complete

    @property
    def is_empty(self) -> bool:
        """Whether no object has begun."""
        return not self._buffer

    def feed(self, data: bytes) -> list[bytes]:
        """Take the next bytes of the stream; return the objects that are complete now.

        Raises:
            DecodeError: an object is too large, or this is no msgpack; the stream is of no use
                from then on.
        """
        self._buffer += data
        complete: list[bytes] = []
        while self._walk():
            complete.append(bytes(self._buffer[: self._position]))
            del self._buffer[: self._position]
            self._position, self._wanted = 0, 1
        return complete

    def _walk(self) -> bool:
        """Go on where the last walk ended; say whether the outermost object is complete."""
        while self._wanted and self._position < len(self._buffer):
            kind = _KINDS.get(self._buffer[self._position])
            if kind is None:
                raise DecodeError("the byte c1, which msgpack never uses", self._position)
            start = self._position + 1
            if start + kind.width > len(self._buffer):
                return False  # the rest of the length is still to come
            length = int.from_bytes(self._buffer[start : start + kind.width])
            self._position = start + kind.width + kind.extra + kind.unit_bytes * length
            self._wanted += kind.objects + kind.unit_objects * length - 1
            if self._position + self._wanted > self._size_max:  # each object has a byte at least
                raise DecodeError(f"an object of more than {self._size_max} bytes", start - 1)
        return not self._wanted and self._position <= len(self._buffer)
