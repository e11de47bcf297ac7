"""The way out of a region whose nodes know nobody elsewhere.

Theory of operation. Nodes answer with the nodes closest to a key that *they* know. Where a region
of the id space filled up around one bootstrap node, all of it may know nobody but one another, and
a search for a key on the other side ends among nodes that are far from it: what it writes there
nobody finds, and what others wrote it does not find.

Such a search can tell. Its first eight nodes all stand in one half of some range whose other half,
where the key is, seems empty: they are *astray*. Among random ids one search in 800 looks like that
by chance, so that asking further costs next to nothing. Scouts are nodes of the routing table that
the search has not heard from, one of each bucket in turn; they are asked for the key until one
names a closer node, which the search then follows, or until all were asked.
"""

from __future__ import annotations

from math import inf
from typing import TYPE_CHECKING, Final

from shoal.dht import wire

if TYPE_CHECKING:
    from shoal.core import InfoHash
    from shoal.dht.nodes import Node
    from shoal.dht.requests import Request
    from shoal.dht.search import Search, SearchNode

SCOUTS_MAX: Final = 32  # ours: per search and turn
AT_ONCE: Final = 8  # ours: their answers are all that the search waits for
AGAIN_AFTER: Final = 60.0  # ours: how long a search that found no way out believes it
SCOUT: Final = 3  # purpose of requests; search.py has those below


def is_astray(front: list[SearchNode], count: int) -> bool:
    """Whether all of *front*, *count* nodes, lie beside a subtree with the key and nobody else."""
    return len(front) == count and front[0].distance.bit_length() == front[-1].distance.bit_length()


class Scouting:
    """Asks nodes from all over the table for the key of one search."""

    __slots__ = ("_asked", "_ended_at", "_open", "_search")

    def __init__(self, search: Search) -> None:
        self._search = search
        self._asked: set[InfoHash] = set()  # in this turn; only ever looked into
        self._open: list[Request] = []
        self._ended_at = -inf

    def is_under_way(self, front: list[SearchNode], now: float) -> bool:
        """Ask on as long as there are nodes to ask; return whether answers are awaited."""
        if now - self._ended_at < AGAIN_AFTER:
            return False
        while len(self._open) < AT_ONCE and (node := self._next(front, now)) is not None:
            self._ask(node, now)
        if self._open:
            return True
        self._asked.clear()
        self._ended_at = now
        return False

    def end(self, request: Request) -> None:
        """*request* was answered, or is not worth waiting for."""
        if request in self._open:
            self._open.remove(request)

    def _next(self, front: list[SearchNode], now: float) -> Node | None:
        """Return a node to ask: the first of any bucket before the second of any other."""
        if len(self._asked) >= SCOUTS_MAX:
            return None
        heard = {near.node.id for near in self._search.nodes if near.is_synced(now)}
        heard.update(near.node.id for near in front)  # the search itself asks them
        buckets = self._search.side.table.buckets
        for place in range(max(len(bucket.nodes) for bucket in buckets)):
            for bucket in buckets:
                if place >= len(bucket.nodes):
                    continue
                node = bucket.nodes[place]
                if not (node.is_expired or node.id in heard or node.id in self._asked):
                    return node
        return None

    def _ask(self, node: Node, now: float) -> None:
        search = self._search
        context = search.side.context
        self._asked.add(node.id)
        context.count_request("find")
        message = wire.Find(node.take_tid(), context.own_id, search.key, search.side.want())
        search.run.asked += 1
        self._open.append(context.requests.ask(node, message, search, SCOUT, search.run, now))
