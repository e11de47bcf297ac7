"""What an ICE engine is told once."""

from __future__ import annotations

import enum
from dataclasses import field
from typing import Final

from shoal.core.records import dataclass
from shoal.net.ice.candidates import Transport

STUN_PORT: Final = 3478  # RFC 8489 section 8.5, RFC 8656 section 7
TIME_LIMIT: Final = 30.0  # seconds from `start` to a path; reference 5.6: about 30 s at worst
FRAME_SIZE: Final = 16_384  # payload bytes per frame that we send; reference 5.7: comfortable


class Scope(enum.Enum):
    """Which paths a connection may use."""

    ALL = "all"
    RELAY_ONLY = "relay-only"  # the peer learns no address of ours
    LAN = "lan"  # nothing but the addresses of our own interfaces


@dataclass(frozen=True, slots=True)
class TurnServer:
    """A relay, with long-term credentials (RFC 8489 section 9.2)."""

    host: str
    username: str = field(repr=False)
    password: str = field(repr=False)
    port: int = STUN_PORT


@dataclass(frozen=True, slots=True)
class StunServer:
    """A server that tells us our public address."""

    host: str
    port: int = STUN_PORT


@dataclass(frozen=True, slots=True)
class IceConfig:
    """How one ICE engine behaves.

    Attributes:
        transport: TCP for Jami's channels, UDP for media.
        components: how many paths are wanted; channels have one.
        scope: which paths may be used.
        turn: relays; the first of each family that answers is used.
        stun: servers asked for the public address.
        maps_ports: whether to order `MapPort` for sockets with private addresses.
        guesses_ports: whether to offer our port on a public address that we were told, in case
            a NAT keeps ports and lets everybody in (1:1 NAT, as clouds have).
        frame_size: payload bytes of a frame that we send over TCP, at most 65,535.
        time_limit: seconds from `start` to the last component's path.
        software: SOFTWARE attribute of our checks; none by default.
    """

    transport: Transport = Transport.TCP
    components: int = 1
    scope: Scope = Scope.ALL
    turn: tuple[TurnServer, ...] = ()
    stun: tuple[StunServer, ...] = ()
    maps_ports: bool = False
    guesses_ports: bool = True
    frame_size: int = FRAME_SIZE
    time_limit: float = TIME_LIMIT
    software: str | None = None
