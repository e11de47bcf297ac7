"""`crawl`: walks a network and yields its nodes as they answer."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import TYPE_CHECKING

from shoal.core import SendDatagram
from shoal.core.driver import SystemEntropy
from shoal.dht.crawl import NODES_MAX, RATE, CrawlEnded, CrawlEngine, NodeAnswered
from shoal.dht.driver.hosts import Resolver, parse_hosts
from shoal.dht.driver.sockets import open_sockets
from shoal.dht.driver.udp import UdpTransport
from shoal.dht.errors import NotConnectedError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable, Sequence

    from shoal.core import Address

_ANY_ADDRESS = ("0.0.0.0", "::")  # noqa: S104 - any interface may lead to the network


async def crawl(
    bootstrap: Iterable[str | tuple[str, int]],
    *,
    network: int = 0,
    rate: float = RATE,
    nodes_max: int = NODES_MAX,
    bind: Sequence[str] = _ANY_ADDRESS,
) -> AsyncIterator[NodeAnswered | CrawlEnded]:
    """Walk *network* from the hosts of *bootstrap*; the last event is `CrawlEnded`.

    *rate* is in requests per second. Leaving the iteration ends the walk.

    Raises:
        BootstrapFormatError: a host is not understood.
        BindError: *bind* cannot be listened on.
        NotConnectedError: no host of *bootstrap* has an address, or none answered.
    """
    hosts = parse_hosts(bootstrap)
    walk = _Walk(network, rate, nodes_max, bind)
    try:
        async for event in walk.run(hosts):
            yield event
    finally:
        walk.close()


class _Walk:
    """One engine on its sockets."""

    def __init__(self, network: int, rate: float, nodes_max: int, bind: Sequence[str]) -> None:
        self._loop = asyncio.get_running_loop()
        self._transport = UdpTransport(open_sockets(bind, 0, {}), self._receive, lambda _addr: None)
        self._engine = CrawlEngine(
            SystemEntropy(),
            network=network,
            families=self._transport.addresses,
            rate=rate,
            nodes_max=nodes_max,
        )
        self._timer: asyncio.TimerHandle | None = None
        self._events: deque[NodeAnswered | CrawlEnded] = deque()  # bounded by nodes_max
        self._changed = asyncio.Event()

    async def run(
        self, hosts: Iterable[tuple[str, int]]
    ) -> AsyncIterator[NodeAnswered | CrawlEnded]:
        """Yield events until the end."""
        seeds = await self._resolve(hosts)
        self._apply(self._engine.start(seeds, self._loop.time()))
        while True:
            while self._events:
                event = self._events.popleft()
                if isinstance(event, CrawlEnded) and not event.answered:
                    raise NotConnectedError
                yield event
                if isinstance(event, CrawlEnded):
                    return
            self._changed.clear()
            await self._changed.wait()

    def close(self) -> None:
        """Stop asking."""
        if self._timer is not None:
            self._timer.cancel()
        self._transport.close()

    async def _resolve(self, hosts: Iterable[tuple[str, int]]) -> list[Address]:
        resolver, found = Resolver(self._loop), asyncio.Queue[tuple["Address", ...]]()
        count = 0
        for host, port in hosts:
            resolver.resolve(host, port, found.put_nowait)
            count += 1
        return [addr for _ in range(count) for addr in await found.get()]

    def _receive(self, batch: list[tuple[bytes, Address]]) -> None:
        for datagram, addr in batch:
            self._apply(self._engine.receive(datagram, addr, self._loop.time()))

    def _wake(self) -> None:
        self._timer = None
        self._apply(self._engine.advance(self._loop.time()))

    def _apply(self, effects: Iterable[object]) -> None:
        for effect in effects:
            if isinstance(effect, SendDatagram):
                self._transport.send(effect.data, effect.addr)
            elif isinstance(effect, NodeAnswered | CrawlEnded):
                self._events.append(effect)
                self._changed.set()
        if self._timer is not None:
            self._timer.cancel()
        deadline = self._engine.next_deadline()
        self._timer = None if deadline is None else self._loop.call_at(deadline, self._wake)
