"""A connection from its first step to its end, and what waits for it."""

from __future__ import annotations

import enum
from dataclasses import field
from math import inf
from typing import TYPE_CHECKING, Final

from shoal.core.records import dataclass
from shoal.net.errors import ConnectStep, DialError, NetError, NoAnswerError
from shoal.net.ice.errors import IceTimeoutError
from shoal.net.trace import ConnectionInfo

if TYPE_CHECKING:
    from collections.abc import Hashable

    from shoal.net.effects import Way
    from shoal.net.ice import IceDescription, IceEngine, IcePath
    from shoal.net.peer import Peer
    from shoal.net.session import Session
    from shoal.net.trace import AttemptTrace


class Stage(enum.Enum):
    """How far a connection is.

        caller   GATHERING ──► OFFERED ──► CONNECTING ──► SECURING ──► UP ──► OVER
        callee   GATHERING ──────────────► CONNECTING ──► SECURING ──► UP ──► OVER
        others   DIALING ────────────────────────────────► SECURING ──► UP ──► OVER

    Any stage may be followed by OVER.
    """

    GATHERING = "gathering"
    OFFERED = "offered"
    CONNECTING = "connecting"
    DIALING = "dialing"
    SECURING = "securing"
    UP = "up"
    OVER = "over"


STEPS: Final = {
    Stage.GATHERING: ConnectStep.ICE,
    Stage.OFFERED: ConnectStep.SIGNALLING,
    Stage.CONNECTING: ConnectStep.ICE,
    Stage.DIALING: ConnectStep.ICE,
    Stage.SECURING: ConnectStep.TLS,
    Stage.UP: ConnectStep.MUX,
    Stage.OVER: ConnectStep.MUX,
}


@dataclass(slots=True, eq=False)
class Connection:
    """One connection; its number is that of the attempt that made it.

    Attributes:
        remote: the candidates of an offer, until ours are known and it can be answered.
        route: by which the offer came.
        deadline: when the stage has taken too long.
        wake: the earliest moment for which the engine has noted to look here.
        is_stale: the network changed while it was being made.
        quiet_since: since when it has carried no channel.
    """

    number: int
    peer: Peer
    is_caller: bool
    way: Way
    trace: AttemptTrace
    stage: Stage
    deadline: float
    request_id: int = 0
    connection_type: str = ""
    remote: IceDescription | None = None
    route: str = ""
    ice: IceEngine | None = None
    pipe: Hashable = None
    session: Session | None = None
    path: IcePath | None = None
    since: float = 0.0
    wake: float = inf
    is_stale: bool = False
    is_paused: bool = False
    quiet_since: float = 0.0

    def move(self, stage: Stage, deadline: float) -> None:
        """Enter the next stage."""
        self.stage, self.deadline = stage, deadline

    @property
    def is_up(self) -> bool:
        """Whether channels may be opened."""
        return self.stage is Stage.UP

    @property
    def channels(self) -> int:
        """How many channels it carries."""
        return 0 if self.session is None else self.session.mux.open_channels

    def next_deadline(self, quiet_limit: float | None) -> float | None:
        """When it wants time; *quiet_limit* is how long it may be without channels."""
        deadline = inf if self.stage is Stage.UP else self.deadline
        if self.ice is not None and (moment := self.ice.next_deadline()) is not None:
            deadline = min(deadline, moment)
        if self.session is not None and (moment := self.session.next_deadline()) is not None:
            deadline = min(deadline, moment)
        if quiet_limit is not None and self.stage is Stage.UP and not self.channels:
            deadline = min(deadline, self.quiet_since + quiet_limit)
        return None if deadline == inf else deadline

    def info(self) -> ConnectionInfo:
        """Return what people are shown."""
        return ConnectionInfo(
            connection=self.number,
            device=self.peer.device,
            account=self.peer.account,
            is_caller=self.is_caller,
            way=self.way,
            path=self.path,
            tls=self.trace.tls,
            channels=self.channels,
            since=self.since,
            last_heard=0.0 if self.session is None else self.session.mux.last_heard,
            trace=self.trace,
        )


@dataclass(slots=True, eq=False)
class Open:
    """Somebody wants a channel.

    Attributes:
        connection: the one on which the channel was asked for; None while there is none.
        only: the attempts that alone may serve it, if it insisted on a new connection.
        tries: on how many connections it was asked for.
    """

    op: int
    peer: Peer
    name: str
    connection_type: str
    ways: tuple[Way, ...]
    connection: int | None = None
    only: set[int] | None = None
    tries: int = 0


@dataclass(slots=True, eq=False)
class Device:
    """What concerns one device.

    Attributes:
        up: connections that are up, the latest last.
        attempts: connections that are being made.
        opens: channels that are wanted, by operation.
        errors: why the last attempts of ours failed, by their ways.
    """

    peer: Peer
    up: dict[int, Connection] = field(default_factory=dict)
    attempts: dict[int, Connection] = field(default_factory=dict)
    opens: dict[int, Open] = field(default_factory=dict)
    errors: dict[Way, tuple[ConnectStep, Exception]] = field(default_factory=dict)

    @property
    def is_idle(self) -> bool:
        """Whether it can be forgotten."""
        return not (self.up or self.attempts or self.opens)

    def best(self, *, but: Connection | None = None) -> Connection | None:
        """Return the connection that was heard from last, if any is up and no other than *but*."""
        found: Connection | None = None
        latest = -inf
        for each in self.up.values():
            session = each.session
            if session is None or session.mux.is_over or each is but:
                continue
            if session.mux.last_heard >= latest:
                found, latest = each, session.mux.last_heard
        return found

    def outgoing(self, way: Way) -> Connection | None:
        """Return our own attempt on that way, if there is one."""
        for each in self.attempts.values():
            if each.is_caller and each.way is way:
                return each
        return None


def is_due(deadline: float | None, now: float) -> bool:
    """Say whether a deadline has come."""
    return deadline is not None and deadline <= now


def timeout_of(stage: Stage) -> NetError:
    """Return what it means that *stage* took too long."""
    match stage:
        case Stage.OFFERED:
            return NoAnswerError("no answer from the device")
        case Stage.DIALING:
            return DialError("the device was not reached in time")
        case _:
            return IceTimeoutError()


def words_of(error: Exception) -> str:
    """Return what an error says: its message, or else what its class says."""
    return str(error) or (type(error).__doc__ or type(error).__name__).partition("\n")[0]
