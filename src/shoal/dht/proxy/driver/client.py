"""Carries out a proxy client's requests over HTTP."""

from __future__ import annotations

import asyncio
import logging
import socket
from typing import TYPE_CHECKING, Final

import httpx2

from shoal.core import Family
from shoal.dht.errors import ProxyError
from shoal.dht.proxy.driver.tasks import TaskSet
from shoal.dht.proxy.wire import LINE_MAX

if TYPE_CHECKING:
    import ssl
    from collections.abc import AsyncIterator, Callable

    from shoal.dht.proxy.effects import HttpRequest

_log = logging.getLogger(__name__)

CONNECT_TIMEOUT: Final = 10.0  # seconds; ours
READ_TIMEOUT: Final = 150.0  # seconds; ours: longer than a proxy's node takes to give up a get
WRITE_TIMEOUT: Final = 30.0  # seconds; ours
CLOSE_PATIENCE: Final = 1.0  # seconds; ours: for TLS handshakes under way
ANSWER_MAX: Final = 256 * 1024 * 1024  # bytes; ours: of an answer that isn't a stream
_HEADERS: Final = {
    "Accept": "*/*",
    "Accept-Encoding": "identity",  # small lines that must not wait for others
    "Content-Type": "application/json",
}
# TCP's own heartbeat, for streams of proxies that have none: 60 + 4 * 15 seconds.
_KEEP_ALIVE: Final = (
    (socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1),
    *(
        (socket.IPPROTO_TCP, getattr(socket, name), number)
        for name, number in (("TCP_KEEPIDLE", 60), ("TCP_KEEPINTVL", 15), ("TCP_KEEPCNT", 4))
        if hasattr(socket, name)
    ),
)
_FAILURES: Final = (httpx2.HTTPError, httpx2.InvalidURL, OSError)
_SOURCES: Final = {None: None, Family.IPV4: "0.0.0.0", Family.IPV6: "::"}  # noqa: S104 - sources


class HttpTransport:
    """Requests to one proxy, each in a task of its own."""

    def __init__(
        self,
        url: str,
        on_line: Callable[[int, bytes], None],
        on_end: Callable[[int, int | None], None],
        *,
        tls: ssl.SSLContext | None = None,
        user_agent: str = "shoal",
    ) -> None:
        """Prepare to talk to the proxy at *url*.

        Args:
            url: `http://host[:port]` or `https://…`; without a scheme it is HTTP.
            on_line: takes each line of an answer with status 200.
            on_end: takes the end of an answer: its status, or None if it broke off.
            tls: whom to trust, and who we are; None trusts the usual authorities.
            user_agent: what we are called.

        Raises:
            ProxyError: *url* is no HTTP URL.
        """
        self.url = base_url(url)
        self._on_line = on_line
        self._on_end = on_end
        self._tls = tls
        self._user_agent = user_agent
        self._tasks = TaskSet()
        self._openings = TaskSet()  # of HTTPS connections
        self._running: dict[int, asyncio.Task[None]] = {}
        self._clients: dict[Family | None, httpx2.AsyncClient] = {}

    def send(self, request: HttpRequest) -> None:
        """Begin a request."""
        self._running[request.id] = self._tasks.start(self._run(request))

    def cancel(self, request_id: int) -> None:
        """End a request without a word."""
        task = self._running.pop(request_id, None)
        if task is not None:
            task.cancel()

    def renew(self) -> None:
        """Trust no connection that exists: the network below has changed."""
        for client in self._clients.values():
            self._tasks.start(client.aclose())
        self._clients.clear()

    async def close(self) -> None:
        """End all requests without a word."""
        self._running.clear()
        await self._tasks.close()
        await self._openings.close(CLOSE_PATIENCE)
        for client in self._clients.values():
            await client.aclose()
        self._clients.clear()

    async def _run(self, request: HttpRequest) -> None:
        status = await self._exchange(request)
        # A request that was cancelled meanwhile has no end.
        if self._running.pop(request.id, None) is not None:
            self._on_end(request.id, status)

    async def _exchange(self, request: HttpRequest) -> int | None:
        timeout = httpx2.Timeout(
            CONNECT_TIMEOUT,
            read=None if request.is_stream else READ_TIMEOUT,
            write=WRITE_TIMEOUT,
            pool=None,
        )
        client = self._client(request.family)
        outgoing = client.build_request(
            request.method, self.url + request.path, content=request.body, timeout=timeout
        )
        try:
            response = await self._begin(client, outgoing)
            try:
                await self._read(request, response)
            finally:
                await response.aclose()
        except (*_FAILURES, ProxyError) as error:
            _log.debug("x %s %s: %r", request.method, request.path, error)
            return None
        return response.status_code

    async def _read(self, request: HttpRequest, response: httpx2.Response) -> None:
        if response.status_code != httpx2.codes.OK:
            return
        async for line in _lines(response, None if request.is_stream else ANSWER_MAX):
            if request.id not in self._running:  # a line before has ended it
                return
            self._on_line(request.id, line)

    async def _begin(self, client: httpx2.AsyncClient, outgoing: httpx2.Request) -> httpx2.Response:
        """Send a request and wait for the head of its answer.

        httpcore2 loses a connection that is cancelled during its TLS handshake, so such a one is
        left to end by itself.
        """
        if outgoing.url.scheme != "https":
            return await client.send(outgoing, stream=True)
        opening = self._openings.start(_attempt(client, outgoing))
        try:
            outcome = await asyncio.shield(opening)
        except asyncio.CancelledError:
            self._openings.start(_discard(opening))
            raise
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    def _client(self, family: Family | None) -> httpx2.AsyncClient:
        client = self._clients.get(family)
        if client is None:
            client = self._clients[family] = httpx2.AsyncClient(
                headers=_HEADERS | {"User-Agent": self._user_agent},
                trust_env=False,
                follow_redirects=False,
                transport=httpx2.AsyncHTTPTransport(
                    verify=True if self._tls is None else self._tls,
                    trust_env=False,
                    limits=httpx2.Limits(max_connections=None, max_keepalive_connections=32),
                    local_address=_SOURCES[family],
                    socket_options=_KEEP_ALIVE,
                ),
            )
        return client


async def _attempt(
    client: httpx2.AsyncClient, outgoing: httpx2.Request
) -> httpx2.Response | Exception:
    """Return the beginning of an answer, or why there is none."""
    try:
        return await client.send(outgoing, stream=True)
    except _FAILURES as error:
        return error


async def _discard(opening: asyncio.Task[httpx2.Response | Exception]) -> None:
    outcome = await opening
    if isinstance(outcome, httpx2.Response):
        await outcome.aclose()


def base_url(url: str) -> str:
    """Return *url* with its scheme and without a slash at the end.

    Raises:
        ProxyError: it is no HTTP URL.
    """
    text = (url if "://" in url else f"http://{url}").rstrip("/")
    try:
        parsed = httpx2.URL(text)
    except httpx2.InvalidURL as error:
        raise ProxyError(f"not the URL of a proxy: {url!r} ({error})") from error
    if parsed.scheme not in ("http", "https") or not parsed.host or parsed.query:
        raise ProxyError(f"not the URL of a proxy: {url!r}; it reads http://host:port")
    return text


async def _lines(response: httpx2.Response, size_max: int | None) -> AsyncIterator[bytes]:
    """Yield the lines of an answer, without their ends; the last one need not have one.

    Raises:
        ProxyError: a line, or all of them, are longer than any that the protocol has.
    """
    rest = bytearray()
    size = 0
    async for chunk in response.aiter_raw():
        size += len(chunk)
        rest += chunk
        *lines, last = rest.split(b"\n")
        if len(last) > LINE_MAX or (size_max is not None and size > size_max):
            raise ProxyError("the proxy's answer is too long")
        for line in lines:
            yield bytes(line)
        rest = last
    if rest:
        yield bytes(rest)
