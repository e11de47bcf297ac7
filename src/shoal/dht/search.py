"""A search: the nodes around one key in one family, and what is wanted of them.

Theory of operation (reference section 3.5). A search keeps the 14 usable nodes closest to its key
that it has heard of. It asks the closest ones, learns closer ones from their answers, and so
converges; what callers want of the key is carried out on the way:

- a *get* is asked of each of the first 8 nodes, and ends when all of them answered;
- a *put* goes to each of the first 8, a *listen* to the first 4, each once a node's token is known.

Two things make it cheaper than asking everybody first. Tokens belong to a node and not to a key, so
one that is fresh from elsewhere spares a question. And once the `QUORUM` nodes closest to the key
have answered, nobody closer is to be expected: the others need not be asked before writing.

A node that leaves an attempt unanswered is passed over (*slow*) until it answers; one that leaves
all unanswered is *expired*. A search whose nodes are all expired gives up. One whose nodes all
stand where the key is not asks elsewhere before it believes them (see scouting.py).
"""

from __future__ import annotations

from bisect import bisect_left
from math import inf
from typing import TYPE_CHECKING, Final

from shoal.dht import wire
from shoal.dht.announcing import announce, next_announcement
from shoal.dht.listening import Listening
from shoal.dht.query import Condition, Field, Query
from shoal.dht.runs import Purpose, Run, SearchState, keep
from shoal.dht.scouting import SCOUT, Scouting, is_astray

if TYPE_CHECKING:
    from shoal.core import InfoHash
    from shoal.dht.nodes import Node
    from shoal.dht.operations import GetOperation, PutOperation
    from shoal.dht.requests import Request
    from shoal.dht.side import Side

WIDTH: Final = 14  # OpenDHT search.h: SEARCH_NODES
TARGETS: Final = 8  # OpenDHT routing_table.h: TARGET_NODES
ALPHA: Final = 4  # OpenDHT dht.h: MAX_REQUESTED_SEARCH_NODES
QUORUM: Final = 2  # as OpenDHT: two nodes that agree on who is closest
SYNCED_WITHIN: Final = 10 * 60.0  # OpenDHT node.h: NODE_EXPIRE_TIME
IDLE_KEPT: Final = 62 * 60.0  # OpenDHT search.h: SEARCH_EXPIRE_TIME
PATIENCE: Final = 1.0  # ours: how often a search without usable nodes looks at them again
LARGE: Final = 16 * 1024  # ours: bytes at one key from which a get goes value by value
IDS: Final = (Field.ID,)
ANYTHING: Final = Query()
PAGE_MAX: Final = 4096  # ours: values of one node fetched one by one

ANSWERS_MAX: Final = 256  # ours: nodes that may answer a get; liars can name closer ones for ever
RETRY_FIRST: Final = 10.0  # ours: seconds until a lasting search that found nobody tries again
RETRY_MAX: Final = 300.0  # ours: doubled up to here

FIND, GET, PAGE = range(3)  # purposes of requests


class SearchNode:
    """A node in one search, and how far it has been used."""

    __slots__ = ("acks", "answered_in", "asked_in", "asking", "distance", "node", "pages", "probes",
                 "replied_at", "slow", "writing")  # fmt: skip

    def __init__(self, node: Node, distance: int) -> None:
        self.node = node
        self.distance = distance
        self.slow: Request | None = None  # left an attempt unanswered; matters while it is open
        self.replied_at = -inf  # last answer to a find or get of this search
        self.asking: dict[GetOperation | None, Request] | None = None  # under None: a find
        self.pages: dict[GetOperation, int] | None = None  # values still to come one by one
        self.writing: dict[int, Request] | None = None  # puts, refreshes and probes by value id
        self.acks: dict[int, float] | None = None  # when each value kept there wants a reminder
        self.probes: dict[int, int | None] | None = None  # seq that a probe found; None: absent
        self.asked_in: Run | None = None  # the last run that asked it
        self.answered_in: Run | None = None

    @property
    def is_bad(self) -> bool:
        """Passed over for now."""
        return self.node.is_expired or (self.slow is not None and not self.slow.is_over)

    def forget_value(self, value_id: int) -> None:
        """Forget whether the node keeps a value."""
        if self.acks:
            self.acks.pop(value_id, None)
        if self.probes:
            self.probes.pop(value_id, None)

    def is_synced(self, now: float) -> bool:
        """It answered this search lately, and we may write to it."""
        return now - self.replied_at <= SYNCED_WITHIN and self.node.fresh_token(now) is not None


class Search:
    """Everything under way about one key in one family."""

    __slots__ = ("_distances", "_retry_wait", "_scouting", "_wake_at", "gets", "heard",
                 "is_expired", "is_gone", "is_locating", "key", "listenings", "nodes", "number",
                 "puts", "refilled_at", "run", "side", "used_at")  # fmt: skip

    is_over = False  # it always wants to be woken

    def __init__(self, key: InfoHash, side: Side, now: float) -> None:
        self.key = key
        self.number = int.from_bytes(key)
        self.side = side
        self.nodes: list[SearchNode] = []
        self._distances: list[int] = []  # parallel to nodes
        self.gets: list[GetOperation] = []
        self.puts: dict[int, PutOperation] = {}
        self.listenings: dict[Query, Listening] = {}
        # Ids that answers named and that have been judged: the same ones are named again and again.
        # Looked into only; emptied when a node drops out, for others may be wanted then.
        self.heard: set[bytes] = set()
        self.is_expired = False
        self.is_gone = False  # forgotten; late answers find nobody
        self.is_locating = False
        self.used_at = now
        self.refilled_at = -inf
        self._retry_wait = RETRY_FIRST
        self._wake_at = inf
        self._scouting: Scouting | None = None
        self.run = Run(key, side.family, now)

    @property
    def is_attached(self) -> bool:
        """Whether anybody wants anything of this search."""
        return bool(self.gets or self.puts or self.listenings or self.is_locating)

    @property
    def is_spare(self) -> bool:
        """Whether nobody would miss it: values handed on unasked may be handed on later."""
        return not (self.gets or self.listenings or self.is_locating) and all(
            put.is_told and not put.is_permanent for put in self.puts.values()
        )

    def forget(self) -> None:
        """Let go of everything; requests under way end unheard."""
        self.is_gone = True
        self._let_nodes_go()
        self.puts.clear()

    # ---- nodes -----------------------------------------------------------------------------

    def refill(self, now: float) -> None:
        """Take in the closest nodes that the cache knows."""
        self.refilled_at = now
        self.heard.clear()
        for node in self.side.cache.closest(self.number, WIDTH):
            self.offer(node)

    def offer(self, node: Node) -> bool:
        """Take in *node* at its place, unless 14 usable ones are closer; return if it is in."""
        if node.is_client or node.is_expired or self.is_gone:
            return False
        distance = node.number ^ self.number
        place = bisect_left(self._distances, distance)
        if place < len(self.nodes) and self._distances[place] == distance:
            return True
        if place >= WIDTH and sum(not near.is_bad for near in self.nodes[:place]) >= WIDTH:
            return False
        self.nodes.insert(place, SearchNode(node, distance))
        self._distances.insert(place, distance)
        node.uses += 1
        if len(self.nodes) > WIDTH:
            self._trim()
        self.is_expired = False
        return True

    def _trim(self) -> None:
        """Let go of what lies beyond 14 usable nodes, and of expired ones when they pile up."""
        if len(self.nodes) > 2 * WIDTH:
            for near in self.nodes:
                near.node.uses -= near.node.is_expired
            self.nodes = [near for near in self.nodes if not near.node.is_expired]
            self._distances = [near.distance for near in self.nodes]
        usable = sum(not near.is_bad for near in self.nodes)
        while len(self.nodes) > WIDTH and (usable > WIDTH or self.nodes[-1].node.is_expired):
            gone = self.nodes.pop()
            self._distances.pop()
            usable -= not gone.is_bad
            gone.node.uses -= 1

    def front(self) -> list[SearchNode]:
        """Return the first 8 usable nodes."""
        found = []
        for near in self.nodes:
            if not near.node.is_expired and (near.slow is None or near.slow.is_over):
                found.append(near)
                if len(found) == TARGETS:
                    break
        return found

    # ---- operations ------------------------------------------------------------------------

    def add_get(self, operation: GetOperation, now: float) -> None:
        """Work on a get or query."""
        self.gets.append(operation)
        self._use(Purpose.GET, now)

    def locate(self, now: float) -> None:
        """Find the nodes around the key, for the routing table's sake."""
        self.is_locating = True
        self._use(Purpose.FIND, now)

    def add_put(self, operation: PutOperation, now: float) -> None:
        """Announce a value."""
        self.puts[operation.value.id] = operation
        value_id = operation.value.id
        if operation.is_permanent:
            self.side.make_lasting(self)
        for near in self.nodes:  # an earlier version says nothing about this one
            near.forget_value(value_id)
            if near.writing and (request := near.writing.pop(value_id, None)) is not None:
                self.side.context.requests.drop(request, now)
        self._use(Purpose.PUT, now)

    def add_listening(self, query: Query, now: float) -> None:
        """Keep subscriptions for *query* at the closest nodes."""
        if query not in self.listenings:
            self.listenings[query] = Listening(query, self)
            self.side.make_lasting(self)
        self._use(Purpose.LISTEN, now)

    def remove_put(self, value_id: int) -> None:
        """Announce that value no more."""
        self.puts.pop(value_id, None)
        for near in self.nodes:
            near.forget_value(value_id)
        self._settle()

    def remove_listening(self, query: Query, now: float) -> None:
        """Let the subscriptions for *query* run out."""
        listening = self.listenings.pop(query, None)
        if listening is not None:
            listening.close(now)
        self._settle()

    def is_established(self, query: Query) -> bool:
        """Whether every node that should tell us of changes has agreed to."""
        listening = self.listenings.get(query)
        return listening is not None and listening.is_established(self.front())

    def _settle(self) -> None:
        if not self.listenings and not any(put.is_permanent for put in self.puts.values()):
            self.side.make_passing(self)

    def rest(self, state: SearchState, now: float) -> None:
        """If nothing is wanted any more, this run has ended like that."""
        if self.run.ended is None and not self.is_attached:
            self.run.end(state, now)
            keep(self.side.context.ended_runs, self.run, now)

    def _use(self, purpose: Purpose, now: float) -> None:
        if self.run.ended is not None:
            self.run = Run(self.key, self.side.family, now)
        self.run.serve(purpose)
        self.used_at = now
        if now - self.refilled_at > 1.0 or len(self.nodes) < WIDTH:
            self.refill(now)
        self.step(now)

    # ---- progress --------------------------------------------------------------------------

    def step(self, now: float) -> None:
        """Do whatever the present state of the nodes allows."""
        if not (self.gets or self.puts or self.listenings or self.is_locating):
            self.heard.clear()
            self.rest(SearchState.DONE, now)
            return
        front = self.front()
        if not front:
            self._step_without_nodes(now)
            return
        level = _sync_level(front, now)
        is_found = level >= min(QUORUM, len(front)) and not self._is_scouting(front, now)
        if self.gets:
            self._finish_gets(front, is_found=is_found)
        if is_found:
            self._write(front, now)
            if level == len(front) and self.is_locating:
                self.is_locating = False
                self.rest(SearchState.DONE, now)
                self.side.located(self.key, now)
            if not self.is_attached:
                self.heard.clear()
                self.rest(SearchState.DONE, now)
                return
        self._ask_on(front, level, now)
        if self.puts or self.listenings:
            self._plan(front, level, now)

    def _is_scouting(self, front: list[SearchNode], now: float) -> bool:
        """Whether nodes elsewhere may still know somebody closer than *front*."""
        if not is_astray(front, TARGETS):
            return False
        if self._scouting is None:
            self._scouting = Scouting(self)
        return self._scouting.is_under_way(front, now)

    def _write(self, front: list[SearchNode], now: float) -> None:
        """Subscribe and store at the nodes found."""
        for listening in list(self.listenings.values()):
            listening.step(front, now)
        for operation in list(self.puts.values()):
            announce(self, operation, front, now)

    def _step_without_nodes(self, now: float) -> None:
        if any(not near.node.is_expired for near in self.nodes):
            self.wake_at(now + PATIENCE, now)  # slow ones may still answer
            return
        if now - self.refilled_at > 1.0:
            self.refill(now)
            if self.front():
                self.step(now)
                return
        self._expire(now)

    def _finish_gets(self, front: list[SearchNode], *, is_found: bool) -> None:
        for operation in list(self.gets):
            answered = operation.answered
            is_enough = len(answered) >= ANSWERS_MAX or (
                is_found and all(near.node.id in answered for near in front)
            )
            if operation.is_over or is_enough:
                self.gets.remove(operation)
                operation.family_ended(self.side.family, ok=True)

    def _ask_on(self, front: list[SearchNode], level: int, now: float) -> None:
        """Ask more nodes: at most 4 at a time while the way is unknown, then all that remain."""
        busy = sum(1 for near in front if near.asking)
        allowed = (TARGETS if level else ALPHA) - busy
        if allowed <= 0:
            return
        for operation in self.gets:
            answered = operation.answered
            for near in front:
                if near.node.id not in answered and self._may_get(near, operation):
                    self._ask_get(near, operation, now)
                    allowed -= 1
                    if allowed <= 0:
                        return
        if self.puts or self.listenings or self.is_locating:
            self._ask_for_writing(front, level, allowed, now)

    def _ask_for_writing(
        self, front: list[SearchNode], level: int, allowed: int, now: float
    ) -> None:
        """Find out who is closest, then whose tokens are still wanted: they may come elsewhere."""
        is_found = level >= min(QUORUM, len(front))
        wanted = len(front) if self.is_locating else QUORUM
        for place, near in enumerate(front):
            if near.asking:
                continue
            has_token = near.node.fresh_token(now) is not None
            is_missed = not has_token or now - near.replied_at > SYNCED_WITHIN
            if (is_missed and place < wanted) or (is_found and not has_token):
                self._ask_find(near, now)
                allowed -= 1
                if allowed <= 0:
                    return

    def _may_get(self, near: SearchNode, operation: GetOperation) -> bool:
        """Whether *near*, which has not answered, is not about to."""
        if near.pages and operation in near.pages:
            return False
        return not near.asking or not any(
            other is operation
            or (
                other is not None
                and request.asked_at >= operation.begun
                and not other.is_paged
                and operation.query.is_satisfied_by(other.query)
            )
            for other, request in near.asking.items()
        )

    def _ask_find(self, near: SearchNode, now: float) -> None:
        node = near.node
        message = wire.Find(node.take_tid(), self.side.context.own_id, self.key, self.side.want())
        self._ask(near, message, FIND, None, now)

    def _ask_get(self, near: SearchNode, operation: GetOperation, now: float) -> None:
        query = operation.query
        asked = _ids_of(query) if operation.is_paged and not query.select else query
        node = near.node
        sent = asked if asked.is_sendable else None
        message = wire.Get(
            node.take_tid(), self.side.context.own_id, self.key, sent, self.side.want()
        )
        self._ask(near, message, GET, operation, now)

    def _ask(
        self,
        near: SearchNode,
        message: wire.Find | wire.Get,
        purpose: int,
        operation: GetOperation | None,
        now: float,
    ) -> None:
        self.side.context.count_request("find" if purpose == FIND else "get")
        request = self.side.context.requests.ask(
            near.node, message, self, purpose, (near, operation), now
        )
        self.run.note_asked(near)
        if near.asking is None:
            near.asking = {}
        near.asking[operation] = request

    def _plan(self, front: list[SearchNode], level: int, now: float) -> None:
        """Wake up when the first subscription, announcement or token grows old."""
        moment = inf
        for listening in self.listenings.values():
            moment = min(moment, listening.next_renewal(now))
        for operation in self.puts.values():
            moment = min(moment, next_announcement(operation, front, now))
        leading = front[: max(level, 1)]
        synced = min(max(near.replied_at + SYNCED_WITHIN, now + 1.0) for near in leading)
        self.wake_at(min(moment, synced), now)

    def wake_at(self, moment: float, now: float) -> None:
        """Step again at *moment*."""
        moment = max(moment, now + 0.001)
        if moment < self._wake_at or self._wake_at <= now:
            self._wake_at = moment
            self.side.context.wakeups.add(moment, self)

    def wake(self, now: float) -> None:
        """Step, if this is the moment that was asked for."""
        if now >= self._wake_at:
            self._wake_at = inf
            self.step(now)

    def _expire(self, now: float) -> None:
        """Nobody answered: gets and ordinary puts fail, the others wait for better times."""
        self.is_expired = True
        self.is_locating = False
        were_there_any = bool(self.nodes)
        self._let_nodes_go()
        gets, self.gets = self.gets, []
        for operation in gets:
            operation.family_ended(self.side.family, ok=False)
        for value_id, put in list(self.puts.items()):
            if not put.is_permanent:
                del self.puts[value_id]
            put.family_ended(self.side.family, ok=False)
        if self.puts or self.listenings:
            self.wake_at(now + self._retry_wait, now)
            self._retry_wait = min(2 * self._retry_wait, RETRY_MAX)
        self.rest(SearchState.FAILED, now)
        if were_there_any:
            self.side.search_expired(now)

    def _let_nodes_go(self) -> None:
        for near in self.nodes:
            near.node.uses -= 1
        self.nodes.clear()
        self._distances.clear()

    # ---- answers ---------------------------------------------------------------------------

    def on_answer(self, request: Request, reply: wire.Reply, now: float) -> None:
        """Learn from an answer, then go on."""
        if request.purpose == SCOUT:
            run: Run = request.context  # type: ignore[assignment]  # scouting.py says so
            run.take_answer(request.node.number ^ self.number)
            self._end_scout(request, now)
            return
        near, operation = _asked(request)
        if request.purpose == PAGE:
            operation.take_values(reply.values)
            self._count_page(near, operation)
        else:
            near.replied_at = now
            self.run.note_answered(near)
            self._retry_wait = RETRY_FIRST
            if near.asking:
                near.asking.pop(operation, None)
            if request.purpose == GET:
                self._take_answer(near, operation, request, reply, now)
        self.step(now)

    def _take_answer(
        self,
        near: SearchNode,
        operation: GetOperation,
        request: Request,
        reply: wire.Reply,
        now: float,
    ) -> None:
        query = operation.query
        asked = request.message.query or ANYTHING  # type: ignore[union-attr]  # a get
        if reply.fields is not None and not query.select:  # ids, as asked or as there is much
            operation.is_paged = True
            self._fetch_pages(near, operation, reply, now)
            return
        if asked.select != query.select:
            asked = query  # a node that does not know selections sends whole values
        for waiting in self.gets:
            if request.asked_at < waiting.begun or not waiting.query.is_satisfied_by(asked):
                continue
            if reply.fields is None:
                waiting.take_values(reply.values)
            elif waiting.query.select == asked.select:
                waiting.take_rows(reply.fields.rows())
            else:
                continue
            waiting.answered.add(near.node.id)

    def _fetch_pages(
        self, near: SearchNode, operation: GetOperation, reply: wire.Reply, now: float
    ) -> None:
        """Ask *near* for those values of its list that too few others have delivered."""
        assert reply.fields is not None, "the caller looked"
        if operation.is_over:
            return
        ids = dict.fromkeys(row.id for row in reply.fields.rows() if row.id is not None)
        wanted = [value_id for value_id in ids if operation.wants_copy(value_id)][:PAGE_MAX]
        if near.pages is None:
            near.pages = {}
        near.pages[operation] = len(wanted) + 1
        context = self.side.context
        for value_id in wanted:
            where = Query(where=(Condition(Field.ID, value_id),))
            message = wire.Get(near.node.take_tid(), context.own_id, self.key, where, ())
            context.count_request("get")
            context.requests.ask(near.node, message, self, PAGE, (near, operation), now)
        self._count_page(near, operation)

    def _count_page(self, near: SearchNode, operation: GetOperation) -> None:
        """One value of a list has come, or will not."""
        if near.pages and operation in near.pages:
            near.pages[operation] -= 1
            if not near.pages[operation]:
                del near.pages[operation]
                operation.answered.add(near.node.id)

    def is_large(self, request: Request, now: float) -> None:
        """The answer to *request* turns out to be large: ask for ids first, then value by value."""
        near, operation = _asked(request)
        if request.purpose != GET or operation.is_paged or operation.query.select:
            return
        operation.is_paged = True
        for other in self.nodes:
            if other is not near and other.asking and operation in other.asking:
                self.side.context.requests.drop(other.asking.pop(operation), now)
        self.step(now)

    def on_refusal(self, request: Request, error: wire.Error, now: float) -> None:
        """A find or get cannot be refused; whatever this is, treat it as silence."""
        self.on_lost(request, now)

    def on_slow(self, request: Request, now: float) -> None:
        """Pass over the node, so that another one is asked meanwhile."""
        if request.purpose == SCOUT:
            self._end_scout(request, now)
            return
        near, _ = _asked(request)
        near.slow = request
        self.heard.clear()
        self.step(now)

    def on_lost(self, request: Request, now: float) -> None:
        """Go on without that node."""
        self.heard.clear()
        if request.purpose == SCOUT:
            self._end_scout(request, now)
            return
        near, operation = _asked(request)
        if request.purpose == PAGE:
            self._count_page(near, operation)
        elif near.asking:
            near.asking.pop(operation, None)
        self.step(now)

    def _end_scout(self, request: Request, now: float) -> None:
        """The engine has learned from an answer already; without one, wait no longer."""
        if self._scouting is not None:
            self._scouting.end(request)
        self.step(now)


def _asked(request: Request) -> tuple[SearchNode, GetOperation]:
    """Return whom a request of this module asked, and for what; a find has no operation."""
    return request.context  # type: ignore[return-value]


def _sync_level(front: list[SearchNode], now: float) -> int:
    """How many of the first nodes, without a gap, answered lately."""
    for level, near in enumerate(front):
        if now - near.replied_at > SYNCED_WITHIN or near.node.fresh_token(now) is None:
            return level
    return len(front)


def _ids_of(query: Query) -> Query:
    return Query(select=IDS, where=query.where)
