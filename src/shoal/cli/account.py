"""`shoal account`: accounts of this node, their backups and their devices."""

# ruff: noqa: PLC0415 - commands load what they use

from __future__ import annotations

import base64
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from shoal.cli.common import Exit, Group, counted, emit, json_option, runs_async
from shoal.cli.home import (
    api_of,
    ask_password,
    call,
    call_with_progress,
    home_option,
    password_option,
    printable,
    show_qr,
    when,
)
from shoal.cli.profile import profile

if TYPE_CHECKING:
    from collections.abc import Mapping

ARCHIVE_MAX: Final = 3 * 1024 * 1024  # bytes; what a line of the API can carry in base64
ANNOUNCE_TIME: Final = 20.0  # seconds that a new account may take to be found; ours
SHORT: Final = 12  # characters of an id that tell accounts apart
GOOD_BACKUP: Final = "a backup exists"  # shoal.identity.record


@click.group(cls=Group)
def account() -> None:
    """Accounts: made, moved, backed up, and linked with other devices.

    ID is the account's id, four or more of its first digits, or its display name. Commands talk to
    the node that `shoal node run` runs; without one, each runs a node for as long as it works.
    """


account.add_command(profile)


@account.command()
@click.option("--name", required=True, metavar="TEXT", help="What others see.")
@password_option("Encrypt the account's archive by a password.")
@click.option("--device-name", default="", metavar="TEXT", help="What this device is called.")
@click.option("--no-wait", is_flag=True, help="Do not wait until others can find the account.")
@home_option
@json_option
@runs_async
async def new(
    name: str,
    password_file: str | None,
    device_name: str,
    home: str | None,
    *,
    no_wait: bool,
    as_json: bool,
) -> int:
    """Make a new account on this device.

    Three keys are drawn, which takes some seconds. Without --password-file the password is asked
    for on a terminal; elsewhere the account has none.
    """
    password = ask_password(password_file, "Password (empty for none)", confirm=True)
    made = await call_with_progress(
        home,
        "account.create",
        as_json=as_json,
        name=name,
        password=password or "",
        device_name=device_name,
        wait=0.0 if no_wait else ANNOUNCE_TIME,
    )
    _show_new(made, "created", as_json=as_json)
    return Exit.OK


@account.command("list")
@home_option
@json_option
@runs_async
async def list_(home: str | None, *, as_json: bool) -> int:
    """List the accounts of this node."""
    accounts = await call(home, "account.list", is_local=True)
    for each in accounts:
        if as_json:
            emit("account", **each)
        else:
            state = f"{each['state']:<9}  {counted(each['contacts'], 'contact')}"
            more = f", {counted(each['requests'], 'request')}" if each["requests"] else ""
            name = f"  ({each['registered_name']})" if each["registered_name"] else ""
            click.echo(f"{each['id']}  {printable(each['name'])}{printable(name)}  {state}{more}")
    if not accounts and not as_json:
        click.echo("no accounts yet: shoal account new --name NAME", err=True)
    for each in accounts:
        _remind(each, as_json=as_json)
    return Exit.OK


@account.command()
@click.argument("account_id", metavar="ID")
@click.option("--qr", "has_qr", is_flag=True, help="Draw the id as a QR code.")
@home_option
@json_option
@runs_async
async def show(account_id: str, home: str | None, *, has_qr: bool, as_json: bool) -> int:
    """Show everything about an account but its secrets."""
    found = await call(home, "account.show", is_local=True, account=account_id)
    if as_json:
        emit("account", **found)
        return Exit.OK
    rows = {
        "id": found["id"],
        "name": printable(found["name"]),
        "known as": printable(found["registered_name"] or "no registered name"),
        "names at": printable(found["name_server"]),
        "state": found["state"],
        "device": found["device"],
        "short id": found["short_device"],
        "devices": found["devices"],
        "contacts": found["contacts"],
        "requests": found["requests"],
        "password": "yes" if found["has_password"] else "no",
        "backup": found["backup"],
    }
    for label, value in rows.items():
        click.echo(f"{label:<9} {value}")
    if has_qr:
        show_qr(f"jami:{found['id']}")
    _remind(found, as_json=as_json)
    return Exit.OK


@account.command()
@click.argument("account_id", metavar="ID")
@click.argument("file", type=click.Path(dir_okay=False))
@password_option("The account's password: with it, today's contacts are in the file.")
@click.option("--force", is_flag=True, help="Replace FILE if it is there.")
@home_option
@json_option
@runs_async
async def export(
    account_id: str,
    file: str,
    password_file: str | None,
    home: str | None,
    *,
    force: bool,
    as_json: bool,
) -> int:
    """Write an account's archive to FILE: a backup, or a way to another device.

    Jami and Shoal read it. Whoever has it and its password has the account. Without the password
    an encrypted archive is copied as it was last written.
    """
    path = Path(file).absolute()  # noqa: ASYNC240 - it only joins names
    if path.exists() and not force:
        raise click.UsageError(f"{file} is there already: --force replaces it")
    async with api_of(home, is_local=True) as api:
        found = await api.call("account.show", account=account_id)
        password: str | None = None
        if found["has_password"]:
            password = ask_password(password_file, "Password (empty for the file as it is)") or None
        await api.call("account.export", account=found["id"], path=str(path), password=password)
    if as_json:
        emit(
            "exported", account=found["id"], path=str(path), is_current=_is_current(found, password)
        )
        return Exit.OK
    click.echo(f"wrote {path}")
    if not _is_current(found, password):
        click.echo("without the password: contacts are those of the last change with it", err=True)
    click.echo("keep it where this device is not; nobody can restore a lost account", err=True)
    return Exit.OK


@account.command("import")
@click.argument("file", type=click.Path(dir_okay=False))
@password_option("The password of the archive.")
@click.option("--device-name", default="", metavar="TEXT", help="What this device is called.")
@click.option("--no-wait", is_flag=True, help="Do not wait until others can find the account.")
@home_option
@json_option
@runs_async
async def import_(
    file: str,
    password_file: str | None,
    device_name: str,
    home: str | None,
    *,
    no_wait: bool,
    as_json: bool,
) -> int:
    """Make this a device of the account in FILE, an archive of Jami or Shoal."""
    from shoal.identity.archive import is_encrypted

    data = _read_archive(file)
    password = ""
    if is_encrypted(data):
        password = ask_password(password_file, f"Password of {file}") or ""
    made = await call_with_progress(
        home,
        "account.import",
        as_json=as_json,
        archive=base64.b64encode(data).decode(),
        password=password,
        device_name=device_name,
        wait=0.0 if no_wait else ANNOUNCE_TIME,
    )
    _show_new(made, "imported", as_json=as_json)
    return Exit.OK


@account.command()
@click.argument("account_id", metavar="ID")
@password_option("The present password.")
@click.option(
    "--new-password-file",
    metavar="FILE",
    help="The new password: the first line of FILE; an empty one takes the password away.",
)
@home_option
@json_option
@runs_async
async def passwd(
    account_id: str,
    password_file: str | None,
    new_password_file: str | None,
    home: str | None,
    *,
    as_json: bool,
) -> int:
    """Change the password of an account's archive on this device.

    Files that were exported, and other devices, keep the old one.
    """
    async with api_of(home, is_local=True) as api:
        found = await api.call("account.show", account=account_id)
        old = ""
        if found["has_password"]:
            old = ask_password(password_file, "Present password") or ""
        new_password = ask_password(
            new_password_file, "New password (empty for none)", confirm=True
        )
        if new_password is None:
            raise click.UsageError("without a terminal, give --new-password-file")
        await api.call("account.passwd", account=found["id"], old=old, new=new_password)
    if as_json:
        emit("changed", account=found["id"], has_password=bool(new_password))
    else:
        click.echo(
            "the archive has a new password" if new_password else "the archive has no password"
        )
    return Exit.OK


@account.command()
@click.argument("account_id", metavar="[ID]", required=False)
@click.option("--pin", metavar="PIN", help="Join the account that another device shows this for.")
@click.option("--uri", metavar="URI", help="Hand ID to the new device that shows this address.")
@click.option("--show-pin", is_flag=True, help="Show a PIN for ID, for Jami of 2023 or Shoal.")
@password_option("The account's password.")
@click.option("--device-name", default="", metavar="TEXT", help="What this device is called.")
@home_option
@json_option
@runs_async
async def link(
    account_id: str | None,
    pin: str | None,
    uri: str | None,
    password_file: str | None,
    device_name: str,
    home: str | None,
    *,
    show_pin: bool,
    as_json: bool,
) -> int:
    """Link devices: this one to an account, or another one to ID.

    Without ID and options this device shows an address, as text and as a QR code: give it to a
    device that has the account. With --pin, the other device shows a PIN instead.
    """
    if (account_id is None) == (uri is not None or show_pin):
        raise click.UsageError("with ID: --uri or --show-pin; without: --pin, or nothing")
    if sum((pin is not None, uri is not None, show_pin)) > 1:
        raise click.UsageError("--pin, --uri and --show-pin are three ways; choose one")
    if account_id is not None and uri is not None:
        await call(home, "device.add", account=account_id, uri=uri)
        _say("linked", "the new device has the account", as_json=as_json, account=account_id)
        return Exit.OK
    password = ask_password(password_file, "Password of the account (empty for none)") or ""
    if account_id is not None:
        made = await call(home, "device.export_pin", account=account_id, password=password)
        _show_pin(made, as_json=as_json)
        return Exit.OK
    if pin is not None:
        linked = await call_with_progress(
            home,
            "account.link_pin",
            as_json=as_json,
            pin=pin,
            password=password,
            device_name=device_name,
            wait=ANNOUNCE_TIME,
        )
    else:
        linked = await _show_and_wait(home, password, device_name, as_json=as_json)
    _show_new(linked, "linked", as_json=as_json)
    return Exit.OK


@account.command()
@click.argument("account_id", metavar="ID")
@click.option("--rename", metavar="TEXT", help="Call this device so, and tell the others.")
@home_option
@json_option
@runs_async
async def devices(account_id: str, rename: str | None, home: str | None, *, as_json: bool) -> int:
    """List the devices of an account, this one first."""
    async with api_of(home, is_local=rename is None) as api:
        if rename is not None:
            await api.call("device.rename", account=account_id, name=rename)
        found = await api.call("device.list", account=account_id)
    for each in found:
        if as_json:
            emit("device", **each)
            continue
        marks = [
            word
            for word, is_so in (
                ("this device", each["is_this"]),
                ("online", each["is_announced"]),
                ("connected", each["is_connected"]),
            )
            if is_so
        ]
        if not each["is_this"]:
            marks.append(f"in touch {when(each['wall_synced'])}")
        click.echo(f"{each['id']}  {printable(each['name'])}  {', '.join(marks)}")
    return Exit.OK


@account.command()
@click.argument("account_id", metavar="ID")
@click.argument("device")
@password_option("The account's password.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@home_option
@json_option
@runs_async
async def revoke(
    account_id: str,
    device: str,
    password_file: str | None,
    home: str | None,
    *,
    yes: bool,
    as_json: bool,
) -> int:
    """Revoke DEVICE, for good: nobody who hears of it accepts that device any more.

    What is on the device stays there. If it had the account's archive and its password, the
    account itself may be lost to others: make a new one.
    """
    _confirm(f"Revoke device {device[:SHORT]}… for good?", yes=yes)
    async with api_of(home) as api:
        found = await api.call("account.show", account=account_id)
        password = ""
        if found["has_password"]:
            password = ask_password(password_file, "Password of the account") or ""
        await api.call("device.revoke", account=found["id"], device=device, password=password)
    _say("revoked", "the device is revoked", as_json=as_json, account=found["id"], device=device)
    return Exit.OK


@account.command()
@click.argument("account_id", metavar="ID")
@click.option("--yes", is_flag=True, help="Do not ask.")
@home_option
@json_option
@runs_async
async def remove(account_id: str, home: str | None, *, yes: bool, as_json: bool) -> int:
    """Delete an account from this device, its keys too; other devices keep it.

    Without another device or an exported file it is lost for ever.
    """
    async with api_of(home, is_local=True) as api:
        found = await api.call("account.show", account=account_id)
        name = printable(found["name"])
        _remind(found, as_json=as_json)
        _confirm(f"Delete account {found['id'][:SHORT]}… ({name}) from this device?", yes=yes)
        await api.call("account.remove", account=found["id"])
    _say("removed", "the account is deleted here", as_json=as_json, account=found["id"])
    return Exit.OK


async def _show_and_wait(
    home: str | None, password: str, device_name: str, *, as_json: bool
) -> Any:
    """Show this device's address until another one hands it an account."""
    result: Any = None
    async with api_of(home) as api:
        stream = api.stream("account.link", password=password, device_name=device_name)
        async for kind, value in stream:
            if kind == "result":
                result = value
            elif as_json:
                emit("address", **value)
            else:
                click.echo(value["uri"])
                show_qr(value["uri"])
                click.echo("give this to a device that has the account (Ctrl-C ends it)", err=True)
    return result


def _show_pin(made: Mapping[str, Any], *, as_json: bool) -> None:
    if as_json:
        emit("pin", **made)
    else:
        click.echo(made["text"])
        minutes = round(made["seconds"] / 60)
        click.echo(f"type it on the new device within {minutes} minutes", err=True)


def _show_new(made: Mapping[str, Any], event: str, *, as_json: bool) -> None:
    """Show an account that has just come to be here."""
    if as_json:
        emit(event, **made)
        return
    click.echo(made["id"])
    if made["state"] != "announced":
        click.echo("no other node has it yet: `shoal node run` keeps on trying", err=True)
    _remind(made, as_json=as_json)


def _remind(found: Mapping[str, Any], *, as_json: bool) -> None:
    """Remind of a backup, until there is one."""
    if as_json or found["backup"] == GOOD_BACKUP:
        return
    prefix = found["id"][:SHORT]
    click.echo(f"{found['backup']}: shoal account export {prefix} FILE", err=True)


def _confirm(question: str, *, yes: bool) -> None:
    """Ask before what cannot be undone.

    Raises:
        UsageError: there is nobody to ask.
    """
    if yes:
        return
    if not sys.stdin.isatty():
        raise click.UsageError("without a terminal, give --yes")
    click.confirm(question, abort=True, err=True)


def _say(event: str, words: str, *, as_json: bool, **fields: Any) -> None:
    if as_json:
        emit(event, **fields)
    else:
        click.echo(words)


def _is_current(found: Mapping[str, Any], password: str | None) -> bool:
    """Whether an export holds what is here now."""
    return password is not None or not found["has_password"]


def _read_archive(path: str) -> bytes:
    """Return an archive file.

    Raises:
        UsageError: it cannot be read, or is too large.
    """
    try:
        with Path(path).open("rb") as file:
            data = file.read(ARCHIVE_MAX + 1)
    except OSError as error:
        raise click.UsageError(f"cannot read {path}: {error.strerror}") from error
    if len(data) > ARCHIVE_MAX:
        raise click.UsageError(f"{path} is larger than {ARCHIVE_MAX} bytes")
    return data
