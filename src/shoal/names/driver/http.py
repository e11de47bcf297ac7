"""HTTP/1.1 for one kind of small request: asyncio protocols over llhttp, bounded everywhere.

Parsing is httptools's, which wraps the parser of Node.js. What a client may hold or take is ours: a
head and a body of some kilobytes, seconds for a request, a share of the connections.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import functools
import socket
from collections import deque
from dataclasses import field
from email.utils import formatdate
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final, cast

import httptools

from shoal.core.records import dataclass
from shoal.names.effects import Request
from shoal.names.errors import NameServerBindError
from shoal.names.rates import client_of
from shoal.names.wire import BODY_SIZE_MAX, to_json

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable

    from shoal.names.config import NameServerConfig
    from shoal.names.effects import Response

HEAD_SIZE_MAX: Final = 16 * 1024  # bytes; ours: browsers send 2 KiB
REQUEST_SIZE_MAX: Final = 2 * (HEAD_SIZE_MAX + BODY_SIZE_MAX)  # ours: see `_grow`
REQUEST_TIME_MAX: Final = 20.0  # seconds; ours: from the first byte of a request to its last
IDLE_TIME_MAX: Final = 60.0  # seconds; ours: between two requests
WRITE_TIME_MAX: Final = 30.0  # seconds; ours: for a client that does not read
PIPELINED_MAX: Final = 32  # ours: requests of one connection whose answers are due
SWEEP_INTERVAL: Final = 1.0  # seconds; ours: between two looks for who is late
CLOSE_GRACE: Final = 3.0  # seconds; ours: for answers under way when the server closes
HANDSHAKE_TIME_MAX: Final = 20.0  # seconds; ours: for TLS
BACKLOG: Final = 1024
_CLOSE: Final = b"Connection: close\r\n"


@dataclass(slots=True)
class HttpStats:
    """What happened on the wire.

    Attributes:
        connections: that were accepted.
        refused: connections beyond a share.
        requests: that were read completely.
        malformed: requests that are no HTTP, or beyond a bound.
        late: connections that ended because their client was too slow.
        answers: by hundreds of the status.
    """

    connections: int = 0
    refused: int = 0
    requests: int = 0
    malformed: int = 0
    late: int = 0
    answers: dict[int, int] = field(default_factory=dict)

    def count_answer(self, status: int) -> None:
        """Count one answer."""
        self.answers[status // 100] = self.answers.get(status // 100, 0) + 1


class Slot:
    """The place of one answer on its connection: answers leave in the order of requests."""

    __slots__ = ("_connection", "is_head", "is_last", "wire")

    def __init__(self, connection: Connection, *, is_head: bool, is_last: bool) -> None:
        self._connection = connection
        self.is_head = is_head
        self.is_last = is_last
        self.wire = b""

    def fill(self, response: Response) -> None:
        """Answer."""
        self._connection.answer(self, response)


class Connection(asyncio.Protocol):
    """One client's connection."""

    def __init__(self, server: HttpServer) -> None:
        self._server = server
        self._loop = server.loop
        self._parser = httptools.HttpRequestParser(self)
        self._slots: deque[Slot] = deque()
        self._transport: asyncio.Transport | None = None
        self._client = ""
        self._holder: str | None = None
        self._is_trusted = False
        self._is_tls = False
        self._is_ending = False
        self._is_reading = False  # in the middle of a request
        self._begun = 0  # requests
        self._deadline = 0.0
        self._begin()

    def _begin(self) -> None:
        self._url = b""
        self._forwarded = ""
        self._size = 0
        self._body = b""

    @property
    def is_quiet(self) -> bool:
        """Whether no answer is due."""
        return not self._slots

    # asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        peer = transport.get_extra_info("peername")
        host = str(peer[0]) if peer else ""
        self._client = _client_of(host)
        self._is_trusted = host in self._server.trusted
        self._is_tls = transport.get_extra_info("sslcontext") is not None
        if not self._server.admit(self, None if self._is_trusted else self._client):
            transport.abort()  # type: ignore[attr-defined]  # a transport of a stream
            return
        self._holder = self._client
        connection = transport.get_extra_info("socket")
        if connection is not None:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._deadline = self._loop.time() + REQUEST_TIME_MAX

    def connection_lost(self, exc: Exception | None) -> None:
        self._is_ending = True
        if self._holder is not None:
            self._server.dismiss(self, None if self._is_trusted else self._client)

    def data_received(self, data: bytes) -> None:
        if self._is_ending:
            return
        begun = self._begun
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            pass  # answered in HTTP/1.1, as RFC 9110 section 7.8 allows, and closed
        except httptools.HttpParserError:
            self._refuse("this is not HTTP")
        if self._is_reading and self._begun == begun:  # all of it was of one request
            self._grow(len(data))

    def eof_received(self) -> bool:
        is_owed = bool(self._slots)  # a client may stop sending and still want its answers
        self.end_when_quiet()
        return is_owed and not self._is_tls

    def pause_writing(self) -> None:
        assert self._transport is not None
        self._transport.pause_reading()
        self._deadline = self._loop.time() + WRITE_TIME_MAX

    def resume_writing(self) -> None:
        assert self._transport is not None
        self._transport.resume_reading()
        self._deadline = self._loop.time() + IDLE_TIME_MAX

    # httptools

    def on_message_begin(self) -> None:
        self._begin()
        self._begun += 1
        self._is_reading = True
        self._deadline = self._loop.time() + REQUEST_TIME_MAX

    def on_url(self, url: bytes) -> None:
        self._url += url
        if len(self._url) > HEAD_SIZE_MAX:
            self._refuse("the address is too long")

    def on_header(self, name: bytes, value: bytes) -> None:
        self._grow(len(name) + len(value))
        lowered = name.lower()
        if lowered == b"x-forwarded-for" and self._is_trusted:
            self._forwarded = value.decode("latin-1")
        elif lowered == b"expect" and value.lower() == b"100-continue":
            self._write(b"HTTP/1.1 100 Continue\r\n\r\n")

    def on_body(self, body: bytes) -> None:
        self._body += body
        if len(self._body) > BODY_SIZE_MAX:
            self._refuse("the body is too large")

    def on_message_complete(self) -> None:
        if self._is_ending:
            return
        self._is_reading = False
        if len(self._slots) >= PIPELINED_MAX:
            self._refuse("too many requests at once")
            return
        method = self._parser.get_method().decode("latin-1")
        is_last = (
            not self._parser.should_keep_alive()
            or self._parser.should_upgrade()  # then the parser reads no further
            or self._server.is_closing
        )
        slot = Slot(self, is_head=method == "HEAD", is_last=is_last)
        self._slots.append(slot)
        self._is_ending = is_last
        self._server.stats.requests += 1
        client = self._server.client_behind(self._forwarded) or self._client
        target = self._url.decode("latin-1")
        self._server.handle(slot, Request(method, target, self._body, client))

    # Answers

    def answer(self, slot: Slot, response: Response) -> None:
        """Send the answer of *slot*, and those behind it that waited for it."""
        self._server.stats.count_answer(response.status)
        slot.wire = self._server.head_of(response, is_last=slot.is_last)
        if not slot.is_head:
            slot.wire += response.body
        slots = self._slots
        while slots and slots[0].wire:
            first = slots.popleft()
            self._write(first.wire)
            if first.is_last:
                self._close()
                return
        if not slots:
            self._deadline = self._loop.time() + IDLE_TIME_MAX

    def end_when_quiet(self) -> None:
        """Take no more requests; close once what is due was answered."""
        self._is_ending = True
        if self._slots:
            self._slots[-1].is_last = True
        else:
            self._close()

    def abort(self) -> None:
        """End the connection at once."""
        if self._transport is not None:
            self._transport.abort()

    def is_late(self, now: float) -> bool:
        """Tell whether the client takes too long; nobody is late while we owe an answer."""
        if self._slots and self._transport is not None:
            is_stuck = self._transport.get_write_buffer_size() > 0
            return is_stuck and now > self._deadline
        return now > self._deadline

    def _grow(self, size: int) -> None:
        """Count what a request takes; pieces of it count twice, as data and as what is in them."""
        self._size += size
        if self._size > REQUEST_SIZE_MAX:
            self._refuse("the request is too large")

    def _refuse(self, problem: str) -> None:
        """Answer what is no request that we take, and close: the stream cannot be followed on."""
        if self._is_ending:  # the rest of what was refused, or of what nobody asked for
            return
        self._server.stats.malformed += 1
        self._is_ending = True
        if self._slots:  # answers under way would be mixed up with it
            self.abort()
            return
        body = to_json({"success": False, "error": problem})
        head = self._server.head(HTTPStatus.BAD_REQUEST, "application/json", len(body))
        self._server.stats.count_answer(HTTPStatus.BAD_REQUEST)
        self._write(head + _CLOSE + b"\r\n" + body)
        self._close()

    def _write(self, data: bytes) -> None:
        if self._transport is not None and not self._transport.is_closing():
            self._transport.write(data)

    def _close(self) -> None:
        self._is_ending = True
        self._deadline = self._loop.time() + WRITE_TIME_MAX
        if self._transport is not None:
            self._transport.close()


class HttpServer:
    """Accepts connections and hands their requests to *handle*, which fills the slots."""

    def __init__(self, config: NameServerConfig, handle: Callable[[Slot, Request], None]) -> None:
        self.stats = HttpStats()
        self.handle = handle
        self.trusted = frozenset(config.trusted_proxies)
        self.is_closing = False
        self.loop = asyncio.get_running_loop()
        self._config = config
        self._connections: dict[Connection, None] = {}
        self._held: dict[str, int] = {}
        self._server: asyncio.Server | None = None
        self._sweeper: asyncio.TimerHandle | None = None
        self._date = b""
        self._is_empty = asyncio.Event()
        self._is_empty.set()

    @property
    def port(self) -> int:
        """The TCP port, once open."""
        assert self._server is not None, "open first"
        port: int = self._server.sockets[0].getsockname()[1]
        return port

    @property
    def open_connections(self) -> int:
        """How many connections clients hold."""
        return len(self._connections)

    async def open(self, tls: ssl.SSLContext | None = None) -> None:
        """Listen, with TLS if a context is given.

        Raises:
            NameServerBindError: another program has the port, or the address is not ours.
        """
        options: dict[str, Any] = {}
        if tls is not None:
            options = {"ssl": tls, "ssl_handshake_timeout": HANDSHAKE_TIME_MAX}
        self._server = await self.loop.create_server(
            lambda: Connection(self),
            sock=_bind(self._config.host, self._config.port),
            backlog=BACKLOG,
            **options,
        )
        self._sweep()

    async def close(self) -> None:
        """Stop listening, let answers under way leave, then end their connections."""
        if self._server is None:
            return
        self.is_closing = True
        self._server.close()
        for connection in list(self._connections):
            connection.end_when_quiet()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(CLOSE_GRACE):
                await self._is_empty.wait()
        for connection in list(self._connections):
            connection.abort()
        await self._is_empty.wait()
        if self._sweeper is not None:
            self._sweeper.cancel()
        await self._server.wait_closed()

    def admit(self, connection: Connection, client: str | None) -> bool:
        """Take a connection in, unless there are too many, of all or of *client*."""
        limits = self._config.limits
        held = 0 if client is None else self._held.get(client, 0)
        if len(self._connections) >= limits.connections or held >= limits.connections_per_client:
            self.stats.refused += 1
            return False
        self.stats.connections += 1
        self._connections[connection] = None
        self._is_empty.clear()
        if client is not None:
            self._held[client] = held + 1
        return True

    def dismiss(self, connection: Connection, client: str | None) -> None:
        """Forget a connection that was taken in."""
        del self._connections[connection]
        if not self._connections:
            self._is_empty.set()
        if client is None:
            return
        self._held[client] -= 1
        if not self._held[client]:
            del self._held[client]

    def client_behind(self, forwarded: str) -> str | None:
        """Return who asks through proxies: the last address in the header that is not one's own."""
        for host in reversed([each.strip() for each in forwarded.split(",")]):
            if host and host not in self.trusted:
                return _client_of(host)
        return None

    def head_of(self, response: Response, *, is_last: bool) -> bytes:
        """Return the head of an answer."""
        head = self.head(response.status, response.content_type, len(response.body))
        if response.retry_after is not None:
            head += b"Retry-After: %d\r\n" % response.retry_after
        if response.allowed:
            head += f"Allow: {', '.join(response.allowed)}\r\n".encode()
        return head + _CLOSE + b"\r\n" if is_last else head + b"\r\n"

    def head(self, status: int, content_type: str, length: int) -> bytes:
        """Return the head of an answer, without the line that ends it."""
        return b"%bContent-Length: %d\r\n%b" % (_start_of(status, content_type), length, self._date)

    def _sweep(self) -> None:
        """End the connections of those who are late; write the date for the next second."""
        now = self.loop.time()
        self._date = f"Date: {formatdate(usegmt=True)}\r\n".encode()
        for connection in [each for each in self._connections if each.is_late(now)]:
            self.stats.late += 1
            connection.abort()
        self._sweeper = self.loop.call_later(SWEEP_INTERVAL, self._sweep)


@functools.lru_cache(maxsize=128)
def _start_of(status: int, content_type: str) -> bytes:
    phrase = HTTPStatus(status).phrase
    return (
        f"HTTP/1.1 {int(status)} {phrase}\r\nContent-Type: {content_type}\r\n"
        "Access-Control-Allow-Origin: *\r\n"  # names are public: pages may read them too
    ).encode()


@functools.lru_cache(maxsize=4096)
def _client_of(host: str) -> str:
    return client_of(host)


def _bind(host: str, port: int) -> socket.socket:
    """Open a listening socket; `::` takes IPv4 too."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server(
            (host, port),
            family=family,
            backlog=BACKLOG,
            dualstack_ipv6=host == "::" and socket.has_dualstack_ipv6(),
        )
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            raise NameServerBindError(f"TCP port {port} of {host} is taken") from error
        raise NameServerBindError(
            f"cannot listen on {host}, TCP port {port}: {error.strerror or error}"
        ) from error
