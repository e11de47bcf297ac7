"""What TURN clients order and report. Their owner knows how to reach the server."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, TypeAlias

from shoal.core.records import dataclass

if TYPE_CHECKING:
    from shoal.core import Address
    from shoal.net.turn.errors import TurnError


class SendToServer(NamedTuple):
    """Action: send *data* to the server: one datagram, or bytes on the TCP connection to it."""

    data: bytes


@dataclass(frozen=True, slots=True)
class Allocated:
    """Event: *relayed* on the server is ours; the server sees us as *mapped*."""

    relayed: Address
    mapped: Address | None


@dataclass(frozen=True, slots=True)
class Permitted:
    """Event: the server lets *peer*'s IP address in."""

    peer: Address


@dataclass(frozen=True, slots=True)
class PermissionRefused:
    """Event: the server does not let *peer* in."""

    peer: Address
    error: TurnError


@dataclass(frozen=True, slots=True)
class PeerConnected:
    """Event: a TCP connection with *peer* waits at the server.

    Bind it by `ConnectionBinding` with *connection* on a new connection to the server, within 30 s.
    """

    connection: int
    peer: Address


@dataclass(frozen=True, slots=True)
class ConnectRefused:
    """Event: the server could not connect to *peer* for us."""

    peer: Address
    error: TurnError


class PeerSent(NamedTuple):
    """Event: *peer* sent this datagram to our relayed address."""

    data: bytes
    peer: Address


@dataclass(frozen=True, slots=True)
class TurnFailed:
    """Event: there is no allocation, or no longer. The last one."""

    error: TurnError


Effect: TypeAlias = (
    SendToServer
    | Allocated
    | Permitted
    | PermissionRefused
    | PeerConnected
    | ConnectRefused
    | PeerSent
    | TurnFailed
)
