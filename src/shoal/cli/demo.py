"""`shoal dht demo`: a private DHT of several nodes in this process, and a view of it living.

All nodes are bound to loopback, know only each other and carry a network id drawn for this run, so
the demo reaches nothing outside this machine and nothing outside reaches it.
"""

from __future__ import annotations

import asyncio
import json
import secrets
import signal
import sys
import time
from collections import deque
from contextlib import AsyncExitStack, contextmanager
from dataclasses import asdict
from typing import TYPE_CHECKING, Final, Protocol

import click
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.live import Live
from rich.table import Table
from rich.text import Text

from shoal.cli.common import Exit, counted, explain, json_option, runs_async
from shoal.core.errors import ShoalError
from shoal.core.records import dataclass
from shoal.dht import Added, DhtNode

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from rich.console import ConsoleOptions, RenderResult

LOOPBACK: Final = "127.0.0.1"
NODES_MAX: Final = 64  # ours: a screen full, and far below what a process may open
CONNECT_TIMEOUT: Final = 30.0  # seconds for a node to know another one
OPERATION_TIMEOUT: Final = 15.0  # seconds; ours: several times what a lookup on loopback takes
PAUSE: Final = 0.8  # seconds between operations: as fast as one can read
REFRESHES_PER_SECOND: Final = 4
EVENTS_SHOWN: Final = 14
EVENTS_SHOWN_MIN: Final = 5  # however many nodes there are and however low the terminal is
FRAME_HEIGHT: Final = 7  # lines of title, head, note and margins
NETWORK_ID_MAX: Final = 2**32 - 1  # the wire carries 32 bits; 0 is the public network
KEYS: Final = ("harbour", "lighthouse", "reef", "tide", "current", "anchor")
WORDS: Final = ("mackerel", "herring", "sprat", "anchovy", "sardine", "capelin", "smelt", "tuna")


@dataclass(frozen=True, slots=True)
class Happened:
    """Something that one node of the demo did or saw.

    Attributes:
        node: its place in the list, from 1.
        seconds: since the demo began.
        is_failure: an operation did not do what it should.
    """

    seconds: float
    node: int
    text: str
    is_failure: bool = False


@dataclass(slots=True)
class Outcome:
    """How an operation went."""

    text: str = ""
    is_failure: bool = False


class View(Protocol):
    """Where the demo is shown."""

    def show(self, event: Happened) -> None:
        """Take one event."""
        ...


class Network:
    """The nodes, and what they are made to do."""

    def __init__(self, view: View) -> None:
        self.nodes: list[DhtNode] = []
        self.failures = 0
        self._view = view
        self._began = time.monotonic()

    async def open(self, count: int, stack: AsyncExitStack) -> None:
        """Start *count* nodes, each knowing only the first, and wait until all are connected."""
        network = 1 + secrets.randbelow(NETWORK_ID_MAX)
        for number in range(1, count + 1):
            known = [(LOOPBACK, self.nodes[0].port)] if self.nodes else []
            node = DhtNode(bootstrap=known, network=network, bind=[LOOPBACK])
            await stack.enter_async_context(node)
            self.nodes.append(node)
            if known:
                await node.wait_connected(CONNECT_TIMEOUT)
            self.tell(number, f"joined on port {node.port} as {short(node)}")

    def tell(self, node: int, text: str, *, is_failure: bool = False) -> None:
        """Show and count an event of the node with this number."""
        self.failures += is_failure
        seconds = round(time.monotonic() - self._began, 3)
        self._view.show(Happened(seconds, node, text, is_failure))

    async def live(self) -> None:
        """Put, get and listen until cancelled."""
        async with asyncio.TaskGroup() as group:
            for key in KEYS:
                group.create_task(self._listen(self._any(), key))
            while True:
                await self.put_and_get(secrets.choice(KEYS))
                await asyncio.sleep(PAUSE)

    async def put_and_get(self, key: str) -> None:
        """Let one node put a value and another one get it."""
        writer, reader = self._any(), self._any()
        text = f"{secrets.choice(WORDS)} {secrets.randbelow(1000)}"
        with self._operation(writer, f"put {text!r} at {key!r}") as outcome:
            result = await self.nodes[writer - 1].put(key, text, timeout=OPERATION_TIMEOUT)
            outcome.text = f"acknowledged by {result.nodes}"
        with self._operation(reader, f"got {key!r}") as outcome:
            values = await self.nodes[reader - 1].get(key, timeout=OPERATION_TIMEOUT)
            outcome.is_failure = text.encode() not in {value.data for value in values}
            is_there = "is not" if outcome.is_failure else "is"
            outcome.text = f"{text!r} {is_there} among {counted(len(values), 'value')}"

    async def _listen(self, node: int, key: str) -> None:
        async for event in self.nodes[node - 1].listen(key):
            if isinstance(event, Added):
                self.tell(node, f"heard {event.value.data.decode()!r} at {key!r}")

    @contextmanager
    def _operation(self, node: int, what: str) -> Iterator[Outcome]:
        """Tell how an operation went, and how long it took."""
        began = time.monotonic()
        outcome = Outcome()
        try:
            yield outcome
        except (ShoalError, TimeoutError) as error:
            self.tell(node, f"{what}: {explain(error)}", is_failure=True)
        else:
            took_ms = (time.monotonic() - began) * 1e3
            text = f"{what}: {outcome.text}, {took_ms:.1f} ms"
            self.tell(node, text, is_failure=outcome.is_failure)

    def _any(self) -> int:
        return 1 + secrets.randbelow(len(self.nodes))


class Lines:
    """A view without a terminal: a line per event, as text or JSON."""

    def __init__(self, *, as_json: bool) -> None:
        self._as_json = as_json

    def show(self, event: Happened) -> None:
        """Print the event."""
        if self._as_json:
            click.echo(json.dumps(asdict(event)))
        else:
            click.echo(f"{event.seconds:8.3f}  node {event.node:<2}  {event.text}")


class Screen:
    """A view in a terminal: the nodes in a table, the latest events below it."""

    def __init__(self) -> None:
        self.network: Network | None = None
        self._events: deque[Happened] = deque(maxlen=EVENTS_SHOWN)

    def show(self, event: Happened) -> None:
        """Keep the event for the next picture."""
        self._events.append(event)

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Fit the terminal: the latest events are what must be seen, then the nodes."""
        nodes = self.network.nodes if self.network is not None else []
        room = console.height - FRAME_HEIGHT
        rows = max(0, min(len(nodes), room - EVENTS_SHOWN_MIN))
        events = list(self._events)[-max(EVENTS_SHOWN_MIN, room - rows) :]
        note = "A private DHT on this machine. Ctrl-C ends it."
        if rows < len(nodes):
            note = f"and {counted(len(nodes) - rows, 'node')} more. {note}"
        yield table_of(nodes[:rows])
        yield Text(f"{note}\n", style="dim")
        for event in events:
            style = "red" if event.is_failure else ""
            line = f"{event.seconds:8.1f}  node {event.node:<2} {event.text}"
            yield Text(line, style, no_wrap=True, overflow="ellipsis")


def table_of(nodes: Sequence[DhtNode]) -> Table:
    """Return a row per node: who it is, whom it knows, what it stores, what it sends."""
    table = Table(title="shoal dht demo", box=SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0))
    for name in ("node", "id", "port", "state"):
        table.add_column(name)
    for name in ("knows", "stores", "bytes", "received", "sent"):
        table.add_column(name, justify="right")
    for number, node in enumerate(nodes, 1):
        stats = node.stats()
        table.add_row(
            str(number),
            short(node),
            str(node.port),
            stats.status.value,
            str(sum(family.good for family in stats.families.values())),
            str(stats.values),
            f"{stats.values_bytes:,}",
            f"{stats.udp.received:,}",
            f"{stats.udp.sent:,}",
        )
    return table


def short(node: DhtNode) -> str:
    """Return enough of the node's id to tell it apart here."""
    return f"{str(node.node_id)[:8]}…"


async def until_interrupted(seconds: float | None) -> None:
    """Return at SIGINT or SIGTERM, or when *seconds* have passed."""
    loop, interrupted = asyncio.get_running_loop(), asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, interrupted.set)
    try:
        async with asyncio.timeout(seconds):
            await interrupted.wait()
    except TimeoutError:
        return
    finally:
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.remove_signal_handler(number)


async def play(network: Network, count: int, seconds: float | None, *, is_once: bool) -> None:
    """Open the network; let every node take part once, or live on until interrupted."""
    async with AsyncExitStack() as stack:
        await network.open(count, stack)
        if is_once:
            for key in KEYS:
                await network.put_and_get(key)
            return
        async with asyncio.TaskGroup() as group:
            life = group.create_task(network.live())
            await until_interrupted(seconds)
            life.cancel()


@contextmanager
def screen_or_lines(*, as_json: bool) -> Iterator[Network]:
    """Show the network in the terminal if there is one, else as lines."""
    if as_json or not sys.stdout.isatty():
        yield Network(Lines(as_json=as_json))
        return
    screen = Screen()
    screen.network = Network(screen)
    with Live(screen, console=Console(), refresh_per_second=REFRESHES_PER_SECOND, screen=False):
        yield screen.network


@click.command()
@click.option(
    "--nodes", type=click.IntRange(2, NODES_MAX), default=8, show_default=True, help="How many."
)
@click.option(
    "--seconds",
    type=click.FloatRange(min=0, min_open=True),
    metavar="SECONDS",
    help="End after this time; otherwise Ctrl-C ends it.",
)
@click.option("--once", "is_once", is_flag=True, help="Put and get once per key, then end.")
@json_option
@runs_async
async def demo(nodes: int, seconds: float | None, is_once: bool, as_json: bool) -> int:
    """Run a private network of several nodes in this process and watch it live.

    The nodes join one another, then put, get and listen at random. Nothing leaves this machine.
    Without a terminal, or with --json, events come as lines.

    Exit status: 0, or 1 if any operation failed.
    """
    with screen_or_lines(as_json=as_json) as network:
        await play(network, nodes, seconds, is_once=is_once)
    if network.failures:
        click.echo(f"error: {network.failures} operations failed", err=True)
        return Exit.FAILED
    return Exit.OK
