"""A node with Alice's account, off the network, and its web server; callers of it."""

from __future__ import annotations

import json
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import httpx2
import pytest
from websockets.asyncio.client import connect

from shoal.node import Node, NodeConfig
from shoal.web import WebConfig, WebServer
from tests.unit.node.driver.conftest import add_account

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from websockets.asyncio.client import ClientConnection


@dataclass
class Site:
    """A web server, the node behind it, and ways to call."""

    node: Node
    server: WebServer
    account: str
    stack: AsyncExitStack
    token: str = ""
    clients: list[httpx2.AsyncClient] = field(default_factory=list)

    def token_for(self, *scopes: str, account: str = "", seconds: float = 0.0) -> str:
        """Make a token that lasts."""
        return self.server.tokens.file.new(
            "test", scopes or ("*",), account=account, seconds=seconds
        )[0]

    async def ask(
        self, verb: str, path: str, *, token: str | None = None, **options: Any
    ) -> httpx2.Response:
        """Send a request; with everything permitted unless another token, or "", is given."""
        if not self.clients:
            client = httpx2.AsyncClient(base_url=self.server.url, trust_env=False, timeout=60)
            self.clients.append(await self.stack.enter_async_context(client))
        headers = dict(options.pop("headers", {}))
        chosen = self.token if token is None else token
        if chosen:
            headers["Authorization"] = f"Bearer {chosen}"
        return await self.clients[0].request(verb, path, headers=headers, **options)

    async def socket(self, *, token: str | None = None, **options: Any) -> ClientConnection:
        """Open a WebSocket."""
        chosen = self.token if token is None else token
        url = self.server.url.replace("http:", "ws:") + "/v1/socket"
        protocols = options.pop("subprotocols", ["shoal.v1", f"token.{chosen}"])
        opened = await connect(url, subprotocols=protocols, proxy=None, **options)
        self.stack.push_async_callback(opened.close)
        return opened


async def say(socket: ClientConnection, **fields: Any) -> None:
    """Send a message."""
    await socket.send(json.dumps(fields))


async def hear(socket: ClientConnection) -> dict[str, Any]:
    """Receive a message."""
    heard: dict[str, Any] = json.loads(await socket.recv())
    return heard


async def make_site(stack: AsyncExitStack, home: Path, config: WebConfig) -> Site:
    """Open a node without a network, with Alice's account, and its server."""
    node = await stack.enter_async_context(
        Node(home, config=NodeConfig(), is_offline=True, serves_api=False)
    )
    account = await add_account(node, "alice")
    server = await stack.enter_async_context(WebServer(node, config))
    site = Site(node, server, account.id.hex(), stack)
    site.token = site.token_for()
    return site


@pytest.fixture
async def site(tmp_path: Path) -> AsyncIterator[Site]:
    """A server with the usual limits."""
    async with AsyncExitStack() as stack:
        yield await make_site(stack, tmp_path / "home", WebConfig(port=0))
