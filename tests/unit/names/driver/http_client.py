"""A few lines of HTTP, written and read by hand, so that nothing is repaired on the way."""

from __future__ import annotations

import asyncio
import contextlib
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable


@dataclass(frozen=True)
class Answer:
    """What came back."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        """The body, read."""
        return json.loads(self.body)


class Client:
    """One connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    def send(self, data: bytes) -> None:
        """Send bytes as they are."""
        self.writer.write(data)

    def ask(
        self, target: str, *, method: str = "GET", body: bytes = b"", headers: str = ""
    ) -> None:
        """Send a request as Jami does."""
        length = f"Content-Length: {len(body)}\r\n" if body or method == "POST" else ""
        head = (
            f"{method} {target} HTTP/1.1\r\nHost: ns\r\nUser-Agent: JamiDHT\r\nAccept: */*\r\n"
            f"Content-Type: application/json\r\n{length}{headers}\r\n"
        )
        self.send(head.encode() + body)

    async def answer(self, *, has_body: bool = True) -> Answer:
        """Read one answer."""
        async with asyncio.timeout(10):
            head = (await self.reader.readuntil(b"\r\n\r\n")).decode()
            first, *lines = head.strip().split("\r\n")
            headers = {
                name.lower(): value for name, _, value in (line.partition(": ") for line in lines)
            }
            length = int(headers.get("content-length", 0)) if has_body else 0
            body = await self.reader.readexactly(length)
        return Answer(int(first.split()[1]), headers, body)

    async def get(self, target: str, **wishes: Any) -> Answer:
        """Ask and read."""
        self.ask(target, **wishes)
        return await self.answer(has_body=wishes.get("method") != "HEAD")

    async def post(self, target: str, body: bytes) -> Answer:
        """Send a body and read."""
        return await self.get(target, method="POST", body=body)

    async def is_closed(self) -> bool:
        """Tell whether the server closes, with nothing more to say."""
        async with asyncio.timeout(10):
            try:
                return await self.reader.read(1) == b""
            except ConnectionError:
                return True


@contextlib.asynccontextmanager
async def connected(port: int, host: str = "127.0.0.1", **options: Any) -> AsyncIterator[Client]:
    """Connect for a while."""
    reader, writer = await asyncio.open_connection(host, port, **options)
    try:
        yield Client(reader, writer)
    finally:
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()


async def reached(look: Callable[[], Awaitable[bool]], patience: float = 30.0) -> None:
    """Look until it is so.

    Raises:
        TimeoutError: it never was.
    """
    async with asyncio.timeout(patience):
        while not await look():  # noqa: ASYNC110 - nothing here tells when it happens
            await asyncio.sleep(0.01)
