"""The server: where it listens, and how it ends."""

from __future__ import annotations

import asyncio
import socket
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING

import pytest

from shoal.node.driver.api.client import LocalClient
from shoal.node.errors import UnknownMethodError
from shoal.web import WebConfig, WebLimits, WebServer
from shoal.web.errors import WebBindError
from tests.unit.web.conftest import make_site

if TYPE_CHECKING:
    from pathlib import Path

    from tests.unit.web.conftest import Site

pytestmark = pytest.mark.timeout(120)


async def test_it_listens_on_loopback_alone(site: Site) -> None:
    """Nobody else's machine gets as far as a refusal."""
    reader, writer = await asyncio.open_connection("127.0.0.1", site.server.port)
    writer.close()
    await writer.wait_closed()
    for host in ("127.0.0.2", "::1"):
        with pytest.raises(OSError, match=r"."):
            await asyncio.open_connection(host, site.server.port)
    assert reader is not None


async def test_a_port_that_is_taken(site: Site) -> None:
    """Another one is taken instead, unless this one was asked for."""
    async with WebServer(site.node, WebConfig(port=site.server.port)) as other:
        assert other.port != site.server.port
    with pytest.raises(WebBindError, match=str(site.server.port)):
        async with WebServer(site.node, WebConfig(port=site.server.port, is_port_fixed=True)):
            pass


async def test_the_node_gives_new_links_to_its_page(site: Site) -> None:
    """By its own socket, for `shoal up` while it runs; not by HTTP."""
    local = LocalClient(site.node)
    given = await local.call("web.link")
    assert given["url"] == site.server.url
    assert given["link"].startswith(f"{site.server.url}/#link=")
    assert (await site.ask("GET", "/v1/web.link")).status_code == 404
    assert (await site.ask("POST", "/v1/web.link")).status_code == 404
    await site.server.close()
    await site.server.close()
    with pytest.raises(UnknownMethodError, match="no page"):
        await local.call("web.link")


async def test_connections_are_bounded(tmp_path: Path) -> None:
    """One too many is closed at once; those that wait are not disturbed."""
    few = WebLimits(connections=2)
    async with AsyncExitStack() as stack:
        site = await make_site(stack, tmp_path / "home", WebConfig(port=0, limits=few))
        held = [await asyncio.open_connection("127.0.0.1", site.server.port) for _ in range(2)]
        reader, writer = await asyncio.open_connection("127.0.0.1", site.server.port)
        assert await asyncio.wait_for(reader.read(), 20) == b""
        writer.close()
        held[0][1].close()
        assert await asyncio.wait_for(held[0][0].read(), 20) == b""
        held[1][1].write(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        assert (await held[1][0].readline()).startswith(b"HTTP/1.1 421")
        held[1][1].close()


async def test_who_says_nothing_is_sent_away(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """A head has seconds."""
    monkeypatch.setattr("shoal.web.protocol.HEAD_TIMEOUT", 0.05)
    for said in (b"", b"GET / HT"):
        reader, writer = await asyncio.open_connection("127.0.0.1", site.server.port)
        writer.write(said)
        assert await asyncio.wait_for(reader.read(), 20) == b""
        writer.close()


async def test_nonsense_gets_a_400(site: Site) -> None:
    """And heads have a size."""
    for junk in (b"\x16\x03\x01\x02\r\n\r\n", b"GET / HTTP/1.1\r\n" + b"X: " + b"y" * 40_000):
        reader, writer = await asyncio.open_connection("127.0.0.1", site.server.port)
        writer.write(junk)
        assert (await asyncio.wait_for(reader.readline(), 20)).startswith(b"HTTP/1.1 400")
        writer.close()
    assert site.node.is_running


async def test_closing_ends_streams_and_idle_connections(tmp_path: Path) -> None:
    """Within seconds, and the port is free again."""
    async with AsyncExitStack() as stack:
        site = await make_site(stack, tmp_path / "home", WebConfig(port=0))
        port = site.server.port
        streaming, idle = [await asyncio.open_connection("127.0.0.1", port) for _ in range(2)]
        head = (
            f"GET /v1/node.events HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n"
            f"Authorization: Bearer {site.token}\r\n\r\n"
        )
        streaming[1].write(head.encode())
        await streaming[0].readuntil(b"subscribed")
        async with asyncio.timeout(20):
            await site.server.close()
            await streaming[0].read()
            assert await idle[0].read() == b""
        with socket.socket() as again:
            again.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            again.bind(("127.0.0.1", port))
        for _, writer in (streaming, idle):
            writer.close()
