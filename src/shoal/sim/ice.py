"""ICE engines on simulated hosts: the sockets of `shoal.net.ice.driver`, in virtual time."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Final, TypeAlias, assert_never

from shoal.core import Address, Family
from shoal.net.ice import IceEngine, Transport
from shoal.net.ice.effects import (
    Action,
    CloseLink,
    CloseSocket,
    Connect,
    Effect,
    Listen,
    MapPort,
    ResolveServer,
    SendFrom,
    UnmapPort,
    Write,
)
from shoal.sim.errors import SimError
from shoal.sim.hosts import Endpoint

if TYPE_CHECKING:
    from shoal.net.ice import IceConfig, IceDescription
    from shoal.sim.hosts import Host
    from shoal.sim.network import Network
    from shoal.sim.tcp import End, Listening, Tcp

Command: TypeAlias = Callable[[IceEngine, float], Sequence[Effect]]

ROUTER_DELAY: Final = 0.05  # seconds until a router has mapped a port, ours
LOOKUP_DELAY: Final = 0.03  # seconds until a name is resolved, ours
FIRST_PORT: Final = 32_768  # of UDP sockets, ours: Linux's default range


class SimIceSockets:
    """The sockets of one engine on one host; `feed` and `carry_out` as in `IceSockets`.

    Args:
        tcp: the network's TCP.
        host: whose addresses the engine uses.
        feed: runs a command and deals with its effects.
        has_router: whether the gateway in front of *host* maps ports on demand.
        names: what `ResolveServer` finds.
    """

    def __init__(
        self,
        tcp: Tcp,
        host: Host,
        feed: Callable[[Command], None],
        *,
        has_router: bool = False,
        names: Mapping[str, bytes] | None = None,
    ) -> None:
        self._tcp = tcp
        self._network = tcp.network
        self._host = host
        self._feed = feed
        self._has_router = has_router
        self._names = names or {}
        self._links: dict[int, End] = {}
        self._numbers: dict[End, int] = {}
        self._listeners: dict[int, Listening] = {}
        self._endpoints: dict[int, Endpoint] = {}
        self._mapped: dict[int, tuple[Address, Transport]] = {}
        self._accepted_numbers = itertools.count(-1, -1)

    @property
    def open_count(self) -> int:
        """How many sockets and mapped ports are open."""
        return sum(
            len(each) for each in (self._links, self._listeners, self._endpoints, self._mapped)
        )

    def carry_out(self, action: Action) -> None:
        """Do what the engine orders."""
        match action:
            case Write(link, data):
                if (end := self._links.get(link)) is not None:
                    end.write(data)
            case SendFrom(number, data, addr):
                if (endpoint := self._endpoints.get(number)) is not None:
                    self._network.send_from(endpoint, data, addr)
            case ResolveServer(host, port):
                self._resolve(host, port)
            case MapPort():
                self._map(action)
            case UnmapPort(number):
                self._unmap(number)
            case _:
                self._open_or_close(action)

    def _open_or_close(self, action: Listen | Connect | CloseLink | CloseSocket) -> None:
        match action:
            case Listen():
                self._listen(action)
            case Connect():
                self._connect(action)
            case CloseLink(link):
                if (end := self._links.pop(link, None)) is not None:
                    del self._numbers[end]
                    end.close()
            case CloseSocket(number):
                if (listening := self._listeners.pop(number, None)) is not None:
                    listening.close()
                if (endpoint := self._endpoints.pop(number, None)) is not None:
                    del endpoint.realm.endpoints[endpoint.address]
            case _:
                assert_never(action)

    # As the user of TCP

    def opened(self, end: End) -> None:
        """Tell the engine."""
        number = self._numbers.get(end)
        if number is not None:
            self._feed(lambda engine, now: engine.link_opened(number, end.local, end.remote, now))

    def received(self, end: End, data: bytes) -> None:
        """Tell the engine."""
        number = self._numbers.get(end)
        if number is not None:
            self._feed(lambda engine, now: engine.receive(number, data, now))

    def ended(self, end: End) -> None:
        """Tell the engine."""
        number = self._numbers.get(end)
        if number is not None:
            self._feed(lambda engine, now: engine.receive_eof(number, now))

    def broken(self, end: End, reason: str) -> None:
        """Tell the engine."""
        number = self._numbers.pop(end, None)
        if number is not None:
            del self._links[number]
            self._feed(lambda engine, now: engine.link_failed(number, reason, now))

    # Inside

    def _soon(self, delay: float, command: Command) -> None:
        self._network.call_at(self._network.now + delay, lambda: self._feed(command))

    def _listen(self, order: Listen) -> None:
        number = order.socket
        try:
            if order.transport is Transport.TCP:
                listening = self._tcp.listen(
                    self._host, order.local, lambda end: self._accept(number, end)
                )
                self._listeners[number] = listening
                local = listening.local
            else:
                local = self._bind(number, order.local)
        except SimError as error:
            reason = str(error)
            self._soon(0.0, lambda engine, now: engine.socket_failed(number, reason, now))
            return
        self._soon(0.0, lambda engine, now: engine.socket_opened(number, local, now))

    def _bind(self, number: int, local: Address) -> Address:
        own = self._host.ipv4 if local.family is Family.IPV4 else self._host.ipv6
        assert own is not None, "engines listen at addresses of their host"
        ports = itertools.count(FIRST_PORT)
        free = next(port for port in ports if Address(local.ip, port) not in own.realm.endpoints)
        endpoint = Endpoint(self._host, Address(local.ip, free), own.realm)
        own.realm.bind(endpoint)

        def receive(data: bytes, addr: Address, now: float) -> Sequence[object]:
            if self._host.is_running:
                self._feed(lambda engine, now: engine.receive_datagram(number, data, addr, now))
            return ()

        endpoint.receive = receive
        self._endpoints[number] = endpoint
        return endpoint.address

    def _accept(self, number: int, end: End) -> SimIceSockets:
        link = next(self._accepted_numbers)
        self._links[link] = end
        self._numbers[end] = link
        self._feed(
            lambda engine, now: engine.link_accepted(number, link, end.local, end.remote, now)
        )
        return self

    def _connect(self, order: Connect) -> None:
        try:
            end = self._tcp.connect(self._host, order.local, order.remote, self)
        except SimError as error:
            reason = str(error)
            self._soon(0.0, lambda engine, now: engine.link_failed(order.link, reason, now))
            return
        self._links[order.link] = end
        self._numbers[end] = order.link

    def _resolve(self, host: str, port: int) -> None:
        ip = self._names.get(host)
        addrs = [] if ip is None else [Address(ip, port)]
        self._soon(LOOKUP_DELAY, lambda engine, now: engine.server_resolved(host, port, addrs, now))

    def _map(self, order: MapPort) -> None:
        own = self._host.ipv4
        gateway = None if own is None else own.realm.gateway
        external: Address | None = None
        if self._has_router and gateway is not None:
            table = gateway.tcp if order.transport is Transport.TCP else gateway.nat
            wanted = Address(table.external[0], order.local.port)
            if table.forward(wanted, order.local):
                external = wanted
                self._mapped[order.socket] = wanted, order.transport
        self._soon(
            ROUTER_DELAY, lambda engine, now: engine.port_mapped(order.socket, external, now)
        )

    def _unmap(self, number: int) -> None:
        found = self._mapped.pop(number, None)
        own = self._host.ipv4
        if found is not None and own is not None and own.realm.gateway is not None:
            external, transport = found
            gateway = own.realm.gateway
            (gateway.tcp if transport is Transport.TCP else gateway.nat).unforward(external)


class IceAgent:
    """One engine as what runs on a host, with its events written down.

    `put_on` after the host was made; then `gather` and `start`.
    """

    def __init__(self, engine: IceEngine) -> None:
        self.engine = engine
        self.events: list[Effect] = []
        self.sockets: SimIceSockets | None = None
        self._network: Network | None = None
        self._host: Host | None = None

    @classmethod
    def add(
        cls,
        tcp: Tcp,
        host: Host,
        config: IceConfig,
        *,
        is_controlling: bool,
        has_router: bool = False,
        names: Mapping[str, bytes] | None = None,
    ) -> IceAgent:
        """Make one and start it on *host*, in place of what ran there."""
        entropy = tcp.network.entropy("ice", host.number)
        agent = cls(IceEngine(config, entropy, is_controlling=is_controlling))
        agent.sockets = SimIceSockets(tcp, host, agent.feed, has_router=has_router, names=names)
        agent._network, agent._host = tcp.network, host
        tcp.network.restart(host, agent)
        return agent

    def gather(self, hosts: Sequence[bytes], public: Sequence[bytes] = ()) -> None:
        """Gather candidates."""
        self.feed(lambda engine, now: engine.gather(hosts, public, now))

    def start(self, remote: IceDescription) -> None:
        """Check paths to the peer."""
        self.feed(lambda engine, now: engine.start(remote, now))

    def feed(self, command: Command) -> None:
        """Run a command, unless the host is off."""
        assert self._network is not None, "it was put on a host"
        assert self._host is not None, "it was put on a host"
        assert self.sockets is not None, "it was put on a host"
        if not self._host.is_running:
            return
        for effect in command(self.engine, self._network.now):
            if isinstance(effect, Action):
                self.sockets.carry_out(effect)
            else:
                self.events.append(effect)
        self._network.apply(self._host, ())

    # As what runs on a host

    def receive(self, datagram: bytes, addr: Address, now: float) -> Sequence[object]:
        """Nothing arrives at the host's own port."""
        return ()

    def next_deadline(self) -> float | None:
        """The engine's."""
        return self.engine.next_deadline()

    def advance(self, now: float) -> Sequence[object]:
        """Let the engine do what is due."""
        assert self.sockets is not None, "it was put on a host"
        for effect in self.engine.advance(now):
            if isinstance(effect, Action):
                self.sockets.carry_out(effect)
            else:
                self.events.append(effect)
        return ()
