"""`shoal token`: what programs prove themselves with at the HTTP API."""

# ruff: noqa: PLC0415 - commands load what they use

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import click

from shoal.cli.common import Exit, Group, emit, json_option, runs_async
from shoal.cli.home import home_option, printable, when

if TYPE_CHECKING:
    from shoal.web import Token, TokenFile

DAY: int = 24 * 3600  # seconds


@click.group(cls=Group)
def token() -> None:
    """Tokens, by which programs may use the HTTP API of your node."""


@token.command()
@click.argument("label")
@click.option(
    "--scope",
    "scopes",
    multiple=True,
    required=True,
    metavar="SCOPE",
    help="What it permits, as in conversations:read; may be repeated. * permits everything.",
)
@click.option("--account", default="", metavar="ACCOUNT", help="Permit this account alone.")
@click.option(
    "--days", type=click.FloatRange(0, min_open=True), metavar="DAYS", help="End it after so long."
)
@home_option
@json_option
@runs_async
async def new(
    label: str,
    scopes: tuple[str, ...],
    account: str,
    days: float | None,
    home: str | None,
    *,
    as_json: bool,
) -> int:
    """Make a token, and show it this once: only its hash is kept.

    Scopes are GROUP:read and GROUP:write. The groups are accounts, connections, contacts,
    conversations, devices, files, names, nodes and persons; `shoal token new x --scope ?` lists
    all.
    """
    from shoal.cli.home import call
    from shoal.web.scopes import check_scopes

    wanted = check_scopes(scopes)
    only = ""
    if account:
        shown = await call(home, "account.show", is_local=True, account=account)
        only = shown["id"]
    text, made = _file(home).new(label, wanted, account=only, seconds=(days or 0) * DAY)
    if as_json:
        emit("token", token=text, **_fields(made))
    else:
        click.echo(text)
        click.echo(f"{made.id}  {printable(made.label)}: {_permits(made)}", err=True)
        click.echo("keep it now: it is not shown again", err=True)
    return Exit.OK


@token.command("list")
@home_option
@json_option
@runs_async
async def list_(home: str | None, *, as_json: bool) -> int:
    """List tokens: what each is for, what it permits, and its first characters."""
    found = _file(home).list()
    for each in found:
        if as_json:
            emit("token", **_fields(each))
            continue
        end = f", until {when(each.wall_expires)}" if each.wall_expires else ""
        ended = "" if each.is_valid(time.time()) else " (expired)"
        click.echo(
            f"{each.id}  {each.prefix}…  {printable(each.label)}: {_permits(each)},"
            f" since {when(each.wall_created)}{end}{ended}"
        )
    if not found and not as_json:
        click.echo("no tokens")
    return Exit.OK


@token.command()
@click.argument("identifier", metavar="TOKEN")
@home_option
@json_option
@runs_async
async def revoke(identifier: str, home: str | None, *, as_json: bool) -> int:
    """Take a token back, by its id or its first characters as `list` shows them."""
    gone = _file(home).revoke(identifier.removesuffix("…"))
    if as_json:
        emit("revoked", **_fields(gone))
    else:
        click.echo(f"revoked {gone.id}  {printable(gone.label)}")
    return Exit.OK


def _file(home: str | None) -> TokenFile:
    from shoal.node.driver.home import Home
    from shoal.web import TokenFile

    place = Home(home)
    place.prepare()
    return TokenFile(place.path)


def _fields(token: Token) -> dict[str, object]:
    return {
        "id": token.id,
        "prefix": token.prefix,
        "label": token.label,
        "scopes": list(token.scopes),
        "account": token.account,
        "wall_created": token.wall_created,
        "wall_expires": token.wall_expires,
    }


def _permits(token: Token) -> str:
    scopes = "everything" if "*" in token.scopes else ", ".join(token.scopes)
    return f"{scopes} of {token.account[:8]}…" if token.account else scopes
