"""`Node`: everything together, as an asyncio object."""

from __future__ import annotations

import asyncio
import logging
import time
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING

from shoal.dht.driver.network import NetworkWatcher
from shoal.node.config import NodeConfig
from shoal.node.driver.accounts import Accounts
from shoal.node.driver.api.server import ApiServer
from shoal.node.driver.assembly import Assembly
from shoal.node.driver.bus import EventBus
from shoal.node.driver.home import Home
from shoal.node.driver.tasks import WorkerPool
from shoal.node.errors import NodeStoppedError

if TYPE_CHECKING:
    import os
    from pathlib import Path
    from typing import Self

    from shoal.dht import DhtNode
    from shoal.node.driver.bus import Subscription

_log = logging.getLogger(__name__)


class Node:
    """A node: its accounts, their DHT, their connections. One process owns a home.

    Use it as an async context manager, from the event loop that opened it::

        async with Node() as node:
            account = await node.accounts.create("Alice")
            await account.wait_announced()
    """

    def __init__(
        self,
        home: str | os.PathLike[str] | Home | None = None,
        *,
        config: NodeConfig | None = None,
        serves_api: bool = True,
        is_offline: bool = False,
    ) -> None:
        """Describe the node; `start`, or `async with`, opens it.

        Args:
            home: its directory, which may be owned already; None takes SHOAL_HOME, or that of
                the platform.
            config: settings; None reads config.toml of the home.
            serves_api: let commands of this user talk to it, by a Unix socket in the home.
            is_offline: touch no network: look at what is on disk, and change it. Only who asks
                for a name has a name server asked.

        Raises:
            ConfigError: config.toml is not understood.
        """
        self._home = home if isinstance(home, Home) else Home(home)
        self.config = NodeConfig.load(self._home.path) if config is None else config
        self._serves_api = serves_api
        self._is_offline = is_offline
        self._bus = EventBus()
        self._stack: AsyncExitStack | None = None
        self._accounts: Accounts | None = None
        self._assembly: Assembly | None = None

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *unused: object) -> None:
        await self.close()

    async def start(self) -> None:
        """Take the home, open the sockets, start the accounts; `async with` does this.

        Raises:
            HomeTakenError: another process owns the home.
            HomeError: the home cannot be used.
            ConfigError: a setting makes no sense.
            AccountFileError: a file of an account is missing or damaged.
            DhtError: no DHT node can be opened.
        """
        if self._stack is not None:
            raise RuntimeError("a Node starts once; make another one")
        async with AsyncExitStack() as stack:
            self._home.prepare()
            self._home.lock()
            stack.callback(self._home.unlock)
            pool = WorkerPool()
            stack.callback(pool.close)
            self._assembly = Assembly(
                self._home, self.config, self._bus, pool, is_offline=self._is_offline
            )
            stack.push_async_callback(self._assembly.names.close)
            stack.push_async_callback(self._assembly.close_mapper)
            self._accounts = Accounts(self._assembly)
            stack.push_async_callback(self._accounts.close)
            await self._accounts.load()
            if not self._is_offline:
                watcher = NetworkWatcher(self._network_changed, self._tick)
                stack.callback(watcher.close)
            if self._serves_api:
                server = ApiServer(self, self._home.api_socket)
                await server.start()
                stack.push_async_callback(server.close)
            self._stack = stack.pop_all()
        _log.info("= node at %s, accounts: %d", self._home.path, len(self._accounts))

    async def close(self) -> None:
        """Close every connection, save, and leave the network; harmless twice."""
        stack, self._stack = self._stack, None
        if stack is None:
            return
        await stack.aclose()
        self._bus.close()
        _log.info("= node at %s closed", self._home.path)

    def _network_changed(self) -> None:
        if self._assembly is not None:
            self._assembly.open_mapper()
        for account in self.accounts:
            account.runtime.network_changed()

    def _tick(self) -> None:
        wall_offset = time.time() - asyncio.get_running_loop().time()
        for account in self.accounts:
            account.runtime.tick(wall_offset)

    @property
    def home(self) -> Path:
        """Its directory."""
        return self._home.path

    @property
    def is_running(self) -> bool:
        """Whether it is open."""
        return self._stack is not None

    @property
    def accounts(self) -> Accounts:
        """The accounts of this node.

        Raises:
            NodeStoppedError: it was not started.
        """
        if self._accounts is None:
            raise NodeStoppedError
        return self._accounts

    @property
    def dht_nodes(self) -> tuple[DhtNode, ...]:
        """The DHT nodes that its accounts use."""
        if self._assembly is None or self._is_offline:
            return ()
        return tuple(self._assembly.dht.nodes.values())

    def events(self) -> Subscription:
        """Follow what happens from now on: an async iterator of `Numbered` and `Lagged`.

        Raises:
            SubscriptionsError: there are as many as allowed.
        """
        return self._bus.subscribe()
