"""The bench of the name server runs. What it measures is nobody's test."""

from __future__ import annotations

import json

import pytest
from click.testing import CliRunner
from rich.console import Console

from bench.names.command import names
from bench.names.plan import Bench, Plan

pytestmark = pytest.mark.timeout(300)
SMALLEST = Plan(names=50, lookups=100, closing=40, registrations=2, rounds=1)


def test_the_names_bench_runs() -> None:
    """Every figure is there: no request failed, the server started and ended each time."""
    report = Bench(SMALLEST, Console(quiet=True)).run()
    figures = [figure for section in report.sections for figure in section.figures]

    assert len(figures) == 15
    assert all(figure.ours for figure in figures)
    assert json.dumps(report.as_json())
    assert "| | Shoal |" in report.as_markdown()


def test_the_command_explains_itself() -> None:
    """`python -m bench names --help` says what is measured."""
    result = CliRunner().invoke(names, ["--help"])

    assert result.exit_code == 0
    assert "--quick" in result.output
