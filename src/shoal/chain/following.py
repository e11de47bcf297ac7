"""Follows the logs of a contract through a chain whose newest blocks may be replaced.

One round asks the chain step by step and ends in one `Step`, or in nothing new:

1. Is the last block that was read still there, under the same hash? If not, go back to the newest
   of the remembered ones that is: `Undone`.
2. Read the logs up to the newest block that has enough confirmations, a limited number of blocks
   at once. The last of them is asked for before and after, and then once more the one that was the
   last before: if any changed meanwhile, the round was for nothing. Else: `Applied`.

A round changes nothing until it ends, so it may be broken off anywhere.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Final, TypeAlias

from shoal.core.records import dataclass

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable

    from shoal.chain.addresses import BlockHash
    from shoal.chain.values import Block, Log

REMEMBERED_MAX: Final = 100  # blocks; relay-and-payments.md section 4.5
BLOCKS_MAX: Final = 1000  # blocks in one step; the same


@dataclass(frozen=True, slots=True)
class AskHead:
    """Which is the newest block? Answered by its number."""


@dataclass(frozen=True, slots=True)
class AskBlock:
    """Which block has this number? Answered by a `Block`, or None."""

    number: int


@dataclass(frozen=True, slots=True)
class AskLogs:
    """Which logs are in these blocks, both included? Answered by a list of them."""

    from_block: int
    to_block: int


@dataclass(frozen=True, slots=True)
class Place:
    """A block that was read: what to remember, and to begin with another time."""

    number: int
    hash: BlockHash


@dataclass(frozen=True, slots=True)
class Applied:
    """Blocks were read up to *place*, and these are their logs."""

    from_block: int
    place: Place
    logs: tuple[Log, ...]


@dataclass(frozen=True, slots=True)
class Undone:
    """Blocks from this number on were replaced: forget what they said, it will be read anew."""

    from_block: int


Question: TypeAlias = AskHead | AskBlock | AskLogs
Answer: TypeAlias = "int | Block | list[Log] | None"
Step: TypeAlias = Applied | Undone


class Follower:
    """Where a reader of a chain is."""

    def __init__(
        self, from_block: int = 0, *, confirmations: int = 1, places: Iterable[Place] = ()
    ) -> None:
        """Begin at *from_block*, or go on behind *places*, oldest first."""
        assert confirmations >= 1, "the newest block has one confirmation: its own"
        self._confirmations = confirmations
        self._first = from_block
        self._places = deque(places, maxlen=REMEMBERED_MAX)

    @property
    def next_block(self) -> int:
        """The first block that was not read yet."""
        return self._places[-1].number + 1 if self._places else self._first

    def round(self) -> Generator[Question, Answer, Step | None]:
        """Ask, and return what happened; None if there is nothing new yet."""
        kept = yield from self._still_there()
        if kept < len(self._places):
            while len(self._places) > kept:
                self._places.pop()
            return Undone(self.next_block)
        head = yield AskHead()
        assert isinstance(head, int), "a number was asked for"
        start = self.next_block
        end = min(head - self._confirmations + 1, start + BLOCKS_MAX - 1)
        if end < start:
            return None
        before = yield AskBlock(end)
        logs = yield AskLogs(start, end)
        after = yield AskBlock(end)
        if before is None or before != after:
            return None
        if (yield from self._still_there()) < kept:
            return None  # what is read would not follow what was read before
        assert not isinstance(before, int | list), "a block was asked for"
        assert isinstance(logs, list), "logs were asked for"
        place = Place(end, before.hash)
        self._places.append(place)
        return Applied(start, place, tuple(logs))

    def _still_there(self) -> Generator[Question, Answer, int]:
        """Return how many of the remembered blocks the chain still has."""
        for kept in range(len(self._places), 0, -1):
            place = self._places[kept - 1]
            found = yield AskBlock(place.number)
            assert not isinstance(found, int | list), "a block was asked for"
            if found is not None and found.hash == place.hash:
                return kept
        return 0
