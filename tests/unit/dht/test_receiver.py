"""What arrives: whose answer it is, and what an answer may do."""

from __future__ import annotations

import pytest

from shoal.core import Address, Family, InfoHash
from shoal.dht import wire
from shoal.dht.config import DhtConfig
from shoal.dht.effects import ValuesFound
from shoal.dht.engine import DhtEngine
from shoal.dht.side import NAMED_MAX
from shoal.dht.value import Value
from shoal.sim import SeededEntropy
from tests.unit.dht.world import KEY, TOKEN, WALL_NOW, Stranger, answer, meet


def make(config: DhtConfig | None = None) -> DhtEngine:
    """Make a node that knows nobody."""
    return DhtEngine(config or DhtConfig(), SeededEntropy(5), 0.0, wall_offset=WALL_NOW)


def asked(peer: Stranger, op: int = 1) -> wire.Get:
    """Let the engine get; return what it asks *peer*."""
    (question,) = peer.read(list(peer.engine.get(op, KEY, peer.now)))
    assert isinstance(question, wire.Get)
    return question


def cache_size(engine: DhtEngine) -> int:
    """Count the IPv4 nodes known."""
    counts = engine.node_stats(Family.IPV4, 0.0)
    assert counts is not None
    return counts.cache_size


def found(peer: Stranger) -> list[bytes]:
    """Return what the engine reported."""
    return [v.data for e in peer.events if isinstance(e, ValuesFound) for v in e.values]


@pytest.mark.parametrize(("nodes4", "nodes6"), [(b"x" * 27, b""), (b"", b"y" * 37), (b"z", b"")])
def test_a_crooked_list_of_nodes_spoils_the_whole_answer(nodes4: bytes, nodes6: bytes) -> None:
    """Reference 1.7; the question stays open."""
    peer = meet(make())
    question = asked(peer)
    value = (Value(b"x", id=1),)
    peer.say(answer(question, peer, nodes4=nodes4, nodes6=nodes6, values=value))
    assert found(peer) == []
    assert peer.engine.stats.malformed == 1
    peer.say(answer(question, peer, values=value))
    assert found(peer) == [b"x"]


@pytest.mark.parametrize("token", [None, b"", b"t" * 65])
def test_an_answer_without_a_token_that_serves_is_none(token: bytes | None) -> None:
    """We could never write there, and would ask for ever: the node is passed over for good."""
    peer = meet(make())
    peer.read(list(peer.engine.put(1, KEY, Value(b"x", id=1), 0.0)))
    (find,) = peer.read(list(peer.engine.put(2, InfoHash.of(b"k"), Value(b"x", id=1), 0.0)))
    assert isinstance(find, wire.Find)
    assert peer.say(answer(find, peer, token=token)) == []
    assert peer.engine.stats.blacklisted == 1
    peer.wait(60.0)
    assert peer.say(wire.Ping(1, peer.id)) == []


def test_few_nodes_of_a_list_are_believed() -> None:
    """A list of thousands neither fills our memory nor makes us knock at every door in it."""
    peer = meet(make())
    question = asked(peer)
    crowd = [
        (InfoHash.of(number.to_bytes(2)), Address(bytes((203, 0, 113, 1)), 1 + number))
        for number in range(2000)
    ]
    before = cache_size(peer.engine)
    peer.say(answer(question, peer, nodes4=wire.compact_nodes(crowd)))
    assert cache_size(peer.engine) == before + NAMED_MAX


def test_answers_are_for_those_who_were_asked() -> None:
    """Another id, another address, another number: nobody's answer."""
    engine = make()
    peer, other = meet(engine), meet(engine, b"q")
    question = asked(peer)
    value = (Value(b"x", id=1),)
    other.say(answer(question, other, values=value))
    peer.say(answer(question._replace(tid=question.tid + 1), peer, values=value))
    elsewhere = Stranger(engine, b"p", port=1)
    elsewhere.say(answer(question, elsewhere, values=value))
    assert found(peer) + found(other) + found(elsewhere) == []
    peer.say(answer(question, peer, values=value))
    assert found(peer) == [b"x"]


def test_errors_that_end_nothing() -> None:
    """Only 401 to a write and 404 to a refresh are final; others, and strangers', are ignored."""
    peer = meet(make())
    question = asked(peer)
    for error in (
        wire.Error(question.tid, peer.id, 401, "no"),
        wire.Error(question.tid, peer.id, 203, "no"),
        wire.Error(question.tid + 7, peer.id, 401, "no"),
        wire.Error(question.tid, None, 401, "no"),
    ):
        assert peer.say(error) == []
    peer.say(answer(question, peer, values=(Value(b"x", id=1),)))
    assert found(peer) == [b"x"]


def test_legacy_notices_are_nobodys() -> None:
    """We never ask for them."""
    peer = meet(make())
    assert peer.say(wire.Notification(5, peer.id, TOKEN, (1,), ())) == []


def test_parts_of_an_answer_that_nobody_awaits() -> None:
    """A large reply out of the blue opens nothing."""
    peer = meet(make())
    peer.say(answer(wire.Ping(99, peer.id), peer, values=(Value(bytes(5000), id=1),)))
    assert peer.engine.request_stats.unsolicited >= 1  # type: ignore[attr-defined]
    assert found(peer) == []


def test_parts_that_do_not_come() -> None:
    """A put that stays incomplete is given up after seconds, and leaves nothing behind."""
    peer = Stranger(make())
    peer.take_token()
    message = wire.Put(5, peer.id, KEY, (Value(bytes(5000), id=1),), None, peer.token)
    header, first, *_ = wire.encode(message)
    for datagram in (header, first):
        peer.read(list(peer.engine.receive(datagram, peer.addr, 0.0)))
    peer.wait(20.0)
    assert peer.engine.assembly_stats.timed_out == 1  # type: ignore[attr-defined]
    assert peer.engine.storage_size() == (0, 0)


def test_early_parts_are_limited_like_requests() -> None:
    """A flood of parts without headers pays for each assembly that it opens."""
    engine = make(DhtConfig(rate_limit_per_address=10))
    peer = Stranger(engine)
    for tid in range(1, 31):
        part = wire.Part(tid, (wire.Piece(0, 0, b"x"),))
        peer.say(part)
    assert engine.stats.limited == 20
