"""Options that the benches share."""

from __future__ import annotations

from pathlib import Path

import click

json_option = click.option("--json", "as_json", is_flag=True, help="Print everything as JSON.")
jamid_option = click.option(
    "--jamid", "has_jamid", is_flag=True, help="Beside two jamid 13.7; needs root."
)
page_option = click.option(
    "--page",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="Write the tables into this page of the documentation, between its marks.",
)
