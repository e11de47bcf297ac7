"""Port mapping on real sockets: one mapper serves all connections of a node."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import logging
import socket
from pathlib import Path
from typing import TYPE_CHECKING, Final, Self, assert_never

from shoal.core import SendDatagram
from shoal.core.driver import SystemEntropy
from shoal.net.ice.driver.links import FAMILIES, Link, address_of
from shoal.net.mapping import http
from shoal.net.mapping.effects import AskOverHttp, Effect, Mapped, MappingFailed
from shoal.net.mapping.engine import HTTP_TIME, MapperEngine
from shoal.net.mapping.errors import MappingError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from shoal.core import Address, Entropy

_log = logging.getLogger(__name__)

MULTICAST_TTL: Final = 2  # UPnP Device Architecture 1.1 section 1.3.2
DATAGRAM_MAX: Final = 4096  # answers to searches have a few hundred bytes; ours
READ_BATCH: Final = 64  # datagrams per wake-up, ours
ROUTES: Final = Path("/proc/thread-self/net/route")  # Linux: proc(5)
_GATEWAY_FLAG: Final = 2  # Linux route.h: RTF_GATEWAY


class PortMapper:
    """Gets ports forwarded by the router, renews them, and gives them back.

    ```python
    async with PortMapper() as mapper:
        external = await mapper.request(Address(ip, port), is_tcp=True)
    ```
    """

    def __init__(self, *, entropy: Entropy | None = None, gateway: bytes | None = None) -> None:
        """Ask *gateway* by NAT-PMP, the default route's if None, and whoever answers by UPnP."""
        self._loop = asyncio.get_running_loop()
        self._engine = MapperEngine(entropy or SystemEntropy(), gateway or default_gateway())
        self._socket: socket.socket | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._ids = itertools.count(1)
        self._callbacks: dict[int, Callable[[Address | MappingError], None]] = {}
        self._exchanges: set[_Exchange] = set()
        self._idle: list[asyncio.Future[None]] = []

    @property
    def external_addresses(self) -> tuple[bytes, ...]:
        """The packed public addresses that routers say they have."""
        return self._engine.external_addresses

    def start(self) -> None:
        """Look for routers, or look again after a change of networks.

        Raises:
            OSError: there is no UDP.
        """
        if self._socket is None:
            sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            sock.setblocking(False)
            sock.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_TTL, MULTICAST_TTL)
            sock.bind(("", 0))
            self._socket = sock
            self._loop.add_reader(sock, self._read)
        self._apply(self._engine.start(self._loop.time()))

    def map(
        self, local: Address, *, is_tcp: bool, mapped: Callable[[Address | None], None]
    ) -> PortLease:
        """Ask for a port for *local*; *mapped* is called once, with None if there is none."""
        return self._map(
            local,
            is_tcp=is_tcp,
            done=lambda found: mapped(None if isinstance(found, MappingError) else found),
        )

    async def request(self, local: Address, *, is_tcp: bool) -> tuple[Address, PortLease]:
        """Return the external address of a port for *local*, and its lease.

        Raises:
            MappingError: there is none, and why.
        """
        future: asyncio.Future[Address] = self._loop.create_future()

        def done(found: Address | MappingError) -> None:
            if future.done():
                return
            if isinstance(found, MappingError):
                future.set_exception(found)
            else:
                future.set_result(found)

        lease = self._map(local, is_tcp=is_tcp, done=done)
        try:
            return await future, lease
        except BaseException:
            lease.release()
            raise

    async def close(self) -> None:
        """Give everything back, as far as the router still answers, and close all sockets."""
        if self._socket is None:
            return
        self._apply(self._engine.close(self._loop.time()))
        self._callbacks.clear()
        if self._exchanges:
            waiter = self._loop.create_future()
            self._idle.append(waiter)
            await waiter
        if self._timer is not None:
            self._timer.cancel()
        self._loop.remove_reader(self._socket)
        self._socket.close()
        self._socket = None

    async def __aenter__(self) -> Self:
        self.start()
        return self

    async def __aexit__(self, *unused: object) -> None:
        await self.close()

    # Inside

    def release(self, number: int) -> None:
        """End a lease."""
        self._callbacks.pop(number, None)
        if self._socket is not None:
            self._apply(self._engine.unmap(number, self._loop.time()))

    def exchange_done(self, exchange: _Exchange, data: bytes | None) -> None:
        """Take what came back."""
        self._exchanges.discard(exchange)
        self._apply(self._engine.http_answered(exchange.id, data, self._loop.time()))
        if not self._exchanges:
            idle, self._idle = self._idle, []
            for waiter in idle:
                if not waiter.done():
                    waiter.set_result(None)

    def _map(
        self, local: Address, *, is_tcp: bool, done: Callable[[Address | MappingError], None]
    ) -> PortLease:
        number = next(self._ids)
        self._callbacks[number] = done
        self._loop.call_soon(self._begin, number, local, is_tcp)
        return PortLease(self, number)

    def _begin(self, number: int, local: Address, is_tcp: bool) -> None:
        if number not in self._callbacks or self._socket is None:
            return
        try:
            effects = self._engine.map(number, local, self._loop.time(), is_tcp=is_tcp)
        except MappingError as error:
            self._report(number, error)
            return
        self._apply(effects)

    def _apply(self, effects: Sequence[Effect]) -> None:
        for effect in effects:
            match effect:
                case SendDatagram(data, addr):
                    if self._socket is not None:
                        with contextlib.suppress(OSError):  # no network: the search will end
                            self._socket.sendto(data, (addr.host, addr.port))
                case AskOverHttp():
                    exchange = _Exchange(self, effect)
                    self._exchanges.add(exchange)
                    exchange.start()
                case Mapped(number, external):
                    _log.info("= the router forwards %s", external)
                    self._report(number, external)
                case MappingFailed(number, error):
                    _log.info("! no port is forwarded: %r", error)
                    self._report(number, error)
                case _:
                    assert_never(effect)
        self._arm()

    def _report(self, number: int, found: Address | MappingError) -> None:
        if (done := self._callbacks.pop(number, None)) is not None:
            done(found)

    def _arm(self) -> None:
        deadline = self._engine.next_deadline()
        if self._timer is not None:
            self._timer.cancel()
        self._timer = None if deadline is None else self._loop.call_at(deadline, self._wake)

    def _wake(self) -> None:
        due, self._timer = self._timer, None
        assert due is not None, "a timer calls this"
        self._apply(self._engine.advance(max(self._loop.time(), due.when())))

    def _read(self) -> None:
        for _ in range(READ_BATCH):
            if self._socket is None:
                return
            try:
                data, peer = self._socket.recvfrom(DATAGRAM_MAX)
            except (BlockingIOError, InterruptedError):
                return
            except OSError:  # nobody listens at the router's port: the search will end
                continue
            self._apply(self._engine.receive(data, address_of(peer), self._loop.time()))


class PortLease:
    """One port of the router, or the wish for one."""

    def __init__(self, mapper: PortMapper, number: int) -> None:
        self._mapper = mapper
        self._number = number

    def release(self) -> None:
        """It is no longer needed."""
        self._mapper.release(self._number)


class _Exchange:
    """One HTTP request and its answer."""

    def __init__(self, mapper: PortMapper, order: AskOverHttp) -> None:
        self.id = order.id
        self._mapper = mapper
        self._order = order
        self._data = bytearray()
        sock = socket.socket(FAMILIES[order.addr.family], socket.SOCK_STREAM)
        self._link = Link(order.id, self, sock)
        loop = asyncio.get_running_loop()
        self._timer = loop.call_later(HTTP_TIME, self._finish, None)
        self._is_done = False

    def start(self) -> None:
        """Connect."""
        self._link.connect(None, self._order.addr)

    def link_opened(self, link: Link) -> None:
        """Ask."""
        link.write(self._order.request)

    def link_received(self, link: Link, data: bytes) -> None:
        """Collect the answer."""
        self._data += data
        if len(self._data) > http.RESPONSE_LENGTH_MAX:
            self._finish(None)
        elif http.is_complete(bytes(self._data)):
            self._finish(bytes(self._data))

    def link_ended(self, link: Link) -> None:
        """That is the answer."""
        self._finish(bytes(self._data))

    def link_broken(self, link: Link, reason: str) -> None:
        """There is no answer."""
        self._finish(None)

    def link_drained(self, link: Link) -> None:
        """Requests are short."""

    def link_gone(self, link: Link) -> None:
        """It was closed."""

    def _finish(self, data: bytes | None) -> None:
        if not self._is_done:
            self._is_done = True
            self._timer.cancel()
            self._link.abort()
            self._mapper.exchange_done(self, data)


def default_gateway() -> bytes | None:
    """Return the packed IPv4 address of the default route's router; None where it is unknown.

    Only Linux tells without a privilege or a program; elsewhere UPnP has to do.
    """
    try:
        lines = ROUTES.read_text("ascii").splitlines()[1:]
    except OSError:
        return None
    for line in lines:
        fields = line.split()
        has_gateway = int(fields[3], 16) & _GATEWAY_FLAG
        if fields[1] == "00000000" and has_gateway:
            return bytes.fromhex(fields[2])[::-1]
    return None
