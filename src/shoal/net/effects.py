"""What the connections engine orders and reports.

Actions go to whoever hosts the engine: `SendSignal` to a carrier, `FindAddresses`, `IceAction` and
the three about pipes to sockets, `SetReading` to the path of a connection. The rest are events.
"""

from __future__ import annotations

import enum
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

from shoal.core import Persist
from shoal.core.records import dataclass

if TYPE_CHECKING:
    from collections.abc import Hashable

    from shoal.net.errors import ConnectError
    from shoal.net.ice.effects import Action
    from shoal.net.peer import Peer
    from shoal.net.signalling.request import PeerRequest
    from shoal.net.trace import AttemptTrace, ConnectionInfo


class Way(enum.Enum):
    """How a connection may come about."""

    ICE = "ice"  # offers and answers, then the best pair of addresses: any Jami device
    DIRECT = "direct"  # the addresses that the device publishes
    RELAY = "relay"  # carried by others, for transports still to come


class ChannelId(NamedTuple):
    """A channel: its connection's number, and its own number there."""

    connection: int
    number: int


@dataclass(frozen=True, slots=True)
class FindAddresses:
    """Action: say by `addresses_found` under which addresses this machine may be reached."""

    attempt: int


@dataclass(frozen=True, slots=True)
class SendSignal:
    """Action: deliver *request*, sealed for *peer*, by *route*, or where that is empty by any.

    If that fails for certain, report it by `signal_failed`; nothing need be said of success.
    """

    attempt: int
    peer: Peer
    request: PeerRequest
    route: str


class IceAction(NamedTuple):
    """Action: what the ICE engine of *attempt* orders. Answer by `ice_input` with that number."""

    attempt: int
    action: Action


@dataclass(frozen=True, slots=True)
class OpenPipe:
    """Action: reach *peer* by another way than ICE.

    Answer with `pipe_opened` or `pipe_failed`; `AttemptEnded` of this number says not to bother.
    """

    attempt: int
    peer: Peer
    way: Way


class SendPipe(NamedTuple):
    """Action: send *data* on a pipe, after what was sent before."""

    pipe: Hashable
    data: bytes


@dataclass(frozen=True, slots=True)
class ClosePipe:
    """Action: close a pipe once what was sent is out."""

    pipe: Hashable


@dataclass(frozen=True, slots=True)
class SetReading:
    """Action: stop reading from the network for *connection*, or go on."""

    connection: int
    is_paused: bool


@dataclass(frozen=True, slots=True)
class ChannelOpened:
    """Event: the peer accepted the channel that *op* asked for."""

    op: int
    channel: ChannelId
    peer: Peer
    name: str


@dataclass(frozen=True, slots=True)
class OpenFailed:
    """Event: *op* ended without a channel."""

    op: int
    error: ConnectError


@dataclass(frozen=True, slots=True)
class ChannelAccepted:
    """Event: the peer opened a channel, and the policy took it."""

    channel: ChannelId
    peer: Peer
    name: str


class ChannelReceived(NamedTuple):
    """Event: one packet came, as the peer sent it. Report by `consumed` when it was read."""

    channel: ChannelId
    data: bytes


@dataclass(frozen=True, slots=True)
class ChannelClosed:
    """Event: a channel that was open is closed, by the peer in order if there is no *error*.

    It also follows our own `close_channel`, at once.
    """

    channel: ChannelId
    error: Exception | None


@dataclass(frozen=True, slots=True)
class ConnectionUp:
    """Event: a connection is ready for channels."""

    info: ConnectionInfo


@dataclass(frozen=True, slots=True)
class ConnectionDown:
    """Event: a connection is gone, and with it its channels, each of which said so before."""

    connection: int
    peer: Peer
    error: Exception | None


@dataclass(frozen=True, slots=True)
class AttemptEnded:
    """Event: an attempt to connect, ours or the peer's, came to its end; success has no error."""

    trace: AttemptTrace


Effect: TypeAlias = (
    FindAddresses
    | SendSignal
    | IceAction
    | OpenPipe
    | SendPipe
    | ClosePipe
    | SetReading
    | Persist
    | ChannelOpened
    | OpenFailed
    | ChannelAccepted
    | ChannelReceived
    | ChannelClosed
    | ConnectionUp
    | ConnectionDown
    | AttemptEnded
)
