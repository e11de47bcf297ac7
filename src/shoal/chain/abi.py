"""The contract ABI, as far as our contracts use it: words, `bytes`, `string`, and arrays of words.

A call is 4 bytes of selector, then the arguments. Each argument has one word of 32 bytes in the
head: itself, or, where its size varies, its offset in the data, where a word of length and the
content follow, filled up with zeros.

type            Python            word
uintN           int               big-endian
bool            bool              0 or 1
address         ChainAddress      right-aligned
bytesN          bytes             left-aligned
bytes, string   bytes, str        length, content
uintN[], …      list of these     length, words

Source: docs.soliditylang.org, Contract ABI Specification.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final, TypeAlias

from shoal.chain.addresses import ChainAddress, keccak256
from shoal.core import DecodeError

if TYPE_CHECKING:
    from collections.abc import Sequence

Value: TypeAlias = "int | bool | bytes | str | list[int | bool | bytes | str]"

WORD: Final = 32  # bytes; the specification, "Formal Specification of the Encoding"
SELECTOR_LENGTH: Final = 4  # bytes; the same, "Function Selector"
DATA_MAX: Final = 1_048_576  # bytes; ours: no block has room for the gas of more
REVERT_REASON: Final = keccak256(b"Error(string)")[:SELECTOR_LENGTH]
PANIC: Final = keccak256(b"Panic(uint256)")[:SELECTOR_LENGTH]
_SIZED: Final = re.compile(r"(uint|bytes)([1-9][0-9]{0,2})")
_UINT_BITS_MAX: Final = 256  # the specification, "Types"


def selector(signature: str) -> bytes:
    """Return the 4 bytes that name a function, such as `transfer(address,uint256)`."""
    return keccak256(signature.encode("ascii"))[:SELECTOR_LENGTH]


def topic(signature: str) -> bytes:
    """Return the 32 bytes that name an event."""
    return keccak256(signature.encode("ascii"))


def encode_call(signature: str, *values: Value) -> bytes:
    """Return the data of a call of the function *signature*."""
    return selector(signature) + encode(parameters(signature), values)


def parameters(signature: str) -> list[str]:
    """Return the types in the parentheses of a signature."""
    inside = signature.partition("(")[2].removesuffix(")")
    return inside.split(",") if inside else []


def encode(types: Sequence[str], values: Sequence[Value]) -> bytes:
    """Return *values* as data.

    Raises:
        ValueError: a value is not of its type; calls are made by our code, not from outside.
    """
    if len(types) != len(values):
        raise ValueError(f"{len(types)} types and {len(values)} values")
    head, tail = [], b""
    for kind, value in zip(types, values, strict=True):
        if _is_dynamic(kind):
            head.append((WORD * len(types) + len(tail)).to_bytes(WORD))
            tail += _encode_dynamic(kind, value)
        else:
            head.append(_encode_word(kind, value))
    return b"".join(head) + tail


def decode(types: Sequence[str], data: bytes) -> list[Value]:
    """Return the values in *data*. Further bytes after them are allowed, as the EVM allows them.

    Raises:
        DecodeError: *data* is too short, or a word is not of its type.
    """
    if len(data) > DATA_MAX:
        raise DecodeError(f"more than {DATA_MAX} bytes of ABI data")
    values: list[Value] = []
    for position, kind in enumerate(types):
        word = _word_at(data, WORD * position)
        if _is_dynamic(kind):
            values.append(_decode_dynamic(kind, data, int.from_bytes(word)))
        else:
            values.append(_decode_word(kind, word, WORD * position))
    return values


def revert_reason(data: bytes) -> str:
    """Return in words what a contract that refused gave as its reason; empty if it gave none."""
    kind, content = data[:SELECTOR_LENGTH], data[SELECTOR_LENGTH:]
    try:
        if kind == REVERT_REASON:
            return str(decode(["string"], content)[0])
        if kind == PANIC:
            return f"panic {decode(['uint256'], content)[0]!r}"
    except DecodeError:
        pass
    return f"error {data[:SELECTOR_LENGTH].hex()}" if data else ""


def encode_reason(reason: str) -> bytes:
    """Return the data with which a contract says why it refuses."""
    return REVERT_REASON + encode(["string"], [reason])


def _is_dynamic(kind: str) -> bool:
    return kind in {"bytes", "string"} or kind.endswith("[]")


def _encode_dynamic(kind: str, value: Value) -> bytes:
    if kind.endswith("[]"):
        if not isinstance(value, list):
            raise ValueError(f"{kind} takes a list")
        words = b"".join(_encode_word(kind[:-2], each) for each in value)
        return len(value).to_bytes(WORD) + words
    if isinstance(value, str) == (kind == "bytes") or not isinstance(value, str | bytes):
        raise ValueError(f"{kind} does not take {type(value).__name__}")
    content = value.encode() if isinstance(value, str) else value
    return len(content).to_bytes(WORD) + content + bytes(-len(content) % WORD)


def _encode_word(kind: str, value: Value) -> bytes:
    if kind == "bool" and isinstance(value, bool):
        return int(value).to_bytes(WORD)
    if kind == "address" and isinstance(value, ChainAddress):
        return bytes(WORD - len(value)) + value
    name, size = _sized(kind)
    if name == "uint" and isinstance(value, int) and 0 <= value < 2**size:
        return int(value).to_bytes(WORD)
    if name == "bytes" and isinstance(value, bytes) and len(value) == size:
        return bytes(value) + bytes(WORD - size)
    raise ValueError(f"{kind} does not take {str(value)[:80]}")


def _decode_dynamic(kind: str, data: bytes, offset: int) -> Value:
    length = int.from_bytes(_word_at(data, offset))
    start = offset + WORD
    if kind.endswith("[]"):
        if length > (len(data) - start) // WORD:
            raise DecodeError(f"an array of {length} in {len(data)} bytes", offset)
        positions = range(start, start + WORD * length, WORD)
        words = [_decode_word(kind[:-2], _word_at(data, each), each) for each in positions]
        return [each for each in words if not isinstance(each, list)]
    if length > len(data) - start:
        raise DecodeError(f"{kind} of {length} bytes in {len(data)}", offset)
    content = data[start : start + length]
    if kind == "bytes":
        return content
    try:
        return content.decode()
    except UnicodeDecodeError as error:
        raise DecodeError("a string that is not UTF-8", start + error.start) from None


def _decode_word(kind: str, word: bytes, offset: int) -> Value:
    number = int.from_bytes(word)
    if kind == "bool" and number <= 1:
        return bool(number)
    if kind == "address" and number >> (8 * ChainAddress.length) == 0:
        return ChainAddress(word[-ChainAddress.length :])
    if kind not in {"bool", "address"}:
        name, size = _sized(kind)
        if name == "uint" and number >> size == 0:
            return number
        if name == "bytes" and not any(word[size:]):
            return word[:size]
    raise DecodeError(f"no {kind}: {word.hex()}", offset)


def _sized(kind: str) -> tuple[str, int]:
    """Return `uint` and bits, or `bytes` and bytes."""
    found = _SIZED.fullmatch(kind)
    if found is None:
        raise ValueError(f"unknown ABI type {kind}")
    size = int(found[2])
    if size > (_UINT_BITS_MAX if found[1] == "uint" else WORD):
        raise ValueError(f"unknown ABI type {kind}")
    return found[1], size


def _word_at(data: bytes, offset: int) -> bytes:
    if offset + WORD > len(data):
        raise DecodeError(f"data of {len(data)} bytes ends early", offset)
    return data[offset : offset + WORD]
