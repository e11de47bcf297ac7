"""Nodes on loopback, closed after each test."""

from __future__ import annotations

import socket
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Any

import pytest

from shoal.dht.config import DhtConfig
from shoal.dht.driver import DhtNode

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Iterator

NETWORK = 4_000_000_001  # nobody else's


@pytest.fixture
async def open_node() -> AsyncIterator[Callable[..., Awaitable[DhtNode]]]:
    """Open nodes of one private network; `peer` is whom to join by."""
    async with AsyncExitStack() as stack:

        async def open_(peer: DhtNode | None = None, **options: Any) -> DhtNode:
            bootstrap = [] if peer is None else [f"127.0.0.1:{peer.port}"]
            options = {
                "bind": ["127.0.0.1"],
                "bootstrap": bootstrap,
                "network": NETWORK,
                "config": DhtConfig(rate_limit_per_address=-1, rate_limit_total=-1),
                **options,
            }
            return await stack.enter_async_context(DhtNode(**options))

        yield open_


@pytest.fixture
def silent_host() -> Iterator[str]:
    """A host that takes datagrams and never answers: who joins by it is connecting for long."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind(("127.0.0.1", 0))
        yield f"127.0.0.1:{sock.getsockname()[1]}"


@pytest.fixture
async def pair(open_node: Callable[..., Awaitable[DhtNode]]) -> tuple[DhtNode, DhtNode]:
    """Two connected nodes."""
    first = await open_node()
    second = await open_node(first)
    await first.bootstrap([("127.0.0.1", second.port)])
    await second.wait_connected(10)
    await first.wait_connected(10)
    return first, second
