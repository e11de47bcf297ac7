"""Tasks that nobody awaits one by one, yet that none of can be lost."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Any, TypeVar

from shoal.core import ShoalError

if TYPE_CHECKING:
    from collections.abc import Coroutine

_log = logging.getLogger(__name__)

T = TypeVar("T")


class TaskSet:
    """Runs coroutines, logs what they raise, and ends all of them on `close`.

    A TaskGroup would have to be entered and left by one task, and end its owner when a child
    fails; these live as long as the object that started them.
    """

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[Any]] = set()

    def __len__(self) -> int:
        return len(self._tasks)

    def start(self, work: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        """Run *work* until it ends or is cancelled."""
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._ended)
        return task

    async def close(self, patience: float = 0.0) -> None:
        """Wait for the end of everything, after *patience* seconds by cancelling it."""
        if self._tasks and patience:
            await asyncio.wait(self._tasks, timeout=patience)
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)

    def _ended(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        error = None if task.cancelled() else task.exception()
        if isinstance(error, ShoalError):
            _log.info("x %s", error)  # what can happen, and says what it is
        elif error is not None:
            _log.error("! %s", error, exc_info=error)
