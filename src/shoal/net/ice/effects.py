"""What an ICE engine orders and reports.

Sockets and links have numbers. The engine chooses those of sockets that it orders and of links
that it opens, all positive; the driver numbers the links that a socket accepts from -1 downwards.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, TypeAlias

from shoal.core.records import dataclass

if TYPE_CHECKING:
    from shoal.core import Address
    from shoal.net.ice.candidates import IceDescription, Transport
    from shoal.net.ice.errors import IceError
    from shoal.net.ice.path import IcePath


@dataclass(frozen=True, slots=True)
class Listen:
    """Action: bind a UDP socket or listen for TCP at *local*; port 0 is any.

    Answer with `socket_opened` or `socket_failed`.
    """

    socket: int
    local: Address
    transport: Transport


@dataclass(frozen=True, slots=True)
class CloseSocket:
    """Action: close *socket*; links that it accepted stay."""

    socket: int


@dataclass(frozen=True, slots=True)
class Connect:
    """Action: open a TCP connection from the IP address of *local*, if given, to *remote*.

    Answer with `link_opened` or `link_failed`.
    """

    link: int
    local: Address | None
    remote: Address


class Write(NamedTuple):
    """Action: write *data* to *link*, after what was written before."""

    link: int
    data: bytes


@dataclass(frozen=True, slots=True)
class CloseLink:
    """Action: close *link* once what was written to it is out, or given up on."""

    link: int


class SendFrom(NamedTuple):
    """Action: send *data* as one datagram from *socket* to *addr*."""

    socket: int
    data: bytes
    addr: Address


@dataclass(frozen=True, slots=True)
class ResolveServer:
    """Action: resolve *host* and answer with `server_resolved`, with no addresses if that fails."""

    host: str
    port: int


@dataclass(frozen=True, slots=True)
class MapPort:
    """Action: ask the router to forward a port to *socket*, bound to *local*.

    Answer with `port_mapped`, with None if no router does.
    """

    socket: int
    local: Address
    transport: Transport


@dataclass(frozen=True, slots=True)
class UnmapPort:
    """Action: the port mapped to *socket* is no longer needed."""

    socket: int


@dataclass(frozen=True, slots=True)
class Gathered:
    """Event: all candidates are known; send *description* to the peer."""

    description: IceDescription


@dataclass(frozen=True, slots=True)
class Selected:
    """Event: *path* carries its component from now on. One for each component."""

    path: IcePath


class Received(NamedTuple):
    """Event: the peer's next bytes; over UDP one datagram. May be a view of what was received."""

    data: bytes | memoryview
    component: int


@dataclass(frozen=True, slots=True)
class Closed:
    """Event: the peer closed the connection in order; the engine has closed it too."""


@dataclass(frozen=True, slots=True)
class Failed:
    """Event: it is over, everything is closed, and *error* says why. At most one."""

    error: IceError


Action: TypeAlias = (
    Listen
    | CloseSocket
    | Connect
    | Write
    | CloseLink
    | SendFrom
    | ResolveServer
    | MapPort
    | UnmapPort
)
Event: TypeAlias = Gathered | Selected | Received | Closed | Failed
Effect: TypeAlias = Action | Event
