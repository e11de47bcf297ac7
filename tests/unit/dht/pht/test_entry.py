"""Entries and canaries as values."""

from __future__ import annotations

import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shoal.core import DecodeError, InfoHash
from shoal.dht.pht.entry import IndexEntry, IndexValue, canary
from shoal.dht.value import Value

KEY = InfoHash.of(b"value")


def test_an_entry_is_the_map_that_opendht_writes() -> None:
    """Keys in this order, the prefix as bin, the value as a pair."""
    entry = IndexEntry(b"abcd\x80", IndexValue(KEY, 7))
    value = entry.pack("words", 99)

    assert value == Value(
        bytes.fromhex("82a6707265666978c4056162636480a576616c756592c414") + KEY + b"\x07",
        id=99,
        user_type="index.pht.words",
    )
    assert value.data == msgpack.packb({"prefix": b"abcd\x80", "value": [bytes(KEY), 7]})


def test_a_canary_is_an_empty_value() -> None:
    """All is in its user type."""
    assert canary("words", 5) == Value(id=5, user_type="index.pht.words.canary")


@given(st.binary(max_size=300), st.binary(min_size=20, max_size=20), st.integers(0, 2**64 - 1))
def test_entries_are_read_back(prefix: bytes, key: bytes, value_id: int) -> None:
    """Any prefix, key and id."""
    entry = IndexEntry(prefix, IndexValue(InfoHash(key), value_id))
    assert IndexEntry.unpack(entry.pack("name", 1).data) == entry


@given(st.binary(max_size=60))
def test_any_bytes_give_an_entry_or_decode_error(data: bytes) -> None:
    """Whatever a peer stored."""
    try:
        entry = IndexEntry.unpack(data)
    except DecodeError:
        return
    assert isinstance(entry, IndexEntry)


@pytest.mark.parametrize(
    "item",
    [
        5,
        {},
        {"prefix": b"x"},
        {"value": [bytes(20), 1]},
        {"prefix": 5, "value": [bytes(20), 1]},
        {"prefix": b"x", "value": [bytes(19), 1]},
        {"prefix": b"x", "value": [bytes(20), -1]},
        {"prefix": b"x", "value": [bytes(20), 1, 2]},
        {"prefix": b"x", "value": bytes(20)},
    ],
)
def test_what_is_no_entry_is_refused(item: object) -> None:
    """Each field in its form."""
    with pytest.raises(DecodeError):
        IndexEntry.unpack(msgpack.packb(item))
