"""What a report says."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from shoal.sim.dht import DhtReport, DhtScenario, Sample, Traffic
from shoal.sim.dht.lookups import LookupResult
from shoal.sim.dht.report import percentile


def report(*results: LookupResult) -> DhtReport:
    """A made-up report."""
    return DhtReport(
        scenario=DhtScenario(nodes=100),
        results=results,
        void=1,
        replaced=2,
        puts=10,
        puts_failed=0,
        joining=Traffic(5000, 500_000, 42_000.0),
        measuring=Traffic(1000, 90_000, 36_000.0),
        lost=3,
        undeliverable=4,
        samples=(Sample(1.0, 100, 99, 0.123456, 17.0),),
        ring=(0.1, 0.6),
        paths=(),
        events=6000,
        trace="ab",
    )


FOUND = LookupResult(1.0, is_found=True, hops=2, first_value=0.2, done=0.5, requests=14)
NEAR = FOUND._replace(hops=1, first_value=0.1, requests=10)
MISSED = LookupResult(3.0, is_found=False, hops=None, first_value=None, done=0.9, requests=6)


def test_figures_of_lookups() -> None:
    """Success over all, hops and times over the successful ones."""
    made = report(FOUND, NEAR, MISSED, NEAR)
    assert (made.found, made.success) == (3, 0.75)
    assert made.hops == {1: 2, 2: 1}
    assert made.mean_hops == pytest.approx(4 / 3)
    assert made.requests_per_lookup == 10.0
    assert made.first_value_times() == [0.1, 0.1, 0.2]
    assert made.done_times() == [0.5, 0.5, 0.5, 0.9]


def test_a_run_without_lookups_has_no_failures() -> None:
    """Nothing was asked, nothing failed; there are no times."""
    made = report()
    assert (made.success, made.mean_hops, made.requests_per_lookup) == (1.0, 0.0, 0.0)
    lookups = made.to_json()["lookups"]
    assert isinstance(lookups, dict)
    assert lookups["seconds_to_value"] is None


def test_traffic_is_per_node_and_hour() -> None:
    """1,000 packets in ten node hours."""
    made = report()
    assert made.measuring.packets_per_node_hour == 100.0
    assert made.measuring.bytes_per_node_hour == 9000.0
    assert Traffic(5, 5, 0.0).packets_per_node_hour == 0.0
    assert Traffic(5, 5, 0.0).bytes_per_node_hour == 0.0


def test_json_is_complete_and_plain() -> None:
    """It survives a round trip, and says the scenario, the outcome and the trace."""
    made = report(FOUND, MISSED).to_json()
    assert json.loads(json.dumps(made)) == made
    assert {"scenario", "lookups", "values", "churn", "traffic", "samples", "trace"} == set(made)
    assert made["scenario"] == {
        "nodes": 100,
        "seed": 1,
        "churn": 0.0,
        "loss": 0.01,
        "duration": 600.0,
        "lookups": 1000,
        "values": 10,
        "value_size": 100,
        "join_time": 300.0,
        "bootstraps": 4,
        "jitter": 0.1,
        "clock_skew": 2.0,
        "latency": "internet",
    }


def test_reports_compare_by_value() -> None:
    """Two equal runs give equal reports."""
    assert report(FOUND) == report(FOUND)
    assert report(FOUND) != replace(report(FOUND), trace="cd")


def test_percentiles() -> None:
    """The smallest figure that so many do not exceed."""
    ordered = [float(number) for number in range(1, 101)]
    assert [percentile(ordered, part) for part in (0.0, 0.5, 0.99, 1.0)] == [1.0, 50.0, 99.0, 100.0]
    assert percentile([7.0], 0.5) == 7.0
