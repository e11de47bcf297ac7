"""Shoal's side in as many processes as there are cores.

OpenDHT's nodes bring threads of their own, which the system spreads over all cores. A node of Shoal
is one event loop, hence uses one core; but nodes in the open have a process each. So here, too,
both sides may use all cores: theirs by threads, ours by processes. The nodes that ask, of which one
is at work at a time, share the first process, and all others answer from the rest.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, Final

from bench.workers import Worker

if TYPE_CHECKING:
    from contextlib import ExitStack

    from bench.dht.side import Burst, Limits, Lookup

MODULE: Final = "bench.dht.worker"


def reader_of(size: int) -> int:
    """Return which node reads what node 0 has put."""
    return size // 2


def places(size: int, processes: int) -> list[tuple[int, int]]:
    """Return for each node its process, and its place among the nodes there."""
    counts = [0] * processes
    found = []
    for node in range(size):
        is_asking = node == 0 or (node == reader_of(size) and size > 2)  # noqa: PLR2004 - a pair
        process = 0 if is_asking or processes == 1 else 1 + node % (processes - 1)
        found.append((process, counts[process]))
        counts[process] += 1
    return found


class Spread:
    """Does what a `Worker` with a `Side` does, over several workers."""

    def __init__(self, stack: ExitStack, processes: int | None = None) -> None:
        self._workers = [
            stack.enter_context(Worker(MODULE, "shoal"))
            for _ in range(processes or os.cpu_count() or 1)
        ]
        self._places: list[tuple[int, int]] = []

    def call(self, method: str, /, **arguments: Any) -> Any:
        """Run *method* where its nodes are and return its result."""
        return getattr(self, method)(**arguments)

    def start(self, nodes: int, limits: Limits | None) -> None:
        """Start node 0, and the others, which join it."""
        self._places = places(nodes, len(self._workers))
        self._workers[0].call("start", nodes=1, limits=limits)
        port = self._workers[0].call("port", node=0)
        for index, worker in enumerate(self._workers):
            count = sum(process == index for process, _ in self._places) - (index == 0)
            worker.call("start", nodes=count, limits=limits, port=port)

    def node_ids(self) -> list[str]:
        """Return the id of each node."""
        ids = [worker.call("node_ids") for worker in self._workers]
        return [ids[process][place] for process, place in self._places]

    def put(self, node: int, key: str, value: str) -> float:
        """Put and return seconds until it was done."""
        seconds: float = self._at(node, "put", key=key, value=value)
        return seconds

    def get(self, node: int, key: str) -> Lookup:
        """Get, to the end."""
        lookup: Lookup = self._at(node, "get", key=key)
        return lookup

    def puts(self, node: int, entries: list[tuple[str, str]]) -> Burst:
        """Put all entries at once."""
        return self._burst(node, "puts", entries=entries)

    def gets(self, node: int, keys: list[str]) -> Burst:
        """Get all keys at once, to the end."""
        return self._burst(node, "gets", keys=keys)

    def listen(self, listeners: list[int], key: str) -> None:
        """Let the nodes listen at *key*."""
        for index, worker in enumerate(self._workers):
            local = [self._places[node] for node in listeners]
            there = [place for process, place in local if process == index]
            worker.call("listen", listeners=there, key=key)

    def update(self, source: int, key: str, value: str) -> float:
        """Put *value* where all listen; return seconds until every listener had it."""
        for worker in self._workers:
            worker.call("expect", value=value)
        begin: float = self._at(source, "announce", key=key, value=value)
        # The monotonic clock is one for all processes.
        return max(float(worker.call("heard")) for worker in self._workers) - begin

    def _at(self, node: int, method: str, **arguments: Any) -> Any:
        process, place = self._places[node]
        return self._workers[process].call(method, node=place, **arguments)

    def _burst(self, node: int, method: str, **arguments: Any) -> Burst:
        """Let one node work, and count the processor time of all that answer it."""
        asking = self._workers[self._places[node][0]]
        others = [worker for worker in self._workers if worker is not asking]
        before = sum(worker.processor_seconds() for worker in others)
        burst: Burst = self._at(node, method, **arguments)
        after = sum(worker.processor_seconds() for worker in others)
        burst["processor_seconds"] += after - before
        return burst
