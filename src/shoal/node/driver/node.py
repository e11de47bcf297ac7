"""`Node`: everything together, as an asyncio object."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import os
    from types import TracebackType
    from typing import Self

    from shoal.node.config import NodeConfig
    from shoal.node.driver.accounts import Accounts
    from shoal.node.driver.bus import Subscription


class Node:
    """A node: its accounts, their DHT, their connections. One process owns a home.

    Use it as an async context manager, from the event loop that opened it::

        async with Node() as node:
            account = await node.accounts.create("Alice")
            await account.wait_announced()
    """

    def __init__(
        self, home: str | os.PathLike[str] | None = None, *, config: NodeConfig | None = None
    ) -> None:
        """Describe the node; `start`, or `async with`, opens it.

        Args:
            home: its directory; None takes SHOAL_HOME, or that of the platform.
            config: settings; None reads config.toml of the home.

        Raises:
            ConfigError: config.toml is not understood.
        """
        raise NotImplementedError

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.close()

    async def start(self) -> None:
        """Take the home, open the sockets, start the accounts; `async with` does this.

        Raises:
            HomeTakenError: another process owns the home.
            HomeError: the home cannot be used.
        """
        raise NotImplementedError

    async def close(self) -> None:
        """Close every connection, save, and leave the network; harmless twice."""
        raise NotImplementedError

    @property
    def accounts(self) -> Accounts:
        """The accounts of this node."""
        raise NotImplementedError

    def events(self) -> Subscription:
        """Follow what happens from now on: an async iterator of `Numbered` and `Lagged`.

        Raises:
            SubscriptionsError: there are as many as allowed.
        """
        raise NotImplementedError
