"""Records of files that are wanted and held."""

from __future__ import annotations

import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shoal.core import CommitId, ConversationId, DecodeError
from shoal.transfer.records import (
    HeldFile,
    Stamp,
    WantedFile,
    pack_held,
    pack_wanted,
    unpack_held,
    unpack_wanted,
)

CONVERSATION = ConversationId(bytes(range(20)))
COMMIT = CommitId(bytes(range(1, 21)))
WANTED = WantedFile(CONVERSATION, COMMIT, "77", "a.bin", "bin", 2**40, "ab" * 64, "/here/\udce9")
HELD = HeldFile(CONVERSATION, None, "77", "/there/a.bin", "cd" * 64, Stamp(5, 6, 7), is_copy=True)


def test_round_trip() -> None:
    """Also paths that are no UTF-8, and files whose message is not known yet."""
    assert unpack_wanted(pack_wanted([WANTED])) == [WANTED]
    assert unpack_held(pack_held([HELD])) == [HELD]
    assert unpack_wanted(b"") == []
    assert unpack_held(b"") == []


@given(st.binary())
def test_any_bytes_give_records_or_an_error(data: bytes) -> None:
    """Nothing else is raised."""
    for unpack in (unpack_wanted, unpack_held):
        try:
            unpack(data)
        except DecodeError:
            continue


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("name", "../x"),
        ("name", ""),
        ("tid", "../x"),
        ("size", -1),
        ("size", "5"),
        ("sha3", "short"),
        ("commit", b"short"),
        ("folder", 7),
        ("extension", "far too long"),
    ],
)
def test_what_makes_no_sense_is_left_out(key: str, value: object) -> None:
    """One bad record does not take the others away."""
    (item,) = msgpack.unpackb(pack_wanted([WANTED]), unicode_errors="surrogateescape")
    data = msgpack.packb([item | {key: value}, 5, {}, item], unicode_errors="surrogateescape")
    assert unpack_wanted(data) == [WANTED]


@pytest.mark.parametrize(
    ("key", "value"), [("stamp", [1, 2]), ("stamp", 3), ("stamp", [1, 2, -3]), ("tid", "x")]
)
def test_what_is_not_held(key: str, value: object) -> None:
    """The same for what we have."""
    (item,) = msgpack.unpackb(pack_held([HELD]))
    assert unpack_held(msgpack.packb([item | {key: value}, item])) == [HELD]


def test_no_list() -> None:
    """A file that holds something else is damaged."""
    with pytest.raises(DecodeError):
        unpack_held(msgpack.packb({}))
