"""A DHT of production engines in virtual time: `run_dht(DhtScenario(...))`."""

from shoal.sim.dht.report import DhtReport, RingPath, Sample, Traffic
from shoal.sim.dht.scenario import DhtScenario
from shoal.sim.dht.world import DhtWorld, Progress, run_dht

__all__ = [
    "DhtReport",
    "DhtScenario",
    "DhtWorld",
    "Progress",
    "RingPath",
    "Sample",
    "Traffic",
    "run_dht",
]
