"""`shoal conversation` and `shoal send`: what people say to each other."""

# ruff: noqa: ASYNC109 - a timeout is an option here

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import click

from shoal.cli import history, profile
from shoal.cli.common import Exit, Group, counted, emit, runs_async, timeout_option
from shoal.cli.contact import common_options, which
from shoal.cli.file import send_file
from shoal.cli.home import api_of, printable, when
from shoal.cli.messages import SHORT, called, said

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

DIGITS: Final = 12  # of an id, that tell conversations apart; ours
RECEIVE_TIME: Final = 60.0  # seconds; ours: to find devices, connect, and be fetched from


@click.group(cls=Group)
def conversation() -> None:
    """Conversations: begin, invite, read, leave.

    CONVERSATION is its id or the first digits of it, its title, or the name of the contact that it
    is with; CONTACT is an account's id or registered name. A conversation with one contact begins
    when you add it: `shoal contact add`.
    """


history.add_to(conversation)
profile.add_to(conversation)


@conversation.command("list")
@common_options
@runs_async
async def list_(account: str | None, home: str | None, *, as_json: bool) -> int:
    """List your conversations, what is new in them, and the invitations that wait.

    The digits in front are enough to name a conversation; --json has the whole ids.
    """
    async with api_of(home, is_local=True) as api:
        own = await which(api, account)
        found = await api.call("conversation.list", account=own["id"])
        requests = await api.call("conversation.requests", account=own["id"])
        counts = await api.call("conversation.unread", account=own["id"])
    unread = {each["conversation"]: each["unread"] for each in counts}
    for each in found:
        news = unread.get(each["id"], 0)
        if as_json:
            emit("conversation", **each, unread=news)
            continue
        marks = [counted(len(each["members"]), "member")]
        marks += [f"{news:,} new"] * bool(news) + _state_of(each)
        click.echo(f"{each['id'][:DIGITS]}  {printable(each['title'])}  ({', '.join(marks)})")
    for each in requests:
        if as_json:
            emit("request", **each)
        else:
            who = f"{printable(each['sender_name'])} ({each['sender'][:DIGITS]})"
            title = printable(each["title"])
            click.echo(f"{each['id'][:DIGITS]}  invitation by {who}  {title}".rstrip())
    if not as_json:
        _say_next(found, requests)
    return Exit.OK


def _state_of(found: Mapping[str, Any]) -> list[str]:
    """Say why a conversation cannot be read yet."""
    if found["is_ready"]:
        return []
    damage = printable(found["damage"])
    return [f"damaged: {damage}; fetched again from others" if damage else "still being fetched"]


@conversation.command()
@common_options
@runs_async
async def new(account: str | None, home: str | None, *, as_json: bool) -> int:
    """Begin a group; then invite people into it."""
    async with api_of(home) as api:
        own = await which(api, account)
        made = await api.call("conversation.create", account=own["id"])
    if as_json:
        emit("created", **made)
    else:
        click.echo(made["id"])
        click.echo("shoal conversation invite CONVERSATION CONTACT", err=True)
    return Exit.OK


@conversation.command()
@click.argument("conversation_id", metavar="CONVERSATION")
@common_options
@runs_async
async def show(
    conversation_id: str, account: str | None, home: str | None, *, as_json: bool
) -> int:
    """Show a conversation and its members."""
    async with api_of(home, is_local=True) as api:
        own = await which(api, account)
        found = await api.call("conversation.show", account=own["id"], conversation=conversation_id)
    if as_json:
        emit("conversation", **found)
        return Exit.OK
    click.echo(printable(found["title"]))
    click.echo(f"{found['id']}  {found['mode'].replace('_', ' ')}")
    for state in _state_of(found):
        click.echo(f"  {state}")
    for member in found["members"]:
        mark = ", you" if member["id"] == own["id"] else f", {member['presence']}"
        click.echo(f"  {member['id']}  {printable(member['name'])}  ({member['role']}{mark})")
    return Exit.OK


@conversation.command()
@click.argument("conversation_id", metavar="CONVERSATION")
@click.argument("contact_id", metavar="CONTACT")
@common_options
@runs_async
async def invite(
    conversation_id: str, contact_id: str, account: str | None, home: str | None, *, as_json: bool
) -> int:
    """Invite somebody; they hear of it as soon as a device of theirs is online."""
    return await _about("invite", "invited", conversation_id, contact_id, account, home, as_json)


@conversation.command()
@click.argument("conversation_id", metavar="CONVERSATION")
@click.argument("contact_id", metavar="CONTACT")
@common_options
@runs_async
async def ban(
    conversation_id: str, contact_id: str, account: str | None, home: str | None, *, as_json: bool
) -> int:
    """Vote somebody out; the votes of more than half of the administrators decide."""
    return await _about("ban", "banned", conversation_id, contact_id, account, home, as_json)


@conversation.command()
@click.argument("conversation_id", metavar="CONVERSATION")
@click.argument("contact_id", metavar="CONTACT")
@common_options
@runs_async
async def unban(
    conversation_id: str, contact_id: str, account: str | None, home: str | None, *, as_json: bool
) -> int:
    """Vote somebody in again who was banned."""
    return await _about("unban", "unbanned", conversation_id, contact_id, account, home, as_json)


@conversation.command()
@click.argument("conversation_id", metavar="CONVERSATION")
@common_options
@runs_async
async def accept(
    conversation_id: str, account: str | None, home: str | None, *, as_json: bool
) -> int:
    """Accept an invitation: fetch the conversation, and join."""
    return await _on("accept", "joined", conversation_id, account, home, as_json)


@conversation.command()
@click.argument("conversation_id", metavar="CONVERSATION")
@common_options
@runs_async
async def decline(
    conversation_id: str, account: str | None, home: str | None, *, as_json: bool
) -> int:
    """Decline an invitation; nobody is told."""
    return await _on("decline", "declined", conversation_id, account, home, as_json)


@conversation.command()
@click.argument("conversation_id", metavar="CONVERSATION")
@common_options
@runs_async
async def leave(
    conversation_id: str, account: str | None, home: str | None, *, as_json: bool
) -> int:
    """Leave a conversation."""
    return await _on("leave", "left", conversation_id, account, home, as_json)


@conversation.command()
@click.argument("conversation_id", metavar="CONVERSATION")
@click.option("--count", default=50, show_default=True, help="How many messages.")
@click.option("--before", default="", metavar="ID", help="Only those before this message.")
@common_options
@runs_async
async def log(
    conversation_id: str,
    count: int,
    before: str,
    account: str | None,
    home: str | None,
    *,
    as_json: bool,
) -> int:
    """Show what was said, oldest first: when, the message's id, who, what.

    The first digits of a message's id do for --before, and for `shoal send --reply-to`.
    """
    async with api_of(home, is_local=True) as api:
        own = await which(api, account)
        messages = await api.call(
            "conversation.messages",
            account=own["id"],
            conversation=conversation_id,
            count=count,
            before=before,
        )
        people = await api.call("person.list", account=own["id"], conversation=conversation_id)
    names = {each["id"]: printable(each["shown"]) for each in people}
    for message in messages:
        if as_json:
            emit("message", **message, author_name=called(names, message["author"]))
        else:
            click.echo(_line(message, names))
    return Exit.OK if messages else Exit.FAILED


@click.command()
@click.argument("to")
@click.argument("text", default="")
@click.option("--file", "path", default="", metavar="PATH", help="A file, instead of a text.")
@click.option("--wait", is_flag=True, help="Stay until a device has fetched the file.")
@click.option("--reply-to", default="", metavar="ID", help="The message that this answers.")
@click.option(
    "--received-by",
    type=click.IntRange(1),
    metavar="NUMBER",
    help="Stay until so many devices of others have the text.",
)
@timeout_option(RECEIVE_TIME, "How long to stay for --received-by.")
@common_options
@runs_async
async def send(
    to: str,
    text: str,
    path: str,
    wait: bool,
    reply_to: str,
    received_by: int | None,
    timeout: float,
    account: str | None,
    home: str | None,
    *,
    as_json: bool,
) -> int:
    """Say something in a conversation, or to a contact.

    TO is a conversation or a contact, as `shoal conversation list` shows them: by first digits, by
    title or by name; or a registered name. What is said is on disk when the command ends; it
    reaches the others while a node runs: `shoal node run`. With --received-by the command stays
    until others have it; the exit status is 3 if that takes too long.
    A file is fetched from where it is: leave it there.
    """
    if path and received_by is not None:
        raise click.UsageError("--received-by is for texts; --wait is for files")
    if bool(text) == bool(path):
        raise click.UsageError("say TEXT, or --file PATH")
    async with api_of(home) as api:
        own = await which(api, account)
        if path:
            sent = await send_file(api, own["id"], to, path, reply_to, wait=wait, as_json=as_json)
        else:
            sent = await api.call(
                "conversation.send", account=own["id"], to=to, text=text, reply_to=reply_to
            )
        if as_json:
            emit("sent", **sent)
        else:
            click.echo(sent["id"])
        if received_by is None:
            return Exit.OK
        devices = await api.call(
            "conversation.received",
            account=own["id"],
            conversation=sent["conversation"],
            message=sent["id"],
            devices=received_by,
            timeout=timeout,
        )
    _tell_received(devices, as_json=as_json)
    return Exit.OK if len(devices) >= received_by else Exit.NOT_CONNECTED


def _tell_received(devices: Sequence[Mapping[str, Any]], *, as_json: bool) -> None:
    """Say who has what was said."""
    if as_json:
        emit("received", devices=devices)
        return
    who = ", ".join(sorted({printable(each["name"]) for each in devices}))
    click.echo(f"received by {counted(len(devices), 'device')}{f' of {who}' if who else ''}")
    if not devices:
        click.echo("it is kept, and goes out by itself while a node runs: shoal node run", err=True)


def _say_next(found: Sequence[object], requests: Sequence[object]) -> None:
    """Name the commands that are of use now."""
    if requests:
        click.echo("shoal conversation accept CONVERSATION, or decline", err=True)
    if found:
        click.echo("shoal chat CONVERSATION, or shoal send CONVERSATION TEXT", err=True)
    elif not requests:
        click.echo("none yet: shoal contact add CONTACT, or shoal conversation new", err=True)


async def _about(
    verb: str,
    done: str,
    conversation_id: str,
    contact_id: str,
    account: str | None,
    home: str | None,
    as_json: bool,
) -> int:
    """Do something about a member, and say that it is done."""
    async with api_of(home) as api:
        own = await which(api, account)
        found = await api.call(
            f"conversation.{verb}",
            account=own["id"],
            conversation=conversation_id,
            contact=contact_id,
        )
    if as_json:
        emit(done, **found)
    else:
        click.echo(done)
    return Exit.OK


async def _on(
    verb: str,
    done: str,
    conversation_id: str,
    account: str | None,
    home: str | None,
    as_json: bool,
) -> int:
    """Do something with a conversation, and say that it is done."""
    async with api_of(home) as api:
        own = await which(api, account)
        await api.call(f"conversation.{verb}", account=own["id"], conversation=conversation_id)
    if as_json:
        emit(done, account=own["id"], conversation=conversation_id)
    else:
        click.echo(done)
    return Exit.OK


def _line(message: Mapping[str, Any], names: Mapping[str, str]) -> str:
    """Return a message as a line: when, its id, who, what."""
    mark = "" if message["is_verified"] else "  (unverified)"
    head = f"{when(message['wall_time'])}  {message['id'][:SHORT]}"
    words = printable(said(message, names))
    return f"{head}  {called(names, message['author'])}  {words}{mark}"
