"""What the commands share: exit statuses, options, errors in words, running until stopped."""

from __future__ import annotations

import asyncio
import contextlib
import enum
import functools
import gc
import importlib.util
import inspect
import json
import logging
import signal
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, ParamSpec, TypeVar

import click

from shoal.core.errors import ShoalError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Coroutine, Iterable, Iterator

    from shoal.crypto.identity import Identity
    from shoal.dht.driver import DhtNode

P = ParamSpec("P")
R = TypeVar("R")

TIMEOUT: Final = 30.0  # seconds; ours: joining through a slow host, then a lookup
NETWORK_MAX: Final = 2**32 - 1  # the wire carries 32 bits
BOOTSTRAP_FILE: Final = "bootstrap.txt"
SENTENCE_MAX: Final = 400  # characters of help; none is as long
PLOT_SUFFIXES: Final = (".png", ".svg", ".pdf")


class Exit(enum.IntEnum):
    """Exit statuses; `shoal --help` lists them."""

    OK = 0
    FAILED = 1
    USAGE = 2
    NOT_CONNECTED = 3
    REFUSED = 4
    UNAVAILABLE = 5
    INTERRUPTED = 128 + signal.SIGINT
    TERMINATED = 128 + signal.SIGTERM


class Terminated(BaseException):
    """SIGTERM arrived; a BaseException, as KeyboardInterrupt is."""


class Group(click.Group):
    """A group whose help says of each command the whole sentence, not what fits on a line."""

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the list of commands."""
        rows = [
            (name, command.get_short_help_str(SENTENCE_MAX))
            for name, command in self.commands.items()
        ]
        with formatter.section("Commands"):
            formatter.write_dl(sorted(rows))


def bootstrap_options(command: Callable[P, R]) -> Callable[P, R]:
    """Add --bootstrap, --network and --no-ipv6."""
    for option in (
        click.option("--no-ipv6", is_flag=True, help="Use IPv4 alone."),
        click.option(
            "--network",
            type=click.IntRange(0, NETWORK_MAX),
            default=0,
            show_default=True,
            envvar="SHOAL_NETWORK",
            show_envvar=True,
            metavar="ID",
            help="Network id; others are ignored. 0 is the public network.",
        ),
        click.option(
            "--bootstrap",
            multiple=True,
            envvar="SHOAL_BOOTSTRAP",
            show_envvar=True,
            metavar="HOST[:PORT]",
            help="Join by this host; may be repeated. The port is 4222 if absent.",
        ),
    ):
        command = option(command)
    return command


def identity_option(command: Callable[P, R]) -> Callable[P, R]:
    """Add --identity."""
    return click.option(
        "--identity",
        metavar="FILE",
        help="Private key and certificates in PEM: FILE, or FILE.pem and FILE.crt.",
    )(command)


def timeout_option(default: float | None, what: str) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Add --timeout."""
    return click.option(
        "--timeout",
        type=click.FloatRange(min=0, min_open=True),
        default=default,
        show_default=default is not None,
        metavar="SECONDS",
        help=what,
    )


def json_option(command: Callable[P, R]) -> Callable[P, R]:
    """Add --json."""
    return click.option("--json", "as_json", is_flag=True, help="Write one JSON object per line.")(
        command
    )


def verbose_option(command: Callable[P, R]) -> Callable[P, R]:
    """Add --verbose."""
    return click.option("-v", "--verbose", is_flag=True, help="Log more.")(command)


def log_to_stderr(level: int) -> None:
    """Log from *level* on, beside what the command writes."""
    logging.basicConfig(level=level, format="%(asctime)s %(message)s", stream=sys.stderr)


@contextlib.contextmanager
def loading() -> Iterator[None]:
    """Look for no garbage while a command loads what it runs on; that takes a quarter of its time.

    What is there afterwards stays as long as the process, so it is never looked at again.
    """
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()


def hosts_of(bootstrap: Iterable[str], network: int) -> tuple[tuple[str, int], ...]:
    """Return whom to join by: those named, else for the public network those on the lists.

    Raises:
        BootstrapFormatError: a host is not understood.
    """
    from shoal.dht.driver.hosts import parse_hosts, public_hosts, read_hosts  # noqa: PLC0415

    named = parse_hosts(bootstrap)
    if named or network != 0:
        return named
    import platformdirs  # noqa: PLC0415 - slow, and mostly not needed

    with contextlib.suppress(RuntimeError):  # the user has no directory, hence no list
        path = platformdirs.user_config_path("shoal") / BOOTSTRAP_FILE
        if path.exists():
            return tuple(dict.fromkeys((*public_hosts(), *read_hosts(path.read_text("utf-8")))))
    return public_hosts()


def names_folder() -> Path:
    """Return where a name server of this user keeps its data.

    Raises:
        click.ClickException: the user has no directory.
    """
    import platformdirs  # noqa: PLC0415 - slow, and mostly not needed

    try:
        return platformdirs.user_data_path("shoal") / "names"
    except RuntimeError:
        message = "this user has no directory of their own: name a folder by --data"
        raise click.ClickException(message) from None


def load_identity(path: str | None) -> Identity | None:
    """Read an identity; ask for the password of its key if it has one.

    Raises:
        CryptoError: the file cannot be read, or holds no identity.
    """
    if path is None:
        return None
    from shoal.crypto.driver import load_identity as load  # noqa: PLC0415
    from shoal.crypto.errors import PasswordError  # noqa: PLC0415

    try:
        return load(path)
    except PasswordError:
        if not sys.stdin.isatty():
            raise
        return load(path, click.prompt(f"Password of {path}", hide_input=True, err=True))


class Budget:
    """The time that a command has: for joining the network, then for its work."""

    def __init__(self, seconds: float | None) -> None:
        self._end = None if seconds is None else time.monotonic() + seconds

    @property
    def left(self) -> float | None:
        """Seconds left, at least an instant; None without a limit."""
        return None if self._end is None else max(self._end - time.monotonic(), 0.001)


@contextlib.asynccontextmanager
async def guest_node(
    bootstrap: Iterable[str],
    network: int,
    *,
    no_ipv6: bool,
    budget: Budget,
    identity: Identity | None = None,
) -> AsyncIterator[DhtNode]:
    """Open a node that asks without serving, for as long as one command runs; wait for a network.

    Raises:
        NotConnectedError: no node answered in time.
    """
    from shoal.dht.config import DhtConfig  # noqa: PLC0415 - commands load what they use
    from shoal.dht.driver import DhtNode  # noqa: PLC0415

    hosts = hosts_of(bootstrap, network)
    if not hosts:
        raise click.UsageError(
            f"network {network} has no public hosts: name a node of it with --bootstrap"
        )
    node = DhtNode(
        bootstrap=hosts,
        network=network,
        identity=identity,
        bind=("0.0.0.0",) if no_ipv6 else ("0.0.0.0", "::"),  # noqa: S104 - any interface
        config=DhtConfig(is_client=True),
    )
    async with node:
        await node.wait_connected(budget.left or TIMEOUT)
        yield node


def check_plot(path: str | Path) -> None:
    """Fail before the work, not after it, if the plot cannot be drawn.

    Raises:
        UsageError: matplotlib is missing, the format unknown, or there is no such directory.
    """
    if importlib.util.find_spec("matplotlib") is None:
        raise click.UsageError("--plot needs matplotlib: pip install 'shoal[sim]'")
    path = Path(path)
    if path.suffix.lower() not in PLOT_SUFFIXES:
        raise click.UsageError(f"--plot draws {', '.join(PLOT_SUFFIXES)}: name the file so")
    if not path.parent.is_dir():
        raise click.UsageError(f"--plot: there is no directory {path.parent}")


def emit(event: str, **fields: Any) -> None:
    """Write one event as a line of JSON."""
    click.echo(json.dumps({"event": event, **fields}))


def runs_async(command: Callable[P, Coroutine[Any, Any, int | None]]) -> Callable[P, None]:
    """Make a click callback of a coroutine: run it, turn errors into words and exit statuses."""

    @functools.wraps(command)
    def run(*args: P.args, **kwargs: P.kwargs) -> None:
        status: int
        try:
            status = asyncio.run(_until_terminated(command(*args, **kwargs))) or Exit.OK
        except KeyboardInterrupt:
            status = Exit.INTERRUPTED
        except Terminated:
            status = Exit.TERMINATED
        except (ShoalError, TimeoutError) as error:
            status = fail(error)
        if status:
            sys.exit(status)

    return run


async def _until_terminated(work: Coroutine[Any, Any, R]) -> R:
    """Run *work*; SIGTERM cancels it as Ctrl-C does, so that it can close what it opened."""
    task, is_terminated = asyncio.current_task(), False
    assert task is not None, "asyncio.run makes a task"

    def terminate() -> None:
        nonlocal is_terminated
        is_terminated = True
        task.cancel()

    with contextlib.suppress(NotImplementedError):  # platforms without such signals
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, terminate)
    try:
        return await work
    except asyncio.CancelledError:
        if is_terminated:
            raise Terminated from None
        raise


def fail(error: Exception) -> Exit:
    """Say on stderr what happened and what to do; return the exit status for it."""
    click.echo(f"error: {explain(error)}", err=True)
    return status_of(error)


def explain(error: Exception) -> str:
    """Return an error in words: its own, then, on a line of its own, what to do about it."""
    if isinstance(error, TimeoutError) and not isinstance(error, ShoalError):
        return "no answer in time; try again, or allow more with --timeout"
    text = str(error)
    # The docstring of an error is written for those who see it on the screen.
    general = " ".join((inspect.getdoc(type(error)) or "").partition("\n\nAttributes:")[0].split())
    what, _, advice = general.partition(". ")
    text = text or what
    return f"{text}\nhint: {advice}" if advice else text


def counted(number: int, noun: str) -> str:
    """Return how many there are, as in "1 node" and "2 nodes"."""
    return f"{number:,} {noun}{'s' * (number != 1)}"


def status_of(error: Exception) -> Exit:
    """Return the exit status that an error leads to."""
    from shoal.cli.statuses import status_of as by_room  # noqa: PLC0415 - knows all errors

    return by_room(error)
