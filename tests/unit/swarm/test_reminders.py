"""Who is told again, how often; and whose news came too early."""

from __future__ import annotations

import itertools

from shoal.core import AccountId, CommitId, DeviceId
from shoal.swarm.reminders import (
    ASK_WAIT,
    CHANNEL_WAIT,
    DEVICES_MAX,
    EARLY_TIME,
    TIMES_MAX,
    EarlyNews,
    Reminders,
    Untold,
)

ACCOUNT, OTHER = AccountId(bytes(20)), AccountId(bytes([1]) * 20)
DEVICE = DeviceId(bytes(32))
FIRST, SECOND = CommitId(bytes(20)), CommitId(bytes([2]) * 20)


def times_told(reminders: Reminders) -> list[float]:
    """Let time pass until nothing is due any more; whoever is told again is told the same."""
    moments: list[float] = []
    while (deadline := reminders.next_deadline()) is not None:
        assert not reminders.due(deadline - 0.1)
        assert reminders.due(deadline) == [(ACCOUNT, DEVICE)]
        reminders.told(ACCOUNT, DEVICE, FIRST, deadline)
        moments.append(deadline)
    return moments


def test_told_again_with_growing_waits() -> None:
    """A few times, until nothing more is to be hoped for."""
    reminders = Reminders()
    reminders.told(ACCOUNT, DEVICE, FIRST, 0.0)

    moments = times_told(reminders)
    assert len(moments) == TIMES_MAX
    waits = [after - before for before, after in itertools.pairwise(moments)]
    assert waits == sorted(waits)


def test_who_surely_heard_is_told_again_later() -> None:
    """It may have failed to fetch."""
    reminders = Reminders()
    reminders.told(ACCOUNT, DEVICE, FIRST, 0.0, wait=CHANNEL_WAIT)
    moments = times_told(reminders)
    assert moments[0] == CHANNEL_WAIT
    assert len(moments) == TIMES_MAX


def test_who_fetches_is_left_alone() -> None:
    """Until there is something new."""
    reminders = Reminders()
    reminders.told(ACCOUNT, DEVICE, SECOND, 0.0)
    reminders.fetched(DEVICE, FIRST)  # an older one
    assert reminders.next_deadline() is not None
    reminders.fetched(DEVICE, SECOND)
    assert reminders.next_deadline() is None
    reminders.told(ACCOUNT, DEVICE, FIRST, 9.0)
    assert reminders.next_deadline() == 12.0


def test_bounded() -> None:
    """Neither list grows without end."""
    reminders, early = Reminders(), EarlyNews()
    for number in range(DEVICES_MAX + 9):
        device = DeviceId(number.to_bytes(32))
        reminders.told(ACCOUNT, device, FIRST, 0.0)
        assert early.add(ACCOUNT, device, 0.0) is (number < DEVICES_MAX)
    assert len(reminders.due(100.0)) == DEVICES_MAX


def test_the_silent_make_room() -> None:
    """Who was told often enough takes nobody's place, and who is out is told nothing."""
    reminders = Reminders()
    for number in range(DEVICES_MAX):
        reminders.told(ACCOUNT, DeviceId(number.to_bytes(32)), FIRST, 0.0)
    now = 0.0
    while (deadline := reminders.next_deadline()) is not None:
        reminders.due(now := deadline)
    newcomer = DeviceId(bytes([9]) * 32)
    reminders.told(ACCOUNT, newcomer, FIRST, now)
    assert reminders.next_deadline() == now + 3.0
    reminders.forget(newcomer)
    assert reminders.next_deadline() is None


def test_who_gave_something_is_asked_once_more() -> None:
    """After the last of it; bounded."""
    untold = Untold()
    untold.gave(ACCOUNT, DEVICE, 0.0)
    untold.gave(ACCOUNT, DEVICE, 1.0)
    assert untold.next_deadline() == 1.0 + ASK_WAIT
    assert untold.due(0.5 + ASK_WAIT) == []
    assert untold.due(1.0 + ASK_WAIT) == [(ACCOUNT, DEVICE)]
    assert untold.next_deadline() is None
    for number in range(DEVICES_MAX + 9):
        untold.gave(ACCOUNT, DeviceId(number.to_bytes(32)), 0.0)
    assert len(untold.due(ASK_WAIT)) == DEVICES_MAX


def test_early_news() -> None:
    """Remembered once, until its account is a member."""
    early = EarlyNews()
    assert early.add(ACCOUNT, DEVICE, 0.0)
    assert not early.add(ACCOUNT, DEVICE, 0.0)
    assert early.take(frozenset({OTHER})) == []
    assert early.take(frozenset({OTHER, ACCOUNT})) == [(ACCOUNT, DEVICE)]
    assert early.take(frozenset({ACCOUNT})) == []


def test_strangers_do_not_stay_for_ever() -> None:
    """Those that fill the list make room after a while, and who is among them may come again."""
    early = EarlyNews()
    for number in range(DEVICES_MAX):
        assert early.add(OTHER, DeviceId((number + 1).to_bytes(32)), float(number))
    last = EARLY_TIME - 0.1
    assert not early.add(ACCOUNT, DEVICE, last)
    assert early.add(ACCOUNT, DEVICE, EARLY_TIME)
    assert not early.add(ACCOUNT, DeviceId(bytes([9]) * 32), EARLY_TIME + 0.9)
    assert early.take(frozenset({ACCOUNT})) == [(ACCOUNT, DEVICE)]
    assert early.add(OTHER, DeviceId((DEVICES_MAX).to_bytes(32)), 3 * EARLY_TIME)
    assert early.take(frozenset({OTHER})) == [(OTHER, DeviceId((DEVICES_MAX).to_bytes(32)))]
