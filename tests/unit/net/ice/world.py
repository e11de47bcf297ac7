"""Two devices, the NATs in front of them, and a TURN server, in virtual time."""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from shoal.net.ice import (
    IceConfig,
    IceDescription,
    PathKind,
    Scope,
    StunServer,
    Transport,
    TurnServer,
)
from shoal.net.ice.effects import Failed, Gathered, Received, Selected
from shoal.net.ice.gathering import GATHER_TIME
from shoal.sim import Conditions, Constant, Network
from shoal.sim.ice import IceAgent
from shoal.sim.nat import (
    FULL_CONE,
    PORT_RESTRICTED_CONE,
    RESTRICTED_CONE,
    SYMMETRIC,
    NatBehaviour,
)
from shoal.sim.tcp import Tcp
from shoal.sim.turn import TurnServer as TurnModel

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from shoal.core import Address
    from shoal.net.ice import IcePath
    from shoal.net.ice.errors import IceError
    from shoal.sim import Host

DELAY: Final = 0.03  # seconds one way between any two places
SIGNAL_DELAY: Final = 0.1  # seconds of a DHT put
USER: Final = "ring"
PASSWORD: Final = "ring"  # noqa: S105 - the model's


class Site(enum.Enum):
    """Where a device is."""

    OPEN = "open"
    ONE_TO_ONE = "1:1"
    ENDPOINT_INDEPENDENT = "endpoint-independent"
    ADDRESS_DEPENDENT = "address-dependent filtering"
    PORT_DEPENDENT = "address-and-port-dependent filtering"
    SYMMETRIC = "symmetric"
    MAPPED = "port-dependent filtering, with a router that maps ports"


BEHAVIOURS: Final[dict[Site, NatBehaviour]] = {
    Site.ONE_TO_ONE: FULL_CONE,
    Site.ENDPOINT_INDEPENDENT: FULL_CONE,
    Site.ADDRESS_DEPENDENT: RESTRICTED_CONE,
    Site.PORT_DEPENDENT: PORT_RESTRICTED_CONE,
    Site.SYMMETRIC: SYMMETRIC,
    Site.MAPPED: PORT_RESTRICTED_CONE,
}


@dataclass
class Device:
    """One device: its host, its engine, and how others see it."""

    host: Host
    agent: IceAgent
    public: bytes

    @property
    def description(self) -> IceDescription | None:
        """What it has gathered."""
        return next(
            (each.description for each in self.agent.events if isinstance(each, Gathered)), None
        )

    @property
    def path(self) -> IcePath | None:
        """What it has selected for its first component."""
        return next((each.path for each in self.agent.events if isinstance(each, Selected)), None)

    @property
    def error(self) -> IceError | None:
        """Why it failed."""
        return next((each.error for each in self.agent.events if isinstance(each, Failed)), None)

    @property
    def received(self) -> bytes:
        """All data, joined."""
        return b"".join(
            bytes(each.data) for each in self.agent.events if isinstance(each, Received)
        )

    @property
    def is_closed(self) -> bool:
        """Whether neither the engine nor its sockets hold anything open."""
        engine = self.agent.engine
        return not (self.open_count or engine.open_links or engine.open_sockets)

    @property
    def open_count(self) -> int:
        """How many sockets are open."""
        assert self.agent.sockets is not None, "it was put on a host"
        return self.agent.sockets.open_count


class IceWorld:
    """A caller, who is controlled, and a callee, who is controlling."""

    def __init__(
        self,
        sites: tuple[Site, Site] = (Site.OPEN, Site.OPEN),
        *,
        seed: int = 1,
        transport: Transport = Transport.TCP,
        scopes: tuple[Scope, Scope] = (Scope.ALL, Scope.ALL),
        turn: tuple[bool, bool] = (False, False),
        stun: bool = False,
        guesses_ports: bool = True,
        turn_host: str | None = None,
        roles: tuple[bool, bool] = (False, True),
        components: int = 1,
        knows_public: bool = True,
        conditions: Conditions | None = None,
        share_gateway: bool = False,
    ) -> None:
        self.network = Network(seed, conditions or Conditions(latency=Constant(DELAY), jitter=0.0))
        self.tcp = Tcp(self.network)
        server_host = self.network.add_host(Idle(), name="turn")
        self.server = TurnModel(self.tcp, server_host, USER, PASSWORD)
        server = TurnServer(turn_host or self.server.addr.host, USER, PASSWORD)
        stun_server = StunServer(self.server.addr.host)
        self._knows_public = knows_public
        self.devices: list[Device] = []
        for number, site in enumerate(sites):
            config = IceConfig(
                transport=transport,
                scope=scopes[number],
                turn=(server, server) if turn[number] else (),
                stun=(stun_server,) if stun else (),
                guesses_ports=guesses_ports,
                maps_ports=site is Site.MAPPED,
                components=components,
            )
            share = self.devices[0].host if share_gateway and self.devices else None
            self.devices.append(self._add(site, config, roles[number], share))

    @property
    def caller(self) -> Device:
        """The first one."""
        return self.devices[0]

    @property
    def callee(self) -> Device:
        """The second one."""
        return self.devices[1]

    def gather(self) -> None:
        """Let both gather."""
        for device in self.devices:
            public = [device.public] if self._knows_public else []
            device.agent.gather([device.host.address.ip], public)
        self.run(lambda: all(each.description or each.error for each in self.devices), GATHER_TIME)

    def connect(self, *, patience: float = 60.0) -> None:
        """Gather and connect, as caller and callee do: the callee starts first."""
        self.gather()
        self.start()
        self.run(self.is_decided, patience)
        self.network.run(self.network.now + 1.0)

    def start(self) -> None:
        """Exchange descriptions through the text form."""
        offer, answer = self.caller.description, self.callee.description
        if offer is None or answer is None:
            return
        now = self.network.now
        self.callee.agent.start(IceDescription.parse(offer.to_text()))
        text = answer.to_text()
        self.network.call_at(
            now + SIGNAL_DELAY, lambda: self.caller.agent.start(IceDescription.parse(text))
        )

    def run(self, stop: Callable[[], bool], patience: float) -> None:
        """Let time pass until *stop*, or for *patience* seconds."""
        self.network.run(self.network.now + patience, stop)

    def is_decided(self) -> bool:
        """Whether both have a path or have failed."""
        return all(
            each.agent.engine.is_connected or each.error is not None for each in self.devices
        )

    def kind(self) -> PathKind | type[IceError]:
        """Return how the two are connected, or the caller's error."""
        ours, theirs = self.caller.path, self.callee.path
        if ours is not None and theirs is not None:
            assert not isinstance(self.caller.error, BaseException), self.caller.error
            return max((ours.kind, theirs.kind), key=list(PathKind).index)
        assert self.caller.error is not None, "neither a path nor an error"
        return type(self.caller.error)

    def exchange(self, data: bytes = b"x" * 100_000) -> None:
        """Send *data* both ways and check that it arrives."""
        for device in self.devices:
            device.agent.feed(lambda engine, now: engine.send(data, now))
        self.network.run(self.network.now + 2.0)
        for device in self.devices:
            assert device.received == data

    def close_quietly(self) -> None:
        """Close both, without looking at a server that may not have heard of it."""
        for device in self.devices:
            device.agent.feed(lambda engine, now: engine.close(now))
            assert device.is_closed
        self.network.run(self.network.now + 70.0)
        for device in self.devices:
            assert self.tcp.open_count(device.host) == 0

    def close(self) -> None:
        """Close both, and check that nothing is left, on either side or on the server."""
        for device in self.devices:
            device.agent.feed(lambda engine, now: engine.close(now))
        self.network.run(self.network.now + 700.0)  # a lost good-bye: allocations expire
        for device in self.devices:
            assert device.is_closed
            assert self.tcp.open_count(device.host) == 0
        assert not self.server.allocations

    def _add(
        self, site: Site, config: IceConfig, is_controlling: bool, share: Host | None
    ) -> Device:
        gateway = None
        if share is not None and share.ipv4 is not None:
            gateway = share.ipv4.realm.gateway
        elif site is not Site.OPEN:
            gateway = self.network.add_gateway(BEHAVIOURS[site])
        host = self.network.add_host(Idle(), behind=gateway, name=site.value)
        if gateway is not None and site is Site.ONE_TO_ONE:
            gateway.tcp.expose(host.address.ip)
            gateway.nat.expose(host.address.ip)
        public = host.address.ip if gateway is None else gateway.nat.external[0]
        agent = IceAgent.add(
            self.tcp,
            host,
            config,
            is_controlling=is_controlling,
            has_router=site is Site.MAPPED,
            names={"turn.sim": self.server.addr.ip},
        )
        return Device(host, agent, public)


class Idle:
    """Nothing runs there."""

    def receive(self, datagram: bytes, addr: Address, now: float) -> Sequence[object]:
        """Take nothing."""
        return ()

    def next_deadline(self) -> float | None:
        """Want nothing."""
        return None

    def advance(self, now: float) -> Sequence[object]:
        """Do nothing."""
        return ()
