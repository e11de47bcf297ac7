"""Alarms on a clock that can be put forward."""

from __future__ import annotations

import asyncio

from shoal.bot.clock import Clock, TestClock


async def test_time_can_be_put_forward() -> None:
    """Who waits for a time an hour away is woken when the hour was made to pass."""
    clock = TestClock()
    alarm, due = clock.alarm(), clock.wall_now() + 3600
    sleeper = asyncio.ensure_future(alarm.wait_until(due))
    await asyncio.sleep(0)
    assert not sleeper.done()
    clock.advance(3600)
    await sleeper
    assert clock.wall_now() >= due


async def test_a_ring_is_not_lost() -> None:
    """Rung while awake, the next sleep ends at once; the one after does not."""
    clock = Clock()
    alarm = clock.alarm()
    alarm.ring()
    await alarm.wait_until(None)
    await alarm.wait_until(clock.wall_now())  # and a time that has come is no sleep
    sleeper = asyncio.ensure_future(alarm.wait_until(None))
    await asyncio.sleep(0)
    assert not sleeper.done()
    alarm.ring()
    await sleeper
