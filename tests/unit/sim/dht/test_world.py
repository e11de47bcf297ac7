"""Small DHTs of production engines, whole runs of them."""

from __future__ import annotations

import gc
import json

import pytest

from shoal.dht import Status, Value
from shoal.dht.effects import ValuesFound
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


def test_bootstrap_nodes_stay() -> None:
    """A network of nothing but bootstrap nodes does not churn."""
    report = small(nodes=4, values=2, bootstraps=4, churn=50.0, lookups=5)
    assert report.replaced == 0
    assert report.success == 1.0


def test_owners_that_leave_while_putting_are_replaced() -> None:
    """Their puts are forgotten, others take their place, and the values are found."""
    world = DhtWorld(SMALL)
    world.network.run(SMALL.join_time + 130.0)
    for _ in range(10):  # more than half of all nodes, in the middle of it
        world.replace(0.5)
        world.network.run(world.network.now + 1.0)
    world.network.run(SMALL.end)
    report = world.report()
    assert (report.replaced, len(report.results)) == (10, 40)
    assert report.puts > 6
    assert report.success >= 0.95


def test_lookups_under_way_count_as_they_stand() -> None:
    """A report in the middle has their result, without an end."""
    world = DhtWorld(SMALL)
    world.network.run(SMALL.measure_start)
    world.network.run(SMALL.end, stop=lambda: bool(world.lookups))
    (result,) = world.report().results
    assert result.done is None


def test_lookers_that_leave_make_lookups_void() -> None:
    """Neither a success nor a failure."""
    world = DhtWorld(SMALL)
    world.network.run(SMALL.measure_start)
    spared = SMALL.bootstrap_count
    while not world.void:
        world.network.run(SMALL.end, stop=lambda: bool(world.lookups))
        ((looker, _),) = world.lookups.values()
        if looker.place < spared:
            world.network.run(world.network.now + 2.0)
            continue
        world.replace((looker.place - spared + 0.5) / (len(world.alive) - spared))
    world.network.run(SMALL.end)
    report = world.report()
    assert report.void == 1
    assert len(report.results) == 39


def test_without_values_nothing_is_looked_up() -> None:
    """If every put fails there is nothing to look for."""
    report = small(loss=0.9, lookups=20, duration=30.0, nodes=8)
    assert len(report.results) <= 20


def test_a_lonely_owner_is_replaced_until_a_put_works() -> None:
    """Nobody acknowledges the first put; another one follows, and at last one holds."""
    world = DhtWorld(DhtScenario(nodes=5, values=1, join_time=20.0, duration=30.0, lookups=3))
    world.alive.clear()
    world.join()  # knows nobody who is there, for it is the first
    world.put()
    world.look_up()  # there is nothing to look up yet
    world.network.run(world.scenario.end)
    report = world.report()
    assert report.puts_failed >= 1
    assert report.puts > report.puts_failed
    assert not world.puts
    assert report.success == 1.0


def test_an_owner_that_leaves_in_the_middle_of_a_put() -> None:
    """The put is forgotten with it, and somebody else puts another value."""
    world = DhtWorld(SMALL)
    world.network.run(SMALL.measure_start)
    while True:
        world.put()
        ((op, record),) = world.puts.items()
        if record.owner.place >= SMALL.bootstrap_count:
            break
        world.network.run(world.network.now + 20.0)
    spared = SMALL.bootstrap_count
    world.replace((record.owner.place - spared + 0.5) / (len(world.alive) - spared))
    assert op not in world.puts
    assert len(world.puts) >= 1
    world.network.run(SMALL.end)
    assert not world.puts


def test_other_values_at_the_key_are_not_the_one_looked_for() -> None:
    """What else is reported does not count."""
    world = DhtWorld(SMALL)
    world.network.run(SMALL.measure_start)
    world.network.run(SMALL.end, stop=lambda: bool(world.lookups))
    ((op, (looker, watch)),) = world.lookups.items()
    found_before = watch.found_at
    world.network.apply(looker.host, [ValuesFound(op, (Value(data=b"another", id=99),))])
    assert watch.found_at == found_before


def test_nobody_free_to_look_means_no_lookup() -> None:
    """Everybody is looking already, or owns the value."""
    world = DhtWorld(DhtScenario(nodes=2, values=1, join_time=5.0, duration=20.0, lookups=0))
    world.network.run(world.scenario.measure_start)
    for _ in range(3):
        world.look_up()
    assert len(world.lookups) <= 1
