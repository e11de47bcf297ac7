"""The pool that does an engine's slow work: signatures, decryption, keys."""

from __future__ import annotations

import asyncio
import os
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING, Final

from shoal.dht.errors import TooManyOperationsError

if TYPE_CHECKING:
    from collections.abc import Callable

    from shoal.core import Compute

WORKERS_MAX: Final = 4  # ours: the library releases the interpreter lock only inside OpenSSL
JOBS_MAX: Final = 4096  # ours: waiting and running; above it a job fails at once


class ComputePool:
    """Runs jobs in threads, in order of arrival, and returns their results to the event loop."""

    def __init__(
        self,
        computed: Callable[[int, object], None],
        failed: Callable[[int, Exception], None],
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self._computed = computed
        self._failed = failed
        self._executor: ThreadPoolExecutor | None = None
        self._jobs = 0
        self._is_closed = False

    def submit(self, compute: Compute) -> None:
        """Run a job; *computed* or *failed* follows once, never from within this call."""
        if self._jobs >= JOBS_MAX:
            self._loop.call_soon(self._failed, compute.id, TooManyOperationsError())
            return
        if self._executor is None:
            workers = min(WORKERS_MAX, os.cpu_count() or 1)
            self._executor = ThreadPoolExecutor(workers, thread_name_prefix="shoal-compute")
        self._jobs += 1
        self._executor.submit(compute.job).add_done_callback(
            lambda future: self._hand_over(compute.id, future)
        )

    def close(self) -> None:
        """Forget the jobs that wait; those that run end unheard."""
        self._is_closed = True
        if self._executor is not None:
            self._executor.shutdown(wait=False, cancel_futures=True)

    def _hand_over(self, job_id: int, future: Future[object]) -> None:
        """In a thread of the pool: pass the result to the loop."""
        if not self._is_closed and not future.cancelled():
            try:
                self._loop.call_soon_threadsafe(self._report, job_id, future)
            except RuntimeError:  # the loop was closed between two instructions
                return

    def _report(self, job_id: int, future: Future[object]) -> None:
        self._jobs -= 1
        if self._is_closed:
            return
        error = future.exception()
        if error is None:
            self._computed(job_id, future.result())
        elif isinstance(error, Exception):
            self._failed(job_id, error)
        else:
            raise error
