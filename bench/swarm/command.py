"""The command `python -m bench swarm`."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import click
from rich.console import Console

from bench.options import json_option, page_option
from bench.swarm.plan import FULL, QUICK, Bench

if TYPE_CHECKING:
    from pathlib import Path


@click.command()
@click.option("--quick", is_flag=True, help="Histories of 500 messages: a few minutes.")
@json_option
@click.option("--alone", is_flag=True, help="Without jamid.")
@page_option
def swarm(quick: bool, as_json: bool, alone: bool, page: Path | None) -> None:
    """Conversations of two nodes of Shoal beside those of two jamid 13.7; needs root.

    Both pairs talk between two network namespaces, by one DHT. A text from being said to being
    heard; the first clone of a long history, the same for both, signed by keys of 4,096 bits;
    opening it; memory with 100 conversations open.
    """
    progress = Console(stderr=True, quiet=as_json)
    report = Bench(QUICK if quick else FULL, progress).run(has_jamid=not alone)
    if page is not None:
        report.write_page(page)
    if as_json:
        click.echo(json.dumps([report.as_json()], indent=2))
    else:
        report.print(Console())
