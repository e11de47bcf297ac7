"""The page before there is a node: there at once, and what asks for the node waits for it."""

from __future__ import annotations

import asyncio
import json
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING

import httpx2
import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidHandshake

from shoal.node import Node, NodeConfig
from shoal.web import Front, WebConfig, WebLimits, WebServer

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

PATIENCE = 30.0


@asynccontextmanager
async def front_and_client(
    home: Path, limits: WebLimits | None = None
) -> AsyncIterator[tuple[Front, httpx2.AsyncClient]]:
    """Give what listens, without a node, and a browser."""
    async with (
        Front(home, WebConfig(port=0, limits=limits or WebLimits())) as front,
        httpx2.AsyncClient(base_url=front.url, trust_env=False, timeout=60) as client,
    ):
        yield front, client


@asynccontextmanager
async def served(front: Front, home: Path) -> AsyncIterator[WebServer]:
    """Have a node behind it."""
    async with (
        Node(home, config=NodeConfig(), is_offline=True, serves_api=False) as node,
        WebServer(node, front=front) as server,
    ):
        yield server


async def until_waiting(front: Front, count: int) -> None:
    """Return once so many requests wait."""
    while front.waiting < count:  # noqa: ASYNC110 - by the connections of others
        await asyncio.sleep(0)


async def test_the_page_is_there_before_the_node(tmp_path: Path) -> None:
    """Whole, with all that protects it; and no other page's."""
    async with front_and_client(tmp_path) as (_, client):
        page = await client.get("/")
        assert page.status_code == 200
        assert b"/static/js/main.js" in page.content
        assert "default-src 'none'" in page.headers["content-security-policy"]
        again = await client.get("/", headers={"if-none-match": page.headers["etag"]})
        assert again.status_code == 304
        script = await client.get("/static/js/main.js")
        assert script.headers["content-type"].startswith("text/javascript")
        refused = await client.get("/", headers={"host": "evil.example"})
        assert refused.status_code == 421


async def test_what_asks_for_the_node_waits_for_it(tmp_path: Path) -> None:
    """A link is taken, and a socket opened, as soon as the node is there."""
    async with front_and_client(tmp_path) as (front, client):
        code = front.new_link().partition("#link=")[2]
        async with asyncio.TaskGroup() as tasks:
            session = tasks.create_task(client.post("/v1/session", json={"code": code}))
            missing = tasks.create_task(client.get("/static/nothing.js"))
            await until_waiting(front, 2)
            assert (await client.get("/")).status_code == 200
            assert not session.done()
            assert not missing.done()
            async with served(front, tmp_path) as server:
                token = (await session).json()["token"]
                assert (await missing).status_code == 404
                assert server.url == front.url
                assert server.tokens is front.tokens
                url = f"{server.url.replace('http:', 'ws:')}/v1/socket"
                protocols = ["shoal.v1", f"token.{token}"]
                async with connect(url, subprotocols=protocols, proxy=None) as socket:  # type: ignore[arg-type]
                    await socket.send(json.dumps({"id": 1, "method": "account.list", "params": {}}))
                    assert json.loads(await socket.recv()) == {"id": 1, "result": []}


async def test_who_waits_when_it_ends_is_told(tmp_path: Path) -> None:
    """The node could not start."""
    async with front_and_client(tmp_path) as (front, client), asyncio.TaskGroup() as tasks:
        waiting = tasks.create_task(client.get("/v1/account.list"))
        socket = tasks.create_task(_refused(f"{front.url.replace('http:', 'ws:')}/v1/socket"))
        await until_waiting(front, 2)
        await front.close()
        assert (await waiting).status_code == 503
        assert await socket
        await front.close()


async def test_those_who_come_and_go_do_not_pile_up(tmp_path: Path) -> None:
    """A request waits longer than its connection lasts, so those who wait are counted, too."""
    async with front_and_client(tmp_path, WebLimits(connections=2)) as (front, client):
        head = f"GET /v1/account.list HTTP/1.1\r\nhost: 127.0.0.1:{front.port}\r\n\r\n".encode()
        for count in (1, 2):
            _, writer = await asyncio.open_connection("127.0.0.1", front.port)
            writer.write(head)
            await until_waiting(front, count)
            writer.close()
            await writer.wait_closed()
        status = 0
        async with asyncio.timeout(PATIENCE):
            while not status:
                with suppress(httpx2.TransportError):  # until it is seen that the others have gone
                    status = (await client.get("/v1/account.list")).status_code
        assert status == 503
        assert front.waiting == 2


async def test_it_ends_with_the_server(tmp_path: Path) -> None:
    """Before the node does."""
    async with front_and_client(tmp_path) as (front, client):
        async with served(front, tmp_path):
            assert (await client.get("/v1/nothing")).status_code == 401
        with pytest.raises(httpx2.TransportError):
            await client.get("/")


async def _refused(url: str) -> bool:
    with pytest.raises((InvalidHandshake, OSError)):
        await connect(url, proxy=None)
    return True
