"""Storing a value on the nodes closest to its key, and keeping it there.

Reference section 3.8. An ordinary put is sent to each of the first 8 nodes and forgotten once they
acknowledged it. A permanent one first asks each node what it has, so that a newer version is not
undone, then stores or refreshes, and comes back before the value's life ends.
"""

from __future__ import annotations

from math import inf
from typing import TYPE_CHECKING, Final

from shoal.dht import wire
from shoal.dht.nodes import AUTH_ERRORS_MAX
from shoal.dht.operations import PROBE_FIELDS, PutOperation
from shoal.dht.query import Condition, Field, Query

if TYPE_CHECKING:
    from shoal.dht.requests import Request
    from shoal.dht.search import Search, SearchNode

MARGIN: Final = 10.0  # OpenDHT dht.h: REANNOUNCE_MARGIN
WRONG_TOKEN: Final = 401
NOT_FOUND: Final = 404

PROBE, PUT, REFRESH = range(3)  # purposes of requests


def announce(search: Search, operation: PutOperation, front: list[SearchNode], now: float) -> None:
    """Write to those of *front* that do not hold the value, as far as their tokens are known."""
    value_id = operation.value.id
    acked = 0
    for near in front:
        renewal = near.acks.get(value_id) if near.acks else None
        if renewal is not None and (renewal > now or not operation.is_permanent):
            acked += 1
        elif not (near.writing and value_id in near.writing):
            token = near.node.fresh_token(now)
            if token is not None:
                _write(search, operation, near, token, now)
    if acked == len(front):
        operation.nodes = max(operation.nodes, acked)
        family = search.side.family
        if operation.is_open(family):
            operation.family_ended(family, ok=True)
        if not operation.is_permanent:
            search.remove_put(value_id)


def next_announcement(operation: PutOperation, front: list[SearchNode], now: float) -> float:
    """When the first node of *front* is to be reminded; what is overdue waits for a token."""
    if not operation.is_permanent:
        return inf
    value_id = operation.value.id
    return min(
        (
            near.acks[value_id]
            for near in front
            if near.acks and near.acks.get(value_id, -inf) > now
        ),
        default=inf,
    )


def _write(
    search: Search, operation: PutOperation, near: SearchNode, token: bytes, now: float
) -> None:
    value = operation.value
    if not operation.is_permanent:
        _send_put(search, operation, near, token, now)
        return
    if near.probes is None or value.id not in near.probes:
        _send_probe(search, operation, near, now)
        return
    held = near.probes.pop(value.id)
    if held is None or held < value.seq:
        _send_put(search, operation, near, token, now)
    else:
        _send_refresh(search, operation, near, token, now)


def _send_put(
    search: Search, operation: PutOperation, near: SearchNode, token: bytes, now: float
) -> None:
    context = search.side.context
    message = wire.Put(
        near.node.take_tid(),
        context.own_id,
        search.key,
        (operation.value,),
        operation.wall_created,
        token,
    )
    _send(search, operation, near, message, PUT, now)


def _send_refresh(
    search: Search, operation: PutOperation, near: SearchNode, token: bytes, now: float
) -> None:
    context = search.side.context
    message = wire.Refresh(
        near.node.take_tid(), context.own_id, search.key, operation.value.id, token
    )
    _send(search, operation, near, message, REFRESH, now)


def _send_probe(search: Search, operation: PutOperation, near: SearchNode, now: float) -> None:
    where = (Condition(Field.ID, operation.value.id),)
    context = search.side.context
    message = wire.Get(
        near.node.take_tid(), context.own_id, search.key, Query(PROBE_FIELDS, where), ()
    )
    _send(search, operation, near, message, PROBE, now)


def _send(
    search: Search,
    operation: PutOperation,
    near: SearchNode,
    message: wire.Message,
    purpose: int,
    now: float,
) -> None:
    context = search.side.context
    context.count_request(("get", "put", "refresh")[purpose])
    search.run.note_asked(near)
    if near.writing is None:
        near.writing = {}
    writer = _Writer(search, operation, near)
    near.writing[operation.value.id] = context.requests.ask(
        near.node, message, writer, purpose, None, now
    )


class _Writer:
    """Hears how a probe, put or refresh of one value at one node ended."""

    __slots__ = ("near", "operation", "search")

    def __init__(self, search: Search, operation: PutOperation, near: SearchNode) -> None:
        self.search = search
        self.operation = operation
        self.near = near

    def on_answer(self, request: Request, reply: wire.Reply, now: float) -> None:
        """Go on from a probe to writing; or note that the value is kept."""
        self._forget(request)
        self.search.run.note_answered(self.near)
        near, operation = self.near, self.operation
        if request.purpose == PROBE:
            rows = reply.fields.rows() if reply.fields is not None else ()
            seqs = [row.seq or 0 for row in rows if row.id == operation.value.id]
            if near.probes is None:
                near.probes = {}
            near.probes[operation.value.id] = max(seqs, default=None)
        else:
            near.node.auth_errors = 0
            if near.acks is None:
                near.acks = {}
            if self.search.puts.get(operation.value.id) is operation:  # else nobody cares any more
                life = operation.life
                near.acks[operation.value.id] = now + max(life - MARGIN, life / 2)
            if near.slow is None and self._is_awaited():
                return  # one of several acknowledgements: nothing to do before the last
        self.search.step(now)

    def on_refusal(self, request: Request, error: wire.Error, now: float) -> None:
        """A wrong token: get a new one. An unknown value: store it again."""
        self._forget(request)
        self.search.run.note_answered(self.near)
        near, operation = self.near, self.operation
        if error.code == WRONG_TOKEN:
            near.node.token = None
            near.node.auth_errors += 1
            if near.node.auth_errors > AUTH_ERRORS_MAX:
                near.node.lose(now)
        elif error.code == NOT_FOUND:
            if near.probes is None:
                near.probes = {}
            near.probes[operation.value.id] = None
        self.search.step(now)

    def on_slow(self, request: Request, now: float) -> None:
        """Write to another node meanwhile."""
        self.near.slow = request
        self.search.step(now)

    def on_lost(self, request: Request, now: float) -> None:
        """Go on without that node."""
        self._forget(request)
        self.search.step(now)

    def _is_awaited(self) -> bool:
        """Whether other nodes, of which none is slow, are still to acknowledge the value."""
        value_id = self.operation.value.id
        for near in self.search.nodes:  # a loop: this is asked for each answer
            if near.writing and value_id in near.writing and not near.is_bad:
                return True
        return False

    def _forget(self, request: Request) -> None:
        writing = self.near.writing
        if writing and writing.get(self.operation.value.id) is request:
            del writing[self.operation.value.id]
