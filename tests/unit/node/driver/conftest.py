"""Nodes on loopback with a DHT of their own, and accounts made of keys that cost little."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Any

import pytest

from shoal.identity.archive import Archive, pack_archive
from shoal.node import Node, NodeConfig
from shoal.node.config import DhtSettings, NetSettings
from tests.unit.node.people import BITS, device

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable
    from pathlib import Path

    from shoal.node import Account

NETWORK = 4_000_000_005  # nobody else's
PATIENCE = 60  # seconds; loopback takes milliseconds, a loaded machine more


def loopback(peer: Node | None = None, **settings: Any) -> NodeConfig:
    """Settings of a node of the tests' network, joined by *peer*, or the first one."""
    bootstrap = () if peer is None else (f"127.0.0.1:{peer.dht_nodes[0].port}",)
    dht = DhtSettings(bootstrap=bootstrap, network=NETWORK, bind=("127.0.0.1",), alone=peer is None)
    net = NetSettings(turn=(), upnp=False, loopback=True, ipv6=False)
    return NodeConfig(dht=dht, net=net, **settings)


def archive_of(person: str, password: str = "") -> bytes:
    """Return the account of *person*, made once per process, as a file."""
    return pack_archive(Archive(device(person).keys), password)


async def add_account(node: Node, person: str) -> Account:
    """Make *node* a device of the account of *person*."""
    return await node.accounts.import_archive(archive_of(person), key_bits=BITS)


async def eventually(check: Callable[[], bool]) -> None:
    """Return once *check* says yes: for states that change without an event of their own."""
    async with asyncio.timeout(PATIENCE):
        while not check():  # noqa: ASYNC110 - there is no event to wait for
            await asyncio.sleep(0.01)


OpenNode = "Callable[..., Awaitable[Node]]"


@pytest.fixture
async def open_node(tmp_path: Path) -> AsyncIterator[Callable[..., Awaitable[Node]]]:
    """Open nodes, each in a home of its own; all are closed at the end."""
    async with AsyncExitStack() as stack:
        count = 0

        async def open_(peer: Node | None = None, **options: Any) -> Node:
            nonlocal count
            count += 1
            home = options.pop("home", tmp_path / f"home-{count}")
            config = options.pop("config", None) or loopback(peer)
            return await stack.enter_async_context(Node(home, config=config, **options))

        yield open_


@pytest.fixture
async def both(
    open_node: Callable[..., Awaitable[Node]],
) -> tuple[tuple[Node, Account], tuple[Node, Account]]:
    """Alice and Bob, each announced, on a node of their own."""
    first = await open_node()
    alice = await add_account(first, "alice")
    second = await open_node(first)
    bob = await add_account(second, "bob")
    await bob.wait_announced(PATIENCE)
    await alice.wait_announced(PATIENCE)
    return (first, alice), (second, bob)
