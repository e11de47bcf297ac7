"""A node of ours on a host: `python -m bench.connect.node_end NAMESPACE HOME BOOTSTRAP`."""

from __future__ import annotations

import asyncio
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final

from bench.workers import serve
from shoal.node import Node, NodeConfig
from shoal.node.config import AccountSettings, DhtSettings, NamesSettings, NetSettings
from tests.peers.netns import enter_named

if TYPE_CHECKING:
    from shoal.net import Channel

PATIENCE: Final = 60.0  # seconds


class NodeEnd:
    """A node that is started again and again, with one account that lets strangers connect."""

    def __init__(self, home: str, bootstrap: str) -> None:
        self._home = Path(home)
        self._config = NodeConfig(
            dht=DhtSettings(bootstrap=(bootstrap,)),
            net=NetSettings(turn=(), upnp=False, ipv6=False),
            names=NamesSettings(ask_own=False),
            accounts={"": AccountSettings(public=True)},
        )
        self._node: Node | None = None

    async def create(self) -> list[object]:
        """Make the account; return its id, and the seconds that took."""
        async with Node(self._home, config=self._config) as node:
            begin = time.perf_counter()
            account = await node.accounts.create("bench")
            return [account.id.hex(), time.perf_counter() - begin]

    async def start(self) -> float:
        """Start the node; return the seconds until its device is announced."""
        begin = time.perf_counter()
        self._node = Node(self._home, config=self._config)
        await self._node.__aenter__()
        (account,) = self._node.accounts
        account.on_channel("sip", _hold, accept=lambda *_: True)
        await account.wait_announced(PATIENCE)
        return time.perf_counter() - begin

    async def connect(self, to: str) -> list[object]:
        """Open a channel to an account; return the seconds, and what took how long of them."""
        assert self._node is not None, "it was started"
        (account,) = self._node.accounts
        begin = time.perf_counter()
        await account.connect(to, "sip", timeout=PATIENCE)
        took = time.perf_counter() - begin
        trace = account.traces()[-1]
        return [took, {moment.event: moment.seconds for moment in trace.moments}]

    async def stop(self) -> None:
        """Stop the node."""
        assert self._node is not None, "it was started"
        await self._node.__aexit__(None, None, None)
        self._node = None


async def _hold(channel: Channel) -> None:
    """Keep a channel until the other side closes it."""
    await channel.wait_closed()


if __name__ == "__main__":
    enter_named(sys.argv[1])
    asyncio.run(serve(NodeEnd(*sys.argv[2:4])))
