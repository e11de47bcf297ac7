"""The part of one file at work: orders carried out in a thread, one after the other."""

from __future__ import annotations

import asyncio
from collections import deque
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Final, TypeAlias, TypeVar

from shoal.transfer import effects as fx
from shoal.transfer.driver import PartFile, remove_part
from shoal.transfer.errors import TransferError

if TYPE_CHECKING:
    from collections.abc import Callable
    from concurrent.futures import Executor

    from shoal.core import CommitId
    from shoal.transfer import HeldFile, WantedFile

WAITING_MAX: Final = 8 * 1024 * 1024  # bytes, ours: from here on the network has to wait

T = TypeVar("T")
PartOrder: TypeAlias = (
    fx.OpenPart | fx.WritePart | fx.ResetPart | fx.CheckPart | fx.ClosePart | fx.RemovePart
)


class PartReports:
    """Whom a desk tells what came of its orders."""

    def part_opened(self, commit: CommitId, size: int) -> None:
        """So much is here."""
        raise NotImplementedError

    def part_failed(self, commit: CommitId, error: TransferError) -> None:
        """The disk does not take it."""
        raise NotImplementedError

    def part_wrong(self, commit: CommitId) -> None:
        """It is not what was offered."""
        raise NotImplementedError

    def part_checked(self, commit: CommitId, held: HeldFile) -> None:
        """It is whole."""
        raise NotImplementedError


class PartDesk:
    """Works on one part. What is to be appended while a write runs goes into the next one."""

    def __init__(
        self,
        commit: CommitId,
        threads: Executor,
        reports: PartReports,
        *,
        own_folder: Path,
        reserve: Callable[[WantedFile], int],
    ) -> None:
        """Work for *commit* in *threads*; files below *own_folder* are copies of ours."""
        self.commit = commit
        self._threads = threads
        self._reports = reports
        self._own_folder = own_folder
        self._reserve = reserve
        self._loop = asyncio.get_running_loop()
        self._orders: deque[PartOrder] = deque()
        self._come = asyncio.Event()
        self._part: PartFile | None = None
        self._waiting = 0
        self._room = asyncio.Event()
        self._room.set()

    def order(self, order: PartOrder) -> None:
        """Have something done, after what was ordered before."""
        self._orders.append(order)
        if isinstance(order, fx.WritePart):
            self._waiting += len(order.data)
            if self._waiting > WAITING_MAX:
                self._room.clear()
        self._come.set()

    @property
    def is_full(self) -> bool:
        """Whether far too much waits to be written."""
        return not self._room.is_set()

    async def room(self) -> None:
        """Wait while far too much waits to be written."""
        await self._room.wait()

    async def run(self) -> None:
        """Work until a part is closed and nothing else is ordered."""
        try:
            while self._orders or self._part is not None:
                while not self._orders:
                    self._come.clear()
                    await self._come.wait()
                try:
                    await self._obey(self._orders.popleft())
                except TransferError as error:
                    await self._close()
                    self._reports.part_failed(self.commit, error)
        finally:
            self._room.set()
            if self._part is not None:
                self._part.close()

    async def _obey(self, order: PartOrder) -> None:
        part = self._part
        match order:
            case fx.OpenPart(commit, wanted):
                await self._close()
                self._part = await self._in_thread(
                    lambda: PartFile(wanted, reserve=self._reserve(wanted))
                )
                self._reports.part_opened(commit, self._part.size)
            case fx.WritePart(_, data):
                await self._append(data)
            case fx.ResetPart() if part is not None:
                await self._in_thread(part.reset)
            case fx.CheckPart() if part is not None:
                await self._check(part)
            case fx.RemovePart(_, wanted):
                await self._close()
                await self._in_thread(lambda: remove_part(wanted))
            case fx.ClosePart():
                await self._close()
            case _:
                pass  # its part was closed by a failure

    async def _append(self, data: bytes) -> None:
        pieces = [data]
        while self._orders and isinstance(following := self._orders[0], fx.WritePart):
            pieces.append(following.data)
            self._orders.popleft()
        part = self._part
        try:
            if part is not None:
                await self._in_thread(lambda: part.append(pieces))
        finally:
            self._waiting -= sum(map(len, pieces))
            if self._waiting <= WAITING_MAX // 2:
                self._room.set()

    async def _check(self, part: PartFile) -> None:
        held = await self._in_thread(part.finish)
        if held is None:
            self._reports.part_wrong(self.commit)
            return
        self._part = None
        is_copy = Path(held.path).is_relative_to(self._own_folder)
        self._reports.part_checked(self.commit, replace(held, is_copy=is_copy))

    async def _close(self) -> None:
        part, self._part = self._part, None
        if part is not None:
            await self._in_thread(part.close)

    async def _in_thread(self, job: Callable[[], T]) -> T:
        return await self._loop.run_in_executor(self._threads, job)
