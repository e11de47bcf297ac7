"""Jobs on repositories: in threads, those of one conversation one after the other."""

from __future__ import annotations

import asyncio
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Final, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Callable

    from shoal.core import ConversationId

Job: TypeAlias = "tuple[Callable[[], object], asyncio.Future[object]]"

WAITING_MAX: Final = 64  # ours: jobs of a conversation, before its peers have to wait
THREADS_MAX: Final = 4  # ours: disks and signatures wait for each other beyond that


class ConversationJobs:
    """A few threads for all conversations of an account."""

    def __init__(self) -> None:
        self._pool = ThreadPoolExecutor(THREADS_MAX, thread_name_prefix="shoal-swarm")
        self._queues: dict[ConversationId, deque[Job]] = {}
        self._busy: dict[ConversationId, asyncio.Event] = {}  # whose peers have to wait
        self._idle = asyncio.Event()
        self._idle.set()

    def submit(
        self, conversation: ConversationId, job: Callable[[], object]
    ) -> asyncio.Future[object]:
        """Run *job* after those that the conversation has waiting; the future has its result."""
        future: asyncio.Future[object] = asyncio.get_running_loop().create_future()
        queue = self._queues.get(conversation)
        if queue is None:
            queue = self._queues[conversation] = deque()
            queue.append((job, future))
            self._idle.clear()
            self._start(conversation)
        else:
            queue.append((job, future))
        return future

    async def calm(self, conversation: ConversationId) -> None:
        """Return once a conversation has few jobs waiting: what peers send stays with them."""
        while len(self._queues.get(conversation, ())) > WAITING_MAX:
            await self._busy.setdefault(conversation, asyncio.Event()).wait()

    async def close(self) -> None:
        """Return once all jobs are done: what was begun is finished."""
        await self._idle.wait()
        await asyncio.to_thread(self._pool.shutdown)

    def _start(self, conversation: ConversationId) -> None:
        job, future = self._queues[conversation][0]
        loop = asyncio.get_running_loop()
        running = loop.run_in_executor(self._pool, job)
        running.add_done_callback(lambda done: self._ended(conversation, future, done))

    def _ended(
        self,
        conversation: ConversationId,
        future: asyncio.Future[object],
        done: asyncio.Future[object],
    ) -> None:
        queue = self._queues[conversation]
        queue.popleft()
        if len(queue) <= WAITING_MAX and (busy := self._busy.pop(conversation, None)) is not None:
            busy.set()
        if queue:
            self._start(conversation)
        else:
            del self._queues[conversation]
            if not self._queues:
                self._idle.set()
        error = done.exception()
        if future.cancelled():
            return
        if error is None:
            future.set_result(done.result())
        else:
            future.set_exception(error)
