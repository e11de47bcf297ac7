"""The pool: results come back to the loop, failures too, and nothing after the end."""

from __future__ import annotations

import asyncio
import threading
from typing import TYPE_CHECKING

from shoal.core import Compute
from shoal.dht.driver import compute
from shoal.dht.driver.compute import ComputePool
from shoal.dht.errors import TooManyOperationsError

if TYPE_CHECKING:
    import pytest


class Results:
    """What came back."""

    def __init__(self) -> None:
        self.computed: dict[int, object] = {}
        self.failed: dict[int, Exception] = {}
        self.threads: set[int] = set()
        self._changed = asyncio.Event()
        self.pool = ComputePool(self._on_computed, self._on_failed)

    def _on_computed(self, job_id: int, result: object) -> None:
        self.computed[job_id] = result
        self.threads.add(threading.get_ident())
        self._changed.set()

    def _on_failed(self, job_id: int, error: Exception) -> None:
        self.failed[job_id] = error
        self._changed.set()

    async def until(self, count: int) -> None:
        """Wait for so many outcomes."""
        async with asyncio.timeout(10):
            while len(self.computed) + len(self.failed) < count:
                self._changed.clear()
                await self._changed.wait()


async def test_jobs_run_elsewhere_and_report_here() -> None:
    """Each once, under its id."""
    results = Results()
    for number in range(20):
        results.pool.submit(Compute(number, lambda number=number: (number, threading.get_ident())))  # type: ignore[misc]
    await results.until(20)
    results.pool.close()

    here = threading.get_ident()
    assert results.threads == {here}
    for number, result in results.computed.items():
        assert isinstance(result, tuple)
        assert result[0] == number
        assert result[1] != here


async def test_an_error_of_a_job_is_its_result() -> None:
    """A bad signature must not kill the loop."""
    results = Results()
    error = ValueError("bad")

    def fail() -> None:
        raise error

    results.pool.submit(Compute(1, fail))
    await results.until(1)
    results.pool.close()
    assert results.failed == {1: error}


async def test_too_many_jobs_fail_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Not from within the call: the engine is still busy then."""
    monkeypatch.setattr(compute, "JOBS_MAX", 1)
    results, may_end = Results(), threading.Event()
    results.pool.submit(Compute(1, lambda: may_end.wait(10)))
    results.pool.submit(Compute(2, lambda: None))
    assert results.failed == {}
    await results.until(1)
    assert isinstance(results.failed[2], TooManyOperationsError)
    may_end.set()
    await results.until(2)
    results.pool.close()


async def test_after_the_end_nothing_is_heard() -> None:
    """What waits is forgotten, what runs ends unheard."""
    results, began, may_end = Results(), threading.Event(), threading.Event()

    def slow() -> None:
        began.set()
        may_end.wait(10)

    for number in range(compute.WORKERS_MAX + 5):
        results.pool.submit(Compute(number, slow))
    assert await asyncio.to_thread(began.wait, 10)
    results.pool.close()
    may_end.set()
    await asyncio.sleep(0.01)

    assert (results.computed, results.failed) == ({}, {})


async def test_an_unused_pool_closes() -> None:
    """It has no threads yet."""
    Results().pool.close()
