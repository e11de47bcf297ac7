"""What a multiplexed connection orders and reports. Channels go by their numbers."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, TypeAlias

from shoal.core.records import dataclass

if TYPE_CHECKING:
    from shoal.net.errors import MuxError


class MuxSend(NamedTuple):
    """Action: send *data* through TLS."""

    data: bytes


@dataclass(frozen=True, slots=True)
class MuxReading:
    """Action: stop reading from the network, or go on."""

    is_paused: bool


@dataclass(frozen=True, slots=True)
class Asked:
    """Event: the peer asks for a channel. Answer with `accept` or `decline`."""

    number: int
    name: str


@dataclass(frozen=True, slots=True)
class Opened:
    """Event: the peer accepted the channel that *op* asked for."""

    op: int
    number: int
    name: str


@dataclass(frozen=True, slots=True)
class Unopened:
    """Event: *op* ended without a channel."""

    op: int
    error: MuxError


class Packet(NamedTuple):
    """Event: the peer sent *data* on an open channel. Report by `consumed` when it was read."""

    number: int
    data: bytes


@dataclass(frozen=True, slots=True)
class Closed:
    """Event: an open channel is closed; without an error by the peer, in order."""

    number: int
    error: MuxError | None


@dataclass(frozen=True, slots=True)
class Over:
    """Event: the connection is of no more use; all channels were closed before."""

    error: MuxError


ChannelEffect: TypeAlias = MuxReading | Asked | Opened | Unopened | Packet | Closed
MuxEffect: TypeAlias = MuxSend | Over | ChannelEffect
