"""The command `python -m bench dht`."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import click
from rich.console import Console

from bench.dht.plan import FULL, QUICK, Bench
from bench.options import json_option, page_option

if TYPE_CHECKING:
    from pathlib import Path


@click.command()
@click.option("--quick", is_flag=True, help="Fewer rounds: about a minute.")
@json_option
@click.option("--profile", is_flag=True, help="Add where the time of Shoal's packet path goes.")
@click.option("--seed", type=int, default=1, show_default=True, help="Draws keys and values.")
@page_option
def dht(quick: bool, as_json: bool, profile: bool, seed: int, page: Path | None) -> None:
    """DHT nodes of Shoal beside those of opendht, on loopback.

    Networks of 2 to 32 nodes; both sides take turns, and figures are medians. Both may use all
    cores: their nodes have threads of their own, ours are spread over as many processes as there
    are cores. Latency one by one, thousands of operations at once under the default limits and
    without any, listen fan-out; memory per node and packets per processor second, of one process.
    """
    progress = Console(stderr=True, quiet=as_json)
    report = Bench(QUICK if quick else FULL, seed, progress).run(is_profiled=profile)
    if page is not None:
        report.write_page(page)
    if as_json:
        click.echo(json.dumps(report.as_json(), indent=2))
    else:
        report.print(Console())
