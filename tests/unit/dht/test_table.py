"""The routing table: splits, replacement, and what replies are made of."""

from hypothesis import given
from hypothesis import strategies as st

from shoal.core import Address, InfoHash
from shoal.dht.nodes import GOOD_HEARD_WITHIN, Node
from shoal.dht.table import BUCKET_SIZE, Confidence, RoutingTable, closest_compact
from shoal.sim import SeededEntropy

OWN = InfoHash(bytes(20))
hashes = st.binary(min_size=20, max_size=20).map(InfoHash)


def make(node_id: InfoHash, now: float = 0.0) -> Node:
    """Make a node that has just answered."""
    node = Node(node_id, Address(bytes((192, 0, 2, 1)), 1 + node_id[0]), 1)
    node.heard_at = node.replied_at = now
    return node


def far(number: int) -> InfoHash:
    """An id in the half of the id space that is not ours."""
    return InfoHash(bytes([0x80 | number]) + bytes(19))


@given(ids=st.lists(hashes, unique=True, max_size=200))
def test_buckets_partition_the_id_space(ids: list[InfoHash]) -> None:
    """Sorted, at most 8 nodes each, every node in the bucket that covers it, uses counted."""
    table = RoutingTable(OWN)
    nodes = [make(node_id) for node_id in ids]
    for node in nodes:
        table.offer(node, Confidence.REPLIED, 0.0)
    firsts = [bucket.first for bucket in table.buckets]
    assert firsts == sorted(firsts)
    assert firsts[0] == 0
    for bucket in table.buckets:
        assert len(bucket.nodes) <= BUCKET_SIZE
        assert all(bucket.covers(node.number) for node in bucket.nodes)
        assert bucket.covers(bucket.first)
    inside = {node.id for node in table}
    cached = [bucket.cached for bucket in table.buckets if bucket.cached is not None]
    assert all(node.uses == (node.id in inside) + cached.count(node) for node in nodes)
    assert len(table) == len(inside)


def test_only_our_own_bucket_splits() -> None:
    """The far half keeps 8 nodes; the ninth waits as the cached candidate."""
    table = RoutingTable(OWN)
    for number in range(12):
        table.offer(make(far(number)), Confidence.REPLIED, 0.0)
    assert len(table) == BUCKET_SIZE
    assert len(table.buckets) == 2
    assert table.depth == 1
    far_bucket = table.buckets[1]
    assert far_bucket.cached is not None
    assert far_bucket.cached.id == far(11)


def test_a_bootstrap_node_splits_six_levels_anywhere() -> None:
    """So that it knows someone in every part of the network."""
    table = RoutingTable(OWN, is_bootstrap=True)
    for number in range(512):
        node_id = InfoHash(bytes([0x80 | number % 128, number // 128]) + bytes(18))
        table.offer(make(node_id), Confidence.REPLIED, 0.0)
    assert max(bucket.depth for bucket in table.buckets) == 6
    assert len(table) > 4 * BUCKET_SIZE


def unproven(node_id: InfoHash) -> Node:
    """Make a node that never answered."""
    node = make(node_id)
    node.replied_at = float("-inf")
    return node


def test_who_asked_us_is_asked_back_where_it_matters() -> None:
    """Around our own id always; elsewhere as long as nobody is good there; one at a time."""
    table = RoutingTable(OWN)
    near = [InfoHash(bytes([number]) + bytes(19)) for number in (1, 2)]
    newcomers = [unproven(node_id) for node_id in near]
    for node in newcomers:
        assert table.offer(node, Confidence.REQUESTED, 0.0) == (True, node)
        node.pending = {1: None}  # type: ignore[dict-item]  # it is being asked
    assert table.offer(unproven(far(1)), Confidence.HEARSAY, 0.0) == (True, None)
    table = RoutingTable(OWN)
    for number in range(8):
        table.offer(make(InfoHash(bytes([0x40 + number]) + bytes(19))), Confidence.REPLIED, 0.0)
    first, second, third = (unproven(far(number)) for number in (1, 2, 3))
    table.offer(make(near[0]), Confidence.REPLIED, 0.0)  # splits
    assert table.offer(first, Confidence.HEARSAY, 0.0) == (True, first)
    first.pending = {1: None}  # type: ignore[dict-item]  # it is being asked
    assert table.offer(second, Confidence.REQUESTED, 0.0) == (True, None)
    first.pending, first.replied_at = None, 0.0
    assert table.offer(third, Confidence.REQUESTED, 0.0) == (True, None)


def test_an_expired_node_is_replaced_a_doubtful_one_asked() -> None:
    """The dead make room at once; the silent are pinged first."""
    table = RoutingTable(OWN)
    nodes = [make(far(number)) for number in range(8)]
    for node in nodes:
        table.offer(node, Confidence.REPLIED, 0.0)
    table.offer(make(far(100)), Confidence.REPLIED, 0.0)  # splits; the far bucket is full
    late = GOOD_HEARD_WITHIN + 1
    for node in nodes[1:]:
        node.heard_at = late
    _, to_ping = table.offer(make(far(9), late), Confidence.REPLIED, late)
    assert to_ping is nodes[0]
    nodes[0].is_expired = True
    newcomer = make(far(10), late)
    table.offer(newcomer, Confidence.REPLIED, late)
    assert newcomer in list(table)
    assert nodes[0] not in list(table)
    assert nodes[0].uses == 0


def test_removing_the_expired_proposes_candidates() -> None:
    """The cached candidate is to be pinged for the place."""
    table = RoutingTable(OWN)
    nodes = [make(far(number)) for number in range(9)]
    for node in nodes:
        table.offer(node, Confidence.REPLIED, 0.0)
    nodes[3].is_expired = True
    assert table.remove_expired() == [nodes[8]]
    assert len(table) == 7
    nodes[8].is_expired = True
    nodes[4].is_expired = True
    assert table.remove_expired() == []


@given(ids=st.lists(hashes, unique=True, min_size=1, max_size=150), target=hashes)
def test_replies_name_the_closest_good_nodes(ids: list[InfoHash], target: InfoHash) -> None:
    """What the shared candidate list yields equals sorting all good nodes by distance."""
    table = RoutingTable(OWN)
    for node_id in ids:
        table.offer(make(node_id), Confidence.REPLIED, 0.0)
    number = int.from_bytes(target)
    packed = closest_compact(table.candidates(number, 0.0), number, b"\xff" * 21)
    named = [InfoHash(packed[at : at + 20]) for at in range(0, len(packed), 26)]
    everyone = sorted((node.id for node in table), key=target.distance)
    assert named == everyone[:BUCKET_SIZE]


def test_the_asker_is_not_told_of_itself() -> None:
    """A node knows its own address."""
    table = RoutingTable(OWN)
    node = make(far(1))
    table.offer(node, Confidence.REPLIED, 0.0)
    assert closest_compact(table.candidates(0, 0.0), 0, node.id) == b""


@given(ids=st.lists(hashes, unique=True, max_size=60), target=hashes)
def test_a_key_is_beyond_us_when_enough_nodes_are_closer(
    ids: list[InfoHash], target: InfoHash
) -> None:
    """Against the definition: the 14 closest of at least 8 good nodes are all closer than we."""
    table = RoutingTable(OWN)
    for node_id in ids:
        table.offer(make(node_id), Confidence.REPLIED, 0.0)
    closest = sorted(target.distance(node.id) for node in table)[:14]
    expected = len(closest) >= 8 and closest[-1] < target.distance(OWN)
    assert table.is_beyond(int.from_bytes(target), 14, 8, 0.0) == expected


def test_random_ids_fall_into_their_bucket() -> None:
    """For the refresh of buckets."""
    table = RoutingTable(OWN)
    for number in range(60):
        table.offer(make(InfoHash.of(bytes([number]))), Confidence.REPLIED, 0.0)
    entropy = SeededEntropy(3)
    for bucket in table.buckets:
        for _ in range(20):
            assert bucket.covers(int.from_bytes(bucket.random_id(entropy)))


def test_connectivity_states() -> None:
    """Good, dubious, and neither."""
    table = RoutingTable(OWN)
    assert not table.has_good(0.0)
    assert not table.has_dubious(0.0)
    node = make(far(1))
    table.offer(node, Confidence.REPLIED, 0.0)
    assert table.has_good(0.0)
    assert not table.has_dubious(0.0)
    assert table.has_dubious(GOOD_HEARD_WITHIN + 1)
    node.is_expired = True
    assert not table.has_dubious(GOOD_HEARD_WITHIN + 1)
    table.forget_times()
    assert table.buckets[0].replied_at < 0


def test_every_doubtful_node_gets_its_question() -> None:
    """While one doubtful node is being asked, the next newcomer has the next one asked."""
    table = RoutingTable(OWN)
    doubtful = [make(far(number), now=-GOOD_HEARD_WITHIN - 1) for number in range(BUCKET_SIZE)]
    for node in doubtful:
        table.offer(node, Confidence.REPLIED, 0.0)
    _, first = table.offer(make(far(20)), Confidence.REQUESTED, 0.0)
    assert first in doubtful
    first.pending = {1: None}  # type: ignore[dict-item]  # anything
    _, second = table.offer(make(far(21)), Confidence.REQUESTED, 0.0)
    assert second in doubtful
    assert second is not first
