"""The scripts that set a machine up: what they do where the network stutters, and what they say."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FLAKY = """#!/bin/sh
echo "$@" >> "$0.log"
[ "$(wc -l < "$0.log")" -gt {failures} ]
"""


def flaky(path: Path, failures: int) -> Path:
    """Make a program that fails so many times, and writes down how it was called."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(FLAKY.format(failures=failures))
    path.chmod(0o700)
    return path


@pytest.mark.parametrize(("failures", "status"), [(0, 0), (2, 0), (3, 1)])
def test_pip_is_asked_three_times(tmp_path: Path, failures: int, status: int) -> None:
    """With pauses; in the end it is said what to do, and that nothing is lost."""
    python = flaky(tmp_path / "venv" / "bin" / "python", failures)
    sleep = flaky(tmp_path / "bin" / "sleep", 0)
    ran = subprocess.run(  # noqa: S603 - our own script
        [ROOT / "tools" / "pip-install", tmp_path / "venv", "some.txt"],
        env={**os.environ, "PATH": f"{sleep.parent}:{os.environ['PATH']}"},
        capture_output=True,
        text=True,
        check=False,
    )
    calls = Path(f"{python}.log").read_text().splitlines()
    assert ran.returncode == status, ran.stderr
    assert len(calls) == min(failures + 1, 3)
    assert all("--require-hashes --requirement some.txt" in each for each in calls)
    assert ran.stderr.count("again in") == min(failures, 2)
    assert ("run make again" in ran.stderr) == bool(status)


def test_make_help_lists_the_targets() -> None:
    """Each target that is meant for people is listed with what it is for."""
    ran = subprocess.run(
        ["make", "--no-print-directory", "--always-make", "help"],  # noqa: S607 - whichever it is
        cwd=ROOT,
        env={"PATH": os.environ["PATH"]},
        capture_output=True,
        text=True,
        check=True,
    )
    lines = ran.stdout.splitlines()
    assert all(line.startswith("make ") for line in lines)
    assert {line.split()[1] for line in lines} >= {"run", "test", "check", "soak"}
