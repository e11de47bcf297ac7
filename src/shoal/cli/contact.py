"""`shoal contact`: whom an account knows, who asks to be known, who is blocked."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

import click

from shoal.cli.common import Exit, Group, counted, emit, json_option, runs_async
from shoal.cli.home import api_of, home_option, printable, when

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

P = ParamSpec("P")
R = TypeVar("R")


@click.group(cls=Group)
def contact() -> None:
    """Contacts: ask, accept, decline, block.

    CONTACT is an account's id, 40 hexadecimal digits, or its registered name: NAME, NAME@SERVER
    or a jami: address. A name counts only if its account has signed it. Of several accounts of
    yours, --account says which one is meant.
    """


def account_option(command: Callable[P, R]) -> Callable[P, R]:
    """Add --account."""
    return click.option(
        "--account",
        envvar="SHOAL_ACCOUNT",
        show_envvar=True,
        metavar="ID",
        help="Which account of yours: id, first digits of it, or name; needed if you have several.",
    )(command)


def common_options(command: Callable[P, R]) -> Callable[P, R]:
    """Add what all of these commands have."""
    return account_option(home_option(json_option(command)))


@contact.command()
@click.argument("contact_id", metavar="CONTACT")
@click.option("--message", default="", metavar="TEXT", help="What to say, and who you are.")
@common_options
@runs_async
async def add(
    contact_id: str, message: str, account: str | None, home: str | None, *, as_json: bool
) -> int:
    """Add a contact and send it a request.

    A request reaches devices that are online; it is sent again whenever one appears, as long as
    `shoal node run` runs, until it was accepted.
    """
    async with api_of(home) as api:
        own = await which(api, account)
        payload = _card(own["name"], message)
        added = await api.call(
            "contact.add", account=own["id"], contact=contact_id, payload=payload
        )
    if as_json:
        emit("added", **added["contact"], told=added["devices"])
        return Exit.OK
    if added["contact"]["is_confirmed"]:
        click.echo("you are contacts of each other")
    elif added["devices"]:
        click.echo(f"asked, on {counted(added['devices'], 'device')}")
    else:
        click.echo("added; no device of it is online: `shoal node run` asks as soon as one is")
    return Exit.OK


@contact.command("list")
@click.option("--requests", "only_requests", is_flag=True, help="Only who asks to be one.")
@common_options
@runs_async
async def list_(
    account: str | None, home: str | None, *, only_requests: bool, as_json: bool
) -> int:
    """List contacts, who is blocked, and who asks to become a contact."""
    async with api_of(home, is_local=True) as api:
        own = await which(api, account)
        requests = await api.call("contact.requests", account=own["id"])
        contacts = []
        if not only_requests:
            contacts = await api.call("contact.list", account=own["id"])
    for each in contacts:
        if as_json:
            emit("contact", **each)
        else:
            since = when(each["wall_added"])
            name = printable(each["name"])
            click.echo(f"{each['id']}  {_standing(each)}  since {since}  {name}".rstrip())
    for each in requests:
        if as_json:
            emit("request", **each)
        else:
            who = printable(_name_in(each["payload"]))
            click.echo(f"{each['id']}  asks since {when(each['wall_received'])}  {who}")
    if requests and not as_json:
        click.echo("shoal contact accept CONTACT, or decline", err=True)
    return Exit.OK


@contact.command()
@click.argument("contact_id", metavar="CONTACT")
@common_options
@runs_async
async def accept(contact_id: str, account: str | None, home: str | None, *, as_json: bool) -> int:
    """Accept a request: both of you are contacts then."""
    async with api_of(home) as api:
        own = await which(api, account)
        accepted = await api.call("contact.accept", account=own["id"], contact=contact_id)
    if as_json:
        emit("accepted", **accepted["contact"], told=accepted["devices"])
    else:
        click.echo(f"accepted; told {counted(accepted['devices'], 'device')}")
    return Exit.OK


@contact.command()
@click.argument("contact_id", metavar="CONTACT")
@common_options
@runs_async
async def decline(contact_id: str, account: str | None, home: str | None, *, as_json: bool) -> int:
    """Forget a request; the other side is not told, and may ask again."""
    return await _simple("decline", "declined", contact_id, account, home, as_json=as_json)


@contact.command()
@click.argument("contact_id", metavar="CONTACT")
@common_options
@runs_async
async def block(contact_id: str, account: str | None, home: str | None, *, as_json: bool) -> int:
    """Let an account reach you by no path; connections with it end at once."""
    return await _simple("block", "blocked", contact_id, account, home, as_json=as_json)


@contact.command()
@click.argument("contact_id", metavar="CONTACT")
@common_options
@runs_async
async def unblock(contact_id: str, account: str | None, home: str | None, *, as_json: bool) -> int:
    """Let an account through again; a contact it is only if it was one."""
    return await _simple("unblock", "unblocked", contact_id, account, home, as_json=as_json)


@contact.command()
@click.argument("contact_id", metavar="CONTACT")
@common_options
@runs_async
async def remove(contact_id: str, account: str | None, home: str | None, *, as_json: bool) -> int:
    """Forget a contact; the other side is not told."""
    return await _simple("remove", "removed", contact_id, account, home, as_json=as_json)


async def which(api: Any, account: str | None) -> Mapping[str, Any]:
    """Return the account that is meant: the one named, or the only one.

    Raises:
        UsageError: there is none, or there are several.
    """
    if account is not None:
        found: Mapping[str, Any] = await api.call("account.show", account=account)
        return found
    accounts = await api.call("account.list")
    if not accounts:
        raise click.UsageError("there is no account here: shoal account new --name NAME")
    if len(accounts) > 1:
        raise click.UsageError("there are several accounts here: say which by --account ID")
    only: Mapping[str, Any] = accounts[0]
    return only


async def _simple(
    verb: str, done: str, contact_id: str, account: str | None, home: str | None, *, as_json: bool
) -> int:
    """Call one method about one contact, and say that it is done."""
    async with api_of(home, is_local=True) as api:
        own = await which(api, account)
        await api.call(f"contact.{verb}", account=own["id"], contact=contact_id)
    if as_json:
        emit(done, account=own["id"], contact=contact_id)
    else:
        click.echo(done)
    return Exit.OK


def _standing(each: Mapping[str, Any]) -> str:
    """Return what a contact is, in words."""
    if each["is_banned"]:
        return "blocked"
    confirmed = "confirmed" if each["is_confirmed"] else "not confirmed"
    return f"{confirmed}, {each['presence']}"


def _card(name: str, message: str) -> str:
    """Return a vCard, as Jami's clients send it along with a request."""
    lines = ["BEGIN:VCARD", "VERSION:2.1", f"FN:{_line(name)}"]
    if message:
        lines.append(f"NOTE:{_line(message)}")
    return "\r\n".join([*lines, "END:VCARD", ""])


def _line(text: str) -> str:
    return " ".join(text.split())


def _name_in(payload: object) -> str:
    """Return the name, and the note, in a vCard; nothing in what is none."""
    if not isinstance(payload, str):
        return ""
    fields = dict(line.split(":", 1) for line in payload.splitlines() if ":" in line)
    return " - ".join(each for each in (fields.get("FN", ""), fields.get("NOTE", "")) if each)
