"""`shoal names`: run a name server."""

# ruff: noqa: PLC0415 - commands load what they use

from __future__ import annotations

import asyncio
import logging
import signal
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from shoal.cli.common import (
    Exit,
    Group,
    emit,
    json_option,
    log_to_stderr,
    names_folder,
    runs_async,
    verbose_option,
)

if TYPE_CHECKING:
    import ssl

    from shoal.chain.config import TransactionConfig
    from shoal.names import NameServer, NameServerLimits

PORT: Final = 8080  # ours


@click.group(cls=Group)
def names() -> None:
    """Serve names: a registry on a chain, in the interface that Jami's clients know."""


@names.command()
@click.option(
    "--chain",
    default="embedded",
    show_default=True,
    metavar="embedded|URL",
    help="The chain: one of this server's own, or that of a node reached by JSON-RPC.",
)
@click.option("--registry", metavar="ADDRESS", help="The contract; without it that of our genesis.")
@click.option("--key", metavar="FILE", help="Key that pays the fees; made in --data if absent.")
@click.option(
    "--data", metavar="DIR", help="Folder for chain, index, journal and key; one process has it."
)
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    default=PORT,
    show_default=True,
    help="TCP port; 0 takes any.",
)
@click.option(
    "--bind",
    default="127.0.0.1",
    show_default=True,
    metavar="ADDRESS",
    help="Address to listen on; :: takes IPv4 and IPv6 of all interfaces.",
)
@click.option("--read-only", is_flag=True, help="A mirror: serve what the chain says, no more.")
@click.option(
    "--from-block",
    type=click.IntRange(0),
    default=0,
    show_default=True,
    metavar="NUMBER",
    help="First block that can have names, so that a long chain need not be read from its start.",
)
@click.option(
    "--confirmations",
    type=click.IntRange(1, 1000),
    metavar="NUMBER",
    help="Blocks until a registration counts as done: 3 if absent, 1 on a chain of its own.",
)
@click.option("--tls-certificate", metavar="FILE", help="PEM chain; makes it HTTPS.")
@click.option("--tls-key", metavar="FILE", help="PEM private key of the certificate.")
@click.option(
    "--trusted-proxy",
    multiple=True,
    metavar="ADDRESS",
    help="Web server whose X-Forwarded-For tells who the client is; may be repeated.",
)
@click.option(
    "--lookups-per-second",
    type=click.FloatRange(0, min_open=True),
    metavar="NUMBER",
    help="What one client may look up; bursts of ten times as many are fine.",
)
@click.option(
    "--registrations-per-hour",
    type=click.FloatRange(0, min_open=True),
    metavar="NUMBER",
    help="What one client may register.",
)
@json_option
@verbose_option
@runs_async
async def serve(
    chain: str,
    registry: str | None,
    key: str | None,
    data: str | None,
    port: int,
    bind: str,
    from_block: int,
    confirmations: int | None,
    tls_certificate: str | None,
    tls_key: str | None,
    trusted_proxy: tuple[str, ...],
    lookups_per_second: float | None,
    registrations_per_hour: float | None,
    *,
    read_only: bool,
    as_json: bool,
    verbose: bool,
) -> int:
    """Run a name server until Ctrl-C or SIGTERM, which end it cleanly with status 0.

    Give Jami its URL as the name server of an account. Without --chain it has a chain of its own;
    --chain URL uses any Ethereum node, and --registry the contract there.
    """
    from shoal.chain import ChainAddress
    from shoal.names import NameServerConfig
    from shoal.names.driver.opening import open_name_server

    log_to_stderr(logging.DEBUG if verbose else logging.INFO)
    logging.getLogger("httpx2").setLevel(logging.WARNING)  # one line per question to the chain
    config = NameServerConfig(
        host=bind,
        port=port,
        is_read_only=read_only,
        trusted_proxies=trusted_proxy,
        limits=_limits(lookups_per_second, registrations_per_hour),
    )
    stop = _stop_event()
    async with open_name_server(
        _data_folder(data),
        config,
        chain=chain,
        registry=None if registry is None else ChainAddress.parse(registry),
        key=None if key is None else Path(key),
        first_block=from_block,
        transactions=_transactions(confirmations, chain),
        tls=_tls(tls_certificate, tls_key),
    ) as server:
        _tell_start(server, as_json=as_json)
        await stop.wait()
    if as_json:
        emit("stopped")
    else:
        click.echo("stopped")
    return Exit.OK


def _tell_start(server: NameServer, *, as_json: bool) -> None:
    status = server.index.status()
    if as_json:
        emit(
            "started",
            url=server.url,
            names=status.names,
            chain_id=status.chain_id,
            registry=status.registry,
            payer=None if server.payer is None else str(server.payer),
        )
        return
    click.echo(f"names on {server.url}")
    where = f"registry {status.registry} on chain {status.chain_id}, block {status.block}"
    click.echo(where if status.is_chain_up else "the chain cannot be reached yet")
    click.echo(f"{status.names:,} names")
    if server.payer is not None:
        click.echo(f"fees are paid by {server.payer}")


def _data_folder(data: str | None) -> Path:
    return names_folder() if data is None else Path(data)


def _limits(
    lookups_per_second: float | None, registrations_per_hour: float | None
) -> NameServerLimits:
    from dataclasses import replace

    from shoal.names import NameServerLimits as Limits

    limits = Limits()
    if lookups_per_second is not None:
        burst = max(int(10 * lookups_per_second), 1)
        limits = replace(limits, lookups_per_second=lookups_per_second, lookups_burst=burst)
    if registrations_per_hour is not None:
        limits = replace(
            limits,
            registrations_per_hour=registrations_per_hour,
            registrations_burst=max(int(registrations_per_hour), 1),
            registrations_per_hour_total=max(
                registrations_per_hour, limits.registrations_per_hour_total
            ),
        )
    return limits


def _transactions(confirmations: int | None, chain: str) -> TransactionConfig | None:
    if confirmations is None:
        return None
    from dataclasses import replace

    from shoal.chain.config import EMBEDDED_CONFIG, TransactionConfig

    usual = EMBEDDED_CONFIG if chain == "embedded" else TransactionConfig()
    return replace(usual, confirmations=confirmations)


def _tls(certificate: str | None, private_key: str | None) -> ssl.SSLContext | None:
    if certificate is None and private_key is None:
        return None
    if certificate is None or private_key is None:
        raise click.UsageError("--tls-certificate and --tls-key belong together")
    from shoal.names.driver.server import tls_context

    try:
        return tls_context(certificate, private_key)
    except OSError as error:  # ssl.SSLError is one
        raise click.UsageError(f"{certificate} and {private_key}: {error}") from error


def _stop_event() -> asyncio.Event:
    """Return an event that SIGINT or SIGTERM sets; a second signal ends the process at once."""
    stop, loop = asyncio.Event(), asyncio.get_running_loop()

    def end() -> None:
        stop.set()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.remove_signal_handler(number)

    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, end)
    return stop
