"""Requests to DHT nodes: paced, sent, repeated, then answered or expired.

Theory of operation. A request waits in its node's line until the node may be asked again (not
too many in flight, not faster than nodes accept); then it is sent up to three times
(reference section 1.12). Its owner hears one of: answered, refused, expired. Between, `on_slow`
is told once, when the second attempt leaves, so that the owner may ask somebody else meanwhile.
When the last attempt goes unanswered the node itself is expired, and with it all it was asked.

The pace is ours: nodes drop what exceeds 1,024 requests per second and address, so that bulk work
sent at once would be lost; waiting our turn is faster than being repeated.
"""

from __future__ import annotations

from collections import deque
from functools import partial
from math import inf
from typing import Final, Protocol

from shoal.core import Address, Entropy, InfoHash, SendDatagram
from shoal.core.deadlines import Call, Deadlines, Sleeper
from shoal.core.records import dataclass
from shoal.dht import wire
from shoal.dht.nodes import Node

ATTEMPTS_MAX: Final = 3  # OpenDHT request.h: MAX_ATTEMPT_COUNT
FIRST_WAIT: Final = 0.5  # seconds; doubled, plus jitter, before each attempt; reference 1.12
JITTER: Final = 0.25  # seconds; reference 1.12
IN_FLIGHT_PER_NODE: Final = 32  # ours: no node is to get more at once from us than others leave it
IN_FLIGHT_MAX: Final = 256  # ours: their answers fit the default UDP receive buffer of Linux
BURST: Final = 100.0  # ours: requests that may leave at once before the pace holds

_new: Final = tuple.__new__  # skips the Python-level __new__ of NamedTuples, half their cost
PING_ID: Final = InfoHash(bytes(20))  # stands for the unknown id of a node pinged by address


class Owner(Protocol):
    """Whoever made a request and wants to hear how it ended."""

    def on_answer(self, request: Request, reply: wire.Reply, now: float) -> None:
        """The node replied."""

    def on_refusal(self, request: Request, error: wire.Error, now: float) -> None:
        """The node answered with an error that ends the request."""

    def on_slow(self, request: Request, now: float) -> None:
        """The first attempt went unanswered."""

    def on_lost(self, request: Request, now: float) -> None:
        """No attempt was answered, or the node became unreachable."""


class PingEnd(Protocol):
    """Told how a ping ended."""

    def __call__(self, *, ok: bool) -> None:
        """The ping was answered, or not."""


class Request:
    """One question to one node."""

    __slots__ = ("asked_at", "attempts", "context", "datagrams", "deadline", "engine", "is_counted",
                 "is_over", "message", "node", "owner", "purpose", "tid", "wait")  # fmt: skip

    def __init__(
        self,
        engine: RequestEngine,
        node: Node,
        message: wire.Message,
        owner: Owner | None,
        purpose: int,
        context: object,
        now: float,
    ) -> None:
        self.engine = engine
        self.node = node
        self.asked_at = now
        self.message = message
        self.owner = owner
        self.purpose = purpose  # the owner's own kinds of question
        self.context = context
        self.tid = message.tid
        self.datagrams: list[bytes] | None = None
        self.attempts = 0
        self.wait = FIRST_WAIT
        self.deadline = inf
        self.is_over = False
        # Whether an answer may come at any moment that the receive buffer must have room for. How
        # many updates there are is up to others, and their answers are small.
        self.is_counted = type(message) is not wire.Update

    def wake(self, now: float) -> None:
        """Notice that no answer came."""
        if not self.is_over and self.deadline <= now:
            self.engine.overdue(self, now)


@dataclass(slots=True)
class RequestStats:
    """Counters; each says what one increment means."""

    sent: int = 0  # a request left for the first time
    repeated: int = 0  # a request left once more
    answered: int = 0  # a reply ended a request
    refused: int = 0  # an error ended a request
    expired: int = 0  # a request got no answer to any attempt
    delayed: int = 0  # a request had to wait for its turn
    unsolicited: int = 0  # a reply or error matched no request
    misdirected: int = 0  # a reply matched a request, but not the address it was sent to


class RequestEngine:
    """Decides when to send, when to repeat and when to give up.

    Datagrams to send are appended to *out*, which the owner of this engine empties.
    """

    def __init__(
        self,
        out: list[object],
        wakeups: Deadlines[Sleeper],
        entropy: Entropy,
        network: int,
        pace: int,
        *,
        is_client: bool,
    ) -> None:
        self.stats = RequestStats()
        self._out = out
        self._entropy = entropy
        self._network = network
        self._is_client = is_client
        self._interval = 1.0 / pace if pace > 0 else 0.0
        self._in_flight = 0
        self._crowd: deque[Node] | None = None  # nodes whose lines wait for others' answers
        self._wakeups = wakeups
        self._pings: dict[int, Request] = {}  # to addresses whose node id is not known yet

    def ask(
        self,
        node: Node,
        message: wire.Message,
        owner: Owner | None,
        purpose: int,
        context: object,
        now: float,
    ) -> Request:
        """Send *message* (made with `node.take_tid()`) when it is the node's turn."""
        request = Request(self, node, message, owner, purpose, context, now)
        if node.waiting is None and self._has_room(request) and self._may_leave(node, now):
            self._send_first(request, now)
        else:
            self._enqueue(request, now)
        return request

    def ask_address(
        self, message: wire.Message, addr: Address, owner: Owner, purpose: int, now: float
    ) -> Request:
        """Ping *addr*, whose node id is not known yet; the reply is matched by its id alone."""
        stranger = Node(PING_ID, addr, 1)
        request = Request(self, stranger, message, owner, purpose, None, now)
        self._pings[request.tid] = request
        self._send_first(request, now)
        return request

    def drop(self, request: Request, now: float) -> None:
        """Forget *request*: its owner no longer cares. A late answer counts as unsolicited."""
        self._close(request)
        self._serve(request.node, now)

    def match(self, tid: int, sender: Node | None, addr: Address, now: float) -> Request | None:
        """Take the request that this answer ends; None (and counted) if there is none."""
        request = self.peek(tid, sender, addr)
        if request is not None:
            self.stats.answered += 1
            self._close(request)
            self._serve(request.node, now)
        return request

    def peek(self, tid: int, sender: Node | None, addr: Address) -> Request | None:
        """Return the request that an answer is about, and leave it open."""
        request = None
        if sender is not None and sender.pending:
            request = sender.pending.get(tid)
        if request is None:
            request = self._pings.get(tid)
        if request is None:
            self.stats.unsolicited += 1
            return None
        if request.node.addr != addr:
            self.stats.misdirected += 1
            return None
        return request

    def node_is_lost(self, node: Node, now: float) -> None:
        """Expire *node*: all that it was asked fails at once (reference section 1.12)."""
        node.lose(now)
        doomed = list(node.pending.values()) if node.pending else []
        doomed += node.waiting or []
        node.waiting = None
        for request in doomed:
            if not request.is_over:
                self._close(request)
                if request.owner is not None:
                    request.owner.on_lost(request, now)
        self._serve_crowd(now)

    def address_is_lost(self, addr: Address, now: float) -> None:
        """Fail at once what was asked of *addr* without knowing who is there."""
        for request in [one for one in self._pings.values() if one.node.addr == addr]:
            self.node_is_lost(request.node, now)
            self._close(request)
            if request.owner is not None:
                request.owner.on_lost(request, now)

    def overdue(self, request: Request, now: float) -> None:
        """No answer came in time: ask once more, or give the node up."""
        if request.attempts < ATTEMPTS_MAX:
            self._repeat(request, now)
            return
        self.stats.expired += 1
        self._close(request)
        self.node_is_lost(request.node, now)
        if request.owner is not None:
            request.owner.on_lost(request, now)

    def _has_room(self, request: Request) -> bool:
        return request.node.in_flight < IN_FLIGHT_PER_NODE and not self._is_crowded_out(request)

    def _is_crowded_out(self, request: Request) -> bool:
        return request.is_counted and self._in_flight >= IN_FLIGHT_MAX

    def _may_leave(self, node: Node, now: float) -> bool:
        """Take one turn of *node*: a leaky bucket that holds `BURST` requests."""
        pulse = max(node.pulse, now - BURST * self._interval)
        if pulse > now:
            return False
        node.pulse = pulse + self._interval
        return True

    def _enqueue(self, request: Request, now: float) -> None:
        node = request.node
        self.stats.delayed += 1
        if node.waiting is None:
            node.waiting = deque()
            if self._is_crowded_out(request):
                self._join_crowd(node)
            elif node.in_flight < IN_FLIGHT_PER_NODE:  # else its next answer serves the line
                self._schedule_turn(node, now)
        node.waiting.append(request)

    def _schedule_turn(self, node: Node, now: float) -> None:
        """Serve the line of *node* when its pace allows; one wake-up is enough."""
        if not node.has_turn:
            node.has_turn = True
            self._wakeups.add(max(node.pulse, now), Call(partial(self._take_turn, node)))

    def _take_turn(self, node: Node, now: float) -> None:
        node.has_turn = False
        self._serve_line(node, now)

    def _serve(self, node: Node, now: float) -> None:
        """The end of a request to *node* made room: for whoever waits longest."""
        if not self._crowd:
            self._serve_line(node, now)
            return
        if node.waiting:
            self._join_crowd(node)
        self._serve_crowd(now)

    def _serve_crowd(self, now: float) -> None:
        while self._crowd and self._in_flight < IN_FLIGHT_MAX:
            node = self._crowd.popleft()
            node.has_turn = False
            self._serve_line(node, now)

    def _join_crowd(self, node: Node) -> None:
        if not node.has_turn:
            node.has_turn = True
            if self._crowd is None:
                self._crowd = deque()
            self._crowd.append(node)

    def _serve_line(self, node: Node, now: float) -> None:
        """Let waiting requests leave, as far as pace and windows allow."""
        while node.waiting:
            if node.waiting[0].is_over:
                node.waiting.popleft()
            elif not self._has_room(node.waiting[0]):
                break
            elif self._may_leave(node, now):
                self._send_first(node.waiting.popleft(), now)
            else:
                self._schedule_turn(node, now)
                return
        if not node.waiting:
            node.waiting = None
        elif self._is_crowded_out(node.waiting[0]):
            self._join_crowd(node)

    def _send_first(self, request: Request, now: float) -> None:
        node = request.node
        if request.tid not in self._pings or self._pings[request.tid] is not request:
            if node.pending is None:
                node.pending = {}
            node.pending[request.tid] = request
        node.in_flight += 1
        self._in_flight += request.is_counted
        self.stats.sent += 1
        request.datagrams = wire.encode(
            request.message, network=self._network, is_client=self._is_client
        )
        self._attempt(request, now)

    def _repeat(self, request: Request, now: float) -> None:
        self.stats.repeated += 1
        self._attempt(request, now)
        self._count_no_more(request)
        self._serve_crowd(now)
        if request.attempts == 2 and request.owner is not None:  # noqa: PLR2004 - the second
            request.owner.on_slow(request, now)

    def _attempt(self, request: Request, now: float) -> None:
        request.attempts += 1
        request.wait = 2 * request.wait + self._entropy.uniform(0, JITTER)
        request.deadline = now + request.wait
        self._wakeups.add(request.deadline, request)
        addr = request.node.addr
        for datagram in request.datagrams or ():
            self._out.append(_new(SendDatagram, (datagram, addr)))

    def _count_no_more(self, request: Request) -> None:
        """Its answer came, or nobody expects one any more: the silent must not stop the others."""
        self._in_flight -= request.is_counted
        request.is_counted = False

    def _close(self, request: Request) -> None:
        if request.is_over:
            return
        request.is_over = True
        node = request.node
        if request.datagrams is not None:
            request.datagrams = None
            node.in_flight -= 1
            self._count_no_more(request)
        if self._pings.get(request.tid) is request:
            del self._pings[request.tid]
        elif node.pending:
            node.pending.pop(request.tid, None)
            if not node.pending:
                node.pending = None  # an empty dictionary keeps the room it once needed


class Pinger:
    """An owner that only wants to know whether anybody answers."""

    __slots__ = ("_end",)

    def __init__(self, end: PingEnd) -> None:
        self._end = end

    def on_answer(self, request: Request, reply: wire.Reply, now: float) -> None:
        """Somebody is there."""
        self._end(ok=True)

    def on_refusal(self, request: Request, error: wire.Error, now: float) -> None:
        """Somebody is there."""
        self._end(ok=True)

    def on_slow(self, request: Request, now: float) -> None:
        """Patience."""

    def on_lost(self, request: Request, now: float) -> None:
        """Nobody answered."""
        self._end(ok=False)
