"""`shoal.Node` on a host of its own: a thread in the host's namespace with an event loop.

Tests stay plain functions: `node.run(coroutine)` runs it there and waits for it.
"""

from __future__ import annotations

import asyncio
import threading
from concurrent.futures import Future
from typing import TYPE_CHECKING, Any, Final, Self, TypeVar

from shoal.node import Lagged, Node, NodeConfig, NodeEvent
from shoal.node.config import AccountSettings, DhtSettings, NetSettings
from tests.peers.netns import enter
from tests.peers.waiting import until

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping
    from pathlib import Path

    from shoal.node import Account
    from tests.peers.namespaces import Namespace

_T = TypeVar("_T")
_E = TypeVar("_E")

_PATIENCE: Final = 90.0  # seconds for a step, on a busy machine
QUIET: Final = NetSettings(turn=(), upnp=False, ipv6=False)  # nothing outside of the bench


class ShoalHost:
    """A node of ours on a host; everything it writes stays below *home*."""

    kind = "shoal"

    def __init__(
        self,
        namespace: Namespace,
        home: Path,
        *,
        bootstrap: str = "",
        net: NetSettings = QUIET,
        dht: DhtSettings | None = None,
        accounts: Mapping[str, AccountSettings] | None = None,
        config: NodeConfig | None = None,
    ) -> None:
        self.namespace = namespace
        self.home = home
        self.events: list[NodeEvent] = []
        dht = dht or DhtSettings(bootstrap=(bootstrap,) if bootstrap else ())
        self.config = config or NodeConfig(dht=dht, net=net, accounts=accounts or {})
        self._started: Future[Node] = Future()
        self._is_over: asyncio.Event | None = None
        self._thread = threading.Thread(target=self._live, name=f"node at {namespace.host}")
        self._thread.start()
        self.node = self._started.result(_PATIENCE)

    def begin(self, awaitable: Awaitable[_T]) -> Future[_T]:
        """Begin to run a coroutine in the node's loop."""

        async def wait() -> _T:
            return await awaitable

        return asyncio.run_coroutine_threadsafe(wait(), self._loop)

    def run(self, awaitable: Awaitable[_T], timeout: float = _PATIENCE) -> _T:
        """Run a coroutine in the node's loop; return its result, or raise its error."""
        return self.begin(awaitable).result(timeout)

    def do(self, action: Callable[[], _T]) -> _T:
        """Call a function in the node's loop; return its result, or raise its error."""

        async def call() -> _T:
            return action()

        return self.run(call())

    def create(self, name: str, **wishes: Any) -> Account:
        """Make an account, of the shortest keys that Jami takes, and wait until it is found."""
        wishes = {"key_bits": 2048, **wishes}
        account = self.run(self.node.accounts.create(name, **wishes))
        self.run(account.wait_announced(_PATIENCE))
        return account

    def heard(self, kind: type[_E]) -> list[_E]:
        """Return the events of that kind so far."""
        return [event for event in list(self.events) if isinstance(event, kind)]

    def wait_event(
        self,
        kind: type[_E],
        where: Callable[[_E], bool] = lambda event: True,
        *,
        after: int = 0,
        timeout: float = _PATIENCE,
    ) -> _E:
        """Wait for an event of that kind, from number *after* on, that *where* accepts."""
        return until(
            lambda: next(
                (e for e in self.events[after:] if isinstance(e, kind) and where(e)), None
            ),
            f"{kind.__name__} at {self.namespace.host}",
            timeout,
        )

    def close(self) -> None:
        """Stop the node as its user would."""
        if self._thread.is_alive():
            over = self._is_over
            if over is not None:
                self._loop.call_soon_threadsafe(over.set)
            self._thread.join(_PATIENCE)

    def _live(self) -> None:
        enter(self.namespace)
        try:
            asyncio.run(self._stay())
        except Exception as error:  # noqa: BLE001 - the test that waits shall see it
            if not self._started.done():
                self._started.set_exception(error)

    async def _stay(self) -> None:
        self._loop = asyncio.get_running_loop()
        async with Node(self.home, config=self.config) as node:
            self._is_over = asyncio.Event()
            with node.events() as events:
                listener = self._loop.create_task(self._listen(events))
                self._started.set_result(node)
                await self._is_over.wait()
                listener.cancel()

    async def _listen(self, events: Any) -> None:
        async for numbered in events:
            assert not isinstance(numbered, Lagged), "a test's node says less than that"
            self.events.append(numbered.event)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *unused: object) -> None:
        self.close()
