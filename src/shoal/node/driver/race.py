"""Several ways to the same: the first that succeeds is it, and the others are given up."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Sequence

T = TypeVar("T")


async def first_of(ways: Sequence[Coroutine[Any, Any, T]], discard: Callable[[T], None]) -> T:
    """Return the result of the first of *ways* that has one, or raise what the last one raised.

    The others are cancelled; a result that one of them has nevertheless is given to *discard*.
    """
    loop = asyncio.get_running_loop()
    tasks = [loop.create_task(way) for way in ways]
    error: BaseException | None = None
    winner: asyncio.Task[T] | None = None
    try:
        pending = set(tasks)
        while pending and winner is None:
            done, pending = await asyncio.wait(pending, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                if task.exception() is not None:
                    error = task.exception()
                elif winner is None:
                    winner = task
    finally:
        for task in tasks:
            task.cancel()
        outcomes = await asyncio.gather(*tasks, return_exceptions=True)
        for task, outcome in zip(tasks, outcomes, strict=True):
            if task is not winner and not isinstance(outcome, BaseException):
                discard(outcome)
    if winner is not None:
        return winner.result()
    assert error is not None, "there is a way at least"
    raise error
