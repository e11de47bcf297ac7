"""Which sockets a node opens: one per family, on one port if that can be."""

from __future__ import annotations

import contextlib
import errno
import logging
from typing import TYPE_CHECKING

from shoal.core import Address, DecodeError, Family
from shoal.dht.driver.udp import open_socket
from shoal.dht.errors import BindError, PortTakenError

if TYPE_CHECKING:
    import socket
    from collections.abc import Iterable, Mapping

_log = logging.getLogger(__name__)

_NOT_HERE = frozenset({errno.EAFNOSUPPORT, errno.EADDRNOTAVAIL, errno.EPROTONOSUPPORT})


def open_sockets(
    hosts: Iterable[str], port: int, last_ports: Mapping[Family, int]
) -> list[socket.socket]:
    """Open a socket on each of *hosts*, at most one per family.

    With *port* 0, each takes its port of the last run; failing that IPv6 tries the port that IPv4
    got (reference section 1.1); failing that, any. A wildcard of a family that this machine does
    not have is left out. No hosts, no sockets: such a node works through a proxy.

    Raises:
        PortTakenError: another program has *port*.
        BindError: no such address here, no right to *port*, or nothing to listen on at all.
    """
    addrs = _addresses(hosts)
    sockets: list[socket.socket] = []
    try:
        for family, host in sorted(addrs.items()):
            hints = [last_ports.get(family, 0), *(_port_of(sock) for sock in sockets)]
            sock = _open(family, host, port, [hint for hint in hints if hint])
            if sock is not None:
                sockets.append(sock)
    except BaseException:
        for sock in sockets:
            sock.close()
        raise
    if addrs and not sockets:
        raise BindError("this machine has no address of the families to listen on")
    return sockets


def _addresses(hosts: Iterable[str]) -> dict[Family, str]:
    addrs: dict[Family, str] = {}
    for host in hosts:
        try:
            family = Address.parse(host, 0).family
        except DecodeError as error:
            raise BindError(f"{host!r} is no IP address to listen on") from error
        if family in addrs:
            raise BindError(f"two addresses to listen on for one family: {addrs[family]}, {host}")
        addrs[family] = host
    return addrs


def _open(family: Family, host: str, port: int, hints: list[int]) -> socket.socket | None:
    if port == 0:
        for hint in hints:
            with contextlib.suppress(OSError):
                return open_socket(family, host, hint)
    try:
        return open_socket(family, host, port)
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            raise PortTakenError(f"UDP port {port} of {host} is taken") from error
        if error.errno in _NOT_HERE and not any(Address.parse(host, 0).ip):
            _log.info("no %s here: %s", family.name, error.strerror)
            return None
        raise BindError(f"cannot listen on {host} port {port}: {error.strerror}") from error


def _port_of(sock: socket.socket) -> int:
    port: int = sock.getsockname()[1]
    return port
