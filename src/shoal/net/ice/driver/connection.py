"""One ICE session as an awaitable connection."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Self, assert_never

from shoal.core.driver import SystemEntropy
from shoal.net.ice.driver.interfaces import local_addresses
from shoal.net.ice.driver.sockets import IceSockets
from shoal.net.ice.effects import (
    Action,
    Closed,
    Effect,
    Event,
    Failed,
    Gathered,
    Received,
    Selected,
)
from shoal.net.ice.engine import IceEngine
from shoal.net.ice.errors import IceError, IceStateError, LinkLostError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from shoal.core import Entropy
    from shoal.net.ice.candidates import IceDescription
    from shoal.net.ice.config import IceConfig
    from shoal.net.ice.driver.sockets import Command, Mapper
    from shoal.net.ice.path import IcePath

_log = logging.getLogger(__name__)


class IceDriver:
    """An ICE engine on asyncio's sockets, for one component.

    ```python
    async with IceDriver(IceConfig(), is_controlling=False) as ice:
        offer = await ice.gather()
        ...  # send offer.to_text() to the peer, receive its answer
        path = await ice.connect(IceDescription.parse(answer))
        ice.on_data(consume, closed)
        ice.send(b"hello")
        await ice.drain()
    ```
    """

    def __init__(
        self,
        config: IceConfig,
        *,
        is_controlling: bool,
        entropy: Entropy | None = None,
        mapper: Mapper | None = None,
    ) -> None:
        self.engine = IceEngine(config, entropy or SystemEntropy(), is_controlling=is_controlling)
        self.path: IcePath | None = None
        self._sockets = IceSockets(self._feed, mapper)
        self._loop = asyncio.get_running_loop()
        self._timer: asyncio.TimerHandle | None = None
        self._gathered: asyncio.Future[IceDescription] = self._loop.create_future()
        self._selected: asyncio.Future[IcePath] = self._loop.create_future()
        self._early: list[bytes | memoryview] = []
        self._receive: Callable[[bytes | memoryview], None] | None = None
        self._closed: Callable[[IceError | None], None] | None = None
        self._end: tuple[IceError | None] | None = None

    @property
    def open_count(self) -> int:
        """How many sockets are open."""
        return self._sockets.open_count

    async def gather(
        self, public: Sequence[bytes] = (), hosts: Sequence[bytes] | None = None
    ) -> IceDescription:
        """Return our description for the peer.

        Args:
            public: packed addresses under which others see us.
            hosts: packed addresses of our interfaces; None looks them up.

        Raises:
            IceError: there is no address at all.
        """
        addrs = local_addresses() if hosts is None else hosts
        self._feed(lambda engine, now: engine.gather(addrs, public, now))
        return await asyncio.shield(self._gathered)

    async def connect(self, remote: IceDescription) -> IcePath:
        """Find a path to the peer.

        Raises:
            IceError: which step failed and why, with the pairs tried.
        """
        self._feed(lambda engine, now: engine.start(remote, now))
        return await asyncio.shield(self._selected)

    def on_data(
        self,
        receive: Callable[[bytes | memoryview], None],
        closed: Callable[[IceError | None], None],
    ) -> None:
        """Hand each piece of data to *receive*, what came before included; then *closed* once.

        The connection is over by then: with None the peer ended it in order.
        """
        self._receive, self._closed = receive, closed
        self.resume_reading()
        early, self._early = self._early, []
        for data in early:
            receive(data)
        if self._end is not None:
            closed(*self._end)

    def send(self, data: bytes | memoryview) -> None:
        """Send *data*; never waits. `drain` afterwards.

        Raises:
            IceError: there is no path, or no longer.
        """
        for effect in self.engine.send(data, self._loop.time()):
            self._carry_out(effect)

    async def drain(self) -> None:
        """Wait until the socket takes more.

        Raises:
            IceError: the connection is over.
        """
        await self._sockets.drain()
        if self._end is not None:
            raise self._end[0] or LinkLostError

    def pause_reading(self) -> None:
        """Let the peer wait."""
        self._sockets.pause_reading(self.engine.data_links)

    def resume_reading(self) -> None:
        """Read on after `pause_reading`."""
        self._sockets.resume_reading(self.engine.data_links)

    async def close(self) -> None:
        """Close everything, and wait until no socket is left."""
        for effect in self.engine.close(self._loop.time()):
            self._carry_out(effect)
        self._shut(IceStateError("closed"), is_ours=True)
        await self._sockets.wait_closed()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *unused: object) -> None:
        await self.close()

    # Inside

    def _feed(self, command: Command) -> None:
        for effect in command(self.engine, self._loop.time()):
            self._carry_out(effect)
        self._arm()

    def _arm(self) -> None:
        """Keep one timer, no later than the engine's deadline."""
        deadline = self.engine.next_deadline()
        if self._timer is not None:
            if deadline is not None and self._timer.when() <= deadline:
                return
            self._timer.cancel()
            self._timer = None
        if deadline is not None:
            self._timer = self._loop.call_at(deadline, self._wake)

    def _wake(self) -> None:
        due, self._timer = self._timer, None
        assert due is not None, "a timer calls this"
        # The loop may run a timer one clock tick early; the engine must not be asked in vain.
        now = max(self._loop.time(), due.when())
        for effect in self.engine.advance(now):
            self._carry_out(effect)
        self._arm()

    def _carry_out(self, effect: Effect) -> None:
        if isinstance(effect, Action):
            self._sockets.carry_out(effect)
        else:
            self._report(effect)

    def _report(self, event: Event) -> None:
        match event:
            case Received(data, _):
                if self._receive is None:
                    self._early.append(data)
                else:
                    self._receive(data)
            case Gathered(description):
                if not self._gathered.done():
                    self._gathered.set_result(description)
            case Selected(path):
                _log.debug("= %s path %s to %s", path.kind.value, path.local.addr, path.remote.addr)
                self.path = path
                if self._receive is None:
                    self.pause_reading()  # until somebody listens: nothing piles up here
                if not self._selected.done():
                    self._selected.set_result(path)
            case Closed():
                self._shut(None)
            case Failed(error):
                _log.debug("! %s", error)
                self._shut(error)
            case _:
                assert_never(event)

    def _shut(self, error: IceError | None, *, is_ours: bool = False) -> None:
        """End everything once: sockets, timer, and those who wait."""
        self._sockets.close()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._end is not None:
            return
        self._end = (error,)
        for waiter in (self._gathered, self._selected):
            if not waiter.done():
                waiter.set_exception(error or LinkLostError())
                waiter.exception()  # nobody may be waiting
        if self._closed is not None and not is_ours:
            self._closed(error)
