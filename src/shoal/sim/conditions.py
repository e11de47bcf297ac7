"""What the network does to datagrams besides carrying them."""

from __future__ import annotations

from typing import Final

from shoal.core.records import dataclass
from shoal.sim.errors import ScenarioError
from shoal.sim.latency import Internet, Latency

LAN_DELAY: Final = 0.0003  # seconds one way, ours: a switched or wireless home network


@dataclass(frozen=True, slots=True)
class Conditions:
    """The state of the whole network; hosts in one private network see only `lan_delay`.

    Attributes:
        latency: one-way delays between hosts.
        jitter: mean of the exponential extra delay of each datagram, as a fraction of its delay.
        loss: probability that a datagram vanishes.
        duplication: probability that it arrives twice, the copy under its own jitter.
        reordering: probability that it is held back, so that later ones overtake it.
        reordering_delay: for how long at most, in seconds.
        unreachable_notices: probability that the sender of a datagram to a closed port hears of
            it (ICMP port unreachable), when its engine has `send_failed`.
        lan_delay: one-way delay inside a private network, in seconds.
    """

    latency: Latency = Internet()
    jitter: float = 0.1
    loss: float = 0.0
    duplication: float = 0.0
    reordering: float = 0.0
    reordering_delay: float = 0.2
    unreachable_notices: float = 0.0
    lan_delay: float = LAN_DELAY

    def __post_init__(self) -> None:
        for name in ("loss", "duplication", "reordering", "unreachable_notices"):
            if not 0.0 <= getattr(self, name) <= 1.0:
                raise ScenarioError(f"{name} is a probability, 0 to 1")
        if self.loss + self.duplication + self.reordering > 1.0:
            raise ScenarioError("loss, duplication and reordering add up to more than 1")
        for name in ("jitter", "reordering_delay", "lan_delay"):
            if not getattr(self, name) >= 0.0:
                raise ScenarioError(f"{name} is 0 or more")
