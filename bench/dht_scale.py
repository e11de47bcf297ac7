"""`python -m bench dht-scale`: what happens to a DHT when it grows tenfold, and tenfold again.

Simulated with the engine of real nodes; see docs/topics/scale.md for how to read it. Everything but
the processor time and the memory follows from the seeds and is the same on every machine.
"""

from __future__ import annotations

import json
import math
import resource
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from bench.figures import PAGE_BEGIN, PAGE_END, machine
from bench.options import json_option, page_option
from shoal.sim.dht import DhtReport, DhtScenario, Progress, run_dht
from shoal.sim.dht.plot import ACCENT, DEEP, FAINT, LIGHT, save, styled
from shoal.sim.dht.report import percentile

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.axes import Axes

HOUR: Final = 3600.0
CHURN: Final = 0.2  # of the nodes per hour
LOOKUPS_PER_NODE: Final = 1  # while measuring, the same for all sizes: so costs compare
TELL_EVERY: Final = 20.0  # seconds between lines of progress
MARK: Final = "dht-scale"
COLOURS: Final = (LIGHT, DEEP, ACCENT)


@dataclass(frozen=True, slots=True)
class Size:
    """One size of network, run with several seeds where one run has few lookups."""

    nodes: int
    seeds: int


FULL: Final = (Size(100, 20), Size(1000, 4), Size(10_000, 1))
QUICK: Final = (Size(30, 2), Size(100, 1))


@dataclass(frozen=True, slots=True)
class Run:
    """One run, and what it took of this machine."""

    report: DhtReport
    cpu_seconds: float
    peak_bytes: int


@dataclass(frozen=True, slots=True)
class Row:
    """All runs of one size under one churn."""

    nodes: int
    churn: float
    runs: tuple[Run, ...]

    @property
    def reports(self) -> list[DhtReport]:
        """What the runs showed."""
        return [run.report for run in self.runs]

    @property
    def lookups(self) -> int:
        """Lookups of all runs."""
        return sum(len(report.results) for report in self.reports)

    @property
    def found(self) -> int:
        """Those that found their value."""
        return sum(report.found for report in self.reports)

    @property
    def success(self) -> float:
        """Their fraction."""
        return self.found / max(1, self.lookups)

    @property
    def hops(self) -> list[int]:
        """Hops of all successful lookups, fewest first."""
        results = [result for report in self.reports for result in report.results]
        return sorted(result.hops for result in results if result.hops is not None)

    @property
    def mean_hops(self) -> float:
        """Hops on average."""
        return sum(self.hops) / max(1, len(self.hops))

    @property
    def times(self) -> list[float]:
        """Seconds to the value, shortest first."""
        return sorted(seconds for report in self.reports for seconds in report.first_value_times())

    def mean(self, name: str) -> float:
        """Return a figure of the reports, averaged over the runs."""
        figures = [float(getattr(report, name)) for report in self.reports]
        return sum(figures) / len(figures)

    @property
    def packets_per_hour(self) -> float:
        """Packets that a node sends in an hour."""
        return sum(r.measuring.packets_per_node_hour for r in self.reports) / len(self.runs)

    @property
    def bytes_per_hour(self) -> float:
        """Bytes that a node sends in an hour."""
        return sum(r.measuring.bytes_per_node_hour for r in self.reports) / len(self.runs)

    @property
    def join_packets(self) -> float:
        """Packets per node until all had joined."""
        return sum(report.joining.packets for report in self.reports) / len(self.runs) / self.nodes

    @property
    def cpu_per_node_hour(self) -> float:
        """Processor seconds for one node's virtual hour, joining included, on this machine."""
        hours = sum(self.nodes * run.report.samples[-1].moment / HOUR for run in self.runs)
        return sum(run.cpu_seconds for run in self.runs) / hours

    @property
    def bytes_per_node(self) -> float:
        """Peak memory of the process per node, on this machine."""
        return max(run.peak_bytes for run in self.runs) / self.nodes


@click.command("dht-scale")
@click.option("--quick", is_flag=True, help="Two small networks: half a minute.")
@click.option(
    "--minutes", type=float, default=60.0, show_default=True, help="Virtual time measured."
)
@json_option
@click.option(
    "--plot", type=click.Path(path_type=Path, dir_okay=False), help="Draw to this .png or .svg."
)
@page_option
def dht_scale(
    quick: bool, minutes: float, as_json: bool, plot: Path | None, page: Path | None
) -> None:
    """Simulated DHTs of 100, 1,000 and 10,000 nodes, at rest and with a fifth replaced per hour.

    Hops, times, success and the cost per node; about half an hour and 5 GB on one core.
    """
    rows = measure(QUICK if quick else FULL, 60.0 * minutes)
    if plot is not None:
        draw(rows, str(plot))
    if page is not None:
        write_page(rows, page)
    if as_json:
        click.echo(json.dumps([as_figures(row) for row in rows], indent=2))
    else:
        click.echo(table(rows))


def measure(sizes: Sequence[Size], duration: float) -> list[Row]:
    """Run all sizes, at rest and under churn, each run in a process of its own."""
    rows = []
    for churn in (0.0, CHURN):
        for size in sizes:
            scenarios = [
                DhtScenario(
                    nodes=size.nodes,
                    seed=seed,
                    churn=churn,
                    duration=duration,
                    lookups=LOOKUPS_PER_NODE * size.nodes,
                )
                for seed in range(1, size.seeds + 1)
            ]
            runs = []
            for scenario in scenarios:
                # A fresh process each time, so that its peak memory is that of this run.
                with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
                    runs.append(pool.submit(run, scenario).result())
            rows.append(Row(size.nodes, churn, tuple(runs)))
    return rows


def run(scenario: DhtScenario) -> Run:
    """Run one scenario, telling the standard error how far it is."""
    told = time.monotonic()

    def tell(progress: Progress) -> None:
        nonlocal told
        if time.monotonic() - told > TELL_EVERY:
            told = time.monotonic()
            print(
                f"{scenario.nodes:,} nodes, churn {scenario.churn:g}, seed {scenario.seed}:"
                f" {progress.phase} {progress.moment:,.0f} of {progress.end:,.0f} s,"
                f" {progress.found:,}/{progress.lookups:,} found",
                file=sys.stderr,
            )

    before = time.process_time()
    report = run_dht(scenario, tell)
    peak = 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return Run(report, time.process_time() - before, peak)


def as_figures(row: Row) -> dict[str, object]:
    """Return the figures of a row by name."""
    times = row.times or [math.nan]
    return {
        "nodes": row.nodes,
        "churn": row.churn,
        "runs": len(row.runs),
        "lookups": row.lookups,
        "found": row.found,
        "success": row.success,
        "mean_hops": round(row.mean_hops, 3),
        "hops": {str(hops): row.hops.count(hops) for hops in dict.fromkeys(row.hops)},
        "requests_per_lookup": round(row.mean("requests_per_lookup"), 2),
        "seconds_to_value": {f"p{p}": round(percentile(times, p / 100), 4) for p in (50, 90, 99)},
        "join_packets_per_node": round(row.join_packets, 1),
        "packets_per_node_hour": round(row.packets_per_hour, 1),
        "bytes_per_node_hour": round(row.bytes_per_hour),
        "replaced": sum(report.replaced for report in row.reports),
        "datagrams": sum(report.events for report in row.reports),
        "cpu_seconds_per_node_hour": round(row.cpu_per_node_hour, 4),
        "peak_bytes_per_node": round(row.bytes_per_node),
        "traces": [report.trace for report in row.reports],
    }


def table(rows: Sequence[Row]) -> str:
    """Return the figures as a Markdown table."""
    heads = (
        "nodes", "replaced per hour", "lookups", "found", "mean hops", "99 % within",
        "requests each", "time to value: median, 99 %", "packets per node: to join, per hour",
        "kB per node and hour", "CPU ms per node and hour", "memory per node",
    )  # fmt: skip
    lines = [f"| {' | '.join(heads)} |", "|" + " ---: |" * len(heads)]
    for row in rows:
        times, hops = row.times or [math.nan], row.hops or [0]
        cells = (
            f"{row.nodes:,}",
            f"{row.churn:.0%}",
            f"{row.lookups:,}",
            f"{row.success:.3%}",
            f"{row.mean_hops:.2f}",
            f"{percentile(hops, 0.99)}",
            f"{row.mean('requests_per_lookup'):.1f}",
            f"{1000 * percentile(times, 0.5):.0f} ms, {1000 * percentile(times, 0.99):.0f} ms",
            f"{row.join_packets:.0f}, {row.packets_per_hour:.0f}",
            f"{row.bytes_per_hour / 1000:.0f}",
            f"{1000 * row.cpu_per_node_hour:.0f}",
            f"{row.bytes_per_node / 1000:.0f} kB",
        )
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def write_page(rows: Sequence[Row], page: Path) -> None:
    """Put the table between the marks of a page."""
    begin, end = PAGE_BEGIN.format(MARK), PAGE_END.format(MARK)
    before, found, rest = page.read_text().partition(begin)
    _, ended, after = rest.partition(end)
    if not (found and ended):
        raise click.UsageError(f"{page} has no marks {begin} and {end}")
    minutes = rows[0].reports[0].scenario.duration / 60.0
    heading = f"{minutes:g} virtual minutes measured, on {machine()}."
    page.write_text(f"{before}{begin}\n\n{heading}\n\n{table(rows)}\n\n{end}{after}")


def draw(rows: Sequence[Row], path: str) -> None:
    """Draw hops, their growth, times and costs."""
    resting = [row for row in rows if not row.churn]
    churning = [row for row in rows if row.churn]
    with styled() as new_figure:
        figure, axes = new_figure(2, 2, (12.0, 9.0))
        _draw_hops(axes[0], resting)
        _draw_growth(axes[1], resting, churning)
        _draw_times(axes[2], resting)
        _draw_cost(axes[3], resting, churning)
        figure.suptitle(
            f"A DHT that grows: {resting[0].nodes:,} to {resting[-1].nodes:,} nodes."
            f" Found: {min(row.success for row in resting):.2%} at rest,"
            f" {min(row.success for row in churning):.2%} with 20 % replaced per hour",
            x=0.07,
            ha="left",
            fontsize=14,
            fontweight="bold",
        )
        save(figure, path)


def _draw_hops(axes: Axes, rows: Sequence[Row]) -> None:
    axes.set_title("Hops to the first node that held the value")
    width = 0.8 / len(rows)
    for number, (row, colour) in enumerate(zip(rows, COLOURS, strict=False)):
        counted = [row.hops.count(hops) for hops in range(max(row.hops, default=0) + 1)]
        shares = [100 * count / max(1, sum(counted)) for count in counted]
        places = [hops + (number - (len(rows) - 1) / 2) * width for hops in range(len(shares))]
        axes.bar(places, shares, width=width, color=colour, label=f"{row.nodes:,} nodes")
    most = max(max(row.hops, default=0) for row in rows)
    axes.set(xlabel="hops", ylabel="% of lookups", xticks=range(most + 1))
    axes.legend()


def _draw_growth(axes: Axes, resting: Sequence[Row], churning: Sequence[Row]) -> None:
    axes.set_title("Hops grow with the logarithm of the network")
    logs = [math.log2(row.nodes) for row in resting]
    means = [row.mean_hops for row in resting]
    slope, base = _line(logs, means)
    ends = [min(logs) - 0.5, max(logs) + 0.5]
    axes.plot(
        [2**end for end in ends],
        [base + slope * end for end in ends],
        color=FAINT,
        linestyle="--",
        label=f"{base:.2f} + {slope:.2f} · log₂ n",
    )
    for rows, colour, label in (
        (resting, DEEP, "mean, at rest"),
        (churning, ACCENT, "mean, 20 % replaced per hour"),
    ):
        sizes = [row.nodes for row in rows]
        axes.plot(sizes, [row.mean_hops for row in rows], "o", color=colour, label=label)
    ninety_nine = [percentile(row.hops or [0], 0.99) for row in resting]
    axes.plot(
        [row.nodes for row in resting], ninety_nine, "^", color=LIGHT, label="99 % need at most"
    )
    axes.set_xscale("log")
    axes.set(xlabel="nodes", ylabel="hops", ylim=(0, None))
    axes.legend(loc="upper left")


def _draw_times(axes: Axes, rows: Sequence[Row]) -> None:
    axes.set_title("Time to the value")
    for row, colour in zip(rows, COLOURS, strict=False):
        times = row.times
        heights = [100 * (place + 1) / len(times) for place in range(len(times))]
        axes.plot(
            [1000 * seconds for seconds in times],
            heights,
            color=colour,
            label=f"{row.nodes:,} nodes",
        )
    axes.set(xlabel="milliseconds", ylabel="% of lookups", xlim=(0, 1200), ylim=(0, 103))
    axes.legend(loc="lower right")


def _draw_cost(axes: Axes, resting: Sequence[Row], churning: Sequence[Row]) -> None:
    axes.set_title("What a node sends in an hour")
    for rows, colour, label in (
        (resting, DEEP, "at rest"),
        (churning, ACCENT, "20 % replaced per hour"),
    ):
        sizes = [row.nodes for row in rows]
        packets = [row.packets_per_hour for row in rows]
        axes.plot(sizes, packets, "o-", color=colour, label=label)
        for row in rows:
            axes.annotate(
                f"{row.bytes_per_hour / 1000:.0f} kB",
                (row.nodes, row.packets_per_hour),
                (0, 8),
                textcoords="offset points",
                ha="center",
                fontsize=8,
                color=colour,
            )
    axes.set_xscale("log")
    axes.set(xlabel="nodes", ylabel="packets", ylim=(0, None))
    axes.legend(loc="lower right")


def _line(xs: Sequence[float], ys: Sequence[float]) -> tuple[float, float]:
    """Return slope and height at zero of the line of least squares."""
    middle_x, middle_y = sum(xs) / len(xs), sum(ys) / len(ys)
    spread = sum((x - middle_x) ** 2 for x in xs)
    slope = sum((x - middle_x) * (y - middle_y) for x, y in zip(xs, ys, strict=True)) / spread
    return slope, middle_y - slope * middle_x
