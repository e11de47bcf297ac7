"""Pictures of runs: drawn without a screen, the same for the same run."""

from __future__ import annotations

import sys
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from shoal.sim.dht import DhtReport, DhtScenario, run_dht
from shoal.sim.dht.plot import plot_report
from shoal.sim.errors import ScenarioError

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(scope="module")
def report() -> DhtReport:
    """A small run."""
    return run_dht(DhtScenario(nodes=12, join_time=30.0, duration=60.0, lookups=20))


def test_pictures_say_what_was_run(report: DhtReport, tmp_path: Path) -> None:
    """Title, seed and trace are in the file; equal reports give equal files."""
    pytest.importorskip("matplotlib")
    first, second = tmp_path / "a.svg", tmp_path / "b.svg"
    for path in (first, second):
        plot_report(report, str(path))
    assert first.read_bytes() == second.read_bytes()
    drawn = first.read_text()
    assert "12 nodes, 1 % loss" in drawn
    assert report.trace[:16] in drawn


def test_a_run_without_lookups_can_be_drawn(report: DhtReport, tmp_path: Path) -> None:
    """Empty panels say so."""
    pytest.importorskip("matplotlib")
    path = tmp_path / "empty.png"
    plot_report(replace(report, results=(), paths=()), str(path))
    assert path.read_bytes().startswith(b"\x89PNG")


def test_unknown_endings_are_refused(report: DhtReport, tmp_path: Path) -> None:
    """With a message that names those which work."""
    pytest.importorskip("matplotlib")
    with pytest.raises(ScenarioError, match=r"use \.png"):
        plot_report(report, str(tmp_path / "plot.nonsense"))


def test_a_missing_library_is_named(
    report: DhtReport, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The message says what to install."""
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(ScenarioError, match=r"shoal\[sim\]"):
        plot_report(report, str(tmp_path / "plot.png"))


def test_lookups_that_never_ended_can_be_drawn(report: DhtReport, tmp_path: Path) -> None:
    """Their value was found, and the curve of ends is missing."""
    pytest.importorskip("matplotlib")
    path = tmp_path / "unfinished.svg"
    results = tuple(result._replace(done=None) for result in report.results)
    plot_report(replace(report, results=results), str(path))
    assert "until the value" in path.read_text()
