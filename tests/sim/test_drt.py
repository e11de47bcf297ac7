"""The DRT of a thousand devices: few channels each, and all in one piece."""

from __future__ import annotations

import math
import statistics

import pytest

from tests.sim.drt_world import DrtWorld


@pytest.mark.parametrize("count", [2, 5, 30, 1_000])
def test_few_channels_reach_all(count: int) -> None:
    """At most 2 log2 n in the median and 4 log2 n for nearly all; news arrives in a few hops."""
    world = DrtWorld(count, seed=1)
    world.run(until=200)
    degrees = world.degrees()
    reached, hops = world.hops_to_all()

    assert reached == count
    assert hops <= 1 + math.log2(count) / 2
    if count >= 30:
        assert statistics.median(degrees) <= 2 * math.log2(count)
        assert degrees[int(0.99 * count)] <= 4 * math.log2(count)


def test_a_third_leaves_at_once() -> None:
    """Within seconds those that stay are in one piece again, with no more channels than before."""
    world = DrtWorld(1_000, seed=2)
    world.run(until=200)
    world.take_away(0.3)
    world.run(until=230)
    left = len(world.engines)

    assert left == 700
    assert world.hops_to_all()[0] == left
    assert statistics.median(world.degrees()) <= 2 * math.log2(left)


def test_who_knows_but_a_few_learns_of_the_rest() -> None:
    """Three addresses each are enough for all to be reached."""
    world = DrtWorld(300, seed=3, knows=3)
    world.run(until=1_500)

    assert world.hops_to_all()[0] == 300


def test_one_seed_one_run() -> None:
    """The same seed gives the same channels."""
    runs = []
    for _ in range(2):
        world = DrtWorld(50, seed=4)
        world.run(until=100)
        runs.append({device: engine.neighbours for device, engine in world.engines.items()})
    assert runs[0] == runs[1]
