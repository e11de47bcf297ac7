"""Accounts with names: two nodes, and `shoal names serve` with a chain of its own between them."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from shoal.names.errors import NameNotFoundError, NameServerUnavailableError, NameTakenError
from shoal.node import Node, NodeConfig, Presence
from shoal.node.config import DhtSettings, NamesSettings, NetSettings
from tests.peers.name_server import NameServerProcess

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from shoal.net.driver import Channel
    from shoal.node import Account

pytestmark = pytest.mark.timeout(300)

NETWORK = 4_000_000_006  # nobody else's
PATIENCE = 90  # seconds; loopback takes milliseconds, a loaded machine more
BITS = 2048  # less is not believed, and more takes long


@pytest.fixture
def server(tmp_path: Path) -> Iterator[NameServerProcess]:
    """A name server."""
    made = NameServerProcess(tmp_path / "names")
    yield made
    made.end()


def settings(server: str, peer: Node | None = None) -> NodeConfig:
    """Settings of a node on loopback whose accounts ask *server*."""
    bootstrap = () if peer is None else (f"127.0.0.1:{peer.dht_nodes[0].port}",)
    return NodeConfig(
        dht=DhtSettings(
            bootstrap=bootstrap, network=NETWORK, bind=("127.0.0.1",), alone=peer is None
        ),
        net=NetSettings(turn=(), upnp=False, loopback=True, ipv6=False),
        names=NamesSettings(server),
    )


async def eventually(check: Callable[[], bool]) -> None:
    """Return once *check* says yes."""
    async with asyncio.timeout(PATIENCE):
        while not check():  # noqa: ASYNC110 - there is no event to wait for
            await asyncio.sleep(0.02)


async def test_bob_adds_alice_by_her_name(server: NameServerProcess, tmp_path: Path) -> None:
    """She registers, he adds her, she accepts, they connect; all of it by names."""
    url = server.url
    async with Node(tmp_path / "alice", config=settings(url)) as first:
        alice = await first.accounts.create("Alice", key_bits=BITS)
        assert (await alice.names.register("Alice-A")).account == alice.id
        assert alice.names.own == "alice-a"
        async with Node(tmp_path / "bob", config=settings(url, first)) as second:
            bob = await second.accounts.create("Bob", key_bits=BITS)
            with pytest.raises(NameTakenError):
                await bob.names.register("alice-a")
            with pytest.raises(NameNotFoundError):
                await bob.contacts.add("alice-b")
            await bob.names.register("bob")
            for account in (alice, bob):
                await account.wait_announced(PATIENCE)
            await _befriend(alice, bob)

            alice.on_channel("hello:", _greet)
            channel = await bob.connect("jami:alice-a", "hello:", timeout=PATIENCE)
            assert await channel.read_packet() == b"hello"
            channel.close()
            sent = await bob.conversations[bob.contacts.list()[0].conversation_id].send("hi")
            assert sent.author == bob.id

            server.end()
            assert (await bob.contacts.add("alice-a")).id == alice.id, "it is remembered"
            with pytest.raises(NameServerUnavailableError):
                await bob.contacts.add("carol")
            assert (await bob.contacts.add(alice.id)).id == alice.id


async def test_a_name_outlives_server_and_node(tmp_path: Path) -> None:
    """Both are restarted, and the account knows its name before anybody answers."""
    server = NameServerProcess(tmp_path / "names")
    home = tmp_path / "alice"
    try:
        async with Node(home, config=settings(server.url)) as node:
            alice = await node.accounts.create("Alice", key_bits=BITS)
            await alice.names.register("alice")
            account = alice.id
    finally:
        server.end()
    async with Node(home, config=settings(server.url)) as node:
        assert node.accounts[account].names.own == "alice"
    server = NameServerProcess(tmp_path / "names", port=server.port)
    try:
        async with Node(home, config=settings(server.url)) as node:
            alice = node.accounts[account]
            assert (await alice.names.lookup("alice", is_fresh=True)).account == account
            assert (await alice.names.register("alice")).account == account, "again is harmless"
    finally:
        server.end()


async def _befriend(alice: Account, bob: Account) -> None:
    """Bob asks, by name, and Alice accepts, by name."""
    assert (await bob.contacts.add("alice-a")).id == alice.id
    await eventually(lambda: len(alice.contacts.requests()) == 1)
    assert (await alice.contacts.accept("bob")).id == bob.id
    await eventually(lambda: bool((c := bob.contacts.get(alice.id)) and c.is_confirmed))
    await eventually(lambda: bob.presence(alice.id) is not Presence.OFFLINE)


async def _greet(channel: Channel) -> None:
    channel.write(b"hello")
    await channel.wait_closed()
