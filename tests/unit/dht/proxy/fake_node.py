"""A node without a network: one dictionary, with the API that a proxy server serves."""

# ruff: noqa: D102, ASYNC109 - as `ServedNode` says

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING

from shoal.core import Address, Family, InfoHash
from shoal.dht.driver import Added, Expired, ListenEvent, NodeStats, PutResult
from shoal.dht.driver.stats import FamilyStats
from shoal.dht.driver.udp import UdpStats
from shoal.dht.effects import Status
from shoal.dht.errors import NoIdentityError, StoredOnlyHereError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from shoal.dht.value import Value

NODE_ID = InfoHash(bytes(range(20)))


class FakeListen:
    """A listen, or with None in its queue a get that ends."""

    def __init__(self, queue: asyncio.Queue[ListenEvent | None], ended: list[str]) -> None:
        self.queue = queue
        self._ended = ended
        self.is_closed = False

    async def __aiter__(self) -> AsyncIterator[ListenEvent]:
        while (event := await self.queue.get()) is not None:
            yield event

    def close(self) -> None:
        if not self.is_closed:
            self._ended.append("listen")
        self.is_closed = True


class FakeGet:
    """A get that finds what is stored; a stalled one never ends."""

    def __init__(self, node: FakeNode, values: list[Value]) -> None:
        self._node = node
        self._values = values

    async def __aiter__(self) -> AsyncIterator[Value]:
        for value in self._values:
            yield value
        if self._node.is_stalled:
            self._node.stalled += 1
            try:
                await asyncio.Event().wait()
            finally:
                self._node.stalled -= 1

    def close(self) -> None:
        pass


class FakeNode:
    """Stores what is put, tells who listens."""

    def __init__(self) -> None:
        self.values: dict[InfoHash, dict[int, Value]] = {}
        self.permanent: set[tuple[InfoHash, int]] = set()
        self.listens: dict[InfoHash, list[FakeListen]] = {}
        self.ended: list[str] = []
        self.is_alone = False
        self.is_stalled = False
        self.stalled = 0
        self.identity: InfoHash | None = None
        self.raw: list[bool] = []

    def get(self, key: InfoHash, *, timeout: float | None = None, raw: bool = False) -> FakeGet:
        self.raw.append(raw)
        return FakeGet(self, list(self.values.get(key, {}).values()))

    def listen(self, key: InfoHash, *, raw: bool = False) -> FakeListen:
        self.raw.append(raw)
        listen = FakeListen(asyncio.Queue(), self.ended)
        self.listens.setdefault(key, []).append(listen)
        for value in self.values.get(key, {}).values():
            listen.queue.put_nowait(Added(value))
        return listen

    async def put(
        self,
        key: InfoHash,
        value: Value,
        *,
        permanent: bool = False,
        timeout: float | None = None,
    ) -> PutResult:
        if permanent:
            self.permanent.add((key, value.id))
        if self.is_alone and not permanent:
            raise StoredOnlyHereError(value.id)
        self.values.setdefault(key, {})[value.id] = value
        for listen in self.listens.get(key, []):
            listen.queue.put_nowait(Added(value))
        return PutResult(value.id, 0 if self.is_alone else 1, is_only_here=self.is_alone)

    async def put_signed(
        self, key: InfoHash, value: Value, *, timeout: float | None = None
    ) -> PutResult:
        if self.identity is None:
            raise NoIdentityError
        return await self.put(key, replace(value, user_type="signed"))

    async def put_encrypted(
        self, key: InfoHash, value: Value, to: InfoHash, *, timeout: float | None = None
    ) -> PutResult:
        if self.identity is None:
            raise NoIdentityError
        return await self.put(key, replace(value, recipient=to))

    def cancel_put(self, key: InfoHash, value_id: int) -> None:
        self.permanent.discard((key, value_id))

    def expire(self, key: InfoHash, value_id: int) -> None:
        """Let a value run out."""
        value = self.values[key].pop(value_id)
        for listen in self.listens.get(key, []):
            listen.queue.put_nowait(Expired(value))

    def stats(self) -> NodeStats:
        family = FamilyStats(Address(bytes(4), 4222), Status.CONNECTED, 3, 1, 0, 2, 4, 0, 9, 128)
        return NodeStats(
            NODE_ID,
            self.identity,
            0,
            Status.CONNECTED,
            1.0,
            0,
            sum(map(len, self.values.values())),
            0,
            {Family.IPV4: family},
            UdpStats(),
            {},
        )
