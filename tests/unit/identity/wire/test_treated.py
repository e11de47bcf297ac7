"""Ids that were acted upon."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shoal.core import DecodeError
from shoal.identity.wire import treated
from shoal.identity.wire.treated import TREATED_MAX, TreatedIds, pack_treated, unpack_treated


def test_lines_are_jamis() -> None:
    """16 hex digits each; reference, appendix A.5."""
    assert pack_treated([0x15BDDC6A6FD4BA]) == b"0015bddc6a6fd4ba\n"
    assert unpack_treated(b"0015bddc6a6fd4ba\n") == [0x15BDDC6A6FD4BA]


@given(st.lists(st.integers(0, 2**64 - 1), unique=True))
def test_files_round_trip(ids: list[int]) -> None:
    """In their order."""
    assert unpack_treated(TreatedIds(ids).pack()) == ids == list(TreatedIds(ids))


def test_an_id_is_new_once() -> None:
    """And the oldest goes when there are too many."""
    ids = TreatedIds(range(TREATED_MAX))

    assert not ids.add(0)
    assert ids.add(TREATED_MAX)
    assert 0 not in ids
    assert 1 in ids
    assert len(ids) == TREATED_MAX
    assert len(unpack_treated(pack_treated(range(TREATED_MAX + 5)))) == TREATED_MAX


@given(st.binary(max_size=200))
def test_any_bytes_are_read(data: bytes) -> None:
    """Lines that are none are passed over."""
    assert all(0 <= each < 2**64 for each in unpack_treated(data))


def test_a_file_too_large_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """13.7 keeps them for ever, yet not millions."""
    monkeypatch.setattr(treated, "_SIZE_MAX", 10)
    with pytest.raises(DecodeError):
        unpack_treated(bytes(11))
