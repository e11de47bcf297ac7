"""Their side: `opendht.DhtRunner` nodes, each with its own threads, as the library comes.

Times are taken in the library's callbacks, not after a detour through an event loop.
"""

from __future__ import annotations

import asyncio
import threading
import time
from typing import Any, Final

import opendht

from bench.dht.side import BURST_TIMEOUT, CONNECT_TIMEOUT, Burst, Limits, Lookup

LOOPBACK: Final = "127.0.0.1"


class Countdown:
    """Waits for a number of ends, told from any thread."""

    def __init__(self, count: int) -> None:
        self.remaining = count
        self.failed = 0
        self.ended_at = time.perf_counter()
        self._lock = threading.Lock()
        self._ended = threading.Event()

    def one_ended(self, is_ok: bool) -> None:
        """Count one end."""
        now = time.perf_counter()
        with self._lock:
            self.remaining -= 1
            self.failed += not is_ok
            self.ended_at = now
            if self.remaining == 0:
                self._ended.set()

    async def wait(self, timeout: float) -> bool:  # noqa: ASYNC109 - waits in a thread
        """Return whether all ended in time."""
        return await asyncio.to_thread(self._ended.wait, timeout)


def infohash(key: str) -> Any:
    """Return the 40 hexadecimal digits as their type."""
    return opendht.InfoHash(key.encode())


class OpendhtSide:
    """A network of `DhtRunner`s."""

    def __init__(self) -> None:
        self._nodes: list[Any] = []
        self._listeners = 0
        self._awaited = b""
        self._arrival = Countdown(0)

    async def start(self, nodes: int, limits: Limits | None) -> float:
        """Start and connect the nodes."""
        begin = time.perf_counter()
        for _ in range(nodes):
            await self._start_one(limits)
        return time.perf_counter() - begin

    async def _start_one(self, limits: Limits | None) -> None:
        config = opendht.DhtConfig()
        if limits is not None:
            config.setRateLimit(limits["total"], limits["per_address"])
        node = opendht.DhtRunner()
        node.run(ipv4=LOOPBACK, port=0, config=config)
        if self._nodes:
            connected = Countdown(1)
            node.ping(self._nodes[0].getBound(), done_cb=connected.one_ended)
            if not await connected.wait(CONNECT_TIMEOUT) or connected.failed:
                raise RuntimeError("an opendht node did not connect")
        self._nodes.append(node)

    async def node_ids(self) -> list[str]:
        """Return the id of each node."""
        return [node.getNodeId().toString().decode() for node in self._nodes]

    async def port(self, node: int) -> int:
        """Return the UDP port of a node."""
        return int(self._nodes[node].getBound().getPort())

    async def put(self, node: int, key: str, value: str) -> float:
        """Put and return seconds until it was done."""
        begin = time.perf_counter()
        done = self._put(node, [(key, value)])
        if not await done.wait(BURST_TIMEOUT) or done.failed:
            raise RuntimeError("an opendht put failed")
        return done.ended_at - begin

    def _put(self, node: int, entries: list[tuple[str, str]]) -> Countdown:
        done = Countdown(len(entries))
        runner = self._nodes[node]
        for key, value in entries:
            runner.put(
                infohash(key),
                opendht.Value(bytes.fromhex(value)),
                done_cb=lambda is_ok, _nodes: done.one_ended(is_ok),
            )
        return done

    async def get(self, node: int, key: str) -> Lookup:
        """Get, to the end."""
        first: list[float] = []
        done = Countdown(1)
        begin = time.perf_counter()

        def found(_value: object) -> bool:
            first.append(time.perf_counter() - begin)
            return True

        self._nodes[node].get(
            infohash(key), get_cb=found, done_cb=lambda is_ok, _nodes: done.one_ended(is_ok)
        )
        if not await done.wait(BURST_TIMEOUT):
            raise RuntimeError("an opendht get did not end")
        return {"first": first[0] if first else None, "done": done.ended_at - begin}

    async def puts(self, node: int, entries: list[tuple[str, str]]) -> Burst:
        """Put all entries at once."""
        begin, processor_begin = time.perf_counter(), time.process_time()
        done = self._put(node, entries)
        await done.wait(BURST_TIMEOUT)
        return self._burst(done, begin, processor_begin)

    async def gets(self, node: int, keys: list[str]) -> Burst:
        """Get all keys at once, to the end."""
        begin, processor_begin = time.perf_counter(), time.process_time()
        done = Countdown(len(keys))
        for key in keys:
            self._get_one(node, key, done)
        await done.wait(BURST_TIMEOUT)
        return self._burst(done, begin, processor_begin)

    def _get_one(self, node: int, key: str, done: Countdown) -> None:
        found: list[object] = []

        def add(value: object) -> bool:
            found.append(value)
            return True

        self._nodes[node].get(
            infohash(key), get_cb=add, done_cb=lambda _is_ok, _nodes: done.one_ended(bool(found))
        )

    @staticmethod
    def _burst(done: Countdown, begin: float, processor_begin: float) -> Burst:
        return {
            "seconds": (time.perf_counter() if done.remaining else done.ended_at) - begin,
            "failed": done.failed,
            "unfinished": done.remaining,
            "processor_seconds": time.process_time() - processor_begin,
        }

    async def listen(self, listeners: list[int], key: str) -> None:
        """Let the nodes listen at *key*."""
        self._listeners = len(listeners)
        for listener in listeners:
            # Never cancelled: the binding of 4.4.2 calls back into what a cancel has freed.
            self._nodes[listener].listen(infohash(key), self._heard)

    def _heard(self, value: Any, is_expired: bool) -> bool:
        if not is_expired and value.data == self._awaited:
            self._arrival.one_ended(is_ok=True)
        return True

    async def update(self, source: int, key: str, value: str) -> float:
        """Put *value* where all listen; return seconds until every listener had it."""
        self._arrival, self._awaited = Countdown(self._listeners), bytes.fromhex(value)
        begin = time.perf_counter()
        self._put(source, [(key, value)])
        if not await self._arrival.wait(BURST_TIMEOUT):
            raise RuntimeError(f"{self._arrival.remaining} opendht listeners heard nothing")
        return self._arrival.ended_at - begin
