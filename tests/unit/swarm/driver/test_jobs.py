"""Jobs on repositories: in order, and peers wait where many wait already."""

from __future__ import annotations

import asyncio
import threading
from functools import partial

import pytest

from shoal.core import ConversationId
from shoal.swarm.driver.jobs import WAITING_MAX, ConversationJobs

ONE, OTHER = ConversationId(b"1" * 20), ConversationId(b"2" * 20)


async def test_one_after_the_other() -> None:
    """Results come back in order, an error to who asked for it."""
    jobs, done = ConversationJobs(), list[int]()
    futures = [jobs.submit(ONE, partial(done.append, number)) for number in range(9)]
    failing = jobs.submit(ONE, lambda: 1 // 0)
    await asyncio.gather(*futures)
    with pytest.raises(ZeroDivisionError):
        await failing
    await jobs.close()

    assert done == list(range(9))


async def test_peers_wait_while_many_jobs_do() -> None:
    """What a flooder sends stays with the flooder; other conversations go on."""
    jobs, gate = ConversationJobs(), threading.Event()
    blocked = [jobs.submit(ONE, gate.wait)]
    blocked += [jobs.submit(ONE, lambda: True) for _ in range(WAITING_MAX + 5)]
    await jobs.calm(OTHER)
    await jobs.submit(OTHER, lambda: True)
    async with asyncio.TaskGroup() as group:
        waiting = group.create_task(jobs.calm(ONE))
        await asyncio.sleep(0)
        assert not waiting.done()
        gate.set()
    assert sum(not future.done() for future in blocked) <= WAITING_MAX + 1
    await asyncio.gather(*blocked)
    await jobs.close()
