"""RLP: how Ethereum writes lists of bytes within lists.

first byte   what follows
00–7f        nothing: it is the item, one byte
80–b7        the item, of (first - 80) bytes
b8–bf        a length in (first - b7) bytes, then the item
c0–f7        a list whose content has (first - c0) bytes
f8–ff        a length in (first - f7) bytes, then the list's content

Every item has exactly one form; others are refused, since hashes depend on it.

Source: Ethereum yellow paper, appendix B.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, TypeAlias

from shoal.core import DecodeError

if TYPE_CHECKING:
    from collections.abc import Sequence

Item: TypeAlias = "bytes | list[Item]"

SIZE_MAX: Final = 1_048_576  # bytes; ours: a transaction has at most 128 KiB where it is relayed
DEPTH_MAX: Final = 8  # ours: a transaction nests three deep
_SHORT_MAX: Final = 55  # bytes; yellow paper, appendix B
_STRING: Final = 0x80  # the same, as the next three
_LONG_STRING: Final = 0xB7
_LIST: Final = 0xC0
_LONG_LIST: Final = 0xF7


def encode(item: bytes | int | Sequence[object]) -> bytes:
    """Return *item* as RLP; whole numbers become their bytes, 0 becomes none."""
    if isinstance(item, int):
        item = item.to_bytes((item.bit_length() + 7) // 8)
    if isinstance(item, bytes):
        if len(item) == 1 and item[0] < _STRING:
            return bytes(item)
        return _head(len(item), _STRING) + item
    content = b"".join(encode(each) for each in item)  # type: ignore[arg-type]  # nested the same
    return _head(len(content), _LIST) + content


def decode(data: bytes) -> Item:
    """Return the one item in *data*.

    Raises:
        DecodeError: *data* is not exactly one item in its only form.
    """
    if len(data) > SIZE_MAX:
        raise DecodeError(f"more than {SIZE_MAX} bytes of RLP")
    item, end = _item(data, 0, len(data), 0)
    if end != len(data):
        raise DecodeError("bytes after the item", end)
    return item


def to_int(item: Item) -> int:
    """Read a whole number.

    Raises:
        DecodeError: *item* is a list, or begins with a zero.
    """
    if not isinstance(item, bytes) or item[:1] == b"\0":
        raise DecodeError("not a whole number in its only form")
    return int.from_bytes(item)


def _head(length: int, short: int) -> bytes:
    if length <= _SHORT_MAX:
        return bytes([short + length])
    size = length.to_bytes((length.bit_length() + 7) // 8)
    return bytes([short + _SHORT_MAX + len(size)]) + size


def _item(data: bytes, start: int, end: int, depth: int) -> tuple[Item, int]:
    """Return the item at *start*, and where it ends."""
    if start >= end:
        raise DecodeError("an item is missing", start)
    first = data[start]
    if first < _STRING:
        return data[start : start + 1], start + 1
    is_list = first >= _LIST
    short = _LIST if is_list else _STRING
    begin, stop = _content(data, start, end, first - short)
    if not is_list:
        content = data[begin:stop]
        if len(content) == 1 and content[0] < _STRING:
            raise DecodeError("a byte that needs no length has one", start)
        return content, stop
    if depth >= DEPTH_MAX:
        raise DecodeError(f"lists more than {DEPTH_MAX} deep", start)
    items: list[Item] = []
    while begin < stop:
        item, begin = _item(data, begin, stop, depth + 1)
        items.append(item)
    return items, stop


def _content(data: bytes, start: int, end: int, length: int) -> tuple[int, int]:
    """Return where the content of the item at *start* begins and ends."""
    begin = start + 1
    if length > _SHORT_MAX:
        begin += length - _SHORT_MAX
        size = data[start + 1 : begin]
        length = int.from_bytes(size)
        if begin > end or size[:1] == b"\0" or length <= _SHORT_MAX:
            raise DecodeError("a length that is not in its only form", start)
    if begin + length > end:
        raise DecodeError(f"an item of {length} bytes ends early", start)
    return begin, begin + length
