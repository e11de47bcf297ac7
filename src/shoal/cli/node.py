"""`shoal dht node`: a node that runs until it is told to stop."""

# ruff: noqa: PLC0415 - commands load what they use

from __future__ import annotations

import asyncio
import contextlib
import logging
import signal
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Final

import click

from shoal.cli.common import (
    Exit,
    bootstrap_options,
    emit,
    hosts_of,
    identity_option,
    json_option,
    load_identity,
    log_to_stderr,
    runs_async,
)

if TYPE_CHECKING:
    from shoal.core import Address, InfoHash
    from shoal.dht.driver import DhtNode
    from shoal.dht.effects import Status

_log = logging.getLogger(__name__)

PORT: Final = 4222  # OpenDHT dhtrunner.h: DHT_DEFAULT_PORT
STORAGE_LIMIT: Final = 8 * 1024 * 1024  # reference section 3.7, and room for 100 such nodes
RATE_LIMIT: Final = 8192  # requests per second, of all; an eighth of it per address: 1.13
LOOK_INTERVAL: Final = 1.0  # seconds between two looks at who has joined
NEIGHBOURS_TOLD_MAX: Final = 20  # ours: joins told one by one at a look; more are summed up


@click.command()
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    default=PORT,
    show_default=True,
    help="UDP port; 0 takes that of the last run, or any.",
)
@bootstrap_options
@identity_option
@click.option("--state", metavar="FILE", help="Remember nodes, values and the id from run to run.")
@click.option(
    "--storage-limit",
    type=click.IntRange(0),
    default=STORAGE_LIMIT,
    show_default=True,
    metavar="BYTES",
    help="What values of others may use.",
)
@click.option(
    "--proxy",
    type=click.IntRange(0, 65535),
    metavar="PORT",
    help="Serve OpenDHT's HTTP proxy interface on this TCP port; needs shoal[proxy].",
)
@click.option(
    "--proxy-bind",
    default="127.0.0.1",
    show_default=True,
    metavar="ADDRESS",
    help="Address that the proxy is served on.",
)
@click.option(
    "--metrics",
    type=click.IntRange(0, 65535),
    metavar="PORT",
    help="Serve /metrics, /healthz and /stats on this TCP port; needs shoal[metrics].",
)
@click.option(
    "--metrics-bind",
    default="127.0.0.1",
    show_default=True,
    metavar="ADDRESS",
    help="Address that the metrics are served on.",
)
@click.option(
    "--bind",
    multiple=True,
    metavar="ADDRESS",
    help="Listen on this IP address alone; one per family.",
)
@click.option("--alone", is_flag=True, help="Join nobody: the first node of a new network.")
@click.option(
    "--discovery", is_flag=True, help="Find, and be found by, nodes of the local network."
)
@click.option("--client", is_flag=True, help="Ask only: store and route for nobody.")
@click.option("--stable", is_flag=True, help="A public host that rarely changes or moves.")
@click.option("--maintain", is_flag=True, help="Hand values on to nodes closer to their keys.")
@click.option("--no-rate-limit", is_flag=True, help="Serve everybody as fast as possible.")
@json_option
@click.option("-v", "--verbose", is_flag=True, help="Log whole ids and addresses, and more.")
@runs_async
async def node(
    port: int,
    bootstrap: tuple[str, ...],
    network: int,
    identity: str | None,
    state: str | None,
    storage_limit: int,
    proxy: int | None,
    proxy_bind: str,
    metrics: int | None,
    metrics_bind: str,
    bind: tuple[str, ...],
    *,
    no_ipv6: bool,
    alone: bool,
    discovery: bool,
    client: bool,
    stable: bool,
    maintain: bool,
    no_rate_limit: bool,
    as_json: bool,
    verbose: bool,
) -> int:
    """Run a node until Ctrl-C or SIGTERM, which end it cleanly with status 0.

    It stores and routes for others. Who joins its neighbourhood, and whether it is connected, is
    logged; with --json, as events on the standard output.
    """
    from shoal.dht.config import UNLIMITED, DhtConfig
    from shoal.dht.driver import DhtNode
    from shoal.dht.driver.lifecycle import ANY_ADDRESS

    log_to_stderr(logging.DEBUG if verbose else logging.INFO)
    if not verbose:  # the report below says who the node is, and when it ends
        logging.getLogger("shoal.dht.driver.lifecycle").setLevel(logging.WARNING)
    running = DhtNode(
        port,
        bootstrap=() if alone else hosts_of(bootstrap, network),
        network=network,
        identity=load_identity(identity),
        state=state,
        bind=bind or (ANY_ADDRESS[:1] if no_ipv6 else ANY_ADDRESS),
        has_discovery=discovery,
        config=DhtConfig(
            is_client=client,
            is_public_stable=stable,
            maintain_storage=maintain,
            storage_limit=storage_limit,
            rate_limit_total=UNLIMITED if no_rate_limit else RATE_LIMIT,
            rate_limit_per_address=UNLIMITED if no_rate_limit else RATE_LIMIT // 8,
        ),
    )
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(running)
        services = {}
        if metrics is not None:
            services["metrics"] = await _serve_metrics(stack, running, metrics, metrics_bind)
        if proxy is not None:
            services["proxy"] = await _serve_proxy(stack, running, proxy, proxy_bind)
        reporter = Reporter(running, as_json=as_json, is_verbose=verbose)
        reporter.started(services)
        await reporter.watch(stop_event())
    reporter.stopped()
    return Exit.OK


async def _serve_metrics(stack: AsyncExitStack, node: DhtNode, port: int, host: str) -> str:
    try:
        from shoal.dht.driver.metrics import MetricsServer
    except ModuleNotFoundError as error:
        raise click.UsageError("--metrics needs: pip install 'shoal[metrics]'") from error
    server = await stack.enter_async_context(MetricsServer(node, port, host))
    return f"http://{_in_url(host)}:{server.port}/metrics"


async def _serve_proxy(stack: AsyncExitStack, node: DhtNode, port: int, host: str) -> str:
    try:
        from shoal.dht.proxy.config import ProxyServerConfig
        from shoal.dht.proxy.driver import ProxyServer
    except ModuleNotFoundError as error:
        raise click.UsageError("--proxy needs: pip install 'shoal[proxy]'") from error
    config = ProxyServerConfig(host=host, port=port)
    server = await stack.enter_async_context(ProxyServer(node, config))
    return server.url


def _in_url(host: str) -> str:
    return f"[{host}]" if ":" in host else host


def stop_event() -> asyncio.Event:
    """Return an event that SIGINT or SIGTERM sets; a second signal ends the process at once."""
    stop, loop = asyncio.Event(), asyncio.get_running_loop()

    def end() -> None:
        stop.set()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.remove_signal_handler(number)

    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, end)
    return stop


class Reporter:
    """Tells on the terminal, or as events, what happens to a node."""

    def __init__(self, node: DhtNode, *, as_json: bool, is_verbose: bool) -> None:
        self._node = node
        self._as_json = as_json
        self._is_verbose = is_verbose
        self._neighbours: dict[InfoHash, Address] = {}
        self._status: dict[str, Status] = {}

    def started(self, services: dict[str, str]) -> None:
        """Say who and where the node is."""
        node = self._node
        bound = {family.name.lower(): str(addr) for family, addr in node.bound.items()}
        key_id = None if node.identity is None else str(node.identity.id)
        if self._as_json:
            emit(
                "started",
                node_id=str(node.node_id),
                network=node.network,
                key_id=key_id,
                bound=bound,
                **services,
            )
            return
        click.echo(f"node {node.node_id} of network {node.network}")
        click.echo(f"listening on UDP {', '.join(bound.values())}")
        if key_id is not None:
            click.echo(f"public key {key_id}")
        for name, url in services.items():
            click.echo(f"{name} on {url}")

    def stopped(self) -> None:
        """Say that the end was clean."""
        if self._as_json:
            emit("stopped")
        else:
            click.echo("stopped")

    async def watch(self, stop: asyncio.Event) -> None:
        """Report until *stop*."""
        while not stop.is_set():
            self._look_at_status()
            self._look_at_neighbours()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(LOOK_INTERVAL):
                    await stop.wait()

    def _look_at_status(self) -> None:
        now = {family.name.lower(): s for family, s in self._node.status_by_family.items()}
        if now != self._status and self._as_json:  # the driver logs it for people
            emit("status", **{family: status.value for family, status in now.items()})
        self._status = now

    def _look_at_neighbours(self) -> None:
        now = dict(self._node.nodes())
        joined = [node_id for node_id in now if node_id not in self._neighbours]
        left = [node_id for node_id in self._neighbours if node_id not in now]
        for event, ids in (("joined", joined), ("left", left)):
            for node_id in ids[:NEIGHBOURS_TOLD_MAX]:
                self._tell(event, node_id, now.get(node_id) or self._neighbours[node_id], len(now))
            if len(ids) > NEIGHBOURS_TOLD_MAX and not self._as_json:
                _log.info("= and %d more %s", len(ids) - NEIGHBOURS_TOLD_MAX, event)
        self._neighbours = now

    def _tell(self, event: str, node_id: InfoHash, addr: Address, count: int) -> None:
        if self._as_json:
            emit(event, node_id=str(node_id), addr=str(addr), nodes=count)
        elif self._is_verbose:
            _log.info("= %s: %s at %s; nodes known: %d", event, node_id, addr, count)
        else:
            _log.info(
                "= %s: %s at %s; nodes known: %d", event, short_id(node_id), masked(addr), count
            )


def short_id(node_id: InfoHash) -> str:
    """Return enough of an id to tell nodes apart in a log."""
    return f"{node_id.hex()[:8]}…"


def masked(addr: Address) -> str:
    """Return an address without the half that says who it is: logs are kept and copied."""
    if len(addr.ip) == 4:  # noqa: PLR2004 - bytes of IPv4
        return f"{addr.ip[0]}.{addr.ip[1]}.x.x:{addr.port}"
    return f"[{addr.ip[:4].hex(':', 2)}:…]:{addr.port}"
