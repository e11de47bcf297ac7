"""Settings of a simulated DHT."""

from __future__ import annotations

import pytest

from shoal.sim import Constant
from shoal.sim.dht import DhtScenario
from shoal.sim.errors import ScenarioError


@pytest.mark.parametrize(
    "wrong",
    [
        {"nodes": 1},
        {"nodes": 1_000_000},
        {"churn": -0.1},
        {"loss": 1.0},
        {"duration": 0.0},
        {"duration": float("nan")},
        {"lookups": -1},
        {"value_size": 70_000},
        {"join_time": -1.0},
        {"bootstraps": 0},
        {"jitter": -0.5},
        {"clock_skew": -1.0},
        {"nodes": 10, "values": 11},
        {"values": 0},
    ],
)
def test_impossible_settings_are_refused_by_name(wrong: dict[str, float]) -> None:
    """The message names the setting and its bounds."""
    with pytest.raises(ScenarioError, match=list(wrong)[-1]):
        DhtScenario(**wrong)  # type: ignore[arg-type]


def test_values_follow_the_nodes() -> None:
    """One per ten nodes, within bounds, unless said otherwise."""
    counts = [DhtScenario(nodes=nodes).value_count for nodes in (2, 50, 500, 50_000)]
    assert counts == [2, 10, 50, 1000]
    assert DhtScenario(nodes=20, values=3).value_count == 3


def test_small_networks_have_fewer_bootstraps() -> None:
    """At most all of the nodes."""
    assert DhtScenario(nodes=3).bootstrap_count == 3
    assert DhtScenario(nodes=30).bootstrap_count == 4


def test_phases_follow_one_another() -> None:
    """Join, settle and put, measure, wait for the last answers."""
    scenario = DhtScenario(join_time=100.0, duration=50.0)
    assert scenario.measure_start == 100.0 + 180.0
    assert scenario.measure_end == 330.0
    assert scenario.end == 390.0


def test_conditions_are_those_of_the_scenario() -> None:
    """Latency, jitter and loss reach the network."""
    latency = Constant(0.02)
    conditions = DhtScenario(latency=latency, jitter=0.0, loss=0.25).conditions()
    assert (conditions.latency, conditions.jitter, conditions.loss) == (latency, 0.0, 0.25)
