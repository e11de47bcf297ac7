"""An index over a running `DhtNode`: carries out what a `PhtEngine` asks for."""

from __future__ import annotations

import asyncio
import itertools
import time
from typing import TYPE_CHECKING, Any, assert_never

from shoal.core.driver import SystemEntropy
from shoal.dht.driver.operations import Added
from shoal.dht.errors import DhtError
from shoal.dht.pht import PhtEngine
from shoal.dht.pht_effects import (
    CancelRequest,
    InsertDone,
    LookupDone,
    PhtEffect,
    PutNode,
    ReadNode,
    WatchNode,
)

if TYPE_CHECKING:
    from collections.abc import Coroutine, Mapping, Sequence

    from shoal.dht.driver.node import DhtNode
    from shoal.dht.pht_entry import IndexValue


class IndexHost:
    """One index; entries are not kept beyond their first ten minutes."""

    def __init__(self, node: DhtNode, name: str, spec: Mapping[str, int]) -> None:
        self._node = node
        self._engine = PhtEngine(name, spec, SystemEntropy())
        self._ops = itertools.count(1)
        self._tasks: dict[int, asyncio.Task[None]] = {}
        self._lookups: dict[int, asyncio.Future[LookupDone]] = {}
        self._insertions: dict[int, asyncio.Future[InsertDone]] = {}

    async def lookup(self, fields: Mapping[str, bytes]) -> LookupDone:
        """Find the entries of exactly these fields."""
        op = next(self._ops)
        future: asyncio.Future[LookupDone] = asyncio.get_running_loop().create_future()
        self._lookups[op] = future
        self._apply(self._engine.lookup(op, fields, self._now))
        return await future

    async def insert(self, fields: Mapping[str, bytes], value: IndexValue) -> InsertDone:
        """Let these fields lead to *value*."""
        op = next(self._ops)
        future: asyncio.Future[InsertDone] = asyncio.get_running_loop().create_future()
        self._insertions[op] = future
        self._apply(self._engine.insert(op, fields, value, self._now))
        return await future

    @property
    def _now(self) -> float:
        return asyncio.get_running_loop().time()

    def _apply(self, effects: Sequence[PhtEffect]) -> None:
        for effect in effects:
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
                case LookupDone(op):
                    self._lookups.pop(op).set_result(effect)
                case InsertDone(op):
                    self._insertions.pop(op).set_result(effect)
                case _:
                    assert_never(effect)

    def _begin(self, request: int, work: Coroutine[Any, Any, None]) -> None:
        self._tasks[request] = asyncio.ensure_future(work)

    async def _read(self, action: ReadNode) -> None:
        try:
            values = await self._node.get(action.key)
        except DhtError:
            self._done(action.request, ok=False)
        else:
            self._apply(self._engine.values_found(action.request, values, self._now))
            self._done(action.request, ok=True)

    async def _watch(self, action: WatchNode) -> None:
        async for event in self._node.listen(action.key):
            if isinstance(event, Added):
                self._apply(self._engine.values_found(action.request, (event.value,), self._now))

    async def _put(self, action: PutNode) -> None:
        created = time.time() - action.age if action.age else None
        try:
            await self._node.put(action.key, action.value, created=created)
        except DhtError:
            self._done(action.request, ok=False)
        else:
            self._done(action.request, ok=True)

    def _done(self, request: int, *, ok: bool) -> None:
        self._tasks.pop(request, None)
        self._apply(self._engine.request_done(request, self._now, ok=ok))
