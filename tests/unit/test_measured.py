"""What tests measure is printed: without -s, from workers too, and under tests that fail."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

INNER = """
def test_it(measured):
    measured.append("a stone fell for 1.4 s")

def test_that(measured):
    measured += ["a feather fell for 9 s", "and was not found"]
    assert not measured

def test_nothing():
    pass
"""


@pytest.mark.parametrize("workers", ["0", "1"])
def test_figures_are_at_the_end(tmp_path: Path, workers: str) -> None:
    """Each line once, in a section of its own."""
    inner = tmp_path / "test_inner.py"
    inner.write_text(INNER)
    options = ["-q", "-p", "no:cacheprovider", "-p", "xdist.plugin", "-p", "tests.measured"]
    ran = subprocess.run(  # noqa: S603 - our own interpreter
        [sys.executable, "-m", "pytest", *options, "--numprocesses", workers, inner],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"},
        cwd=Path(__file__).parents[2],
    )
    assert "1 failed, 2 passed" in ran.stdout
    _, _, summary = ran.stdout.partition(" measured ==")
    assert "a stone fell for 1.4 s\n" in summary
    assert "a feather fell for 9 s\nand was not found\n" in summary
    assert summary.count("a stone fell") == 1
