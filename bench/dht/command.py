"""The command `python -m bench dht`."""

from __future__ import annotations

import json
from pathlib import Path

import click
from rich.console import Console

from bench.dht.plan import FULL, QUICK, Bench


@click.command()
@click.option("--quick", is_flag=True, help="Fewer rounds: about a minute.")
@click.option("--json", "as_json", is_flag=True, help="Print everything as JSON.")
@click.option("--profile", is_flag=True, help="Add where the time of Shoal's packet path goes.")
@click.option("--seed", type=int, default=1, show_default=True, help="Draws keys and values.")
@click.option(
    "--page",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="Write the tables into this page of the documentation, between its marks.",
)
def dht(quick: bool, as_json: bool, profile: bool, seed: int, page: Path | None) -> None:
    """DHT nodes of Shoal beside those of opendht, on loopback.

    Networks of 2 to 32 nodes, all nodes of a side in one process of its own; both sides take
    turns, and figures are medians. Latency one by one, thousands of operations at once under the
    default limits and without any, listen fan-out, memory per node, packets per processor second.
    """
    progress = Console(stderr=True, quiet=as_json)
    report = Bench(QUICK if quick else FULL, seed, progress).run(is_profiled=profile)
    if page is not None:
        report.write_page(page)
    if as_json:
        click.echo(json.dumps(report.as_json(), indent=2))
    else:
        report.print(Console())
