"""Tasks and jobs that end with their owner; effects in order; races."""

from __future__ import annotations

import asyncio
import logging
import threading
from typing import TYPE_CHECKING

import pytest

from shoal.core import Persist
from shoal.identity.errors import AccountFileError
from shoal.node.driver import tasks as module
from shoal.node.driver.ordered import OrderedEffects
from shoal.node.driver.race import first_of
from shoal.node.driver.tasks import TaskSet, WorkerPool
from shoal.node.errors import NodeError, TooMuchAskedError

if TYPE_CHECKING:
    from shoal.identity.effects import Forget


async def fail(error: Exception) -> None:
    """Raise *error*."""
    raise error


async def test_what_tasks_raise_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    """Errors of ours in a line, bugs with where they come from."""
    caplog.set_level(logging.INFO)
    tasks = TaskSet()
    tasks.start(fail(NodeError("expected")))
    tasks.start(fail(ValueError("a bug")))
    await asyncio.sleep(0.01)
    assert len(tasks) == 0
    assert [bool(each.exc_info) for each in caplog.records] == [False, True]


async def test_closing_ends_all_tasks() -> None:
    """At once, or after a while in which they may end themselves."""
    tasks, is_done = TaskSet(), asyncio.Event()

    async def wait() -> None:
        await is_done.wait()

    task = tasks.start(wait())
    await tasks.close()
    assert task.cancelled()
    task = tasks.start(wait())
    asyncio.get_running_loop().call_later(0.01, is_done.set)
    await tasks.close(patience=30)
    assert not task.cancelled()


async def test_jobs_run_in_threads_and_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Results and errors come back; too many are refused."""
    pool = WorkerPool()
    assert await pool.run(threading.get_ident) != threading.get_ident()
    with pytest.raises(ZeroDivisionError):
        await pool.run(lambda: 1 // 0)
    monkeypatch.setattr(module, "JOBS_MAX", 0)
    with pytest.raises(TooMuchAskedError):
        await pool.run(lambda: None)
    pool.close()


async def test_no_effect_overtakes_a_write() -> None:
    """What comes before it runs at once, what comes after it waits for the disk."""
    done: list[object] = []
    gate = threading.Event()

    def write(effect: Persist | Forget) -> None:
        assert gate.wait(30)
        done.append(effect.name)

    tasks = TaskSet()
    effects = OrderedEffects(done.append, write, tasks)
    effects.apply(["first", Persist("file", b""), "second"])
    effects.apply(["third"])
    assert done == ["first"]
    gate.set()
    await effects.drained()
    assert done == ["first", "file", "second", "third"]
    await effects.drained()


async def test_a_failed_write_is_remembered_and_the_rest_goes_on() -> None:
    """A full disk must not silence an account."""
    done: list[object] = []

    def write(effect: Persist | Forget) -> None:
        raise AccountFileError("no space")

    effects = OrderedEffects(done.append, write, TaskSet())
    effects.apply([Persist("file", b""), "after"])
    await effects.drained()
    assert done == ["after"]
    assert str(effects.error) == "no space"


async def test_the_first_way_that_succeeds_wins() -> None:
    """Others are given up, and what they bring nevertheless is discarded."""
    discarded: list[int] = []

    async def stubborn() -> int:
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            return 2  # it had just succeeded
        return 0

    async def quick() -> int:
        await asyncio.sleep(0.01)
        return 1

    async def broken() -> int:
        raise NodeError("no way")

    assert await first_of([broken(), stubborn(), quick()], discarded.append) == 1
    assert discarded == [2]
    with pytest.raises(NodeError, match="no way"):
        await first_of([broken()], discarded.append)
