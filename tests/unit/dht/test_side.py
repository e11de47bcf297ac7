"""One family: who is believed to be where, which searches are kept, what others see of us."""

from __future__ import annotations

import pytest

from shoal.core import Address, Family, InfoHash
from shoal.dht import wire
from shoal.dht.config import DhtConfig
from shoal.dht.effects import Done, PublicAddressChanged
from shoal.dht.engine import DhtEngine
from shoal.dht.errors import TooManyOperationsError
from shoal.dht.side import VOTES_MAX
from shoal.dht.value import Value
from shoal.sim import SeededEntropy
from tests.unit.dht.world import KEY, WALL_NOW, Stranger, World, answer, meet

IPV4 = DhtConfig(families=(Family.IPV4,))
NEW = InfoHash(b"n" * 20)


def make(config: DhtConfig = IPV4) -> DhtEngine:
    """Make a node that knows nobody."""
    return DhtEngine(config, SeededEntropy(5), 0.0, wall_offset=WALL_NOW)


def name(peer: Stranger, node_id: InfoHash, ip: str, port: int, family: Family) -> None:
    """Let *peer* name a node in answer to a search."""
    questions = peer.read(peer.engine.get(1, KEY, peer.now))
    nodes = wire.compact_nodes([(node_id, Address.parse(ip, port))])
    field = "nodes4" if family is Family.IPV4 else "nodes6"
    for question in questions:
        peer.say(answer(question, peer, **{field: nodes}))
    peer.read(peer.engine.cancel(1, peer.now))


def addr_of(engine: DhtEngine, node_id: InfoHash, family: Family = Family.IPV4) -> Address | None:
    """Return where the routing table has a node."""
    for bucket in engine.routing_table(family):
        for node in bucket.nodes:
            if node.id == node_id:
                return node.addr
    return None


@pytest.mark.parametrize(
    ("ip", "port", "expected"),
    [
        ("203.0.113.9", 7, "203.0.113.9"),
        ("127.0.0.1", 7, "198.51.100.112"),  # on the host of who names it
        ("0.0.0.1", 7, None),
        ("239.1.1.1", 7, None),
        ("203.0.113.9", 0, None),
    ],
)
def test_named_nodes(ip: str, port: int, expected: str | None) -> None:
    """Reference 1.7: martians are skipped, loopback is where the one who says so is."""
    peer = meet(make())
    name(peer, NEW, ip, port, Family.IPV4)
    found = addr_of(peer.engine, NEW)
    assert (None if found is None else found.host) == expected


def test_nodes_of_the_other_family_are_taken_in() -> None:
    """An IPv4 node names IPv6 ones; a loopback of another family stays what it is."""
    for ip in ("2001:db8::9", "::1"):
        peer = meet(make(DhtConfig()))
        name(peer, NEW, ip, 7, Family.IPV6)
        assert addr_of(peer.engine, NEW, Family.IPV6) == Address.parse(ip, 7)


def test_we_are_not_our_own_neighbour() -> None:
    """Others name us to ourselves, and so may a state file."""
    peer = meet(make())
    name(peer, peer.engine.node_id, "203.0.113.9", 7, Family.IPV4)
    peer.engine.insert_node(peer.engine.node_id, peer.addr, 0.0)
    assert addr_of(peer.engine, peer.engine.node_id) is None


def test_hearsay_moves_only_the_long_dead() -> None:
    """A live node keeps its address; one given up more than ten minutes ago may be elsewhere."""
    engine = make()
    peer, other = meet(engine), meet(engine, b"q")
    name(peer, other.id, "203.0.113.9", 7, Family.IPV4)
    assert addr_of(engine, other.id) == other.addr
    engine.send_failed(other.addr, 0.0)
    for moment, expected in ((500.0, other.addr), (601.0, Address.parse("203.0.113.9", 7))):
        while peer.now < moment:
            for question in peer.wait(0.5):
                peer.say(answer(question, peer))
        known = addr_of(engine, other.id)
        if known is not None:  # expired nodes leave the table in time
            assert known == other.addr
        name(peer, other.id, "203.0.113.9", 7, Family.IPV4)
        if moment > 600.0:
            near = [n.node for s in engine.searches(Family.IPV4) for n in s.nodes]
            assert expected in [node.addr for node in near if node.id == other.id]


def test_a_node_that_comes_back_elsewhere_is_inserted_there() -> None:
    """From a state file or a local announcement; but a good one stays."""
    engine = make()
    peer = meet(engine)
    engine.insert_node(peer.id, Address(peer.addr.ip, 9), 0.0)
    assert addr_of(engine, peer.id) == peer.addr
    engine.send_failed(peer.addr, 0.0)
    engine.insert_node(peer.id, Address(peer.addr.ip, 9), 0.0)
    assert addr_of(engine, peer.id) == Address(peer.addr.ip, 9)
    engine.insert_node(NEW, Address(bytes(4), 9), 0.0)
    engine.insert_node(NEW, Address.parse("2001:db8::1", 9), 0.0)
    assert addr_of(engine, NEW) is None


def test_an_unreachable_address_fails_at_once() -> None:
    """All its nodes, and pings of it, whoever is there; martians are nobody."""
    engine = make()
    peer = meet(engine)
    asker = Stranger(engine, b"z")
    asker.read(engine.ping(1, peer.addr, 0.0))
    asker.read(engine.get(2, KEY, 0.0))
    asker.read(engine.send_failed(Address(bytes(4), 0), 0.0))
    assert not [event for event in asker.events if isinstance(event, Done)]
    asker.read(engine.send_failed(peer.addr, 0.0))
    ended = {event.op: event.ok for event in asker.events if isinstance(event, Done)}
    assert ended == {1: False, 2: False}


def test_the_banned_stay_banned_when_our_network_changes() -> None:
    """Everything else gets another chance."""
    engine = make()
    peer, other = meet(engine), meet(engine, b"q")
    effects = engine.get(1, KEY, 0.0)
    (question,) = peer.read(effects)
    peer.say(answer(question, peer, token=None))
    engine.send_failed(other.addr, 0.0)
    engine.connectivity_changed(1.0)
    counts = engine.node_stats(Family.IPV4, 1.0)
    assert counts is not None
    assert (counts.good, counts.dubious) == (0, 1)
    assert counts.network_size_estimate == 8


def test_what_most_see_us_under() -> None:
    """The best of at most 32 addresses; votes of the wrong length do not count."""
    engine = make()
    peer = meet(engine)
    homes = [bytes((192, 0, 2, 1)), bytes((192, 0, 2, 2))]
    votes = [homes[0], homes[1], homes[1], *(bytes((10, 0, 0, i)) for i in range(VOTES_MAX + 5))]
    for seen in votes:
        (ping,) = peer.read(engine.ping(1, peer.addr, peer.now))
        peer.now += 1.0
        peer.say(answer(ping, peer, seen_ip=seen))
    (ping,) = peer.read(engine.ping(1, peer.addr, peer.now))
    peer.say(answer(ping, peer, seen_ip=bytes(16)))
    changes = [e.addrs[0].ip for e in peer.events if isinstance(e, PublicAddressChanged)]
    assert changes == homes


def test_handing_on_gives_way_to_operations() -> None:
    """Storage maintenance never takes the searches that callers need; callers' own remain."""
    config = DhtConfig(families=(Family.IPV4,), maintain_storage=True, searches_max=80)
    engine = make(config)
    peer = meet(engine)
    asker = Stranger(engine, b"z")
    asker.take_token()
    keys = [InfoHash.of(bytes([number])) for number in range(100)]
    for key in keys:
        asker.put(Value(b"x", id=1), key=key)
    peer.read(engine.close(0.0))
    assert len(engine.searches(Family.IPV4)) == 80
    listens = [InfoHash.of(b"%d" % number) for number in range(8)]
    for op, key in enumerate(listens, 10):
        peer.read(engine.listen(op, key, 0.0))
    with pytest.raises(TooManyOperationsError):
        engine.listen(99, KEY, 0.0)
    assert set(listens) <= {search.key for search in engine.searches(Family.IPV4)}


def test_idle_searches_are_forgotten() -> None:
    """After an hour, or when there are many; those that work are not."""
    world = World(6)
    peer = world.peers[2]
    op = peer.listen(InfoHash.of(b"lasting"))
    for number in range(600):
        peer.do(lambda e, op, now: e.get(op, InfoHash.of(b"%d" % op), now))
        if number % 20 == 0:
            world.run(1.0)
    searches = peer.engine.searches(Family.IPV4)
    assert len(searches) <= 300
    assert InfoHash.of(b"lasting") in [search.key for search in searches]
    assert peer.done(op) is None
