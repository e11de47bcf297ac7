"""Sizes, times and bars."""

from __future__ import annotations

import pytest

from shoal.cli.progress import bar, sized, spent, words_of


@pytest.mark.parametrize(
    ("size", "words"),
    [(0, "0 B"), (999, "999 B"), (1_000, "1.0 kB"), (50_000_000, "50.0 MB"), (3.2e15, "3200.0 TB")],
)
def test_sizes(size: float, words: str) -> None:
    """As networks count."""
    assert sized(size) == words


@pytest.mark.parametrize(
    ("seconds", "words"), [(0.2, "0:00"), (59.6, "1:00"), (61, "1:01"), (3_723, "1:02:03")]
)
def test_times(seconds: float, words: str) -> None:
    """Hours only where there are some."""
    assert spent(seconds) == words


def test_words_beside_a_bar() -> None:
    """How far, how fast, how long still; or what it waits for."""
    running = {"state": "running", "rate": 2e6, "done": 5e6, "size": 1e7, "time_left": 2.5}
    assert words_of(running) == "5.0 MB of 10.0 MB, 2.0 MB/s, 0:03 left"
    assert words_of(running | {"time_left": None}) == "5.0 MB of 10.0 MB, 2.0 MB/s"
    assert words_of(running | {"rate": 0.0}) == "running"
    assert "online" in words_of(running | {"state": "waiting"})


@pytest.mark.parametrize("variables", [{}, {"FORCE_COLOR": "1"}])
def test_bars(variables: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    """On a terminal and off one: all that transfers say, also of an empty file with a bad name."""
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    running = {"name": "a", "size": 9, "done": 3, "state": "running", "rate": 1.0, "time_left": 6.0}
    with bar() as show:
        show(running)
        show({"name": "a\x1b[2J", "size": 0, "done": 0, "state": "done", "rate": 0.0})
