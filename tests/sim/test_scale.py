"""A thousand production engines: lookups succeed, hops are few, churn does not lose values."""

from __future__ import annotations

import time

import pytest

from shoal.sim.dht import DhtScenario, run_dht


@pytest.mark.timeout(300)
def test_a_thousand_nodes_with_defaults() -> None:
    """What `shoal sim dht --nodes 1000` does: all found, in few hops, in seconds."""
    started = time.process_time()
    report = run_dht(DhtScenario(nodes=1000))
    spent = time.process_time() - started

    assert len(report.results) == 1000
    assert report.success >= 0.999
    assert report.samples[-1].connected == 1000
    assert 1.5 < report.mean_hops < 2.5
    assert max(report.hops) <= 7
    assert report.measuring.packets_per_node_hour < 900
    assert spent < 40.0  # 25 on a machine that does nothing else, with room to spare


@pytest.mark.timeout(300)
def test_a_thousand_nodes_under_churn() -> None:
    """A fifth replaced per hour, two datagrams in a hundred lost: owned values stay findable."""
    scenario = DhtScenario(
        nodes=1000, seed=2, churn=0.2, loss=0.02, duration=900.0, lookups=1500, join_time=120.0
    )
    report = run_dht(scenario)

    assert report.replaced > 30
    assert len(report.results) + report.void == 1500
    assert report.success >= 0.999


def test_hops_grow_slowly() -> None:
    """Ten times the nodes, less than one and a half hops more."""
    small, large = (
        run_dht(DhtScenario(nodes=nodes, duration=300.0, lookups=300, join_time=120.0))
        for nodes in (40, 400)
    )
    assert small.success == large.success == 1.0
    assert small.mean_hops < large.mean_hops < small.mean_hops + 1.5
