"""An index over production engines on a simulated network that loses datagrams."""

from __future__ import annotations

from typing import TYPE_CHECKING

from shoal.core import InfoHash, SendDatagram
from shoal.dht.effects import Done, ValuesFound
from shoal.dht.pht.effects import (
    CancelRequest,
    InsertDone,
    LookupDone,
    PhtEffect,
    PutNode,
    ReadNode,
    WatchNode,
)
from shoal.dht.pht.engine import PhtEngine
from shoal.dht.pht.entry import IndexValue
from shoal.sim import Conditions, Constant, SeededEntropy
from tests.unit.dht.world import WALL_NOW, World

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tests.unit.dht.world import Peer


class Index:
    """An index of a node: its requests are operations of the node's engine."""

    def __init__(self, peer: Peer, seed: int) -> None:
        self.peer = peer
        self.pht = PhtEngine("words", {"word": 4}, SeededEntropy(seed))
        self.done: dict[int, InsertDone | LookupDone] = {}
        self._seen = 0

    def take(self, effects: Sequence[PhtEffect]) -> None:
        """Carry out what the index asks for."""
        dht, network = self.peer.engine, self.peer.world.network
        for effect in effects:
            now, found = network.now, list[object]()
            match effect:
                case ReadNode(request, key):
                    found += dht.get(request, key, now)
                case WatchNode(request, key):
                    found += dht.listen(request, key, now)
                case PutNode(request, key, value, age):
                    created = WALL_NOW + now - age if age else None
                    found += dht.put(request, key, value, now, created=created)
                case CancelRequest(request):
                    found += dht.cancel(request, now)
                case LookupDone(op) | InsertDone(op):
                    self.done[op] = effect
            network.apply(self.peer.host, found)

    def hear(self) -> None:
        """Tell the index what its node has reported meanwhile."""
        events = self.peer.host.events
        while self._seen < len(events):
            event = events[self._seen]
            self._seen += 1
            now = self.peer.world.network.now
            match event:
                case ValuesFound(op, values):
                    self.take(self.pht.values_found(op, values, now))
                case Done(op, ok):
                    self.take(self.pht.request_done(op, now, ok=ok))
                case _:
                    assert not isinstance(event, SendDatagram)


def run(world: World, indexes: list[Index], seconds: float) -> None:
    """Let time pass, with every index kept up to date."""
    end = world.network.now + seconds
    while world.network.now < end:
        world.network.run(world.network.now + 0.05)
        for index in indexes:
            index.hear()
            index.take(index.pht.advance(world.network.now))


def test_an_index_is_written_and_read_over_the_network() -> None:
    """From two nodes, beyond one leaf; a third finds everything, twenty minutes later too."""
    world = World(8, seed=3, conditions=Conditions(latency=Constant(0.02), loss=0.02))
    indexes = [Index(peer, seed) for seed, peer in enumerate(world.peers[:3])]
    words = {b"%02d" % n: IndexValue(InfoHash.of(b"%d" % n), n) for n in range(24)}
    for n, (word, value) in enumerate(words.items()):
        writer = indexes[n % 2]
        now = world.network.now
        writer.take(writer.pht.insert(n, {"word": word}, value, now, is_kept=True))
        run(world, indexes, 1.0)
    run(world, indexes, 30.0)
    assert [indexes[n % 2].done[n] for n in range(24)] == [
        InsertDone(n, ok=True) for n in range(24)
    ]

    reader = indexes[2]
    for start, wait in ((0, 0.0), (100, 1200.0)):
        run(world, indexes, wait)
        for n, word in enumerate(words, start):
            reader.take(reader.pht.lookup(n, {"word": word}, world.network.now))
        run(world, indexes, 30.0)
        found = [reader.done[n] for n in range(start, start + 24)]
        assert all(isinstance(done, LookupDone) and done.ok for done in found)
        values = [
            [entry.value for entry in done.entries]
            for done in found
            if isinstance(done, LookupDone)
        ]
        assert values == [[value] for value in words.values()]
    assert sum(index.pht.stats.splits for index in indexes) > 0
