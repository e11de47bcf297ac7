"""What commands on accounts share: the node that runs in the home, or one for the call."""

# ruff: noqa: PLC0415 - commands load what they use

from __future__ import annotations

import asyncio
import contextlib
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, ParamSpec, TypeVar

import click

from shoal.cli.common import emit

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from shoal.node.driver.api.client import LocalClient, SocketClient

P = ParamSpec("P")
R = TypeVar("R")

PATIENCE: Final = 30.0  # seconds that another command may have the home; ours
LOOK: Final = 0.2  # seconds between two looks whether it is free
PASSWORD_MAX: Final = 4096  # bytes of a password file that are read


def home_option(command: Callable[P, R]) -> Callable[P, R]:
    """Add --home."""
    return click.option(
        "--home",
        envvar="SHOAL_HOME",
        show_envvar=True,
        metavar="DIR",
        help="Directory of the accounts; that of the platform if absent.",
    )(command)


def password_option(what: str) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Add --password-file."""
    return click.option(
        "--password-file",
        metavar="FILE",
        help=f"{what} The first line of FILE; - is stdin.",
    )


@contextlib.asynccontextmanager
async def api_of(
    home: str | None, *, is_local: bool = False
) -> AsyncIterator[SocketClient | LocalClient]:
    """Give the API of the node that runs in *home*, or of one that runs for this command.

    Commands that are *is_local* need no network, so such a node touches none.

    Raises:
        HomeTakenError: another command has the home, and keeps it.
    """
    from shoal.node.driver.api.client import LocalClient, SocketClient
    from shoal.node.driver.home import Home
    from shoal.node.errors import HomeTakenError, NoRunningNodeError

    place = Home(home)
    deadline = asyncio.get_running_loop().time() + PATIENCE
    while True:
        client = SocketClient(place.api_socket)
        try:
            await client.open()
        except NoRunningNodeError:
            pass
        else:
            async with contextlib.AsyncExitStack() as stack:
                stack.push_async_callback(client.close)
                yield client
            return
        from shoal.node.driver.node import Node  # a third of a second, and mostly one runs

        node = Node(place.path, serves_api=False, is_offline=is_local)
        try:
            await node.start()
        except HomeTakenError:
            if asyncio.get_running_loop().time() > deadline:
                raise
            await asyncio.sleep(LOOK)
            continue
        async with contextlib.AsyncExitStack() as stack:
            stack.push_async_callback(node.close)
            yield LocalClient(node)
        return


async def call(home: str | None, method: str, *, is_local: bool = False, **params: Any) -> Any:
    """Call one method, and return its result."""
    async with api_of(home, is_local=is_local) as api:
        return await api.call(method, **params)


async def call_with_progress(home: str | None, method: str, *, as_json: bool, **params: Any) -> Any:
    """Call one method, show its progress, and return its result."""
    result: Any = None
    async with api_of(home) as api, contextlib.aclosing(api.stream(method, **params)) as stream:
        async for kind, value in stream:
            if kind == "result":
                result = value
            else:
                _show_progress(value, as_json=as_json)
    return result


def read_password(path: str | None) -> str | None:
    """Return the first line of a password file, or None without one.

    Raises:
        UsageError: it cannot be read.
    """
    if path is None:
        return None
    try:
        if path == "-":
            text = sys.stdin.read(PASSWORD_MAX)
        else:
            with Path(path).open(encoding="utf-8") as file:
                text = file.read(PASSWORD_MAX)
    except (OSError, UnicodeDecodeError) as error:
        raise click.UsageError(f"cannot read the password from {path}: {error}") from error
    return text.partition("\n")[0].removesuffix("\r")


def ask_password(path: str | None, prompt: str, *, confirm: bool = False) -> str | None:
    """Return a password from a file, else from the terminal, else None: nobody is asked twice."""
    given = read_password(path)
    if given is not None or not sys.stdin.isatty():
        return given
    typed: str = click.prompt(
        prompt, hide_input=True, default="", show_default=False, confirmation_prompt=confirm,
        err=True,
    )  # fmt: skip
    return typed


def show_qr(text: str) -> None:
    """Draw *text* as a QR code for a phone's camera, where there is a terminal to draw it on."""
    if sys.stdout.isatty():
        import segno

        segno.make(text, error="m", micro=False).terminal(out=sys.stdout, compact=True)


def printable(text: object) -> str:
    """Return *text* as a terminal may be shown it: what others wrote must not control it."""
    return "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in str(text))


def when(wall: float | None) -> str:
    """Return a moment as people write it, by this machine's clock and zone."""
    from datetime import UTC, datetime

    if not wall:
        return "never"
    return datetime.fromtimestamp(wall, UTC).astimezone().strftime("%Y-%m-%d %H:%M")


def _show_progress(item: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        emit("progress", **item)
    elif sys.stderr.isatty():
        click.echo(f"[{item['done']}/{item['total']}] {item['step']}", err=True)
