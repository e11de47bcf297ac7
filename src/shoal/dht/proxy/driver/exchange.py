"""One HTTP request and its answer, as the application sees them over ASGI."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

from shoal.dht.proxy import wire
from shoal.dht.proxy.quotas import client_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from uvicorn._types import ASGIReceiveCallable, ASGISendCallable, HTTPScope

# The reference's own name: clients of old were seen to be told apart by it, and it costs nothing.
HEADERS: Final = (
    (b"Server", b"RESTinio"),
    (b"Content-Type", b"application/json"),
    (b"Access-Control-Allow-Origin", b"*"),
)
CLOSE: Final = ((b"Connection", b"close"),)


class RefusedError(Exception):
    """This request ends with *status* and *body*; *is_last* ends its connection, too."""

    def __init__(self, status: int, body: bytes, *, is_last: bool = False) -> None:
        super().__init__(status)
        self.status = status
        self.body = body
        self.is_last = is_last


class DisconnectedError(Exception):
    """The client went away."""


class Exchange:
    """A request to read, and an answer to give in one piece or in chunks."""

    def __init__(
        self,
        scope: HTTPScope,
        receive: ASGIReceiveCallable,
        send: ASGISendCallable,
        timeout: float,
    ) -> None:
        self.method = scope["method"]
        self.path = scope.get("raw_path", b"").decode("latin-1")
        self.host = scope["client"][0] if scope["client"] else ""
        self.client = client_of(self.host)
        self.is_started = False
        self._headers = dict(scope["headers"])
        self._abort: Callable[[], None] = scope["state"]["abort"]
        self._receive = receive
        self._send = send
        self._timeout = timeout

    async def body(self, size_max: int) -> bytes:
        """Read the request's body.

        Raises:
            RefusedError: it is larger than *size_max*, or too slow.
            DisconnectedError: it ends before its end.
        """
        declared = self._headers.get(b"content-length", b"0")
        if not declared.isdigit() or int(declared[:20]) > size_max:
            raise RefusedError(413, wire.TOO_LARGE, is_last=True)
        body = bytearray()
        try:
            async with asyncio.timeout(self._timeout):
                while True:
                    event = await self._receive()
                    if event["type"] != "http.request":
                        raise DisconnectedError
                    body += event["body"]
                    if len(body) > size_max:
                        raise RefusedError(413, wire.TOO_LARGE, is_last=True)
                    if not event["more_body"]:
                        return bytes(body)
        except TimeoutError as error:
            raise RefusedError(408, wire.TIMED_OUT, is_last=True) from error

    async def respond(
        self, status: int, body: bytes, headers: Iterable[tuple[bytes, bytes]] = HEADERS
    ) -> None:
        """Answer in one piece."""
        length = (b"Content-Length", b"%d" % len(body))
        await self._start(status, [*headers, length])
        await self._deliver(body, is_last=True)

    async def start(self) -> None:
        """Begin an answer in chunks: its head is sent at once."""
        await self._start(200, list(HEADERS))
        await self._deliver(b"", is_last=False)

    async def write(self, chunk: bytes) -> None:
        """Send one chunk.

        Raises:
            DisconnectedError: the client does not read.
        """
        await self._deliver(chunk, is_last=False)

    async def end(self) -> None:
        """End an answer in chunks."""
        await self._deliver(b"", is_last=True)

    async def disconnected(self) -> None:
        """Return when the client has gone; the body must have been read."""
        while (await self._receive())["type"] != "http.disconnect":
            pass

    def drop(self) -> None:
        """End the connection at once, whatever the client has not read yet."""
        self._abort()

    async def abort(self) -> None:
        """End the connection, and wait until that is known."""
        self._abort()
        await self.disconnected()

    async def _start(self, status: int, headers: list[tuple[bytes, bytes]]) -> None:
        self.is_started = True
        await self._send({"type": "http.response.start", "status": status, "headers": headers})

    async def _deliver(self, chunk: bytes, *, is_last: bool) -> None:
        try:
            async with asyncio.timeout(self._timeout):
                await self._send(
                    {"type": "http.response.body", "body": chunk, "more_body": not is_last}
                )
        except TimeoutError as error:
            raise DisconnectedError from error
