"""`WebServer`: the HTTP API of a node, and the page to talk in, on loopback."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

from shoal.node.driver.api.registry import METHODS
from shoal.node.errors import UnknownMethodError
from shoal.web.application import Application
from shoal.web.callers import Callers
from shoal.web.config import WebConfig
from shoal.web.protocol import HOST, HttpServer
from shoal.web.tokens import TokenBook

if TYPE_CHECKING:
    from types import TracebackType
    from typing import Self

    from shoal.node import Node

_log = logging.getLogger(__name__)
_servers: WeakKeyDictionary[Node, WebServer] = WeakKeyDictionary()


class WebServer:
    """Serves a node over HTTP.

        async with Node() as node, WebServer(node) as server:
            print(server.new_link())

    Attributes:
        tokens: what callers may prove themselves with.
    """

    def __init__(self, node: Node, config: WebConfig | None = None) -> None:
        """Describe the server; `async with` opens it.

        Args:
            node: whom to serve; it must be open, and stay so longer than the server.
            config: where to listen, and what to grant.
        """
        self.config = config or WebConfig()
        self.tokens = TokenBook(node.home)
        self._node = node
        self._application = Application(node, Callers(self.tokens, self.config.limits))
        self._http = HttpServer(self._application.asgi, self.config)
        self._is_open = False

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
        await self._http.open()
        self._is_open = True
        _servers[self._node] = self
        _log.info("= web at %s", self.url)

    async def close(self) -> None:
        """Stop listening, and end every call. Harmless twice."""
        if not self._is_open:
            return
        self._is_open = False
        _servers.pop(self._node, None)
        await self._http.close()
        _log.info("= web closed")

    @property
    def port(self) -> int:
        """The TCP port."""
        return self._http.port

    @property
    def url(self) -> str:
        """Where it is."""
        return f"http://{HOST}:{self.port}"

    @property
    def sockets(self) -> int:
        """How many WebSockets are open."""
        return len(self._application.sockets)

    def new_link(self) -> str:
        """Return a link that opens the page, once, within ten minutes.

        What makes it work stands behind the `#`, which browsers send to nobody.
        """
        code = self.tokens.new_link(asyncio.get_running_loop().time())
        return f"{self.url}/#link={code}"


@METHODS.method("web.link", is_local=True)
async def web_link(node: Node) -> dict[str, str]:
    """Give a link that opens the node's page, once, within ten minutes."""
    server = _servers.get(node)
    if server is None:
        raise UnknownMethodError("this node serves no page; `shoal up` does", "UnknownMethodError")
    return {"url": server.url, "link": server.new_link()}
