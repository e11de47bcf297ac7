"""The demo: real nodes on loopback, bounded by `--once` or `--seconds`."""

from __future__ import annotations

import io
import json
from contextlib import AsyncExitStack

import pytest
from click.testing import CliRunner
from rich.console import Console

from shoal.cli.demo import KEYS, Happened, Network, Screen, demo, table_of


def test_once_puts_and_gets_at_every_key() -> None:
    """Without a terminal events come as lines; every put is found again; it ends by itself."""
    result = CliRunner().invoke(demo, ["--nodes", "3", "--once"])

    assert result.exit_code == 0, result.output
    assert result.output.count("joined on port") == 3
    for word in ("put", "got"):
        assert sum(f"  {word} " in line for line in result.output.splitlines()) == len(KEYS)


def test_events_as_json() -> None:
    """With --json each line is an event for a script."""
    result = CliRunner().invoke(demo, ["--nodes", "2", "--once", "--json"])
    events = [json.loads(line) for line in result.output.splitlines()]

    assert result.exit_code == 0, result.output
    assert len(events) == 2 + 2 * len(KEYS)
    assert all(set(event) == {"seconds", "node", "text", "is_failure"} for event in events)
    assert not any(event["is_failure"] for event in events)


def test_it_lives_for_the_time_given() -> None:
    """With --seconds it puts, gets and listens until then, and ends cleanly."""
    result = CliRunner().invoke(demo, ["--nodes", "4", "--seconds", "2.5"])

    assert result.exit_code == 0, result.output
    assert "got" in result.output


class Recorder:
    """A view that keeps events."""

    def __init__(self) -> None:
        self.events: list[Happened] = []

    def show(self, event: Happened) -> None:
        """Keep it."""
        self.events.append(event)


def test_failures_are_counted() -> None:
    """What the exit status reports is the number of failed operations."""
    view = Recorder()
    network = Network(view)
    network.tell(1, "fine")
    network.tell(2, "broken", is_failure=True)

    assert network.failures == 1
    assert [event.is_failure for event in view.events] == [False, True]


@pytest.mark.parametrize(("width", "height"), [(80, 24), (120, 40), (80, 12)])
def test_the_screen_shows_the_latest_events(width: int, height: int) -> None:
    """The picture has the table and the last events, and fits any terminal."""
    screen = Screen()
    for number in range(100):
        screen.show(Happened(float(number), 1, f"event {number}"))
    written = io.StringIO()
    Console(width=width, height=height, file=written).print(screen)
    text = written.getvalue()

    assert "event 99" in text
    assert "event 50" not in text
    assert len(text.splitlines()) <= height
    assert "knows" in text
    assert table_of([]).row_count == 0


async def test_in_a_low_terminal_nodes_make_room() -> None:
    """The latest events stay in sight, and the rest of the nodes are counted."""
    screen = Screen()
    async with AsyncExitStack() as stack:
        screen.network = Network(screen)
        await screen.network.open(6, stack)
        written = io.StringIO()
        Console(width=80, height=15, file=written).print(screen)
    text = written.getvalue()

    assert "and 3 nodes more" in text
    assert "node 6  joined" in text
    assert len(text.splitlines()) <= 15
