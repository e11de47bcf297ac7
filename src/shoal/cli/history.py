"""`shoal conversation search`, `unread`, `export` and `reindex`: what was said, found and kept."""

from __future__ import annotations

import contextlib
import json
from typing import TYPE_CHECKING, Any, Final

import click

from shoal.cli.common import Exit, counted, emit, runs_async
from shoal.cli.contact import common_options, which
from shoal.cli.home import api_of, printable, when
from shoal.cli.messages import reads

if TYPE_CHECKING:
    from collections.abc import Mapping

FORMATS: Final = ("json", "text")
_BESIDE: Final = ("edit", "vote", "profile_update")  # what is shown at what it changes


@click.command()
@click.argument("text")
@click.option("--in", "conversation_id", default="", metavar="CONVERSATION", help="Only there.")
@click.option("--count", default=50, show_default=True, help="How many messages.")
@common_options
@runs_async
async def search(
    text: str,
    conversation_id: str,
    count: int,
    account: str | None,
    home: str | None,
    *,
    as_json: bool,
) -> int:
    """Find messages that have all words of TEXT, the newest first.

    The last word may be the beginning of one. Case and accents do not matter; messages are found
    by what they say now, files by their names.
    """
    async with api_of(home, is_local=True) as api:
        own = await which(api, account)
        found = await api.call(
            "conversation.search",
            account=own["id"],
            text=text,
            conversation=conversation_id,
            count=count,
        )
    for each in found:
        if as_json:
            emit("found", **each)
        else:
            head = f"{each['conversation'][:8]}  {when(each['wall_time'])}  {_author(each)}"
            click.echo(f"{head}  {printable(each['text'])}")
    return Exit.OK if found else Exit.FAILED


@click.command()
@common_options
@runs_async
async def unread(account: str | None, home: str | None, *, as_json: bool) -> int:
    """Count the messages of others that you have neither displayed nor answered."""
    async with api_of(home, is_local=True) as api:
        own = await which(api, account)
        found = await api.call("conversation.unread", account=own["id"])
    for each in found:
        if as_json:
            emit("unread", **each)
        elif each["unread"]:
            click.echo(f"{each['conversation']}  {counted(each['unread'], 'message')}")
    return Exit.OK


@click.command()
@click.argument("conversation_id", metavar="CONVERSATION")
@click.option(
    "--format",
    "form",
    type=click.Choice(FORMATS),
    default="text",
    show_default=True,
    help="Lines to read, or JSON: one object a line.",
)
@common_options
@runs_async
async def export(
    conversation_id: str,
    form: str,
    account: str | None,
    home: str | None,
    *,
    as_json: bool,
) -> int:
    """Write a whole history, oldest first.

    As text, messages are as people see them now. As JSON, edits and reactions are there too, where
    they were said. Files are named, not copied: they lie in the account's folder.
    """
    async with api_of(home, is_local=True) as api:
        own = await which(api, account)
        stream = api.stream("conversation.export", account=own["id"], conversation=conversation_id)
        async with contextlib.aclosing(stream):
            async for kind, value in stream:
                if kind == "item":
                    _write(value, form, as_json=as_json)
                elif as_json:
                    emit("exported", **value)
    return Exit.OK


@click.command()
@click.option("--in", "conversation_id", default="", metavar="CONVERSATION", help="Only that one.")
@common_options
@runs_async
async def reindex(
    conversation_id: str, account: str | None, home: str | None, *, as_json: bool
) -> int:
    """Check whole histories again, and make what is searched in anew.

    That is done by itself where the index is missing, damaged or behind.
    """
    async with api_of(home, is_local=True) as api:
        own = await which(api, account)
        done = await api.call(
            "conversation.reindex", account=own["id"], conversation=conversation_id
        )
    for each in done:
        if as_json:
            emit("reindexed", **each)
        else:
            click.echo(each["conversation"])
    return Exit.OK


def add_to(group: click.Group) -> None:
    """Put the commands into `shoal conversation`."""
    for command in (search, unread, export, reindex):
        group.add_command(command)


def _write(entry: Mapping[str, Any], form: str, *, as_json: bool) -> None:
    if as_json:
        emit("message", **entry)
    elif form == "json":
        click.echo(json.dumps(entry, ensure_ascii=False))
    elif entry["kind"] not in _BESIDE and not entry.get("react_to"):
        mark = "" if entry["is_verified"] else "  (unverified)"
        click.echo(f"{when(entry['wall_time'])}  {_author(entry)}  {printable(reads(entry))}{mark}")
        for reaction in entry["reactions"]:
            click.echo(f"    {reaction['author'][:8]} reacts: {printable(reaction['emoji'])}")


def _author(entry: Mapping[str, Any]) -> str:
    return printable(entry["author_name"] or entry["author"][:8])
