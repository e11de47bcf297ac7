"""The plugin in somebody else's test run: found, lazy, with a transcript where a test fails."""

from __future__ import annotations

import os
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

ROOT = Path(__file__).parents[3]
TEST = """
import sys

def test_nothing_is_loaded():
    loaded = {name for name in sys.modules if name.startswith("shoal.")}
    assert loaded <= {"shoal.testing", "shoal.testing.plugin"}, loaded

def test_it_fails(shoal_network):
    shoal_network.transcript.add("Alice", "was here")
    raise AssertionError("as it should")
"""


def test_a_test_run_of_somebody_else(tmp_path: Path) -> None:
    """No fixture of ours costs those who do not use it; who does sees the transcript."""
    (tmp_path / "test_it.py").write_text(TEST)
    environment: Mapping[str, str] = {**os.environ, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-p",
        "shoal.testing.plugin",
        "-p",
        "no:cacheprovider",
    ]
    done = subprocess.run(  # noqa: S603 - our own interpreter and text
        command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
    )

    assert "1 failed, 1 passed" in done.stdout, done.stdout
    assert "- transcript -" in done.stdout
    assert "Alice      was here" in done.stdout


def test_it_is_found() -> None:
    """The package announces it, under the module's name: who names it again loads it once."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert project["entry-points"]["pytest11"] == {"shoal.testing.plugin": "shoal.testing.plugin"}
