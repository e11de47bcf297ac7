"""Pictures of runs, drawn without a screen. Needs matplotlib: the extra `shoal[sim]`."""

from __future__ import annotations

import math
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final, TypeAlias

from shoal.sim.dht.report import DhtReport, RingPath, percentile
from shoal.sim.errors import ScenarioError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

NewFigure: TypeAlias = "Callable[[int, int, tuple[float, float]], tuple[Figure, list[Axes]]]"

# Ours: blues and an orange that stay apart in print and for colour-blind eyes.
INK: Final = "#1f2a37"
FAINT: Final = "#9aa5b1"
GRID: Final = "#e6e9ed"
DEEP: Final = "#0b5c8a"
LIGHT: Final = "#7fb7d6"
ACCENT: Final = "#d9722e"
PATH_COLOURS: Final = ("#0b5c8a", "#d9722e", "#4a8f5b", "#8a5aa8", "#b8493f", "#5b7c99")
STYLE: Final[dict[str, object]] = {
    "font.family": "sans-serif",
    "font.size": 10,
    "axes.edgecolor": FAINT,
    "axes.labelcolor": INK,
    "axes.titlecolor": INK,
    "axes.titlesize": 11,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": GRID,
    "text.color": INK,
    "xtick.color": INK,
    "ytick.color": INK,
    "legend.frameon": False,
    "svg.hashsalt": "shoal",  # equal reports give equal files
}
READABLE: Final = 3.0  # percent: shorter bars get no label
DOTS_MAX: Final = 2000  # nodes drawn on the ring; more are thinned out evenly


def plot_report(report: DhtReport, path: str) -> None:
    """Draw one run: hops, times, the ring, and the network over time.

    Args:
        report: what `run_dht` returned.
        path: where to; the ending chooses the format, png, svg or pdf.

    Raises:
        ScenarioError: matplotlib is not installed, or does not know the ending.
        OSError: the file cannot be written.
    """
    scenario = report.scenario
    with styled() as new_figure:
        figure, axes = new_figure(2, 2, (12.0, 9.0))
        _draw_hops(axes[0], report)
        _draw_times(axes[1], report)
        _draw_ring(axes[2], report)
        _draw_growth(axes[3], report)
        figure.suptitle(
            f"{scenario.nodes:,} nodes, {100 * scenario.loss:g} % loss,"
            f" {100 * scenario.churn:g} % replaced per hour:"
            f" {report.found:,} of {len(report.results):,} lookups found their value",
            x=0.07,
            ha="left",
            fontsize=14,
            fontweight="bold",
        )
        figure.text(
            0.07,
            0.012,
            f"seed {scenario.seed}   trace {report.trace[:16]}   {report.events:,} datagrams",
            color=FAINT,
            fontsize=8,
        )
        save(figure, path)


def save(figure: Figure, path: str) -> None:
    """Write *figure* to *path*.

    Raises:
        ScenarioError: no such format.
        OSError: the file cannot be written.
    """
    metadata = {"Date": None} if path.endswith((".svg", ".svgz")) else None
    try:
        figure.savefig(path, dpi=150, facecolor="white", metadata=metadata)
    except ValueError as error:
        raise ScenarioError(f"cannot draw to {path}: use .png, .svg or .pdf") from error


@contextmanager
def styled() -> Iterator[NewFigure]:
    """Give what makes figures, in our style; matplotlib loads only here.

    Raises:
        ScenarioError: matplotlib is not installed.
    """
    try:
        import matplotlib as mpl  # noqa: PLC0415 - takes more than a second
    except ImportError as error:
        raise ScenarioError("plots need matplotlib: install shoal[sim]") from error
    with mpl.rc_context(STYLE):  # type: ignore[arg-type]
        yield _new_figure


def _new_figure(rows: int, columns: int, size: tuple[float, float]) -> tuple[Figure, list[Axes]]:
    """Return an empty figure with its axes, row by row."""
    from matplotlib.figure import Figure  # noqa: PLC0415 - as above

    figure = Figure(figsize=size)
    axes = [figure.add_subplot(rows, columns, place + 1) for place in range(rows * columns)]
    figure.subplots_adjust(left=0.07, right=0.94, top=0.88, bottom=0.09, wspace=0.24, hspace=0.34)
    return figure, axes


def _draw_hops(axes: Axes, report: DhtReport) -> None:
    """Bars for how many lookups took how many hops, and what fraction took at most that many."""
    axes.set_title("Hops to the first node that held the value")
    counted = report.hops
    if not counted:
        _say_nothing(axes)
        return
    total = sum(counted.values())
    hops = list(range(max(counted) + 1))
    shares = [100 * counted.get(number, 0) / total for number in hops]
    bars = axes.bar(hops, shares, width=0.72, color=LIGHT, label="exactly so many")
    labels = [f"{share:.1f}" if share >= READABLE else "" for share in shares]
    axes.bar_label(bars, labels, fontsize=8, label_type="center", color=INK)
    so_far = [sum(shares[: number + 1]) for number in hops]
    axes.plot(hops, so_far, color=DEEP, marker="o", markersize=4, label="at most so many")
    axes.axvline(report.mean_hops, color=ACCENT, linewidth=1.5, linestyle="--")
    mean = f"mean {report.mean_hops:.2f} "
    axes.text(report.mean_hops, 104, mean, color=ACCENT, va="center", ha="right")
    axes.set(xlabel="hops", ylabel="% of lookups", ylim=(0, 109), xticks=hops)
    axes.legend(loc="center right")


def _draw_times(axes: Axes, report: DhtReport) -> None:
    """The fraction of lookups that were done within a time."""
    axes.set_title("Time of a lookup")
    curves = (
        (report.first_value_times(), DEEP, "until the value"),
        (report.done_times(), ACCENT, "until every close node answered"),
    )
    if not any(times for times, _, _ in curves):
        _say_nothing(axes)
        return
    for times, colour, label in curves:
        if times:
            heights = [100 * (place + 1) / len(times) for place in range(len(times))]
            axes.plot([1000 * time for time in times], heights, color=colour, label=label)
            median = 1000 * percentile(times, 0.5)
            axes.plot([median], [50], marker="o", color=colour)
            axes.annotate(f"{median:.0f} ms", (median, 50), (6, -12), textcoords="offset points",
                          color=colour)  # fmt: skip
    axes.set_xscale("log")
    axes.xaxis.set_major_formatter(lambda number, _: f"{number:g}")
    axes.set(xlabel="milliseconds", ylabel="% of lookups", ylim=(0, 103))
    axes.legend(loc="upper left")


def _draw_ring(axes: Axes, report: DhtReport) -> None:
    """Nodes on the circle of ids, and the ways of some lookups across it."""
    axes.set_title("Lookups across the ring of ids")
    axes.set_aspect("equal")
    axes.axis("off")
    thinned = report.ring[:: max(1, math.ceil(len(report.ring) / DOTS_MAX))]
    points = [_point(place) for place in thinned]
    size = max(1.0, min(14.0, 6000 / max(1, len(points))))
    axes.scatter([x for x, _ in points], [y for _, y in points], s=size, color=FAINT, linewidths=0)
    for number, path in enumerate(report.paths):
        _draw_path(axes, path, PATH_COLOURS[number % len(PATH_COLOURS)])
    axes.set(xlim=(-1.25, 1.25), ylim=(-1.12, 1.12))
    axes.text(0, -1.2, "○ looker   ● asked on the way   ★ key", ha="center", fontsize=9, color=INK)


def _draw_path(axes: Axes, path: RingPath, colour: str) -> None:
    """Draw each referral as a bow through the inside of the ring, and the key just outside."""
    for start, end in zip(path.stations, path.stations[1:], strict=False):
        bow = [_bow(_point(start), _point(end), step / 24) for step in range(25)]
        axes.plot([x for x, _ in bow], [y for _, y in bow], color=colour, linewidth=1.1, alpha=0.85)
    spots = [_point(station) for station in path.stations]
    axes.plot(*spots[0], marker="o", markersize=6, markerfacecolor="white", color=colour)
    for spot in spots[1:]:
        axes.plot(*spot, marker="o", markersize=4, color=colour)
    axes.plot(*_point(path.key, 1.06), marker="*", markersize=8, color=colour)


def _draw_growth(axes: Axes, report: DhtReport) -> None:
    """How many nodes are there and connected, and what each of them sends."""
    axes.set_title("The network over time")
    minutes = [sample.moment / 60 for sample in report.samples]
    connected = [sample.connected for sample in report.samples]
    axes.fill_between(minutes, connected, color=LIGHT, alpha=0.55, linewidth=0)
    axes.plot(minutes, [sample.nodes for sample in report.samples], color=DEEP, linewidth=1.2)
    axes.set(xlabel="virtual minutes", ylabel="nodes (line), connected (area)", xlim=(0, None))
    axes.set_ylim(0, 1.15 * report.scenario.nodes)
    axes.axvspan(
        report.scenario.measure_start / 60,
        report.scenario.measure_end / 60,
        color=ACCENT,
        alpha=0.06,
        linewidth=0,
        label="measured",
    )
    axes.legend(loc="upper right")
    rates = axes.twinx()
    rates.plot(
        minutes,
        [sample.packets_per_node_second for sample in report.samples],
        color=ACCENT,
        linewidth=1.2,
    )
    rates.set_ylabel("packets sent per node and second", color=ACCENT)
    rates.set_ylim(0, None)
    rates.grid(visible=False)
    rates.spines["top"].set_visible(False)


def _say_nothing(axes: Axes) -> None:
    axes.text(0.5, 0.5, "no lookup found its value", ha="center", transform=axes.transAxes)


def _point(place: float, radius: float = 1.0) -> tuple[float, float]:
    """Return where a fraction of the ring stands, from the top clockwise."""
    angle = 2 * math.pi * place
    return radius * math.sin(angle), radius * math.cos(angle)


def _bow(start: Sequence[float], end: Sequence[float], part: float) -> tuple[float, float]:
    """Return a point of the quadratic curve from *start* to *end*, bent to the centre."""
    bend = [0.35 * (a + b) / 2 for a, b in zip(start, end, strict=True)]
    rest = 1 - part
    x, y = (
        rest * rest * a + 2 * rest * part * m + part * part * b
        for a, m, b in zip(start, bend, end, strict=True)
    )
    return x, y
