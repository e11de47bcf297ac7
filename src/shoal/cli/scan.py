"""`shoal dht scan`: who is in the network."""

# ruff: noqa: PLC0415 - commands load what they use

from __future__ import annotations

import asyncio
import contextlib
import statistics
import sys
from collections import Counter
from typing import TYPE_CHECKING, Final

import click

from shoal.cli import ring
from shoal.cli.common import (
    Exit,
    bootstrap_options,
    check_plot,
    counted,
    emit,
    hosts_of,
    json_option,
    runs_async,
    timeout_option,
)

if TYPE_CHECKING:
    from shoal.dht.crawl import CrawlEnded, NodeAnswered

RATE: Final = 50.0  # as shoal.dht.crawl
RATE_MAX: Final = 1000.0  # ours: nodes refuse more than 1,024 a second from one address
LIMIT: Final = 65_536  # as shoal.dht.crawl


@click.command()
@bootstrap_options
@click.option(
    "--rate",
    type=click.FloatRange(1, RATE_MAX),
    default=RATE,
    show_default=True,
    metavar="N",
    help="Ask at most this often per second, of all nodes together.",
)
@click.option(
    "--limit",
    type=click.IntRange(1, LIMIT),
    default=LIMIT,
    show_default=True,
    metavar="N",
    help="Remember at most this many nodes.",
)
@click.option("--plot", metavar="FILE", help="Draw the map into this PNG, SVG or PDF.")
@click.option("--quiet", is_flag=True, help="Show the map and the sums, not each node.")
@json_option
@timeout_option(None, "Show what was found within this time.")
@runs_async
async def scan(
    bootstrap: tuple[str, ...],
    network: int,
    rate: float,
    limit: int,
    plot: str | None,
    timeout: float | None,  # noqa: ASYNC109 - an option
    *,
    no_ipv6: bool,
    quiet: bool,
    as_json: bool,
) -> int:
    """Walk the whole network and show its map.

    Asks as a client, so that nobody stores or routes for the scan, and each node a few times at
    most. A public network of thousands of nodes takes minutes at the default rate.
    """
    from shoal.dht.crawl import CrawlEnded
    from shoal.dht.driver.crawl import crawl
    from shoal.dht.driver.lifecycle import ANY_ADDRESS

    if plot is not None:
        check_plot(plot)
    hosts = hosts_of(bootstrap, network)
    if not hosts:
        raise click.UsageError(
            f"network {network} has no public hosts: name a node of it with --bootstrap"
        )
    nodes: list[NodeAnswered] = []
    end: CrawlEnded | None = None
    bind = ANY_ADDRESS[:1] if no_ipv6 else ANY_ADDRESS
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(timeout):
            async for event in crawl(hosts, network=network, rate=rate, nodes_max=limit, bind=bind):
                if isinstance(event, CrawlEnded):
                    end = event
                    continue
                nodes.append(event)
                if as_json or not quiet:
                    _show_node(event, as_json=as_json)
                if sys.stderr.isatty() and not sys.stdout.isatty():
                    click.echo(f"\r{counted(len(nodes), 'node')} found ", nl=False, err=True)
    _show_map(nodes, end, network, as_json=as_json)
    if plot is not None and nodes:
        _plot(nodes, plot, network)
    return Exit.OK if nodes else Exit.NOT_CONNECTED


def _plot(nodes: list[NodeAnswered], path: str, network: int) -> None:
    try:
        ring.plot(nodes, path, f"DHT network {network}: {counted(len(nodes), 'node')}")
    except OSError as error:
        raise click.ClickException(f"cannot write {path}: {error.strerror}") from error
    click.echo(f"map drawn into {path}", err=True)


def _show_node(node: NodeAnswered, *, as_json: bool) -> None:
    if as_json:
        emit(
            "node",
            node_id=str(node.node_id),
            ip=node.addr.host,
            port=node.addr.port,
            agent=node.agent,
            rtt_ms=round(1000 * node.rtt, 1),
        )
    else:
        agent = node.agent if node.agent.isprintable() else "?"
        click.echo(f"{node.node_id}  {1000 * node.rtt:7.1f} ms  {agent:<5}  {node.addr}")


def _show_map(
    nodes: list[NodeAnswered], end: CrawlEnded | None, network: int, *, as_json: bool
) -> None:
    ids = {node.node_id for node in nodes}
    rtt_ms = round(1000 * statistics.median([node.rtt for node in nodes]), 1) if nodes else None
    families = Counter(node.addr.family.name.lower() for node in nodes)
    agents = Counter(node.agent for node in nodes)
    if as_json:
        emit(
            "summary",
            network=network,
            nodes=len(ids),
            silent=None if end is None else end.silent,
            is_complete=end is not None,
            families=dict(families),
            agents=dict(agents),
            rtt_median_ms=rtt_ms,
        )
        return
    click.echo(ring.draw(ids, counted(len(ids), "node")))
    click.echo(f"network {network}: {counted(len(ids), 'node')} answered", nl=False)
    click.echo("; the walk was cut short" if end is None else f", {end.silent} did not")
    if nodes:
        named = ", ".join(f"{agent or '(none)'} {count}" for agent, count in agents.most_common(8))
        by_family = ", ".join(f"{family} {count}" for family, count in families.items())
        click.echo(f"{by_family}; agents: {named}; median answer {rtt_ms} ms")
