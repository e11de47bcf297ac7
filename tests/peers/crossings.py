"""Nodes of ours behind every kind of router, and how each reaches each: path and time."""

from __future__ import annotations

import contextlib
import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

from shoal.node.config import AccountSettings, NetSettings, TurnServer
from shoal.node.errors import DeviceNotFoundError
from tests.peers.miniupnpd import MiniupnpdProcess
from tests.peers.natbench import Nat
from tests.peers.shoal_node import QUIET
from tests.peers.waiting import until

if TYPE_CHECKING:
    from shoal.net.driver import Channel
    from shoal.node import Account
    from tests.peers.coturn import CoturnProcess
    from tests.peers.namespaces import Namespace
    from tests.peers.shoal_node import ShoalHost
    from tests.peers.town import Town

NO_NAT: Final = "none"
FORWARDING: Final = "forwarding"  # port-dependent, and forwards ports when asked
KINDS: Final = (NO_NAT, *(nat.name.lower().replace("_", "-") for nat in Nat), FORWARDING)
ECHO: Final = "echo"
_PUBLIC: Final = {"": AccountSettings(public=True)}  # whoever calls is answered
_PATIENCE: Final = 60.0  # seconds


@dataclass(frozen=True, slots=True)
class Crossing:
    """How one pair connected.

    Attributes:
        kind: lan, direct or relayed.
        connecting: seconds from `connect` to the open channel.
        round_trip: seconds of the first echo on it.
    """

    kind: str
    connecting: float
    round_trip: float


@dataclass(frozen=True, slots=True)
class Party:
    """A node with an account that echoes what it is sent."""

    host: ShoalHost
    account: Account

    def knows(self, other: Party) -> bool:
        """Look for the certificates of *other*; return whether they were found."""
        with contextlib.suppress(DeviceNotFoundError):
            self.host.run(self.account.find_chain(other.account.device_id))
            return True
        return False

    def reach(self, other: Party) -> Crossing:
        """Connect to *other* on a connection of its own; exchange bytes; close."""

        async def cross() -> Crossing:
            began = time.monotonic()
            channel = await self.account.connect(
                other.account.device_id, ECHO, reuse=False, timeout=_PATIENCE
            )
            opened = time.monotonic()
            channel.write(b"over there")
            await channel.drain()
            assert await channel.readexactly(10) == b"over there"
            answered = time.monotonic()
            info = channel.connection
            assert info is not None
            assert info.path is not None
            kind = info.path.kind.value
            self.account.runtime.connections.close_connection(info.connection)
            return Crossing(kind, opened - began, answered - opened)

        return self.host.run(cross())


def party(town: Town, at: Namespace, *, name: str = "", **wishes: Any) -> Party:
    """Start a node at a host, with an account that answers everybody."""
    host = town.shoal(at=at, accounts=_PUBLIC, **wishes)
    account = host.create(name or at.name)

    async def echo(channel: Channel) -> None:
        async for packet in channel:
            channel.write(packet)
            await channel.drain()

    host.do(lambda: account.on_channel(ECHO, echo, accept=lambda *_: True))
    return Party(host, account)


def behind(town: Town, kind: str) -> Namespace:
    """Return a new host behind a new router of that kind, or with a public address."""
    if kind == NO_NAT:
        return town.bench.add_host()
    nat = Nat.PORT_DEPENDENT if kind == FORWARDING else Nat[kind.upper().replace("-", "_")]
    router = town.bench.add_router(nat)
    if kind == FORWARDING:
        town.keep(MiniupnpdProcess(router, town.home(f"router-{router.space.host}")))
    return town.bench.add_host_behind(router)


def with_turn(turn: CoturnProcess, *, relay_only: bool = False) -> NetSettings:
    """Return settings of a node that has a relay."""
    server = TurnServer(turn.address, turn.username, turn.password, turn.realm)
    return replace(QUIET, turn=(server,), relay_only=relay_only)


def measure(town: Town, turn: CoturnProcess) -> dict[tuple[str, str], Crossing]:
    """Let nodes behind each kind of router call nodes behind each kind, one after the other."""
    nets = {kind: replace(with_turn(turn), upnp=kind == FORWARDING) for kind in KINDS}
    callers = {kind: party(town, behind(town, kind), net=nets[kind]) for kind in KINDS}
    callees = {kind: party(town, behind(town, kind), net=nets[kind]) for kind in KINDS}
    pairs = [(caller, callee) for caller in KINDS for callee in KINDS]
    for caller, callee in pairs:
        # Most of these reach few of the others, who keep what they publish: a search may miss.
        until(
            lambda caller=caller, callee=callee: callers[caller].knows(callees[callee]),  # type: ignore[misc]
            "the other's chain",
            _PATIENCE,
        )
    return {pair: callers[pair[0]].reach(callees[pair[1]]) for pair in pairs}


def table(crossings: dict[tuple[str, str], Crossing]) -> str:
    """Return the crossings as a table of Markdown: callers down, callees across."""
    lines = ["| caller \\ callee | " + " | ".join(KINDS) + " |", "| --- " * (len(KINDS) + 1) + "|"]
    for caller in KINDS:
        cells = [crossings[caller, callee] for callee in KINDS]
        texts = [f"{cell.kind}, {cell.connecting:.2f} s" for cell in cells]
        lines.append(f"| {caller} | " + " | ".join(texts) + " |")
    return "\n".join(lines) + "\n"
