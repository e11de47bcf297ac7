"""`shoal conversation` and `shoal send`: what people say to each other."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from shoal.cli import history, profile
from shoal.cli.common import Exit, counted, emit, runs_async
from shoal.cli.contact import common_options, which
from shoal.cli.file import send_file
from shoal.cli.home import api_of, printable, when
from shoal.cli.progress import sized

if TYPE_CHECKING:
    from collections.abc import Mapping


@click.group()
def conversation() -> None:
    """Conversations: begin, invite, read, leave.

    CONVERSATION is an id of 40 hexadecimal digits; CONTACT is an account's. A conversation with
    one contact begins when you add it: `shoal contact add`.
    """


history.add_to(conversation)
profile.add_to(conversation)


@conversation.command("list")
@common_options
@runs_async
async def list_(account: str | None, home: str | None, *, as_json: bool) -> int:
    """List your conversations, and the invitations that wait for an answer."""
    async with api_of(home, is_local=True) as api:
        own = await which(api, account)
        found = await api.call("conversation.list", account=own["id"])
        requests = await api.call("conversation.requests", account=own["id"])
    for each in found:
        if as_json:
            emit("conversation", **each)
        else:
            state = "" if each["is_ready"] else "  still being fetched"
            click.echo(f"{each['id']}  {counted(len(each['members']), 'member')}{state}")
    for each in requests:
        if as_json:
            emit("request", **each)
        else:
            title = printable(each["title"])
            click.echo(f"{each['id']}  invitation by {each['sender']}  {title}".rstrip())
    if requests and not as_json:
        click.echo("shoal conversation accept CONVERSATION, or decline", err=True)
    return Exit.OK


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
    click.echo(f"{found['id']}  {found['mode'].replace('_', ' ')}")
    for member in found["members"]:
        click.echo(f"  {member['id']}  {member['role']}")
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
    """Show what was said, oldest first."""
    async with api_of(home, is_local=True) as api:
        own = await which(api, account)
        messages = await api.call(
            "conversation.messages",
            account=own["id"],
            conversation=conversation_id,
            count=count,
            before=before,
        )
    for message in messages:
        if as_json:
            emit("message", **message)
        else:
            click.echo(_line(message))
    return Exit.OK if messages else Exit.FAILED


@click.command()
@click.argument("to")
@click.argument("text", default="")
@click.option("--file", "path", default="", metavar="PATH", help="A file, instead of a text.")
@click.option("--wait", is_flag=True, help="Stay until a device has fetched the file.")
@click.option("--reply-to", default="", metavar="ID", help="The message that this answers.")
@common_options
@runs_async
async def send(
    to: str,
    text: str,
    path: str,
    wait: bool,
    reply_to: str,
    account: str | None,
    home: str | None,
    *,
    as_json: bool,
) -> int:
    """Say something in a conversation, or to a contact.

    TO is the id of a conversation, or the id or the registered name of a contact. What is said is
    on disk when the command ends; it reaches the others while a node runs: `shoal node run`.
    A file is fetched from where it is: leave it there.
    """
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
    return Exit.OK


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


def _line(message: Mapping[str, Any]) -> str:
    """Return a message as a line: when, who, what."""
    mark = "" if message["is_verified"] else "  (unverified)"
    head = f"{when(message['wall_time'])}  {message['author'][:8]}"
    return f"{head}  {printable(_words(message))}{mark}"


def _words(message: Mapping[str, Any]) -> str:
    match message["kind"]:
        case "text" if message["react_to"]:
            return f"reacts to {message['react_to'][:8]}: {message['body']}"
        case "text":
            return str(message["body"])
        case "edit":
            return f"edits {message['edited'][:8]}: {message['body']}"
        case "member_event":
            return f"{message['action']} {message['account'][:8]}"
        case "file_offer" if message["transfer_id"]:
            size = sized(message["size"])
            return f"file {message['display_name']} ({size})  {message['id'][:12]}"
        case "file_offer":
            return f"deletes file {message['edited'][:12]}"
        case "initial":
            return "begins the conversation"
        case kind:
            return f"[{kind.replace('_', ' ')}]"
