"""Network address translation, by the names of RFC 4787.

A `Nat` is a pure table: what leaves goes through `outbound`, what arrives through `inbound`, and
both answer with the translated address or with None, which means dropped and counted. It knows
neither the network around it nor any clock, so ICE's tests can use it alone.

Theory of operation. An internal endpoint X:x that sends to Y1:y1 gets an external endpoint X1':x1'
(a *mapping*). Whether X:x keeps it when it sends to Y2:y2 is the mapping behaviour (section 4.1);
from whom X1':x1' lets datagrams in is the filtering behaviour (section 5). Both depend on nothing,
on the remote address, or on the remote address and port. Mappings and the filter's memory live for
`timeout` after their last use (section 4.3).

TCP behaves the same (RFC 5382) but for its time-out, and has a table of its own: a second `Nat`.
Connections are not followed: a mapping of an ended connection lives on until the time-out.
"""

from __future__ import annotations

import enum
from collections import OrderedDict
from dataclasses import replace
from typing import TYPE_CHECKING, Final, TypeAlias

from shoal.core import Address
from shoal.core.records import dataclass

if TYPE_CHECKING:
    from collections.abc import Sequence

    from shoal.sim.entropy import SeededEntropy

MAPPINGS_MAX: Final = 65_536  # per NAT, ours: one IPv4 address has no more ports; then drop
REMOTES_MAX: Final = 4096  # remembered by the filter per internal endpoint; then forget the oldest
WELL_KNOWN_PORTS: Final = range(1, 1024)  # RFC 4787 REQ-3: kept apart from the others
OTHER_PORTS: Final = range(1024, 65_536)
TCP_TIMEOUT: Final = 7440.0  # seconds, RFC 5382 REQ-5: 2 hours and 4 minutes
PORT_DRAWS: Final = 16  # random ports tried before all are, ours


class Dependence(enum.Enum):
    """What a mapping (section 4.1) or a filter (section 5) depends on besides X:x."""

    ENDPOINT_INDEPENDENT = "endpoint-independent"
    ADDRESS_DEPENDENT = "address-dependent"
    ADDRESS_AND_PORT_DEPENDENT = "address-and-port-dependent"


class PortAssignment(enum.Enum):
    """Which external port a new mapping gets (section 4.2.1)."""

    PRESERVATION = "port preservation"  # the internal one if it is free, else a random one
    OVERLOADING = "port overloading"  # the internal one even if it is taken
    RANDOM = "no port preservation"
    SEQUENTIAL = "sequential"  # the next free one: also no preservation, but it can be guessed


class Pooling(enum.Enum):
    """Which external address, where there are several (section 4.1)."""

    PAIRED = "paired"  # one internal address keeps one external address
    ARBITRARY = "arbitrary"


class Hairpinning(enum.Enum):
    """How datagrams between two inside hosts by way of external endpoints fare (section 6)."""

    NONE = "none"
    EXTERNAL_SOURCE = "external source IP address and port"  # what REQ-9 demands
    INTERNAL_SOURCE = "internal source IP address and port"


@dataclass(frozen=True, slots=True)
class NatBehaviour:
    """One kind of NAT. The defaults are what RFC 4787 demands or recommends.

    Attributes:
        timeout: seconds that an unused mapping lives; REQ-5: 120 or more, 300 recommended.
        keeps_parity: even internal ports get even external ones (REQ-4).
        refreshes_inbound: incoming datagrams keep a mapping alive too (REQ-6 leaves it open).
    """

    mapping: Dependence = Dependence.ENDPOINT_INDEPENDENT
    filtering: Dependence = Dependence.ENDPOINT_INDEPENDENT
    ports: PortAssignment = PortAssignment.PRESERVATION
    pooling: Pooling = Pooling.PAIRED
    hairpinning: Hairpinning = Hairpinning.EXTERNAL_SOURCE
    timeout: float = 300.0
    keeps_parity: bool = True
    refreshes_inbound: bool = False

    def for_tcp(self) -> NatBehaviour:
        """Return how the same device treats TCP."""
        return replace(self, timeout=TCP_TIMEOUT, refreshes_inbound=True)


# The four kinds of RFC 3489, which people still use as names.
FULL_CONE: Final = NatBehaviour()
RESTRICTED_CONE: Final = NatBehaviour(filtering=Dependence.ADDRESS_DEPENDENT)
PORT_RESTRICTED_CONE: Final = NatBehaviour(filtering=Dependence.ADDRESS_AND_PORT_DEPENDENT)
SYMMETRIC: Final = NatBehaviour(
    mapping=Dependence.ADDRESS_AND_PORT_DEPENDENT,
    filtering=Dependence.ADDRESS_AND_PORT_DEPENDENT,
    ports=PortAssignment.RANDOM,
    hairpinning=Hairpinning.NONE,
    timeout=120.0,
    keeps_parity=False,
)

_Remote: TypeAlias = Address | bytes | None


@dataclass(slots=True)
class NatStats:
    """Counters; each field says what one increment means."""

    mapped: int = 0  # a mapping was made
    expired: int = 0  # a mapping was found unused for too long and removed
    exhausted: int = 0  # an outgoing datagram dropped: no port or no room in the table
    unmapped: int = 0  # an incoming datagram dropped: nothing is mapped to its port
    filtered: int = 0  # an incoming datagram dropped by the filter
    hairpin_refused: int = 0  # a datagram between inside hosts dropped: no hairpinning


@dataclass(slots=True)
class _Mapping:
    internal: Address
    external: Address
    key: tuple[Address, _Remote]
    used: float


class Nat:
    """One NAT with its external IP addresses, in front of any number of hosts."""

    def __init__(
        self, behaviour: NatBehaviour, external: Sequence[bytes], chance: SeededEntropy
    ) -> None:
        assert external, "a NAT has at least one external address"
        self.behaviour = behaviour
        self.external = tuple(external)
        self.stats = NatStats()
        self._chance = chance
        # Both in the order of last use, which is the order of expiry.
        self._mappings: OrderedDict[tuple[Address, _Remote], _Mapping] = OrderedDict()
        self._permissions: OrderedDict[Address, OrderedDict[_Remote, float]] = OrderedDict()
        self._by_external: dict[Address, list[_Mapping]] = {}
        self._forwarded_in: dict[Address, Address] = {}
        self._forwarded_out: dict[Address, Address] = {}
        self._exposed: bytes | None = None
        self._paired: dict[bytes, bytes] = {}
        self._next_port = OTHER_PORTS.start

    def __len__(self) -> int:
        """Mappings in the table, some perhaps expired."""
        return len(self._mappings)

    def outbound(self, source: Address, target: Address, now: float) -> Address | None:
        """Translate the internal *source* of a datagram to *target*; None drops it."""
        if (forwarded := self._forwarded_out.get(source)) is not None:
            return forwarded
        if source.ip == self._exposed:
            return Address(self.external[0], source.port)
        self._expire(now)
        key = (source, _remote(self.behaviour.mapping, target))
        mapping = self._mappings.get(key) or self._new_mapping(source, key, now)
        if mapping is None:
            self.stats.exhausted += 1
            return None
        self._refresh(mapping, now)
        self._permit(source, target, now)
        return mapping.external

    def inbound(self, target: Address, source: Address, now: float) -> Address | None:
        """Translate the external *target* of a datagram from *source*; None drops it."""
        if (forwarded := self._forwarded_in.get(target)) is not None:
            return forwarded
        if self._exposed is not None and target not in self._by_external:
            return Address(self._exposed, target.port)
        self._expire(now)
        mappings = self._by_external.get(target, ())
        for mapping in reversed(mappings):  # several only under port overloading: latest first
            if self._is_permitted(mapping.internal, source, now):
                if self.behaviour.refreshes_inbound:
                    self._refresh(mapping, now)
                    self._permit(mapping.internal, source, now)
                return mapping.internal
        if mappings:
            self.stats.filtered += 1
        else:
            self.stats.unmapped += 1
        return None

    def hairpin(
        self, source: Address, target: Address, now: float
    ) -> tuple[Address, Address] | None:
        """Turn back a datagram from inside to an external endpoint of this NAT.

        Returns:
            The source that the other inside host sees, and that host's internal address; None
            drops it.
        """
        if self.behaviour.hairpinning is Hairpinning.NONE:
            self.stats.hairpin_refused += 1
            return None
        external = self.outbound(source, target, now)
        if external is None or (internal := self.inbound(target, external, now)) is None:
            return None
        shows_external = self.behaviour.hairpinning is Hairpinning.EXTERNAL_SOURCE
        return (external if shows_external else source), internal

    def forward(self, external: Address, internal: Address) -> bool:
        """Map *external* to *internal* for good and for everybody; False if either is taken.

        What UPnP IGD, NAT-PMP or an owner's hand does.
        """
        if external.ip not in self.external or internal in self._forwarded_out:
            return False
        if external in self._forwarded_in or external in self._by_external:
            return False
        self._forwarded_in[external] = internal
        self._forwarded_out[internal] = external
        return True

    def unforward(self, external: Address) -> None:
        """Take a `forward` back."""
        internal = self._forwarded_in.pop(external, None)
        if internal is not None:
            del self._forwarded_out[internal]

    def expose(self, internal_ip: bytes) -> None:
        """Give all ports that nothing else has to one host: 1:1 NAT, or a "DMZ host"."""
        self._exposed = internal_ip

    def reboot(self) -> None:
        """Forget everything that datagrams taught it; forwarded ports stay."""
        self._mappings.clear()
        self._permissions.clear()
        self._by_external.clear()

    def _new_mapping(
        self, internal: Address, key: tuple[Address, _Remote], now: float
    ) -> _Mapping | None:
        if len(self._mappings) >= MAPPINGS_MAX:
            return None
        external = self._free_endpoint(internal)
        if external is None:
            return None
        self.stats.mapped += 1
        mapping = self._mappings[key] = _Mapping(internal, external, key, now)
        self._by_external.setdefault(external, []).append(mapping)
        return mapping

    def _free_endpoint(self, internal: Address) -> Address | None:
        ip = self._external_ip(internal.ip)
        preserved = Address(ip, internal.port)
        ports = self.behaviour.ports
        if ports is PortAssignment.OVERLOADING:
            return preserved
        if ports is PortAssignment.PRESERVATION and self._is_free(preserved):
            return preserved
        allowed = WELL_KNOWN_PORTS if internal.port in WELL_KNOWN_PORTS else OTHER_PORTS
        step = 2 if self.behaviour.keeps_parity else 1
        offset = (internal.port - allowed.start) % step
        choices = allowed[offset::step]
        for place in self._places(choices, is_sequential=ports is PortAssignment.SEQUENTIAL):
            candidate = Address(ip, choices[place % len(choices)])
            if self._is_free(candidate):
                self._next_port = candidate.port + 1
                return candidate
        return None

    def _is_free(self, external: Address) -> bool:
        return external not in self._by_external and external not in self._forwarded_in

    def _places(self, choices: range, *, is_sequential: bool) -> Sequence[int]:
        """Return in which order to try *choices*."""
        if is_sequential:
            first = max(0, (self._next_port - choices.start + choices.step - 1) // choices.step)
            return range(first, first + len(choices))
        drawn = [self._chance.below(len(choices)) for _ in range(PORT_DRAWS)]
        first = drawn[-1]
        return [*drawn, *range(first, first + len(choices))]

    def _external_ip(self, internal_ip: bytes) -> bytes:
        if self.behaviour.pooling is Pooling.ARBITRARY:
            return self.external[self._chance.below(len(self.external))]
        turn = self.external[len(self._paired) % len(self.external)]
        return self._paired.setdefault(internal_ip, turn)

    def _permit(self, internal: Address, target: Address, now: float) -> None:
        """Let *target*, or more by the filtering behaviour, answer X:x from now on."""
        if self.behaviour.filtering is Dependence.ENDPOINT_INDEPENDENT:
            return
        remote = _remote(self.behaviour.filtering, target)
        remotes = self._permissions.setdefault(internal, OrderedDict())
        self._permissions.move_to_end(internal)
        remotes[remote] = now
        remotes.move_to_end(remote)
        if len(remotes) > REMOTES_MAX:
            remotes.popitem(last=False)

    def _is_permitted(self, internal: Address, source: Address, now: float) -> bool:
        """Say whether X:x has sent to this Y lately (section 5).

        RFC 4787 words filters by X:x, so they hold for all mappings of one internal endpoint.
        """
        if self.behaviour.filtering is Dependence.ENDPOINT_INDEPENDENT:
            return True
        remotes = self._permissions.get(internal)
        since = None if remotes is None else remotes.get(_remote(self.behaviour.filtering, source))
        return since is not None and now - since <= self.behaviour.timeout

    def _refresh(self, mapping: _Mapping, now: float) -> None:
        mapping.used = now
        self._mappings.move_to_end(mapping.key)

    def _expire(self, now: float) -> None:
        limit = now - self.behaviour.timeout
        while self._mappings:
            mapping = next(iter(self._mappings.values()))
            if mapping.used >= limit:
                break
            del self._mappings[mapping.key]
            self.stats.expired += 1
            sharing = self._by_external[mapping.external]
            sharing.remove(mapping)
            if not sharing:
                del self._by_external[mapping.external]
        while self._permissions:
            internal, remotes = next(iter(self._permissions.items()))
            if next(reversed(remotes.values())) >= limit:
                break
            del self._permissions[internal]


def _remote(dependence: Dependence, addr: Address) -> _Remote:
    """Return the part of *addr* that a mapping or a filter looks at."""
    if dependence is Dependence.ENDPOINT_INDEPENDENT:
        return None
    return addr.ip if dependence is Dependence.ADDRESS_DEPENDENT else addr
