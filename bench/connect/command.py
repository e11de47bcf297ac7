"""The command `python -m bench connect`."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import click
from rich.console import Console

from bench.connect.plan import FULL, QUICK, Bench
from bench.options import jamid_option, json_option, page_option

if TYPE_CHECKING:
    from pathlib import Path


@click.command()
@click.option("--quick", is_flag=True, help="Fewer rounds: half a minute, and one beside jamid.")
@json_option
@jamid_option
@page_option
def connect(quick: bool, as_json: bool, has_jamid: bool, page: Path | None) -> None:
    """Connections of Shoal beside raw TLS and, with --jamid, beside jamid's.

    Throughput of one channel and of 200 on one connection, beside asyncio's streams over TLS, each
    between two processes on loopback, in turns. The time from "connect" to an open channel: on
    loopback without a DHT; with --jamid also from an account id, by a DHT, between two namespaces.
    """
    progress = Console(stderr=True, quiet=as_json)
    reports = Bench(QUICK if quick else FULL, progress).run(has_jamid=has_jamid)
    if page is not None:
        for report in reports:
            report.write_page(page)
    if as_json:
        click.echo(json.dumps([report.as_json() for report in reports], indent=2))
    else:
        for report in reports:
            report.print(Console())
