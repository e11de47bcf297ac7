"""One pair of candidates and what became of it."""

from __future__ import annotations

import enum
import ipaddress
from math import inf
from typing import TYPE_CHECKING, Final, Protocol

from shoal.core.records import dataclass
from shoal.net.ice.path import IcePath, Outcome, PairReport

if TYPE_CHECKING:
    from collections.abc import Sequence

    from shoal.core import Address
    from shoal.net.ice.candidates import Candidate
    from shoal.net.ice.paths import Allowance
    from shoal.net.transactions import Transaction


_HOME_BLOCK: Final = bytes([192, 168])


class PairState(enum.Enum):
    """Where a pair stands. FAILED is final, but for an incoming check over UDP."""

    WAITING = "waiting"  # for its turn, or until a refused connection is tried again
    CONNECTING = "connecting"  # TCP
    IDLE = "idle"  # the peer connected; it has to speak first
    CHECKING = "checking"
    SUCCEEDED = "succeeded"
    FAILED = "failed"


class Path(Protocol):
    """How a pair's bytes travel."""

    def send(self, message: bytes, now: float) -> None:
        """Send one STUN message."""

    def send_data(self, data: bytes | memoryview, now: float) -> None:
        """Send the application's bytes."""

    def accept_data(self) -> None:
        """Hand data over from now on, what came before included."""

    def is_on(self, *, link: int = 0, socket: int = 0) -> bool:
        """Tell whether it uses that link or socket."""

    def close(self) -> None:
        """Close what belongs to it alone."""


@dataclass(slots=True, eq=False)
class Pair:
    """A pair, its path once there is one, and its check under way."""

    local: Candidate
    remote: Candidate
    priority: int
    created: float
    path: Path | None = None
    retry_path: Path | None = (
        None  # what to begin again with, where that is not a connection of ours
    )
    is_incoming: bool = False
    state: PairState = PairState.WAITING
    transaction: Transaction | None = None
    asked_as_controlling: bool = False
    nominates: bool = False  # the check under way carries USE-CANDIDATE
    is_nominated_by_peer: bool = False
    is_authenticated: bool = False  # the peer has shown that it knows our password
    allowance: Allowance | None = None  # of the peer's checks, once there was one
    retries: int = 0
    deadline: float = inf  # of the connection, of its retry, or of a silent peer
    connected: float = inf
    succeeded: float = inf
    rtt: float = 0.0
    outcome: Outcome = Outcome.WAITING
    detail: str = ""
    changed: float = 0.0

    @property
    def component(self) -> int:
        """Which component it would carry."""
        return self.local.component

    @property
    def is_unfinished(self) -> bool:
        """Whether it may still succeed by itself."""
        return self.state in {PairState.WAITING, PairState.CONNECTING, PairState.CHECKING}

    @property
    def is_unheard(self) -> bool:
        """Whether we called, and the peer has said nothing."""
        is_calling = self.state in {PairState.CONNECTING, PairState.CHECKING}
        return is_calling and not self.is_authenticated

    @property
    def is_likely(self) -> bool:
        """Whether the peer's address may be on a network of ours, or is a public one."""
        return is_within_reach(self.local.addr.ip, self.remote.addr.ip)

    @property
    def is_in_line(self) -> bool:
        """Whether it waits for nothing but its turn."""
        return self.state is PairState.WAITING and self.deadline == inf

    @property
    def key(self) -> tuple[object, ...]:
        """What no other pair that we open has, too."""
        return self.local.component, self.local.addr.ip, self.local.type, self.remote.addr

    def note(self, outcome: Outcome, now: float, detail: str = "") -> None:
        """Remember for the report."""
        self.outcome = outcome
        self.changed = now
        self.detail = detail

    def report(self, started: float) -> PairReport:
        """Return its story."""
        elapsed = max(0.0, max(self.created, self.changed) - started)
        return PairReport(self.local, self.remote, self.outcome, self.detail, elapsed)

    def chosen(
        self,
        started: float,
        steps: Sequence[tuple[str, float]],
        pairs: tuple[PairReport, ...],
        now: float,
    ) -> IcePath:
        """Return the path that it is, having been chosen; *steps* are those before the checks."""
        connected = max(started, self.connected) if self.connected < inf else started
        succeeded = max(connected, self.succeeded)
        steps = (
            *steps,
            ("connect", connected - started),
            ("check", succeeded - connected),
            ("nominate", max(0.0, now - succeeded)),
        )
        return IcePath(
            self.component, self.local, self.remote, self.rtt, self.is_incoming, steps, pairs
        )


def pair_priority(local: Candidate, remote: Candidate, *, is_controlling: bool) -> int:
    """Return a pair's priority (RFC 8445 section 6.1.2.3)."""
    ours, theirs = local.priority, remote.priority
    controlling, controlled = (ours, theirs) if is_controlling else (theirs, ours)
    return (
        (min(controlling, controlled) << 32)
        + 2 * max(controlling, controlled)
        + (controlling > controlled)
    )


def is_within_reach(ours: bytes, theirs: bytes) -> bool:
    """Tell whether *theirs* is public, or shares the beginning that one site's addresses share.

    A guess: pairs of which it is false are tried too, but nothing waits for them. Homes have 24
    bits of 192.168.0.0/16, larger sites 16 bits of the other blocks (RFC 1918), and 48 of IPv6
    (RFC 6177).
    """
    if not ipaddress.ip_address(theirs).is_private:
        return True
    if len(theirs) > 4:  # noqa: PLR2004 - bytes of IPv4
        return ours[:6] == theirs[:6]
    shared = 3 if theirs[:2] == _HOME_BLOCK else 2
    return ours[:shared] == theirs[:shared]


def is_same_machine(ip: bytes) -> bool:
    """Tell whether *ip* is a loopback address."""
    return ip[0] == 127 if len(ip) == 4 else ip == bytes(15) + b"\x01"  # noqa: PLR2004 - RFC 1122


def is_usable(addr: Address) -> bool:
    """Tell whether a peer's candidate may be contacted: one machine, not none and not many."""
    ip = addr.ip
    if not any(ip) or addr.port == 0:
        return False
    if len(ip) == 4:  # noqa: PLR2004 - IPv4
        return 0 < ip[0] < 224  # noqa: PLR2004 - RFC 1112 and 6890: multicast, reserved, broadcast
    return ip[0] != 0xFF  # noqa: PLR2004 - RFC 4291: multicast
