"""The HTTP proxy, both ways: our client at Debian's server, Debian's client at ours.

Source of the cases: reference section 6.1, rows proxy and proxy client.
"""

from __future__ import annotations

import asyncio
import http.client
import json
import re
import time
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import pytest

from shoal.core import InfoHash
from shoal.core.driver import SystemEntropy
from shoal.crypto.identity import generate_identity
from shoal.dht.driver import Added, DhtNode
from shoal.dht.proxy import ProxyServerConfig, PushRegistration, PushResult
from shoal.dht.proxy.driver import ProxyNode, ProxyServer
from shoal.dht.value import Value
from tests.peers.dhtnode import DhtnodeProcess
from tests.peers.peer import PeerOptions, free_port
from tests.peers.pool import DHTNODE, PeerPool, need
from tests.peers.waiting import until
from tests.unit.dht.proxy.gateway import Gateway
from tests.unit.dht.proxy.raw_http import Answer, ask

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from shoal.crypto.identity import Identity

VECTORS = Path(__file__).parents[1] / "vectors" / "proxy" / "server-2.4.12.json"
T = TypeVar("T")


def hexed(text: str) -> str:
    """Return the key of *text* as every kind of peer takes it."""
    return str(InfoHash.of(text.encode()))


async def in_thread(function: Callable[..., T], *arguments: object) -> T:
    """Call what blocks, such as the console of a peer."""
    return await asyncio.to_thread(function, *arguments)


async def wait_until(look: Callable[[], T], what: str) -> T:
    """Wait for a state without blocking the loop that may bring it about."""
    return await asyncio.to_thread(until, look, what, 20.0)


def identity(name: str) -> Identity:
    """Return a fresh identity."""
    return generate_identity(name, bits=2048, entropy=SystemEntropy(), wall_now=time.time())


def stats_of(port: int) -> dict[str, Any] | None:
    """Return what a proxy says of itself, None while it is closed."""
    link = http.client.HTTPConnection("127.0.0.1", port, timeout=5.0)
    try:
        link.request("GET", "/node/stats")
        stats = json.loads(link.getresponse().read())
    except OSError:
        return None
    finally:
        link.close()
    assert isinstance(stats, dict)
    return stats


def start_dhtnode(pool: PeerPool, **wishes: Any) -> DhtnodeProcess:
    """Start one of Debian's nodes."""
    started = pool.start(DHTNODE, **wishes)
    assert isinstance(started, DhtnodeProcess)
    return started


@pytest.fixture
async def debian(pool: PeerPool) -> DhtnodeProcess:
    """Two of Debian's nodes that know each other; the second has a proxy server.

    Its proxy looks at the node when it starts, 3 seconds later, and then every 2 minutes: whoever
    isn't connected by then is told to be disconnected for long.
    """
    first = await in_thread(lambda: start_dhtnode(pool, has_proxy=False))
    second = await in_thread(lambda: start_dhtnode(pool, bootstrap=first))
    await wait_until(lambda: second.good_nodes() > 0, "two nodes connected")
    await wait_until(
        lambda: second.proxy("GET", "/node/info")[1][0]["ipv4"]["good"], "a proxy that knows it"
    )
    return second


@pytest.fixture
async def at_debian(debian: DhtnodeProcess) -> AsyncIterator[ProxyNode]:
    """A node of ours without UDP, at Debian's proxy server."""
    async with ProxyNode(proxy=f"http://127.0.0.1:{debian.proxy_port}") as ours:
        await ours.wait_connected(20.0)
        yield ours


# Our client at the proxy server of dhtnode 2.4.12.


async def test_our_client_puts_and_gets(at_debian: ProxyNode, debian: DhtnodeProcess) -> None:
    """What our client puts, Debian's node has; and the other way round."""
    result = await at_debian.put(hexed("there"), "hello")
    await in_thread(lambda: debian.put(hexed("back"), b"welcome"))

    seen = await in_thread(debian.get_json, hexed("there"))
    found = await at_debian.get(hexed("back"))

    assert [(one.id, one.data) for one in seen] == [(result.value_id, b"hello")]
    assert [value.data for value in found] == [b"welcome"]


async def test_our_client_sends_40_000_characters(at_debian: ProxyNode) -> None:
    """A large value survives base64, HTTP and fragments."""
    text = "".join(chr(97 + i % 26) for i in range(40_000))

    await at_debian.put("large", text)

    (value,) = await at_debian.get("large")
    assert value.data.decode() == text


async def test_our_client_listens(at_debian: ProxyNode, debian: DhtnodeProcess) -> None:
    """A stream tells what is there, then what comes."""
    await in_thread(lambda: debian.put(hexed("stream"), b"before"))
    events = aiter(at_debian.listen(hexed("stream"), timeout=20.0))

    first = await anext(events)
    await in_thread(lambda: debian.put(hexed("stream"), b"after"))
    second = await anext(events)

    assert isinstance(first, Added)
    assert isinstance(second, Added)
    assert [first.value.data, second.value.data] == [b"before", b"after"]


async def test_our_client_signs_and_encrypts_itself(debian: DhtnodeProcess) -> None:
    """The proxy carries what it can't read: verified and decrypted at our ends."""
    url = f"http://127.0.0.1:{debian.proxy_port}"
    alice, bob = await in_thread(identity, "alice"), await in_thread(identity, "bob")
    async with (
        ProxyNode(proxy=url, identity=alice) as sender,
        ProxyNode(proxy=url, identity=bob) as receiver,
    ):
        await sender.wait_connected(20.0)
        await receiver.wait_connected(20.0)
        await sender.put_signed("signed", "by alice", timeout=20.0)
        await sender.put_encrypted("secret", "for bob", bob.certificate, timeout=20.0)

        (signed,) = await receiver.get("signed", timeout=20.0)
        (secret,) = await receiver.get("secret", timeout=20.0)
        nothing = await sender.get("secret", timeout=20.0)

    assert (signed.data, signed.owner_id) == (b"by alice", alice.id)
    assert (secret.data, secret.owner_id) == (b"for bob", alice.id)
    assert nothing == []


async def test_our_client_outlives_a_proxy(pool: PeerPool) -> None:
    """The proxy ends and comes back: the listen hears what it missed, the put is there again."""
    debian = await in_thread(lambda: start_dhtnode(pool, has_proxy=False))
    other = await in_thread(lambda: start_dhtnode(pool, bootstrap=debian, has_proxy=False))
    await wait_until(lambda: debian.good_nodes() > 0, "two nodes connected")
    port = free_port()
    await in_thread(debian.process.write_line, f"pst {port}")
    await wait_until(lambda: stats_of(port), "the proxy")
    async with ProxyNode(proxy=f"http://127.0.0.1:{port}") as ours:
        await ours.wait_connected(20.0)
        await ours.put(hexed("mine"), "kept", permanent=True)
        events = aiter(ours.listen(hexed("missed"), timeout=60.0))
        waiting = asyncio.ensure_future(anext(events))
        await wait_until(lambda: (stats_of(port) or {}).get("listenCount") == 1, "the stream")

        await in_thread(debian.process.write_line, f"psp {port}")
        await wait_until(lambda: stats_of(port) is None, "the proxy's end")
        await in_thread(lambda: other.put(hexed("missed"), b"meanwhile"))
        await in_thread(debian.process.write_line, f"pst {port}")

        event = await waiting
        assert isinstance(event, Added)
        assert event.value.data == b"meanwhile"
        await wait_until(
            lambda: (stats_of(port) or {}).get("totalPermanentPuts") == 1, "the permanent put"
        )


async def test_our_client_is_notified(debian: DhtnodeProcess) -> None:
    """Debian's server tells a gateway, the gateway tells us, we ask for the values."""
    push = PushRegistration("device", "shoal", "android")
    port = free_port()
    async with Gateway() as gateway:
        await in_thread(debian.process.write_line, f"pst {port} 127.0.0.1:{gateway.port}")
        await wait_until(lambda: stats_of(port), "a proxy with push")
        async with ProxyNode(proxy=f"http://127.0.0.1:{port}", push=push) as ours:
            await ours.wait_connected(20.0)
            waiting = asyncio.ensure_future(
                anext(aiter(ours.listen(hexed("pushed"), timeout=20.0)))
            )
            await wait_until(
                lambda: (stats_of(port) or {}).get("pushListenersCount") == 1, "a subscription"
            )
            await in_thread(lambda: debian.put(hexed("pushed"), b"wake-up"))

            notification = (await gateway.next()).notification
            data = {name: str(text) for name, text in notification["data"].items()}
            result = ours.push_received(data)

            event = await waiting
            assert isinstance(event, Added)
            assert event.value.data == b"wake-up"
    assert notification["tokens"] == ["device"]
    assert result is PushResult.VALUES


# Debian's client at our proxy server.


class PushingDhtnode(DhtnodeProcess):
    """A proxy client with a device key: it subscribes instead of holding a stream."""

    def _command(self, options: PeerOptions, proxy_client: str | None) -> list[str]:
        return [*super()._command(options, proxy_client), "--devicekey", "device"]


@asynccontextmanager
async def our_network(
    config: ProxyServerConfig | None = None,
) -> AsyncIterator[tuple[DhtNode, ProxyServer]]:
    """Two nodes of ours, the second with a proxy server."""
    async with (
        DhtNode(bind=("127.0.0.1",)) as first,
        DhtNode(bind=("127.0.0.1",), bootstrap=[f"127.0.0.1:{first.port}"]) as second,
        ProxyServer(second, config) as server,
    ):
        await second.wait_connected(20.0)
        yield first, server


async def client_of(
    pool: PeerPool, server: ProxyServer, kind: type[DhtnodeProcess] = DhtnodeProcess
) -> DhtnodeProcess:
    """Start Debian's client at *server*."""
    need(DHTNODE)
    client = await in_thread(
        lambda: kind(PeerOptions(network=pool.network), has_proxy=False, proxy_client=server.url)
    )
    pool.peers.append(client)
    await wait_until(lambda: client.good_nodes() > 0, "the client's view of our node")
    return client


async def test_debians_client_puts_and_gets(pool: PeerPool) -> None:
    """What Debian's client puts, our network has; and the other way round."""
    async with our_network() as (node, server):
        client = await client_of(pool, server)
        done = await in_thread(lambda: client.put(hexed("there"), b"hello"))
        await node.put(hexed("back"), Value(b"welcome", user_type="text/plain"))

        (value,) = await node.get(hexed("there"))
        seen = await in_thread(client.get, hexed("back"))

    assert done.ok
    assert (value.data, value.user_type) == (b"hello", "text/plain")
    assert [one.data for one in seen] == [b"welcome"]


async def test_debians_client_listens(pool: PeerPool) -> None:
    """Its stream lives through our heartbeats, and hears of what comes after them."""
    config = ProxyServerConfig(heartbeat_interval=0.1)
    async with our_network(config) as (node, server):
        client = await client_of(pool, server)
        listening = await in_thread(client.listen, hexed("stream"))
        await wait_until(lambda: server.engine.streams.used == 1, "the stream")
        await asyncio.sleep(0.5)  # several heartbeats: the one thing here that only time brings
        await node.put(hexed("stream"), Value(b"news", user_type="text/plain"))
        await wait_until(listening.heard, "the value")

    (heard,) = listening.heard()
    assert (heard.value.data, heard.is_expired) == (b"news", False)


async def test_debians_client_puts_permanently(pool: PeerPool) -> None:
    """`pp` at our server keeps the value announced."""
    async with our_network() as (node, server):
        client = await client_of(pool, server)
        done = await in_thread(lambda: client.put(hexed("kept"), b"hello", permanent=True))

        (value,) = await node.get(hexed("kept"))
        assert done.ok
        assert server.engine.has_put(InfoHash.of(b"kept"), value.id)


async def test_debians_client_is_notified(pool: PeerPool) -> None:
    """It subscribes with a device key and no platform; our server tells the gateway."""
    async with Gateway() as gateway:
        config = ProxyServerConfig(push_gateway=gateway.url, bundle_id="net.example")
        async with our_network(config) as (node, server):
            client = await client_of(pool, server, PushingDhtnode)
            await in_thread(client.listen, hexed("pushed"))
            await wait_until(
                lambda: server.engine.counts()["pushListenersCount"] == 1, "a subscription"
            )
            await node.put(hexed("pushed"), Value(b"wake-up", id=7))
            notification = (await gateway.next()).notification

    assert notification["tokens"] == ["device"]
    assert notification["platform"] == 1
    assert notification["topic"] == "net.example"
    assert notification["priority"] == "high"
    assert notification["data"]["ids"] == "7"
    assert notification["data"]["key"] == hexed("pushed")


async def test_debians_client_survives_our_shutdown(pool: PeerPool) -> None:
    """The server closes with a stream open, quickly; the client notices and lives on."""
    async with our_network() as (_, server):
        client = await client_of(pool, server)
        await in_thread(client.listen, hexed("stream"))
        await wait_until(lambda: server.engine.streams.used == 1, "the stream")

        async with asyncio.timeout(2.0):
            await server.close()

        done = await in_thread(
            client.console, f"g {hexed('stream')}", re.compile("Get: (completed|failure)")
        )
        assert done[1] == "failure"
        assert client.process.is_running


# What the vectors of the unit tests say is what Debian's server still does.


async def test_answers_are_as_recorded(debian: DhtnodeProcess) -> None:
    """Each recorded request gets the recorded status, headers and kind of body."""
    recorded = json.loads(VECTORS.read_text())
    for entry in recorded:
        if entry["path"].endswith("/listen") or entry["method"] in ("SUBSCRIBE", "UNSUBSCRIBE"):
            continue  # these depend on what came before
        answer = await ask(
            debian.proxy_port, entry["method"], entry["path"], entry["body"].encode()
        )
        expected = Answer.parse(entry["answer"].encode())
        assert answer.status == expected.status, entry
        assert answer.headers.keys() == expected.headers.keys(), entry
        if answer.status != http.HTTPStatus.OK:
            assert answer.body == expected.body, entry
