"""Gathering candidates (reference 5.5): own sockets, the router's ports, servers, other nodes.

Everything is asked for at once, and what has not answered after `GATHER_TIME` is done without:
there is no trickling, so the slowest source would hold up the connection.

    host addresses ─► Listen ─► host passive + host active        (UDP: host)
                         └────► MapPort ─► srflx passive          (UDP: srflx)
    DHT nodes, STUN, TURN see our public address ─► srflx active  (UDP: srflx)
    TURN allocation ─────────────────────────────► relay passive  (UDP: relay)
"""

from __future__ import annotations

import ipaddress
from math import inf
from typing import TYPE_CHECKING, Final

from shoal.core import Address, DecodeError, Family
from shoal.net import stun
from shoal.net.ice import binding
from shoal.net.ice.candidates import (
    DISCARD_PORT,
    LOCAL_PREFERENCE_MAX,
    Candidate,
    CandidateType,
    TcpType,
    Transport,
    foundation,
    priority,
)
from shoal.net.ice.config import Scope, StunServer, TurnServer
from shoal.net.ice.effects import ResolveServer
from shoal.net.ice.pair import is_same_machine
from shoal.net.ice.probe import TcpProbe, mapped_address
from shoal.net.ice.relay import Relay
from shoal.net.transactions import Transaction

if TYPE_CHECKING:
    from collections.abc import Sequence

    from shoal.net.ice.context import Context, Socket
    from shoal.net.ice.relay import RelayUser

GATHER_TIME: Final = 4.0  # seconds; reference 5.5: as long as Jami waits for router mappings

# Bounds, ours, so that no message has 16 lines; reference 9.35: two IPv6 addresses per family.
HOSTS_IPV4_MAX: Final = 3
HOSTS_IPV6_MAX: Final = 2
REFLEXIVE_MAX: Final = 3
RELAYS_MAX: Final = 2
CANDIDATES_MAX: Final = 15
SERVERS_MAX: Final = 4  # of each kind asked, ours


class Gatherer:
    """Finds out where the peer can reach us."""

    def __init__(self, context: Context, user: RelayUser) -> None:
        self.candidates: tuple[Candidate, ...] = ()
        self.relays: list[Relay] = []
        self.is_done = False
        self.deadline = inf
        self._context = context
        self._user = user
        self._public: list[bytes] = []
        self._hosts: list[bytes] = []
        self._resolving: dict[tuple[str, int], list[TurnServer | StunServer]] = {}
        self._mapping: set[int] = set()
        self._opening: set[int] = set()
        self._allocating: list[Relay] = []
        self._tcp_probes: list[TcpProbe] = []
        self._udp_probes: dict[bytes, tuple[Transaction, Socket, Address]] = {}
        self._servers: list[tuple[TurnServer, Address]] = []
        self._stun_servers: list[Address] = []

    # Commands

    def start(self, hosts: Sequence[bytes], public: Sequence[bytes], now: float) -> None:
        """Begin."""
        config = self._context.config
        self.deadline = now + GATHER_TIME
        self._hosts = choose_hosts(hosts)
        is_open = config.scope is not Scope.RELAY_ONLY
        if config.scope is Scope.ALL:
            self._public = list(dict.fromkeys(public))
        if is_open or config.transport is Transport.UDP:
            for component in range(1, config.components + 1):
                for ip in self._hosts:
                    self._context.listen(Address(ip, 0), config.transport, component)
        self._opening = set(self._context.sockets)
        if config.scope is not Scope.LAN:
            stun_servers = config.stun[:SERVERS_MAX] if is_open else ()
            servers: list[TurnServer | StunServer] = [*config.turn[:SERVERS_MAX], *stun_servers]
            for server in servers:
                self._resolve(server, now)
        self.settle(now)

    def settle(self, now: float) -> None:
        """End if nothing is awaited any more, or the time is over."""
        if self.is_done:
            return
        is_waiting = (
            self._opening
            or self._mapping
            or self._resolving
            or self._allocating
            or self._tcp_probes
            or self._udp_probes
        )
        if not is_waiting or now >= self.deadline:
            self._finish(now)

    # Inputs

    def socket_opened(self, socket: Socket, now: float) -> None:
        """Use a socket: ask the router and the servers about it."""
        self._opening.discard(socket.number)
        if self.is_done:
            return
        config = self._context.config
        is_private = ipaddress.ip_address(socket.local.ip).is_private
        if (
            config.maps_ports
            and config.scope is Scope.ALL
            and is_private
            and not is_same_machine(socket.local.ip)
            and socket.local.family is Family.IPV4
        ):
            self._mapping.add(socket.number)
            self._context.map_port(socket)
        if socket.transport is Transport.UDP:
            for server, addr in self._servers:
                self._allocate(server, addr, socket, now)
            for addr in self._stun_servers:
                self._probe_from(socket, addr, now)

    def socket_failed(self, number: int) -> None:
        """Do without a socket."""
        self._opening.discard(number)
        self._mapping.discard(number)

    def server_resolved(self, host: str, port: int, addrs: Sequence[Address], now: float) -> None:
        """Ask the servers that *host* stands for."""
        for server in self._resolving.pop((host, port), []):
            if not self.is_done:
                self._ask(server, addrs, now)

    def port_mapped(self, socket: Socket, external: Address | None) -> None:
        """Learn what the router forwards."""
        self._mapping.discard(socket.number)
        if not self.is_done and external is not None:
            socket.external = external

    def allocated(self, relay: Relay, mapped: Address | None, now: float) -> None:
        """Learn a relayed address."""
        if relay in self._allocating:
            self._allocating.remove(relay)
        relayed = relay.client.relayed
        has_same = any(
            each.component == relay.component
            and each.server_addr.family is relay.server_addr.family
            for each in self.relays
        )
        if self.is_done or has_same or relayed is None or len(self.relays) >= RELAYS_MAX:
            relay.close(now)
            return
        self.relays.append(relay)
        if mapped is not None:
            self._learn(relay.socket, mapped)

    def relay_failed(self, relay: Relay) -> None:
        """Do without a relay."""
        if relay in self._allocating:
            self._allocating.remove(relay)
        if relay in self.relays:
            self.relays.remove(relay)

    def receive_datagram(self, socket: Socket, data: bytes, addr: Address, now: float) -> bool:
        """Take a datagram if it is a server's."""
        for relay in (*self._allocating, *self.relays):
            if relay.socket is socket and relay.server_addr == addr:
                relay.receive_datagram(data, now)
                return True
        transaction_id = data[8 : stun.HEADER_LENGTH]
        found = self._udp_probes.get(transaction_id)
        if found is None or found[1] is not socket or found[2] != addr:
            return False
        mapped = mapped_address(data, transaction_id)
        if mapped is not None:
            del self._udp_probes[transaction_id]
            self._learn(socket, mapped)
        return True

    def next_deadline(self) -> float:
        """When `wake` has something to do."""
        earliest = inf if self.is_done else self.deadline
        for relay in (*self._allocating, *self.relays):
            earliest = min(earliest, relay.next_deadline())
        for transaction, _, _ in self._udp_probes.values():
            earliest = min(earliest, transaction.deadline)
        return earliest

    def wake(self, now: float) -> None:
        """Repeat questions, refresh relays."""
        for relay in (*self._allocating, *self.relays):
            if relay.next_deadline() <= now:
                relay.wake(now)
        for transaction, socket, addr in self._udp_probes.values():
            if transaction.advance(now):
                self._context.send_from(socket.number, transaction.data, addr)
        self.settle(now)

    def close(self, now: float, *, keeps: Sequence[Relay] = ()) -> None:
        """Give all relays back but those of *keeps*."""
        for relay in (*self._allocating, *self.relays):
            if relay not in keeps:
                relay.close(now)
        self.relays = [relay for relay in self.relays if relay in keeps]
        self._allocating = []

    # Servers

    def _resolve(self, server: TurnServer | StunServer, now: float) -> None:
        try:
            addr = Address.parse(server.host, server.port)
        except DecodeError:
            waiting = self._resolving.setdefault((server.host, server.port), [])
            if not waiting:
                self._context.out.append(ResolveServer(server.host, server.port))
            waiting.append(server)
        else:
            self._ask(server, [addr], now)

    def _ask(self, server: TurnServer | StunServer, addrs: Sequence[Address], now: float) -> None:
        """Ask at the first address of each family that we have, too."""
        for family in (Family.IPV4, Family.IPV6):
            addr = next((each for each in addrs if each.family is family), None)
            if addr is None or not any(Address(ip, 0).family is family for ip in self._hosts):
                continue
            if isinstance(server, TurnServer):
                self._ask_turn(server, addr, now)
            else:
                self._ask_stun(addr, now)

    def _ask_turn(self, server: TurnServer, addr: Address, now: float) -> None:
        if self._context.config.transport is Transport.TCP:
            for component in range(1, self._context.config.components + 1):
                self._start_relay(server, addr, component, None, now)
            return
        self._servers.append((server, addr))
        for socket in self._open_sockets():
            self._allocate(server, addr, socket, now)

    def _ask_stun(self, addr: Address, now: float) -> None:
        if self._context.config.transport is Transport.TCP:
            self._tcp_probes.append(TcpProbe(self._context, addr, self._probed))
            return
        self._stun_servers.append(addr)
        for socket in self._open_sockets():
            self._probe_from(socket, addr, now)

    def _open_sockets(self) -> list[Socket]:
        return [socket for socket in self._context.sockets.values() if socket.is_open]

    def _allocate(self, server: TurnServer, addr: Address, socket: Socket, now: float) -> None:
        """Ask for a relayed address from *socket*, the first of its family and component."""
        has_one = any(
            relay.component == socket.component and relay.server_addr == addr
            for relay in (*self._allocating, *self.relays)
        )
        if not has_one and socket.local.family is addr.family:
            self._start_relay(server, addr, socket.component, socket, now)

    def _start_relay(
        self,
        server: TurnServer,
        addr: Address,
        component: int,
        socket: Socket | None,
        now: float,
    ) -> None:
        relay = Relay(self._context, self._user, server, addr, component, socket)
        self._allocating.append(relay)
        relay.start(now)

    def _probe_from(self, socket: Socket, addr: Address, now: float) -> None:
        if socket.local.family is not addr.family:
            return
        transaction_id = self._context.draw_transaction_id()
        transaction = Transaction(transaction_id, binding.probe(transaction_id), now)
        self._udp_probes[transaction_id] = transaction, socket, addr
        self._context.send_from(socket.number, transaction.data, addr)

    def _probed(self, probe: TcpProbe, mapped: Address | None, now: float) -> None:
        if probe in self._tcp_probes:
            self._tcp_probes.remove(probe)
        if mapped is not None:
            self._learn(None, mapped)

    def _learn(self, socket: Socket | None, mapped: Address) -> None:
        """Remember how a server sees us."""
        if self._context.config.scope is not Scope.ALL:
            return
        if socket is None:
            if mapped.ip not in self._public:
                self._public.append(mapped.ip)
        elif mapped not in socket.seen:
            socket.seen.append(mapped)

    # The result

    def _finish(self, now: float) -> None:
        self.is_done = True
        self._opening.clear()
        self._mapping.clear()
        self._resolving.clear()
        self._udp_probes.clear()
        for probe in self._tcp_probes:
            probe.close()
        self._tcp_probes = []
        late, self._allocating = self._allocating, []
        for relay in late:
            relay.close(now)
        for socket in list(self._context.sockets.values()):
            if not socket.is_open:
                self._context.close_socket(socket.number)
        found: list[Candidate] = []
        for component in range(1, self._context.config.components + 1):
            found += self._candidates_of(component)[:CANDIDATES_MAX]
        self.candidates = tuple(found)

    def _candidates_of(self, component: int) -> list[Candidate]:
        config = self._context.config
        sockets = [each for each in self._context.sockets.values() if each.component == component]
        make = _Maker(config.transport, component)
        if config.scope is not Scope.RELAY_ONLY:
            for socket in sockets:
                make.host(socket)
            make.reflexive(sockets, self._public, guesses_ports=config.guesses_ports)
        for relay in self.relays:
            if relay.component == component and relay.client.relayed is not None:
                relay.candidate = make.relayed(relay.client.relayed)
        return make.candidates


class _Maker:
    """Writes candidates of one component, with ever smaller local preferences."""

    def __init__(self, transport: Transport, component: int) -> None:
        self.candidates: list[Candidate] = []
        self._transport = transport
        self._component = component
        self._preference = LOCAL_PREFERENCE_MAX
        self._relay_preference = LOCAL_PREFERENCE_MAX

    def host(self, socket: Socket) -> None:
        """Add a socket of ours."""
        self._add(CandidateType.HOST, socket.local, socket.local.ip, TcpType.PASSIVE)
        if self._transport is Transport.TCP:
            active = socket.local._replace(port=DISCARD_PORT)
            self._add(CandidateType.HOST, active, socket.local.ip, TcpType.ACTIVE)

    def reflexive(
        self, sockets: Sequence[Socket], public: Sequence[bytes], *, guesses_ports: bool
    ) -> None:
        """Add what others see: mapped ports, in their absence mere addresses."""
        ours = {socket.local.ip: socket for socket in sockets}
        found: list[tuple[Address, bytes, TcpType]] = []
        mapped_families: set[Family] = set()
        for socket in sockets:
            for addr in ([socket.external] if socket.external else []) + socket.seen:
                if addr.ip not in ours:
                    mapped_families.add(addr.family)
                    found.append((addr, socket.local.ip, TcpType.PASSIVE))
        for ip in public:
            base = next((socket for own, socket in ours.items() if len(own) == len(ip)), None)
            is_new = ip not in ours and Address(ip, 0).family not in mapped_families
            if base is None or not is_new or not is_reflexive(ip):
                continue
            if guesses_ports and ipaddress.ip_address(base.local.ip).is_private:
                found.append((Address(ip, base.local.port), base.local.ip, TcpType.PASSIVE))
            if self._transport is Transport.TCP:
                found.append((Address(ip, DISCARD_PORT), base.local.ip, TcpType.ACTIVE))
        for addr, own, tcp_type in found[:REFLEXIVE_MAX]:
            self._add(CandidateType.SRFLX, addr, own, tcp_type)

    def relayed(self, addr: Address) -> Candidate:
        """Add an address on a server."""
        return self._add(CandidateType.RELAY, addr, addr.ip, TcpType.PASSIVE)

    def _add(self, kind: CandidateType, addr: Address, base: bytes, tcp_type: TcpType) -> Candidate:
        if kind is CandidateType.RELAY:
            preference = self._relay_preference
            self._relay_preference -= 1
        else:
            preference = self._preference
            self._preference -= 1
        candidate = Candidate(
            foundation(kind, base),
            self._component,
            self._transport,
            priority(kind, preference, self._component),
            addr,
            kind,
            tcp_type if self._transport is Transport.TCP else None,
        )
        self.candidates.append(candidate)
        return candidate


def choose_hosts(hosts: Sequence[bytes]) -> list[bytes]:
    """Keep the first few addresses of each family; link-local ones are of no use to a peer."""
    limits = {Family.IPV4: HOSTS_IPV4_MAX, Family.IPV6: HOSTS_IPV6_MAX}
    chosen: list[bytes] = []
    for ip in dict.fromkeys(hosts):
        family = Address(ip, 0).family
        if limits[family] and not ipaddress.ip_address(ip).is_link_local:
            limits[family] -= 1
            chosen.append(ip)
    return chosen


def is_reflexive(ip: bytes) -> bool:
    """Tell whether *ip* may be a public address; others may be claimed by nodes that err or lie."""
    address = ipaddress.ip_address(ip)
    return not (
        address.is_loopback
        or address.is_link_local
        or address.is_multicast
        or address.is_unspecified
        or address.is_reserved
    )
