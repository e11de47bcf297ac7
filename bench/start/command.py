"""The command `python -m bench start`."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import click
from rich.console import Console

from bench.options import json_option, page_option
from bench.start.plan import measure

if TYPE_CHECKING:
    from pathlib import Path


@click.command()
@click.option("--rounds", type=click.IntRange(1), default=5, show_default=True, metavar="N")
@click.option(
    "--idle",
    type=click.FloatRange(1),
    default=60.0,
    show_default=True,
    metavar="SECONDS",
    help="How long to look at a node that does nothing.",
)
@json_option
@page_option
def start(rounds: int, idle: float, as_json: bool, page: Path | None) -> None:
    """Start `shoal up` with one account: to its page, and to its first message read; then idling.

    From the start of the process. A round that does not count comes first, so Python has compiled
    all modules, as installing does.
    """
    report = measure(Console(stderr=True, quiet=as_json), rounds, idle)
    if page is not None:
        report.write_page(page)
    if as_json:
        click.echo(json.dumps(report.as_json(), indent=2))
    else:
        report.print(Console())
