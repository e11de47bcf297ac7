"""Deadlines: the earliest first, equal ones in order, stale ones harmless."""

from math import inf

from hypothesis import given
from hypothesis import strategies as st

from shoal.core.deadlines import Alarm, Call, Deadlines, Sleeper


@given(moments=st.lists(st.integers(0, 9)))
def test_items_leave_by_time_then_by_arrival(moments: list[int]) -> None:
    """A stable sort by moment, whatever came in."""
    deadlines: Deadlines[Call] = Deadlines()
    calls = [Call(lambda now: None) for _ in moments]
    for moment, call in zip(moments, calls, strict=True):
        deadlines.add(moment, call)
    assert len(deadlines) == len(moments)
    assert deadlines.next() == (min(moments) if moments else None)

    left = []
    while (popped := deadlines.pop_due(inf)) is not None:
        left.append(popped)

    expected = sorted(zip(moments, range(len(calls)), strict=True))
    assert left == [calls[place] for _, place in expected]


def test_nothing_is_due_early() -> None:
    """An item stays until its moment."""
    deadlines: Deadlines[Call] = Deadlines()
    call = Call(lambda now: None)
    deadlines.add(5.0, call)
    assert deadlines.pop_due(4.9) is None
    assert deadlines.pop_due(5.0) is call


class _Tired:
    """A sleeper that no longer cares."""

    is_over = True

    def wake(self, now: float) -> None:
        raise AssertionError


def test_what_is_over_need_not_be_waited_for() -> None:
    """Items that no longer care leave the front, and only the front."""
    deadlines: Deadlines[Sleeper] = Deadlines()
    alive = Call(lambda now: None)
    for moment, item in ((1.0, _Tired()), (2.0, alive), (3.0, _Tired())):
        deadlines.add(moment, item)
    deadlines.drop_over()
    assert deadlines.next() == 2.0
    assert len(deadlines) == 2


def test_an_alarm_rings_once_at_its_earliest_moment() -> None:
    """Set thrice, it rings at the first moment and is then to be set again."""
    woken: list[float] = []
    deadlines: Deadlines[Sleeper] = Deadlines()

    def ring(now: float) -> None:
        if alarm.rings(now):
            woken.append(now)

    alarm = Alarm(deadlines, Call(ring))
    for moment in (5.0, 3.0, 4.0):
        alarm.set(moment)
    while (sleeper := deadlines.pop_due(inf)) is not None:
        sleeper.wake(10.0)
    assert woken == [10.0]
    assert not alarm.rings(1e9)
