"""`shoal dht stats`: the figures of a running node, or of a network seen by a guest."""

from __future__ import annotations

import asyncio
import json
import time
import urllib.error
import urllib.request
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

import click

from shoal.cli.common import (
    Budget,
    Exit,
    bootstrap_options,
    counted,
    emit,
    guest_node,
    json_option,
    runs_async,
    timeout_option,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

STATS_TIMEOUT: Final = 15.0  # seconds
ANSWER_SIZE_MAX: Final = 1024 * 1024  # ours: a node's figures are a few KiB
SETTLE: Final = 1.0  # seconds for neighbours to answer, after the first has


@click.command()
@click.option(
    "--node",
    "url",
    metavar="URL",
    help="Show a running node: where `shoal dht node --metrics` says that it serves them.",
)
@bootstrap_options
@json_option
@timeout_option(STATS_TIMEOUT, "Give up after this time.")
@runs_async
async def stats(
    url: str | None,
    bootstrap: tuple[str, ...],
    network: int,
    timeout: float,  # noqa: ASYNC109 - an option
    *,
    no_ipv6: bool,
    as_json: bool,
) -> int:
    """Show the figures of a node: its connection, its neighbours, what it stores, its counters.

    Without --node, a guest joins the network for a moment and shows what it sees of it.
    """
    if url is not None:
        figures = await asyncio.to_thread(_fetch, url, timeout)
    else:
        began = time.monotonic()
        async with guest_node(bootstrap, network, no_ipv6=no_ipv6, budget=Budget(timeout)) as node:
            took = time.monotonic() - began
            await asyncio.sleep(SETTLE)
            figures = node.stats().to_json()
            figures["seconds_to_connect"] = round(took, 3)
            figures["public_addresses"] = [addr.host for addr in node.public_addresses]
    if as_json:
        emit("stats", **figures)
    else:
        _show(figures)
    return Exit.OK


def _fetch(url: str, timeout: float) -> dict[str, Any]:
    """Ask a running node, in a thread.

    Raises:
        ClickException: nobody answers there, or not with a node's figures.
    """
    if "//" not in url:
        url = f"http://{url}"
    parts = urlsplit(url)
    if parts.scheme != "http" or not parts.netloc:
        raise click.UsageError(f"--node takes http://HOST:PORT, not {url}")
    try:
        with urllib.request.urlopen(f"http://{parts.netloc}/stats", timeout=timeout) as answer:
            figures = json.loads(answer.read(ANSWER_SIZE_MAX))
    except (OSError, ValueError) as error:
        reason = error.reason if isinstance(error, urllib.error.URLError) else error
        if isinstance(reason, OSError) and reason.strerror:
            reason = reason.strerror
        raise click.ClickException(
            f"no node's figures at {parts.netloc}: {reason}\n"
            "hint: Start the node with --metrics PORT, and name that port."
        ) from error
    if not isinstance(figures, dict) or "node_id" not in figures:
        raise click.ClickException(f"what answers at {parts.netloc} is no Shoal node")
    return figures


def _show(figures: Mapping[str, Any]) -> None:
    click.echo(f"node       {figures['node_id']}")
    click.echo(f"network    {figures['network']}, {figures['status']}", nl=False)
    if "seconds_to_connect" in figures:
        click.echo(f" after {figures['seconds_to_connect']} s", nl=False)
    click.echo(f", up {figures['uptime']:.0f} s")
    if figures.get("public_addresses"):
        click.echo(f"seen as    {', '.join(figures['public_addresses'])}")
    click.echo(
        f"stores     {counted(figures['values'], 'value')}, "
        f"{counted(figures['values_bytes'], 'byte')}"
    )
    for family, one in figures["families"].items():
        click.echo(
            f"{family:<10} {one['status']} on {one['bound']}: {one['good']} good, "
            f"{one['dubious']} dubious, {one['cached']} cached, {one['incoming']} incoming; "
            f"about {counted(one['size_estimate'], 'node')} in the network"
        )
    udp = figures["udp"]
    click.echo(
        f"datagrams  {udp['received']} in ({counted(udp['received_bytes'], 'byte')}), "
        f"{udp['sent']} out ({counted(udp['sent_bytes'], 'byte')})"
    )
    for part, counters in figures["counters"].items():
        told = ", ".join(f"{name} {count:,}" for name, count in counters.items() if count)
        if told:
            click.echo(f"{part:<10} {told}")
