"""Sockets for one ICE engine: carries out its actions, tells it what happens.

The engine may be anybody's child: inputs are handed over as commands, functions of the engine and
the time that return effects, for its owner to run and to interpret.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import logging
import socket
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Final, Protocol, TypeAlias, assert_never

from shoal.dht.driver.hosts import Resolver
from shoal.net.ice.candidates import Transport
from shoal.net.ice.driver.links import (
    FAMILIES,
    WRITE_HIGH,
    Link,
    Listener,
    address_of,
    open_socket,
)
from shoal.net.ice.effects import (
    Action,
    CloseLink,
    CloseSocket,
    Connect,
    Effect,
    Listen,
    MapPort,
    ResolveServer,
    SendFrom,
    UnmapPort,
    Write,
)
from shoal.net.ice.engine import IceEngine

if TYPE_CHECKING:
    from shoal.core import Address

_log = logging.getLogger(__name__)

DATAGRAM_MAX: Final = 65_536  # more than UDP can carry, so that nothing is cut
READ_BATCH: Final = 64  # datagrams per wake-up, ours

Command: TypeAlias = Callable[[IceEngine, float], Sequence[Effect]]


class Lease(Protocol):
    """A port that the router forwards to us, or may soon."""

    def release(self) -> None:
        """It is no longer needed."""


class Mapper(Protocol):
    """Who gets ports forwarded: `shoal.net.mapping.driver.PortMapper`, or nobody."""

    def map(
        self, local: Address, *, is_tcp: bool, mapped: Callable[[Address | None], None]
    ) -> Lease:
        """Ask for a port for *local*; *mapped* is called once, never from within."""


class IceSockets:
    """The sockets, links, lookups and port mappings of one engine.

    `feed(command)` must run `command(engine, now)`, hand the actions among the effects to
    `carry_out`, and deal with the events itself. It is called from the event loop, never from
    within `carry_out`.
    """

    def __init__(self, feed: Callable[[Command], None], mapper: Mapper | None = None) -> None:
        self._feed = feed
        self._mapper = mapper
        self._loop = asyncio.get_running_loop()
        self._resolver = Resolver(self._loop)
        self._links: dict[int, Link] = {}
        self._closing: set[Link] = set()
        self._sockets: dict[int, Listener | _Datagrams] = {}
        self._leases: dict[int, Lease] = {}
        self._accepted_numbers = itertools.count(-1, -1)
        self._is_closed = False
        self._drained: list[asyncio.Future[None]] = []
        self._gone: list[asyncio.Future[None]] = []

    @property
    def open_count(self) -> int:
        """How many sockets are open."""
        return len(self._links) + len(self._closing) + len(self._sockets)

    @property
    def buffered(self) -> int:
        """Bytes written that the system has not taken yet."""
        return sum(link.buffered for link in self._links.values())

    def carry_out(self, action: Action) -> None:
        """Do what the engine orders."""
        match action:
            case Write(number, data):
                if (link := self._links.get(number)) is not None:
                    link.write(data)
            case SendFrom(number, data, addr):
                found = self._sockets.get(number)
                if isinstance(found, _Datagrams):
                    found.send(data, addr)
            case ResolveServer(host, port):
                self._resolve(host, port)
            case MapPort():
                self._map_port(action)
            case UnmapPort(number):
                self._unmap_port(number)
            case _:
                self._open_or_close(action)

    def _open_or_close(self, action: Listen | Connect | CloseLink | CloseSocket) -> None:
        match action:
            case Listen():
                self._listen(action)
            case Connect():
                self._connect(action)
            case CloseLink(number):
                if (link := self._links.pop(number, None)) is not None:
                    self._closing.add(link)
                    link.close()
            case CloseSocket(number):
                if (found := self._sockets.pop(number, None)) is not None:
                    found.close()
                    self._look_gone()
            case _:
                assert_never(action)

    def pause_reading(self, links: Iterable[int] | None = None) -> None:
        """Read no more from *links*, all if None, so that the peer has to wait."""
        for number in list(self._links) if links is None else links:
            if (link := self._links.get(number)) is not None:
                link.pause_reading()

    def resume_reading(self, links: Iterable[int] | None = None) -> None:
        """Read on."""
        for number in list(self._links) if links is None else links:
            if (link := self._links.get(number)) is not None:
                link.resume_reading()

    async def drain(self) -> None:
        """Wait until what was written has mostly left, or everything is closed."""
        if self.buffered > WRITE_HIGH and not self._is_closed:
            waiter = self._loop.create_future()
            self._drained.append(waiter)
            await waiter

    def close(self) -> None:
        """Close every socket; what was written is given a moment to leave."""
        self._is_closed = True
        for number in list(self._links):
            self.carry_out(CloseLink(number))
        for number in list(self._sockets):
            self.carry_out(CloseSocket(number))
        for number in list(self._leases):
            self.carry_out(UnmapPort(number))
        self._wake_drained()

    async def wait_closed(self) -> None:
        """Wait until no socket is left."""
        if self.open_count:
            waiter = self._loop.create_future()
            self._gone.append(waiter)
            await waiter

    # As the user of links

    def link_opened(self, link: Link) -> None:
        """Tell the engine."""
        try:
            local, remote = link.local, link.remote
        except OSError as error:  # it broke in the meantime
            link.abort()
            self.link_broken(link, error.strerror or "broken")
            return
        self._tell(lambda engine, now: engine.link_opened(link.number, local, remote, now))

    def link_received(self, link: Link, data: bytes) -> None:
        """Tell the engine."""
        number = link.number
        self._tell(lambda engine, now: engine.receive(number, data, now))

    def link_ended(self, link: Link) -> None:
        """Tell the engine."""
        self._tell(lambda engine, now: engine.receive_eof(link.number, now))

    def link_broken(self, link: Link, reason: str) -> None:
        """Tell the engine."""
        self._tell(lambda engine, now: engine.link_failed(link.number, reason, now))
        self._wake_drained()

    def link_drained(self, link: Link) -> None:
        """Let those go on who wait."""
        self._wake_drained()

    def link_gone(self, link: Link) -> None:
        """Forget it."""
        self._closing.discard(link)
        if self._links.get(link.number) is link:
            del self._links[link.number]
        self._wake_drained()
        self._look_gone()

    # Inside

    def _tell(self, command: Command) -> None:
        if not self._is_closed:
            self._feed(command)

    def _soon(self, command: Command) -> None:
        self._loop.call_soon(self._tell, command)

    def _listen(self, order: Listen) -> None:
        number = order.socket
        try:
            opened: Listener | _Datagrams
            if order.transport is Transport.TCP:
                opened = Listener(order.local, lambda sock: self._accept(number, sock))
            else:
                opened = _Datagrams(order.local, lambda *each: self._datagram(number, *each))
        except OSError as error:
            reason = error.strerror or "cannot listen"
            self._soon(lambda engine, now: engine.socket_failed(number, reason, now))
            return
        self._sockets[number] = opened
        local = opened.local
        self._soon(lambda engine, now: engine.socket_opened(number, local, now))

    def _accept(self, number: int, sock: socket.socket) -> None:
        link = Link(next(self._accepted_numbers), self, sock)
        self._links[link.number] = link
        try:
            local, remote = link.local, link.remote
        except OSError:  # it was closed before we looked
            link.abort()
            return
        self._tell(
            lambda engine, now: engine.link_accepted(number, link.number, local, remote, now)
        )
        if self._links.get(link.number) is link:
            link.start()

    def _connect(self, order: Connect) -> None:
        try:
            sock = socket.socket(FAMILIES[order.remote.family], socket.SOCK_STREAM)
        except OSError as error:
            reason = error.strerror or "no socket"
            self._soon(lambda engine, now: engine.link_failed(order.link, reason, now))
            return
        link = Link(order.link, self, sock)
        self._links[order.link] = link
        link.connect(order.local, order.remote)

    def _resolve(self, host: str, port: int) -> None:
        self._resolver.resolve(
            host,
            port,
            lambda addrs: self._tell(
                lambda engine, now: engine.server_resolved(host, port, addrs, now)
            ),
        )

    def _map_port(self, order: MapPort) -> None:
        number = order.socket
        if self._mapper is None:
            self._soon(lambda engine, now: engine.port_mapped(number, None, now))
            return
        self._leases[number] = self._mapper.map(
            order.local,
            is_tcp=order.transport is Transport.TCP,
            mapped=lambda external: self._tell(
                lambda engine, now: engine.port_mapped(number, external, now)
            ),
        )

    def _unmap_port(self, number: int) -> None:
        if (lease := self._leases.pop(number, None)) is not None:
            lease.release()

    def _datagram(self, number: int, data: bytes, addr: Address) -> None:
        self._tell(lambda engine, now: engine.receive_datagram(number, data, addr, now))

    def _wake_drained(self) -> None:
        if self._is_closed or self.buffered <= WRITE_HIGH:
            drained, self._drained = self._drained, []
            for waiter in drained:
                if not waiter.done():
                    waiter.set_result(None)

    def _look_gone(self) -> None:
        if not self.open_count:
            gone, self._gone = self._gone, []
            for waiter in gone:
                if not waiter.done():
                    waiter.set_result(None)


class _Datagrams:
    """A UDP socket."""

    def __init__(self, local: Address, received: Callable[[bytes, Address], None]) -> None:
        self._loop = asyncio.get_running_loop()
        self._received = received
        self._socket = open_socket(local, socket.SOCK_DGRAM)
        self._is_closed = False
        self.local = address_of(self._socket.getsockname())
        self._loop.add_reader(self._socket, self._read)

    def send(self, data: bytes, addr: Address) -> None:
        """Send, or lose: UDP promises nothing, and checks are repeated."""
        with contextlib.suppress(OSError):
            self._socket.sendto(data, (addr.host, addr.port))

    def close(self) -> None:
        """Close."""
        self._is_closed = True
        self._loop.remove_reader(self._socket)
        self._socket.close()

    def _read(self) -> None:
        for _ in range(READ_BATCH):
            try:
                data, peer = self._socket.recvfrom(DATAGRAM_MAX)
            except (BlockingIOError, InterruptedError):
                return
            except OSError:  # somebody is unreachable; the checks will find out
                continue
            self._received(data, address_of(peer))
            if self._is_closed:
                return
