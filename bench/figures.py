"""Figures of two sides and their ratios: as a table, as JSON, as a page of the documentation."""

from __future__ import annotations

import os
import platform
import statistics
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from rich.table import Table

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.console import Console

PAGE_BEGIN: Final = "<!-- measured: {} begin -->"
PAGE_END: Final = "<!-- measured: {} end -->"
CPU_MODEL: Final = Path("/proc/cpuinfo")


@dataclass(frozen=True, slots=True)
class Figure:
    """One thing measured on both sides: the median of its samples.

    Attributes:
        name: what was measured.
        unit: of both sides.
        theirs: the peer's median; None where there is nothing to compare with.
        ours: Shoal's median.
        more_is_better: a rate, not a time or a size.
        aim: the ratio that we aim at, in the sense of `ratio`; None where there is no aim.
        note: whatever a reader must know to read it rightly.
    """

    name: str
    unit: str
    theirs: float | None
    ours: float | None
    more_is_better: bool = False
    aim: float | None = None
    note: str = ""

    @property
    def ratio(self) -> float | None:
        """Ours divided by theirs."""
        if not self.theirs or self.ours is None:
            return None
        return self.ours / self.theirs

    @property
    def is_on_target(self) -> bool | None:
        """Whether the ratio meets the aim; None without an aim."""
        if self.aim is None or self.ratio is None:
            return None
        return self.ratio >= self.aim if self.more_is_better else self.ratio <= self.aim


@dataclass(slots=True)
class Section:
    """Figures that belong together, under a title."""

    title: str
    figures: list[Figure] = field(default_factory=list)
    text: list[str] = field(default_factory=list)


@dataclass(slots=True)
class Report:
    """All that one bench measured; *peer* is empty where there is nobody to compare with."""

    name: str
    peer: str
    sections: list[Section] = field(default_factory=list)

    def print(self, console: Console) -> None:
        """Print a table per section."""
        beside = f"; {self.peer} beside shoal" if self.peer else ""
        console.print(f"{machine()}{beside}", highlight=False)
        for section in self.sections:
            console.print()
            if section.figures:
                console.print(self._table(section))
            for line in section.text:
                console.print(line, highlight=False, markup=False)

    def as_json(self) -> dict[str, Any]:
        """Return everything for scripts."""
        return {
            "bench": self.name,
            "peer": self.peer,
            "machine": machine(),
            "sections": [
                {
                    "title": section.title,
                    "figures": [
                        asdict(each) | {"ratio": each.ratio, "is_on_target": each.is_on_target}
                        for each in section.figures
                    ],
                    "text": section.text,
                }
                for section in self.sections
            ],
        }

    def as_markdown(self) -> str:
        """Return the tables for a page."""
        beside = f"; {self.peer} beside Shoal" if self.peer else ""
        lines = [f"Measured on {machine()}{beside}, medians.", ""]
        for section in self.sections:
            lines += [f"### {section.title}", ""]
            if section.figures:
                if self.peer:
                    lines += [
                        f"| | {self.peer} | Shoal | ratio | aim |",
                        "| --- | ---: | ---: | ---: | --- |",
                    ]
                else:
                    lines += ["| | Shoal |", "| --- | ---: |"]
                rows = [self._cells(each) for each in section.figures]
                lines += ["| " + " | ".join(row) + " |" for row in rows]
                lines.append("")
            if section.text:
                lines += ["```text", *section.text, "```", ""]
        return "\n".join(lines)

    def write_page(self, page: Path) -> None:
        """Put the tables between their marks in *page*.

        Raises:
            ValueError: the page lacks the marks.
        """
        begin, end = PAGE_BEGIN.format(self.name), PAGE_END.format(self.name)
        text = page.read_text()
        before, found_begin, rest = text.partition(begin)
        _, found_end, after = rest.partition(end)
        if not (found_begin and found_end):
            raise ValueError(f"{page} has no marks {begin} and {end}")
        page.write_text(f"{before}{begin}\n\n{self.as_markdown()}\n{end}{after}")

    def _table(self, section: Section) -> Table:
        table = Table(title=section.title, title_justify="left", title_style="bold")
        table.add_column("")
        for header in (self.peer, "shoal", "ratio") if self.peer else ("shoal",):
            table.add_column(header, justify="right")
        if self.peer:
            table.add_column("aim")
        for figure in section.figures:
            style = {True: "green", False: "red", None: ""}[figure.is_on_target]
            table.add_row(*self._cells(figure), style=style)
        return table

    def _cells(self, figure: Figure) -> list[str]:
        """Return the cells of a row; where there is no peer, only ours."""
        shown = cells(figure)
        return shown if self.peer else [shown[0], shown[2]]


def cells(figure: Figure) -> list[str]:
    """Return the figure as the cells of a row."""
    name = f"{figure.name}, {figure.unit}" + (f" ({figure.note})" if figure.note else "")
    sign = "≥" if figure.more_is_better else "≤"
    ratio = "" if figure.ratio is None else f"{figure.ratio:.2f}×"
    aim = "" if figure.aim is None else f"{sign} {figure.aim:g}×"
    if figure.is_on_target is not None:
        aim += " ✓" if figure.is_on_target else " missed"
    return [name, readable(figure.theirs), readable(figure.ours), ratio, aim]


def readable(number: float | None) -> str:
    """Return three significant digits, or all digits before the point."""
    if number is None:
        return "–"
    if abs(number) >= 100 or number == int(number):  # noqa: PLR2004 - three digits already
        return f"{number:,.0f}"
    return f"{number:.3g}"


def median(samples: Sequence[float]) -> float | None:
    """Return the median, or None of nothing."""
    return statistics.median(samples) if samples else None


def slope(points: Sequence[tuple[float, float]]) -> float:
    """Return the slope of the line of least squares through (x, y) *points*."""
    return statistics.linear_regression(*zip(*points, strict=True)).slope


def machine() -> str:
    """Say what this machine is, without naming it."""
    lines = CPU_MODEL.read_text().splitlines() if CPU_MODEL.exists() else []
    models = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    model = models[0] if models else platform.machine()
    cores = len(os.sched_getaffinity(0))
    return f"{model}, {cores} cores, Python {platform.python_version()}"
