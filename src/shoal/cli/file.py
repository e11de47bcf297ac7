"""`shoal file`: files in conversations: what there is, fetched, paused, canceled."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from shoal.cli.common import Exit, Group, emit, runs_async
from shoal.cli.contact import common_options, which
from shoal.cli.home import api_of, printable
from shoal.cli.progress import bar, sized, spent

if TYPE_CHECKING:
    from collections.abc import Mapping

    from shoal.node.driver.api.client import ApiClient


@click.group(cls=Group)
def file() -> None:
    """Files: fetch, pause, resume, cancel; `shoal send TO --file PATH` sends one.

    MESSAGE is the id of the message that offers the file, 40 hexadecimal digits or the first of
    them: see `shoal conversation log`.
    """


@file.command("list")
@common_options
@runs_async
async def list_(account: str | None, home: str | None, *, as_json: bool) -> int:
    """List what was fetched lately, what is being fetched, and what is being sent."""
    async with api_of(home, is_local=True) as api:
        own = await which(api, account)
        found = await api.call("file.list", account=own["id"])
    for each in found:
        if as_json:
            emit("transfer", **each)
        else:
            click.echo(_line(each))
    return Exit.OK


@file.command()
@click.argument("conversation")
@click.argument("message")
@click.option("--to", "folder", default="", metavar="FOLDER", help="Where the file goes.")
@click.option("--wait/--no-wait", default=True, help="Stay until it is here.", show_default=True)
@common_options
@runs_async
async def get(
    conversation: str,
    message: str,
    folder: str,
    wait: bool,
    account: str | None,
    home: str | None,
    *,
    as_json: bool,
) -> int:
    """Fetch a file from whoever has it; Ctrl-C leaves it to the node, which goes on.

    Without a running node it goes on with the next one. FOLDER is made if it is missing; a file
    that is there is never replaced.
    """
    place = _absolute(folder) if folder else ""
    async with api_of(home) as api:
        own = await which(api, account)
        params = {"conversation": conversation, "message": message, "folder": place, "wait": wait}
        done = await show_progress(api, "file.get", {"account": own["id"], **params}, as_json)
    if as_json:
        emit("file", **done)
    elif done["path"]:
        click.echo(printable(done["path"]))
    else:
        click.echo(_line(done))
    return Exit.OK


@file.command()
@click.argument("message")
@common_options
@runs_async
async def pause(message: str, account: str | None, home: str | None, *, as_json: bool) -> int:
    """Stop fetching a file, and keep what is here of it."""
    return await _on("pause", message, account, home, as_json)


@file.command()
@click.argument("message")
@common_options
@runs_async
async def resume(message: str, account: str | None, home: str | None, *, as_json: bool) -> int:
    """Go on with a file that was paused, waits, or failed."""
    return await _on("resume", message, account, home, as_json)


@file.command()
@click.argument("message")
@common_options
@runs_async
async def cancel(message: str, account: str | None, home: str | None, *, as_json: bool) -> int:
    """Stop fetching a file and delete what is here of it; or stop sending it, to everybody."""
    return await _on("cancel", message, account, home, as_json)


async def send_file(
    api: ApiClient, account: str, to: str, path: str, reply_to: str, *, wait: bool, as_json: bool
) -> dict[str, Any]:
    """Offer a file, and wait until somebody has it if that is wanted; return the message."""
    params = {"to": to, "path": _absolute(path), "reply_to": reply_to, "wait": wait}
    return await show_progress(api, "file.send", {"account": account, **params}, as_json)


async def show_progress(
    api: ApiClient, method: str, params: Mapping[str, Any], as_json: bool
) -> dict[str, Any]:
    """Show the items of a call as a bar, or as lines of JSON; return its result."""
    result: dict[str, Any] = {}
    with contextlib.ExitStack() as stack:
        show = None if as_json else stack.enter_context(bar())
        stream = api.stream(method, **params)
        async with contextlib.aclosing(stream):
            async for kind, value in stream:
                if kind == "result":
                    result = value or {}
                elif show is None:
                    emit("progress", **value)
                else:
                    show(value)
    return result


async def _on(verb: str, message: str, account: str | None, home: str | None, as_json: bool) -> int:
    """Do something with a transfer, and say how it stands."""
    async with api_of(home, is_local=verb != "resume") as api:
        own = await which(api, account)
        found = await api.call("file.list", account=own["id"])
        names = {each["id"] for each in found if each["id"].startswith(message.lower())}
        whole = names.pop() if len(names) == 1 else message
        done = await api.call(f"file.{verb}", account=own["id"], message=whole)
    if as_json:
        emit(verb, **(done or {"id": whole}))
    elif done:
        click.echo(_line(done))
    else:
        click.echo("canceled")
    return Exit.OK


def _absolute(path: str) -> str:
    """Return a path as the node finds it, wherever that runs."""
    return str(Path(path).expanduser().absolute())


def _line(transfer: Mapping[str, Any]) -> str:
    """Return a transfer as a line: which way, how far, what, where or why."""
    size, done = transfer["size"], transfer["done"]
    share = 100 if done >= size else 100 * done // size
    arrow = "<" if transfer["direction"] == "down" else ">"
    parts = [
        transfer["id"][:12],
        arrow,
        transfer["state"],
        f"{share} % of {sized(size)}",
        printable(transfer["name"]),
    ]
    if transfer["rate"] and transfer["state"] == "running":
        parts.append(f"{sized(transfer['rate'])}/s")
    if transfer["time_left"] is not None and transfer["state"] == "running":
        parts.append(f"{spent(transfer['time_left'])} left")
    if transfer["path"] and arrow == "<":
        parts.append(printable(transfer["path"]))
    if transfer["error"] and transfer["state"] == "failed":
        parts.append(printable(f"{transfer['error']['kind']}: {transfer['error']['message']}"))
    return "  ".join(parts)
