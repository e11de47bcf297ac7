"""How well the node is connected: its status, its public addresses, and the way in.

Reference sections 3.10 and 3.11.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from shoal.core import Address, Family
from shoal.core.deadlines import Alarm
from shoal.dht.bootstrap import Bootstrap
from shoal.dht.effects import PublicAddressChanged, Status, StatusChanged
from shoal.dht.side import is_martian
from shoal.dht.table import BUCKET_SIZE

if TYPE_CHECKING:
    from shoal.dht.context import Context
    from shoal.dht.side import Side

LAPSE: Final = 30.0  # ours: how late it may be noticed that all nodes have lapsed into silence
HURRY_MAX: Final = 16  # ours: nodes asked at once when an operation waits
INTERVAL: Final = 0.5  # ours: while connected, how often the connectivity is looked at


class Connectivity:
    """Looks at both families and reports what changed."""

    is_over = False  # it always wants to be woken

    def __init__(self, context: Context, sides: dict[Family, Side], now: float) -> None:
        self.status = (Status.DISCONNECTED, Status.DISCONNECTED)
        self.bootstrap = Bootstrap(context, self._ping)
        self._context = context
        self._sides = sides
        self._due = now
        self._alarm = Alarm(context.wakeups, self)
        self._alarm.set(now + LAPSE)
        self._public: tuple[Address, ...] = ()

    @property
    def is_in_the_making(self) -> bool:
        """Whether it is worth waiting for a connection."""
        return Status.CONNECTED not in self.status and (
            Status.CONNECTING in self.status or self.bootstrap.is_resolving
        )

    def wake(self, now: float) -> None:
        """Being woken is enough: the engine looks after each wake-up."""
        if self._alarm.rings(now):
            self._alarm.set(now + LAPSE)

    def look(self, now: float) -> None:
        """Notice what changed; cheap while all is well."""
        if now < self._due and Status.CONNECTED in self.status:
            return
        self._due = now + INTERVAL
        self._notice_public_address()
        self._notice_poverty()
        status = (self._status_of(Family.IPV4, now), self._status_of(Family.IPV6, now))
        if status != self.status:
            was_connected = Status.CONNECTED in self.status
            self.status = status
            self._context.out.append(StatusChanged(*status))
            if Status.CONNECTED in status and not was_connected:
                for side in self._sides.values():
                    side.revive_searches(now)
        if Status.CONNECTED in status:
            self.bootstrap.stop()
        is_lost = status == (Status.DISCONNECTED, Status.DISCONNECTED)
        if is_lost and self.bootstrap.hosts and self.bootstrap.is_stopped():
            self.bootstrap.start(now)

    def hurry(self, now: float) -> None:
        """Somebody waits for us: find out at once whether those we heard of are there."""
        for side in self._sides.values():
            doubtful = [node for node in side.table if not node.is_expired and not node.pending]
            for node in doubtful[:HURRY_MAX]:
                side.ping(node, now)

    def _status_of(self, family: Family, now: float) -> Status:
        side = self._sides.get(family)
        return Status.DISCONNECTED if side is None else side.status(now)

    def _notice_public_address(self) -> None:
        if not any(side.has_new_votes for side in self._sides.values()):
            return
        found = [ip for side in self._sides.values() if (ip := side.public_ip()) is not None]
        public = tuple(Address(ip, 0) for ip in found)
        if public != self._public:
            self._public = public
            self._context.out.append(PublicAddressChanged(public))

    def _notice_poverty(self) -> None:
        """Let a family that knows nodes ask for those of one that does not."""
        for family, side in self._sides.items():
            side.is_other_poor = any(
                len(other.table) < BUCKET_SIZE
                for name, other in self._sides.items()
                if name is not family
            )

    def _ping(self, addr: Address, now: float) -> None:
        side = None if is_martian(addr) else self._sides.get(addr.family)
        if side is not None:
            side.maintenance.ping_address(addr, now)
