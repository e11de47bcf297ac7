"""Progress of files: a bar on a terminal, and sizes and times in words."""

# ruff: noqa: PLC0415 - commands load what they use

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any, Final

from shoal.cli.home import printable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

_UNITS: Final = ("B", "kB", "MB", "GB", "TB")
_STEP: Final = 1000  # as networks and disks count
_MINUTE: Final = 60  # seconds


def sized(size: float) -> str:
    """Return a number of bytes in words."""
    unit = 0
    while size >= _STEP and unit < len(_UNITS) - 1:
        size /= _STEP
        unit += 1
    return f"{size:.0f} {_UNITS[unit]}" if unit == 0 else f"{size:.1f} {_UNITS[unit]}"


def spent(seconds: float) -> str:
    """Return a time in words."""
    minutes, rest = divmod(int(seconds + 0.5), _MINUTE)
    hours, minutes = divmod(minutes, _MINUTE)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


@contextlib.contextmanager
def bar() -> Iterator[Callable[[Mapping[str, Any]], None]]:
    """Give what shows a transfer as a bar, on standard error; nothing where that is no terminal."""
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn

    console = Console(stderr=True)
    if not console.is_terminal:
        yield _ignore
        return
    with Progress(
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        TextColumn("{task.fields[words]}", markup=False),
        console=console,
        transient=True,
    ) as progress:
        task = progress.add_task("", total=None, words="")

        def show(transfer: Mapping[str, Any]) -> None:
            progress.update(
                task,
                description=printable(transfer["name"])[:40],
                total=transfer["size"] or 1,
                completed=transfer["done"] if transfer["size"] else 1,
                words=words_of(transfer),
            )

        yield show


def _ignore(transfer: Mapping[str, Any]) -> None:
    """Show nothing."""


def words_of(transfer: Mapping[str, Any]) -> str:
    """Return what stands beside the bar of a transfer."""
    state = transfer["state"]
    if state == "waiting":
        return "waits until somebody who has it is online"
    if state != "running" or not transfer["rate"]:
        return str(state)
    left = transfer["time_left"]
    words = f"{sized(transfer['done'])} of {sized(transfer['size'])}, {sized(transfer['rate'])}/s"
    return words if left is None else f"{words}, {spent(left)} left"
