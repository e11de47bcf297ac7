"""`shoal account profile`, `shoal conversation set` and `status`: looks, wishes, who has seen."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from shoal.cli.common import Exit, emit, json_option, runs_async
from shoal.cli.contact import common_options, which
from shoal.cli.home import api_of, home_option, printable

if TYPE_CHECKING:
    from collections.abc import Mapping

PICTURE_MAX: Final = 2 * 1024 * 1024  # bytes; what a profile takes

picture_option = click.option(
    "--picture",
    type=click.Path(exists=True, dir_okay=False),
    metavar="FILE",
    help="A picture: PNG, JPEG, GIF or WebP, at most 2 MiB; some 50 KB are enough.",
)
no_picture_option = click.option(
    "--no-picture", "is_without", is_flag=True, help="Take the picture away."
)


@click.command()
@click.argument("account_id", metavar="ID")
@click.option("--name", metavar="TEXT", help="What others see from now on.")
@picture_option
@no_picture_option
@click.option("--save", metavar="FILE", help="Write the picture there.")
@home_option
@json_option
@runs_async
async def profile(
    account_id: str,
    name: str | None,
    picture: str | None,
    save: str | None,
    home: str | None,
    *,
    is_without: bool,
    as_json: bool,
) -> int:
    """Show what others see of an account, or change it: its name and picture.

    Contacts and members of your groups have it as soon as they are connected to a device of yours.
    """
    image = _picture(picture, is_without=is_without)
    is_change = name is not None or image is not None
    async with api_of(home, is_local=not is_change) as api:
        if is_change:
            changes = {"name": name, "picture": image}
            found = await api.call("account.set_profile", account=account_id, **changes)
        else:
            found = await api.call("account.profile", account=account_id)
    data = base64.b64decode(found["picture"])
    if save is not None and data:
        Path(save).write_bytes(data)  # noqa: ASYNC240 - nothing else runs
    if as_json:
        emit("profile", **found)
    else:
        kind = f"{found['picture_type']}, {len(data)} bytes" if data else "no picture"
        click.echo(f"{printable(found['name'])}  {kind}")
    return Exit.OK


@click.command("set")
@click.argument("conversation_id", metavar="CONVERSATION")
@click.option("--colour", metavar="#RRGGBB", help='Its colour on your devices; "" is none.')
@click.option("--mute/--unmute", "is_muted", default=None, help="Be silent about its messages.")
@click.option("--title", metavar="TEXT", help="Its title, for all members.")
@click.option("--description", metavar="TEXT", help="What it is about, for all members.")
@picture_option
@no_picture_option
@common_options
@runs_async
async def set_(
    conversation_id: str,
    colour: str | None,
    title: str | None,
    description: str | None,
    picture: str | None,
    account: str | None,
    home: str | None,
    *,
    is_muted: bool | None,
    is_without: bool,
    as_json: bool,
) -> int:
    """Change what you want of a conversation, or what it looks like.

    Colour and silence are yours, on all of your devices. Title, description and picture are for
    all members; only administrators change them.
    """
    changes = {
        "colour": colour,
        "is_muted": is_muted,
        "title": title,
        "description": description,
        "picture": _picture(picture, is_without=is_without),
    }
    async with api_of(home) as api:
        own = await which(api, account)
        found = await api.call(
            "conversation.set", account=own["id"], conversation=conversation_id, **changes
        )
    if as_json:
        emit("set", **found)
        return Exit.OK
    words = [printable(found["title"] or "no title"), found["colour"] or "no colour"]
    words.append("muted" if found["is_muted"] else "not muted")
    click.echo("  ".join(words))
    return Exit.OK


@click.command()
@click.argument("conversation_id", metavar="CONVERSATION")
@click.option("--count", default=10, show_default=True, help="How many of the latest messages.")
@click.option("--message", default="", metavar="ID", help="Only this message, whoever said it.")
@common_options
@runs_async
async def status(
    conversation_id: str,
    count: int,
    message: str,
    account: str | None,
    home: str | None,
    *,
    as_json: bool,
) -> int:
    """Show how far your latest messages have come, and with whom.

    sending: nobody else has it. sent: somebody has it and passes it on. delivered: a device of this
    member has it. displayed: they have seen it.
    """
    async with api_of(home, is_local=True) as api:
        own = await which(api, account)
        found = await api.call(
            "conversation.statuses",
            account=own["id"],
            conversation=conversation_id,
            count=count,
            message=message,
        )
    for each in found:
        if as_json:
            emit("status", **each)
        else:
            click.echo(_line(each))
    return Exit.OK if found else Exit.FAILED


def add_to(group: click.Group) -> None:
    """Add what is about conversations to their *group*."""
    group.add_command(set_)
    group.add_command(status)


def _line(each: Mapping[str, Any]) -> str:
    """Return a message's id and status, and the members with whom it has come elsewhere."""
    others = [f"{who[:8]} {what}" for who, what in each["members"].items()]
    return f"{each['id'][:12]}  {each['status']:<9}  {', '.join(others)}".rstrip()


def _picture(path: str | None, *, is_without: bool) -> str | None:
    """Return a picture as the API takes it; None changes nothing.

    Raises:
        UsageError: it is too large, or both options are given.
    """
    if path is None:
        return "" if is_without else None
    if is_without:
        raise click.UsageError("--picture or --no-picture, not both")
    data = Path(path).read_bytes()
    if len(data) > PICTURE_MAX:
        raise click.UsageError(f"{path} has {len(data)} bytes; {PICTURE_MAX} at most")
    return base64.b64encode(data).decode()
