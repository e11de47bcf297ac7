"""`python -m bench paths`: nodes behind every kind of router call each other."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Final

import click

from tests.peers.coturn import CoturnProcess
from tests.peers.crossings import measure, table
from tests.peers.town import Town

PAGE: Final = Path(__file__).parents[2] / "docs" / "topics" / "paths.md"
MARKS: Final = ("<!-- python -m bench paths --write -->\n", "<!-- end -->\n")


@click.command()
@click.option("--write", is_flag=True, help="Put the table into docs/topics/paths.md.")
def paths(*, write: bool) -> None:
    """Connect nodes behind each kind of NAT, with a relay at hand. Needs root and coturn.

    Prints the table of docs/topics/paths.md: callers down, callees across, each with the path that
    was found and the seconds from `connect` to the open channel.
    """
    with tempfile.TemporaryDirectory() as folder, Town(Path(folder)) as town:
        turn = town.keep(CoturnProcess(town.home("turn"), town.bench.add_host()))
        rows = table(measure(town, turn))
    print(rows, end="")
    if write:
        PAGE.write_text(with_table(PAGE.read_text(), rows))


def with_table(page: str, rows: str) -> str:
    """Return *page* with the table between its marks replaced."""
    before, begin, rest = page.partition(MARKS[0])
    _, end, after = rest.partition(MARKS[1])
    return f"{before}{begin}\n{rows}\n{end}{after}"
