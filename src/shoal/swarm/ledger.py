"""What was judged, so that it need not be judged again: the interface of the index.

A conversation without a ledger keeps everything in memory, as simulations do. One with a ledger
keeps there what it judged, and reads back what it needs; whatever the ledger says must be in the
store, and a ledger that was lost is made anew from it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from shoal.core import CommitId
    from shoal.swarm.commits import Commit
    from shoal.swarm.contents import Content
    from shoal.swarm.history import Node
    from shoal.swarm.validation import Standing


class Judged(NamedTuple):
    """A commit that was taken: its place, and what was found about it."""

    node: Node
    standing: Standing


class Fresh(NamedTuple):
    """A commit that the ledger does not have yet."""

    commit: Commit
    content: Content
    standing: Standing


class Ledger(Protocol):
    """What was judged of one conversation."""

    @property
    def head(self) -> CommitId | None:
        """The tip that the ledger is about; None while it is empty."""
        ...

    @property
    def first(self) -> CommitId:
        """The first commit of the conversation."""
        ...

    def find(self, commit: CommitId) -> Judged | None:
        """Return what was found about a commit; None if it was not taken."""
        ...

    def line(self, start: CommitId | None = None) -> Iterator[CommitId] | None:
        """Return the one line from *start* or the head on, newest first, with merges.

        None if *start* is not on it.
        """
        ...

    def advance(self, head: CommitId, fresh: Sequence[Fresh]) -> bool:
        """Take note of new commits and of the tip; say whether they are kept."""
        ...

    def forget(self) -> None:
        """Be empty: what is judged next is judged anew."""
        ...
