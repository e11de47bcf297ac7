"""Nodes and their cache: states, tokens, and who is closest."""

from math import inf

from hypothesis import given
from hypothesis import strategies as st

from shoal.core import Address, InfoHash
from shoal.dht.nodes import IDLE_NODES_MAX, Node, NodeCache
from shoal.sim import SeededEntropy

ADDR = Address(bytes((192, 0, 2, 1)), 4222)
OTHER = Address(bytes((192, 0, 2, 2)), 4222)
hashes = st.binary(min_size=20, max_size=20).map(InfoHash)


def node(byte: int = 1) -> Node:
    """Make a node nobody has heard of."""
    return Node(InfoHash(bytes([byte]) * 20), ADDR, 7)


def test_good_needs_a_reply_and_a_recent_sign_of_life() -> None:
    """Reference section 3.2: replied within two hours, heard of within ten minutes."""
    fresh = node()
    assert not fresh.is_good(0.0)
    fresh.replied_at, fresh.heard_at = 0.0, 7000.0
    assert fresh.is_good(7200.0)
    assert not fresh.is_good(7201.0)
    fresh.replied_at = 7000.0
    assert fresh.is_good(7600.0)
    assert not fresh.is_good(7601.0)
    fresh.lose(7000.0)
    assert not fresh.is_good(7000.0)


def test_hearsay_revives_after_ten_minutes() -> None:
    """A node that was given up, or was heard of, less than ten minutes ago stays as it is."""
    gone = node()
    assert not gone.may_revive(5000.0)  # nothing to revive
    gone.lose(1000.0)
    assert not gone.may_revive(1600.0)
    assert gone.may_revive(1601.0)
    gone.heard_at = 1500.0
    assert not gone.may_revive(2100.0)
    assert gone.may_revive(2101.0)


def test_tokens_age_and_do_not_move() -> None:
    """A token serves ten minutes, and only at the address it was given to."""
    holder = node()
    assert holder.fresh_token(0.0) is None
    holder.token, holder.token_at = b"t" * 32, 0.0
    assert holder.fresh_token(600.0) == b"t" * 32
    assert holder.fresh_token(601.0) is None
    holder.move(OTHER)
    assert holder.fresh_token(1.0) is None
    assert holder.compact == holder.id + OTHER.ip + (4222).to_bytes(2)


def test_tids_never_become_zero() -> None:
    """They count up to 2^32 - 1 and start over at 1."""
    last = Node(InfoHash(bytes(20)), ADDR, 0xFFFFFFFF)
    assert [last.take_tid(), last.take_tid()] == [0xFFFFFFFF, 1]


@given(ids=st.lists(hashes, unique=True, max_size=80), target=hashes, count=st.integers(1, 20))
def test_closest_is_exact(ids: list[InfoHash], target: InfoHash, count: int) -> None:
    """The widening ranges find what sorting everything by distance finds."""
    cache = NodeCache(SeededEntropy(1))
    for node_id in ids:
        cache.add(node_id, ADDR)
    expected = sorted(ids, key=target.distance)[:count]
    assert [near.id for near in cache.closest(int.from_bytes(target), count)] == expected


@given(data=st.data())
def test_closest_passes_over_the_unusable(data: st.DataObject) -> None:
    """Expired nodes and clients are never proposed."""
    cache = NodeCache(SeededEntropy(1))
    ids = data.draw(st.lists(hashes, unique=True, min_size=1, max_size=30))
    usable = []
    for node_id in ids:
        added = cache.add(node_id, ADDR)
        added.is_expired, added.is_client = data.draw(st.booleans()), data.draw(st.booleans())
        if not added.is_expired and not added.is_client:
            usable.append(node_id)
    target = data.draw(hashes)
    found = [near.id for near in cache.closest(int.from_bytes(target), 14)]
    assert found == sorted(usable, key=target.distance)[:14]


def test_the_cache_is_bounded_and_keeps_what_is_needed() -> None:
    """Whoever announces a flood of ids makes us forget others of the flood only."""
    cache = NodeCache(SeededEntropy(1))
    needed = cache.add(InfoHash(bytes(20)), ADDR)
    needed.uses, needed.heard_at = 1, -inf
    for number in range(20 * IDLE_NODES_MAX):
        flood = cache.add(InfoHash.of(str(number).encode()), ADDR)
        flood.heard_at = float(number)
    assert len(cache) <= 2 * IDLE_NODES_MAX + 1
    assert cache.find(needed.id) is needed
    assert cache.find(flood.id) is flood
    assert [one.number for one in cache] == sorted(one.number for one in cache)
