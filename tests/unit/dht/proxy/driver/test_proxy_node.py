"""A node that works through a proxy, at a proxy server over a node in memory."""

from __future__ import annotations

import asyncio
import socket
from typing import TYPE_CHECKING

import pytest

from shoal.core import InfoHash
from shoal.dht.driver import Added, DhtNode, Expired
from shoal.dht.effects import Status
from shoal.dht.errors import NotConnectedError, ProxyError, StoredOnlyHereError
from shoal.dht.proxy import PushRegistration, PushResult
from shoal.dht.proxy.driver import ProxyNode, ProxyServer
from shoal.dht.proxy.driver.client import base_url
from shoal.dht.value import Value
from tests.unit.dht.proxy.fake_node import NODE_ID, FakeNode
from tests.unit.dht.proxy.gateway import Gateway

if TYPE_CHECKING:
    import ssl
    from collections.abc import Awaitable, Callable
    from pathlib import Path

    Serve = Callable[..., Awaitable[ProxyServer]]

KEY = InfoHash.of(b"foo")
HELLO = Value(b"hello", id=5)


async def until(look: Callable[[], object]) -> None:
    """Let the loop turn until a state is reached."""
    async with asyncio.timeout(20.0):
        while not look():  # noqa: ASYNC110 - states of several objects, none of which has events
            await asyncio.sleep(0.001)


async def test_put_get_listen(serve: Serve, node: FakeNode) -> None:
    """The API is that of a DhtNode; the work is the proxy's."""
    server = await serve()
    async with ProxyNode(proxy=server.url) as ours:
        await ours.wait_connected(20.0)
        events = aiter(ours.listen("foo", timeout=20.0))

        result = await ours.put("foo", HELLO)
        found = await ours.get("foo")
        added = await anext(events)
        node.expire(KEY, 5)
        expired = await anext(events)

        assert (result.value_id, result.is_only_here) == (5, False)
        assert found == [HELLO]
        assert (added, expired) == (Added(HELLO), Expired(HELLO))
        assert ours.proxy_info is not None
        assert ours.proxy_info.node_id == NODE_ID
        assert ours.stats().counters["proxy"]["requests"] >= 5
        assert ours.stats().families == {}


async def test_40_000_characters(serve: Serve, node: FakeNode) -> None:
    """Upstream's test of large values."""
    server = await serve()
    text = "".join(chr(97 + i % 26) for i in range(40_000))
    async with ProxyNode(proxy=server.url) as ours:
        await ours.put("large", text)

        (value,) = await ours.get("large")

    assert value.data.decode() == text


async def test_failures_are_typed(serve: Serve, node: FakeNode) -> None:
    """A put that no other node took, and a proxy that isn't there."""
    server = await serve()
    node.is_alone = True
    async with ProxyNode(proxy=server.url) as ours:
        with pytest.raises(StoredOnlyHereError):
            await ours.put("foo", HELLO)
        await server.close()
        with pytest.raises(NotConnectedError):
            await ours.get("foo")
        await until(lambda: ours.status is Status.DISCONNECTED)


async def test_proxy_restarts(serve: Serve, node: FakeNode) -> None:
    """The listen begins again by itself and tells what it missed; nothing is reported twice."""
    server = await serve()
    port = server.port
    node.values[KEY] = {5: HELLO}
    async with ProxyNode(proxy=server.url) as ours:
        events = aiter(ours.listen("foo", timeout=20.0))
        assert await anext(events) == Added(HELLO)
        await server.close()
        missed = Value(b"missed", id=6)
        node.values[KEY] = {6: missed}
        await serve(port=port)

        later = [await anext(events), await anext(events)]

    assert sorted(map(repr, later)) == sorted(map(repr, [Added(missed), Expired(HELLO)]))


async def test_network_changes(serve: Serve, node: FakeNode) -> None:
    """Connections are made anew, operations go on."""
    server = await serve()
    node.is_stalled = True
    node.values[KEY] = {5: HELLO}
    async with ProxyNode(proxy=server.url) as ours:
        events = aiter(ours.listen("foo", timeout=20.0))
        assert await anext(events) == Added(HELLO)
        getting = asyncio.ensure_future(ours.get("foo").__aiter__().__anext__())
        assert await getting == HELLO
        slow = aiter(ours.get("foo"))
        assert await anext(slow) == HELLO
        await until(lambda: node.stalled in {1, 2})
        old = list(node.listens[KEY])

        node.is_stalled = False
        ours.connectivity_changed()

        assert [value async for value in slow] == []
        await until(lambda: all(listen.is_closed for listen in old))
        await node.put(KEY, Value(b"news", id=6))
        assert await anext(events) == Added(Value(b"news", id=6))


async def test_push(serve: Serve, node: FakeNode) -> None:
    """From the node through server and gateway to the client, which asks for the values."""
    async with Gateway() as gateway:
        server = await serve(push_gateway=gateway.url)
        push = PushRegistration("device", "client", "android")
        async with ProxyNode(proxy=server.url, push=push) as ours:
            events = aiter(ours.listen("foo", timeout=20.0))
            waiting = asyncio.ensure_future(anext(events))
            await until(lambda: server.engine.counts()["pushListenersCount"])
            await node.put(KEY, HELLO)
            data = (await gateway.next()).notification["data"]

            assert ours.push_received({n: str(t) for n, t in data.items()}) is PushResult.VALUES
            assert await waiting == Added(HELLO)

            ours.set_push(None)
            await until(lambda: server.engine.streams.used == 1)
            await until(lambda: server.engine.counts()["pushListenersCount"] == 0)
            assert ours.push_received({"key": str(KEY)}) is PushResult.IGNORED_DISABLED
        assert ours.push_received({"key": str(KEY)}) is PushResult.IGNORED_STOPPED


async def test_switched_while_it_runs(serve: Serve, node: FakeNode) -> None:
    """A listen and a permanent put move from UDP to a proxy, to another one, and back."""
    first, second = await serve(), await serve()
    async with (
        DhtNode(bind=("127.0.0.1",)) as friend,
        ProxyNode(bind=("127.0.0.1",), bootstrap=[f"127.0.0.1:{friend.port}"]) as ours,
    ):
        await ours.wait_connected(20.0)
        assert ours.push_received({}) is PushResult.IGNORED_DISABLED
        await ours.put("kept", "hello", permanent=True)
        events = aiter(ours.listen("foo", timeout=20.0))
        waiting = asyncio.ensure_future(anext(events))

        await ours.enable_proxy(first.url)
        await until(lambda: first.engine.streams.used == 1)
        await until(lambda: first.engine.has_put(InfoHash.of(b"kept"), next(iter(kept(node)), 0)))
        await node.put(KEY, HELLO)
        assert await waiting == Added(HELLO)

        await ours.enable_proxy(second.url)
        await until(lambda: first.engine.streams.used == 0 and second.engine.streams.used == 1)

        await ours.disable_proxy()
        await until(lambda: second.engine.streams.used == 0)
        assert ours.proxy_info is None
        await ours.wait_connected(20.0)
        over_udp = Value(b"over UDP", id=7)
        waiting = asyncio.ensure_future(anext(events))
        await friend.put("foo", over_udp)
        assert await waiting == Added(over_udp)
        await ours.disable_proxy()


def kept(node: FakeNode) -> dict[int, Value]:
    """Return what the proxies' node has at the key of the permanent put."""
    return node.values.get(InfoHash.of(b"kept"), {})


async def test_https(
    serve: Serve, node: FakeNode, certificate: tuple[Path, Path, ssl.SSLContext]
) -> None:
    """A certificate that is trusted is needed."""
    from shoal.dht.proxy.driver import tls_context  # noqa: PLC0415

    chain, key, trust = certificate
    server = await serve(tls=tls_context(chain, key))
    async with ProxyNode(proxy=server.url, tls=trust) as ours:
        await ours.wait_connected(20.0)
        await ours.put("foo", HELLO)
    async with ProxyNode(proxy=server.url) as distrustful:
        with pytest.raises(NotConnectedError):
            await distrustful.get("foo")
    assert node.values == {KEY: {5: HELLO}}


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"SSH-2.0-OpenSSH_9.2\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\n<html>",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"HTTP/1.1 302 Found\r\nLocation: http://192.0.2.1/\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n\r\n" + b"x" * 600_000,
    ],
)
async def test_servers_that_are_no_proxies(answer: bytes) -> None:
    """Whatever a server says, the node is disconnected and operations fail."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await reader.readuntil(b"\r\n\r\n")
            writer.write(answer)
            await writer.drain()
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()
            await asyncio.gather(writer.wait_closed(), return_exceptions=True)

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with ProxyNode(proxy=f"127.0.0.1:{port}") as ours:
        await until(lambda: ours.status is Status.DISCONNECTED)
        if b"200 OK\r\nContent" in answer:
            assert await ours.get("foo") == []
        else:
            with pytest.raises(NotConnectedError):
                await ours.get("foo")
    server.close()
    await server.wait_closed()


async def test_nobody_there() -> None:
    """A refused connection is a failure, not an exception of a library."""
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        async with ProxyNode(proxy=f"http://127.0.0.1:{unused.getsockname()[1]}") as ours:
            with pytest.raises(NotConnectedError):
                await ours.get("foo")


@pytest.mark.parametrize(
    ("url", "base"),
    [
        ("localhost:8080", "http://localhost:8080"),
        ("http://127.0.0.1:80/", "http://127.0.0.1:80"),
        ("https://[::1]:443/dht/", "https://[::1]:443/dht"),
    ],
)
def test_urls(url: str, base: str) -> None:
    """With or without scheme and slash."""
    assert base_url(url) == base


@pytest.mark.parametrize("url", ["", "ftp://x", "http://", "http://x?y=z", "http://[::1", "x:y"])
async def test_not_urls(url: str) -> None:
    """A typed error before anything is opened."""
    with pytest.raises(ProxyError):
        base_url(url)
    with pytest.raises(ProxyError):
        async with ProxyNode(proxy=url):
            raise AssertionError("opened")
