"""The cache of leaves."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hypothesis import given
from hypothesis import strategies as st

from shoal.dht.pht import cache as pht_cache
from shoal.dht.pht.cache import DEPTH_MAX, LEAF_LIFE, LeafCache
from shoal.dht.pht.prefix import Prefix

if TYPE_CHECKING:
    import pytest


def test_nothing_known_says_nothing() -> None:
    """Not even that there is a root."""
    assert LeafCache().depth(Prefix.whole(b"a"), 0.0) is None


@given(
    st.lists(st.tuples(st.binary(min_size=2, max_size=2), st.integers(0, 16)), max_size=20),
    st.binary(min_size=2, max_size=2),
)
def test_the_depth_is_that_of_the_longest_known_prefix(
    leaves: list[tuple[bytes, int]], key: bytes
) -> None:
    """Held against a search through all leaves."""
    cache = LeafCache()
    path = Prefix.whole(key)
    for content, size in leaves:
        cache.insert(Prefix.whole(content).cut(size), 0.0)
    shared = [
        depth
        for content, size in leaves
        for depth in range(size + 1)
        if Prefix.whole(content).cut(depth) == path.cut(depth)
    ]

    assert cache.depth(path, 1.0) == (max(shared) if leaves else None)


def test_leaves_are_forgotten_after_five_minutes() -> None:
    """Unless they are seen again."""
    cache = LeafCache()
    old, new = Prefix.whole(b"\x00").cut(8), Prefix.whole(b"\xff").cut(8)
    cache.insert(old, 0.0)
    cache.insert(new, 0.0)
    cache.insert(new, 200.0)

    assert cache.depth(old, LEAF_LIFE - 1) == 8
    assert cache.depth(old, LEAF_LIFE) == 0
    assert cache.depth(new, LEAF_LIFE) == 8
    assert cache.depth(new, LEAF_LIFE + 200.0) is None
    assert len(cache) == 0


def test_the_number_of_leaves_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """The one unused for longest goes, with what is above it alone."""
    monkeypatch.setattr(pht_cache, "LEAVES_MAX", 2)
    cache = LeafCache()
    for n in (0x00, 0x80, 0xC0):
        cache.insert(Prefix.whole(bytes((n,))), 0.0)

    assert len(cache) == 2
    assert cache.depth(Prefix.whole(b"\x00"), 0.0) == 0
    assert cache.depth(Prefix.whole(b"\xc0"), 0.0) == 8


def test_deep_leaves_are_remembered_in_part() -> None:
    """A leaf of thousands of bits doesn't cost thousands of entries."""
    cache = LeafCache()
    path = Prefix.whole(bytes(1000))
    cache.insert(path, 0.0)
    assert cache.depth(path, 0.0) == DEPTH_MAX
