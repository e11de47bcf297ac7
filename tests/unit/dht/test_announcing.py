"""Storing at other nodes: what they are sent, and what their answers change."""

from __future__ import annotations

from typing import TypeVar

import pytest

from shoal.core import Family
from shoal.dht import wire
from shoal.dht.config import DhtConfig
from shoal.dht.effects import Done
from shoal.dht.engine import DhtEngine
from shoal.dht.query import Condition, Field, FieldTable, Query
from shoal.dht.value import Value
from shoal.sim import SeededEntropy
from tests.unit.dht.world import KEY, TOKEN, WALL_NOW, Stranger, answer, meet

T = TypeVar("T")
VALUE = Value(b"x", id=7, owner=b"o", signature=b"s", seq=4)


def make() -> DhtEngine:
    """Make a node that knows nobody."""
    return DhtEngine(
        DhtConfig(families=(Family.IPV4,)), SeededEntropy(5), 0.0, wall_offset=WALL_NOW
    )


def only(kind: type[T], messages: list[wire.Message]) -> T:
    """Pick the one message of that kind."""
    (found,) = [one for one in messages if isinstance(one, kind)]
    return found


def put(peer: Stranger, *, permanent: bool = False, created: float | None = None) -> wire.Message:
    """Let the engine put; let *peer* give it a token; return what it is sent then."""
    effects = peer.engine.put(1, KEY, VALUE, peer.now, permanent=permanent, created=created)
    find = only(wire.Find, peer.read(effects))
    (message,) = peer.say(answer(find, peer))
    return message


def probed(peer: Stranger, row: tuple[int, int] | None) -> wire.Message:
    """Let the engine put for good, and find *row* (id, seq) at *peer*; return what follows."""
    probe = put(peer, permanent=True)
    assert isinstance(probe, wire.Get)
    table = None if row is None else FieldTable((Field.ID, Field.SEQ), (row,))
    (message,) = peer.say(answer(probe, peer, fields=table))
    return message


def done(peer: Stranger) -> list[Done]:
    """Return how operations ended."""
    return [event for event in peer.events if isinstance(event, Done)]


def test_an_ordinary_put_is_sent_at_once() -> None:
    """One datagram with the value, no date, and the token that was given."""
    peer = meet(make())
    message = put(peer)
    assert isinstance(message, wire.Put)
    assert message[2:] == (KEY, (VALUE,), None, TOKEN, None)
    peer.say(answer(message, peer, value_id=VALUE.id))
    assert done(peer) == [Done(1, ok=True, nodes=1)]


def test_a_put_of_yesterday_says_so() -> None:
    """`c` is sent when the value was created before; permanent ones are always of now."""
    message = put(meet(make()), created=WALL_NOW - 100.0)
    assert isinstance(message, wire.Put)
    assert message.created == int(WALL_NOW) - 100
    peer = meet(make())
    probe = put(peer, permanent=True, created=WALL_NOW - 100.0)
    message = only(wire.Put, peer.say(answer(probe, peer)))
    assert message.created is None


def test_a_permanent_put_asks_first() -> None:
    """For the id and sequence number of that very value."""
    probe = put(meet(make()), permanent=True)
    assert isinstance(probe, wire.Get)
    assert probe.query == Query((Field.ID, Field.SEQ), (Condition(Field.ID, VALUE.id),))


@pytest.mark.parametrize(
    ("row", "kind"),
    [(None, wire.Put), ((9, 9), wire.Put), ((7, 3), wire.Put), ((7, 4), wire.Refresh),
     ((7, 5), wire.Refresh)],
)  # fmt: skip
def test_what_a_probe_finds_decides(row: tuple[int, int] | None, kind: type) -> None:
    """Reference 3.8: absent or older, put; there, or newer: refresh."""
    assert type(probed(meet(make()), row)) is kind


def test_a_refresh_of_what_is_unknown_becomes_a_put() -> None:
    """404: the node forgot meanwhile."""
    peer = meet(make())
    refresh = probed(peer, (7, 4))
    message = only(wire.Put, peer.say(wire.Error(refresh.tid, peer.id, 404, "?")))
    assert message.values == (VALUE,)


def test_a_wrong_token_is_replaced() -> None:
    """401: ask for another one, then write with that."""
    peer = meet(make())
    message = put(peer)
    find = only(wire.Find, peer.say(wire.Error(message.tid, peer.id, 401, "?")))
    again = only(wire.Put, peer.say(answer(find, peer, token=b"u" * 32)))
    assert again.token == b"u" * 32
    peer.say(answer(again, peer, value_id=VALUE.id))
    assert done(peer) == [Done(1, ok=True, nodes=1)]


def test_who_never_likes_our_tokens_is_passed_over() -> None:
    """More than three refusals in a row: the put ends, although the node answers everything."""
    peer = meet(make())
    message = put(peer)
    for _ in range(3):
        find = only(wire.Find, peer.say(wire.Error(message.tid, peer.id, 401, "?")))
        message = only(wire.Put, peer.say(answer(find, peer)))
    assert peer.say(wire.Error(message.tid, peer.id, 401, "?")) == []
    assert done(peer) == [Done(1, ok=False, nodes=0)]


def test_a_reminder_comes_before_the_life_ends() -> None:
    """Ten seconds before: asked, and refreshed; conformance case 17."""
    peer = meet(make())
    message = probed(peer, None)
    peer.say(answer(message, peer, value_id=VALUE.id))
    assert done(peer) == [Done(1, ok=True, nodes=1)]
    reminders: list[float] = []
    while peer.now < 1300.0:
        for told in peer.wait(0.5):
            fields = None
            if isinstance(told, wire.Get):
                fields = FieldTable((Field.ID, Field.SEQ), ((7, 4),))
            elif isinstance(told, wire.Refresh):
                reminders.append(peer.now)
            peer.say(answer(told, peer, fields=fields))
    assert len(reminders) == 2
    assert 588.0 <= reminders[0] <= 592.0
    assert 1178.0 <= reminders[1] <= 1184.0
    assert done(peer) == [Done(1, ok=True, nodes=1)]


def test_a_late_acknowledgement_of_a_cancelled_put_is_nothing() -> None:
    """Neither remembered nor reported again."""
    peer = meet(make())
    message = put(peer)
    peer.read(peer.engine.cancel_put(KEY, VALUE.id, 0.0))
    assert peer.say(answer(message, peer, value_id=VALUE.id)) == []
    assert done(peer) == [Done(1, ok=False, nodes=0)]
    (search,) = peer.engine.searches(Family.IPV4)
    assert not any(near.acks for near in search.nodes)


def test_a_slow_node_is_not_waited_for() -> None:
    """It keeps silent from the put on; another one stores, and the put is done."""
    engine = make()
    near, far = meet(engine, b"p"), meet(engine, b"q")
    effects = engine.put(1, KEY, VALUE, 0.0)
    finds = [(peer, only(wire.Find, peer.read(effects))) for peer in (near, far)]
    sent: list[tuple[Stranger, wire.Message]] = []
    for peer, find in finds:
        effects = engine.receive(wire.encode(answer(find, peer))[0], peer.addr, 0.1)
        sent += [(one, message) for one in (near, far) for message in one.read(effects)]
    (patient, message) = next((peer, one) for peer, one in sent if isinstance(one, wire.Put))
    patient.now = 0.2
    patient.say(answer(message, patient, value_id=VALUE.id))
    assert done(near) + done(far) == []
    patient.wait(3.0)
    assert done(near) + done(far) == [Done(1, ok=True, nodes=1)]
