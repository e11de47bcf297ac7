"""Storage maintenance: values follow the nodes that are closest to their keys."""

from __future__ import annotations

from shoal.core import Family, InfoHash
from shoal.dht import wire
from shoal.dht.config import DhtConfig
from shoal.dht.engine import DhtEngine
from shoal.dht.value import Value
from shoal.sim import SeededEntropy
from tests.unit.dht.world import WALL_NOW, Stranger, answer, meet

OWN = InfoHash(b"\xff" * 20)
NEAR_THEM = InfoHash(b"\x04" * 20)
NEAR_US = InfoHash(b"\xff" * 19 + b"\x00")
WEEK = 4  # the type of trust requests
OURS = Value(b"own", id=3, type=WEEK)


def crowd(*, maintain: bool = True) -> list[Stranger]:
    """Make a node that keeps values for two keys, then meets ten nodes close to one of them."""
    config = DhtConfig(families=(Family.IPV4,), node_id=OWN, maintain_storage=maintain)
    engine = DhtEngine(config, SeededEntropy(5), 0.0, wall_offset=WALL_NOW)
    asker = Stranger(engine, b"\x70")
    asker.take_token()
    for key in (NEAR_THEM, NEAR_US):
        asker.put(Value(b"week", id=1, type=WEEK), key=key)
    asker.put(Value(b"brief", id=2), key=NEAR_THEM)
    asker.read(engine.put(1, NEAR_THEM, OURS, 0.0))
    return [meet(engine, bytes([number])) for number in range(1, 11)]


def live(peers: list[Stranger], until: float) -> list[wire.Put]:
    """Let time pass while all answer; return what the engine stores for others at them."""
    engine = peers[0].engine
    puts: list[wire.Put] = []
    while (moment := engine.next_deadline()) is not None and moment <= until:
        effects: list[object] = [*engine.advance(moment)]
        while effects:
            told = [(peer, one) for peer in peers for one in peer.read(effects)]
            effects = []
            for peer, question in told:
                if isinstance(question, wire.Put) and question.values[0].id != OURS.id:
                    puts.append(question)
                (datagram,) = wire.encode(answer(question, peer))
                effects += engine.receive(datagram, peer.addr, moment)
    return puts


def stored(engine: DhtEngine) -> set[tuple[InfoHash, int]]:
    """Return what is kept."""
    return {(one.key, one.value.id) for one in engine.storage}


def test_what_others_are_closer_to_is_handed_on() -> None:
    """After ten minutes: with its creation time, to eight nodes; then kept no more."""
    peers = crowd()
    puts = live(peers, 620.0)
    assert {(put.key, put.values[0].id) for put in puts} == {(NEAR_THEM, 1)}
    assert len(puts) == 8
    assert {put.created for put in puts} == {int(WALL_NOW)}
    assert stored(peers[0].engine) == {(NEAR_THEM, 3), (NEAR_US, 1)}


def test_nothing_is_handed_on_unless_asked_for() -> None:
    """Off by default, as in the reference."""
    peers = crowd(maintain=False)
    assert live(peers, 620.0) == []
    peers[0].engine.close(620.0)
    assert not peers[0].engine.is_writing


def test_who_leaves_hands_everything_on() -> None:
    """All keys, whoever is close; but not what is our own: its owner is leaving."""
    peers = crowd()
    engine = peers[0].engine
    live(peers, 60.0)
    effects: list[object] = [*engine.close(60.0)]
    assert engine.is_writing
    puts = set()
    while effects:
        told = [(peer, one) for peer in peers for one in peer.read(effects)]
        effects = []
        for peer, question in told:
            if isinstance(question, wire.Put):
                puts.add((question.key, question.values[0].id, peer.id))
            effects += engine.receive(wire.encode(answer(question, peer))[0], peer.addr, 60.0)
    assert {place[:2] for place in puts} == {(NEAR_THEM, 1), (NEAR_THEM, 2), (NEAR_US, 1)}
    assert len(puts) == 3 * 8
    assert not engine.is_writing


def test_the_cut_off_keep_what_they_have() -> None:
    """Without anybody connected nothing is judged to be elsewhere."""
    peers = crowd()
    engine = peers[0].engine
    for peer in peers:
        engine.send_failed(peer.addr, 0.0)
    clock = Stranger(engine, b"\x71")
    clock.wait(620.0)
    assert stored(engine) >= {(NEAR_THEM, 1), (NEAR_THEM, 3), (NEAR_US, 1)}
