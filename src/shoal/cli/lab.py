"""`shoal lab`: a whole private network on this machine."""

# ruff: noqa: PLC0415 - commands load what they use

from __future__ import annotations

import logging
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from shoal.cli.common import Exit, emit, json_option, log_to_stderr, runs_async, verbose_option

if TYPE_CHECKING:
    from shoal.lab import Lab, Person


@click.command()
@click.option(
    "--people",
    default="Alice,Bob",
    show_default=True,
    metavar="NAME,NAME…",
    help="Who is there.",
)
@click.option(
    "--folder",
    metavar="DIR",
    help="Keep their homes in DIR, for the next time; without it all goes when the lab does.",
)
@click.option("--no-pages", is_flag=True, help="No pages to talk in, only nodes.")
@click.option("--no-names", is_flag=True, help="No name server.")
@click.option("--no-bot", is_flag=True, help="No echo bot.")
@click.option("--once", is_flag=True, help="End when the first message was read.")
@json_option
@verbose_option
@runs_async
async def lab(
    people: str,
    folder: str | None,
    *,
    no_pages: bool,
    no_names: bool,
    no_bot: bool,
    once: bool,
    as_json: bool,
    verbose: bool,
) -> int:
    """Open a private network on this machine, with people in it, until Ctrl-C or SIGTERM.

    Two bootstrap nodes, a name server on a chain of its own, people each with a node and a page to
    talk in, and an echo bot. All are contacts of each other already, and their names are
    registered. Nothing leaves this machine, and nothing stays of it.
    """
    from shoal.cli.node import stop_event
    from shoal.lab import Lab, LabConfig
    from shoal.lab.errors import PeopleError

    log_to_stderr(logging.INFO if verbose else logging.WARNING)
    config = LabConfig(
        people=tuple(name.strip() for name in people.split(",") if name.strip()),
        folder=None if folder is None else Path(folder),
        has_pages=not no_pages,
        has_names=not no_names,
        has_bot=not no_bot,
    )
    try:
        described = Lab(config)
    except PeopleError as error:
        raise click.BadParameter(str(error), param_hint="--people") from error
    if not as_json:
        click.echo("A private network on this machine; nothing leaves it.")
    async with described as opened:
        stop = stop_event()  # before that, both signals end the command as any other
        _tell(opened, as_json=as_json)
        if not once:
            if not as_json:
                click.echo("Ctrl-C ends all.")
            await stop.wait()
            if not as_json:
                click.echo("stopping", err=True)
    if as_json:
        emit("stopped")
    return Exit.OK


def _tell(opened: Lab, *, as_json: bool) -> None:
    if as_json:
        network = {"bootstrap": list(opened.bootstrap), "network": opened.network}
        emit("network", **network, name_server=opened.name_server)
        for person in opened.everybody:
            emit("bot" if person is opened.bot else "person", **_facts(person))
        emit("ready", seconds=opened.seconds, message_seconds=opened.message_seconds)
        return
    click.echo(f"DHT network {opened.network}, joined by {', '.join(opened.bootstrap)}")
    if opened.name_server:
        click.echo(f"names at {opened.name_server}")
    has_pages = any(person.page for person in opened.people)
    shoal = program()
    width = max(len(person.name) for person in opened.everybody)
    if has_pages:
        click.echo("\nOpen each of these in a window of your browser:\n")
        for person in opened.people:
            click.echo(f"{person.name:<{width}}  {person.link()}")
    click.echo("\nOthers add them by these addresses:\n")
    for person in opened.everybody:
        click.echo(f"{person.name:<{width}}  {person.address}")
    click.echo("\nThey talk in terminals, too:\n")
    for person in opened.people:
        click.echo(f"{person.name:<{width}}  {shoal} chat --home {person.home}")
    if opened.message_seconds:
        click.echo(
            f"\nThe first message was read {opened.seconds:.1f} seconds after the start,"
            f" and took {1e3 * opened.message_seconds:.0f} ms."
        )
    if has_pages:
        click.echo(f"A link works once, within ten minutes; {shoal} up --home DIR prints another.")


def program() -> str:
    """Return the words by which this program is called, for who is not to look for it."""
    if shutil.which("shoal") is not None:
        return "shoal"
    called = Path(sys.argv[0])
    return str(called) if called.name == "shoal" else f"{sys.executable} -m shoal"


def _facts(person: Person) -> dict[str, str]:
    return {
        "name": person.name,
        "id": str(person.account.id),
        "address": person.address,
        "registered": person.registered,
        "home": str(person.home),
        "link": person.link(),
    }
