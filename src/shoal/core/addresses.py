"""Network addresses as values: packed IP bytes and a port.

Packed, because that is what the DHT's wire carries; a NamedTuple, because every datagram has one.
"""

from __future__ import annotations

import enum
import ipaddress
from typing import Final, NamedTuple

from shoal.core.errors import DecodeError

PORT_MAX: Final = 65_535
_MAPPED_PREFIX: Final = bytes(10) + b"\xff\xff"  # RFC 4291 section 2.5.5.2


class Family(enum.IntEnum):
    """Address families under the numbers that OpenDHT's `w` carries: those of Linux."""

    IPV4 = 2
    IPV6 = 10


class Address(NamedTuple):
    """A UDP or TCP endpoint: 4 or 16 packed IP bytes in network order, and a port."""

    ip: bytes
    port: int

    @classmethod
    def parse(cls, host: str, port: int) -> Address:
        """Read a textual IP address; an IPv4-mapped IPv6 one becomes IPv4.

        Raises:
            DecodeError: *host* is not an IP address or *port* is not 0 to 65535.
        """
        if not 0 <= port <= PORT_MAX:
            raise DecodeError(f"port {port} is not between 0 and 65535")
        try:
            packed = ipaddress.ip_address(host.partition("%")[0]).packed
        except ValueError as error:
            raise DecodeError(f"not an IP address: {host[:80]!r}") from error
        return cls(unmapped(packed), port)

    @property
    def family(self) -> Family:
        """IPv4 for 4 bytes, IPv6 for 16."""
        return Family.IPV4 if len(self.ip) == 4 else Family.IPV6  # noqa: PLR2004 - bytes of IPv4

    @property
    def host(self) -> str:
        """The IP address as text."""
        return str(ipaddress.ip_address(self.ip))

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if len(self.ip) > 4 else f"{self.host}:{self.port}"  # noqa: PLR2004


def unmapped(ip: bytes) -> bytes:
    """Return the IPv4 bytes of an IPv4-mapped IPv6 address, any other *ip* as it is."""
    return ip[12:] if len(ip) == 16 and ip.startswith(_MAPPED_PREFIX) else ip  # noqa: PLR2004
