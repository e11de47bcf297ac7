"""Messages as lines."""

from __future__ import annotations

import pytest

from shoal.cli.chat.text import clock, file_line
from shoal.cli.chat.transcript import File

NOW = 1_790_000_000.0


@pytest.mark.parametrize(
    ("file", "lines"),
    [
        (File("a", 100), ["[file] a, 100 B"]),
        (File("a", 0, state="running"), ["[file] a, 0 B, running"]),
        (File("a", 100, 100, "done"), ["[file] a, 100 B, done"]),
        (File("a", 100, 100, "done", path="/x/a"), ["[file] a, 100 B, saved:", "/x/a"]),
        (
            File("a", 100, 25, "running", 1_500.0),
            ["[file] a, 100 B", "█████░░░░░░░░░░░░░░░ 25 %, 1.5 kB/s running"],
        ),
        (
            File("a", 100, 250, "checking"),
            ["[file] a, 100 B", "████████████████████ 100 % checking"],
        ),
    ],
)
def test_files_show_how_far_they_are(file: File, lines: list[str]) -> None:
    """By a bar, while they come."""
    assert file_line(file).splitlines() == lines


def test_only_other_days_are_named() -> None:
    """Today is known."""
    assert len(clock(NOW, NOW)) == len("12:00")
    assert len(clock(NOW - 172_800, NOW)) == len("2026-01-01 12:00")
