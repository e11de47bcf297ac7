"""Virtual time: networks of production engines, with NATs and faults, from one seed."""

from shoal.sim.conditions import Conditions
from shoal.sim.entropy import SeededEntropy, derive
from shoal.sim.hosts import Endpoint, Gateway, Host, Realm, Tap
from shoal.sim.latency import Constant, Internet, Latency, LogNormal, Place, Region, Uniform
from shoal.sim.network import WALL_EPOCH, Network

__all__ = [
    "WALL_EPOCH",
    "Conditions",
    "Constant",
    "Endpoint",
    "Gateway",
    "Host",
    "Internet",
    "Latency",
    "LogNormal",
    "Network",
    "Place",
    "Realm",
    "Region",
    "SeededEntropy",
    "Tap",
    "Uniform",
    "derive",
]
