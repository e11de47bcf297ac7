"""The page before there is a node: served at once, while what asks for the node waits for it.

A browser takes longer to start than a node, so it starts meanwhile. The page says that it connects.
"""

from __future__ import annotations

import asyncio
import logging
from http import HTTPStatus
from typing import TYPE_CHECKING, Final

from starlette.requests import Request
from starlette.responses import Response

from shoal.web.config import WebConfig
from shoal.web.guard import Guard
from shoal.web.pages import INDEX, page, pages
from shoal.web.protocol import HOST, HttpServer
from shoal.web.tokens import TokenBook

if TYPE_CHECKING:
    from pathlib import Path
    from types import TracebackType
    from typing import Self

    from starlette.types import ASGIApp, Receive, Scope, Send

_log = logging.getLogger(__name__)

STATIC: Final = "/static/"


class Front:
    """Listens, and serves the page; a `WebServer` made with it serves the rest.

        async with Front(home) as front:
            print(front.new_link())
            async with Node(home) as node, WebServer(node, front=front):
                ...

    Attributes:
        config: where to listen, and what to grant.
        tokens: what callers may prove themselves with.
        waiting: how many requests wait for the node.
    """

    def __init__(self, home: Path, config: WebConfig | None = None) -> None:
        """Describe it; `async with` opens it. *home* is that of the node."""
        self.config = config or WebConfig()
        self.tokens = TokenBook(home)
        self.waiting = 0
        self._application: asyncio.Future[ASGIApp] | None = None
        self._page = Guard(_page)
        self._http = HttpServer(self._serve, self.config)

    async def __aenter__(self) -> Self:
        await self.open()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.close()

    async def open(self) -> None:
        """Listen.

        Raises:
            WebBindError: the port cannot be had.
        """
        self._application = asyncio.get_running_loop().create_future()
        await self._http.open()
        _log.info("= web at %s", self.url)

    async def close(self) -> None:
        """Stop listening, and end every call. Harmless twice."""
        application, self._application = self._application, None
        if application is None:
            return
        if not application.done():
            application.set_result(_no_node)
        await self._http.close()
        _log.info("= web closed")

    def hand_over(self, application: ASGIApp) -> None:
        """Let *application* answer from now on, also those who waited."""
        assert self._application is not None, "open first"
        self._application.set_result(application)

    @property
    def port(self) -> int:
        """The TCP port."""
        return self._http.port

    @property
    def url(self) -> str:
        """Where it is."""
        return f"http://{HOST}:{self.port}"

    def new_link(self) -> str:
        """Return a link that opens the page, once, within ten minutes.

        What makes it work stands behind the `#`, which browsers send to nobody.
        """
        code = self.tokens.new_link(asyncio.get_running_loop().time())
        return f"{self.url}/#link={code}"

    async def _serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        application = self._application
        if application is None:
            await _no_node(scope, receive, send)
            return
        if not application.done() and _page_of(scope) is not None:
            await self._page(scope, receive, send)
            return
        if not application.done() and self.waiting >= self.config.limits.connections:
            await _no_node(scope, receive, send)  # who has hung up waits all the same
            return
        answer = await self._wait_for(application)
        await answer(scope, receive, send)

    async def _wait_for(self, application: asyncio.Future[ASGIApp]) -> ASGIApp:
        self.waiting += 1
        try:
            return await asyncio.shield(application)
        finally:
            self.waiting -= 1


async def _page(scope: Scope, receive: Receive, send: Send) -> None:
    scope["path_params"] = {"path": _page_of(scope)}
    response = await page(Request(scope, receive))
    await response(scope, receive, send)


async def _no_node(scope: Scope, receive: Receive, send: Send) -> None:
    """Tell those who waited that no node will come, and one too many not to wait."""
    if scope["type"] == "websocket":
        await send({"type": "websocket.close"})
    else:
        await Response(status_code=HTTPStatus.SERVICE_UNAVAILABLE)(scope, receive, send)


def _page_of(scope: Scope) -> str | None:
    """Return which file of the page is asked for, if one is."""
    if scope["type"] != "http" or scope["method"] not in {"GET", "HEAD"}:
        return None
    path: str = scope["path"]
    name = INDEX if path == "/" else path.removeprefix(STATIC)
    return name if name != path and name in pages() else None
