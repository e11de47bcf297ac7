"""Tasks that nobody awaits one by one, and jobs in threads; all of them end with their owner."""

from __future__ import annotations

import asyncio
import logging
import os
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, Final, TypeVar

from shoal.core import ShoalError
from shoal.node.errors import TooMuchAskedError

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine
    from concurrent.futures import Future

_log = logging.getLogger(__name__)

WORKERS_MAX: Final = 4  # ours: the crypto library releases the interpreter lock while it works
JOBS_MAX: Final = 4096  # ours: waiting and running; above it a job fails at once

T = TypeVar("T")


class TaskSet:
    """Runs coroutines, logs what they raise, and ends all of them on `close`."""

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
        """Wait *patience* seconds for the end of everything but the asker, then cancel it."""
        tasks = [task for task in self._tasks if task is not asyncio.current_task()]
        if tasks and patience:
            await asyncio.wait(tasks, timeout=patience)
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


class WorkerPool:
    """A bounded pool of threads for slow pure work, shared by the whole node."""

    def __init__(self) -> None:
        self._executor: ThreadPoolExecutor | None = None
        self._jobs = 0
        self._is_closed = False

    def submit(self, job: Callable[[], object], done: Callable[[object], None]) -> None:
        """Run *job*; *done* gets its result, or its exception, from the event loop, later."""
        loop = asyncio.get_running_loop()
        if self._jobs >= JOBS_MAX or self._is_closed:
            loop.call_soon(done, TooMuchAskedError("too many jobs wait"))
            return
        if self._executor is None:
            workers = min(WORKERS_MAX, os.cpu_count() or 1)
            self._executor = ThreadPoolExecutor(workers, thread_name_prefix="shoal-node")
        self._jobs += 1

        def report(future: Future[object]) -> None:
            self._jobs -= 1
            if not self._is_closed and not future.cancelled():
                error = future.exception()
                done(future.result() if error is None else error)

        def ended(future: Future[object]) -> None:
            try:
                loop.call_soon_threadsafe(report, future)
            except RuntimeError:  # the loop was closed meanwhile: nobody waits
                return

        self._executor.submit(job).add_done_callback(ended)

    async def run(self, job: Callable[[], T]) -> T:
        """Return what *job* returns, or raise what it raises.

        Raises:
            TooMuchAskedError: too many jobs wait.
        """
        result: asyncio.Future[T] = asyncio.get_running_loop().create_future()

        def done(outcome: object) -> None:
            if result.done():
                return
            if isinstance(outcome, BaseException):
                result.set_exception(outcome)
            else:
                result.set_result(outcome)  # type: ignore[arg-type]  # what the job returned

        self.submit(job, done)
        return await result

    def close(self) -> None:
        """Forget the jobs that wait; those that run end unheard."""
        self._is_closed = True
        if self._executor is not None:
            self._executor.shutdown(wait=False, cancel_futures=True)
