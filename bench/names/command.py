"""The command `python -m bench names`."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import click
from rich.console import Console

from bench.names.plan import FULL, QUICK, Bench
from bench.options import json_option, page_option

if TYPE_CHECKING:
    from pathlib import Path


@click.command()
@click.option("--quick", is_flag=True, help="Fewer names and rounds: half a minute.")
@json_option
@page_option
def names(quick: bool, as_json: bool, page: Path | None) -> None:
    """A name server on its embedded chain, in a process of its own, over loopback.

    Lookups per second on connections that stay open and on such that close, Jami's way;
    registrations per second; how long a start takes; what memory names take.
    """
    progress = Console(stderr=True, quiet=as_json)
    report = Bench(QUICK if quick else FULL, progress).run()
    if page is not None:
        report.write_page(page)
    if as_json:
        click.echo(json.dumps(report.as_json(), indent=2))
    else:
        report.print(Console())
