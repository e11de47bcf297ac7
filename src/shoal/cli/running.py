"""`shoal node`: the node that holds accounts, until it is told to stop."""

# ruff: noqa: PLC0415 - commands load what they use

from __future__ import annotations

import contextlib
import logging
from typing import TYPE_CHECKING, Any

import click

from shoal.cli.common import (
    Exit,
    Group,
    counted,
    emit,
    json_option,
    loading,
    log_to_stderr,
    runs_async,
    verbose_option,
)
from shoal.cli.home import api_of, call, home_option, printable

if TYPE_CHECKING:
    from collections.abc import Mapping


@click.group(cls=Group)
def node() -> None:
    """The node that holds your accounts and takes commands."""


@node.command()
@home_option
@json_option
@verbose_option
@runs_async
async def run(home: str | None, *, as_json: bool, verbose: bool) -> int:
    """Run the node of a home until Ctrl-C or SIGTERM, which end it cleanly with status 0.

    It keeps your accounts online, answers requests, and takes the other commands meanwhile.
    Settings are in config.toml of the home.
    """
    from shoal.cli.node import stop_event

    log_to_stderr(logging.DEBUG if verbose else logging.INFO)
    stop = stop_event()
    async with contextlib.AsyncExitStack() as stack:
        with loading():
            from shoal.node.driver.node import Node

            running = await stack.enter_async_context(Node(home))
        if as_json:
            emit("started", home=str(running.home), accounts=len(running.accounts))
        else:
            click.echo(f"node at {running.home}, {counted(len(running.accounts), 'account')}")
        for account in running.accounts:
            if not as_json:
                click.echo(f"account {account.id}  {printable(account.name)}")
        await stop.wait()
    if as_json:
        emit("stopped")
    else:
        click.echo("stopped")
    return Exit.OK


@node.command()
@home_option
@json_option
@runs_async
async def status(home: str | None, *, as_json: bool) -> int:
    """Say what runs in a home: accounts, DHT nodes, how they are connected."""
    found: Mapping[str, Any] = await call(home, "node.status", is_local=True)
    if as_json:
        emit("status", **found)
        return Exit.OK
    click.echo(f"home {found['home']}, {counted(found['accounts'], 'account')}")
    for path, why in found["damaged"].items():
        click.echo(f"damaged: {path}: {printable(why)}", err=True)
    for dht in found["dht"]:
        click.echo(
            f"DHT node {dht['node_id']} of network {dht['network']}: {dht['status']},"
            f" UDP port {dht['port']}, {counted(dht['nodes'], 'node')} known"
        )
    if not found["dht"]:
        click.echo("nothing is on the network")
    return Exit.OK


@node.command()
@home_option
@json_option
@runs_async
async def events(home: str | None, *, as_json: bool) -> int:
    """Follow what happens in the node, until Ctrl-C."""
    async with api_of(home) as api:
        async for _, item in api.stream("node.events"):
            if as_json:
                emit(item.pop("event"), **item)
            else:
                name = item.pop("event")
                fields = "  ".join(f"{key}={printable(value)}" for key, value in item.items())
                click.echo(f"{name}  {fields}")
    return Exit.OK
