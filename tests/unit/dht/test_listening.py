"""Listening at other nodes: subscribed, renewed, lost, and what they may tell us."""

from __future__ import annotations

from typing import TypeVar

import pytest

from shoal.core import Address, Family
from shoal.dht import wire
from shoal.dht.config import DhtConfig
from shoal.dht.effects import ValuesExpired, ValuesFound
from shoal.dht.engine import DhtEngine
from shoal.dht.query import Condition, Field
from shoal.dht.value import Value
from shoal.sim import SeededEntropy
from tests.unit.dht.world import KEY, TOKEN, WALL_NOW, Stranger, answer, meet

T = TypeVar("T")
IPV4 = DhtConfig(families=(Family.IPV4,))


def make(config: DhtConfig = IPV4) -> DhtEngine:
    """Make a node that knows nobody."""
    return DhtEngine(config, SeededEntropy(5), 0.0, wall_offset=WALL_NOW)


def only(kind: type[T], messages: list[wire.Message]) -> T:
    """Pick the one message of that kind."""
    (found,) = [one for one in messages if isinstance(one, kind)]
    return found


def listen(peer: Stranger, op: int = 1) -> wire.Listen:
    """Let the engine listen, and *peer* give it a token; return the subscription."""
    find = only(wire.Find, peer.read(peer.engine.listen(op, KEY, peer.now)))
    return only(wire.Listen, peer.say(answer(find, peer)))


def update(peer: Stranger, sid: int, *values: Value, **fields: object) -> wire.Reply:
    """Let *peer* tell the engine of changes; return the acknowledgement."""
    plain = wire.Update(peer.tid(), peer.id, sid, TOKEN, KEY, values, None, (), (), 1)
    return peer.reply(plain._replace(**fields))  # type: ignore[arg-type]  # names are checked


def heard(peer: Stranger) -> list[bytes]:
    """Return the contents of the values reported."""
    return [v.data for e in peer.events if isinstance(e, ValuesFound) for v in e.values]


def missed(peer: Stranger) -> list[int]:
    """Return the ids of the values reported gone."""
    return [v.id for e in peer.events if isinstance(e, ValuesExpired) for v in e.values]


def live(peer: Stranger, seconds: float) -> list[wire.Listen]:
    """Let time pass while *peer* answers everything; return the subscriptions made."""
    end = peer.now + seconds
    found = []
    while peer.now < end:
        for told in peer.wait(0.5):
            peer.say(answer(told, peer))
            found += [told] if isinstance(told, wire.Listen) else []
    return found


def test_a_subscription_says_what_it_wants() -> None:
    """Reference 1.9.1: token, socket id, version 1; a condition is sent along."""
    peer = meet(make())
    plain = listen(peer)
    assert (plain.key, plain.token, plain.query, plain.version) == (KEY, TOKEN, None, 1)
    where = (Condition(Field.ID, 3),)
    other = only(wire.Listen, peer.read(peer.engine.listen(2, KEY, 0.0, where=where)))
    assert other.query is not None
    assert other.query.where == where
    assert other.socket_id != plain.socket_id


def test_additions_refreshes_and_ends() -> None:
    """Reference 1.9.2 and 1.9.3; ids that our filter never saw are ignored."""
    peer = meet(make())
    sid = listen(peer).socket_id
    update(peer, sid, Value(b"x", id=1), Value(b"y", id=2))
    update(peer, sid, Value(b"x", id=1))
    update(peer, sid, key=None, refreshed=(1, 99), expired=(2, 98))
    assert heard(peer) == [b"x", b"y"]
    assert missed(peer) == [2]
    live(peer, 599.0)
    assert missed(peer) == [2]
    live(peer, 3.0)
    assert missed(peer) == [2, 1]


def test_a_refresh_prolongs() -> None:
    """A value refreshed after five minutes is believed for ten more."""
    peer = meet(make())
    sid = listen(peer).socket_id
    update(peer, sid, Value(b"x", id=1))
    live(peer, 300.0)
    update(peer, sid, key=None, refreshed=(1,))
    live(peer, 595.0)
    assert missed(peer) == []
    live(peer, 10.0)
    assert missed(peer) == [1]


@pytest.mark.parametrize(("is_stable", "renewal"), [(False, 20.0), (True, 290.0)])
def test_renewals(is_stable: bool, renewal: float) -> None:
    """Under the same socket id, every 20 seconds, or 290 where the host is stable."""
    peer = meet(make(DhtConfig(families=(Family.IPV4,), is_public_stable=is_stable)))
    first = listen(peer)
    peer.say(answer(first, peer))
    renewals = live(peer, 10 * renewal + 5.0)
    assert 9 <= len(renewals) <= 10
    assert {one.socket_id for one in renewals} == {first.socket_id}


def test_a_wrong_token_is_replaced() -> None:
    """401: a new token, and the same subscription; after four in a row the node is left alone."""
    peer = meet(make())
    message = listen(peer)
    for _ in range(3):
        find = only(wire.Find, peer.say(wire.Error(message.tid, peer.id, 401, "?")))
        again = only(wire.Listen, peer.say(answer(find, peer)))
        assert again.socket_id == message.socket_id
        message = again
    assert peer.say(wire.Error(message.tid, peer.id, 401, "?")) == []


def test_only_whom_we_asked_may_tell() -> None:
    """From another node or address an update is acknowledged, and that is all."""
    engine = make()
    peer = meet(engine)
    sid = listen(peer).socket_id
    other = meet(engine, b"q")
    assert update(other, sid, Value(b"lie", id=1)).tid
    thief = Stranger(engine, b"p")
    thief.addr = Address(bytes((203, 0, 113, 5)), 4222)
    acks = [one for one in thief.say(
        wire.Update(5, thief.id, sid, TOKEN, KEY, (Value(b"lie", id=1),), None, (), (), 1)
    ) if isinstance(one, wire.Reply)]  # fmt: skip
    assert len(acks) == 1
    assert heard(peer) + heard(other) + heard(thief) == []
    update(peer, sid, Value(b"true", id=1))
    assert heard(peer) == [b"true"]


def test_updates_bring_tokens() -> None:
    """The newest is used for the next renewal; one of a foolish length is not."""
    peer = meet(make())
    message = listen(peer)
    peer.say(answer(message, peer, token=None))
    live(peer, 19.0)
    update(peer, message.socket_id, Value(b"x", id=1), token=b"n" * 32)
    update(peer, message.socket_id, Value(b"x", id=1), token=b"n" * 65)
    renewal = only(wire.Listen, peer.wait(1.5))
    assert renewal.token == b"n" * 32


def test_after_the_last_listener_a_subscription_ends_in_a_minute() -> None:
    """Who comes back before finds it running; updates to a closed one change nothing."""
    peer = meet(make())
    message = listen(peer)
    peer.say(answer(message, peer))
    update(peer, message.socket_id, Value(b"x", id=1))
    peer.read(peer.engine.cancel(1, peer.now))
    live(peer, 50.0)
    assert peer.read(peer.engine.listen(2, KEY, peer.now)) == []
    assert heard(peer) == [b"x", b"x"]
    peer.read(peer.engine.cancel(2, peer.now))
    live(peer, 59.0)
    peer.events.clear()
    live(peer, 2.0)
    assert live(peer, 60.0) == []
    update(peer, message.socket_id, Value(b"y", id=2))
    assert peer.events == []


def test_a_lost_node_is_subscribed_to_again_when_it_returns() -> None:
    """Its silence ends the subscription; its return begins another, under a new socket id."""
    engine = make()
    peer, other = meet(engine), meet(engine, b"q")
    effects = engine.listen(1, KEY, 0.0)
    sids = {}
    for one in (peer, other):
        told = one.say(answer(only(wire.Find, one.read(effects)), one))
        for subscription in [m for m in told if isinstance(m, wire.Listen)]:
            sids[one.id] = subscription.socket_id
            one.say(answer(subscription, one))
    end = 60.0
    while other.now < end:  # *peer* is silent, *other* lives
        for told_other in other.wait(0.5):
            other.say(answer(told_other, other))
    peer.now = other.now
    effects = []
    for datagram in wire.encode(wire.Ping(1, peer.id)):
        effects += engine.receive(datagram, peer.addr, peer.now)
    asked: list[wire.Message] = peer.read(effects)
    for _ in range(400):
        asked += peer.wait(0.5)
        if any(isinstance(one, wire.Listen) for one in asked):
            break
        for question in asked:
            asked = peer.say(answer(question, peer))
    subscription = next(one for one in asked if isinstance(one, wire.Listen))
    assert subscription.socket_id != sids.get(peer.id)
