"""`shoal backup`: everything of a home in one file, and back."""

# ruff: noqa: PLC0415 - commands load what they use

from __future__ import annotations

import asyncio
from pathlib import Path

import click

from shoal.cli.common import Exit, Group, counted, emit, json_option, runs_async
from shoal.cli.home import ask_password, call, home_option, password_option, read_password


@click.group(cls=Group)
def backup() -> None:
    """Everything of a home in one file: accounts, conversations, settings.

    `shoal account export` writes the keys of one account alone, in Jami's format.
    """


@backup.command()
@click.argument("file", type=click.Path(dir_okay=False))
@password_option("Seal the backup by a password.")
@click.option("--force", is_flag=True, help="Replace FILE if it is there.")
@home_option
@json_option
@runs_async
async def create(
    file: str, password_file: str | None, home: str | None, *, force: bool, as_json: bool
) -> int:
    """Write a backup to FILE, while the node runs or not.

    FILE is there once it is whole, never a part of it. Without a password whoever has it has your
    accounts; with one it is of no use to others, and of none to you if you forget it.
    """
    path = Path(file).absolute()  # noqa: ASYNC240 - it only joins names
    if path.exists() and not force:
        raise click.UsageError(f"{file} is there already: --force replaces it")
    password = ask_password(password_file, "Password (empty for none)", confirm=True) or ""
    made = await call(home, "node.backup", is_local=True, path=str(path), password=password)
    if as_json:
        emit("created", **made, is_sealed=bool(password))
        return Exit.OK
    click.echo(f"wrote {path}: {counted(made['accounts'], 'account')}, {made['size']:,} bytes")
    click.echo(
        "keep it where this device is not: shoal backup restore FILE brings it back", err=True
    )
    return Exit.OK


@backup.command()
@click.argument("file", type=click.Path(dir_okay=False))
@password_option("The password of the backup.")
@home_option
@json_option
@runs_async
async def restore(file: str, password_file: str | None, home: str | None, *, as_json: bool) -> int:
    """Restore the backup in FILE into a home without accounts.

    All of it is restored, or nothing. The accounts are the same devices as before: do not run them
    here and on the old machine at the same time; to have an account on two devices, link them.
    """
    from shoal.node.driver.backup import is_sealed, restore_backup
    from shoal.node.driver.home import Home

    path, place = Path(file), Home(home)
    if is_sealed(path):
        password = ask_password(password_file, f"Password of {file}") or ""
    else:
        password = read_password(password_file) or ""  # with one it is refused
        if not password:
            click.echo("the backup has no password: anybody can have written it", err=True)
    found = await asyncio.to_thread(restore_backup, place, path, password)
    accounts = sum(not each.endswith(".toml") for each in found)
    if as_json:
        emit("restored", home=str(place.path), accounts=accounts)
    else:
        click.echo(f"restored {counted(accounts, 'account')} to {place.path}")
        click.echo("shoal node run goes online with them", err=True)
    return Exit.OK
