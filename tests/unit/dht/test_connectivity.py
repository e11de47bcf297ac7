"""How well a node is connected, and what it does when it is not."""

from __future__ import annotations

from shoal.core import Address, Family
from shoal.dht import wire
from shoal.dht.config import DhtConfig
from shoal.dht.effects import Done, ResolveHost, Status, StatusChanged
from shoal.dht.engine import DhtEngine
from shoal.sim import SeededEntropy
from tests.unit.dht.world import KEY, WALL_NOW, Stranger, World, answer, meet


def make(config: DhtConfig | None = None) -> DhtEngine:
    """Make a node that knows nobody."""
    config = config or DhtConfig(families=(Family.IPV4,))
    return DhtEngine(config, SeededEntropy(5), 0.0, wall_offset=WALL_NOW)


def statuses(peer: Stranger) -> list[Status]:
    """Return the states of IPv4 that were reported."""
    return [event.ipv4 for event in peer.events if isinstance(event, StatusChanged)]


def test_disconnected_connecting_connected_and_back() -> None:
    """Reference 3.11: a doubtful node, a good one, and silence for more than ten minutes."""
    engine = make()
    assert engine.status == (Status.DISCONNECTED, Status.DISCONNECTED)
    peer = Stranger(engine)
    (ping,) = peer.read(engine.insert_node(peer.id, peer.addr, 0.0))
    peer.say(answer(ping, peer))
    assert statuses(peer) == [Status.CONNECTING, Status.CONNECTED]
    peer.wait(700.0)
    assert statuses(peer)[2] is Status.CONNECTING
    assert statuses(peer)[-1] is Status.DISCONNECTED
    peer.say(wire.Ping(1, peer.id))
    assert engine.status[0] is not Status.DISCONNECTED


def test_a_silent_end_is_noticed_in_time() -> None:
    """No datagram, no command: half a minute after the last node lapsed it is known."""
    world = World(3)
    peer = world.peers[1]
    for other in (world.peers[0], world.peers[2]):
        world.network.crash(other.host)
    world.run(660.0)
    assert not peer.is_connected
    assert any(event.ipv4 is not Status.CONNECTED for event in peer.events(StatusChanged)[2:])


def test_who_waits_hurries() -> None:
    """Nodes that we only know of are pinged when an operation is asked for; it does end."""
    engine = make()
    peer = Stranger(engine)
    peer.read(engine.insert_node(peer.id, peer.addr, 0.0))
    peer.read(engine.get(1, KEY, 0.0))
    assert not [event for event in peer.events if isinstance(event, Done)]
    peer.wait(60.0)
    assert [event.ok for event in peer.events if isinstance(event, Done)] == [False]


def test_a_new_network_is_checked_from_scratch() -> None:
    """Votes, states and hosts are asked for again."""
    engine = make()
    peer = meet(engine)
    peer.read(engine.bootstrap([("host", 1)], 0.0))
    peer.read(engine.resolved("host", 1, [], 0.0))
    peer.events.clear()
    peer.read(engine.connectivity_changed(1.0))
    assert [event.host for event in peer.events if isinstance(event, ResolveHost)] == ["host"]
    assert statuses(peer) == [Status.CONNECTING]
    peer.now = 1.0
    questions = peer.wait(5.0)
    assert questions
    peer.say(answer(questions[0], peer))
    assert statuses(peer)[-1] is Status.CONNECTED


def test_a_family_helps_the_other() -> None:
    """While IPv6 knows too few nodes, IPv4 ones are asked for both; bootstrap uses either."""
    engine = make(DhtConfig())
    peer = meet(engine)
    find_or_get = [one for one in peer.read(engine.get(1, KEY, 0.0)) if isinstance(one, wire.Get)]
    assert [one.want for one in find_or_get] == [(2, 10)]
    engine.bootstrap([("host", 1)], 0.0)
    before = engine.stats.sent
    engine.resolved("host", 1, [Address.parse("2001:db8::7", 4222)], 0.0)
    assert engine.stats.sent == before + 1
    alone = make()
    alone.bootstrap([("host", 1)], 0.0)
    alone.resolved("host", 1, [Address.parse("2001:db8::7", 4222)], 0.0)
    assert alone.stats.sent == 0
