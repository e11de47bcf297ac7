"""Requests: their waits, their pace, and that each ends exactly once."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from shoal.core import Address, InfoHash, SendDatagram
from shoal.core.deadlines import Deadlines, Sleeper
from shoal.dht import wire
from shoal.dht.nodes import Node
from shoal.dht.requests import (
    BURST,
    IN_FLIGHT_MAX,
    IN_FLIGHT_PER_NODE,
    Pinger,
    Request,
    RequestEngine,
)
from shoal.sim import SeededEntropy

OWN = InfoHash(b"o" * 20)
ADDR = Address(bytes((192, 0, 2, 1)), 4222)
ELSEWHERE = Address(bytes((192, 0, 2, 2)), 4222)


@dataclass
class Diary:
    """An owner that notes what it hears."""

    entries: list[tuple[str, int]] = field(default_factory=list)

    def on_answer(self, request: Request, reply: wire.Reply, now: float) -> None:
        """Note an answer."""
        self.entries.append(("answer", request.tid))

    def on_refusal(self, request: Request, error: wire.Error, now: float) -> None:
        """Note a refusal."""
        self.entries.append(("refusal", request.tid))

    def on_slow(self, request: Request, now: float) -> None:
        """Note slowness."""
        self.entries.append(("slow", request.tid))

    def on_lost(self, request: Request, now: float) -> None:
        """Note a loss."""
        self.entries.append(("lost", request.tid))


class Bench:
    """A request engine with one node to ask."""

    def __init__(self, pace: int = 900) -> None:
        self.out: list[Any] = []
        self.wakeups: Deadlines[Sleeper] = Deadlines()
        self.engine = RequestEngine(
            self.out, self.wakeups, SeededEntropy(7), 0, pace, is_client=False
        )
        self.node = Node(InfoHash(b"n" * 20), ADDR, 100)
        self.diary = Diary()

    def ask(self, now: float = 0.0) -> Request:
        """Ping the node."""
        message = wire.Ping(self.node.take_tid(), OWN)
        return self.engine.ask(self.node, message, self.diary, 0, None, now)

    def sent(self) -> list[SendDatagram]:
        """Take what was sent since the last look."""
        found, self.out[:] = list(self.out), []
        return found

    def advance(self, now: float) -> None:
        """Let time pass."""
        while (sleeper := self.wakeups.pop_due(now)) is not None:
            sleeper.wake(now)


def test_three_attempts_with_doubling_waits() -> None:
    """1.0 to 1.25 s, 2.0 to 2.75 s, 4.0 to 5.75 s; the same bytes; then the node is lost."""
    bench = Bench()
    request = bench.ask()
    first = bench.sent()
    assert len(first) == 1
    moments = [0.0]
    while (moment := bench.wakeups.next()) is not None:
        moments.append(moment)
        bench.advance(moment)
        assert bench.sent() in (first, [])
    waits = [late - early for early, late in pairwise(moments)]
    assert 1.0 <= waits[0] <= 1.25
    assert 2.0 <= waits[1] <= 2.75
    assert 4.0 <= waits[2] <= 5.75
    assert bench.diary.entries == [("slow", request.tid), ("lost", request.tid)]
    assert bench.node.is_expired
    assert (bench.engine.stats.sent, bench.engine.stats.repeated) == (1, 2)
    assert bench.engine.stats.expired == 1
    assert not bench.node.pending


def test_an_answer_must_come_from_where_the_question_went() -> None:
    """Another address, another id or another tid is not an answer, and is counted."""
    bench = Bench()
    request = bench.ask()
    assert bench.engine.match(request.tid, bench.node, ELSEWHERE, 0.1) is None
    assert bench.engine.stats.misdirected == 1
    assert bench.engine.match(request.tid + 1, bench.node, ADDR, 0.1) is None
    assert bench.engine.match(request.tid, None, ADDR, 0.1) is None
    assert bench.engine.stats.unsolicited == 2
    assert bench.engine.match(request.tid, bench.node, ADDR, 0.1) is request
    assert bench.engine.match(request.tid, bench.node, ADDR, 0.2) is None  # once
    bench.advance(100.0)
    assert bench.diary.entries == []
    assert not bench.node.is_expired


def test_one_silence_fails_all_that_a_node_was_asked() -> None:
    """Reference section 1.12: the node expires, not only the request."""
    bench = Bench()
    requests = [bench.ask(now=index / 10) for index in range(3)]
    bench.sent()
    bench.advance(60.0)
    while (moment := bench.wakeups.next()) is not None:
        bench.advance(moment)
    lost = [tid for kind, tid in bench.diary.entries if kind == "lost"]
    assert sorted(lost) == sorted(request.tid for request in requests)


def test_questions_beyond_the_window_wait_for_answers() -> None:
    """No more than 32 are in flight to a node; each answer lets the next one go."""
    bench = Bench()
    requests = [bench.ask() for _ in range(IN_FLIGHT_PER_NODE + 5)]
    assert len(bench.sent()) == IN_FLIGHT_PER_NODE
    assert bench.engine.stats.delayed == 5
    for request in requests[:5]:
        assert bench.engine.match(request.tid, bench.node, ADDR, 0.01) is request
    assert len(bench.sent()) == 5
    assert bench.node.waiting is None


def test_the_pace_stays_below_what_nodes_accept() -> None:
    """With instant answers, no second sees more than 1,024 requests, and all go out."""
    bench = Bench()
    total = 2000
    pending = [bench.ask() for _ in range(total)]
    moments: list[float] = []
    now, answered = 0.0, 0
    while len(moments) < total:
        for datagram in bench.sent():
            assert datagram.addr == ADDR
            moments.append(now)
        for request in pending[answered : len(moments)]:
            assert bench.engine.match(request.tid, bench.node, ADDR, now) is request
            answered += 1
        if not bench.out:
            moment = bench.wakeups.next()
            assert moment is not None
            now = max(now, moment)
            bench.advance(now)
    for late in range(1024, total):  # any 1,025 in a row take longer than a second
        assert moments[late] - moments[late - 1024] >= 1.0
    assert moments[-1] <= (total - BURST) / 900 + 0.1


def test_without_a_pace_only_the_window_holds() -> None:
    """Private networks without rate limits need none."""
    bench = Bench(pace=-1)
    for _ in range(1000):
        bench.ask()
    assert len(bench.sent()) == IN_FLIGHT_PER_NODE


def test_dropped_requests_leave_room_and_no_trace() -> None:
    """Whoever cancels frees the window; a late answer is unsolicited."""
    bench = Bench()
    requests = [bench.ask() for _ in range(IN_FLIGHT_PER_NODE + 1)]
    bench.sent()
    bench.engine.drop(requests[0], 0.5)
    assert len(bench.sent()) == 1
    assert bench.engine.match(requests[0].tid, bench.node, ADDR, 0.6) is None
    bench.engine.drop(requests[0], 0.7)  # twice is harmless
    bench.engine.drop(requests[1], 0.7)
    assert bench.node.in_flight == IN_FLIGHT_PER_NODE - 1


def test_a_ping_by_address_is_matched_by_its_tid() -> None:
    """The id of whoever answers is not known before."""
    bench = Bench()
    ended: list[bool] = []

    def end(*, ok: bool) -> None:
        ended.append(ok)

    bench.engine.ask_address(wire.Ping(5, OWN), ADDR, Pinger(end), 0, 0.0)
    bench.engine.ask_address(wire.Ping(6, OWN), ELSEWHERE, Pinger(end), 0, 0.0)
    request = bench.engine.match(5, None, ADDR, 0.1)
    assert request is not None
    assert request.owner is not None
    request.owner.on_answer(request, wire.Reply(5, OWN, None, b"", b"", None, (), None, None), 0.1)
    while (moment := bench.wakeups.next()) is not None:
        bench.advance(moment)
    assert ended == [True, False]


@given(
    script=st.lists(
        st.tuples(st.sampled_from(["ask", "answer", "drop", "wait", "lose"]), st.integers(0, 30)),
        max_size=80,
    )
)
def test_every_request_ends_exactly_once(script: list[tuple[str, int]]) -> None:
    """Answered, dropped or lost: never two of them, never none in the end."""
    bench = Bench()
    requests: list[Request] = []
    quiet: set[int] = set()  # answered or dropped: the diary must not mention their end
    now = 0.0
    for what, number in script:
        if what == "ask":
            requests.append(bench.ask(now))
        elif what == "wait":
            now += number / 4
            bench.advance(now)
        elif what == "lose":
            bench.engine.node_is_lost(bench.node, now)
        elif requests:
            request = requests[number % len(requests)]
            was_over = request.is_over
            if what == "drop":
                bench.engine.drop(request, now)
            elif request.datagrams is not None:
                bench.engine.match(request.tid, bench.node, ADDR, now)
            if not was_over and request.is_over:
                quiet.add(request.tid)
    while (moment := bench.wakeups.next()) is not None:
        now = max(now, moment)
        bench.advance(now)
    lost = [tid for kind, tid in bench.diary.entries if kind == "lost"]
    assert len(lost) == len(set(lost))
    assert quiet.isdisjoint(lost)
    assert quiet.union(lost) == {request.tid for request in requests}
    assert bench.node.in_flight == 0
    assert bench.node.is_idle


def test_an_unreachable_address_fails_what_was_asked_of_it() -> None:
    """A ping of an address ends at once when the system says that nobody is there."""
    bench = Bench()
    for tid, addr in ((1, ADDR), (2, ELSEWHERE)):
        bench.engine.ask_address(wire.Ping(tid, OWN), addr, bench.diary, 0, 0.0)
    bench.engine.address_is_lost(ADDR, 0.5)
    bench.engine.address_is_lost(ADDR, 0.5)
    assert bench.diary.entries == [("lost", 1)]
    assert bench.engine.peek(1, None, ADDR) is None
    assert bench.engine.peek(2, None, ELSEWHERE) is not None


def test_all_nodes_together_get_no_more_than_fits_our_buffer() -> None:
    """256 requests are in flight at most; every node gets its share of what becomes free."""
    bench = Bench(pace=-1)
    nodes = [Node(InfoHash(bytes([number]) * 20), ADDR, 1) for number in range(1, 21)]
    waiting = 0
    for _ in range(40):
        for node in nodes:
            message = wire.Ping(node.take_tid(), OWN)
            bench.engine.ask(node, message, bench.diary, 0, None, 0.0)
            waiting += 1
    in_flight = len(bench.sent())
    assert in_flight == IN_FLIGHT_MAX
    waiting -= in_flight
    now = 0.0
    while waiting:
        now += 0.01
        for node in nodes:  # one answer of each, in turn
            if node.pending:
                tid = next(iter(node.pending))
                assert bench.engine.match(tid, node, ADDR, now) is not None
        sent = len(bench.sent())
        waiting -= sent
        assert sent > 0
        assert sum(node.in_flight for node in nodes) <= IN_FLIGHT_MAX
    assert all(node.waiting is None for node in nodes)
    for node in nodes:
        bench.engine.node_is_lost(node, now)
    assert all(node.is_idle for node in nodes)


def test_a_lost_node_makes_room_for_others() -> None:
    """When those that hold the window fall silent, the others' lines move on."""
    bench = Bench(pace=-1)
    silent = [Node(InfoHash(bytes([number]) * 20), ADDR, 1) for number in range(1, 9)]
    for _ in range(IN_FLIGHT_PER_NODE):
        for node in silent:
            bench.engine.ask(node, wire.Ping(node.take_tid(), OWN), None, 0, None, 0.0)
    request = bench.ask()
    assert len(bench.sent()) == IN_FLIGHT_MAX
    bench.engine.node_is_lost(silent[0], 1.0)
    (datagram,) = bench.sent()
    assert wire.decode(datagram.data).message == request.message


def test_the_silent_do_not_stop_us() -> None:
    """Requests to nodes that do not answer leave room for others after the first wait."""
    bench = Bench()
    for number in range(IN_FLIGHT_MAX):
        silent = Node(InfoHash.of(number.to_bytes(2)), ADDR, 1)
        bench.engine.ask(silent, wire.Ping(silent.take_tid(), OWN), None, 0, None, 0.0)
    bench.sent()
    bench.ask()
    assert bench.sent() == []
    bench.advance(1.3)
    assert bench.engine.stats.sent == IN_FLIGHT_MAX + 1


def test_updates_of_listeners_never_stop_us() -> None:
    """Others decide how many updates there are: thousands of silent listeners cost no question."""
    bench = Bench()
    for number in range(IN_FLIGHT_MAX):
        listener = Node(InfoHash.of(number.to_bytes(2)), ADDR, 1)
        update = wire.Update(listener.take_tid(), OWN, 1, b"", None, (), None, (1,), (), 1)
        bench.engine.ask(listener, update, None, 0, None, 0.0)
    bench.ask()
    assert bench.engine.stats.sent == IN_FLIGHT_MAX + 1
