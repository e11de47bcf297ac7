"""Packs: many git objects in one stream, read with limits.

    offset  length  field
    0       12      "PACK", version 2, count of objects
    12      …       per object: type and size (varint), for a delta its base, zlib data
    end-20  20      SHA-1 of all before

Read here and not with a git library, because what a peer sends has to be bounded while it arrives:
each object inflates to no more than its header says, and the header to no more than we take.
Deltas are applied by dulwich. Source: git's pack format.
"""

from __future__ import annotations

import hashlib
import zlib
from typing import TYPE_CHECKING, Final

from dulwich.errors import ApplyDeltaError
from dulwich.pack import apply_delta

from shoal.core import DecodeError
from shoal.swarm.errors import HistoryTooLargeError
from shoal.swarm.store import ObjectKind, object_id

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

PACK_SIZE_MAX: Final = 268_435_456  # Jami: 256 MiB in one fetch
OBJECT_SIZE_MAX: Final = 16_777_216  # ours: the largest that a conversation has is its profile
OBJECTS_MAX: Final = 1_000_000  # ours: ten for each message of a very long history
DELTAS_MAX: Final = 100_000  # ours: waiting for their base
DELTA_BYTES_MAX: Final = 67_108_864  # ours: of those, in memory
INFLATED_MAX: Final = 2_147_483_648  # ours: of one pack in all
FED_MAX: Final = 134_217_728  # ours: of what one packet completes, in memory at once
_OVERHEAD: Final = 64  # bytes: of zlib's, for what does not get smaller
_SIGNATURE: Final = b"PACK"
_HEADER: Final = 12
_TRAILER: Final = 20
_VERSIONS: Final = (2, 3)
_KINDS: Final = {1: ObjectKind.COMMIT, 2: ObjectKind.TREE, 3: ObjectKind.BLOB}
_NUMBERS: Final = {kind: number for number, kind in _KINDS.items()}
_OFS_DELTA: Final = 6
_REF_DELTA: Final = 7
_VARINT_MAX: Final = 10
_ID_LENGTH: Final = 20
_HEAD_MAX: Final = 2 * _VARINT_MAX + _ID_LENGTH


class PackReader:
    """Reads a pack as it arrives.

    Objects come out as soon as they are whole, a delta when its base has come. Nothing is held that
    was handed out before: *find* gives it back, from where the caller has put it.
    """

    def __init__(self, find: Callable[[bytes], tuple[ObjectKind, bytes] | None]) -> None:
        self.is_complete = False
        self._find = find
        self._buffer = bytearray()
        self._hash = hashlib.sha1(usedforsecurity=False)
        self._left: int | None = None  # objects to come; None before the header
        self._taken = 0  # bytes of the pack consumed
        self._inflated = 0
        self._inflate: _Inflate | None = None
        self._fresh: dict[bytes, tuple[ObjectKind, bytes]] = {}  # found since the last `feed`
        self._at: dict[int, bytes] = {}  # offset -> id
        self._waiting: dict[bytes, list[tuple[int, bytes]]] = {}  # base id -> offset, delta
        self._waiting_count = 0
        self._waiting_bytes = 0
        self._fed = 0  # bytes of the objects that the present `feed` has found

    def feed(self, data: bytes) -> list[tuple[ObjectKind, bytes]]:
        """Return the objects that *data* completes.

        Raises:
            DecodeError: it is no pack, or is damaged.
            HistoryTooLargeError: it is larger than we take.
        """
        if self.is_complete:
            raise DecodeError("bytes after the end of a pack")
        self._fresh.clear()
        self._fed = 0
        self._buffer += data
        if self._taken + len(self._buffer) > PACK_SIZE_MAX:
            raise HistoryTooLargeError("bytes in a pack", PACK_SIZE_MAX)
        found: list[tuple[ObjectKind, bytes]] = []
        if self._left is None and not self._read_header():
            return found
        while self._left and self._step(found):
            pass
        if not self._left:
            self._finish()
        return found

    def _read_header(self) -> bool:
        if len(self._buffer) < _HEADER:
            return False
        version = int.from_bytes(self._buffer[4:8])
        if not self._buffer.startswith(_SIGNATURE) or version not in _VERSIONS:
            raise DecodeError("not a pack", 0)
        self._left = int.from_bytes(self._buffer[8:12])
        if self._left > OBJECTS_MAX:
            raise HistoryTooLargeError("objects in a pack", OBJECTS_MAX)
        self._consume(_HEADER)
        return True

    def _step(self, found: list[tuple[ObjectKind, bytes]]) -> bool:
        """Go on with the present object; say whether it was finished."""
        if self._inflate is None:
            head = _read_head(self._buffer, self._taken)
            if head is None:
                return False
            self._inflated += head.size
            if self._inflated > INFLATED_MAX:
                raise HistoryTooLargeError("bytes in a pack, inflated", INFLATED_MAX)
            self._inflate = _Inflate(head)
            self._consume(head.length)
        while not self._inflate.is_done:
            if not self._buffer:
                return False
            # No more than it may need: what zlib does not use, it copies.
            used = self._inflate.feed(bytes(self._buffer[: self._inflate.left + _OVERHEAD]))
            self._consume(used)
        head, content, self._inflate = self._inflate.head, self._inflate.content(), None
        assert self._left is not None
        self._left -= 1
        if head.kind is not None:
            self._found(head.kind, content, head.offset, found)
        else:
            self._found_delta(head, content, found)
        return True

    def _found_delta(
        self, head: _Head, delta: bytes, found: list[tuple[ObjectKind, bytes]]
    ) -> None:
        name = head.base
        if head.base_offset is not None:
            name = self._at.get(head.base_offset, b"")
        base = self._fresh.get(name) or (self._find(name) if name else None)
        if base is not None:
            self._found(*self._apply(base, delta, head.offset), head.offset, found)
        elif not name:
            raise DecodeError("a delta of an object that is not there", head.offset)
        else:
            self._waiting.setdefault(name, []).append((head.offset, delta))
            self._waiting_count += 1
            self._waiting_bytes += len(delta)
            if self._waiting_count > DELTAS_MAX:
                raise HistoryTooLargeError("deltas without base", DELTAS_MAX)
            if self._waiting_bytes > DELTA_BYTES_MAX:
                raise HistoryTooLargeError("bytes of deltas without base", DELTA_BYTES_MAX)

    def _apply(
        self, base: tuple[ObjectKind, bytes], delta: bytes, offset: int
    ) -> tuple[ObjectKind, bytes]:
        """Return what *delta* makes of *base*."""
        kind, content = base
        size = _delta_size(delta)
        if size > OBJECT_SIZE_MAX:
            raise HistoryTooLargeError("bytes in an object", OBJECT_SIZE_MAX)
        self._inflated += size
        if self._inflated > INFLATED_MAX:
            raise HistoryTooLargeError("bytes in a pack, inflated", INFLATED_MAX)
        try:
            return kind, b"".join(apply_delta(content, delta))
        except (ApplyDeltaError, IndexError, ValueError, AssertionError) as error:
            raise DecodeError("a delta that does not fit its base", offset) from error

    def _found(
        self,
        kind: ObjectKind,
        content: bytes,
        offset: int,
        found: list[tuple[ObjectKind, bytes]],
    ) -> None:
        """Hand an object out, and those that waited for it."""
        pending = [(kind, content, offset)]
        while pending:
            kind, content, offset = pending.pop()
            found_id = object_id(kind, content)
            self._at[offset] = found_id
            self._fresh[found_id] = (kind, content)
            self._fed += len(content)
            if self._fed > FED_MAX:
                raise HistoryTooLargeError("bytes inflated from one packet", FED_MAX)
            found.append((kind, content))
            for delta_offset, delta in self._waiting.pop(found_id, ()):
                self._waiting_count -= 1
                self._waiting_bytes -= len(delta)
                pending.append((*self._apply((kind, content), delta, delta_offset), delta_offset))

    def _finish(self) -> None:
        if len(self._buffer) < _TRAILER:
            return
        if len(self._buffer) > _TRAILER:
            raise DecodeError("bytes after the end of a pack", self._taken)
        if bytes(self._buffer) != self._hash.digest():
            raise DecodeError("a pack whose checksum is wrong", self._taken)
        if self._waiting:
            raise DecodeError("a delta of an object that is not there", self._taken)
        self.is_complete = True
        self._fresh.clear()
        self._at.clear()

    def _consume(self, count: int) -> None:
        self._hash.update(self._buffer[:count])
        del self._buffer[:count]
        self._taken += count


class _Head:
    """What stands before an object's data."""

    __slots__ = ("base", "base_offset", "kind", "length", "offset", "size")

    def __init__(self, offset: int, size: int) -> None:
        self.offset = offset
        self.size = size
        self.length = 0
        self.kind: ObjectKind | None = None
        self.base = b""
        self.base_offset: int | None = None


class _Inflate:
    """The data of one object, inflating."""

    def __init__(self, head: _Head) -> None:
        self.head = head
        self._stream = zlib.decompressobj()
        self._parts: list[bytes] = []
        self._size = 0

    @property
    def is_done(self) -> bool:
        """Whether the stream has ended."""
        return self._stream.eof

    @property
    def left(self) -> int:
        """How many bytes it still has to inflate to."""
        return self.head.size - self._size

    def feed(self, data: bytes) -> int:
        """Take from *data*; return how many bytes of it were used."""
        try:
            # One byte more than was promised shows a liar without inflating a bomb.
            made = self._stream.decompress(data, self.head.size - self._size + 1)
        except zlib.error as error:
            raise DecodeError("an object that is not zlib data", self.head.offset) from error
        self._parts.append(made)
        self._size += len(made)
        if self._size > self.head.size:
            raise DecodeError("an object larger than it says", self.head.offset)
        return len(data) - len(self._stream.unused_data) - len(self._stream.unconsumed_tail)

    def content(self) -> bytes:
        """Return the whole.

        Raises:
            DecodeError: it is smaller than it says.
        """
        if self._size != self.head.size:
            raise DecodeError("an object smaller than it says", self.head.offset)
        return b"".join(self._parts)


def _read_head(buffer: bytearray, offset: int) -> _Head | None:
    """Read type, size and base of an object; None if it is not all there."""
    position, shift = 1, 4
    if not buffer:
        return None
    first = buffer[0]
    size, more = first & 0x0F, first & 0x80
    while more:
        if position > _VARINT_MAX:
            raise DecodeError("a size of too many bytes", offset)
        if position >= len(buffer):
            return None
        size |= (buffer[position] & 0x7F) << shift
        more, shift, position = buffer[position] & 0x80, shift + 7, position + 1
    if size > OBJECT_SIZE_MAX:
        raise HistoryTooLargeError("bytes in an object", OBJECT_SIZE_MAX)
    head = _Head(offset, size)
    return _read_base(buffer, head, first >> 4 & 0x07, position)


def _read_base(buffer: bytearray, head: _Head, number: int, position: int) -> _Head | None:
    if number in _KINDS:
        head.kind, head.length = _KINDS[number], position
        return head
    if number == _REF_DELTA:
        end = position + _ID_LENGTH
        if len(buffer) < end:
            return None
        head.base, head.length = bytes(buffer[position:end]), end
        return head
    if number != _OFS_DELTA:
        raise DecodeError(f"an object of type {number}", head.offset)
    distance = 0
    for end in range(position, position + _VARINT_MAX):
        if end >= len(buffer):
            return None
        # git's offset encoding: each further byte adds one to what came before.
        distance = (distance << 7) | (buffer[end] & 0x7F)
        if not buffer[end] & 0x80:
            head.base_offset, head.length = head.offset - distance, end + 1
            return head
        distance += 1
    raise DecodeError("an offset of too many bytes", head.offset)


def _delta_size(delta: bytes) -> int:
    """Return how large a delta says that its result is."""
    position = 0
    size = 0
    for _ in range(2):  # the base's size, then the result's
        size = shift = 0
        while True:
            if position >= len(delta) or shift > 7 * _VARINT_MAX:
                raise DecodeError("a delta that is cut off")
            byte = delta[position]
            position += 1
            size |= (byte & 0x7F) << shift
            shift += 7
            if not byte & 0x80:
                break
    return size


def write_pack(objects: Iterable[tuple[ObjectKind, bytes]], count: int) -> Iterator[bytes]:
    """Yield a pack of *count* plain objects, piece by piece."""
    digest = hashlib.sha1(usedforsecurity=False)
    header = _SIGNATURE + (2).to_bytes(4) + count.to_bytes(4)
    digest.update(header)
    yield header
    for kind, content in objects:
        piece = _write_head(kind, len(content)) + zlib.compress(content, 1)
        digest.update(piece)
        yield piece
    yield digest.digest()


def _write_head(kind: ObjectKind, size: int) -> bytes:
    byte = _NUMBERS[kind] << 4 | (size & 0x0F)
    size >>= 4
    head = bytearray()
    while size:
        head.append(byte | 0x80)
        byte, size = size & 0x7F, size >> 7
    head.append(byte)
    return bytes(head)
