"""The chat in lines: what is typed or piped in is said, what is said comes out."""

from __future__ import annotations

import asyncio
import contextlib
import sys
import threading
import time
from typing import TYPE_CHECKING, Any, Final

import click

from shoal.cli.chat.orders import Order, OrderError, help_lines, read_order
from shoal.cli.chat.talk import SETTLE_TIME
from shoal.cli.chat.text import plain_lines
from shoal.cli.common import emit, explain
from shoal.core.errors import ShoalError

if TYPE_CHECKING:
    from shoal.cli.chat.talk import Talk
    from shoal.cli.chat.transcript import Entry

LINES_WAITING: Final = 256  # typed lines that wait to be said; whoever pipes more waits; ours


async def chat_in_lines(talk: Talk, *, as_json: bool, is_terminal: bool) -> bool:
    """Show a conversation until the input ends or /quit; return whether all could be said."""
    shown = _Shown()
    lines = _Lines()
    failures = 0
    async with asyncio.TaskGroup() as tasks:
        following = tasks.create_task(_follow(talk, shown, as_json=as_json))
        await shown.history.wait()
        if is_terminal and not as_json:
            click.echo(f"- {talk.title}; /help shows what you can do, /quit ends", err=True)
        while (line := await lines.get()) is not None:
            order = _order(line)
            if order is None:
                failures += 1
                continue
            if order.verb == "quit":
                break
            if not await _obey(talk, order, as_json=as_json):
                failures += 1
        await shown.wait_for(talk.last_said)
        following.cancel()
    return not failures


class _Shown:
    """What was printed."""

    def __init__(self) -> None:
        self.history = asyncio.Event()
        self.latest = ""
        self._is_new = asyncio.Event()

    def add(self, message: str) -> None:
        """Take note of what came."""
        self.latest = message
        self._is_new.set()

    async def wait_for(self, message: str) -> None:
        """Return once a message was printed; or soon, where that does not come."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(SETTLE_TIME):
                while message and self.latest != message:
                    self._is_new.clear()
                    await self._is_new.wait()


async def _follow(talk: Talk, shown: _Shown, *, as_json: bool) -> None:
    """Print what is said, from the history on."""
    async for change in talk.follow():
        if change == "anew":
            for entry in [] if shown.history.is_set() else talk.transcript.entries:
                _print(talk, entry, as_json=as_json)
            shown.history.set()
        elif change == "gone":
            click.echo("- you are no longer in this conversation", err=True)
        elif not isinstance(change, str):
            _print(talk, change, as_json=as_json)
            shown.add(change.id)
        if not isinstance(change, str) or change == "anew":
            await talk.seen()


async def _obey(talk: Talk, order: Order, *, as_json: bool) -> bool:
    """Carry an order out, and say what came of it."""
    try:
        match order.verb:
            case "help":
                told = help_lines()
            case "older":
                told = []
                for entry in await talk.load():
                    _print(talk, entry, as_json=as_json)
            case "switch":
                told = ["here one conversation is open: shoal chat CONVERSATION"]
            case _:
                told = await talk.obey(order)
    except (ShoalError, TimeoutError) as error:
        click.echo(f"! {explain(error)}", err=True)
        return False
    except OrderError as error:
        click.echo(f"! {error}", err=True)
        return False
    for line in told:
        click.echo(f"- {line}", err=as_json)
    return True


def _order(line: str) -> Order | None:
    """Return what a line orders, or None after saying what is wrong with it."""
    try:
        return read_order(line)
    except OrderError as error:
        click.echo(f"! {error}", err=True)
        return None


def _print(talk: Talk, entry: Entry, *, as_json: bool) -> None:
    if as_json:
        emit("message", **_fields(talk, entry))
        return
    for line in plain_lines(talk, entry, time.time()):
        click.echo(line)


def _fields(talk: Talk, entry: Entry) -> dict[str, Any]:
    return {
        "id": entry.id,
        "author": entry.author,
        "name": talk.name(entry.author),
        "wall_time": entry.wall_time,
        "kind": entry.kind,
        "body": entry.body,
        "reply_to": entry.reply_to,
        "is_edited": entry.is_edited,
        "is_deleted": entry.is_deleted,
        "is_verified": entry.is_verified,
        "reactions": entry.reactions,
    }


class _Lines:
    """Lines of the standard input, read in a thread that nobody waits for."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._queue: asyncio.Queue[str | None] = asyncio.Queue()
        self._room = threading.Semaphore(LINES_WAITING)
        threading.Thread(target=self._read, args=(sys.stdin,), daemon=True).start()

    async def get(self) -> str | None:
        """Return the next line, or None at the end."""
        line = await self._queue.get()
        self._room.release()
        return line

    def _read(self, stream: Any) -> None:
        try:
            for line in stream:
                self._put(line.rstrip("\r\n"))
        except (OSError, ValueError):
            pass  # as if it had ended
        self._put(None)

    def _put(self, line: str | None) -> None:
        self._room.acquire()
        try:
            self._loop.call_soon_threadsafe(self._queue.put_nowait, line)
        except RuntimeError:
            return  # the chat is over
