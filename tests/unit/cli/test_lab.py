"""`shoal lab` as a process: what it prints, and that nothing is left of it."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner

from shoal.cli.common import Exit
from shoal.cli.lab import lab, program

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@contextmanager
def running(place: Path, *arguments: str) -> Iterator[subprocess.Popen[str]]:
    """Run the command, with its temporary files below *place*."""
    process = subprocess.Popen(  # noqa: S603 - our own interpreter
        [sys.executable, "-m", "shoal", "lab", *arguments],
        env={**os.environ, "TMPDIR": str(place)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate(timeout=60)


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGINT])
def test_it_stops_when_told(tmp_path: Path, how: signal.Signals) -> None:
    """Without a terminal each person's address is on a line of its own; then it ends cleanly."""
    with running(tmp_path, "--people", "Ann,Ben", "--no-names") as process:
        assert process.stdout is not None
        lines: list[str] = []
        for line in process.stdout:
            lines.append(line)
            if "Ctrl-C ends all" in line:
                break
        text = "".join(lines)
        for name in ("Ann", "Ben"):
            for address in (
                r"http://127\.0\.0\.1:\d+/#link=\S+",
                r"jami:[0-9a-f]{40}",
                r"\S.* chat --home \S+",
            ):
                assert re.search(rf"^{name} +{address}$", text, re.MULTILINE), text
        assert re.search(r"^Echo +jami:[0-9a-f]{40}$", text, re.MULTILINE)
        assert re.search(r"first message was read \d+\.\d seconds after the start", text)
        process.send_signal(how)
        assert process.wait(60) == 0
    assert list(tmp_path.iterdir()) == []


def test_as_json(tmp_path: Path) -> None:
    """With --json each line is an event for a script; with --once it ends by itself."""
    with running(tmp_path, "--json", "--once", "--people", "Ann", "--no-pages") as process:
        output, _ = process.communicate(timeout=110)
    events = [json.loads(line) for line in output.splitlines()]

    assert process.returncode == 0, output
    assert [each["event"] for each in events] == ["network", "person", "bot", "ready", "stopped"]
    assert events[1]["registered"] == "ann"
    assert events[3]["message_seconds"] > 0


@pytest.mark.parametrize(
    ("found", "called", "words"),
    [
        ("/usr/bin/shoal", ".venv/bin/shoal", "shoal"),
        (None, ".venv/bin/shoal", ".venv/bin/shoal"),
        (None, "/x/shoal/__main__.py", f"{sys.executable} -m shoal"),
    ],
)
def test_commands_can_be_typed_as_shown(
    monkeypatch: pytest.MonkeyPatch, found: str | None, called: str, words: str
) -> None:
    """After `make run` there is no `shoal` on the path, unless somebody has activated it."""
    monkeypatch.setattr(shutil, "which", lambda name: found)
    monkeypatch.setattr(sys, "argv", [called])
    assert program() == words


def test_people_that_cannot_be() -> None:
    """Wrong names are told before anything is opened."""
    result = CliRunner().invoke(lab, ["--people", "Ann,Ann"])
    assert result.exit_code == Exit.USAGE
    assert "Invalid value for --people: two are called 'ann'" in result.output
    assert "A private network" not in result.output
