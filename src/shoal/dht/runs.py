"""Runs of searches, for display: what a search was for, whom it asked, how near it came, its end.

Theory of operation. A search is kept for as long as the nodes it knows are of use, and works
whenever something is wanted of its key. Each such stretch of work is a run. While it lasts, all
that it notes is counts; when it ends it is put where the last `REPORTS_MAX` ended ones are kept,
and takes the place of those too old to be told of. Nothing is computed before somebody looks.
"""

from __future__ import annotations

from enum import Enum
from heapq import nlargest
from typing import TYPE_CHECKING, Final

from shoal.core.records import dataclass

if TYPE_CHECKING:
    from collections.abc import Iterable

    from shoal.core import Family, InfoHash
    from shoal.dht.search import Search, SearchNode

REPORTS_MAX: Final = 64  # ours: searches told of at once, and ended ones kept
RECENT: Final = 60.0  # ours: seconds for which an ended search is told of


class Purpose(Enum):
    """What a search is for."""

    GET = "get"
    PUT = "put"
    LISTEN = "listen"
    FIND = "find"  # the nodes around our own id, for the routing table


class SearchState(Enum):
    """How far a search has come."""

    SEARCHING = "searching"
    LASTING = "lasting"  # all is found; it goes on for as long as somebody listens, or keeps a put
    DONE = "done"
    FAILED = "failed"  # no node answered; a lasting one tries again
    STOPPED = "stopped"  # whoever wanted it does not any more


@dataclass(frozen=True, slots=True)
class SearchReport:
    """A search that is under way, or was lately.

    Attributes:
        key: what it looks for.
        family: over which nodes.
        purposes: what for; several where one search serves several.
        state: how far it has come.
        asked: nodes that it asked, or wrote to.
        answered: those of them that answered.
        nearest: distance in bits between the key and the nearest node that answered, if any did.
        seconds: how long it took, or has taken yet.
    """

    key: InfoHash
    family: Family
    purposes: tuple[Purpose, ...]
    state: SearchState
    asked: int
    answered: int
    nearest: int | None
    seconds: float


class Run:
    """One stretch of work of a search."""

    __slots__ = ("answered", "asked", "begun", "ended", "family", "key", "nearest", "purposes",
                 "state")  # fmt: skip

    def __init__(self, key: InfoHash, family: Family, begun: float) -> None:
        self.key = key
        self.family = family
        self.begun = begun
        self.ended: float | None = None
        self.state = SearchState.SEARCHING  # once it ended: how
        self.purposes: tuple[Purpose, ...] = ()
        self.asked = 0
        self.answered = 0
        self.nearest: int | None = None  # distance of the nearest node that answered

    def serve(self, purpose: Purpose) -> None:
        """Note what it is for."""
        if purpose not in self.purposes:
            self.purposes = (*self.purposes, purpose)

    def note_asked(self, near: SearchNode) -> None:
        """Count a node, once."""
        if near.asked_in is not self:
            near.asked_in = self
            self.asked += 1

    def note_answered(self, near: SearchNode) -> None:
        """Count an answer, one of each node; what an earlier run asked is none of this one's."""
        if near.asked_in is self and near.answered_in is not self:
            near.answered_in = self
            self.take_answer(near.distance)

    def take_answer(self, distance: int) -> None:
        """Count the answer of a node so far away from the key."""
        self.answered += 1
        if self.nearest is None or distance < self.nearest:
            self.nearest = distance

    def end(self, state: SearchState, now: float) -> None:
        """It ended like this."""
        self.state = state
        self.ended = now

    def report(self, purposes: tuple[Purpose, ...], state: SearchState, end: float) -> SearchReport:
        """Tell of it as it stands at *end*."""
        nearest = None if self.nearest is None else self.nearest.bit_length()
        return SearchReport(
            self.key, self.family, purposes, state, self.asked, self.answered, nearest,
            end - self.begun,
        )  # fmt: skip


def keep(ended: list[Run], run: Run, now: float) -> None:
    """Add *run*, which has ended just now; let go of what is not told of any more."""
    ended.append(run)
    while len(ended) > REPORTS_MAX or now - (ended[0].ended or 0.0) > RECENT:
        del ended[0]


def reports(searches: Iterable[Search], ended: Iterable[Run], now: float) -> list[SearchReport]:
    """Tell of *searches* that are under way, then of the *ended* runs; of each the newest first."""
    attached = (search for search in searches if search.is_attached)
    newest = nlargest(REPORTS_MAX, attached, key=lambda search: search.run.begun)
    found = [_under_way(search, now) for search in newest]
    lately = [
        run.report(run.purposes, run.state, run.ended)
        for run in ended
        if run.ended is not None and now - run.ended <= RECENT
    ]
    return (found + lately[::-1])[:REPORTS_MAX]


def _under_way(search: Search, now: float) -> SearchReport:
    wanted = {
        Purpose.GET: search.gets,
        Purpose.PUT: search.puts,
        Purpose.LISTEN: search.listenings,
        Purpose.FIND: search.is_locating,
    }
    purposes = tuple(purpose for purpose, work in wanted.items() if work)
    return search.run.report(purposes, _state(search), now)


def _state(search: Search) -> SearchState:
    if search.is_expired:
        return SearchState.FAILED
    is_settled = (
        not (search.gets or search.is_locating)
        and all(put.is_told for put in search.puts.values())
        and all(map(search.is_established, search.listenings))
    )
    return SearchState.LASTING if is_settled else SearchState.SEARCHING
