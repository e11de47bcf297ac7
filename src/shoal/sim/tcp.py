"""TCP in virtual time, as an application sees it: connect, refuse, listen, data, end, reset.

Theory of operation. Segments travel like datagrams, through the NATs' tables for TCP, and are lost
like them; whoever sent one repeats it until it has arrived. There are no acknowledgements on the
wire: a segment knows whether it was taken. Data is handed over in order. What reaches a host that
does not know the connection is answered by a reset; what a NAT drops, or a host that is not
running, is answered by silence (RFC 5382 REQ-4 and what firewalls do).

    connect ── SYN ──►          a SYN to nobody's port: reset, "refused"
            ◄─ SYN_ACK ──       a SYN to a NAT's port that nobody opened: silence
    opened  ── ACK ──► accepted
            ◄── DATA, FIN ──►

Simultaneous opening is not modelled: two SYNs that cross are two SYNs to nobody's port.
"""

from __future__ import annotations

import enum
from dataclasses import field
from typing import TYPE_CHECKING, Final, Protocol

from shoal.core import Address, Family
from shoal.core.records import dataclass
from shoal.sim.errors import AddressTakenError, ScenarioError
from shoal.sim.hosts import Endpoint
from shoal.sim.routing import Crossing, Route, enter, route

if TYPE_CHECKING:
    from collections.abc import Callable

    from shoal.sim.hosts import Host, Realm
    from shoal.sim.network import Network

FIRST_PORT: Final = 49_152  # RFC 6335 section 6: ephemeral ports, in order of use
LAST_PORT: Final = 65_535  # RFC 6335 section 6
RTO: Final = 1.0  # seconds before the first repetition, then doubled; RFC 6298 section 2
GIVE_UP: Final = 60.0  # seconds without delivery until a connection breaks, ours
SEGMENT_SIZE: Final = 65_536  # bytes of data per segment, ours: whole writes mostly


class TcpUser(Protocol):
    """Whoever holds one end."""

    def opened(self, end: End) -> None:
        """The other side has answered."""

    def received(self, end: End, data: bytes) -> None:
        """Data came."""

    def ended(self, end: End) -> None:
        """The other side sends no more."""

    def broken(self, end: End, reason: str) -> None:
        """It could not be opened or was reset; it is gone."""


class _Kind(enum.Enum):
    SYN = enum.auto()
    SYN_ACK = enum.auto()
    ACK = enum.auto()
    DATA = enum.auto()
    FIN = enum.auto()


class _State(enum.Enum):
    CONNECTING = enum.auto()
    ACCEPTING = enum.auto()  # SYN_ACK sent
    OPEN = enum.auto()
    CLOSED = enum.auto()  # by us; perhaps still sending


@dataclass(slots=True, eq=False)
class _Segment:
    kind: _Kind
    number: int
    data: bytes = b""
    sent: float = 0.0
    wait: float = RTO
    is_delivered: bool = False


@dataclass(slots=True, eq=False)
class End:
    """One end of a connection; made by `Tcp.connect`, or handed to a listener."""

    endpoint: Endpoint
    remote: Address
    _tcp: Tcp
    _state: _State
    _user: TcpUser | None = None
    _listener: Listening | None = None
    _next: int = 0  # number of the next segment that we send
    _expected: int = 0  # and of the next one to hand over
    _early: dict[int, _Segment] = field(default_factory=dict)
    _pending: int = 0  # segments not yet delivered

    @property
    def local(self) -> Address:
        """Our address."""
        return self.endpoint.address

    @property
    def is_open(self) -> bool:
        """Whether its user may still hear of it."""
        return self._state is not _State.CLOSED

    def write(self, data: bytes) -> None:
        """Send *data*, as much as it may be."""
        if self._state is _State.OPEN:
            for start in range(0, len(data), SEGMENT_SIZE):
                self._send(_Kind.DATA, data[start : start + SEGMENT_SIZE])

    def close(self) -> None:
        """Send no more and hear no more; what was written still arrives."""
        if self._state is _State.OPEN:
            self._send(_Kind.FIN)
            self._state = _State.CLOSED
        elif self._state is not _State.CLOSED:
            self._state = _State.CLOSED
            self._tcp.forget(self)

    # Inside

    def _send(self, kind: _Kind, data: bytes = b"") -> None:
        segment = _Segment(kind, self._next, data, self._tcp.network.now)
        if kind in {_Kind.DATA, _Kind.FIN}:
            self._next += 1
        self._pending += 1
        self._tcp.transmit(self, segment)

    def _delivered(self, segment: _Segment) -> None:
        if not segment.is_delivered:
            segment.is_delivered = True
            self._pending -= 1
            if self._state is _State.CLOSED and not self._pending:
                self._tcp.forget(self)

    def _break(self, reason: str) -> None:
        was_open, self._state = self.is_open, _State.CLOSED
        self._tcp.forget(self)
        if was_open and self._user is not None:
            self._user.broken(self, reason)

    def _take(self, segment: _Segment) -> None:
        """Hand over what is in order now."""
        self._early[segment.number] = segment
        while self.is_open and (found := self._early.pop(self._expected, None)) is not None:
            self._expected += 1
            assert self._user is not None, "open ends have users"
            if found.kind is _Kind.DATA:
                self._user.received(self, found.data)
            else:
                self._user.ended(self)


@dataclass(slots=True, eq=False)
class Listening:
    """A port at which a host listens; *accepted* returns who holds the new end."""

    endpoint: Endpoint
    accepted: Callable[[End], TcpUser]
    _tcp: Tcp

    @property
    def local(self) -> Address:
        """Where."""
        return self.endpoint.address

    def close(self) -> None:
        """Listen no more; ends that were accepted stay."""
        self._tcp.stop_listening(self)


class Tcp:
    """All TCP connections of a simulated network."""

    def __init__(self, network: Network) -> None:
        self.network = network
        self._chance = network.entropy("tcp")
        self._listeners: dict[Endpoint, Listening] = {}
        self._ends: dict[tuple[Endpoint, Address], End] = {}
        self._uses: dict[Endpoint, int] = {}
        self._last_ports: dict[tuple[Realm, bytes], int] = {}

    def open_count(self, host: Host) -> int:
        """Return how many ports and connections of *host* are open, or being opened."""
        listeners = sum(endpoint.host is host for endpoint in self._listeners)
        return listeners + sum(
            end.is_open and end.endpoint.host is host for end in self._ends.values()
        )

    def listen(self, host: Host, local: Address, accepted: Callable[[End], TcpUser]) -> Listening:
        """Listen at *local*; port 0 is any.

        Raises:
            AddressTakenError: somebody else listens there.
            ScenarioError: *host* does not have that IP address.
        """
        endpoint = self._bind(host, local)
        listening = Listening(endpoint, accepted, self)
        self._listeners[endpoint] = listening
        return listening

    def connect(self, host: Host, local: Address | None, remote: Address, user: TcpUser) -> End:
        """Connect to *remote*, from *local* if given; *user* hears `opened` or `broken`.

        Raises:
            ScenarioError: *host* has no address of that family, or not that one.
        """
        if local is None:
            own = host.ipv4 if remote.family is Family.IPV4 else host.ipv6
            if own is None:
                raise ScenarioError(f"{host.name} has no address of that family")
            local = own.address._replace(port=0)
        endpoint = self._bind(host, local)
        end = End(endpoint, remote, self, _State.CONNECTING, user)
        self._ends[endpoint, remote] = end
        end._send(_Kind.SYN)  # noqa: SLF001 - the two classes are one machine
        return end

    def drop_host(self, host: Host) -> None:
        """Forget everything of *host*, as a reboot does: its peers get resets from now on."""
        for listening in list(self._listeners.values()):
            if listening.endpoint.host is host:
                listening.close()
        for end in list(self._ends.values()):
            if end.endpoint.host is host:
                end._state = _State.CLOSED  # noqa: SLF001
                self.forget(end)

    # For ends and listeners

    def stop_listening(self, listening: Listening) -> None:
        """Take a listener away."""
        if self._listeners.pop(listening.endpoint, None) is not None:
            self._release(listening.endpoint)

    def forget(self, end: End) -> None:
        """Take an end away; what still reaches it is answered by a reset."""
        if self._ends.pop((end.endpoint, end.remote), None) is not None:
            self._release(end.endpoint)

    def transmit(self, end: End, segment: _Segment) -> None:
        """Put *segment* on its way, and again if it has not arrived in time."""
        network = self.network
        if self._ends.get((end.endpoint, end.remote)) is not end or segment.is_delivered:
            return
        if network.now - segment.sent >= GIVE_UP:
            end._break("timed out")  # noqa: SLF001
            return
        host = end.endpoint.host
        if host.is_running:
            self._attempt(host, end, segment)
        network.call_at(network.now + segment.wait, lambda: self.transmit(end, segment))
        segment.wait *= 2

    # Inside

    def _bind(self, host: Host, local: Address) -> Endpoint:
        own = host.ipv4 if local.family is Family.IPV4 else host.ipv6
        if own is None or own.address.ip != local.ip:
            raise ScenarioError(f"{host.name} does not have {local.host}")
        realm = own.realm
        if local.port == 0:
            key = realm, local.ip
            port = self._last_ports.get(key, FIRST_PORT - 1) + 1
            while Address(local.ip, port) in realm.tcp_endpoints:
                port += 1
            if port > LAST_PORT:
                raise AddressTakenError("no ephemeral port is left")
            self._last_ports[key] = port
            local = Address(local.ip, port)
        elif local in realm.tcp_endpoints:
            raise AddressTakenError(str(local))
        endpoint = Endpoint(host, local, realm)
        realm.tcp_endpoints[local] = endpoint
        self._uses[endpoint] = 1
        return endpoint

    def _release(self, endpoint: Endpoint) -> None:
        self._uses[endpoint] -= 1
        if not self._uses[endpoint]:
            del self._uses[endpoint]
            del endpoint.realm.tcp_endpoints[endpoint.address]

    def _attempt(self, host: Host, end: End, segment: _Segment) -> None:
        network = self.network
        found = route(end.endpoint, end.remote, network.now, is_tcp=True)
        if not isinstance(found, Route):
            if self._is_closed_port(end):
                self._reset_later(end, self.network.travel_time(host, host.place) * 2)
            return
        receiver = found.receiver
        if isinstance(receiver, Endpoint) and network.is_cut(host, receiver.host):
            return
        if self._chance.random() < network.conditions.loss:
            return
        arrival = network.now + network.travel_time(host, found.place)
        network.call_at(arrival, lambda: self._arrive(receiver, found.seen, end, segment))

    def _is_closed_port(self, end: End) -> bool:
        """Tell whether somebody has the address and would say that the port is closed."""
        realms = {end.endpoint.realm, self.network.public}
        return any(
            known.ip == end.remote.ip and endpoint.host.is_running
            for realm in realms
            for known, endpoint in realm.endpoints.items()
        )

    def _arrive(
        self, receiver: Endpoint | Crossing, seen: Address, sender: End, segment: _Segment
    ) -> None:
        network = self.network
        if isinstance(receiver, Crossing):
            inside = enter(receiver.gateway, receiver.target, seen, network.now, is_tcp=True)
            if inside is None or network.is_cut(sender.endpoint.host, inside.host):
                return
            receiver = inside
        if not receiver.host.is_running or segment.is_delivered:
            return
        found = self._ends.get((receiver, seen))
        listening = self._listeners.get(receiver)
        if found is None and segment.kind is _Kind.SYN and listening is not None:
            found = End(receiver, seen, self, _State.ACCEPTING, _listener=listening)
            self._ends[receiver, seen] = found
            self._uses[receiver] += 1
        if found is None:
            if segment.kind is not _Kind.FIN:
                self._reset_later(sender, network.travel_time(receiver.host, None))
            sender._delivered(segment)  # noqa: SLF001
            return
        sender._delivered(segment)  # noqa: SLF001
        self._receive(found, sender, segment)

    def _receive(self, end: End, sender: End, segment: _Segment) -> None:
        match segment.kind:
            case _Kind.SYN:
                end._send(_Kind.SYN_ACK)  # noqa: SLF001
                self.network.call_at(self.network.now + GIVE_UP, lambda: self._give_up(end))
            case _Kind.SYN_ACK:
                if end._state is _State.CONNECTING:  # noqa: SLF001
                    end._state = _State.OPEN  # noqa: SLF001
                    end._send(_Kind.ACK)  # noqa: SLF001
                    assert end._user is not None, "who connects is the user"  # noqa: SLF001
                    end._user.opened(end)  # noqa: SLF001
            case _:
                self._accept(end)
                if segment.kind is _Kind.ACK:
                    return
                if end.is_open:
                    end._take(segment)  # noqa: SLF001
                elif segment.kind is _Kind.DATA:
                    host = end.endpoint.host
                    self._reset_later(sender, self.network.travel_time(host, None))

    def _accept(self, end: End) -> None:
        """The third segment of an opening, or the first after it, is there."""
        listening = end._listener  # noqa: SLF001
        if end._state is not _State.ACCEPTING or listening is None:  # noqa: SLF001
            return
        if self._listeners.get(end.endpoint) is not listening:
            end._break("nobody listens any more")  # noqa: SLF001
            return
        end._state = _State.OPEN  # noqa: SLF001
        end._user = listening.accepted(end)  # noqa: SLF001

    def _give_up(self, end: End) -> None:
        """The third segment never came."""
        if end._state is _State.ACCEPTING:  # noqa: SLF001
            end._break("timed out")  # noqa: SLF001

    def _reset_later(self, end: End, delay: float) -> None:
        def reset() -> None:
            if self._ends.get((end.endpoint, end.remote)) is end and end.endpoint.host.is_running:
                is_new = end._state is _State.CONNECTING  # noqa: SLF001
                end._break("connection refused" if is_new else "connection reset")  # noqa: SLF001

        self.network.call_at(self.network.now + delay, reset)
