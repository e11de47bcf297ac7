"""Prefixes: the nodes of a prefix hash tree, and how keys of several fields become one.

A prefix is `size` bits of `content`, the first bit being the most significant of the first byte.
Its node in the DHT is

    SHA-1(content cut to ceil(size / 8) bytes, unused low bits zero || one byte: size mod 256)

so all indexes share the same nodes, and the root of each is SHA-1(00).

In an index with one field, the size of a key counts its own bits, while its content is padded.

OpenDHT up to 4.3 flips another bit than the last one to find the sibling of a node, so it marks
nodes that are none; 4.4 marks the true sibling, as is done here. See docs/protocol/pht.md.

Source: OpenDHT indexation/pht.h, struct Prefix; pht.cpp, zcurve and linearize.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Self

from shoal.core import InfoHash
from shoal.core.records import dataclass
from shoal.dht.errors import IndexKeyError

if TYPE_CHECKING:
    from collections.abc import Mapping

FIELD_SIZE_MAX: Final = 1024  # ours: bytes; a search takes 2 + log2(bits) steps
FIELDS_MAX: Final = 16  # ours
_BYTE: Final = 8


@dataclass(frozen=True, slots=True)
class Prefix:
    """The first *size* bits of *content*, which may go on beyond them."""

    content: bytes
    size: int

    @classmethod
    def whole(cls, content: bytes) -> Self:
        """Return all bits of *content*."""
        return cls(content, _BYTE * len(content))

    @property
    def bits(self) -> int:
        """How many bits the content has."""
        return _BYTE * len(self.content)

    @property
    def key(self) -> InfoHash:
        """Where the node of this prefix is in the DHT; the content is taken as it is."""
        return InfoHash.of(self.content + bytes((self.size & 0xFF,)))

    def cut(self, size: int) -> Prefix:
        """Return the first *size* bits of the content, at most all; the rest of a byte is zeros."""
        size = min(size, self.bits)
        whole, rest = divmod(size, _BYTE)
        content = self.content[:whole]
        if rest:
            content += bytes((self.content[whole] & (0xFF << (_BYTE - rest)) & 0xFF,))
        return Prefix(content, size)

    def bit(self, position: int) -> bool:
        """Return one bit of the content; position 0 is the most significant of the first byte."""
        return bool(self.content[position // _BYTE] >> (7 - position % _BYTE) & 1)

    def sibling(self) -> Prefix:
        """Return the prefix that differs in the last bit only; the root has none but itself."""
        if not self.size:
            return self
        changed = bytearray(self.content)
        changed[(self.size - 1) // _BYTE] ^= 0x80 >> (self.size - 1) % _BYTE
        return Prefix(bytes(changed), self.size)

    def starts_with(self, other: Prefix) -> bool:
        """Whether the node *other* is this one or above it, going by the bits of the content."""
        return self.cut(other.size) == other

    def common_bits(self, other: Prefix) -> int:
        """Return how many leading bits of content are equal; a measure of likeness.

        Equal contents give eight times the smaller size, as OpenDHT counts bytes up to a number of
        bits there; prefixes of size 0 are like nothing.
        """
        size = min(self.size, other.size)
        for index, (mine, its) in enumerate(zip(self.content, other.content, strict=False)):
            if index >= size:
                break
            if mine != its:
                return _BYTE * (index + 1) - (mine ^ its).bit_length()
        return _BYTE * size


class KeySpec:
    """The fields of an index: names, and the most bytes that each may have."""

    def __init__(self, fields: Mapping[str, int]) -> None:
        """Take field names and maximum lengths, which all users of an index must agree upon.

        Raises:
            IndexKeyError: no field, too many, or a length that is not 0 to 1024.
        """
        if not 0 < len(fields) <= FIELDS_MAX:
            raise IndexKeyError(f"an index has 1 to {FIELDS_MAX} fields, not {len(fields)}")
        for name, length in fields.items():
            if not 0 <= length <= FIELD_SIZE_MAX:
                raise IndexKeyError(f"field {name!r} of {length} bytes; 0 to {FIELD_SIZE_MAX}")
        # OpenDHT keeps names in a std::map, which sorts them by their bytes.
        self.fields: Final = dict(sorted(fields.items(), key=lambda item: item[0].encode()))
        self._width = max(fields.values()) + 1

    @property
    def content_size(self) -> int:
        """Bytes of the content of every key of this index."""
        return self._width * len(self.fields)

    def linearize(self, key: Mapping[str, bytes]) -> Prefix:
        """Return the prefix of *key*, which has all fields of the index and no others.

        Raises:
            IndexKeyError: the fields are others, or one is too long.
        """
        if key.keys() != self.fields.keys():
            names = ", ".join(self.fields)
            raise IndexKeyError(f"the fields of this index are: {names}")
        for name, length in self.fields.items():
            if len(key[name]) > length:
                raise IndexKeyError(f"field {name!r} has {len(key[name])} bytes; {length} at most")
        padded = [self._pad(key[name]) for name in self.fields]
        if len(padded) == 1:
            (name,) = self.fields
            return Prefix(padded[0], _BYTE * len(key[name]))
        return Prefix.whole(_interleave(padded))

    def _pad(self, data: bytes) -> bytes:
        """Fill *data* up with zeros; the bit after it is set, so that lengths can be told apart."""
        return (data + b"\x80").ljust(self._width, b"\0")


def _interleave(fields: list[bytes]) -> bytes:
    """Return the z-curve of *fields* of equal length: bit 0 of each, and so on."""
    columns = [f"{int.from_bytes(field):0{_BYTE * len(field)}b}" for field in fields]
    bits = "".join(bit for row in zip(*columns, strict=True) for bit in row)
    return int(bits, 2).to_bytes(len(bits) // _BYTE)
