"""HTTP connections: uvicorn's HTTP/1.1 and WebSockets, bounded, on loopback.

uvicorn takes any number of connections, and waits as long as a client likes for the head of a
request. Here both have an end.
"""

from __future__ import annotations

import asyncio
import errno
import socket
from typing import TYPE_CHECKING, Final

import h11
from uvicorn.config import Config
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.server import ServerState

from shoal.node import wire
from shoal.web.errors import WebBindError

if TYPE_CHECKING:
    from starlette.types import ASGIApp

    from shoal.web.config import WebConfig

HOST: Final = "127.0.0.1"  # nobody else's machine
HEAD_TIMEOUT: Final = 20.0  # seconds; ours: for the head of a request, once it has begun
HEAD_MAX: Final = 16 * 1024  # bytes; ours
KEEP_ALIVE: Final = 60  # seconds; ours: between two requests
PING_INTERVAL: Final = 20.0  # seconds; uvicorn's: of a WebSocket, and as long for its answer
BACKLOG: Final = 128
CLOSE_GRACE: Final = 1.0  # seconds that answers under way get when the server closes


class _Connection(H11Protocol):
    """One client's connection, until it becomes a WebSocket."""

    def __init__(self, server: HttpServer) -> None:
        super().__init__(server.uvicorn_config, server.state, {}, asyncio.get_running_loop())
        self._owner = server
        self._head_timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        if not self._owner.take(transport):
            transport.abort()
            return
        self._watch_head()

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        self._watch_head()

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        if self._head_timer is not None:
            self._head_timer.cancel()

    def _watch_head(self) -> None:
        """Give the head of a request its time, from its first byte or the connection on."""
        is_idle = self.conn.their_state is h11.IDLE and self.timeout_keep_alive_task is None
        if not is_idle and self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None
        elif is_idle and self._head_timer is None:
            self._head_timer = self.loop.call_later(HEAD_TIMEOUT, self.transport.abort)


class HttpServer:
    """Serves an ASGI application on a TCP port of loopback.

    Attributes:
        transports: connections that are open.
        connections_max: how many may be.
    """

    def __init__(self, application: ASGIApp, config: WebConfig) -> None:
        self.state = ServerState()
        self.transports: set[asyncio.Transport] = set()
        self.connections_max = config.limits.connections
        self.uvicorn_config = Config(
            application,
            http=_Connection,
            ws="websockets-sansio",
            ws_max_size=wire.LINE_MAX,
            ws_ping_interval=PING_INTERVAL,
            ws_ping_timeout=PING_INTERVAL,
            ws_per_message_deflate=False,
            lifespan="off",
            interface="asgi3",
            log_config=None,
            log_level="warning",  # at "info" it would write addresses with what is in their queries
            access_log=False,
            proxy_headers=False,
            h11_max_incomplete_event_size=HEAD_MAX,
            timeout_keep_alive=KEEP_ALIVE,
        )
        self._config = config
        self._server: asyncio.Server | None = None

    @property
    def port(self) -> int:
        """The TCP port, once open."""
        assert self._server is not None, "open first"
        port: int = self._server.sockets[0].getsockname()[1]
        return port

    def take(self, transport: asyncio.Transport) -> bool:
        """Count a connection; False if it is one too many. One may be a WebSocket meanwhile."""
        self.transports = {each for each in self.transports if not each.is_closing()}
        if len(self.transports) >= self.connections_max:
            return False
        self.transports.add(transport)
        return True

    async def open(self) -> None:
        """Listen.

        Raises:
            WebBindError: the port cannot be had.
        """
        self.uvicorn_config.load()
        self._server = await asyncio.get_running_loop().create_server(
            lambda: _Connection(self), sock=_bind(self._config), backlog=BACKLOG
        )

    async def close(self) -> None:
        """Stop listening, let answers under way end, then end their connections."""
        server, self._server = self._server, None
        if server is None:
            return
        server.close()
        for connection in list(self.state.connections):
            connection.shutdown()
        if self.state.tasks:
            await asyncio.wait(list(self.state.tasks), timeout=CLOSE_GRACE)
        for task in list(self.state.tasks):
            task.cancel()
        for transport in list(self.transports):
            transport.abort()
        if self.state.tasks:
            await asyncio.wait(list(self.state.tasks), timeout=CLOSE_GRACE)
        await server.wait_closed()


def _bind(config: WebConfig) -> socket.socket:
    """Return a socket at the port wished, or at any if that one is taken and need not be it."""
    try:
        return _bound(config.port)
    except OSError as error:
        if error.errno == errno.EADDRINUSE and not config.is_port_fixed:
            return _bound(0)
        raise WebBindError(f"port {config.port}: {error.strerror}") from error


def _bound(port: int) -> socket.socket:
    opened = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    try:
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        opened.bind((HOST, port))
    except OSError:
        opened.close()
        raise
    return opened
