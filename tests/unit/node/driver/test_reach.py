"""Ways to a device besides offer and answer: addresses in the DHT; and a DHT behind a proxy."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from shoal.dht.proxy.config import ProxyServerConfig
from shoal.dht.proxy.driver import ProxyServer
from shoal.net import Way
from shoal.node import Node, NodeConfig
from shoal.node.config import DhtSettings, NetSettings
from shoal.node.errors import ConfigError
from tests.unit.node.driver.conftest import NETWORK, PATIENCE, add_account, eventually

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from pathlib import Path

    from shoal.net import Channel
    from shoal.node import Account

    OpenNode = Callable[..., Awaitable[Node]]


def settings(peer: Node | None = None, proxy: str = "", **net: object) -> NodeConfig:
    """Settings of a node on loopback."""
    bootstrap = () if peer is None else (f"127.0.0.1:{peer.dht_nodes[0].port}",)
    dht = DhtSettings(
        bootstrap=() if proxy else bootstrap,
        network=NETWORK,
        bind=("127.0.0.1",),
        alone=peer is None,
        proxy=proxy,
    )
    options = {"turn": (), "upnp": False, "loopback": True, "ipv6": False, **net}
    return NodeConfig(dht=dht, net=NetSettings(**options))  # type: ignore[arg-type]  # of a test


async def greet(channel: Channel) -> None:
    """Say hello."""
    channel.write(b"hello")
    await channel.drain()


async def befriend(alice: Account, bob: Account) -> None:
    """Both are contacts of each other."""
    await alice.contacts.add(bob.id)
    await eventually(lambda: len(bob.contacts.requests()) == 1)
    await bob.contacts.accept(alice.id)
    await eventually(lambda: bool((c := alice.contacts.get(bob.id)) and c.is_confirmed))


async def test_a_device_is_dialled_at_its_published_address(open_node: OpenNode) -> None:
    """Starting from the record in the DHT, and from no offer."""
    first = await open_node(config=settings(direct=True))
    alice = await add_account(first, "alice")
    second = await open_node(config=settings(first, listen="127.0.0.1:0"))
    bob = await add_account(second, "bob")
    await bob.wait_announced(PATIENCE)
    await befriend(alice, bob)
    bob.on_channel("hello:", greet)
    chain = await alice.find_chain(bob.device_id)

    async def found() -> bool:
        return bool(await alice.runtime.published.find(chain))

    async with asyncio.timeout(PATIENCE):
        while not await found():  # noqa: ASYNC110 - there is no event to wait for
            await asyncio.sleep(0.01)
    channel = await alice.runtime.connections.connect(
        chain, "hello:", ways=(Way.DIRECT,), reuse=False, timeout=PATIENCE
    )
    assert await channel.read_packet() == b"hello"
    assert channel.connection is not None
    assert channel.connection.way is Way.DIRECT


async def test_where_udp_is_blocked_the_dht_is_reached_through_a_proxy(
    open_node: OpenNode,
) -> None:
    """Announced, asked, answered, and connected, without a UDP socket of one's own."""
    first = await open_node(config=settings())
    alice = await add_account(first, "alice")
    third = await open_node(config=settings(first))
    await (await add_account(third, "carol")).wait_announced(PATIENCE)
    async with ProxyServer(first.dht_nodes[0], ProxyServerConfig(port=0)) as proxy:
        second = await open_node(config=settings(first, proxy=proxy.url))
        bob = await add_account(second, "bob")
        assert second.dht_nodes[0].port == 0
        await bob.wait_announced(PATIENCE)
        await befriend(alice, bob)
        bob.on_channel("hello:", greet)
        channel = await alice.connect(bob.id, "hello:", timeout=PATIENCE)
        assert await channel.read_packet() == b"hello"
        await second.close()


@pytest.mark.parametrize(
    "net",
    [{"listen": "nowhere"}, {"listen": "127.0.0.1:x"}, {"addresses": ("/ip9/x",)}],
    ids=["no port", "no number", "no address"],
)
async def test_addresses_that_are_none_are_refused(net: dict[str, object], tmp_path: Path) -> None:
    """When the node starts, with the setting that is meant."""
    with pytest.raises(ConfigError, match=r"net\.listen or net\.addresses"):
        await Node(tmp_path, config=settings(**net)).start()  # type: ignore[arg-type]  # of a test
