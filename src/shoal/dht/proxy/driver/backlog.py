"""What waits for a slow reader."""

from __future__ import annotations

import asyncio
from collections import deque


class Backlog:
    """Lines that wait for a client to read them, up to a number of bytes."""

    def __init__(self, size_max: int) -> None:
        self._size_max = size_max
        self._lines: deque[bytes] = deque()
        self._size = 0
        self._news = asyncio.Event()
        self.is_open = True
        self.is_overfull = False

    def push(self, line: bytes) -> None:
        """Add a line."""
        self._size += len(line)
        self.is_overfull |= self._size > self._size_max
        self._lines.append(line)
        self._news.set()

    def finish(self) -> None:
        """No more lines will come."""
        self.is_open = False
        self._news.set()

    async def take(self, timeout: float) -> bytes:  # noqa: ASYNC109 - silence is an answer here
        """Return the lines there are, after waiting for one for at most *timeout* seconds."""
        if not self._lines and self.is_open:
            try:
                async with asyncio.timeout(timeout):
                    await self._news.wait()
            except TimeoutError:
                return b""
        self._news.clear()
        lines = b"".join(self._lines)
        self._lines.clear()
        self._size = 0
        return lines
