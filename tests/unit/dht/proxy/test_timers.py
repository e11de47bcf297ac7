"""Named deadlines."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from shoal.dht.proxy.timers import Timers


def test_due_in_order_once() -> None:
    """What is due leaves in the order of its deadlines, and leaves once."""
    timers: Timers[str] = Timers()
    for name, when in (("c", 3.0), ("a", 1.0), ("b", 2.0)):
        timers.set(name, when)

    assert timers.next_deadline() == 1.0
    assert timers.due(2.0) == ["a", "b"]
    assert timers.due(2.0) == []
    assert timers.next_deadline() == 3.0
    assert "c" in timers
    assert len(timers) == 1


def test_moved_cancelled_cleared() -> None:
    """A name has one deadline: the last one set, or none."""
    timers: Timers[str] = Timers()
    timers.set("moved", 1.0)
    timers.set("moved", 5.0)
    timers.set("gone", 2.0)
    timers.cancel("gone")
    timers.cancel("never set")

    assert timers.due(4.0) == []
    assert timers.next_deadline() == 5.0
    timers.clear()
    assert timers.next_deadline() is None


def test_moving_often_takes_no_memory() -> None:
    """Outdated entries of the heap are swept."""
    timers: Timers[int] = Timers()
    for moment in range(10_000):
        timers.set(moment % 10, float(moment))

    assert len(timers._heap) < 200  # noqa: SLF001 - the bound is the point


@given(st.lists(st.tuples(st.integers(0, 5), st.none() | st.floats(0, 100))))
def test_like_a_dictionary(script: list[tuple[int, float | None]]) -> None:
    """It tells what a dictionary of names to deadlines would."""
    timers: Timers[int] = Timers()
    plain: dict[int, float] = {}
    for name, when in script:
        if when is None:
            timers.cancel(name)
            plain.pop(name, None)
        else:
            timers.set(name, when)
            plain[name] = when

    assert timers.next_deadline() == min(plain.values(), default=None)
    due = timers.due(50.0)
    assert sorted(due) == sorted(name for name, when in plain.items() if when <= 50.0)
    assert [plain[name] for name in due] == sorted(plain[name] for name in due)
