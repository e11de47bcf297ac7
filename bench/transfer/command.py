"""The command `python -m bench files`."""

from __future__ import annotations

import json
from pathlib import Path

import click
from rich.console import Console

from bench.transfer.plan import FULL, QUICK, Bench


@click.command()
@click.option("--quick", is_flag=True, help="Fewer rounds of smaller files: half a minute.")
@click.option("--json", "as_json", is_flag=True, help="Print everything as JSON.")
@click.option("--jamid", "has_jamid", is_flag=True, help="Beside two jamid 13.7; needs root.")
@click.option(
    "--page",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="Write the tables into this page of the documentation, between its marks.",
)
def files(quick: bool, as_json: bool, has_jamid: bool, page: Path | None) -> None:
    """Files in conversations: fetched from one node by another.

    On loopback between two processes; with --jamid also between two namespaces, where two jamid
    13.7 do the same. From asking for a file to the word that it is whole, checked by its SHA3-512.
    """
    progress = Console(stderr=True, quiet=as_json)
    report = Bench(QUICK if quick else FULL, progress).run(has_jamid=has_jamid)
    if page is not None:
        report.write_page(page)
    if as_json:
        click.echo(json.dumps(report.as_json(), indent=2))
    else:
        report.print(Console())
