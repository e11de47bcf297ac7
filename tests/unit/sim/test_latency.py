"""Delays: each model against what it promises."""

from __future__ import annotations

import statistics

import pytest

from shoal.sim import Constant, Internet, Latency, LogNormal, Place, SeededEntropy, Uniform
from shoal.sim.latency import WORLD

HERE = Place()


def draws(model: Latency, count: int = 4000) -> list[float]:
    """Delays of one place to itself."""
    chance = SeededEntropy(3)
    place = model.place(chance)
    return [model.delay(place, place, chance) for _ in range(count)]


def test_constant_is_constant() -> None:
    """One delay for all."""
    assert set(draws(Constant(0.1))) == {0.1}


def test_uniform_stays_between_its_bounds() -> None:
    """All of the interval, evenly."""
    delays = draws(Uniform(0.02, 0.06))
    assert 0.02 <= min(delays) < 0.0201
    assert 0.0599 < max(delays) <= 0.06
    assert statistics.mean(delays) == pytest.approx(0.04, rel=0.02)


def test_log_normal_has_its_median_and_a_tail() -> None:
    """Half below the median, two thirds within a factor of e^sigma."""
    delays = draws(LogNormal(0.08, sigma=0.5))
    assert statistics.median(delays) == pytest.approx(0.08, rel=0.04)
    inside = sum(0.08 / 1.6487 <= delay <= 0.08 * 1.6487 for delay in delays)
    assert inside / 4000 == pytest.approx(0.683, abs=0.03)
    assert max(delays) > 0.3


@pytest.mark.parametrize(
    ("a", "b", "low", "high"),
    [
        ("Paris", "New York", 0.035, 0.050),
        ("Paris", "Tokyo", 0.060, 0.130),
        ("Paris", "Sydney", 0.110, 0.150),
        ("New York", "San Francisco", 0.028, 0.040),
        ("Paris", "Frankfurt", 0.002, 0.008),
        ("Paris", "Paris", 0.0, 0.0),
    ],
)
def test_cables_are_as_long_as_measured_ones(a: str, b: str, low: float, high: float) -> None:
    """One way, halves of the round trips that public looking glasses show."""
    model = Internet()
    places = {region.name: Place(index) for index, region in enumerate(WORLD)}
    there = model.delay(places[a], places[b], SeededEntropy(1))
    assert low <= there <= high
    assert there == model.delay(places[b], places[a], SeededEntropy(1))


def test_places_follow_the_weights_and_access_lines_vary() -> None:
    """Regions by their share; access lines around their median."""
    model, chance = Internet(), SeededEntropy(5)
    places = [model.place(chance) for _ in range(4000)]
    total = sum(region.weight for region in WORLD)
    for index, region in enumerate(WORLD):
        share = sum(place.region == index for place in places) / 4000
        assert share == pytest.approx(region.weight / total, abs=0.025)
    assert statistics.median(place.access for place in places) == pytest.approx(0.006, rel=0.06)


def test_typical_round_trips_are_those_of_the_internet() -> None:
    """Between random hosts the median is between 100 and 250 ms, and few exceed half a second."""
    model, chance = Internet(), SeededEntropy(6)
    places = [model.place(chance) for _ in range(400)]
    trips = [2 * model.delay(a, b, chance) for a in places for b in places if a is not b]
    assert 0.1 < statistics.median(trips) < 0.25
    assert sum(trip > 0.5 for trip in trips) / len(trips) < 0.02
