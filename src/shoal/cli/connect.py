"""`shoal connect`: open a channel to a device, and show the way that it took."""

# ruff: noqa: ASYNC109 - a timeout is an option here

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import click

from shoal.cli.common import Exit, emit, json_option, runs_async, timeout_option
from shoal.cli.contact import account_option, which
from shoal.cli.home import api_of, home_option

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

TIMEOUT: Final = 60.0  # seconds; ours: half a minute for an answer, then for a path
CHANNEL: Final = "sip"  # Jami: taken from everybody who may connect
MILLISECONDS: Final = 1000  # in a second


@click.command()
@click.argument("device", metavar="DEVICE")
@click.option(
    "--channel", default=CHANNEL, show_default=True, metavar="NAME", help="Which channel to open."
)
@click.option("--fresh", is_flag=True, help="Make a new connection, even if there is one.")
@account_option
@timeout_option(TIMEOUT, "Give up after this time.")
@home_option
@json_option
@runs_async
async def connect(
    device: str,
    channel: str,
    account: str | None,
    timeout: float,
    home: str | None,
    *,
    fresh: bool,
    as_json: bool,
) -> int:
    """Open a channel to DEVICE, and show the way it took.

    DEVICE is the id of a device or of an account, or the registered name of an account.

    Shown are the candidates of both sides, the pairs that were tried and what became of each, the
    round trip, TLS, and the time of every step. The channel is closed again. The exit status is 4
    if the device was reached, but does not take the channel.
    """
    async with api_of(home) as api:
        own = await which(api, account)
        reached = await api.call(
            "connect", account=own["id"], to=device, channel=channel, timeout=timeout, fresh=fresh
        )
    if as_json:
        emit("connected", **reached)
    else:
        _show(reached)
    return Exit.OK if reached["is_accepted"] or channel == CHANNEL else Exit.REFUSED


def _show(reached: Mapping[str, Any]) -> None:
    trace = reached["trace"]
    click.echo(f"connected to {reached['device']} of account {reached['account']}")
    if not reached["is_accepted"]:
        click.echo(f"it takes no channel called {reached['channel']}")
    if trace["path"] is not None:
        _show_path(trace["path"])
    click.echo(f"TLS        {trace['tls']}")
    _show_steps(trace["steps"])
    _show_list("ours", trace["local_candidates"])
    _show_list("theirs", trace["remote_candidates"])


def _show_path(path: Mapping[str, Any]) -> None:
    opener = "opened by the other side" if path["is_incoming"] else "opened by us"
    click.echo(f"path       {path['kind']}, round trip {_ms(path['rtt'])}, {opener}")
    for pair in path["pairs"]:
        detail = f" ({pair['detail']})" if pair["detail"] else ""
        click.echo(
            f"  pair     {pair['local']} to {pair['remote']}: {pair['outcome']}{detail},"
            f" {_ms(pair['seconds'])}"
        )


def _show_steps(steps: Sequence[Mapping[str, Any]]) -> None:
    before = 0.0
    for step in steps:
        took = step["seconds"] - before
        click.echo(f"  step     {step['event']:<10} {_ms(step['seconds'])} (+{_ms(took)})")
        before = step["seconds"]


def _show_list(title: str, lines: Sequence[str]) -> None:
    for line in lines:
        click.echo(f"{title:<10} {line}")


def _ms(seconds: float) -> str:
    return f"{seconds * MILLISECONDS:.1f} ms"
