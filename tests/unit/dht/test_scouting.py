"""Searches that ended up among nodes far from the key, and how they get out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from shoal.core import Family, InfoHash, SendDatagram
from shoal.dht import wire
from shoal.dht.config import DhtConfig
from shoal.dht.effects import Done, ValuesFound
from shoal.dht.engine import DhtEngine
from shoal.dht.scouting import AGAIN_AFTER, AT_ONCE, SCOUTS_MAX
from shoal.dht.value import Value
from shoal.sim import SeededEntropy
from tests.unit.dht.world import WALL_NOW, Stranger, answer

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

OWN: Final = InfoHash(bytes(20))
KEY: Final = InfoHash(b"\xff" * 20)
BESIDE_KEY: Final = InfoHash(b"\xfe" * 20)
WANTED: Final = Value(b"wanted", id=7)


class Region:
    """A node and those it knows, all on the side of the ring where the key is not.

    Eight stand a little nearer to the key than the *others*, so that a search asks them first.
    """

    def __init__(self, others: Iterable[InfoHash]) -> None:
        config = DhtConfig(node_id=OWN, families=(Family.IPV4,))
        self.engine = DhtEngine(config, SeededEntropy(5), 0.0, wall_offset=WALL_NOW)
        self.now = 0.0
        self.peers: list[Stranger] = []
        self.silent: set[InfoHash] = set()
        self.named: dict[InfoHash, Stranger] = {}  # whom a node tells of when asked for the key
        self.finds: list[InfoHash] = []  # who was asked where the key is
        self.events: list[object] = []
        self.front = [InfoHash(bytes([0x40 + number]) + bytes(19)) for number in range(8)]
        for node_id in [*self.front, *others]:
            self.meet(node_id)

    def stranger(self, node_id: InfoHash) -> Stranger:
        """Make a node that nobody knows yet."""
        peer = Stranger(self.engine, b"p", port=1000 + len(self.peers))
        peer.id = node_id
        self.peers.append(peer)
        return peer

    def meet(self, node_id: InfoHash) -> None:
        """Let the engine know a node that answers."""
        peer = self.stranger(node_id)
        self.exchange(self.engine.insert_node(peer.id, peer.addr, self.now))
        assert node_id in {
            node.id for bucket in self.engine.routing_table(Family.IPV4) for node in bucket.nodes
        }

    def get(self, op: int) -> None:
        """Look for what is at the key."""
        self.exchange(self.engine.get(op, KEY, self.now))

    def exchange(self, effects: Sequence[object]) -> None:
        """Let everybody answer until nothing more is asked."""
        waiting = list(effects)
        while waiting:
            effect = waiting.pop(0)
            if not isinstance(effect, SendDatagram):
                self.events.append(effect)
                continue
            message = wire.decode(effect.data).message
            peer = next(one for one in self.peers if one.addr == effect.addr)
            if isinstance(message, wire.Find) and message.target == KEY:
                self.finds.append(peer.id)
            if peer.id not in self.silent:
                for datagram in wire.encode(self.answer(message, peer)):
                    waiting += self.engine.receive(datagram, peer.addr, self.now)

    def answer(self, message: wire.Message, peer: Stranger) -> wire.Message:
        """Reply as *peer* does; the node beside the key has the value."""
        is_about_key = KEY in (getattr(message, "target", None), getattr(message, "key", None))
        closer = self.named.get(peer.id) if is_about_key else None
        nodes = wire.compact_nodes([(closer.id, closer.addr)]) if closer is not None else b""
        values = (WANTED,) if peer.id == BESIDE_KEY and isinstance(message, wire.Get) else ()
        return answer(message, peer, nodes4=nodes, values=values)

    def wait(self, seconds: float) -> None:
        """Let time pass."""
        end = self.now + seconds
        while (moment := self.engine.next_deadline()) is not None and moment <= end:
            self.now = max(self.now, moment)
            self.exchange(self.engine.advance(self.now))
        self.now = end

    def found(self, op: int) -> list[Value]:
        """Return what a get found; it must have ended well."""
        assert [event for event in self.events if isinstance(event, Done) and event.op == op]
        assert all(event.ok for event in self.events if isinstance(event, Done))
        found = [event for event in self.events if isinstance(event, ValuesFound)]
        return [value for event in found if event.op == op for value in event.values]


def other(number: int) -> InfoHash:
    """An id farther from the key than those of the front, each in a bucket of its own."""
    return InfoHash((1 << 157 - number).to_bytes(20))


def test_one_who_knows_the_other_side_leads_there() -> None:
    """A value at the far side is found although the eight nodes asked first know nobody there."""
    region = Region([other(0), other(1)])
    region.named[other(1)] = region.stranger(BESIDE_KEY)
    region.get(1)
    assert region.found(1) == [WANTED]
    assert region.finds == [other(1), other(0)]


def test_a_put_waits_for_the_way_out() -> None:
    """What is put goes to the node beside the key, and not only to those far from it."""
    region = Region([other(0)])
    beside = region.named[other(0)] = region.stranger(BESIDE_KEY)
    written: list[InfoHash] = []
    waiting = region.engine.put(1, KEY, Value(b"new", id=8), 0.0)
    while waiting:
        effect = waiting.pop(0)
        if isinstance(effect, SendDatagram):
            message = wire.decode(effect.data).message
            peer = next(one for one in region.peers if one.addr == effect.addr)
            written += [peer.id] if isinstance(message, wire.Put) else []
            for datagram in wire.encode(region.answer(message, peer)):
                waiting += region.engine.receive(datagram, peer.addr, 0.0)
    assert written[0] == beside.id
    assert len(written) == 8


def test_a_search_whose_nodes_stand_on_both_sides_asks_nobody_else() -> None:
    """One node beside the key is enough to know that there is no other region."""
    region = Region([other(0)])
    region.named[region.front[-1]] = region.stranger(BESIDE_KEY)
    region.get(1)
    assert region.found(1) == [WANTED]
    assert region.finds == []


def test_a_search_with_few_nodes_asks_nobody_else() -> None:
    """Seven nodes are all that can be asked; an eighth would be among them."""
    region = Region([])
    region.engine.send_failed(region.peers[0].addr, 0.0)
    region.get(1)
    assert region.found(1) == []
    assert region.finds == []


def test_silent_scouts_do_not_hold_up_a_get() -> None:
    """Those who leave an attempt unanswered are not waited for."""
    region = Region([other(number) for number in range(3)])
    region.silent = {other(0), other(2)}
    region.get(1)
    assert not [event for event in region.events if isinstance(event, Done)]
    region.wait(1.5)
    assert region.found(1) == []


def test_scouts_that_cannot_be_reached_do_not_hold_up_a_get() -> None:
    """The system says that there is no way to them."""
    region = Region([other(0)])
    region.silent = {other(0)}
    region.get(1)
    assert not [event for event in region.events if isinstance(event, Done)]
    region.exchange(region.engine.send_failed(region.peers[-1].addr, 0.0))
    assert region.found(1) == []


def test_what_leads_nowhere_is_not_tried_again_at_once() -> None:
    """Where nobody is beyond, as small networks may have it, a minute passes between attempts."""
    region = Region([other(0)])
    region.get(1)
    region.get(2)
    assert region.finds == [other(0)]
    region.wait(AGAIN_AFTER + 1.0)
    before = len(region.finds)
    region.get(3)
    assert region.finds[before:] == [other(0)]
    assert region.found(3) == []


def test_scouts_come_from_everywhere_and_not_in_any_number() -> None:
    """The first of each bucket, then the second; eight at once, 32 in all."""
    rows = [
        [InfoHash((8 + row << 154 - number).to_bytes(20)) for number in range(6)]
        for row in range(8)
    ]
    region = Region([node_id for row in rows for node_id in row])
    region.silent = {node_id for row in rows for node_id in row}
    region.get(1)
    assert len(region.finds) == AT_ONCE
    depths = [int.from_bytes(node_id).bit_length() for node_id in region.finds]
    assert len(set(depths)) == 6
    region.wait(30.0)
    assert region.found(1) == []
    assert len(set(region.finds)) == SCOUTS_MAX


def test_late_scouts_of_a_forgotten_search_are_nobodys() -> None:
    """A get that was cancelled meanwhile stays over."""
    region = Region([other(0)])
    region.silent = {other(0)}
    region.get(1)
    region.exchange(region.engine.cancel(1, 0.0))
    region.wait(2.0)
    assert not [event for event in region.events if isinstance(event, Done)]
