"""DhtEngine in networks: what nodes do for one another. Conformance cases by number (6.3)."""

from __future__ import annotations

import pytest

from shoal.core import Address, Family, InfoHash
from shoal.dht.config import DhtConfig
from shoal.dht.effects import Done, PublicAddressChanged, Status, StatusChanged
from shoal.dht.errors import TooManyOperationsError, ValueTooLargeError
from shoal.dht.query import Condition, Field, Query
from shoal.dht.value import Value
from shoal.sim import Conditions, Constant
from tests.unit.dht.world import KEY, World


def test_a_value_put_by_one_is_found_by_all() -> None:
    """Twenty nodes: stored on eight, found by each."""
    world = World(20)
    done = world.peers[3].put(Value(b"hello", id=7))
    assert done == Done(done.op, ok=True, nodes=8)
    for peer in world.peers:
        assert peer.get() == [Value(b"hello", id=7)]


@pytest.mark.parametrize("size", [0, 1, 598, 599, 600, 1280, 1281, 20_000, 65_536])
def test_values_of_every_size(size: int) -> None:
    """Inline, in one part, in many, and the largest."""
    world = World(4)
    value = Value(bytes(range(256)) * 256, id=1)
    value = Value(value.data[:size], id=1)
    assert world.peers[1].put(value).ok
    assert world.peers[2].get() == [value]


def test_a_value_that_nobody_would_store_is_refused_here() -> None:
    """Sending it would look like dead nodes: 65,537 bytes are an error of the caller."""
    world = World(1)
    with pytest.raises(ValueTooLargeError):
        world.peers[0].put(Value(bytes(65_537), id=1))
    assert world.peers[0].events(Done) == []


def test_many_large_values_come_one_by_one() -> None:
    """A key that holds much is read by pages; everything arrives, and once."""
    world = World(10)
    values = [Value(bytes([number]) * 3000, id=number) for number in range(1, 31)]
    for value in values:
        assert world.peers[1].put(value).ok
    found = world.peers[5].get()
    assert sorted(value.id for value in found) == list(range(1, 31))
    assert {value.id: value for value in found} == {value.id: value for value in values}


def test_conditions_are_applied_by_the_other_nodes() -> None:
    """Where and select, as the network answers them."""
    world = World(10)
    for number, kind in ((1, "red"), (2, "blue"), (3, "red")):
        world.peers[1].put(Value(b"x" * number, id=number, user_type=kind))
    where = (Condition(Field.USER_TYPE, "red"),)
    assert {v.id for v in world.peers[2].get(query=Query(where=where))} == {1, 3}
    rows = world.peers[2].rows(Query((Field.ID, Field.USER_TYPE), where))
    assert {(row.id, row.user_type) for row in rows} == {(1, "red"), (3, "red")}


def test_a_listener_hears_of_additions_and_of_the_end() -> None:
    """Values before and after; gone when their life ends (10 minutes)."""
    world = World(12)
    world.peers[1].put(Value(b"before", id=1))
    op = world.peers[2].listen()
    world.run(2.0)
    assert world.peers[2].heard(op) == [b"before"]
    world.run(300.0)
    world.peers[3].put(Value(b"after", id=2))
    world.run(1.0)
    assert world.peers[2].heard(op) == [b"before", b"after"]
    world.run(310.0)
    assert world.peers[2].missed(op) == [b"before"]
    world.run(310.0)
    assert world.peers[2].missed(op) == [b"before", b"after"]


def test_a_cancelled_listen_says_nothing_more() -> None:
    """And a second one within a minute starts with what is known."""
    world = World(12)
    op = world.peers[2].listen()
    world.run(2.0)
    world.peers[3].put(Value(b"one", id=1))
    world.run(1.0)
    assert world.peers[2].heard(op) == [b"one"]
    world.peers[2].do(lambda e, _, now: e.cancel(op, now))
    world.peers[3].put(Value(b"two", id=2))
    world.run(10.0)
    assert world.peers[2].heard(op) == [b"one"]
    again = world.peers[2].listen()
    assert sorted(world.peers[2].heard(again)) == [b"one", b"two"]
    world.peers[2].do(lambda e, _, now: e.cancel(again, now))
    world.run(700.0)
    assert all(peer.engine.subscriber_count == 0 for peer in world.peers)


def test_listening_goes_on_when_its_nodes_die() -> None:
    """All nodes that held the subscription leave; a later put is heard nevertheless."""
    world = World(16)
    op = world.peers[2].listen()
    world.run(5.0)
    holders = [peer for peer in world.peers if peer.engine.subscriber_count]
    assert len(holders) >= 4
    for peer in holders:
        if peer not in (world.peers[2], world.peers[3]):
            world.network.crash(peer.host)
    world.run(60.0)
    assert world.peers[3].put(Value(b"late", id=9)).ok
    world.run(5.0)
    assert world.peers[2].heard(op) == [b"late"]


def test_a_permanent_value_outlives_its_life_and_its_holders() -> None:
    """Case 17: reminded before its life ends; nodes that come later get it, too."""
    world = World(12)
    owner = world.peers[1]
    assert owner.put(Value(b"stays", id=5), permanent=True).ok
    for _ in range(4):
        world.run(500.0)
        assert world.peers[4].get() == [Value(b"stays", id=5)]
    for peer in world.peers[2:8]:
        world.network.crash(peer.host)
    for _ in range(8):
        newcomer = world.add()
        world.join(newcomer, owner)
    world.run(1200.0)
    assert newcomer.get() == [Value(b"stays", id=5)]
    owner.do(lambda e, _, now: e.cancel_put(KEY, 5, now))
    world.run(1300.0)
    assert newcomer.get() == []


def test_an_ordinary_value_ends_with_its_life() -> None:
    """Ten minutes for type 0, however often it is read."""
    world = World(8)
    world.peers[1].put(Value(b"fades", id=5))
    world.run(590.0)
    assert world.peers[4].get() == [Value(b"fades", id=5)]
    world.run(15.0)
    assert world.peers[4].get() == []


def test_a_second_put_takes_over() -> None:
    """Same id while the first is under way: equal succeeds with it, different replaces it."""
    world = World(8)
    peer = world.peers[1]
    first = peer.do(lambda e, op, now: e.put(op, KEY, Value(b"a", id=1), now))
    equal = peer.do(lambda e, op, now: e.put(op, KEY, Value(b"a", id=1), now))
    other = peer.do(lambda e, op, now: e.put(op, KEY, Value(b"b", id=1), now))
    assert peer.done(first) == Done(first, ok=False, nodes=0)
    assert peer.done(equal) == Done(equal, ok=False, nodes=0)
    assert peer.finish(other).ok
    assert world.peers[3].get() == [Value(b"b", id=1)]


def test_a_lonely_node_says_so() -> None:
    """Without anybody to ask, operations fail at once; the value is kept here."""
    world = World(1)
    lonely = world.peers[0]
    op = lonely.do(lambda e, op, now: e.put(op, KEY, Value(b"x", id=1), now))
    assert lonely.done(op) == Done(op, ok=False, nodes=0)
    op = lonely.do(lambda e, op, now: e.get(op, KEY, now))
    assert lonely.done(op) == Done(op, ok=False, nodes=0)
    assert lonely.heard(op) == [b"x"]
    assert lonely.engine.storage_size() == (1, 1)


def test_operations_wait_while_a_connection_is_made() -> None:
    """Case 19: asked for before the bootstrap answers, they run once it does."""
    world = World(3)
    late = world.add()
    world.join(late, world.peers[0])
    assert late.engine.status[0] is Status.CONNECTING
    op = late.do(lambda e, op, now: e.put(op, KEY, Value(b"x", id=1), now))
    assert late.done(op) is None
    assert late.finish(op).ok
    statuses = [event.ipv4 for event in late.events(StatusChanged)]
    assert statuses == [Status.CONNECTING, Status.CONNECTED]


def test_bootstrap_is_repeated_ever_more_rarely() -> None:
    """Case 19: pings at 0, 10, 30, 70 s; when the host comes up, we are connected."""
    world = World(1)
    host = world.peers[0]
    world.network.crash(host.host)
    late = world.add()
    world.join(late, host)
    world.run(69.0)
    starts = [e for e in late.events(StatusChanged) if e.ipv4 is Status.CONNECTING]
    assert len(starts) == 3
    assert not late.is_connected
    world.network.restart(host.host, host.engine)
    world.run(2.0)
    assert late.is_connected


def test_networks_do_not_mix() -> None:
    """Case 3: another network id gets no answer."""
    world = World(2)
    foreign = world.add(DhtConfig(network=5, families=(Family.IPV4,)))
    world.join(foreign, world.peers[0])
    world.run(15.0)
    assert foreign.engine.status[0] is not Status.CONNECTED
    assert world.peers[0].engine.stats.foreign > 0


def test_clients_are_served_but_never_counted_on() -> None:
    """Nobody lists a client, stores with it or searches through it."""
    world = World(6)
    client = world.add(DhtConfig(is_client=True, families=(Family.IPV4,)))
    world.join(client, world.peers[0])
    world.run(30.0)
    assert client.put(Value(b"from a client", id=1)).ok
    assert world.peers[2].get() == [Value(b"from a client", id=1)]
    for peer in world.peers:
        known = [addr for _, addr in peer.engine.export_nodes(world.network.now)]
        assert client.addr not in known
    assert sum(client.engine.stats.requests_in.values()) == 0


@pytest.mark.parametrize("families", [(Family.IPV6,), (Family.IPV4, Family.IPV6)])
def test_ipv6(families: tuple[Family, ...]) -> None:
    """IPv6 alone, and beside IPv4, where nodes of one family name those of the other."""
    world = World(10, families=families)
    assert world.peers[3].put(Value(b"six", id=1)).ok
    assert world.peers[7].get() == [Value(b"six", id=1)]
    now = world.network.now
    stats = world.peers[5].engine.node_stats(Family.IPV6, now)
    assert stats is not None
    assert stats.good >= 2


def test_what_others_see_of_us() -> None:
    """Replies vote on our public address."""
    world = World(4)
    (change,) = world.peers[1].events(PublicAddressChanged)
    assert change.addrs == (Address(world.peers[1].addr.ip, 0),)


def test_a_dead_node_is_passed_over() -> None:
    """Case 18: puts and gets succeed although some of the closest nodes do not answer."""
    world = World(20)
    close = sorted(world.peers, key=lambda peer: KEY.distance(peer.engine.node_id))
    for peer in close[:4]:
        world.network.crash(peer.host)
    asker = close[-1]
    assert asker.put(Value(b"x", id=1)).ok
    assert close[-2].get() == [Value(b"x", id=1)]


def test_all_others_gone() -> None:
    """A put and a get end in failure within their request times, and the node starts over."""
    world = World(4)
    for peer in world.peers[1:]:
        world.network.crash(peer.host)
    left = world.peers[0]
    op = left.do(lambda e, op, now: e.put(op, KEY, Value(b"x", id=1), now))
    assert left.finish(op) == Done(op, ok=False, nodes=0)
    world.run(200.0)
    assert not left.is_connected
    for peer in world.peers[1:]:
        world.network.restart(peer.host, peer.engine)
    world.join(left, world.peers[2])
    world.run(60.0)
    assert left.is_connected
    assert left.put(Value(b"x", id=1)).ok


def test_heavy_loss_costs_time_and_nothing_else() -> None:
    """A fifth of all datagrams vanish."""
    world = World(20, conditions=Conditions(latency=Constant(0.02), loss=0.2))
    for number in range(1, 11):
        key = InfoHash.of(bytes([number]))
        assert world.peers[number].put(Value(bytes([number]) * 50, id=number), key).ok
    for number in range(1, 11):
        key = InfoHash.of(bytes([number]))
        assert world.peers[number + 5].get(key) == [Value(bytes([number]) * 50, id=number)]


def test_a_get_beside_an_established_listen_asks_nobody() -> None:
    """The listen's cache answers when all its nodes have acknowledged."""
    world = World(10)
    op = world.peers[2].listen()
    world.peers[3].put(Value(b"x", id=1))
    world.run(5.0)
    sent = world.peers[2].engine.stats.sent
    get = world.peers[2].do(lambda e, op, now: e.get(op, KEY, now))
    assert world.peers[2].heard(get) == [b"x"]
    done = world.peers[2].done(get)
    assert done is not None
    assert done.ok
    assert world.peers[2].engine.stats.sent == sent
    assert world.peers[2].heard(op) == [b"x"]


def test_many_gets_of_one_key_share_their_requests() -> None:
    """A hundred at once cost what one costs."""
    world = World(20)
    world.peers[1].put(Value(b"x", id=1))
    world.run(5.0)
    asker = world.peers[9]
    before = asker.engine.stats.requests_out.get("get", 0)
    ops = [asker.do(lambda e, op, now: e.get(op, KEY, now)) for _ in range(100)]
    for op in ops:
        assert asker.finish(op).ok
        assert asker.heard(op) == [b"x"]
    assert asker.engine.stats.requests_out["get"] - before <= 14


def test_a_put_needs_few_requests() -> None:
    """Where tokens are known, three questions and eight writes."""
    world = World(32)
    writer = world.peers[5]
    for number in range(40):
        writer.put(Value(b"x", id=1), InfoHash.of(bytes([number])))
    before = sum(writer.engine.stats.requests_out.values())
    for number in range(40, 60):
        writer.put(Value(b"x", id=1), InfoHash.of(bytes([number])))
    assert (sum(writer.engine.stats.requests_out.values()) - before) / 20 <= 14


def test_a_cancelled_get_says_nothing_more() -> None:
    """Not even that it is done."""
    world = World(10)
    world.peers[1].put(Value(b"x", id=1))
    op = world.peers[5].do(lambda e, op, now: e.get(op, KEY, now))
    world.peers[5].do(lambda e, _, now: e.cancel(op, now))
    heard = world.peers[5].heard(op)
    world.run(20.0)
    assert world.peers[5].done(op) is None
    assert world.peers[5].heard(op) == heard


def test_operations_are_bounded() -> None:
    """One too many is an error of the caller, with nothing begun."""
    world = World(1, config=DhtConfig(searches_max=70, families=(Family.IPV4,)))
    peer = world.peers[0]
    started = [peer.listen(InfoHash.of(bytes([number]))) for number in range(3)]
    with pytest.raises(TooManyOperationsError):
        peer.listen(InfoHash.of(b"one too many"))
    for op in started:
        world.network.apply(peer.host, peer.engine.cancel(op, world.network.now))
    world.run(61.0)
    peer.listen(InfoHash.of(b"now there is room"))
    for port in range(1, 5):
        addr = Address(bytes((192, 0, 2, 1)), port)
        peer.do(lambda e, op, now, addr=addr: e.ping(op, addr, now))  # type: ignore[misc]
    with pytest.raises(TooManyOperationsError):
        peer.do(lambda e, op, now: e.ping(op, Address(bytes((192, 0, 2, 1)), 5), now))


def test_pings() -> None:
    """Somebody there, nobody there, nowhere to be."""
    world = World(2)
    asker = world.peers[1]
    there = asker.do(lambda e, op, now: e.ping(op, world.peers[0].addr, now))
    assert asker.finish(there).ok
    nobody = asker.do(lambda e, op, now: e.ping(op, Address(bytes((192, 0, 2, 1)), 1), now))
    assert not asker.finish(nobody).ok
    nowhere = asker.do(lambda e, op, now: e.ping(op, Address(bytes(4), 0), now))
    done = asker.done(nowhere)
    assert done is not None
    assert not done.ok


def test_storage_maintenance_hands_values_on() -> None:
    """Case 27: with it, values survive although nobody renews them and their holders leave."""
    config = DhtConfig(maintain_storage=True, families=(Family.IPV4,))
    world = World(10, config=config)
    week = Value(b"x" * 10, id=1, type=4)  # lives for 7 days
    assert world.peers[0].put(week).ok
    owner = world.peers[0]
    for _ in range(30):
        world.join(world.add(), world.peers[1])
    world.run(1500.0)
    leaving = [p for p in world.peers if p is not owner][:4]
    for peer in leaving:
        peer.do(lambda e, _, now: e.close(now))
        assert peer.engine.is_writing or not peer.engine.storage_size()[0]
        world.run(5.0)
        assert not peer.engine.is_writing
        world.network.crash(peer.host)
    world.network.crash(owner.host)
    asker = world.add()
    world.join(asker, world.peers[5])
    world.run(30.0)
    assert asker.get() == [week]


def test_what_is_exported_comes_back() -> None:
    """Nodes and values of one life serve the next; our id, too."""
    world = World(10)
    world.peers[1].put(Value(b"kept", id=1))
    holder = next(peer for peer in world.peers[2:] if peer.engine.storage_size()[0])
    now = world.network.now
    nodes, values = holder.engine.export_nodes(now), holder.engine.export_values(now)
    assert len(nodes) >= 3
    assert [one.value.data for one in values] == [b"kept"]
    heir = world.add(DhtConfig(node_id=holder.engine.node_id, families=(Family.IPV4,)))
    world.network.crash(holder.host)
    heir.do(lambda e, _, now: e.import_values(values, now))
    for node_id, addr in nodes:
        world.network.apply(heir.host, heir.engine.insert_node(node_id, addr, now))
    world.run(5.0)
    assert heir.is_connected
    assert heir.engine.storage_size()[0] == 1
    world.run(600.0)
    assert heir.engine.storage_size()[0] == 0


def test_a_changed_network_is_checked_at_once() -> None:
    """Nothing that was learned over the old one counts; a second later all is well again."""
    world = World(6)
    peer = world.peers[3]
    peer.do(lambda e, _, now: e.connectivity_changed(now))
    assert not peer.is_connected
    world.run(10.0)
    assert peer.is_connected


def test_a_node_that_restarts_elsewhere_is_found_there() -> None:
    """Same id, other address: believed once it answers from the new one."""
    world = World(5)
    mover = world.peers[2]
    config = DhtConfig(node_id=mover.engine.node_id, families=(Family.IPV4,))
    world.network.crash(mover.host)
    moved = world.add(config)
    world.join(moved, world.peers[0])
    world.run(10.0)
    known = dict(world.peers[0].engine.export_nodes(world.network.now))
    assert known[moved.engine.node_id] == moved.addr
