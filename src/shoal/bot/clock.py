"""The clock of a bot's schedules, so that tests can let hours pass at once."""

from __future__ import annotations

import asyncio
import time


class Alarm:
    """Wakes one sleeper at a time on a clock, or when rung."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._rung = asyncio.Event()

    def ring(self) -> None:
        """Wake the sleeper; one that is awake does not fall asleep the next time."""
        self._rung.set()

    async def wait_until(self, wall_time: float | None) -> None:
        """Return at *wall_time*, or when it is rung; without a time then alone."""
        delay = None if wall_time is None else max(0.0, wall_time - self._clock.wall_now())
        try:
            async with asyncio.timeout(delay):
                await self._rung.wait()
        except TimeoutError:
            return
        self._rung.clear()


class Clock:
    """The clock on the wall."""

    def __init__(self) -> None:
        self._alarms: list[Alarm] = []

    def wall_now(self) -> float:
        """Seconds since 1970."""
        return time.time()

    def alarm(self) -> Alarm:
        """Return something that sleeps by this clock."""
        alarm = Alarm(self)
        self._alarms.append(alarm)
        return alarm


class TestClock(Clock):
    """A clock that goes on with the real one, and can be put forward."""

    __test__ = False  # a tool for tests, none itself

    def __init__(self) -> None:
        super().__init__()
        self._ahead = 0.0

    def wall_now(self) -> float:
        """Seconds since 1970, and what was added."""
        return super().wall_now() + self._ahead

    def advance(self, seconds: float) -> None:
        """Let time pass at once."""
        self._ahead += seconds
        for alarm in self._alarms:
            alarm.ring()
