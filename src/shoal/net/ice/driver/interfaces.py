"""The addresses of this machine that a peer could reach."""

from __future__ import annotations

import contextlib
import ipaddress
import socket
from typing import TYPE_CHECKING, Final

import ifaddr

from shoal.core import Address, DecodeError, Family

if TYPE_CHECKING:
    from collections.abc import Iterator

# Addresses of documentation, RFC 5737 and RFC 3849: nothing is ever sent there.
_FAR_AWAY: Final = {Family.IPV4: "192.0.2.1", Family.IPV6: "2001:db8::1"}
_FAMILIES: Final = {Family.IPV4: socket.AF_INET, Family.IPV6: socket.AF_INET6}


def local_addresses() -> list[bytes]:
    """Return the packed addresses of our interfaces, the default route's first of each family.

    Loopback and link-local addresses are left out, unless there are no others.
    """
    found = [ip for ip in _interface_addresses() if _is_reachable(ip)]
    preferred = [ip for family in (Family.IPV4, Family.IPV6) if (ip := _default_address(family))]
    ordered = [*preferred, *sorted(found, key=len)]
    return list(dict.fromkeys(ip for ip in ordered if ip in found))


def _interface_addresses() -> Iterator[bytes]:
    for adapter in ifaddr.get_adapters():
        for each in adapter.ips:
            host = each.ip if isinstance(each.ip, str) else each.ip[0]
            with contextlib.suppress(DecodeError):
                yield Address.parse(host, 0).ip


def _is_reachable(ip: bytes) -> bool:
    address = ipaddress.ip_address(ip)
    return not (address.is_loopback or address.is_link_local or address.is_unspecified)


def _default_address(family: Family) -> bytes | None:
    """Return the address from which the system would send to far away."""
    with contextlib.suppress(OSError), socket.socket(_FAMILIES[family], socket.SOCK_DGRAM) as sock:
        sock.connect((_FAR_AWAY[family], 9))  # over UDP this only looks the route up
        return Address.parse(sock.getsockname()[0], 0).ip
    return None
