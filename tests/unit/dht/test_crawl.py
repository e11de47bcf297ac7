"""The crawl: finds everybody, politely, and believes nobody blindly."""

from __future__ import annotations

import heapq
import random
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shoal.core import Address, Family, InfoHash, SendDatagram
from shoal.dht import wire
from shoal.dht.crawl import (
    ANSWER_WAIT,
    IN_FLIGHT_MAX,
    MORE_PER_NODE,
    CrawlEnded,
    CrawlEngine,
    Effect,
    NodeAnswered,
)
from tests import engine_laws

if TYPE_CHECKING:
    from collections.abc import Iterable


class Chance:
    """Entropy from a seed."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)  # noqa: S311 - seeded on purpose

    def token_bytes(self, length: int) -> bytes:
        """Return bytes."""
        return self._random.randbytes(length)

    def below(self, bound: int) -> int:
        """Return a number below *bound*."""
        return self._random.randrange(bound)

    def uniform(self, low: float, high: float) -> float:
        """Return a number between *low* and *high*."""
        return self._random.uniform(low, high)


class World:
    """Nodes that answer a `find` as real ones do, and a clock that jumps."""

    def __init__(self, count: int, silent: int = 0) -> None:
        chance = Chance(count)
        self.nodes = {
            Address(bytes([10, 0, n // 256, n % 256]), 4222): InfoHash(chance.token_bytes(20))
            for n in range(count)
        }
        self.silent = set(list(self.nodes)[count - silent :])
        self.asked: list[tuple[float, Address]] = []
        self.events: list[Effect] = []
        self.now = 0.0
        self._wire: list[tuple[float, int, bytes, Address]] = []

    @property
    def seed(self) -> Address:
        """Where a crawl begins."""
        return next(iter(self.nodes))

    def run(self, engine: CrawlEngine, seeds: Iterable[Address]) -> None:
        """Play until nothing is left to do."""
        self.take(engine.start(seeds, self.now))
        while True:
            deadline = engine.next_deadline()
            arrival = self._wire[0][0] if self._wire else None
            if deadline is None and arrival is None:
                return
            if arrival is not None and (deadline is None or arrival <= deadline):
                self.now, _, data, source = heapq.heappop(self._wire)
                self.take(engine.receive(data, source, self.now))
            else:
                assert deadline is not None
                self.now = max(self.now, deadline)
                self.take(engine.advance(self.now))

    def take(self, effects: Iterable[Effect]) -> None:
        """Deliver questions, and queue what is answered 50 ms later."""
        for effect in effects:
            if not isinstance(effect, SendDatagram):
                self.events.append(effect)
                continue
            self.asked.append((self.now, effect.addr))
            if effect.addr not in self.silent:
                answer = self.answer(effect)
                heapq.heappush(self._wire, (self.now + 0.05, len(self.asked), answer, effect.addr))

    def answer(self, question: SendDatagram) -> bytes:
        """Return the eight nodes closest to the target."""
        find, network, is_client, _ = wire.decode(question.data)
        assert isinstance(find, wire.Find)
        assert is_client
        known = self.known_to(question.addr)
        closest = sorted(known, key=lambda n: find.target.distance(n[1]))[:8]
        nodes = wire.compact_nodes((node_id, addr) for addr, node_id in closest)
        sender = self.nodes[question.addr]
        reply = wire.Reply(find.tid, sender, None, nodes, b"", b"t" * 32, (), None, None)
        (datagram,) = wire.encode(reply, network=network)
        return datagram

    def known_to(self, addr: Address) -> list[tuple[Address, InfoHash]]:
        """Return whom the node at *addr* knows: here everybody."""
        return list(self.nodes.items())

    def answered(self) -> dict[Address, InfoHash]:
        """Return the nodes that were found."""
        return {e.addr: e.node_id for e in self.events if isinstance(e, NodeAnswered)}


def test_everybody_is_found() -> None:
    """From one seed, in a network far larger than any answer."""
    world = World(500)

    world.run(CrawlEngine(Chance(1), network=9, rate=1000), [world.seed])

    assert world.answered() == world.nodes
    assert world.events[-1] == CrawlEnded(500, 0)


class DividedWorld(World):
    """Two halves that do not know each other, as in a young network; only the seed knows both."""

    def known_to(self, addr: Address) -> list[tuple[Address, InfoHash]]:
        """Leave out the other half."""
        half = self.nodes[addr][0] >> 7
        return [
            (other, node_id)
            for other, node_id in self.nodes.items()
            if addr == self.seed or node_id[0] >> 7 == half
        ]


def test_what_only_one_node_knows_is_found() -> None:
    """Many who cannot help must not keep it from being asked."""
    for seed in range(5):
        world = DividedWorld(60)

        world.run(CrawlEngine(Chance(seed), rate=1000), [world.seed])

        assert world.answered() == world.nodes


def test_a_node_is_asked_a_few_times_at_most() -> None:
    """And nobody is asked faster than the rate allows."""
    world = World(200)

    world.run(CrawlEngine(Chance(2), rate=10), [world.seed])

    by_node: dict[Address, int] = {}
    for _, addr in world.asked:
        by_node[addr] = by_node.get(addr, 0) + 1
    assert max(by_node.values()) <= 2 + MORE_PER_NODE  # the seed is asked once more than others
    assert len(world.asked) < 6 * 200
    moments = [moment for moment, _ in world.asked]
    assert all(sum(m <= x < m + 1.0 for x in moments) <= 11 for m in moments)


def test_silent_nodes_are_tried_twice_and_counted() -> None:
    """The walk goes on around them, and ends."""
    world = World(100, silent=10)

    world.run(CrawlEngine(Chance(3), rate=1000), [world.seed])

    assert set(world.answered()) == set(world.nodes) - world.silent
    assert world.events[-1] == CrawlEnded(90, 10)
    assert sum(addr in world.silent for _, addr in world.asked) == 20


def test_a_node_that_falls_silent_meanwhile_was_there() -> None:
    """It answered once; that the rest goes unanswered doesn't make it silent."""
    world = World(3)
    engine = CrawlEngine(Chance(11), rate=1000)
    answers = 0
    effects = engine.start([world.seed], 0.0)
    while (deadline := engine.next_deadline()) is not None:
        for effect in list(effects):
            if isinstance(effect, SendDatagram) and effect.addr == world.seed and answers < 2:
                answers += 1
                effects += engine.receive(world.answer(effect), effect.addr, deadline)
        effects = engine.advance(deadline)

    assert effects[-1] == CrawlEnded(1, 2)


def test_without_an_answering_seed_it_ends() -> None:
    """After both attempts; without seeds, and with seeds of another family, at once."""
    world = World(3, silent=3)
    world.run(CrawlEngine(Chance(4)), [world.seed])
    assert world.events == [CrawlEnded(0, 1)]
    assert world.now >= 2 * ANSWER_WAIT

    assert CrawlEngine(Chance(4)).start([], 0.0) == [CrawlEnded(0, 0)]
    only_ipv6 = CrawlEngine(Chance(4), families=[Family.IPV6])
    assert only_ipv6.start([world.seed], 0.0) == [CrawlEnded(0, 0)]


def test_the_number_of_nodes_is_bounded() -> None:
    """A liar could name millions."""
    world = World(100)
    engine = CrawlEngine(Chance(5), rate=1000, nodes_max=20)

    world.run(engine, [world.seed])

    assert 20 <= len(world.answered()) <= 21  # the seed is not named by anybody
    assert engine.stats.left_out > 0


def test_only_whom_we_asked_may_answer() -> None:
    """Another address, another network, another message: dropped and counted."""
    world = World(3)
    engine = CrawlEngine(Chance(6), network=9)
    (question,) = engine.start([world.seed], 0.0)
    assert isinstance(question, SendDatagram)
    answer = world.answer(question)
    stranger = Address.parse("192.0.2.1", 1)

    assert engine.receive(answer, stranger, 0.1) == []
    assert engine.receive(answer.replace(b"\xa1n\x09", b"\xa1n\x08"), world.seed, 0.1) == []
    assert engine.receive(question.data, world.seed, 0.1) == []
    assert engine.receive(b"\xc1", world.seed, 0.1) == []
    assert (engine.stats.unsolicited, engine.stats.malformed) == (3, 1)
    assert any(isinstance(e, NodeAnswered) for e in engine.receive(answer, world.seed, 0.1))


def test_impossible_addresses_are_not_asked() -> None:
    """Loopback stands for the sender's own machine; port 0 and multicast for nobody."""
    engine = CrawlEngine(Chance(7), rate=1000)
    seed = Address.parse("192.0.2.1", 4222)
    (question,) = engine.start([seed], 0.0)
    assert isinstance(question, SendDatagram)
    tid = wire.decode(question.data).message.tid
    addrs = [("127.0.0.1", 5), ("192.0.2.9", 0), ("224.0.0.1", 5), ("0.0.0.0", 5)]  # noqa: S104
    nodes = [(InfoHash.of(host.encode()), Address.parse(host, port)) for host, port in addrs]
    six = [("::1", 6), ("ff02::1", 6)]
    nodes6 = [(InfoHash.of(host.encode()), Address.parse(host, port)) for host, port in six]
    lists = (wire.compact_nodes(nodes), wire.compact_nodes(nodes6))
    reply = wire.Reply(tid, InfoHash.of(b"seed"), None, *lists, b"t" * 32, (), None, None)

    asked = engine.receive(wire.encode(reply)[0], seed, 0.1) + engine.advance(10.0)

    targets = {effect.addr for effect in asked if isinstance(effect, SendDatagram)}
    assert targets >= {Address.parse("192.0.2.1", 5), Address.parse("::1", 6)}
    assert targets <= {seed, Address.parse("192.0.2.1", 5), Address.parse("::1", 6)}


def test_transaction_ids_are_unique() -> None:
    """A source of chance that repeats itself must not lose a question."""

    class Stutter(Chance):
        drawn = 0

        def below(self, bound: int) -> int:
            """Return each number three times."""
            self.drawn += 1
            return self.drawn // 3

    seeds = [Address.parse("192.0.2.1", port) for port in (1, 2, 3, 4)]
    engine = CrawlEngine(Stutter(9), rate=1000)
    asked = engine.start(seeds, 0.0)
    while len(asked) < len(seeds):
        moment = engine.next_deadline()
        assert moment is not None
        asked += engine.advance(moment)

    tids = [wire.decode(e.data).message.tid for e in asked if isinstance(e, SendDatagram)]
    assert len(set(tids)) == len(seeds)


def test_a_list_of_nodes_that_cannot_be_read_is_counted() -> None:
    """The answer counts all the same: somebody is there."""
    engine = CrawlEngine(Chance(10), families=[Family.IPV4])
    seed = Address.parse("192.0.2.1", 4222)
    (question,) = engine.start([seed], 0.0)
    assert isinstance(question, SendDatagram)
    tid = wire.decode(question.data).message.tid
    six = wire.compact_nodes([(InfoHash.of(b"x"), Address.parse("2001:db8::1", 1))])
    lists = (b"seven b", six)
    reply = wire.Reply(tid, InfoHash.of(b"seed"), None, *lists, b"t" * 32, (), None, None)

    effects = engine.receive(wire.encode(reply)[0], seed, 0.1)

    assert engine.stats.malformed == 1
    assert any(isinstance(effect, NodeAnswered) for effect in effects)
    targets = [effect.addr for effect in effects if isinstance(effect, SendDatagram)]
    assert targets == [seed]  # a family that we don't walk is not asked


@given(st.binary(max_size=200))
def test_any_bytes_never_raise(noise: bytes) -> None:
    """What a peer sends is not our error."""
    engine = CrawlEngine(Chance(8))
    seed = Address.parse("192.0.2.1", 4222)
    engine.start([seed], 0.0)

    assert isinstance(engine.receive(noise, seed, 0.1), list)


def _reply(sender: int, nodes: list[tuple[int, int]]) -> bytes:
    """An answer to whatever has the transaction id 0, which chance may well draw."""
    compact = wire.compact_nodes(
        (InfoHash(bytes([first]) * 20), Address(bytes([203, 0, 113, last]), 4000 + last))
        for first, last in nodes
    )
    node_id = InfoHash(bytes([sender]) * 20)
    return wire.encode(wire.Reply(0, node_id, None, compact, b"", b"t", (), None, None))[0]


NODES_MAX = 5
CASE = engine_laws.Case(
    make=lambda entropy: CrawlEngine(entropy, rate=10, nodes_max=NODES_MAX),
    commands=(lambda engine, op, addrs, now: engine.start(addrs, now),),
    datagrams=st.builds(
        _reply, st.integers(0, 255), st.lists(st.tuples(st.integers(0, 255), st.integers(1, 3)))
    ),
    effects=(SendDatagram, NodeAnswered, CrawlEnded),
    sizes=lambda engine: {
        # Whoever answers is counted, named or not: at most whom we asked, seeds included.
        "seen": (len(engine._seen), NODES_MAX + 3),  # noqa: SLF001
        "sent": (len(engine._sent), IN_FLIGHT_MAX),  # noqa: SLF001
    },
    start=lambda engine, addrs, now: engine.start(addrs, now),
)


@pytest.mark.parametrize("law", engine_laws.LAWS, ids=lambda law: law.__name__)
def test_laws(law: engine_laws.Law[CrawlEngine]) -> None:
    """All that is promised of engines."""
    law(CASE)
