"""The contract ABI: equal to others', strict about what it reads."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shoal.chain import abi
from shoal.chain.addresses import ChainAddress
from shoal.core import DecodeError
from tests.unit.chain.vectors import ETHEREUM, unhex

VALUES: dict[str, st.SearchStrategy[Any]] = {
    "uint8": st.integers(0, 255),
    "uint256": st.integers(0, 2**256 - 1),
    "bool": st.booleans(),
    "address": st.binary(min_size=20, max_size=20).map(ChainAddress),
    "bytes4": st.binary(min_size=4, max_size=4),
    "bytes32": st.binary(min_size=32, max_size=32),
    "bytes": st.binary(max_size=100),
    "string": st.text(max_size=40),
    "uint256[]": st.lists(st.integers(0, 2**256 - 1), max_size=4),
}
TYPES = st.lists(st.sampled_from(sorted(VALUES)), max_size=6)


def value_of(kind: str, content: Any) -> Any:
    """Return the value that a vector writes as text."""
    if kind == "address":
        return ChainAddress.parse(content)
    return unhex(content) if kind.startswith("bytes") and kind != "bytes32[]" else content


@pytest.mark.parametrize("vector", ETHEREUM["abi"], ids=lambda each: ",".join(each["types"]))
def test_vectors(vector: dict[str, Any]) -> None:
    """As others encode it, and back."""
    types = vector["types"]
    values = [value_of(*pair) for pair in zip(types, vector["values"], strict=True)]

    assert abi.encode(types, values) == unhex(vector["data"])
    assert abi.decode(types, unhex(vector["data"])) == values


@given(st.data())
def test_round_trip(data: st.DataObject) -> None:
    """What was encoded is decoded."""
    types = data.draw(TYPES)
    values = [data.draw(VALUES[kind]) for kind in types]

    assert abi.decode(types, abi.encode(types, values)) == values


@given(TYPES, st.binary(max_size=400))
def test_any_bytes_decode_or_are_refused(types: list[str], data: bytes) -> None:
    """Never another exception."""
    try:
        abi.decode(types, data)
    except DecodeError:
        return


def test_selectors() -> None:
    """The first bytes of a hash of the signature; known ones."""
    assert abi.selector("transfer(address,uint256)").hex() == "a9059cbb"
    assert abi.encode_call("version()").hex() == "54fd4d50"
    assert abi.topic("Transfer(address,address,uint256)").hex().startswith("ddf252ad1be2c89b69c2b0")


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        *(("uint8", 256), ("uint8", -1), ("bool", 1), ("bytes4", b"abc"), ("bytes", "text")),
        *(("string", b"bytes"), ("address", bytes(20)), ("uint257", 1), ("bytes33", bytes(33))),
        *(("float", 1), ("uint256[]", 1)),
    ],
)
def test_wrong_values_are_our_mistakes(kind: str, value: Any) -> None:
    """A ValueError: calls are made by our own code."""
    with pytest.raises(ValueError, match=r"take|unknown"):
        abi.encode([kind], [value])
    with pytest.raises(ValueError, match="types"):
        abi.encode([kind], [])


@pytest.mark.parametrize(
    ("kind", "word"),
    [
        *(("bool", 2), ("address", 2**160), ("uint8", 256), ("bytes4", 1), ("bytes", 2**255)),
        *(("uint256[]", 0), ("string", 0)),
    ],
)
def test_wrong_words_are_refused(kind: str, word: int) -> None:
    """Strictly: what our contracts never return is no answer of theirs."""
    with pytest.raises(DecodeError):
        abi.decode([kind], word.to_bytes(32) if word else bytes(31) + b"\x20" + b"\xff" * 32)


def test_strings_are_text_and_data_is_bounded() -> None:
    """UTF-8, and at most a mebibyte."""
    with pytest.raises(DecodeError, match="UTF-8"):
        abi.decode(["string"], abi.encode(["bytes"], [b"\xff"]))
    with pytest.raises(DecodeError, match="more than"):
        abi.decode(["uint8"], bytes(abi.DATA_MAX + 1))


def test_reasons() -> None:
    """What contracts say when they refuse, in words."""
    assert abi.revert_reason(abi.encode_reason("name taken")) == "name taken"
    assert abi.revert_reason(abi.PANIC + (17).to_bytes(32)) == "panic 17"
    assert abi.revert_reason(b"") == ""
    assert abi.revert_reason(abi.REVERT_REASON + b"?") == "error 08c379a0"
    assert abi.revert_reason(b"abcdefgh") == "error 61626364"
