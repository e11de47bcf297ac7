"""HTTP connections of a proxy server: uvicorn's HTTP/1.1, with bounds on who may hold how many.

uvicorn waits as long as a client likes for the head of a request, and takes any number of
connections from one address. Here a head has seconds, and an address its share.
"""

from __future__ import annotations

import asyncio
import errno
import socket
from typing import TYPE_CHECKING, Any, Final

import h11
from uvicorn.config import Config
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.server import ServerState

from shoal.dht.errors import BindError, PortTakenError
from shoal.dht.proxy.quotas import Quota, client_of

if TYPE_CHECKING:
    import ssl

    from uvicorn._types import ASGI3Application

    from shoal.dht.proxy.config import ProxyServerConfig

HEAD_TIMEOUT: Final = 20.0  # seconds; ours: for the head of a request, once it has begun
HEAD_MAX: Final = 16 * 1024  # bytes; ours
KEEP_ALIVE: Final = 60.0  # seconds; ours: between two requests
HANDSHAKE_TIMEOUT: Final = 20.0  # seconds; ours: for TLS
BACKLOG: Final = 1024
CLOSE_GRACE: Final = 3.0  # seconds that answers under way get when the server closes
# TCP's own heartbeat: a client that vanished is noticed within 60 + 4 * 15 seconds.
_KEEP_ALIVE_OPTIONS: Final = (("TCP_KEEPIDLE", 60), ("TCP_KEEPINTVL", 15), ("TCP_KEEPCNT", 4))


class _Connection(H11Protocol):
    """One client's connection."""

    def __init__(self, server: HttpServer) -> None:
        # What is in the state reaches the application with each request.
        state = {"abort": self.abort}
        super().__init__(server.uvicorn_config, server.state, state, asyncio.get_running_loop())
        self._owner = server
        self._quota = server.connections
        self._holder: str | None = None
        self._head_timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        host = self.client[0] if self.client else ""
        if self._quota.take(client_of(host)) != "granted":
            transport.abort()
            return
        self._holder = client_of(host)
        _set_options(transport.get_extra_info("socket"))
        self._watch_head()

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        self._watch_head()

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        if self._head_timer is not None:
            self._head_timer.cancel()
        if not self.connections:
            self._owner.is_deserted.set()
        if self._holder is not None:
            self._quota.give_back(self._holder)

    def abort(self) -> None:
        """End the connection at once."""
        self.transport.abort()

    def _watch_head(self) -> None:
        """Give the head of a request its time, from its first byte or the connection on."""
        is_idle = self.conn.their_state is h11.IDLE and self.timeout_keep_alive_task is None
        if not is_idle and self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None
        elif is_idle and self._head_timer is None:
            self._head_timer = self.loop.call_later(HEAD_TIMEOUT, self.abort)


class HttpServer:
    """Serves an ASGI application on a TCP port."""

    def __init__(self, application: ASGI3Application, config: ProxyServerConfig) -> None:
        self.state = ServerState()
        limits = config.limits
        self.connections = Quota(limits.connections_per_client, limits.connections)
        self.uvicorn_config = Config(
            application,
            http=_Connection,
            ws="none",
            lifespan="off",
            interface="asgi3",
            log_config=None,
            access_log=False,
            proxy_headers=bool(config.trusted_proxies),
            forwarded_allow_ips=list(config.trusted_proxies),
            h11_max_incomplete_event_size=HEAD_MAX,
            timeout_keep_alive=int(KEEP_ALIVE),
        )
        self.is_deserted = asyncio.Event()
        self._host = config.host
        self._port = config.port
        self._server: asyncio.Server | None = None

    @property
    def port(self) -> int:
        """The TCP port, once open."""
        assert self._server is not None, "open first"
        port: int = self._server.sockets[0].getsockname()[1]
        return port

    async def open(self, tls: ssl.SSLContext | None = None) -> None:
        """Listen, with TLS if a context is given.

        Raises:
            PortTakenError: another program has the port.
            BindError: the address cannot be listened on.
        """
        self.uvicorn_config.load()
        options: dict[str, Any] = {"ssl": tls, "ssl_handshake_timeout": HANDSHAKE_TIMEOUT}
        self._server = await asyncio.get_running_loop().create_server(
            lambda: _Connection(self),
            sock=_bind(self._host, self._port),
            backlog=BACKLOG,
            **(options if tls is not None else {}),
        )

    async def close(self) -> None:
        """Stop listening, let answers under way end, then end their connections."""
        if self._server is None:
            return
        self._server.close()
        for connection in list(self.state.connections):
            connection.shutdown()
        if self.state.tasks:
            await asyncio.wait(list(self.state.tasks), timeout=CLOSE_GRACE)
        for task in list(self.state.tasks):
            task.cancel()
        for connection in list(self.state.connections):
            assert isinstance(connection, _Connection), "we make no others"
            connection.abort()
        await self._server.wait_closed()
        if self.state.tasks:
            await asyncio.wait(list(self.state.tasks))
        if self.state.connections:
            self.is_deserted.clear()
            await self.is_deserted.wait()


def _set_options(connection: socket.socket) -> None:
    """Send small chunks at once, and notice when the other side has vanished."""
    # asyncio sets this on sockets that know their protocol, which accepted ones here don't; without
    # it the end of each answer waits 40 ms for an acknowledgement.
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, number in _KEEP_ALIVE_OPTIONS:
        if hasattr(socket, name):  # not everywhere
            connection.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), number)


def _bind(host: str, port: int) -> socket.socket:
    """Open a listening socket; `::` takes IPv4 too."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server(
            (host, port),
            family=family,
            dualstack_ipv6=host == "::" and socket.has_dualstack_ipv6(),
        )
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            raise PortTakenError(f"TCP port {port} of {host} is taken") from error
        raise BindError(f"cannot listen on {host}, TCP port {port}: {error.strerror}") from error
