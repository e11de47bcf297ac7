"""Reading and writing msgpack as OpenDHT does: shortest headers out, tolerance in.

Writers return the shortest form of one object, as canonical bytes are what gets signed:

| first byte | length that follows | object |
| --- | --- | --- |
| `00` to `7f` | 0 | integer 0 to 127 |
| `cc` `cd` `ce` `cf` | 1, 2, 4, 8 bytes | unsigned integer |
| `a0` to `bf` | 0 | text of 0 to 31 bytes |
| `d9` `da` `db` | 1, 2, 4 bytes | text |
| `c4` `c5` `c6` | 1, 2, 4 bytes | bytes |
| `90` to `9f`, `dc`, `dd` | 0, 2, 4 bytes | array |

Text from peers need not be UTF-8: foreign bytes become lone surrogates (PEP 383) and leave again
as the bytes they were, so that signatures over them still hold.
"""

from __future__ import annotations

import struct
from typing import Final

import msgpack

from shoal.core import DecodeError, InfoHash

# msgpack specification, "int format family"
UINT16_MAX: Final = 0xFFFF
UINT32_MAX: Final = 0xFFFF_FFFF
UINT64_MAX: Final = 0xFFFF_FFFF_FFFF_FFFF

# ours: msgpack reserves memory for a declared array before it has seen one element of it, and
# does so at each of 1,024 levels; longer arrays are first shown to be backed by bytes.
_UNCHECKED_ARRAY_MAX: Final = 256
_TINY: Final = tuple(bytes((n,)) for n in range(128))
_EIGHT_BITS: Final = struct.Struct(">BB").pack
_SIXTEEN_BITS: Final = struct.Struct(">BH").pack
_THIRTY_TWO_BITS: Final = struct.Struct(">BI").pack
_SIXTY_FOUR_BITS: Final = struct.Struct(">BQ").pack
_HASH_LENGTH: Final = InfoHash.length
_new_bytes: Final = bytes.__new__


def pack_uint(number: int) -> bytes:
    """Return *number*, 0 to 2^64 - 1, as msgpack."""
    if number > UINT16_MAX:
        if number <= UINT32_MAX:
            return _THIRTY_TWO_BITS(0xCE, number)
        return _SIXTY_FOUR_BITS(0xCF, number)
    if number < 0x80:  # noqa: PLR2004 - the last positive fixint
        return _TINY[number]
    if number < 0x100:  # noqa: PLR2004 - one byte
        return _EIGHT_BITS(0xCC, number)
    return _SIXTEEN_BITS(0xCD, number)


def pack_bin(data: bytes) -> bytes:
    """Return *data* as msgpack bin."""
    length = len(data)
    if length < 0x100:  # noqa: PLR2004 - one byte
        return _EIGHT_BITS(0xC4, length) + data
    if length <= UINT16_MAX:
        return _SIXTEEN_BITS(0xC5, length) + data
    return _THIRTY_TWO_BITS(0xC6, length) + data


def pack_text(text: str) -> bytes:
    """Return *text* as msgpack str."""
    data = text.encode("utf-8", "surrogateescape")
    length = len(data)
    if length < 0x20:  # noqa: PLR2004 - fixstr
        return _TINY_TEXT[length] + data
    if length < 0x100:  # noqa: PLR2004 - one byte
        return _EIGHT_BITS(0xD9, length) + data
    if length <= UINT16_MAX:
        return _SIXTEEN_BITS(0xDA, length) + data
    return _THIRTY_TWO_BITS(0xDB, length) + data


def pack_array_header(length: int) -> bytes:
    """Return the header of an array of *length* elements."""
    if length < 0x10:  # noqa: PLR2004 - fixarray
        return _TINY_ARRAY[length]
    if length <= UINT16_MAX:
        return _SIXTEEN_BITS(0xDC, length)
    return _THIRTY_TWO_BITS(0xDD, length)


_TINY_TEXT: Final = tuple(bytes((0xA0 + n,)) for n in range(32))
_TINY_ARRAY: Final = tuple(bytes((0x90 + n,)) for n in range(16))


def unpack(data: bytes) -> object:
    """Return the first msgpack object in *data*; what follows it is ignored.

    Maps become dicts, arrays lists, bin bytes, text str (foreign bytes as lone surrogates). Memory
    stays within a small multiple of `len(data)` whatever lengths are declared.

    Raises:
        DecodeError: *data* is not msgpack, or nested more than about a thousand levels deep.
    """
    try:
        result: object = msgpack.unpackb(
            data,
            strict_map_key=False,
            max_array_len=_UNCHECKED_ARRAY_MAX,
            unicode_errors="surrogateescape",
        )
    except msgpack.ExtraData as error:
        result = error.unpacked
    except (ValueError, TypeError, OverflowError, msgpack.UnpackException):
        # A long array, or a key that cannot be hashed: rare, and worth a second look.
        result = _unpack_slowly(data)
    return result


def _unpack_slowly(data: bytes) -> object:
    """Unpack what has long arrays or maps with odd keys, once its lengths are known to be true."""
    unpacker = msgpack.Unpacker(
        max_buffer_size=len(data) or 1,
        strict_map_key=False,
        unicode_errors="surrogateescape",
        object_pairs_hook=_with_text_keys,
    )
    try:
        unpacker.feed(data)
        unpacker.skip()  # walks all declared lengths without building anything
        end = unpacker.tell()
        result: object = msgpack.unpackb(
            data[:end],
            strict_map_key=False,
            unicode_errors="surrogateescape",
            object_pairs_hook=_with_text_keys,
        )
    except (ValueError, TypeError, OverflowError, msgpack.UnpackException) as error:
        raise DecodeError(f"not msgpack: {str(error)[:80] or type(error).__name__}") from error
    return result


def _with_text_keys(pairs: list[tuple[object, object]]) -> dict[str | int, object]:
    """Keep what a reader can ask for: text keys, and the integer keys of value parts."""
    return {key: value for key, value in pairs if type(key) is str or type(key) is int}


def read_blob(item: object) -> bytes:
    """Return the bytes of a bin, of a str, or of an array of small integers (old peers).

    Raises:
        DecodeError: *item* is something else.
    """
    if type(item) is bytes:
        return item
    if type(item) is str:
        return item.encode("utf-8", "surrogateescape")
    if type(item) is list:
        try:
            return bytes(item)
        except (ValueError, TypeError) as error:
            raise DecodeError("an array that is not of bytes") from error
    raise DecodeError(f"{type(item).__name__} where bytes belong")


def read_hash(item: object) -> InfoHash:
    """Return the id in a bin of exactly 20 bytes.

    Raises:
        DecodeError: *item* is something else.
    """
    if type(item) is bytes and len(item) == _HASH_LENGTH:
        return _new_bytes(InfoHash, item)
    raise DecodeError("an id that is not a bin of 20 bytes")


def read_uint(item: object, limit: int) -> int:
    """Return an integer from 0 to *limit*.

    Raises:
        DecodeError: *item* is something else (a boolean, say).
    """
    if type(item) is int and 0 <= item <= limit:
        return item
    raise DecodeError(f"not an integer from 0 to {limit}")


def read_text(item: object) -> str:
    """Return the text in a str or a bin.

    Raises:
        DecodeError: *item* is something else.
    """
    if type(item) is str:
        return item
    if type(item) is bytes:
        return item.decode("utf-8", "surrogateescape")
    raise DecodeError(f"{type(item).__name__} where text belongs")
