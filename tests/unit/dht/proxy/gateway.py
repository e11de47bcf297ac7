"""A push gateway on loopback: takes any POST and keeps it for the test to look at."""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass
from typing import Any, Self


@dataclass(frozen=True)
class Delivered:
    """One notification as it arrived."""

    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def notification(self) -> dict[str, Any]:
        """The only notification in a gorush request."""
        (notification,) = json.loads(self.body)["notifications"]
        assert isinstance(notification, dict)
        return notification


class Gateway:
    """Plays gorush and UnifiedPush endpoints."""

    def __init__(self) -> None:
        self._delivered: asyncio.Queue[Delivered] = asyncio.Queue()
        self._server: asyncio.Server | None = None

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._server is not None
        self._server.close()
        await self._server.wait_closed()

    @property
    def port(self) -> int:
        """Where it listens."""
        assert self._server is not None
        port: int = self._server.sockets[0].getsockname()[1]
        return port

    @property
    def url(self) -> str:
        """Where it listens, as a URL."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def is_untouched(self) -> bool:
        """Whether nothing ever arrived."""
        return self._delivered.empty()

    async def next(self) -> Delivered:
        """Return the next notification that nobody has taken."""
        async with asyncio.timeout(20.0):
            return await self._delivered.get()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode()
            request, *lines = head.rstrip().split("\r\n")
            headers = {name.lower(): text for name, _, text in (x.partition(": ") for x in lines)}
            body = await reader.readexactly(int(headers.get("content-length", "0")))
            self._delivered.put_nowait(Delivered(request.split(" ")[1], headers, body))
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}")
            await writer.drain()
        finally:
            writer.close()
            await writer.wait_closed()
