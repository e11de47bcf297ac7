"""`shoal sim`: networks in virtual time."""

from __future__ import annotations

import json
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click

from shoal.cli.common import Group, check_plot

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from shoal.sim.dht import DhtReport, Progress


@click.group(cls=Group)
def sim() -> None:
    """Run whole networks in virtual time, on one core, from one seed."""


@sim.command()
@click.option("--nodes", type=int, default=1000, show_default=True, help="How many nodes.")
@click.option("--seed", type=int, default=1, show_default=True, help="Decides all chance.")
@click.option(
    "--churn",
    type=float,
    default=0.0,
    show_default=True,
    metavar="FRACTION",
    help="Fraction of the nodes that crash and are replaced, per hour.",
)
@click.option(
    "--loss",
    type=float,
    default=0.01,
    show_default=True,
    metavar="P",
    help="Probability that a datagram vanishes.",
)
@click.option(
    "--duration",
    type=float,
    default=600.0,
    show_default=True,
    metavar="S",
    help="Virtual seconds measured, once the network has formed.",
)
@click.option(
    "--lookups", type=int, default=1000, show_default=True, help="Values looked up in that time."
)
@click.option(
    "--plot",
    type=click.Path(path_type=Path, dir_okay=False, writable=True),
    metavar="FILE",
    help="Draw the run as .png, .svg or .pdf (needs the extra shoal[sim]).",
)
@click.option("--json", "as_json", is_flag=True, help="Print the report as JSON.")
def dht(
    nodes: int,
    seed: int,
    churn: float,
    loss: float,
    duration: float,
    lookups: int,
    plot: Path | None,
    as_json: bool,
) -> None:
    """Simulate a DHT: nodes join over the Internet, put values, come and go, and look values up.

    The engines are those of real nodes. Equal options give equal reports, bit for bit; the report
    ends in a digest of every datagram. Exit status: 1
    if a lookup failed, or none could begin.
    """
    from shoal.sim.dht import DhtScenario, run_dht  # noqa: PLC0415 - only this command needs it
    from shoal.sim.errors import ScenarioError  # noqa: PLC0415 - as above

    if plot is not None:
        check_plot(plot)
    try:
        scenario = DhtScenario(
            nodes=nodes, seed=seed, churn=churn, loss=loss, duration=duration, lookups=lookups
        )
        with _progress_bar() as show:
            report = run_dht(scenario, show)
        if plot is not None:
            from shoal.sim.dht.plot import plot_report  # noqa: PLC0415 - may need matplotlib

            plot_report(report, str(plot))
    except ScenarioError as error:
        raise click.UsageError(str(error)) from error
    except OSError as error:
        raise click.FileError(str(plot), error.strerror or str(error)) from error
    if as_json:
        click.echo(json.dumps(report.to_json(), indent=2))
    else:
        _print(report, plot)
    is_idle = bool(lookups) and not report.results  # as when no value could be put
    if is_idle or report.found < len(report.results):
        raise SystemExit(1)


@contextmanager
def _progress_bar() -> Iterator[Callable[[Progress], None] | None]:
    """Give what shows progress on a terminal; None where nobody would see it."""
    from rich.console import Console  # noqa: PLC0415 - slow to import
    from rich.progress import (  # noqa: PLC0415 - as above
        BarColumn,
        TaskProgressColumn,
        TextColumn,
        TimeElapsedColumn,
    )
    from rich.progress import Progress as Bar  # noqa: PLC0415 - as above

    console = Console(stderr=True)
    if not console.is_terminal:
        yield None
        return
    columns = (
        TextColumn("[bold]{task.description:<10}"),
        BarColumn(bar_width=30),
        TaskProgressColumn(),
        TextColumn("{task.fields[figures]}"),
        TimeElapsedColumn(),
    )
    with Bar(*columns, console=console, transient=True) as bar:
        task = bar.add_task("joining", total=1.0, figures="")

        def show(progress: Progress) -> None:
            figures = (
                f"{progress.nodes:,} nodes  {progress.found:,}/{progress.lookups:,} found"
                f"  {progress.packets:,} datagrams"
            )
            done = min(1.0, progress.moment / progress.end)
            bar.update(task, completed=done, description=progress.phase, figures=figures)

        yield show


def _print(report: DhtReport, plot: Path | None) -> None:
    """Print a table for people."""
    from rich.console import Console  # noqa: PLC0415 - slow to import
    from rich.table import Table  # noqa: PLC0415 - as above

    from shoal.sim.dht.report import percentile  # noqa: PLC0415 - as above

    table = Table(show_header=False, box=None, pad_edge=False, padding=(0, 3, 0, 0))
    scenario, measuring = report.scenario, report.measuring

    def times(ordered: list[float]) -> str:
        marks = [1000 * percentile(ordered, part) for part in (0.5, 0.9, 0.99)] if ordered else []
        return "median {:.0f} ms, 90 % {:.0f} ms, 99 % {:.0f} ms".format(*marks) if marks else "-"

    found, counted = report.found, len(report.results)
    looked_up = f"{found:,} of {counted:,} found their value"
    looked_up += f" ({report.success:.3%})" if counted else ""
    if not_begun := scenario.lookups - counted - report.void:
        looked_up += f"; {not_begun:,} could not begin"
    rows = [
        ("nodes", f"{scenario.nodes:,}, {report.replaced:,} replaced, {scenario.loss:.1%} loss"),
        ("values", f"{report.puts:,} put, {report.puts_failed:,} not acknowledged"),
        ("lookups", looked_up),
        ("hops", ", ".join(f"{hops}: {count:,}" for hops, count in report.hops.items()) or "-"),
        ("", f"mean {report.mean_hops:.2f}, {report.requests_per_lookup:.1f} requests per lookup"),
        ("to the value", times(report.first_value_times())),
        ("to the end", times(report.done_times())),
        ("joining", f"{report.joining.packets / scenario.nodes:,.0f} packets per node"),
        ("then per node", f"{measuring.packets_per_node_hour:,.0f} packets sent per hour"),
        ("", f"{measuring.bytes_per_node_hour / 1000:,.0f} kB sent per hour"),
        ("delivered", f"{report.events:,} datagrams, {report.lost:,} lost on the way"),
        ("trace", report.trace),
    ]
    for row in rows:
        table.add_row(*row)
    Console(highlight=False, soft_wrap=True).print(table)
    if plot is not None:
        click.echo(f"{'plot':<16}{plot}")  # whole, however long: it is to be opened
