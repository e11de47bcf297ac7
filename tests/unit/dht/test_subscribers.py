"""Those who listen to us: told, bounded, and forgotten."""

from __future__ import annotations

from shoal.core import Address, InfoHash, SendDatagram
from shoal.dht import wire
from shoal.dht.config import DhtConfig
from shoal.dht.engine import DhtEngine
from shoal.dht.subscribers import SUBSCRIBERS_MAX
from shoal.dht.value import Value
from shoal.sim import SeededEntropy
from tests.unit.dht.world import KEY, WALL_NOW, Stranger


def make(config: DhtConfig | None = None) -> DhtEngine:
    """Make a node that knows nobody."""
    return DhtEngine(config or DhtConfig(), SeededEntropy(5), 0.0, wall_offset=WALL_NOW)


def subscribe(asker: Stranger, sid: int, version: int = 1, key: InfoHash = KEY) -> bool:
    """Subscribe; return whether it was acknowledged."""
    message = wire.Listen(asker.tid(), asker.id, key, asker.token, sid, None, version)
    return bool(asker.replies(message))


def datagrams(effects: list[object], to: Stranger) -> int:
    """Count what is sent there."""
    return sum(isinstance(one, SendDatagram) and one.addr == to.addr for one in effects)


def test_many_subscriptions_do_not_multiply_a_put_without_end() -> None:
    """One address is told at most as much as a node takes; then it has to subscribe again."""
    engine = make()
    greedy, modest = Stranger(engine, b"g"), Stranger(engine, b"m")
    for asker in (greedy, modest):
        asker.take_token()
    for sid in range(1, 801):
        assert subscribe(greedy, sid)
    assert subscribe(modest, 1)
    told = heard = 0
    for number in range(1, 41):
        effects: list[object] = []
        message = wire.Put(
            modest.tid(), modest.id, KEY, (Value(b"%d" % number, id=number),), None, modest.token
        )
        for datagram in wire.encode(message):
            effects += engine.receive(datagram, modest.addr, 0.0)
        told += datagrams(effects, greedy)
        updates = [one for one in modest.read(effects) if isinstance(one, wire.Update)]
        heard += len(updates)
        for update in updates:
            modest.say(wire.Reply(update.tid, modest.id, None, b"", b"", None, (), None, None))
    assert told <= 8 * 1024
    assert heard == 40
    assert engine.subscriber_count == 1
    greedy.now = 30.0
    greedy.take_token()
    assert subscribe(greedy, 900)


def test_repeated_subscriptions_do_not_pull_out_everything_each_time() -> None:
    """A new socket id for a key with much: the first is sent all, the hundredth nothing."""
    engine = make()
    asker = Stranger(engine)
    asker.take_token()
    for number in range(1, 33):
        asker.put(Value(bytes(60_000), id=number))
    taken = [subscribe(asker, sid, version=0) for sid in range(1, 101)]
    assert taken[0]
    assert not any(taken[10:])
    assert engine.subscriber_count <= 10


def test_without_limits_everything_is_told() -> None:
    """Clusters behind one address turn the rate limits off."""
    engine = make(DhtConfig(rate_limit_total=-1, rate_limit_per_address=-1))
    asker = Stranger(engine)
    asker.take_token()
    for sid in range(1, 1001):
        assert subscribe(asker, sid, version=0)
    for number in range(1, 21):
        asker.put(Value(b"%d" % number, id=number))
    assert engine.subscriber_count == 1000


def test_the_longest_silent_goes_when_there_are_too_many() -> None:
    """In all, a fixed number of subscriptions is kept."""
    engine = make(DhtConfig(rate_limit_total=-1, rate_limit_per_address=-1))
    askers = []
    for last in range(SUBSCRIBERS_MAX // 4096 + 1):
        asker = Stranger(engine, bytes([last + 1]))
        asker.take_token()
        askers.append(asker)
    for sid in range(1, SUBSCRIBERS_MAX + 1):
        asker = askers[sid // 4096]
        message = wire.Listen(1, asker.id, KEY, asker.token, sid, None, 1)
        engine.receive(wire.encode(message)[0], asker.addr, 0.0)
    assert engine.subscriber_count == SUBSCRIBERS_MAX
    assert subscribe(askers[-1], 0xFFFFFF)
    assert engine.subscriber_count == SUBSCRIBERS_MAX


def test_a_node_that_moved_is_told_where_it_is() -> None:
    """Its renewal comes from another address, with a token of that."""
    engine = make()
    asker = Stranger(engine)
    asker.take_token()
    assert subscribe(asker, 5)
    asker.addr = Address(asker.addr.ip, 9999)
    asker.take_token()
    assert subscribe(asker, 5)
    assert engine.subscriber_count == 1
    answers = asker.say(
        wire.Put(asker.tid(), asker.id, KEY, (Value(b"x", id=1),), None, asker.token)
    )
    assert [type(one) for one in answers] == [wire.Update, wire.Reply]


def test_a_refused_update_ends_nothing() -> None:
    """Whoever answers with an error is there; its silence will end the subscription."""
    engine = make()
    asker = Stranger(engine)
    asker.take_token()
    assert subscribe(asker, 5)
    (update, _) = asker.say(
        wire.Put(asker.tid(), asker.id, KEY, (Value(b"x", id=1),), None, asker.token)
    )
    assert isinstance(update, wire.Update)
    asker.say(wire.Error(update.tid, asker.id, 401, "no"))
    asker.say(wire.Reply(update.tid, asker.id, None, b"", b"", None, (), None, None))
    asker.wait(30.0)
    assert engine.subscriber_count == 1


def test_an_empty_world_keeps_nothing_of_listeners() -> None:
    """When all have fallen silent, no trace of them is left."""
    engine = make()
    for last in range(1, 30):
        asker = Stranger(engine, bytes([last]))
        asker.take_token()
        for sid in (1, 2, 3):
            assert subscribe(asker, sid, version=0, key=InfoHash.of(bytes([sid])))
    assert engine.subscriber_count == 29 * 3
    asker.wait(601.0)
    assert engine.subscriber_count == 0
    asker.take_token()
    (refusal,) = asker.say(wire.Refresh(1, asker.id, InfoHash.of(b"\x01"), 1, asker.token))
    assert isinstance(refusal, wire.Error)
