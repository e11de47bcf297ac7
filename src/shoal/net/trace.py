"""What an attempt to connect did, and when; what a connection is made of.

`shoal connect` prints it, and doctor reads it.
"""

from __future__ import annotations

from dataclasses import field
from typing import TYPE_CHECKING

from shoal.core.records import dataclass

if TYPE_CHECKING:
    from shoal.core import AccountId, DeviceId
    from shoal.net.effects import Way
    from shoal.net.errors import ConnectStep
    from shoal.net.ice.path import IcePath


@dataclass(frozen=True, slots=True)
class Moment:
    """Something that happened in an attempt, so many seconds after its start."""

    event: str
    seconds: float


@dataclass(slots=True)
class AttemptTrace:
    """One attempt.

    Attributes:
        attempt: its number.
        device: the device at the far end.
        account: whose it is.
        is_caller: whether the attempt is ours.
        way: how.
        started: monotonic time of its start.
        moments: what happened: `gathered`, `offer sent`, `answered`, `path`, `tls`, `mux`, …
        local_candidates: what we offered, as it was sent.
        remote_candidates: what the peer offered, as it came.
        path: the chosen pair of addresses, with everything that was tried.
        tls: version and cipher suite.
        failed_step: where it ended, if it failed.
        error: why.
    """

    attempt: int
    device: DeviceId
    account: AccountId
    is_caller: bool
    way: Way
    started: float
    moments: list[Moment] = field(default_factory=list)
    local_candidates: str = ""
    remote_candidates: str = ""
    path: IcePath | None = None
    tls: str = ""
    failed_step: ConnectStep | None = None
    error: Exception | None = None

    def note(self, event: str, now: float) -> None:
        """Write down that *event* happened at *now*."""
        self.moments.append(Moment(event, now - self.started))

    def seconds_until(self, event: str) -> float | None:
        """Return how long after the start *event* happened, or None if it did not."""
        return next((each.seconds for each in self.moments if each.event == event), None)


@dataclass(frozen=True, slots=True)
class ConnectionInfo:
    """A connection.

    Attributes:
        connection: its number.
        device: the device at the far end.
        account: whose it is.
        is_caller: whether we called.
        way: how it came about.
        path: its pair of addresses, where ICE found it.
        tls: version and cipher suite.
        channels: how many are open.
        since: monotonic time from which it was ready.
        last_heard: monotonic time at which something last came from the peer.
        trace: how it was made.
    """

    connection: int
    device: DeviceId
    account: AccountId
    is_caller: bool
    way: Way
    path: IcePath | None
    tls: str
    channels: int
    since: float
    last_heard: float
    trace: AttemptTrace


@dataclass(slots=True)
class ConnectionsStats:
    """Counters; each field says what one increment means."""

    offers_sent: int = 0  # an attempt of ours reached the point of asking
    answers_sent: int = 0  # an offer of a peer was answered
    offers_repeated: int = 0  # an offer came that had been treated
    offers_refused: int = 0  # its sender may not connect
    offers_limited: int = 0  # its sender, or everybody, asks for too much
    offers_malformed: int = 0  # its candidates could not be read
    answers_ignored: int = 0  # an answer that nobody waits for
    attempts_failed: int = 0  # an attempt, ours or a peer's, ended without a connection
    connections_made: int = 0  # a connection came up
    connections_lost: int = 0  # a connection that was up ended by an error
    surplus_closed: int = 0  # one of several connections to a device was closed
    channels_opened: int = 0  # a channel of ours was accepted
    channels_accepted: int = 0  # a channel of a peer's was accepted
    channels_declined: int = 0  # a channel of a peer's was declined
    opens_failed: int = 0  # a channel of ours could not be opened
    opens_repeated: int = 0  # a channel was asked for again, on another connection
