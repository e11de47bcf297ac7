"""Effects carried out in their order, and none that follows a write before that is on disk."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from typing import TYPE_CHECKING

from shoal.core import Persist
from shoal.identity.effects import Forget
from shoal.identity.errors import AccountFileError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from shoal.node.driver.tasks import TaskSet

_log = logging.getLogger(__name__)


class OrderedEffects:
    """A queue of effects: run at once, as long as nothing is being written.

    A write that fails is logged, and what follows it goes on: a full disk must not silence the
    account. `error` then says what happened.
    """

    def __init__(
        self,
        obey: Callable[[object], None],
        write: Callable[[Persist | Forget], None],
        tasks: TaskSet,
    ) -> None:
        """Carry out by *obey*; *write* blocks, and runs in a thread."""
        self.error: AccountFileError | None = None
        self._obey = obey
        self._write = write
        self._tasks = tasks
        self._queue: deque[object] = deque()
        self._writer: asyncio.Task[None] | None = None

    def apply(self, effects: Iterable[object]) -> None:
        """Carry out *effects*, after those that wait."""
        self._queue.extend(effects)
        if self._writer is None:
            self._run()

    async def drained(self) -> None:
        """Return once nothing waits."""
        while (writer := self._writer) is not None:
            await asyncio.wait([writer])

    def _run(self) -> None:
        """Carry out what waits, up to the next write."""
        while self._queue:
            if isinstance(self._queue[0], Persist | Forget):
                self._writer = self._tasks.start(self._write_on())
                return
            self._obey(self._queue.popleft())

    async def _write_on(self) -> None:
        """Write, then carry out, until nothing waits; a close lets the write under way end."""
        try:
            while self._queue:
                effect = self._queue.popleft()
                if isinstance(effect, Persist | Forget):
                    await self._keep(effect)
                else:
                    self._obey(effect)
        finally:
            self._writer = None

    async def _keep(self, effect: Persist | Forget) -> None:
        try:
            await asyncio.to_thread(self._write, effect)
        except AccountFileError as error:
            _log.error("! %s: %s", effect.name, error)
            self.error = error
