"""`shoal sim`: options in, a report out."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner, Result

from shoal.cli.sim import sim
from shoal.sim.dht import DhtScenario, run_dht

if TYPE_CHECKING:
    from pathlib import Path

SMALL = ("--nodes", "12", "--duration", "60", "--lookups", "10")


def run(*args: str) -> Result:
    """Run `shoal sim dht` with *args*."""
    return CliRunner().invoke(sim, ["dht", *args])


def test_json_is_the_report_of_the_same_scenario() -> None:
    """What the command prints is what Python gives, the same each time."""
    result = run(*SMALL, "--seed", "5", "--churn", "0.5", "--loss", "0.02", "--json")
    scenario = DhtScenario(nodes=12, seed=5, churn=0.5, loss=0.02, duration=60.0, lookups=10)
    assert json.loads(result.stdout) == run_dht(scenario).to_json()
    assert result.exit_code == 0
    assert result.stderr == ""  # no progress bar where nobody sees it


def test_people_get_a_table(tmp_path: Path) -> None:
    """Lookups, hops, times, traffic, trace, and where the plot is."""
    pytest.importorskip("matplotlib")
    path = tmp_path / "run.png"
    result = run(*SMALL, "--plot", str(path))
    assert result.exit_code == 0
    assert "10 of 10 found their value (100.000%)" in result.stdout
    for word in ("hops", "to the value", "joining", "then per node", "trace", str(path)):
        assert word in result.stdout
    assert path.read_bytes().startswith(b"\x89PNG")


def test_without_lookups_there_is_still_a_table() -> None:
    """Nothing was looked up, nothing failed."""
    result = run("--nodes", "5", "--duration", "10", "--lookups", "0")
    assert result.exit_code == 0
    assert "0 of 0" in result.stdout


def test_failed_lookups_show_in_the_exit_code() -> None:
    """Scripts see that something was not found."""
    result = run("--nodes", "12", "--duration", "60", "--lookups", "40", "--loss", "0.85")
    assert result.exit_code == 1
    assert "trace" in result.stdout


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (("--nodes", "1"), "nodes is 2 to"),
        (("--loss", "2"), "loss is 0.0 to 0.9"),
        ((*SMALL, "--plot", "run.nonsense"), "draws .png, .svg, .pdf"),
    ],
)
def test_impossible_options_are_explained(
    args: tuple[str, ...], message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Exit code 2 and one sentence that names the option."""
    pytest.importorskip("matplotlib")
    monkeypatch.chdir(tmp_path)
    result = run(*args)
    assert result.exit_code == 2
    assert message in result.stderr


def test_a_plot_that_cannot_be_written_is_an_error(tmp_path: Path) -> None:
    """Before anything is simulated, with the directory that is missing."""
    pytest.importorskip("matplotlib")
    result = run(*SMALL, "--plot", str(tmp_path / "missing" / "run.png"))
    assert result.exit_code == 2
    assert f"no directory {tmp_path / 'missing'}" in result.stderr
