"""What a simulated DHT goes through: all settings of a run, and nothing else decides it."""

from __future__ import annotations

from dataclasses import field
from typing import Final

from shoal.core.records import dataclass
from shoal.sim.conditions import Conditions
from shoal.sim.errors import ScenarioError
from shoal.sim.latency import Internet, Latency

NODES_MAX: Final = 100_000  # ours: about 8 GB per 20,000 nodes
SETTLING: Final = 120.0  # seconds, ours: twice the longest pause of an idle node's maintenance
PUTTING: Final = 60.0  # seconds, ours: over which the values are put
PATIENCE: Final = 60.0  # seconds, ours: for the last lookups; requests give up after a tenth of it


@dataclass(frozen=True, slots=True)
class DhtScenario:
    """One run of a simulated DHT. The times are virtual seconds.

    The run has three phases. *Joining*: nodes start at random moments within `join_time`, each
    knowing only a few bootstrap nodes. *Settling*: two minutes, then the values are put, each by
    a random node that keeps it alive as its owner (a permanent put). *Measuring*: for `duration`,
    nodes come and go and random nodes look values up.

    Attributes:
        nodes: how many there are, always: whoever leaves is replaced at once.
        seed: decides everything that is left to chance.
        churn: fraction of the nodes replaced per hour while measuring. They crash without a word,
            and new ones, with new ids and addresses, join in their stead. A value whose owner
            crashed is not looked up any more; a new owner puts a new one.
        loss: probability that a datagram vanishes.
        duration: how long is measured.
        lookups: how many values are looked up in that time, at even intervals.
        values: how many values there are; None is one per ten nodes, 10 to 1,000.
        value_size: bytes of data in each.
        join_time: over which the network forms.
        bootstraps: nodes that everybody knows, at most all; they do not churn.
        latency: one-way delays.
        jitter: mean extra delay of a datagram, as a fraction.
        clock_skew: wall clocks are wrong by up to this, either way.
    """

    nodes: int = 1000
    seed: int = 1
    churn: float = 0.0
    loss: float = 0.01
    duration: float = 600.0
    lookups: int = 1000
    values: int | None = None
    value_size: int = 100
    join_time: float = 300.0
    bootstraps: int = 4
    latency: Latency = field(default_factory=Internet)
    jitter: float = 0.1
    clock_skew: float = 2.0

    def __post_init__(self) -> None:
        limits = {
            "nodes": (2, NODES_MAX),
            "churn": (0.0, 60.0),
            "loss": (0.0, 0.9),
            "duration": (1.0, 31 * 86_400.0),
            "lookups": (0, 10_000_000),
            "value_size": (0, 60_000),
            "join_time": (0.0, 86_400.0),
            "bootstraps": (1, 1000),
            "jitter": (0.0, 10.0),
            "clock_skew": (0.0, 86_400.0),
        }
        for name, (least, most) in limits.items():
            if not least <= getattr(self, name) <= most:
                raise ScenarioError(f"{name} is {least} to {most}")
        if self.values is not None and not 1 <= self.values <= self.nodes:
            raise ScenarioError(f"values is 1 to {self.nodes}, the number of nodes")

    @property
    def value_count(self) -> int:
        """How many values there are at any time."""
        if self.values is not None:
            return self.values
        return min(self.nodes, max(10, min(1000, self.nodes // 10)))

    @property
    def bootstrap_count(self) -> int:
        """How many nodes everybody knows."""
        return min(self.bootstraps, self.nodes)

    @property
    def measure_start(self) -> float:
        """When joining, settling and the first puts are over."""
        return self.join_time + SETTLING + PUTTING

    @property
    def measure_end(self) -> float:
        """When the last lookup starts."""
        return self.measure_start + self.duration

    @property
    def end(self) -> float:
        """When the run is over at the latest."""
        return self.measure_end + PATIENCE

    def conditions(self) -> Conditions:
        """Return what the network does to datagrams."""
        return Conditions(latency=self.latency, jitter=self.jitter, loss=self.loss)
