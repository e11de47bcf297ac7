"""RLP: equal to others', and one form per item."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shoal.chain import rlp
from shoal.core import DecodeError
from tests.unit.chain.vectors import ETHEREUM, unhex

ITEMS = st.recursive(
    st.binary(max_size=80), lambda inner: st.lists(inner, max_size=4), max_leaves=9
)


def item_of(content: Any) -> Any:
    """Return what a vector stands for."""
    return [item_of(each) for each in content] if isinstance(content, list) else unhex(content)


@pytest.mark.parametrize("vector", ETHEREUM["rlp"], ids=lambda each: each["data"][:12])
def test_vectors(vector: dict[str, Any]) -> None:
    """As others encode it."""
    item = item_of(vector["item"])

    assert rlp.encode(item) == unhex(vector["data"])
    assert rlp.decode(unhex(vector["data"])) == item


@given(ITEMS)
def test_round_trip(item: Any) -> None:
    """What was encoded is decoded, unless it is too deep."""
    encoded = rlp.encode(item)
    try:
        assert rlp.decode(encoded) == item
    except DecodeError as error:
        assert "deep" in str(error)  # noqa: PT017 - most examples do not raise


@given(st.binary(max_size=200))
def test_any_bytes_have_one_form_or_none(data: bytes) -> None:
    """What decodes is exactly what its item encodes to."""
    try:
        item = rlp.decode(data)
    except DecodeError:
        return
    assert rlp.encode(item) == data


@pytest.mark.parametrize(
    "data", ["", "8100", "817f", "b800", "b80100", "b9003800", "c180ff", "8261", "c26162ff", "f800"]
)
def test_other_forms_are_refused(data: str) -> None:
    """Lengths too long or too short, bytes too many or too few."""
    with pytest.raises(DecodeError):
        rlp.decode(bytes.fromhex(data))


def test_limits() -> None:
    """Depth and size are bounded."""
    deep: Any = []
    for _ in range(rlp.DEPTH_MAX):
        deep = [deep]
    with pytest.raises(DecodeError, match="deep"):
        rlp.decode(rlp.encode(deep))
    with pytest.raises(DecodeError, match="more than"):
        rlp.decode(bytes(rlp.SIZE_MAX + 1))


@given(st.integers(0, 2**300))
def test_numbers(number: int) -> None:
    """Big-endian, without leading zeros, 0 as nothing."""
    encoded = rlp.decode(rlp.encode(number))

    assert rlp.to_int(encoded) == number


def test_numbers_in_other_forms_are_refused() -> None:
    """A leading zero, a list."""
    items: tuple[rlp.Item, ...] = (b"\0", b"\0\1", [])
    for item in items:
        with pytest.raises(DecodeError):
            rlp.to_int(item)
