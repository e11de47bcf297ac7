"""What a family does unasked: looking around, and never too much of it."""

from __future__ import annotations

from shoal.core import Address, Family, InfoHash, SendDatagram
from shoal.dht import wire
from shoal.dht.config import DhtConfig
from shoal.dht.effects import Done
from shoal.dht.engine import DhtEngine
from shoal.dht.maintenance import PINGS_MAX
from shoal.sim import SeededEntropy
from tests.unit.dht.world import WALL_NOW, Stranger, World, answer, meet

IPV4 = DhtConfig(families=(Family.IPV4,))


def make() -> DhtEngine:
    """Make a node that knows nobody."""
    return DhtEngine(IPV4, SeededEntropy(5), 0.0, wall_offset=WALL_NOW)


def test_a_quiet_network_costs_little() -> None:
    """A node that nobody wants anything of sends a few datagrams a minute, and stays connected."""
    world = World(12)
    peer = world.peers[5]
    world.run(600.0)
    before = peer.engine.stats.sent
    world.run(6 * 3600.0)
    assert peer.is_connected
    assert peer.engine.stats.sent - before < 6 * 60 * 20


def test_the_first_look_around_is_for_our_own_id() -> None:
    """As soon as somebody answers; then for an id of every bucket without a good node."""
    engine = make()
    peers = [meet(engine, bytes([number])) for number in range(1, 10)]
    peer = peers[0]
    asked = [one for one in peer.wait(0.1) if isinstance(one, wire.Find)]
    assert [find.target for find in asked] == [engine.node_id]
    assert all(find.want in (None, (2,)) for find in asked)


def test_a_node_that_has_just_come_fills_its_empty_buckets() -> None:
    """Not seconds later: who is asked for a key meanwhile has to know somebody everywhere."""
    engine = make()
    names = [engine.node_id[0] ^ number for number in range(1, 10)]
    peers = {peer.addr: peer for peer in (meet(engine, bytes([name])) for name in names)}
    waiting: list[object] = list(engine.advance(0.0))
    targets: dict[InfoHash, None] = {}
    while waiting:
        effect = waiting.pop(0)
        assert isinstance(effect, SendDatagram)
        question = wire.decode(effect.data).message
        if isinstance(question, wire.Find):
            targets[question.target] = None
        (reply,) = wire.encode(answer(question, peers[effect.addr]))
        waiting += engine.receive(reply, effect.addr, 0.0)
    buckets = engine.routing_table(Family.IPV4)
    empty = [bucket for bucket in buckets if not bucket.nodes]
    assert empty
    assert [target for target in targets if target != engine.node_id]
    for bucket in empty:
        assert any(bucket.covers(int.from_bytes(target)) for target in targets)
    assert engine.searches(Family.IPV4) == []  # the table has what it found
    assert all(node.pending is None for bucket in buckets for node in bucket.nodes)


def test_a_search_for_our_own_id_that_somebody_wants_is_kept() -> None:
    """A caller's get of that key ends as any other."""
    engine = make()
    peer = meet(engine)
    questions = peer.read(engine.get(1, engine.node_id, 0.0))
    questions += peer.read(engine.advance(0.0))
    while questions:
        question = questions.pop(0)
        questions += peer.say(answer(question, peer))
    assert [event.ok for event in peer.events if isinstance(event, Done)] == [True]


def test_who_asks_is_named_to_others_within_seconds() -> None:
    """Sixty nodes join one by one; then each is a good node in the table of somebody else."""
    world = World(1)
    for _ in range(59):
        newcomer = world.add()
        world.join(newcomer, world.peers[0])
        world.peers.append(newcomer)
        world.run(0.1)
    world.run(2.0)
    named = {
        node.id
        for peer in world.peers
        for bucket in peer.engine.routing_table(Family.IPV4)
        for node in bucket.nodes
        if node.is_good(world.network.now)
    }
    assert named == {peer.engine.node_id for peer in world.peers}


def test_a_node_that_claims_a_known_id_is_asked_once_at_a_time() -> None:
    """A flood of forged sources costs one question per address and a bounded number in all."""
    engine = DhtEngine(
        DhtConfig(families=(Family.IPV4,), rate_limit_per_address=-1, rate_limit_total=-1),
        SeededEntropy(5), 0.0, wall_offset=WALL_NOW,
    )  # fmt: skip
    peer = meet(engine)
    (ping,) = wire.encode(wire.Ping(1, peer.id))
    before = engine.stats.requests_out["ping"]
    for number in range(1000):
        source = Address(bytes((203, 0, 113, 1)), 1 + number % 500)
        engine.receive(ping, source, 0.0)
    assert engine.stats.unproven_moves == 1000
    assert engine.stats.requests_out["ping"] - before == PINGS_MAX
    peer.wait(12.0)
    engine.receive(ping, Address(bytes((203, 0, 113, 1)), 999), peer.now)
    assert engine.stats.requests_out["ping"] - before >= PINGS_MAX


def test_an_error_shows_that_somebody_is_there() -> None:
    """Even one that makes no sense ends nothing: the ping goes on until it is answered."""
    engine = make()
    asker = Stranger(engine)
    engine.bootstrap([("host", 1)], 0.0)
    (ping,) = asker.read(engine.resolved("host", 1, [asker.addr], 0.0))
    assert asker.say(wire.Error(ping.tid, asker.id, 500, "?")) == []
    again = [one for one in asker.wait(1.3) if isinstance(one, wire.Ping)]
    assert [one.tid for one in again] == [ping.tid]
    asker.say(answer(ping, asker))
    assert asker.id in [node.id for node in engine.routing_table(Family.IPV4)[0].nodes]


def test_the_dead_leave_the_table() -> None:
    """Within minutes, and the node that waited for a place is asked whether it is there."""
    engine = make()
    far = [bytes([number]) for number in range(0x81, 0x8A)]
    if engine.node_id[0] & 0x80:
        far = [bytes([number]) for number in range(1, 10)]
    peers = [meet(engine, name) for name in far]
    assert sum(len(bucket.nodes) for bucket in engine.routing_table(Family.IPV4)) >= 8
    for peer in peers:
        engine.send_failed(peer.addr, 0.0)
    clock = Stranger(engine, b"z")
    clock.wait(400.0)
    left = {n.id for bucket in engine.routing_table(Family.IPV4) for n in bucket.nodes}
    assert left == set()
    assert all(bucket.cached is None for bucket in engine.routing_table(Family.IPV4))


def test_a_failed_search_is_no_reason_to_start_over_each_time() -> None:
    """Doubts about our own network are acted on every ten seconds at most."""
    engine = make()
    clock = meet(engine)
    for op in range(1, 40):
        clock.read(engine.get(op, InfoHash.of(bytes([op])), clock.now))
        engine.send_failed(clock.addr, clock.now)
    clock.wait(5.0)
    counts = engine.node_stats(Family.IPV4, clock.now)
    assert counts is not None
    assert counts.good == 0
