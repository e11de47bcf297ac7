"""`WebServer`: the HTTP API of a node, and the page to talk in, on loopback."""

from __future__ import annotations

from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

from shoal.node.driver.api.registry import METHODS
from shoal.node.errors import UnknownMethodError
from shoal.web.application import Application
from shoal.web.callers import Callers
from shoal.web.front import Front

if TYPE_CHECKING:
    from types import TracebackType
    from typing import Self

    from shoal.node import Node
    from shoal.web.config import WebConfig

_servers: WeakKeyDictionary[Node, WebServer] = WeakKeyDictionary()


class WebServer:
    """Serves a node over HTTP.

        async with Node() as node, WebServer(node) as server:
            print(server.new_link())

    Attributes:
        config: where it listens, and what it grants.
        tokens: what callers may prove themselves with.
    """

    def __init__(
        self, node: Node, config: WebConfig | None = None, *, front: Front | None = None
    ) -> None:
        """Describe the server; `async with` opens it.

        Args:
            node: whom to serve; it must be open, and stay so longer than the server.
            config: where to listen, and what to grant.
            front: what listens already, instead of that; it ends with the server.
        """
        self._node = node
        self._is_first = front is None
        self._front = front or Front(node.home, config)
        self.config = self._front.config
        self.tokens = self._front.tokens
        self._application = Application(node, Callers(self.tokens, self.config.limits))
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
        if self._is_first:
            await self._front.open()
        self._front.hand_over(self._application.asgi)
        self._is_open = True
        _servers[self._node] = self

    async def close(self) -> None:
        """Stop listening, and end every call. Harmless twice."""
        if not self._is_open:
            return
        self._is_open = False
        _servers.pop(self._node, None)
        await self._front.close()

    @property
    def port(self) -> int:
        """The TCP port."""
        return self._front.port

    @property
    def url(self) -> str:
        """Where it is."""
        return self._front.url

    @property
    def sockets(self) -> int:
        """How many WebSockets are open."""
        return len(self._application.sockets)

    def new_link(self) -> str:
        """Return a link that opens the page, once, within ten minutes."""
        return self._front.new_link()


@METHODS.method("web.link", is_local=True)
async def web_link(node: Node) -> dict[str, str]:
    """Give a link that opens the node's page, once, within ten minutes."""
    server = _servers.get(node)
    if server is None:
        raise UnknownMethodError("this node serves no page; `shoal up` does", "UnknownMethodError")
    return {"url": server.url, "link": server.new_link()}
