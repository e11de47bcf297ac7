"""Our side: `shoal.dht.DhtNode`s, all of this process on its one event loop; see `spread`."""

from __future__ import annotations

import asyncio
import time
from contextlib import AsyncExitStack
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from bench.dht.profiling import Profile
from bench.dht.side import BURST_TIMEOUT, CONNECT_TIMEOUT, Burst, Limits, Lookup
from shoal.core import InfoHash
from shoal.core.errors import ShoalError
from shoal.dht import Added, DhtConfig, DhtNode

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from shoal.dht.driver import ListenOperation

LOOPBACK: Final = "127.0.0.1"


class ShoalSide:
    """A network of `DhtNode`s."""

    def __init__(self) -> None:
        self._nodes: list[DhtNode] = []
        self._stack = AsyncExitStack()
        self._listeners: list[ListenOperation] = []
        self._heard: asyncio.Future[list[float]] | None = None

    async def start(self, nodes: int, limits: Limits | None, port: int | None = None) -> float:
        """Start and connect the nodes; they join the one at *port*, or else the first of them."""
        config = DhtConfig()
        if limits is not None:
            config = replace(
                config,
                rate_limit_total=limits["total"],
                rate_limit_per_address=limits["per_address"],
                pace_per_node=limits["per_address"],
            )
        begin = time.perf_counter()
        for _ in range(nodes):
            if port is None and self._nodes:
                port = self._nodes[0].port
            known = [] if port is None else [(LOOPBACK, port)]
            node = DhtNode(bootstrap=known, bind=[LOOPBACK], config=config)
            await self._stack.enter_async_context(node)
            if known:
                await node.wait_connected(CONNECT_TIMEOUT)
            self._nodes.append(node)
        return time.perf_counter() - begin

    async def node_ids(self) -> list[str]:
        """Return the id of each node."""
        return [str(node.node_id) for node in self._nodes]

    async def port(self, node: int) -> int:
        """Return the UDP port of a node."""
        return self._nodes[node].port

    async def put(self, node: int, key: str, value: str) -> float:
        """Put and return seconds until it was done."""
        data = bytes.fromhex(value)
        begin = time.perf_counter()
        await self._nodes[node].put(InfoHash.from_hex(key), data)
        return time.perf_counter() - begin

    async def get(self, node: int, key: str) -> Lookup:
        """Get, to the end."""
        first = None
        begin = time.perf_counter()
        async for _ in self._nodes[node].get(InfoHash.from_hex(key)):
            if first is None:
                first = time.perf_counter() - begin
        return {"first": first, "done": time.perf_counter() - begin}

    async def puts(self, node: int, entries: list[tuple[str, str]]) -> Burst:
        """Put all entries at once."""

        async def one(entry: tuple[str, str]) -> bool:
            await self._nodes[node].put(InfoHash.from_hex(entry[0]), bytes.fromhex(entry[1]))
            return True

        return await burst(one, entries)

    async def gets(self, node: int, keys: list[str]) -> Burst:
        """Get all keys at once, to the end."""

        async def one(key: str) -> bool:
            return bool(await self._nodes[node].get(InfoHash.from_hex(key)))

        return await burst(one, keys)

    async def listen(self, listeners: list[int], key: str) -> None:
        """Let the nodes listen at *key*."""
        self._listeners = [
            await self._stack.enter_async_context(self._nodes[each].listen(InfoHash.from_hex(key)))
            for each in listeners
        ]

    async def expect(self, value: str) -> None:
        """Let the listeners look out for *value*."""
        data = bytes.fromhex(value)

        async def hear(listener: ListenOperation) -> float:
            async for event in listener:
                if isinstance(event, Added) and event.value.data == data:
                    return time.perf_counter()
            raise RuntimeError("a listener ended")

        self._heard = asyncio.gather(*map(hear, self._listeners))

    async def announce(self, node: int, key: str, value: str) -> float:
        """Put *value*; return when it set out."""
        begin = time.perf_counter()
        await self._nodes[node].put(InfoHash.from_hex(key), bytes.fromhex(value))
        return begin

    async def heard(self) -> float:
        """Return when the last listener had what it looked out for."""
        assert self._heard is not None, "something is expected"
        async with asyncio.timeout(BURST_TIMEOUT):
            return max(await self._heard, default=0.0)

    async def profile(self, method: str, **arguments: Any) -> list[str]:
        """Run another method under the profiler; return where its time went, as lines."""
        with Profile() as profile:
            await getattr(self, method)(**arguments)
        return profile.lines()

    async def datagrams(self) -> int:
        """Return how many datagrams the nodes sent so far."""
        return sum(node.stats().udp.sent for node in self._nodes)


async def burst(operation: Callable[[Any], Awaitable[bool]], inputs: list[Any]) -> Burst:
    """Start *operation* on all *inputs* at once; count what failed and what did not end."""
    failed = ended = 0
    last = time.perf_counter()

    async def one(each: Any) -> None:
        nonlocal failed, ended, last
        try:
            is_ok = await operation(each)
        except ShoalError:
            is_ok = False
        last = time.perf_counter()
        ended += 1
        failed += not is_ok

    begin, processor_begin = time.perf_counter(), time.process_time()
    try:
        async with asyncio.timeout(BURST_TIMEOUT), asyncio.TaskGroup() as group:
            for each in inputs:
                group.create_task(one(each))
    except TimeoutError:
        last = time.perf_counter()
    return {
        "seconds": last - begin,
        "failed": failed,
        "unfinished": len(inputs) - ended,
        "processor_seconds": time.process_time() - processor_begin,
    }
