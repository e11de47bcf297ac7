"""What stands in a simulated network: hosts, their endpoints, gateways, and the realms between.

A *realm* is one address space: the public Internet, or what is behind one gateway. A *gateway* is a
NAT with an inner and an outer realm. An *endpoint* is one bound address of a host in one realm,
over UDP or TCP.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Final, Protocol, TypeAlias, runtime_checkable

from shoal.core import Address, Engine, Family
from shoal.sim.errors import AddressTakenError, ScenarioError

if TYPE_CHECKING:
    from shoal.sim.latency import Place
    from shoal.sim.nat import Nat

Receive: TypeAlias = Callable[[bytes, Address, float], Sequence[object]]

NEVER: Final = math.inf
IPV4_LENGTH: Final = 4
_PUBLIC_FIRST: Final = 20  # first octets 20 to 99 of public hosts, ours: no special-use block
_PUBLIC_FIRSTS: Final = 80
_SCATTER: Final = 0x9E3779  # odd, so multiplying by it permutes 24 bits; 2^24 / golden ratio
_PUBLIC_MAX: Final = _PUBLIC_FIRSTS << 24
_PRIVATE_MAX: Final = (1 << 16) - 2  # 10.depth.0.1 and on
_IPV6_PREFIX: Final = bytes.fromhex("2001")  # then 32 bits of the host's /48, RFC 4291 layout


@runtime_checkable
class HearsFailures(Protocol):
    """An engine that wants to know that a datagram could not be delivered."""

    def send_failed(self, addr: Address, now: float) -> Sequence[object]:
        """Learn that nothing listens at *addr*."""
        ...


@runtime_checkable
class HasWallClock(Protocol):
    """An engine whose wire carries dates."""

    wall_offset: float


class Realm:
    """One address space and who is in it."""

    __slots__ = ("_allotted", "depth", "endpoints", "gateway", "gateways", "tcp_endpoints")

    def __init__(self, gateway: Gateway | None = None) -> None:
        self.gateway = gateway  # the way out; None in the public realm
        self.depth: int = 0 if gateway is None else gateway.outer.depth + 1
        self.endpoints: dict[Address, Endpoint] = {}
        self.tcp_endpoints: dict[Address, Endpoint] = {}  # those of `shoal.sim.tcp`
        self.gateways: dict[bytes, Gateway] = {}  # by each external address
        self._allotted = 0

    def allot(self, family: Family) -> bytes:
        """Return an IP address that nobody has been allotted here.

        Raises:
            ScenarioError: the realm is full.
        """
        index = self._allotted
        self._allotted += 1
        if index >= (_PRIVATE_MAX if self.depth else _PUBLIC_MAX):
            raise ScenarioError("no addresses are left in this realm")
        if family is Family.IPV6:
            return _IPV6_PREFIX + index.to_bytes(4) + bytes(9) + b"\x01"
        if self.depth:
            return bytes((10, self.depth)) + (index + 1).to_bytes(2)
        rest = (index // _PUBLIC_FIRSTS + 1) * _SCATTER & 0xFFFFFF
        return bytes((_PUBLIC_FIRST + index % _PUBLIC_FIRSTS,)) + rest.to_bytes(3)

    def bind(self, endpoint: Endpoint) -> None:
        """Let *endpoint* receive what is sent to its address here.

        Raises:
            AddressTakenError: another endpoint or a gateway has it.
        """
        address = endpoint.address
        if address in self.endpoints or address.ip in self.gateways:
            raise AddressTakenError(str(address))
        self.endpoints[address] = endpoint


class Gateway:
    """A NAT in its place: between the realm that it opens and the one it stands in.

    It has a second table for TCP, with the same behaviour but RFC 5382's time-out.
    """

    __slots__ = ("inner", "nat", "outer", "place", "tcp")

    def __init__(self, nat: Nat, tcp: Nat, outer: Realm, place: Place) -> None:
        self.nat = nat
        self.tcp = tcp
        self.outer = outer
        self.place = place
        self.inner = Realm(self)
        for ip in nat.external:
            outer.gateways[ip] = self


class Endpoint:
    """One bound address of a host; `receive` is None while nobody listens, and over TCP."""

    __slots__ = ("address", "host", "realm", "receive")

    def __init__(self, host: Host, address: Address, realm: Realm) -> None:
        self.host = host
        self.address = address
        self.realm = realm
        self.receive: Receive | None = None


class Host:
    """A machine with one engine. Made by `Network.add_host`.

    Attributes:
        number: how many hosts were added before this one.
        engine: what runs there, or what last ran there.
        disk: what `Persist` wrote; survives crashes.
        events: effects that no handler took, oldest first.
        wall_offset: its wall clock minus the simulated monotonic one, in seconds.
        sent_packets, sent_bytes, received_packets, received_bytes: UDP payloads, since the start.
    """

    __slots__ = (
        "disk",
        "engine",
        "events",
        "group",
        "ipv4",
        "ipv6",
        "is_running",
        "name",
        "number",
        "place",
        "received_bytes",
        "received_packets",
        "sent_bytes",
        "sent_packets",
        "tap",
        "wake",
        "wall_offset",
    )

    def __init__(
        self, number: int, name: str, engine: Engine, place: Place, wall_offset: float
    ) -> None:
        self.number = number
        self.name = name or f"host {number}"
        self.engine = engine
        self.place = place
        self.wall_offset = wall_offset
        self.disk: dict[str, bytes] = {}
        self.events: list[object] = []
        self.is_running = False
        self.group = 0  # side of a partition
        self.wake = NEVER  # when the network will next look at the engine's deadline
        self.tap: Tap | None = None
        self.sent_packets = self.sent_bytes = 0
        self.received_packets = self.received_bytes = 0
        self.ipv4: Endpoint | None = None
        self.ipv6: Endpoint | None = None

    @property
    def endpoints(self) -> tuple[Endpoint, ...]:
        """Its endpoints, IPv4 before IPv6."""
        return tuple(end for end in (self.ipv4, self.ipv6) if end is not None)

    @property
    def address(self) -> Address:
        """Its first address."""
        return self.endpoints[0].address

    def attach(self, endpoint: Endpoint) -> None:
        """Send from *endpoint* to addresses of its family from now on."""
        if len(endpoint.address.ip) == IPV4_LENGTH:
            self.ipv4 = endpoint
        else:
            self.ipv6 = endpoint


class Tap(Protocol):
    """Watches the datagrams of one host, as a capture on its interface would."""

    def sent(self, data: bytes, target: Address, now: float) -> None:
        """See what the host sends, before the network does anything to it."""
        ...

    def received(self, data: bytes, source: Address, now: float) -> None:
        """See what reaches the host, before its engine does."""
        ...
