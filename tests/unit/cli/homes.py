"""Homes for commands: with accounts of small keys, and nodes that run in a thread."""

from __future__ import annotations

import asyncio
import threading
from typing import TYPE_CHECKING, Any, Self

from shoal.node import Node
from tests.unit.node.driver.conftest import NETWORK, archive_of
from tests.unit.node.people import BITS

if TYPE_CHECKING:
    from collections.abc import Coroutine
    from pathlib import Path

CONFIG = """
[dht]
network = {network}
bind = ["127.0.0.1"]
{join}
[net]
turn = []
upnp = false
loopback = true
ipv6 = false
"""


def make_home(path: Path, port: int | None = None) -> Path:
    """Make a home whose nodes join by a local port, or nobody."""
    path.mkdir(mode=0o700)
    join = "alone = true" if port is None else f'bootstrap = ["127.0.0.1:{port}"]'
    (path / "config.toml").write_text(CONFIG.format(network=NETWORK, join=join))
    return path


def add_person(home: Path, person: str, password: str = "", **options: Any) -> str:
    """Make a home a device of a person's account; return the account's id."""

    async def work() -> str:
        async with Node(home, serves_api=False, is_offline=True) as node:
            account = await node.accounts.import_archive(
                archive_of(person, password), password=password, key_bits=BITS, **options
            )
            return account.id.hex()

    return asyncio.run(work())


class RunningNode:
    """A node at a home, in a thread of its own, for commands to talk to."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self.loop.run_forever)
        self._thread.start()
        self.node: Node = self.do(self._open())

    def do(self, work: Coroutine[Any, Any, Any]) -> Any:
        """Run *work* on the node's loop."""
        return asyncio.run_coroutine_threadsafe(work, self.loop).result(60)

    @property
    def port(self) -> int:
        """The UDP port of its DHT node."""

        async def find() -> Any:
            return self.node.dht_nodes[0].port

        port: int = self.do(find())
        return port

    async def _open(self) -> Node:
        node = Node(self.home)
        await node.start()
        return node

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *unused: object) -> None:
        self.do(self.node.close())
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join()
        self.loop.close()
