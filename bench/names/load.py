"""Clients that ask as fast as they are answered, written for that and nothing else."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Sequence

_HEADERS: Final = (
    "Host: 127.0.0.1\r\nUser-Agent: JamiDHT\r\nAccept: */*\r\nContent-Type: application/json\r\n"
)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a load came to.

    Attributes:
        rate: answers per second.
        latency: seconds, of the median request.
        failures: answers other than 200.
    """

    rate: float
    latency: float
    failures: int


class _Client(asyncio.Protocol):
    """One connection at a time, one request at a time."""

    def __init__(self, load: Load) -> None:
        self._load = load
        self._buffer = b""
        self._sent = 0.0
        self.transport: asyncio.Transport | None = None
        self.closed = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport  # type: ignore[assignment]  # of a stream
        self.send()

    def send(self) -> None:
        """Ask for the next thing, if there is one."""
        assert self.transport is not None
        request = self._load.next_request()
        if request is None:
            self.transport.close()
            return
        self._sent = time.perf_counter()
        self.transport.write(request)

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        end = self._buffer.find(b"\r\n\r\n")
        if end < 0:
            return
        start = self._buffer.find(b"Content-Length: ") + 16
        length = int(self._buffer[start : self._buffer.find(b"\r", start)])
        if len(self._buffer) < end + 4 + length:
            return
        self._load.answered(self._buffer, time.perf_counter() - self._sent)
        self._buffer = b""
        if not self._load.is_closing:
            self.send()

    def connection_lost(self, exc: Exception | None) -> None:
        if not self.closed.done():
            self.closed.set_result(None)


class Load:
    """So many requests over so many connections."""

    def __init__(self, port: int, requests: Sequence[bytes], *, is_closing: bool) -> None:
        self.is_closing = is_closing
        self._port = port
        self._requests = iter(requests)
        self._latencies: list[float] = []
        self._failures = 0

    def next_request(self) -> bytes | None:
        """Return what to ask next."""
        return next(self._requests, None)

    def answered(self, answer: bytes, latency: float) -> None:
        """Take an answer."""
        self._latencies.append(latency)
        self._failures += not answer.startswith(b"HTTP/1.1 200")

    async def run(self, connections: int) -> Outcome:
        """Ask everything."""
        loop, total = asyncio.get_running_loop(), 0
        start = time.perf_counter()

        async def work() -> None:
            while True:
                before = len(self._latencies)
                _, client = await loop.create_connection(
                    lambda: _Client(self), "127.0.0.1", self._port
                )
                await client.closed
                if not self.is_closing or len(self._latencies) == before:
                    return

        async with asyncio.TaskGroup() as group:
            for _ in range(connections):
                group.create_task(work())
        seconds = time.perf_counter() - start
        total = len(self._latencies)
        middle = sorted(self._latencies)[total // 2]
        return Outcome(total / seconds, middle, self._failures)


def lookup(name: str, *, is_closing: bool) -> bytes:
    """Return a request for a name."""
    close = "Connection: close\r\n" if is_closing else ""
    return f"GET /name/{name} HTTP/1.1\r\n{_HEADERS}{close}\r\n".encode()


def registration(name: str, body: bytes) -> bytes:
    """Return a request to register."""
    length = f"Content-Length: {len(body)}\r\n"
    return f"POST /name/{name} HTTP/1.1\r\n{_HEADERS}{length}\r\n".encode() + body
