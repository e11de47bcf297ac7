"""`shoal chat`: talk in a terminal."""

# ruff: noqa: PLC0415 - commands load what they use

from __future__ import annotations

import importlib.util
import sys
from typing import TYPE_CHECKING, Any

import click

from shoal.cli.common import Exit, runs_async
from shoal.cli.contact import common_options, which
from shoal.cli.home import api_of, printable

if TYPE_CHECKING:
    from collections.abc import Sequence

    from shoal.node.driver.api.client import ApiClient


@click.command()
@click.argument("conversation", required=False)
@click.option("--plain", "is_plain", is_flag=True, help="Lines instead of the whole screen.")
@click.option(
    "--theme",
    type=click.Choice(["dark", "light"]),
    envvar="SHOAL_THEME",
    show_envvar=True,
    help="Colours for a dark or a light terminal; those of the terminal itself if absent.",
)
@common_options
@runs_async
async def chat(
    conversation: str | None,
    theme: str | None,
    account: str | None,
    home: str | None,
    *,
    is_plain: bool,
    as_json: bool,
) -> int:
    """Talk in CONVERSATION: what is typed is said, what is said is shown.

    CONVERSATION is an id or the first digits of one, a title, or a contact's name; without it you
    choose from a list. `/help` shows the commands: reply, edit, react, send a file, invite.

    Where input or output is no terminal, lines go in and lines come out: `date | shoal chat ada`.
    """
    is_terminal = sys.stdin.isatty() and sys.stdout.isatty()
    has_screen = is_terminal and not is_plain and not as_json
    if has_screen and importlib.util.find_spec("textual") is None:
        click.echo("for the whole screen: pip install 'shoal[tui]'", err=True)
        has_screen = False
    async with api_of(home) as api:
        own = await which(api, account)
        if has_screen:
            from shoal.cli.chat.screen import ChatApp

            app = ChatApp(api, own["id"], conversation, theme=theme)
            await app.run_async()
            return app.return_code or Exit.OK
        if conversation is None:
            conversation = await _choose(api, own["id"], is_terminal=is_terminal)
        from shoal.cli.chat.plain import chat_in_lines
        from shoal.cli.chat.talk import Talk

        talk = Talk(api, own["id"], conversation)
        await talk.open()
        is_well = await chat_in_lines(talk, as_json=as_json, is_terminal=is_terminal)
    return Exit.OK if is_well else Exit.FAILED


async def _choose(api: ApiClient, account: str, *, is_terminal: bool) -> str:
    """Ask which conversation is meant.

    Raises:
        UsageError: there is none, or nobody to ask.
    """
    found: Sequence[Any] = await api.call("conversation.list", account=account)
    if not found:
        raise click.UsageError("no conversations yet: shoal contact add CONTACT begins one")
    if not is_terminal:
        raise click.UsageError("say which: shoal conversation list shows those there are")
    for number, each in enumerate(found, 1):
        click.echo(f"{number:>3}  {printable(each['title'])}")
    number = click.prompt("Which one", type=click.IntRange(1, len(found)), err=True)
    return str(found[number - 1]["id"])
