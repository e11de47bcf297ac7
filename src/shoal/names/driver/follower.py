"""Reads the chain into the index, and notices when it cannot be reached or changes its mind."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Final

from shoal.chain.errors import (
    ChainError,
    ChainUnreachableError,
    NotDeployedError,
    RevertedError,
    RpcError,
)
from shoal.core import DecodeError
from shoal.names.driver.index import Checkpoint, check_events
from shoal.names.errors import NamesError, NameStoreError, RegistryMissingError

if TYPE_CHECKING:
    from collections.abc import Callable

    from shoal.chain import Chain, Registry, RegistryEvent
    from shoal.names.driver.index import Index

_log = logging.getLogger(__name__)

STEP_MAX: Final = 1000  # blocks; relay-and-payments reference, section 4.5
WAIT: Final = 10.0  # seconds; ours: for a new block, before looking anyway
RETRY: Final = 1.0  # seconds; ours: after the chain gave no answer
TRIES_MAX: Final = 100  # ours: reorganisations in the midst of one reading


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
        self._step = STEP_MAX
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
            for _ in range(TRIES_MAX):
                await self._find_fork()
                head = await self._chain.block_number()
                self._index.note_chain(is_up=True, head=head)
                if self._index.status().block >= head:
                    break
                await self._read_to(head)
            self._index.complete()
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
        await self._skip_the_past()
        self._is_bound = True

    async def _skip_the_past(self) -> None:
        """Begin before the first block that can have events, where nothing was read yet."""
        if self._index.status().block >= 0 or self._first_block <= 0:
            return
        block = await self._chain.block(self._first_block - 1)
        if block is not None:
            self._index.add([], Checkpoint(block.number, block.hash))

    async def _find_fork(self) -> None:
        """Undo what was read of blocks that are no longer there."""
        checkpoints = self._index.checkpoints()
        for count, checkpoint in enumerate(checkpoints):
            block = await self._chain.block(checkpoint.number)
            if block is not None and block.hash == checkpoint.hash:
                if count:
                    _log.warning("= the chain reorganised: reading on from %d", checkpoint.number)
                    self._index.undo(checkpoint.number)
                return
        if checkpoints:
            _log.warning("= the chain reorganised deeply: reading it anew")
            self._index.undo(-1)
            await self._skip_the_past()

    async def _read_to(self, head: int) -> None:
        """Read the next step towards *head*; nothing if the chain changes meanwhile."""
        first = self._index.status().block + 1
        last = min(head, first + self._step - 1)
        before = await self._chain.block(last)
        if before is None:
            return
        try:
            logs = await self._chain.logs(self._registry.address, first, last)
        except RpcError:
            if self._step == 1:
                raise
            self._step = max(self._step // 2, 1)  # nodes limit how much they answer at once
            return
        after = await self._chain.block(last)
        if after is None or after.hash != before.hash or not await self._is_continued():
            return
        events: list[RegistryEvent] = []
        for log in logs:
            try:
                event = self._registry.event(log)
            except DecodeError as error:
                self.malformed += 1
                _log.warning("! log %d of block %d: %s", log.index, log.block_number, error)
                continue
            if event is not None:
                events.append(event)
        checked = await asyncio.to_thread(check_events, events) if events else []
        self._index.add(checked, Checkpoint(last, before.hash))

    async def _is_continued(self) -> bool:
        """Tell whether the block that was read last is still there, so that the next follow it."""
        checkpoints = self._index.checkpoints()
        if not checkpoints:
            return True
        block = await self._chain.block(checkpoints[0].number)
        return block is not None and block.hash == checkpoints[0].hash

    def _lost(self, error: Exception) -> None:
        if self._index.status().is_chain_up or not self._is_bound:
            _log.warning("! the chain cannot be read: %s", error)
        self._index.note_chain(is_up=False)
        self._on_change()
