"""`Pht`: an index over the DHT, as an asyncio object. How it works: `shoal.dht.pht.engine`."""

from __future__ import annotations

import asyncio
import itertools
import logging
import time
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias, assert_never

from shoal.core.driver import SystemEntropy
from shoal.dht.driver.operations import Added
from shoal.dht.errors import DhtError, NodeClosedError, NotConnectedError
from shoal.dht.pht.effects import (
    CancelRequest,
    InsertDone,
    LookupDone,
    PhtEffect,
    PutNode,
    ReadNode,
    WatchNode,
)
from shoal.dht.pht.engine import PhtEngine

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Mapping, Sequence
    from types import TracebackType
    from typing import Self

    from shoal.core import InfoHash
    from shoal.dht.driver.operations import ListenEvent, PutResult
    from shoal.dht.pht.entry import IndexValue
    from shoal.dht.pht.search import PhtStats
    from shoal.dht.value import Value

_log = logging.getLogger(__name__)

Fields: TypeAlias = "Mapping[str, bytes | str]"


class IndexedNode(Protocol):
    """What an index needs of a node; `DhtNode` is one."""

    def get(self, key: InfoHash, *, raw: bool = False) -> Awaitable[list[Value]]:
        """Return the values at *key*."""
        ...

    def listen(self, key: InfoHash, *, raw: bool = False) -> AsyncIterator[ListenEvent]:
        """Follow the values at *key*."""
        ...

    def put(
        self, key: InfoHash, value: Value, *, created: float | None = None
    ) -> Awaitable[PutResult]:
        """Store *value* at *key*."""
        ...


class Pht:
    """An index: finds values in the DHT by fields, instead of by the key they lie at.

    Use it as an async context manager, within that of its node:

        async with Pht(node, "books", {"title": 32}) as index:
            await index.insert({"title": "Walden"}, IndexValue(key, value_id), keep=True)
            found = await index.lookup({"title": "Walden"})

    Text in fields counts as UTF-8. Entries are public, unsigned and open to everybody's pen: look
    at the values they lead to, and believe those that are signed.
    """

    def __init__(self, node: IndexedNode, name: str, fields: Mapping[str, int]) -> None:
        """Describe an index; name and *fields*, the most bytes of each, are the same for all.

        Raises:
            IndexKeyError: the name or the fields are not possible.
        """
        self._node = node
        self._engine = PhtEngine(name, fields, SystemEntropy())
        self._group = asyncio.TaskGroup()
        self._is_open = False
        self._ops = itertools.count(1)
        self._tasks: dict[int, asyncio.Task[None]] = {}  # by request
        self._waiting: dict[int, asyncio.Future[InsertDone | LookupDone]] = {}  # by op
        self._timer: asyncio.TimerHandle | None = None

    @property
    def stats(self) -> PhtStats:
        """Counters of this index since it was opened."""
        return self._engine.stats

    async def __aenter__(self) -> Self:
        await self._group.__aenter__()
        self._is_open = True
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._is_open = False
        if self._timer is not None:
            self._timer.cancel()
        for future in self._waiting.values():
            if not future.done():
                future.set_exception(NodeClosedError())
        for task in self._tasks.values():
            task.cancel()
        await self._group.__aexit__(kind, error, traceback)

    async def insert(self, fields: Fields, value: IndexValue, *, keep: bool = False) -> None:
        """Let *fields* lead to *value* for ten minutes; if *keep*, until `remove` or the end.

        Raises:
            IndexKeyError: the fields are others, or one is too long.
            NotConnectedError: no node took it; a kept entry is tried again.
            TooManyOperationsError: as many as allowed are under way, or alive.
            NodeClosedError: the index is or was closed.
        """
        key = _bytes_of(fields)
        done = await self._run(
            lambda op, now: self._engine.insert(op, key, value, now, is_kept=keep)
        )
        if not done.ok:
            raise NotConnectedError

    async def lookup(self, fields: Fields) -> list[IndexValue]:
        """Find what exactly these *fields* lead to.

        Raises:
            IndexKeyError: the fields are others, or one is too long.
            NotConnectedError: no node answered.
            TooManyOperationsError: as many as allowed are under way.
            NodeClosedError: the index is or was closed.
        """
        key = _bytes_of(fields)
        return await self._look_up(lambda op, now: self._engine.lookup(op, key, now))

    async def nearest(self, fields: Fields) -> list[IndexValue]:
        """Find what those fields lead to that begin most like these, as a bit string.

        With a single field, a short text finds entries that begin with it. What is found is the
        best in one part of the tree, not surely the best of all. Raises as `lookup` does.
        """
        key = _bytes_of(fields)
        return await self._look_up(
            lambda op, now: self._engine.lookup(op, key, now, is_exact=False)
        )

    def remove(self, fields: Fields, value: IndexValue) -> None:
        """Keep an entry no longer; it disappears within ten minutes.

        Raises:
            IndexKeyError: the fields are others, or one is too long.
        """
        self._apply(self._engine.remove(_bytes_of(fields), value))

    async def _look_up(
        self, command: Callable[[int, float], Sequence[PhtEffect]]
    ) -> list[IndexValue]:
        done = await self._run(command)
        assert isinstance(done, LookupDone)
        if not done.ok:
            raise NotConnectedError
        return [entry.value for entry in done.entries]

    async def _run(
        self, command: Callable[[int, float], Sequence[PhtEffect]]
    ) -> InsertDone | LookupDone:
        """Run an operation to its end; cancelling the caller cancels it."""
        if not self._is_open:
            raise NodeClosedError
        op = next(self._ops)
        effects = command(op, self._now)
        future: asyncio.Future[InsertDone | LookupDone] = self._loop.create_future()
        self._waiting[op] = future
        try:
            self._apply(effects)
            return await future
        except asyncio.CancelledError:
            self._apply(self._engine.cancel(op))
            raise
        finally:
            del self._waiting[op]

    @property
    def _loop(self) -> asyncio.AbstractEventLoop:
        return asyncio.get_running_loop()

    @property
    def _now(self) -> float:
        return self._loop.time()

    def _apply(self, effects: Sequence[PhtEffect]) -> None:
        """Carry out what the engine asks for, and wake it up in time."""
        if not self._is_open:
            return
        for effect in effects:
            self._carry_out(effect)
        if self._timer is not None:
            self._timer.cancel()
        deadline = self._engine.next_deadline()
        self._timer = None if deadline is None else self._loop.call_at(deadline, self._wake)

    def _carry_out(self, effect: PhtEffect) -> None:
        match effect:
            case ReadNode(request):
                self._begin(request, self._read(effect))
            case WatchNode(request):
                self._begin(request, self._watch(effect))
            case PutNode(request):
                self._begin(request, self._put(effect))
            case CancelRequest(request):
                if (task := self._tasks.pop(request, None)) is not None:
                    task.cancel()
            case LookupDone(op) | InsertDone(op):
                future = self._waiting.get(op)
                if future is not None and not future.done():
                    future.set_result(effect)
            case _:
                assert_never(effect)

    def _wake(self) -> None:
        self._apply(self._engine.advance(self._now))

    def _begin(self, request: int, work: Coroutine[Any, Any, None]) -> None:
        task = self._group.create_task(work)
        self._tasks[request] = task
        task.add_done_callback(lambda _: self._tasks.pop(request, None))

    async def _read(self, action: ReadNode) -> None:
        try:
            values = await self._node.get(action.key, raw=True)
        except DhtError as error:
            _log.debug("! reading a node of the index: %s", error)
            self._end(action.request, ok=False)
        else:
            self._apply(self._engine.values_found(action.request, values, self._now))
            self._end(action.request, ok=True)

    async def _watch(self, action: WatchNode) -> None:
        try:
            async for event in self._node.listen(action.key, raw=True):
                if isinstance(event, Added):
                    found = (event.value,)
                    self._apply(self._engine.values_found(action.request, found, self._now))
        except DhtError as error:
            _log.debug("! watching a node of the index: %s", error)

    async def _put(self, action: PutNode) -> None:
        created = time.time() - action.age if action.age else None
        try:
            await self._node.put(action.key, action.value, created=created)
        except DhtError as error:
            _log.debug("! writing to a node of the index: %s", error)
            self._end(action.request, ok=False)
        else:
            self._end(action.request, ok=True)

    def _end(self, request: int, *, ok: bool) -> None:
        self._apply(self._engine.request_done(request, self._now, ok=ok))


def _bytes_of(fields: Fields) -> dict[str, bytes]:
    return {
        name: field.encode() if isinstance(field, str) else field for name, field in fields.items()
    }
