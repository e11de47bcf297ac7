"""Which way a connection took, and what else was tried: for `shoal connect` and doctor."""

from __future__ import annotations

import enum
import ipaddress
from typing import TYPE_CHECKING

from shoal.core.records import dataclass
from shoal.net.ice.candidates import CandidateType

if TYPE_CHECKING:
    from shoal.net.ice.candidates import Candidate


class PathKind(enum.Enum):
    """How data travels."""

    LAN = "lan"  # between two addresses of private networks or of one machine
    DIRECT = "direct"  # across the Internet, no server between
    RELAYED = "relayed"  # through a TURN server


class Outcome(enum.Enum):
    """How the attempt on one pair ended."""

    WAITING = "waiting"  # its turn never came
    CONNECTING = "connecting"  # still connecting when it was over
    REFUSED = "refused"  # no TCP connection: refused or unreachable
    CONNECT_TIMEOUT = "connect timeout"
    CHECKING = "checking"  # still being checked when it was over
    CHECK_FAILED = "check failed"  # connected, and no valid answer to the check
    LOST = "lost"  # the connection ended before anything was chosen
    SUCCEEDED = "succeeded"  # usable, but another pair was chosen
    SELECTED = "selected"


@dataclass(frozen=True, slots=True)
class PairReport:
    """One pair of addresses that was tried.

    Attributes:
        detail: the system's word for a failure, or empty.
        elapsed: seconds from the beginning of the checks to its latest change.
    """

    local: Candidate
    remote: Candidate
    outcome: Outcome
    detail: str
    elapsed: float


@dataclass(frozen=True, slots=True)
class IcePath:
    """The pair that was chosen for a component.

    Attributes:
        rtt: round trip of the check that succeeded first on it, in seconds.
        is_incoming: whether the peer opened the TCP connection.
        steps: seconds per step, in order: gathering, signalling, connecting, checking, nominating.
        pairs: everything that was tried.
    """

    component: int
    local: Candidate
    remote: Candidate
    rtt: float
    is_incoming: bool
    steps: tuple[tuple[str, float], ...]
    pairs: tuple[PairReport, ...]

    @property
    def kind(self) -> PathKind:
        """Relayed, across the Internet, or inside one network."""
        if CandidateType.RELAY in {self.local.type, self.remote.type}:
            return PathKind.RELAYED
        are_private = all(
            ipaddress.ip_address(each.addr.ip).is_private for each in (self.local, self.remote)
        )
        return PathKind.LAN if are_private else PathKind.DIRECT
