"""What kind of router is between this machine and others: STUN from one socket to several servers.

RFC 5780 section 4.3: a router that gives one port for all destinations lets peers meet directly;
one that gives each destination another does not, unless the other side's router is of the first
kind. One server alone cannot tell these apart.
"""

from __future__ import annotations

import asyncio
import secrets
import socket
from typing import TYPE_CHECKING, Final

from shoal.cli.doctor.findings import Finding, Verdict
from shoal.core import Address, DecodeError
from shoal.net import stun

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping

NAME: Final = "NAT"
TRIES: Final = 3
PAUSE: Final = 0.5  # seconds, RFC 8489 section 6.2.1: the first retransmission
DATAGRAM_MAX: Final = 2_048
_TRANSACTION: Final = 12  # RFC 8489 section 5
HELP: Final = "switch UPnP on in the router, or have a TURN server: [net] turn in config.toml"


async def ask(servers: Iterable[tuple[str, int]]) -> tuple[int, dict[str, Address]]:
    """Return the port of one socket, and where each server sees that socket; silent ones not."""
    loop = asyncio.get_running_loop()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.setblocking(False)
        sock.bind(("", 0))
        names: dict[bytes, str] = {}
        places: dict[bytes, tuple[str, int]] = {}
        for host, port in servers:
            for place in await _resolve(host, port):
                transaction = secrets.token_bytes(_TRANSACTION)
                names[transaction] = f"{host}:{port}"
                places[transaction] = place
        seen: dict[str, Address] = {}
        for attempt in range(TRIES):
            for transaction, place in places.items():
                if names[transaction] not in seen:
                    request = stun.Message(stun.Method.BINDING, stun.Class.REQUEST, transaction)
                    try:
                        await loop.sock_sendto(sock, stun.encode(request), place)
                    except OSError:
                        continue
            wait = PAUSE * 2**attempt
            try:
                async with asyncio.timeout(wait):
                    while len(seen) < len(set(names.values())):
                        data, _ = await loop.sock_recvfrom(sock, DATAGRAM_MAX)
                        _note(data, names, seen)
            except (TimeoutError, OSError):
                continue
        return sock.getsockname()[1], seen


def judge(port: int, seen: Mapping[str, Address], own: Collection[str]) -> Finding:
    """Say what kind of router that is.

    Args:
        port: of the socket that asked.
        seen: where servers see it.
        own: the addresses of this machine.
    """
    if not seen:
        return Finding(
            NAME,
            Verdict.WARNING,
            "no server said where it sees us",
            "name one that answers over UDP: [net] stun in config.toml",
        )
    places = set(seen.values())
    if all(each.host in own for each in places):
        return Finding(NAME, Verdict.OK, f"none: this machine is seen as {_shown(places)} itself")
    if len({(each.host, each.port) for each in places}) > 1:
        return Finding(
            NAME,
            Verdict.WARNING,
            f"each destination sees another port ({_shown(places)}): direct paths are rare",
            HELP,
        )
    if len(seen) == 1:
        return Finding(
            NAME,
            Verdict.OK,
            f"there is one, which shows us as {_shown(places)};"
            " its kind takes a second server to tell: [net] stun in config.toml",
        )
    kept = ", and keeps ports" if next(iter(places)).port == port else ""
    return Finding(NAME, Verdict.OK, f"one port for all destinations{kept}: direct paths work")


def _note(data: bytes, names: Mapping[bytes, str], seen: dict[str, Address]) -> None:
    try:
        answer = stun.decode(data)
    except DecodeError:
        return
    mapped = answer.attributes.get("XOR-MAPPED-ADDRESS") or answer.attributes.get("MAPPED-ADDRESS")
    name = names.get(answer.transaction)
    if answer.kind is stun.Class.SUCCESS and name is not None and isinstance(mapped, Address):
        seen[name] = mapped


async def _resolve(host: str, port: int) -> list[tuple[str, int]]:
    try:
        found = await asyncio.get_running_loop().getaddrinfo(
            host, port, family=socket.AF_INET, type=socket.SOCK_DGRAM
        )
    except OSError:
        return []
    return [(str(entry[4][0]), int(entry[4][1])) for entry in found[:1]]


def _shown(places: Iterable[Address]) -> str:
    return ", ".join(sorted({f"{each.host}:{each.port}" for each in places}))
