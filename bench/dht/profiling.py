"""Where the processor time of the packet path goes: by part of the program, then by function."""

from __future__ import annotations

import cProfile
import pstats
from collections import defaultdict
from pathlib import Path
from typing import Final, Self

FUNCTIONS_SHOWN: Final = 20
PARTS_SHOWN: Final = 12


class Profile:
    """Profiles what runs in this thread while it is open."""

    def __init__(self) -> None:
        self._profiler = cProfile.Profile()

    def __enter__(self) -> Self:
        self._profiler.enable()
        return self

    def __exit__(self, *exception: object) -> None:
        self._profiler.disable()

    def lines(self) -> list[str]:
        """Return the shares of parts, then the costliest functions, by their own time."""
        functions = [
            (own, calls, part_of(path, name), f"{Path(path).name}:{line} {name}")
            for (path, line, name), (_, calls, own, *_) in statistics_of(self._profiler).items()
        ]
        total = sum(own for own, *_ in functions) or 1.0
        parts: defaultdict[str, float] = defaultdict(float)
        for own, _, part, _ in functions:
            parts[part] += own
        lines = [f"{total:.2f} s under the profiler, which itself slows Python code; own time:", ""]
        by_share = sorted(parts.items(), key=lambda each: -each[1])
        lines += [f"{own / total:6.1%}  {part}" for part, own in by_share[:PARTS_SHOWN]]
        lines.append("")
        costliest = sorted(functions, reverse=True)[:FUNCTIONS_SHOWN]
        lines += [f"{own / total:6.1%} {calls:9,}  {name}" for own, calls, _, name in costliest]
        return lines


def statistics_of(profiler: cProfile.Profile) -> dict[tuple[str, int, str], tuple[float, ...]]:
    """Return calls and times by function."""
    stats = pstats.Stats(profiler)
    return vars(stats)["stats"]  # type: ignore[no-any-return] # real, but not in the type stubs


def part_of(path: str, name: str) -> str:
    """Return the module of ours that a function belongs to, or the kind of system call."""
    if "/shoal/" in path:
        return "shoal." + path.rpartition("/shoal/")[2].removesuffix(".py").replace("/", ".")
    if "socket" in name:
        return "system calls of sockets"
    if "poll" in name:
        return "waiting in poll"
    if "asyncio" in path or "Future" in name or "Task" in name or "Context" in name:
        return "asyncio"
    return "built-in and other code"
