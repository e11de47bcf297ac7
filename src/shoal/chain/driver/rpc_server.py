"""Serves the embedded chain by JSON-RPC over HTTP/1.1, for wallets and mirrors."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Final, Self

import h11

from shoal.chain.driver.serving import RpcMethods
from shoal.chain.errors import ChainFileError

if TYPE_CHECKING:
    from shoal.chain.driver.embedded import EmbeddedChain

_log = logging.getLogger(__name__)

BODY_MAX: Final = 1024 * 1024  # bytes of a request; ours: twice the largest transaction
CONNECTIONS_MAX: Final = 256  # ours; more are closed at once
IDLE_TIMEOUT: Final = 60.0  # seconds for a request to come in whole; ours
READ_SIZE: Final = 65_536  # bytes
LINGER_MAX: Final = 16 * 1024 * 1024  # bytes of a request that is too large; ours
LINGER_TIMEOUT: Final = 5.0  # seconds; ours
_HEADERS: Final = (("Content-Type", "application/json"), ("Access-Control-Allow-Origin", "*"))
_PREFLIGHT: Final = (
    ("Access-Control-Allow-Origin", "*"),
    ("Access-Control-Allow-Methods", "POST"),
    ("Access-Control-Allow-Headers", "content-type"),
)


class RpcServer:
    """`async with RpcServer(chain, port=8545) as server` serves until it ends."""

    def __init__(
        self,
        chain: EmbeddedChain,
        host: str = "127.0.0.1",
        port: int = 0,
        *,
        is_read_only: bool = False,
    ) -> None:
        self._methods = RpcMethods(chain, is_read_only=is_read_only)
        self._host = host
        self._wanted = port
        self._server: asyncio.Server | None = None
        self._open: set[asyncio.StreamWriter] = set()

    async def open(self) -> None:
        """Listen.

        Raises:
            ChainFileError: host or port cannot be had.
        """
        try:
            self._server = await asyncio.start_server(self._serve, self._host, self._wanted)
        except OSError as error:
            raise ChainFileError(
                f"{self._host} port {self._wanted} cannot be listened on: {error.strerror}"
            ) from error

    async def close(self) -> None:
        """Stop, and close what is open."""
        if self._server is not None:
            self._server.close()
            for writer in list(self._open):
                writer.close()
            self._server = None

    @property
    def port(self) -> int:
        """Where it listens."""
        assert self._server is not None, "it is open"
        port: int = self._server.sockets[0].getsockname()[1]
        return port

    async def __aenter__(self) -> Self:
        await self.open()
        return self

    async def __aexit__(self, *unused: object) -> None:
        await self.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if len(self._open) >= CONNECTIONS_MAX:
            writer.close()
            return
        self._open.add(writer)
        try:
            await self._converse(reader, writer)
        except (h11.RemoteProtocolError, OSError, TimeoutError) as error:
            _log.debug("x %s", error)
        finally:
            self._open.discard(writer)
            writer.close()

    async def _converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        protocol = h11.Connection(h11.SERVER, max_incomplete_event_size=READ_SIZE)
        while True:
            async with asyncio.timeout(IDLE_TIMEOUT):
                asked = await _request(protocol, reader)
            if asked is None:
                return
            status, headers, body = await self._answer(*asked)
            length = ("Content-Length", str(len(body)))
            head = h11.Response(status_code=status, headers=[*headers, length])
            for event in (head, h11.Data(data=body), h11.EndOfMessage()):
                writer.write(protocol.send(event) or b"")
            async with asyncio.timeout(IDLE_TIMEOUT):
                await writer.drain()
            if protocol.our_state is not h11.DONE or protocol.their_state is not h11.DONE:
                await _linger(reader, writer)
                return
            protocol.start_next_cycle()

    async def _answer(
        self, method: bytes, body: bytes | None
    ) -> tuple[int, tuple[tuple[str, str], ...], bytes]:
        if body is None:
            return 413, _HEADERS, b""
        if method == b"POST":
            return 200, _HEADERS, await self._methods.answer(body)
        if method == b"OPTIONS":
            return 200, _PREFLIGHT, b""
        return 405, _HEADERS, b""


async def _linger(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Let the other side read the answer before what it still sends resets the connection."""
    writer.write_eof()
    async with asyncio.timeout(LINGER_TIMEOUT):
        for _ in range(LINGER_MAX // READ_SIZE):
            if not await reader.read(READ_SIZE):
                return


async def _request(
    protocol: h11.Connection, reader: asyncio.StreamReader
) -> tuple[bytes, bytes | None] | None:
    """Return method and body of the next request; no body if it is too large, None at the end."""
    method, body = b"", bytearray()
    while True:
        event = protocol.next_event()
        if event is h11.NEED_DATA:
            protocol.receive_data(await reader.read(READ_SIZE))
        elif isinstance(event, h11.Request):
            method = event.method
        elif isinstance(event, h11.Data):
            body += event.data
            if len(body) > BODY_MAX:
                return method, None
        elif isinstance(event, h11.EndOfMessage):
            return method, bytes(body)
        else:
            return None
