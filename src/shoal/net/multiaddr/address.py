"""Addresses as libp2p writes them: a path of protocols, from the outermost inwards.

    /ip4/192.0.2.1/tcp/4433            a TCP port
    /ip6/2001:db8::1/tcp/4433          the same over IPv6
    /dns4/node.example.org/tcp/4433    by name: read and kept, but not dialled yet
    /p2p/DEVICE/p2p-circuit            through that device, which carries: for relays to come

Source: libp2p's multiaddr specification; a device stands in the place of its peer id, in hex.
"""

from __future__ import annotations

import ipaddress
import re
from typing import TYPE_CHECKING, Final

from shoal.core import Address, DecodeError, DeviceId, Family
from shoal.core.records import dataclass
from shoal.net.errors import MultiaddrError

if TYPE_CHECKING:
    from collections.abc import Callable

TEXT_MAX: Final = 256  # characters of an address, ours: ten times a usual one
PARTS_MAX: Final = 8  # protocols in an address, ours
_PORT_MAX: Final = 65_535  # RFC 9293 section 3.1
_HOST_NAME: Final = re.compile(r"(?=.{1,253}$)[a-z0-9_-]{1,63}(\.[a-z0-9_-]{1,63})*")
_CARRIER_GRADE: Final = ipaddress.ip_network("100.64.0.0/10")  # RFC 6598
_TCP_PARTS: Final = 2  # of an address that can be dialled: host and port


@dataclass(frozen=True, slots=True)
class Multiaddr:
    """One address.

    Attributes:
        parts: protocols, each with its value, which is empty for those that have none.
    """

    parts: tuple[tuple[str, str], ...]

    @classmethod
    def tcp(cls, addr: Address) -> Multiaddr:
        """Return the address of a TCP port."""
        protocol = "ip4" if addr.family is Family.IPV4 else "ip6"
        return cls(((protocol, addr.host), ("tcp", str(addr.port))))

    @classmethod
    def parse(cls, text: str) -> Multiaddr:
        """Read an address; equal ones become equal, however they were written.

        Raises:
            MultiaddrError: *text* is none, or has a protocol that we do not know.
        """
        if len(text) > TEXT_MAX:
            raise MultiaddrError(f"an address of {len(text)} characters; {TEXT_MAX} at most")
        first, *fields = text.split("/")
        if first or not fields:
            raise MultiaddrError(f"an address begins with a slash: {text[:80]!r}")
        parts: list[tuple[str, str]] = []
        rest = iter(fields)
        for protocol in rest:
            if protocol not in _PROTOCOLS or len(parts) == PARTS_MAX:
                raise MultiaddrError(f"not an address: {text[:80]!r}")
            read = _PROTOCOLS[protocol]
            value = "" if read is None else read(next(rest, ""))
            parts.append((protocol, value))
        return cls(tuple(parts))

    @property
    def endpoint(self) -> Address | None:
        """The TCP port that this is, if it can be dialled."""
        if len(self.parts) != _TCP_PARTS:
            return None
        (outer, host), (inner, port) = self.parts
        if outer not in {"ip4", "ip6"} or inner != "tcp":
            return None
        return Address.parse(host, int(port))

    @property
    def is_public(self) -> bool:
        """Whether strangers may be told: neither private, nor of this machine or link.

        Source: RFC 1918, 3927, 4193, 6598.
        """
        outer, host = self.parts[0]
        if outer not in {"ip4", "ip6"}:
            return True
        ip = ipaddress.ip_address(host)
        return not (
            ip.is_private
            or ip.is_loopback
            or ip.is_link_local
            or ip.is_unspecified
            or ip.is_multicast
            or (ip.version == 4 and ip in _CARRIER_GRADE)  # noqa: PLR2004 - of the protocol
        )

    def __str__(self) -> str:
        return "".join(f"/{name}/{value}" if value else f"/{name}" for name, value in self.parts)


def _read_ipv4(text: str) -> str:
    try:
        return str(ipaddress.IPv4Address(text))
    except ValueError as error:
        raise MultiaddrError(f"not an IPv4 address: {text[:40]!r}") from error


def _read_ipv6(text: str) -> str:
    try:
        address = ipaddress.IPv6Address(text)
    except ValueError as error:
        raise MultiaddrError(f"not an IPv6 address: {text[:40]!r}") from error
    if address.scope_id is not None or address.ipv4_mapped is not None:
        raise MultiaddrError(f"not an IPv6 address for others: {text[:40]!r}")
    return str(address)


def _read_port(text: str) -> str:
    if not (text.isascii() and text.isdigit() and 1 <= int(text[:6]) <= _PORT_MAX):
        raise MultiaddrError(f"not a port: {text[:40]!r}")
    return str(int(text))


def _read_name(text: str) -> str:
    lower = text.lower()
    if not _HOST_NAME.fullmatch(lower):
        raise MultiaddrError(f"not a host name: {text[:40]!r}")
    return lower


def _read_device(text: str) -> str:
    try:
        return str(DeviceId.from_hex(text))
    except DecodeError as error:
        raise MultiaddrError(f"not a device: {text[:40]!r}") from error


_PROTOCOLS: Final[dict[str, Callable[[str], str] | None]] = {
    "ip4": _read_ipv4,
    "ip6": _read_ipv6,
    "dns4": _read_name,
    "dns6": _read_name,
    "tcp": _read_port,
    "udp": _read_port,
    "p2p": _read_device,
    "p2p-circuit": None,
}
