"""What a run showed. Nothing in it depends on the machine or on the wall clock."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, NamedTuple

from shoal.core.records import dataclass

if TYPE_CHECKING:
    from collections.abc import Sequence

    from shoal.sim.dht.lookups import LookupResult
    from shoal.sim.dht.scenario import DhtScenario


class Sample(NamedTuple):
    """The network at one moment; the rates are over the time since the sample before."""

    moment: float
    nodes: int
    connected: int
    packets_per_node_second: float
    bytes_per_node_second: float


class Traffic(NamedTuple):
    """What nodes sent, as UDP payloads."""

    packets: int
    bytes: int
    node_seconds: float

    @property
    def packets_per_node_hour(self) -> float:
        """Packets that a node sends in an hour on average."""
        return 3600.0 * self.packets / self.node_seconds if self.node_seconds else 0.0

    @property
    def bytes_per_node_hour(self) -> float:
        """Bytes of UDP payload that a node sends in an hour on average."""
        return 3600.0 * self.bytes / self.node_seconds if self.node_seconds else 0.0


class RingPath(NamedTuple):
    """One lookup on the ring of ids, as fractions of it: looker, referrers and holder, key."""

    stations: tuple[float, ...]
    key: float


@dataclass(frozen=True, slots=True)
class DhtReport:
    """The outcome of `run_dht`.

    Attributes:
        scenario: what was asked for.
        results: each lookup in the order of starting, without those whose looker crashed.
        void: lookups whose looker crashed before the end.
        replaced: nodes that crashed and were replaced.
        puts: values put; `puts_failed` of them were not acknowledged by anybody.
        joining: traffic until everybody had joined and settled.
        measuring: traffic while measuring, lookups included.
        lost, undeliverable: datagrams dropped by chance, and sent to nodes that had left.
        samples: the network over time.
        ring: where the nodes stand at the end; `paths` are some lookups.
        events: datagrams delivered in all.
        trace: digest of all of them: equal for equal scenarios.
    """

    scenario: DhtScenario
    results: tuple[LookupResult, ...]
    void: int
    replaced: int
    puts: int
    puts_failed: int
    joining: Traffic
    measuring: Traffic
    lost: int
    undeliverable: int
    samples: tuple[Sample, ...]
    ring: tuple[float, ...]
    paths: tuple[RingPath, ...]
    events: int
    trace: str

    @property
    def found(self) -> int:
        """Lookups that found the value."""
        return sum(result.is_found for result in self.results)

    @property
    def success(self) -> float:
        """Fraction of the lookups that found the value; 1 if there were none."""
        return self.found / len(self.results) if self.results else 1.0

    @property
    def hops(self) -> dict[int, int]:
        """How many successful lookups took how many hops, fewest first."""
        counted = Counter(result.hops for result in self.results if result.hops is not None)
        return dict(sorted(counted.items()))

    @property
    def mean_hops(self) -> float:
        """Hops of a successful lookup on average."""
        return sum(hops * count for hops, count in self.hops.items()) / max(1, self.found)

    @property
    def requests_per_lookup(self) -> float:
        """Datagrams that a looker sends for one lookup on average."""
        return sum(result.requests for result in self.results) / max(1, len(self.results))

    def first_value_times(self) -> list[float]:
        """Return the seconds to the value of the successful lookups, shortest first."""
        times = [result.first_value for result in self.results]
        return sorted(time for time in times if time is not None)

    def done_times(self) -> list[float]:
        """Return the seconds to the end of the lookups that ended, shortest first."""
        times = [result.done for result in self.results]
        return sorted(time for time in times if time is not None)

    def to_json(self) -> dict[str, object]:
        """Return all figures as JSON values, the same for the same scenario on any machine."""
        scenario = self.scenario
        return {
            "scenario": {
                "nodes": scenario.nodes,
                "seed": scenario.seed,
                "churn": scenario.churn,
                "loss": scenario.loss,
                "duration": scenario.duration,
                "lookups": scenario.lookups,
                "values": scenario.value_count,
                "value_size": scenario.value_size,
                "join_time": scenario.join_time,
                "bootstraps": scenario.bootstrap_count,
                "jitter": scenario.jitter,
                "clock_skew": scenario.clock_skew,
                "latency": type(scenario.latency).__name__.lower(),
            },
            "lookups": {
                "counted": len(self.results),
                "found": self.found,
                "success": self.success,
                "void": self.void,
                "mean_hops": round(self.mean_hops, 4),
                "hops": {str(hops): count for hops, count in self.hops.items()},
                "requests_each": round(self.requests_per_lookup, 3),
                "seconds_to_value": _summary(self.first_value_times()),
                "seconds_to_done": _summary(self.done_times()),
            },
            "values": {"put": self.puts, "failed": self.puts_failed},
            "churn": {"replaced": self.replaced},
            "traffic": {
                "join_packets_per_node": round(self.joining.packets / scenario.nodes, 2),
                "join_bytes_per_node": round(self.joining.bytes / scenario.nodes, 1),
                "packets_per_node_hour": round(self.measuring.packets_per_node_hour, 2),
                "bytes_per_node_hour": round(self.measuring.bytes_per_node_hour, 1),
                "delivered": self.events,
                "lost": self.lost,
                "undeliverable": self.undeliverable,
            },
            "samples": [
                {name: round(number, 4) for name, number in sample._asdict().items()}
                for sample in self.samples
            ],
            "trace": self.trace,
        }


def percentile(ordered: Sequence[float], fraction: float) -> float:
    """Return the smallest of *ordered* that *fraction* of them do not exceed."""
    return ordered[max(0, min(len(ordered) - 1, round(fraction * len(ordered)) - 1))]


def _summary(ordered: Sequence[float]) -> dict[str, float] | None:
    if not ordered:
        return None
    marks = {"p50": 0.5, "p90": 0.9, "p99": 0.99, "max": 1.0}
    figures = {name: percentile(ordered, fraction) for name, fraction in marks.items()}
    figures["mean"] = sum(ordered) / len(ordered)
    return {name: round(seconds, 6) for name, seconds in figures.items()}
