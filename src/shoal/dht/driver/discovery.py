"""The multicast sockets of LAN discovery, around `DiscoveryEngine`."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
import struct
from typing import TYPE_CHECKING, Final, assert_never

from shoal.core import Address, Family, SendDatagram
from shoal.dht.discovery import (
    DATAGRAM_SIZE_MAX,
    GROUPS,
    DiscoveryEngine,
    Effect,
    NodeDiscovered,
    ServiceDiscovered,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

_log = logging.getLogger(__name__)

READ_BATCH: Final = 64  # ours: datagrams handled before the loop may turn
_ANY: Final = {Family.IPV4: "", Family.IPV6: "::"}  # the group decides what arrives
_FAMILY_OF: Final = {Family.IPV4: socket.AF_INET, Family.IPV6: socket.AF_INET6}


class DiscoveryDriver:
    """Runs a `DiscoveryEngine`; a family whose group can't be joined is left out with a warning."""

    def __init__(
        self,
        engine: DiscoveryEngine,
        families: Iterable[Family],
        discovered: Callable[[NodeDiscovered | ServiceDiscovered], None],
        groups: Mapping[Family, Address] = GROUPS,
    ) -> None:
        self._engine = engine
        self._discovered = discovered
        self._groups = groups
        self._loop = asyncio.get_running_loop()
        self._timer: asyncio.TimerHandle | None = None
        self._sockets: dict[Family, socket.socket] = {}
        for family in families:
            try:
                sock = _open(family, groups[family].port)
            except OSError as error:
                _log.warning("no discovery over %s: %s", family.name, error.strerror)
                continue
            self._sockets[family] = sock
            self._loop.add_reader(sock, self._read, sock)

    def start(self) -> None:
        """Join the groups, on every interface that there is now, and ask them."""
        for family, sock in self._sockets.items():
            _join(family, sock, self._groups[family])
        self._apply(self._engine.start(self._loop.time()))

    def connected(self) -> None:
        """Only answer from now on."""
        self._apply(self._engine.connected(self._loop.time()))

    def close(self) -> None:
        """Leave the groups."""
        if self._timer is not None:
            self._timer.cancel()
        for sock in self._sockets.values():
            self._loop.remove_reader(sock)
            sock.close()
        self._sockets.clear()

    def _read(self, sock: socket.socket) -> None:
        for _ in range(READ_BATCH):
            try:
                datagram, peer = sock.recvfrom(DATAGRAM_SIZE_MAX + 1)
            except OSError:  # nothing left, or an error about something we sent
                return
            addr = Address.parse(peer[0], peer[1])
            self._apply(self._engine.receive(datagram, addr, self._loop.time()))

    def _wake(self) -> None:
        self._timer = None
        self._apply(self._engine.advance(self._loop.time()))

    def _apply(self, effects: Iterable[Effect]) -> None:
        for effect in effects:
            match effect:
                case SendDatagram(data, addr):
                    self._send(data, addr)
                case NodeDiscovered() | ServiceDiscovered():
                    self._discovered(effect)
                case _:
                    assert_never(effect)
        if self._timer is not None:
            self._timer.cancel()
        deadline = self._engine.next_deadline()
        self._timer = None if deadline is None else self._loop.call_at(deadline, self._wake)

    def _send(self, data: bytes, addr: Address) -> None:
        sock = self._sockets.get(addr.family)
        if sock is None:
            return
        try:
            sock.sendto(data, (addr.host, addr.port))
        except OSError as error:  # no route for multicast, mostly; asked again later
            _log.debug("! discovery: nothing sent to %s: %s", addr, error.strerror)


def _open(family: Family, port: int) -> socket.socket:
    sock = socket.socket(_FAMILY_OF[family], socket.SOCK_DGRAM)
    try:
        sock.setblocking(False)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # all nodes of a machine listen
        if hasattr(socket, "SO_REUSEPORT"):
            with contextlib.suppress(OSError):
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        if family is Family.IPV6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        sock.bind((_ANY[family], port))
    except BaseException:
        sock.close()
        raise
    return sock


def _join(family: Family, sock: socket.socket, group: Address) -> None:
    """Join *group* on every interface; those that can't, and those joined before, are passed."""
    joined = 0
    for index, _name in [(0, "any"), *socket.if_nameindex()]:
        try:
            if family is Family.IPV6:
                request = group.ip + struct.pack("@I", index)
                sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_JOIN_GROUP, request)
            else:  # ip_mreqn: group, local address, interface
                request = group.ip + bytes(4) + struct.pack("@i", index)
                sock.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, request)
        except OSError as error:
            _log.debug("! group %s not joined on interface %d: %s", group.host, index, error)
        else:
            joined += 1
    if joined:
        _log.debug("= joined %s on %d interfaces", group.host, joined)
