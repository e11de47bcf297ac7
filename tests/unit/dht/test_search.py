"""Searches: whom they ask, when they end, and what they leave behind."""

from __future__ import annotations

from functools import partial

import pytest

from shoal.core import Address, Family, InfoHash
from shoal.dht import wire
from shoal.dht.config import DhtConfig
from shoal.dht.effects import Done, ValuesExpired, ValuesFound
from shoal.dht.engine import DhtEngine
from shoal.dht.query import Condition, Field, FieldTable, Query
from shoal.dht.search import ANSWERS_MAX, RETRY_MAX
from shoal.dht.value import Value
from shoal.sim import Conditions, Constant, SeededEntropy
from tests.unit.dht.world import KEY, WALL_NOW, Peer, World, answer, meet

IPV4 = DhtConfig(families=(Family.IPV4,))


def make(config: DhtConfig = IPV4) -> DhtEngine:
    """Make a node that knows nobody."""
    return DhtEngine(config, SeededEntropy(5), 0.0, wall_offset=WALL_NOW)


def gets(messages: list[wire.Message]) -> list[wire.Get]:
    """Pick the gets."""
    return [one for one in messages if isinstance(one, wire.Get)]


def ask(key: InfoHash, engine: DhtEngine, op: int, now: float) -> object:
    """Get the values of *key*."""
    return engine.get(op, key, now)


def uses(peer: Peer) -> dict[InfoHash, int]:
    """Count for each node the buckets and searches that hold it, from scratch."""
    counts: dict[InfoHash, int] = {}
    engine = peer.engine
    for bucket in engine.routing_table(Family.IPV4):
        for node in [*bucket.nodes, *([bucket.cached] if bucket.cached else [])]:
            counts[node.id] = counts.get(node.id, 0) + 1
    for search in engine.searches(Family.IPV4):
        for near in search.nodes:
            counts[near.node.id] = counts.get(near.node.id, 0) + 1
    return counts


def test_uses_of_nodes_are_balanced() -> None:
    """Through joins, deaths, puts, gets and forgotten searches; else nodes are kept for ever."""
    config = DhtConfig(families=(Family.IPV4,), searches_max=120)
    world = World(24, config=config, conditions=Conditions(latency=Constant(0.02), loss=0.1))
    busy = world.peers[3]
    ops = []
    for number in range(150):
        ops.append(busy.do(partial(ask, InfoHash.of(number.to_bytes(2)))))
        if number % 10 == 0:
            world.run(4.0)
        if number % 30 == 0:
            world.network.crash(world.peers[-1 - number // 30].host)
    world.run(60.0)
    assert all(busy.done(op) for op in ops)
    held = {
        node.id: node.uses
        for search in busy.engine.searches(Family.IPV4)
        for node in [near.node for near in search.nodes]
    }
    expected = uses(busy)
    assert held == {node_id: expected[node_id] for node_id in held}


def test_a_late_answer_finds_no_forgotten_search() -> None:
    """What it names is not held by something that nobody will ever let go of."""
    engine = make(DhtConfig(families=(Family.IPV4,), searches_max=70))
    peer = meet(engine)
    (question,) = gets(peer.read(list(engine.get(1, KEY, 0.0))))
    peer.read(list(engine.cancel(1, 0.0)))
    for number in range(72):
        peer.read(list(engine.get(2, InfoHash.of(bytes([number])), 0.0)))
        peer.read(list(engine.cancel(2, 0.0)))
    assert KEY not in [search.key for search in engine.searches(Family.IPV4)]
    named = (InfoHash.of(b"named"), Address(bytes((203, 0, 113, 7)), 7))
    forgotten = sum(near.node.uses for s in engine.searches(Family.IPV4) for near in s.nodes)
    peer.say(answer(question, peer, nodes4=wire.compact_nodes([named])))
    after = sum(near.node.uses for s in engine.searches(Family.IPV4) for near in s.nodes)
    assert after == forgotten
    bucket = engine.routing_table(Family.IPV4)[0]
    assert [node.uses for node in bucket.nodes if node.id == named[0]] == [1]


def test_an_idle_search_keeps_no_names() -> None:
    """Hundreds of searches are kept for the nodes they know; what they judged is of no use then."""
    world = World(12)
    reader = world.peers[3]
    reader.get()
    reader.put(Value(b"x", id=1))
    searches = [one for one in reader.engine.searches(Family.IPV4) if one.key == KEY]
    assert [len(search.nodes) > 0 for search in searches] == [True]
    assert not any(search.heard for search in searches)


def test_liars_cannot_lead_a_get_on_for_ever() -> None:
    """One address that answers under ever closer ids ends it after so many answers."""
    engine = make(DhtConfig(families=(Family.IPV4,), rate_limit_per_address=-1))
    liar = meet(engine)
    number = int.from_bytes(KEY)
    closer = (InfoHash((number ^ distance).to_bytes(20)) for distance in range(1 << 150, 0, -1))
    waiting = [(liar.id, one) for one in gets(liar.read(list(engine.get(1, KEY, 0.0))))]
    for _ in range(2 * ANSWERS_MAX):
        if not waiting:
            break
        liar.id, question = waiting.pop(0)
        named = [(next(closer), liar.addr) for _ in range(8)]
        told = answer(question, liar, nodes4=wire.compact_nodes(named))
        (search,) = engine.searches(Family.IPV4)
        for asked in gets(liar.say(told)):
            whom = [n.node.id for n in search.nodes if asked.tid in (n.node.pending or ())]
            waiting += [(who, asked) for who in whom]  # less those that closer ones pushed out
    (done,) = [event for event in liar.events if isinstance(event, Done)]
    assert done.ok
    assert done.nodes <= ANSWERS_MAX


def test_what_is_much_is_fetched_value_by_value() -> None:
    """A node that answers a plain get with ids is asked for each of them."""
    peer = meet(make())
    (question,) = gets(peer.read(list(peer.engine.get(1, KEY, 0.0))))
    assert question.query is None
    table = FieldTable((Field.ID,), ((5,), (6,)))
    pages = gets(peer.say(answer(question, peer, fields=table)))
    assert [page.query for page in pages] == [
        Query(where=(Condition(Field.ID, value_id),)) for value_id in (5, 6)
    ]
    for page, value_id in zip(pages, (5, 6), strict=True):
        assert not [event for event in peer.events if isinstance(event, Done)]
        peer.say(answer(page, peer, values=(Value(b"x", id=value_id),)))
    assert [v.id for e in peer.events if isinstance(e, ValuesFound) for v in e.values] == [5, 6]
    assert [event for event in peer.events if isinstance(event, Done)] == [Done(1, True, 1)]


def test_a_cancelled_get_fetches_nothing_more() -> None:
    """Ids that come too late are left alone."""
    peer = meet(make())
    (question,) = gets(peer.read(list(peer.engine.get(1, KEY, 0.0))))
    peer.engine.cancel(1, 0.0)
    table = FieldTable((Field.ID,), ((5,), (6,)))
    assert peer.say(answer(question, peer, fields=table)) == []


def test_a_list_whose_owner_dies_does_not_hold_up_a_get() -> None:
    """Pages that are lost count as fetched."""
    peer = meet(make())
    (question,) = gets(peer.read(list(peer.engine.get(1, KEY, 0.0))))
    peer.say(answer(question, peer, fields=FieldTable((Field.ID,), ((5,), (6,)))))
    peer.wait(30.0)
    assert [event.op for event in peer.events if isinstance(event, Done)] == [1]


def test_an_empty_list_ends_at_once() -> None:
    """Nothing to fetch, nothing to wait for."""
    peer = meet(make())
    (question,) = gets(peer.read(list(peer.engine.get(1, KEY, 0.0))))
    peer.say(answer(question, peer, fields=FieldTable((Field.ID,), ())))
    assert [event for event in peer.events if isinstance(event, Done)] == [Done(1, True, 1)]


def test_large_answers_turn_into_pages_for_all() -> None:
    """The second node is asked for ids as soon as the first announces a large answer."""
    engine = make()
    first, second = meet(engine, b"p"), meet(engine, b"q")
    effects = list(engine.get(1, KEY, 0.0))
    (asked_first,), (asked_second,) = gets(first.read(effects)), gets(second.read(effects))
    values = tuple(Value(bytes([number]) * 9000, id=number) for number in (1, 2, 3))
    header, *parts = wire.encode(answer(asked_first, first, values=values))
    again = gets(second.read(list(engine.receive(header, first.addr, 0.1))))
    assert [one.query for one in again] == [Query(select=(Field.ID,))]
    for part in parts:
        first.read(list(engine.receive(part, first.addr, 0.1)))
    ids = FieldTable((Field.ID,), ((1,), (2,), (3,), (4,)))
    pages = gets(second.say(answer(again[0], second, fields=ids)))
    assert len(pages) == 4
    late = answer(asked_second, second, values=values)
    second.say(late)
    for page in pages:
        second.say(answer(page, second))
    events = first.events + second.events
    assert sorted(v.id for e in events if isinstance(e, ValuesFound) for v in e.values) == [1, 2, 3]
    assert [event for event in events if isinstance(event, Done)] == [Done(1, True, 2)]


@pytest.mark.parametrize("is_stable", [False, True])
def test_what_lasts_tries_again(is_stable: bool) -> None:
    """A permanent put whose nodes all died is stored once there are others, without being asked."""
    config = DhtConfig(families=(Family.IPV4,), is_public_stable=is_stable)
    world = World(3, config=config)
    owner = world.peers[0]
    assert owner.put(Value(b"stays", id=5), permanent=True).ok
    for peer in world.peers[1:]:
        world.network.crash(peer.host)
    world.run(900.0)
    newcomer = world.add()
    world.join(newcomer, owner)
    world.run(2 * RETRY_MAX + 30.0)
    assert newcomer.engine.storage_size() == (1, 5)


def test_trying_again_is_not_a_storm() -> None:
    """A node cut off for a day, with fifty permanent values, sends little."""
    world = World(3)
    owner = world.peers[0]
    for number in range(50):
        owner.put(Value(b"x", id=5), InfoHash.of(bytes([number])), permanent=True)
    for peer in world.peers[1:]:
        world.network.crash(peer.host)
    world.run(3600.0)
    before = owner.engine.stats.sent
    world.run(3600.0)
    assert owner.engine.stats.sent - before < 3 * 2 * 50 * 3600 / RETRY_MAX


def test_a_busy_key_does_not_pile_up() -> None:
    """Thousands of puts to one key: nothing is remembered of those that are over."""
    world = World(10)
    writer = world.peers[3]
    for number in range(1, 301):
        assert writer.put(Value(b"%d" % number, id=number)).ok
    (search,) = [one for one in writer.engine.searches(Family.IPV4) if one.key == KEY]
    assert sum(len(near.acks or ()) + len(near.probes or ()) for near in search.nodes) == 0
    assert not search.puts


def test_a_value_outlives_its_expiry_only_when_it_is_permanent() -> None:
    """Put once more as permanent while the first put is under way: one Done each, and it lasts."""
    world = World(8)
    owner, reader = world.peers[1], world.peers[4]
    first = owner.do(lambda e, op, now: e.put(op, KEY, Value(b"a", id=1), now))
    then = owner.do(lambda e, op, now: e.put(op, KEY, Value(b"a", id=1), now, permanent=True))
    assert owner.finish(first).ok
    assert owner.finish(then).ok
    world.run(1500.0)
    assert reader.get() == [Value(b"a", id=1)]
    again = owner.do(lambda e, op, now: e.put(op, KEY, Value(b"a", id=1), now))
    assert owner.finish(again).ok
    world.run(1500.0)
    assert reader.get() == [Value(b"a", id=1)]
    assert not owner.events(ValuesExpired)


def test_what_is_stored_here_is_told_before_anybody_is_asked() -> None:
    """The search is made when the engine next wakes, at the same moment; not if nobody waits."""
    engine = make()
    peer, value = meet(engine), Value(b"here", id=1)
    engine.put(1, KEY, value, 0.0)
    engine.advance(0.25)  # the node looks around itself
    assert engine.get(2, KEY, 0.25) == [ValuesFound(2, (value,))]
    assert engine.next_deadline() == 0.25
    assert [one.key for one in gets(peer.read(list(engine.advance(0.25))))] == [KEY]

    engine.cancel(2, 0.25)
    engine.get(3, KEY, 0.25)
    engine.cancel(3, 0.25)
    assert gets(peer.read(list(engine.advance(0.25)))) == []
