"""Small DHTs of production engines, whole runs of them."""

from __future__ import annotations

import gc
import json

import pytest

from shoal.dht import Status
from shoal.sim import Constant
from shoal.sim.dht import DhtReport, DhtScenario, DhtWorld, Progress, run_dht
from shoal.sim.dht.report import Traffic

SMALL = DhtScenario(
    nodes=24, join_time=60.0, duration=120.0, lookups=40, latency=Constant(0.05), values=6
)


def small(**changes: float) -> DhtReport:
    """Run a small network."""
    settings: dict[str, object] = {
        name: getattr(SMALL, name) for name in SMALL.__dataclass_fields__
    }
    return run_dht(DhtScenario(**{**settings, **changes}))  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def quiet() -> DhtReport:
    """A run without churn."""
    return run_dht(SMALL)


def test_everybody_finds_everything(quiet: DhtReport) -> None:
    """All lookups are made, and each finds its value."""
    assert (quiet.found, len(quiet.results), quiet.void) == (40, 40, 0)
    assert (quiet.puts, quiet.puts_failed, quiet.replaced) == (6, 0, 0)
    assert all(result.done is not None for result in quiet.results)
    assert sum(quiet.hops.values()) == 40


def test_the_network_is_seen_growing(quiet: DhtReport) -> None:
    """Samples go from few nodes to all of them, connected; traffic is counted."""
    assert quiet.samples[0].nodes < 24
    assert (quiet.samples[-1].nodes, quiet.samples[-1].connected) == (24, 24)
    assert len(quiet.ring) == 24
    assert quiet.joining.packets > 24 * 10
    assert quiet.measuring.node_seconds == 24 * 120.0
    assert 0 < quiet.measuring.packets < quiet.events + quiet.lost + quiet.undeliverable
    assert all(len(path.stations) >= 2 for path in quiet.paths)


def test_one_scenario_is_one_report(quiet: DhtReport) -> None:
    """Bit for bit, trace included; another seed is another run."""
    assert run_dht(SMALL) == quiet
    assert small(seed=2).trace != quiet.trace


def test_json_has_no_wall_clock_in_it(quiet: DhtReport) -> None:
    """Two runs give the same text."""
    assert json.dumps(run_dht(SMALL).to_json()) == json.dumps(quiet.to_json())


def test_values_survive_churn_by_their_owners() -> None:
    """With two thirds of the nodes replaced in twenty minutes, owned values are found."""
    report = small(churn=2.0, duration=1200.0, lookups=100, loss=0.02)
    assert 6 < report.replaced < 30
    assert report.puts > 6  # owners left, and new ones came
    assert report.success >= 0.98
    assert report.undeliverable > 0
    assert len(report.ring) == 24


def test_progress_is_told_and_does_not_change_the_run(quiet: DhtReport) -> None:
    """All phases in order, up to the end."""
    told: list[Progress] = []
    assert run_dht(SMALL, told.append) == quiet
    phases = list(dict.fromkeys(progress.phase for progress in told))
    assert phases == ["joining", "settling", "putting", "measuring", "finishing"]
    assert (told[-1].lookups, told[-1].found) == (40, 40)


def test_the_collector_is_as_before() -> None:
    """A run leaves the garbage collector's settings alone."""
    before = gc.get_threshold()
    small(nodes=8, lookups=0)
    assert gc.get_threshold() == before


def test_a_network_that_loses_nearly_everything() -> None:
    """Puts fail and are tried again; lookups that nobody answers are failures, not errors."""
    report = small(loss=0.9, lookups=20, duration=60.0)
    assert report.success < 1.0 or len(report.results) < 20
    assert report.lost > report.events


def test_nobody_looks_up_without_values_or_lookers() -> None:
    """Two nodes, one value: its owner does not look for it, so the other one does."""
    world = DhtWorld(DhtScenario(nodes=2, values=1, lookups=5, join_time=10.0, duration=30.0))
    world.network.run(20.0)
    assert all(each.engine.status[0] is Status.CONNECTED for each in world.alive)
    world.network.run(world.scenario.end)
    assert len(world.results) == 5
    assert {result.is_found for result in world.results} == {True}
    assert world.is_over()


def test_a_report_before_the_end_shows_what_there_is() -> None:
    """A run that is cut short reports no measured traffic."""
    world = DhtWorld(SMALL)
    world.network.run(30.0)
    report = world.report()
    assert report.measuring == Traffic(0, 0, 0.0)
    assert report.results == ()
    assert not world.is_over()
