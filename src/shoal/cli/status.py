"""`shoal status`: accounts, the DHT, and the way that each connection takes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import click

from shoal.cli.common import Exit, counted, emit, json_option, runs_async
from shoal.cli.home import api_of, home_option, printable

if TYPE_CHECKING:
    from collections.abc import Mapping

    from shoal.node.driver.api.client import ApiClient

SHORT: Final = 8  # digits of ids; ours
BADGES: Final = {"lan": "LAN", "direct": "direct", "relayed": "TURN"}
DISCARD: Final = "9"  # RFC 6544: the port of a candidate that only opens connections
_MILLISECONDS: Final = 1000  # in a second


@click.command()
@home_option
@json_option
@runs_async
async def status(home: str | None, *, as_json: bool) -> int:
    """Show accounts, the DHT and connections, each with the way it takes and why.

    LAN is between addresses of one network or machine, direct across the Internet, TURN through a
    relay because nothing else worked. Without `shoal node run` nothing is on the network.
    """
    async with api_of(home, is_local=True) as api:
        found = await look(api)
    if as_json:
        emit("status", **found)
    else:
        _show(found)
    return Exit.OK


async def look(api: ApiClient) -> dict[str, Any]:
    """Return all that is shown."""
    node = await api.call("node.status")
    accounts = []
    for account in await api.call("account.list"):
        people = await api.call("person.list", account=account["id"])
        names = {each["id"]: each["shown"] for each in people}
        connections = [
            describe(each, names)
            for each in await api.call("connection.list", account=account["id"])
        ]
        accounts.append({**account, "connections": connections})
    return {
        "home": node["home"],
        "damaged": node["damaged"],
        "dht": node["dht"],
        "accounts": accounts,
    }


def describe(connection: Mapping[str, Any], names: Mapping[str, str]) -> dict[str, Any]:
    """Return a connection with its badge and the reason for that."""
    trace = connection["trace"]
    path = trace["path"]
    return {
        "peer": connection["account"],
        "name": names.get(connection["account"], connection["account"][:SHORT]),
        "device": connection["device"],
        "channels": connection["channels"],
        "badge": BADGES[path["kind"]] if path is not None else "direct",
        "rtt": None if path is None else path["rtt"],
        "why": why(trace),
    }


def why(trace: Mapping[str, Any]) -> str:
    """Return why a connection takes the way it takes, in words."""
    path = trace["path"]
    if path is None:
        return "by an address that the device publishes"
    local, remote = _address(path["local"]), _address(path["remote"])
    match path["kind"]:
        case "lan":
            return f"both are in one network: {local} to {remote}"
        case "direct":
            opener = "the other side" if path["is_incoming"] else "we"
            return f"{opener} could open it: {local} to {remote}"
        case _:
            tried: dict[str, int] = {}
            for pair in path["pairs"]:
                if pair["outcome"] not in ("selected", "succeeded"):
                    tried[pair["outcome"]] = tried.get(pair["outcome"], 0) + 1
            words = ", ".join(f"{count} {outcome}" for outcome, count in sorted(tried.items()))
            return f"no direct way worked ({words or 'none was there to be tried'})"


def _address(candidate: str) -> str:
    """Return the address in the text of a candidate: RFC 8839, its fifth and sixth words."""
    parts = candidate.split()
    if len(parts) <= 5:  # noqa: PLR2004 - see above
        return candidate
    return parts[4] if parts[5] == DISCARD else f"{parts[4]}:{parts[5]}"


def _show(found: Mapping[str, Any]) -> None:
    click.echo(f"home     {found['home']}")
    for path, reason in found["damaged"].items():
        click.echo(f"damaged  {path}: {printable(reason)}")
    for dht in found["dht"]:
        click.echo(
            f"DHT      {dht['status']}, network {dht['network']}, UDP port {dht['port']},"
            f" {counted(dht['nodes'], 'node')} known"
        )
    if not found["dht"]:
        click.echo("DHT      off: shoal up goes online, with a page, or shoal node run, without")
    if not found["accounts"]:
        click.echo("accounts none yet: shoal account new --name NAME")
    for account in found["accounts"]:
        waiting = account["requests"]
        requests = f", {counted(waiting, 'request')} waiting" if waiting else ""
        click.echo(
            f"account  {printable(account['name'])}  {account['id'][:SHORT]}  {account['state']},"
            f" {counted(account['contacts'], 'contact')},"
            f" {counted(account['devices'], 'device')}{requests}"
        )
        for each in account["connections"]:
            rtt = "" if each["rtt"] is None else f"  {each['rtt'] * _MILLISECONDS:.1f} ms"
            name = f"{printable(each['name'])} ({each['device'][:SHORT]})"
            click.echo(f"  [{each['badge']}]  {name}{rtt}  {each['why']}")
