"""What is measured of each side."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

MIB = 1_048_576  # bytes


@dataclass(frozen=True, slots=True)
class Plan:
    """How much."""

    messages: int  # in the long history
    longest: int  # of Shoal alone
    texts: int
    openings: int
    groups: int


@dataclass(slots=True)
class Times:
    """Seconds, one entry per try; memory in MiB."""

    heard: list[float] = field(default_factory=list)
    cloned: list[float] = field(default_factory=list)
    opened: list[float] = field(default_factory=list)  # start to the first page
    page: list[float] = field(default_factory=list)  # the first one, asked for to had
    whole: list[float] = field(default_factory=list)  # all messages
    memory_before: float | None = None  # of the process, before there were more conversations
    memory: float | None = None  # and with them

    @property
    def memory_more(self) -> float | None:
        """What the further conversations take."""
        if self.memory is None or self.memory_before is None:
            return None
        return self.memory - self.memory_before


def allocated(process: int) -> float:
    """Return what a process allocated, in MiB."""
    for line in Path(f"/proc/{process}/smaps_rollup").read_text().splitlines():
        if line.startswith("Anonymous:"):
            return int(line.split()[1]) * 1_024 / MIB
    raise AssertionError("the kernel does not tell")
