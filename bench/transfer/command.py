"""The command `python -m bench files`."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import click
from rich.console import Console

from bench.options import jamid_option, json_option, page_option
from bench.transfer.plan import FULL, QUICK, Bench

if TYPE_CHECKING:
    from pathlib import Path


@click.command()
@click.option("--quick", is_flag=True, help="Fewer rounds of smaller files: half a minute.")
@json_option
@jamid_option
@page_option
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
