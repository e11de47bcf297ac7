"""Reading conversations by their index: pages as people see them, what is new, all there is."""

from __future__ import annotations

import asyncio
import itertools
from functools import partial
from typing import TYPE_CHECKING, Final

from shoal.swarm.driver import (
    Said,
    latest,
    page,
    page_after,
    page_around,
    said_after,
    search,
    seen,
    shown,
    unread,
)
from shoal.swarm.errors import ObjectMissingError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from shoal.core import CommitId, ConversationId
    from shoal.node.driver.talking import Talking
    from shoal.swarm import Conversation
    from shoal.swarm.driver import Hit, IndexLedger, Reaction, Shown

EXPORT_PAGE: Final = 500  # ours: messages of one look into the index


class Reading:
    """Reads one conversation, once it is ready."""

    def __init__(self, talking: Talking, identifier: ConversationId) -> None:
        self._talking = talking
        self._id = identifier

    async def messages(self, count: int, before: CommitId | None) -> list[Said]:
        """Return the latest messages, or those before one, the oldest first.

        Raises:
            NoSuchConversationError: we are not in it any more.
            ObjectMissingError: there is no message *before*.
        """
        history, ledger = await self._ready()

        def look() -> list[Said]:
            if ledger.head != history.head:  # what came last could not be kept: the disk is full
                return _from_repository(history, count, before)
            found = latest(ledger, self._talking.index, count, before)
            if found is None:
                raise ObjectMissingError(before or b"")
            return found[::-1]

        result: list[Said] = await self._talking.read(self._id, look)
        return result

    async def entries(
        self,
        count: int,
        before: CommitId | None = None,
        after: CommitId | None = None,
        around: CommitId | None = None,
    ) -> list[tuple[Said, Shown]]:
        """Return what people see, the oldest first: the latest, or one of three other parts.

        Raises:
            NoSuchConversationError: we are not in it any more.
            ObjectMissingError: there is no such message.
        """
        _, ledger = await self._ready()

        def names() -> list[CommitId] | None:
            if around is not None:
                return page_around(ledger, count, around)
            if after is not None:
                return page_after(ledger, count, after)
            found = page(ledger, count, before)
            return None if found is None else found[::-1]

        def look() -> list[tuple[Said, Shown]]:
            found = names()
            if found is None:
                raise ObjectMissingError(around or after or before or b"")
            return seen(ledger, self._talking.index, found)

        result: list[tuple[Said, Shown]] = await self._talking.read(self._id, look)
        return result

    async def everything(self) -> AsyncIterator[tuple[Said, Shown]]:
        """Yield the whole history, the oldest first, edits and reactions where they were said.

        Raises:
            NoSuchConversationError: we are not in it any more.
        """
        _, ledger = await self._ready()
        place = 0

        def look() -> list[tuple[Said, Shown]]:
            nonlocal place
            rows = said_after(ledger, EXPORT_PAGE, place)
            place = rows[-1][0] if rows else place
            return seen(ledger, self._talking.index, [name for _, name in rows])

        while found := await self._talking.read(self._id, look):
            for each in found:
                yield each

    async def reactions(self, message: CommitId) -> tuple[Reaction, ...]:
        """Return the reactions to a message that count, the first one first.

        Raises:
            NoSuchConversationError: we are not in it any more.
        """
        _, ledger = await self._ready()
        index = self._talking.index
        found: tuple[Reaction, ...] = await self._talking.read(
            self._id, lambda: shown(ledger, index, [message])[message].reactions
        )
        return found

    async def unread(self) -> int:
        """Return how many messages of others are new to us.

        Raises:
            NoSuchConversationError: we are not in it any more.
        """
        _, ledger = await self._ready()
        talking = self._talking
        displayed = talking.engine.states.last_displayed(self._id)
        found: int = await talking.read(
            self._id, lambda: unread(ledger, talking.index, talking.own, displayed)
        )
        return found

    async def reindex(self) -> None:
        """Judge the whole history again, and make its part of the index anew.

        Raises:
            NoSuchConversationError: we are not in it any more.
        """
        _, ledger = await self._ready()
        await self._talking.read(self._id, ledger.rebuild)

    async def _ready(self) -> tuple[Conversation, IndexLedger]:
        history = await self._talking.history(self._id)
        return history, self._talking.ledger(self._id)


def _from_repository(history: Conversation, count: int, before: CommitId | None) -> list[Said]:
    found = history.messages(before)
    if before is not None:
        next(found, None)
    return [
        Said(
            each.commit.id,
            each.standing.account,
            each.commit.wall_time,
            each.content,
            each.standing.is_verified,
        )
        for each in itertools.islice(found, count)
    ][::-1]


async def search_all(
    talking: Talking, text: str, count: int, conversation: ConversationId | None
) -> tuple[Hit, ...]:
    """Return the latest messages that have all words of *text*, the newest first.

    Raises:
        RepositoryError: the index cannot be read.
    """
    generation, doubtful = talking.index.generation, _lost(talking)
    found = await asyncio.to_thread(search, talking.index, text, count, conversation)
    if talking.index.generation != generation:  # it was damaged, and may be whole again by now
        doubtful = _all(talking)
    if doubtful := doubtful or _lost(talking):
        for each, ledger in doubtful:  # one at a time, in its thread: it is made anew, if it must
            await talking.read(each, partial(ledger.line, None))
        found = await asyncio.to_thread(search, talking.index, text, count, conversation)
    return _of_ours(talking, found)


def _of_ours(talking: Talking, found: tuple[Hit, ...]) -> tuple[Hit, ...]:
    """Leave out what we left: it is here until the others have heard of that."""
    return tuple(hit for hit in found if talking.engine.book.is_in(hit.conversation))


def _lost(talking: Talking) -> list[tuple[ConversationId, IndexLedger]]:
    """Return the conversations that the index has lost."""
    return [(each, ledger) for each, ledger in _all(talking) if ledger.is_lost]


def _all(talking: Talking) -> list[tuple[ConversationId, IndexLedger]]:
    ready = [each for each, session in talking.engine.sessions.items() if session.is_ready]
    return [(each, talking.ledger(each)) for each in ready]
