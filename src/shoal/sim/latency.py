"""How long a datagram travels: distributions of one-way delays.

A model first places each host, then gives the delay between two places. What varies from datagram
to datagram on one path is jitter, and belongs to `Conditions`; `Uniform` and `LogNormal` draw a
delay for each datagram all the same, for worlds without geography.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from dataclasses import field
from itertools import accumulate
from typing import TYPE_CHECKING, Final, NamedTuple, Protocol

from shoal.core.records import dataclass

if TYPE_CHECKING:
    from shoal.sim.entropy import SeededEntropy

EARTH_RADIUS: Final = 6_371_000.0  # metres, IUGG mean radius
LIGHT_IN_FIBRE: Final = 2.0e8  # metres per second: 2/3 of the speed in vacuum
DETOUR: Final = 1.5  # ours: cables are not great circles; Paris-New York 44, -Tokyo 73 ms one way
ACCESS_MEDIAN: Final = 0.006  # seconds, ours: between fibre (1 to 3 ms) and mobile (20 to 40 ms)
ACCESS_SIGMA: Final = 0.7  # ours: one host in twenty waits over 19 ms for its own access line


class Region(NamedTuple):
    """A part of the world where hosts stand: degrees north and east, and its share of hosts."""

    name: str
    latitude: float
    longitude: float
    weight: float


# Ours: cities for where people on the Internet live, weighted by rough shares of them.
WORLD: Final = (
    Region("New York", 40.7, -74.0, 10),
    Region("San Francisco", 37.8, -122.4, 6),
    Region("São Paulo", -23.5, -46.6, 8),
    Region("Paris", 48.9, 2.4, 14),
    Region("Frankfurt", 50.1, 8.7, 10),
    Region("Warsaw", 52.2, 21.0, 8),
    Region("Dubai", 25.2, 55.3, 5),
    Region("Lagos", 6.5, 3.4, 6),
    Region("Mumbai", 19.1, 72.9, 12),
    Region("Singapore", 1.4, 103.8, 9),
    Region("Tokyo", 35.7, 139.7, 9),
    Region("Sydney", -33.9, 151.2, 3),
)


class Place(NamedTuple):
    """Where a host stands: an index into the model's regions, and its access line's delay."""

    region: int = 0
    access: float = 0.0


class Latency(Protocol):
    """A model of one-way delays, in seconds."""

    def place(self, chance: SeededEntropy) -> Place:
        """Draw where a new host stands."""
        ...

    def delay(self, source: Place, target: Place, chance: SeededEntropy) -> float:
        """Return how long one datagram travels from *source* to *target*."""
        ...


@dataclass(frozen=True, slots=True)
class Constant:
    """Every datagram takes *seconds*."""

    seconds: float

    def place(self, chance: SeededEntropy) -> Place:
        """Put everybody in the same spot."""
        return Place()

    def delay(self, source: Place, target: Place, chance: SeededEntropy) -> float:
        """Return the constant."""
        return self.seconds


@dataclass(frozen=True, slots=True)
class Uniform:
    """Each datagram takes from *low* to *high* seconds, all equally likely."""

    low: float
    high: float

    def place(self, chance: SeededEntropy) -> Place:
        """Put everybody in the same spot."""
        return Place()

    def delay(self, source: Place, target: Place, chance: SeededEntropy) -> float:
        """Draw a delay for one datagram."""
        return self.low + (self.high - self.low) * chance.random()


@dataclass(frozen=True, slots=True)
class LogNormal:
    """Delays whose logarithm is normal: most near *median*, a few much longer."""

    median: float
    sigma: float = 0.5

    def place(self, chance: SeededEntropy) -> Place:
        """Put everybody in the same spot."""
        return Place()

    def delay(self, source: Place, target: Place, chance: SeededEntropy) -> float:
        """Draw a delay for one datagram."""
        return self.median * math.exp(self.sigma * chance.normal())


@dataclass(frozen=True, slots=True)
class Internet:
    """Hosts in cities over the world: cable between the cities, an access line at both ends.

    Delays between two hosts are the same in both directions and for every datagram, before jitter.
    """

    regions: tuple[Region, ...] = WORLD
    access_median: float = ACCESS_MEDIAN
    access_sigma: float = ACCESS_SIGMA
    _weights: tuple[float, ...] = field(init=False, repr=False, compare=False)
    _between: tuple[tuple[float, ...], ...] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(
            self, "_weights", tuple(accumulate(each.weight for each in self.regions))
        )
        table = tuple(tuple(_cable(a, b) for b in self.regions) for a in self.regions)
        object.__setattr__(self, "_between", table)

    def place(self, chance: SeededEntropy) -> Place:
        """Draw a region by weight, and an access line."""
        drawn = chance.uniform(0, self._weights[-1])
        index = min(bisect_right(self._weights, drawn), len(self.regions) - 1)
        access = self.access_median * math.exp(self.access_sigma * chance.normal())
        return Place(index, access)

    def delay(self, source: Place, target: Place, chance: SeededEntropy) -> float:
        """Add up the two access lines and the cable between the regions."""
        return source[1] + target[1] + self._between[source[0]][target[0]]


def _cable(a: Region, b: Region) -> float:
    """Return the one-way delay of the cable between two regions, by the haversine formula."""
    north_a, north_b = math.radians(a.latitude), math.radians(b.latitude)
    east = math.radians(b.longitude - a.longitude)
    chord = (
        math.sin((north_b - north_a) / 2) ** 2
        + math.cos(north_a) * math.cos(north_b) * math.sin(east / 2) ** 2
    )
    return DETOUR * 2 * EARTH_RADIUS * math.asin(math.sqrt(chord)) / LIGHT_IN_FIBRE
