"""The bench runs, both sides of it. What it measures is nobody's test."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner
from rich.console import Console

from bench.connect.command import connect
from bench.connect.plan import Bench as ConnectBench
from bench.connect.plan import Plan as ConnectPlan
from bench.dht.command import dht
from bench.dht.plan import Bench, Plan
from bench.swarm.command import swarm
from bench.swarm.plan import Bench as SwarmBench
from bench.swarm.times import Plan as SwarmPlan
from bench.transfer.command import files
from bench.transfer.plan import Bench as FilesBench
from bench.transfer.plan import Plan as FilesPlan
from tests.peers.presence import Need, require

if TYPE_CHECKING:
    from bench.figures import Figure

SMALLEST = Plan(
    networks=(2, 3),
    rounds=1,
    sequential=2,
    burst=20,
    bursts=1,
    updates=2,
    requests=64,
    memory=(2, 3),
    settle=0.3,
    rest=0.0,
    ripening=0.0,
)


def test_the_dht_bench_runs() -> None:
    """Every section has figures of both sides, and nothing is lost in so small a network."""
    require(Need.OPENDHT)
    report = Bench(SMALLEST, seed=1, progress=Console(quiet=True)).run(is_profiled=True)
    figures = [figure for section in report.sections for figure in section.figures]
    compared = [figure for figure in figures if figure.theirs is not None]

    assert len(compared) >= 20
    assert all(figure.ours is not None for figure in figures)
    assert {figure.ours for figure in figures if "lost" in figure.name} == {0}
    assert json.dumps(report.as_json())
    assert any("shoal.dht" in line for line in report.sections[-1].text)


def test_the_command_explains_itself() -> None:
    """`python -m bench dht --help` says what is measured."""
    result = CliRunner().invoke(dht, ["--help"])

    assert result.exit_code == 0
    assert "--quick" in result.output


def connect_figures(*, has_jamid: bool) -> list[Figure]:
    """Run the smallest bench of connections; return what it measured."""
    plan = ConnectPlan(rounds=1, size=1_000_000, connects=2, jamid_rounds=1)
    reports = ConnectBench(plan, Console(quiet=True)).run(has_jamid=has_jamid)
    assert len(reports) == 1 + has_jamid
    assert json.dumps([report.as_json() for report in reports])
    return [
        figure for report in reports for section in report.sections for figure in section.figures
    ]


def test_the_connect_bench_runs() -> None:
    """Throughput beside raw TLS, and times."""
    figures = connect_figures(has_jamid=False)
    assert all(figure.ours is not None and figure.ours > 0 for figure in figures)


@pytest.mark.soak
def test_the_connect_bench_runs_beside_jamid() -> None:
    """Two daemons make their keys, then two nodes do: a minute or two."""
    require(Need.JAMID, Need.NAMESPACES, Need.NFT)
    figures = connect_figures(has_jamid=True)
    assert all(figure.ours is not None and figure.ours > 0 for figure in figures)


def test_the_connect_command_explains_itself() -> None:
    """`python -m bench connect --help` says what is measured."""
    result = CliRunner().invoke(connect, ["--help"])

    assert result.exit_code == 0
    assert "--jamid" in result.output


def swarm_figures(*, has_jamid: bool) -> list[Figure]:
    """Run the smallest bench of conversations; return what it measured."""
    require(Need.NAMESPACES, Need.NFT)
    plan = SwarmPlan(messages=20, longest=60, texts=2, openings=1, groups=2)
    report = SwarmBench(plan, Console(quiet=True)).run(has_jamid=has_jamid)
    assert json.dumps(report.as_json())
    return [figure for section in report.sections for figure in section.figures]


def test_the_swarm_bench_runs() -> None:
    """Two nodes talk and clone; a long history is opened, searched and added to."""
    figures = swarm_figures(has_jamid=False)
    assert len(figures) >= 10
    assert all(figure.ours is not None and figure.ours >= 0 for figure in figures)


@pytest.mark.soak
def test_the_swarm_bench_runs_beside_jamid() -> None:
    """Two daemons make their keys and do the same: a minute or two."""
    require(Need.JAMID)
    figures = swarm_figures(has_jamid=True)
    assert sum(figure.theirs is not None and figure.theirs > 0 for figure in figures) >= 5


def test_the_swarm_command_explains_itself() -> None:
    """`python -m bench swarm --help` says what is measured."""
    result = CliRunner().invoke(swarm, ["--help"])

    assert result.exit_code == 0
    assert "--quick" in result.output


def test_the_files_bench_runs() -> None:
    """One node offers a file, another fetches it."""
    plan = FilesPlan(rounds=1, size=1_000_000, their_rounds=1, their_size=1_000_000)
    report = FilesBench(plan, Console(quiet=True)).run(has_jamid=False)
    figures = [figure for section in report.sections for figure in section.figures]
    assert json.dumps(report.as_json())
    assert len(figures) == 2
    assert all(figure.ours is not None and figure.ours > 0 for figure in figures)


def test_the_files_command_explains_itself() -> None:
    """`python -m bench files --help` says what is measured."""
    result = CliRunner().invoke(files, ["--help"])

    assert result.exit_code == 0
    assert "--jamid" in result.output
