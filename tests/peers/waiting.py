"""Waiting for a state, with a deadline; the only place where the peers' tests pause."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

_T = TypeVar("_T")

PAUSE: Final = 0.02  # seconds between two looks; far below anything these tests measure
TICK: Final = 0.02  # seconds that the clock of time(2) may be behind; the kernel's longest is half


class NotReachedError(AssertionError):
    """A state that should have come did not come in time."""


def until(
    look: Callable[[], _T | None], what: str, timeout: float = 15.0, *, pause: float = PAUSE
) -> _T:
    """Call *look*, with a *pause* in between, until it returns something true; return that.

    Raises:
        NotReachedError: *timeout* seconds passed; the message says *what* was awaited and what
            the last look saw.
    """
    deadline = time.monotonic() + timeout
    while True:
        seen = look()
        if seen:
            return seen
        if time.monotonic() >= deadline:
            raise NotReachedError(f"not within {timeout:g} s: {what} (last seen: {seen!r})")
        time.sleep(pause)


def until_next_second() -> None:
    """Wait for another second, also by the clock of peers that count in seconds."""
    begun = int(time.time())
    until(lambda: time.time() > begun + 1 + TICK, "the next second")
