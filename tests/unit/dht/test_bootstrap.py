"""Bootstrap: whom a node asks while it knows nobody, and when it stops."""

from __future__ import annotations

from shoal.core import Address
from shoal.dht import wire
from shoal.dht.bootstrap import WAIT_MAX
from shoal.dht.config import DhtConfig
from shoal.dht.effects import Done, ResolveHost
from shoal.dht.engine import DhtEngine
from shoal.sim import SeededEntropy
from tests.unit.dht.world import KEY, WALL_NOW, Stranger

HOST = ("boot.example", 4222)


class Lonely(Stranger):
    """Drives an engine whose bootstrap host is, or is not, the stranger."""

    def __init__(self) -> None:
        super().__init__(DhtEngine(DhtConfig(), SeededEntropy(3), 0.0, wall_offset=WALL_NOW), b"h")

    def questions(self) -> int:
        """Count how often the host's address was asked for."""
        return sum(isinstance(event, ResolveHost) for event in self.events)

    def answer(self, *addrs: Address) -> list[wire.Message]:
        """Answer such a question; return what is sent here."""
        return self.read(list(self.engine.resolved(*HOST, list(addrs), self.now)))

    def welcome(self, ping: wire.Message) -> None:
        """Answer a ping."""
        self.say(wire.Reply(ping.tid, self.id, None, b"", b"", None, (), None, None))


def test_the_host_is_asked_ever_more_rarely_up_to_once_a_day() -> None:
    """At 0, 10, 30, 70 ... seconds; nobody answers; 24 hours are the longest wait."""
    lonely = Lonely()
    lonely.read(list(lonely.engine.bootstrap([HOST], 0.0)))
    moments = [0.0]
    while len(moments) < 18:
        lonely.answer()
        deadline = lonely.engine.next_deadline()
        assert deadline is not None
        before = lonely.questions()
        lonely.wait(deadline - lonely.now)
        if lonely.questions() > before:
            moments.append(lonely.now)
    assert moments[:4] == [0.0, 10.0, 30.0, 70.0]
    assert moments[-1] - moments[-2] == WAIT_MAX


def test_a_connection_ends_the_questions() -> None:
    """And so it does when more hosts are named while connected."""
    lonely = Lonely()
    lonely.read(list(lonely.engine.bootstrap([HOST], 0.0)))
    (ping,) = lonely.answer(lonely.addr)
    lonely.welcome(ping)
    lonely.read(list(lonely.engine.bootstrap([("other.example", 1)], 0.0)))
    assert lonely.questions() == 3
    for _ in range(20):
        for question in lonely.wait(15.0):
            if isinstance(question, wire.Find):
                lonely.say(
                    wire.Reply(question.tid, lonely.id, None, b"", b"", b"t" * 32, (), None, None)
                )
    assert lonely.questions() == 3


def test_hosts_can_be_forgotten() -> None:
    """Late addresses of theirs are not pinged, and nothing waits for them."""
    lonely = Lonely()
    lonely.read(list(lonely.engine.bootstrap([HOST], 0.0)))
    lonely.read(list(lonely.engine.get(1, KEY, 0.0)))
    assert not [event for event in lonely.events if isinstance(event, Done)]
    lonely.read(list(lonely.engine.clear_bootstrap(0.0)))
    assert [event.ok for event in lonely.events if isinstance(event, Done)] == [False]
    assert lonely.answer(lonely.addr) == []
    lonely.wait(100.0)
    assert lonely.questions() == 1


def test_addresses_that_no_node_can_have_are_not_pinged() -> None:
    """Names may stand for anything."""
    lonely = Lonely()
    lonely.read(list(lonely.engine.bootstrap([HOST], 0.0)))
    before = lonely.engine.stats.sent
    lonely.answer(Address(bytes(4), 4222), Address(b"\xff" * 16, 4222), Address(lonely.addr.ip, 0))
    assert lonely.engine.stats.sent == before
