"""Reads the chain into the index, and notices when it cannot be reached or changes its mind."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Any, Final

from shoal.chain import Applied, AskBlock, AskHead, AskLogs, Follower, Place, Undone
from shoal.chain.errors import (
    ChainError,
    ChainUnreachableError,
    NotDeployedError,
    RevertedError,
)
from shoal.core import DecodeError
from shoal.names.driver.index import Checkpoint, check_events
from shoal.names.errors import NamesError, NameStoreError, RegistryMissingError

if TYPE_CHECKING:
    from collections.abc import Callable

    from shoal.chain import Chain, Registry, RegistryEvent
    from shoal.names.driver.index import Index

_log = logging.getLogger(__name__)

WAIT: Final = 10.0  # seconds; ours: for a new block, before looking anyway
RETRY: Final = 1.0  # seconds; ours: after the chain gave no answer
CHANGES_MAX: Final = 100  # ours: of the chain, in the midst of one reading


class ChainFollower:
    """Keeps an index up to date.

    Attributes:
        malformed: logs of the registry that could not be read.
    """

    def __init__(
        self,
        chain: Chain,
        registry: Registry,
        index: Index,
        *,
        first_block: int = 0,
        on_change: Callable[[], None],
    ) -> None:
        """Describe what to follow.

        Args:
            chain: where the registry is.
            registry: its calls and events.
            index: to be kept up to date.
            first_block: that can have events of the registry.
            on_change: called when the index or the chain's state changed.
        """
        self.malformed = 0
        self._chain = chain
        self._registry = registry
        self._index = index
        self._first_block = first_block
        self._on_change = on_change
        self._place: Follower | None = None
        self._lock = asyncio.Lock()
        self._is_bound = False

    async def run(self) -> None:
        """Follow the chain for ever."""
        while True:
            try:
                await self.catch_up()
                await self._chain.wait_block(self._index.status().head, WAIT)
            except ChainUnreachableError as error:
                self._lost(error)
                await asyncio.sleep(RETRY)
            except (ChainError, NamesError, DecodeError) as error:
                self._lost(error)
                await asyncio.sleep(WAIT)
            except Exception:  # noqa: BLE001 - the server goes on from its index
                _log.exception("! following the chain failed")
                self._index.note_chain(is_up=False)
                await asyncio.sleep(WAIT)

    async def catch_up(self) -> None:
        """Read all that the chain has.

        Raises:
            ChainError: it cannot be read.
            RegistryMissingError: there is no registry.
            NameStoreError: the index is of another registry, or the disk fails.
        """
        async with self._lock:
            if not self._is_bound:
                await self._bind()
            if self._place is None:
                self._place = self._where_the_index_is()
            try:
                await self._read(self._place)
            except BaseException:
                self._place = None  # it may be ahead of the index
                raise
        self._on_change()

    async def _bind(self) -> None:
        chain_id = await self._chain.chain_id()
        try:
            answer = await self._chain.call(self._registry.version())
        except (RevertedError, NotDeployedError) as error:
            raise RegistryMissingError(f"{self._registry.address}: {error}") from error
        if not self._registry.is_version(answer):
            raise RegistryMissingError(f"no registry at {self._registry.address}")
        if not self._index.bind(chain_id, self._registry.address):
            status = self._index.status()
            raise NameStoreError(
                f"the data folder belongs to chain {status.chain_id}, registry {status.registry};"
                f" this is chain {chain_id}, registry {self._registry.address}: use another folder"
            )
        self._is_bound = True

    def _where_the_index_is(self) -> Follower:
        known = reversed(self._index.checkpoints())
        return Follower(self._first_block, places=[Place(each.number, each.hash) for each in known])

    async def _read(self, place: Follower) -> None:
        """Read until there is no more, or the chain has changed too often meanwhile."""
        index, changes = self._index, 0
        while changes < CHANGES_MAX:
            step = await self._round(place)
            match step:
                case Applied():
                    await self._add(step)
                case Undone(first):
                    _log.warning("= the chain reorganised: reading on from block %d", first)
                    index.undo(first - 1)
                    changes += 1
                case None if index.status().block < index.status().head:
                    changes += 1
                case None:
                    index.complete()
                    return

    async def _round(self, place: Follower) -> Applied | Undone | None:
        questions = place.round()
        answer: Any = None
        while True:
            try:
                question = questions.send(answer)
            except StopIteration as end:
                step: Applied | Undone | None = end.value
                return step
            match question:
                case AskHead():
                    answer = await self._chain.block_number()
                    self._index.note_chain(is_up=True, head=answer)
                case AskBlock(number):
                    answer = await self._chain.block(number)
                case AskLogs(first, last):
                    answer = await self._chain.logs(self._registry.address, first, last)

    async def _add(self, step: Applied) -> None:
        events: list[RegistryEvent] = []
        for log in step.logs:
            try:
                event = self._registry.event(log)
            except DecodeError as error:
                self.malformed += 1
                _log.warning("! log %d of block %d: %s", log.index, log.block_number, error)
                continue
            if event is not None:
                events.append(event)
        checked = await asyncio.to_thread(check_events, events) if events else []
        self._index.add(checked, Checkpoint(step.place.number, step.place.hash))

    def _lost(self, error: Exception) -> None:
        if self._index.status().is_chain_up or not self._is_bound:
            _log.warning("! the chain cannot be read: %s", error)
        self._index.note_chain(is_up=False)
        self._on_change()
