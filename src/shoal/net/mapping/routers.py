"""The two protocols in which routers map ports, behind one face."""

from __future__ import annotations

import enum
from dataclasses import field
from math import inf
from typing import TYPE_CHECKING, Final, Protocol

from shoal.core import Address, DecodeError, SendDatagram
from shoal.core.addresses import PORT_MAX
from shoal.core.records import dataclass
from shoal.net.mapping import http, igd, natpmp
from shoal.net.mapping.errors import MappingError, MappingRefusedError, NoRouterError

if TYPE_CHECKING:
    from collections.abc import Callable

    from shoal.core import Entropy
    from shoal.net.mapping.effects import Effect

SEARCH_TIME: Final = 4.0  # seconds; reference 5.5: as long as a connection waits for mappings
NATPMP_RTO: Final = 0.25  # seconds, then doubled; RFC 6886 section 3.1
NATPMP_SENDS_MAX: Final = 4  # ours: of RFC 6886's nine, those that fit into the four seconds
NATPMP_LIFETIME: Final = 3600  # seconds; reference 5.5
IGD_LIFETIME: Final = 7200  # seconds; reference 5.5
IGD_REPEAT: Final = 1.0  # seconds between two searches: UDP may lose one; ours
IGD_SEARCHES_MAX: Final = 3  # ours
IGD_ANSWERS_MAX: Final = 4  # routers looked at, ours
CONFLICTS_MAX: Final = 4  # other ports tried when one is taken, ours
PERMANENT_CHECK: Final = 3600.0  # seconds, ours: an endless lease ends when the router reboots
EPOCH_SLACK: Final = 2.0  # seconds, RFC 6886 section 3.6

# Reference 5.5: Jami's own ports, which people may have allowed.
TCP_PORTS: Final = range(10_000, 15_000)
UDP_PORTS: Final = range(20_000, 25_000)


class RouterState(enum.Enum):
    """What we know of a router that speaks a protocol."""

    UNKNOWN = "unknown"
    SEARCHING = "searching"
    READY = "ready"
    ABSENT = "absent"


@dataclass(slots=True, eq=False)
class Mapping:
    """A port that somebody wants from outside."""

    id: int
    local: Address
    is_tcp: bool
    wanted_port: int
    router: Router | None = None  # who has it, or is asked
    tried: list[Router] = field(default_factory=list)
    external: Address | None = None  # once it is in force
    renew_at: float = inf
    expires: float = inf
    conflicts: int = 0
    refusal: MappingError | None = None  # the first


class RouterUser(Protocol):
    """The engine, as routers see it."""

    out: list[Effect]
    entropy: Entropy

    def router_changed(self, router: Router, now: float) -> None:
        """It has been found, or is not there."""

    def mapped(self, mapping: Mapping, external: Address, lifetime: float, now: float) -> None:
        """The mapping is in force for *lifetime* seconds."""

    def refused(self, mapping: Mapping, error: MappingError, now: float) -> None:
        """It is not."""

    def rebooted(self, router: Router, now: float) -> None:
        """The router has forgotten its mappings."""

    def ask_over_http(
        self, addr: Address, request: bytes, answered: Callable[[bytes | None, float], None]
    ) -> None:
        """Send a request; *answered* gets what comes back, or None."""


class Router(Protocol):
    """A router that speaks one protocol, found or not."""

    state: RouterState
    external: bytes

    def search(self, now: float) -> None:
        """Look for it."""

    def map(self, mapping: Mapping, now: float) -> None:
        """Ask for a mapping, or to renew it."""

    def unmap(self, mapping: Mapping, now: float) -> None:
        """Give a mapping back."""

    def next_deadline(self) -> float:
        """When `wake` has something to do."""

    def wake(self, now: float) -> None:
        """Repeat and give up what is due."""


@dataclass(slots=True)
class _Question:
    data: bytes
    deadline: float
    wait: float = NATPMP_RTO
    sends: int = 1
    mapping: Mapping | None = None


class NatPmpRouter:
    """The default gateway, asked by NAT-PMP."""

    def __init__(self, user: RouterUser, gateway: bytes) -> None:
        self.state = RouterState.UNKNOWN
        self.external = b""
        self.addr = Address(gateway, natpmp.PORT)
        self._user = user
        self._questions: dict[tuple[int, int], _Question] = {}  # by opcode and internal port
        self._epoch: tuple[int, float] | None = None

    def search(self, now: float) -> None:
        """Ask for its public address."""
        self.state = RouterState.SEARCHING
        self._ask((natpmp.PUBLIC_ADDRESS, 0), natpmp.ask_public_address(), None, now)

    def map(self, mapping: Mapping, now: float) -> None:
        """Ask for a mapping, or to renew it."""
        external = mapping.wanted_port if mapping.external is None else mapping.external.port
        self._ask_mapping(mapping, external, NATPMP_LIFETIME, mapping, now)

    def unmap(self, mapping: Mapping, now: float) -> None:
        """Give a mapping back (RFC 6886 section 3.4)."""
        self._ask_mapping(mapping, 0, 0, None, now)

    def receive(self, data: bytes, now: float) -> None:
        """Take a datagram from the router.

        Raises:
            DecodeError: it is no answer.
        """
        answer = natpmp.decode(data)
        self._watch_epoch(answer.epoch, now)
        if isinstance(answer, natpmp.PublicAddress):
            if self._questions.pop((natpmp.PUBLIC_ADDRESS, 0), None) is None:
                return
            self.external = answer.ip
            self.state = RouterState.ABSENT if answer.result else RouterState.READY
            self._user.router_changed(self, now)
            return
        opcode = natpmp.MAP_TCP if answer.is_tcp else natpmp.MAP_UDP
        question = self._questions.get((opcode, answer.internal))
        if question is None:
            return
        if answer.result == 0 and (question.mapping is None) is not (answer.lifetime == 0):
            return  # an answer to an earlier question about this port
        del self._questions[opcode, answer.internal]
        if question.mapping is None:
            return
        if answer.result:
            error = MappingRefusedError(answer.result)
            self._user.refused(question.mapping, error, now)
        else:
            external = Address(self.external, answer.external)
            self._user.mapped(question.mapping, external, answer.lifetime, now)

    def next_deadline(self) -> float:
        """When a question is due again."""
        return min((each.deadline for each in self._questions.values()), default=inf)

    def wake(self, now: float) -> None:
        """Ask again, or give up."""
        for key, question in list(self._questions.items()):
            if now < question.deadline or self._questions.get(key) is not question:
                continue
            if question.sends < NATPMP_SENDS_MAX:
                question.sends += 1
                question.wait *= 2
                question.deadline = now + question.wait
                self._user.out.append(SendDatagram(question.data, self.addr))
                continue
            del self._questions[key]
            if key[0] == natpmp.PUBLIC_ADDRESS:
                self.state = RouterState.ABSENT
                self._user.router_changed(self, now)
            elif question.mapping is not None:
                self._user.refused(question.mapping, NoRouterError(), now)

    def _ask_mapping(
        self, mapping: Mapping, external: int, lifetime: int, asker: Mapping | None, now: float
    ) -> None:
        data = natpmp.ask_mapping(
            is_tcp=mapping.is_tcp,
            internal=mapping.local.port,
            external=external,
            lifetime=lifetime,
        )
        opcode = natpmp.MAP_TCP if mapping.is_tcp else natpmp.MAP_UDP
        self._ask((opcode, mapping.local.port), data, asker, now)

    def _ask(self, key: tuple[int, int], data: bytes, mapping: Mapping | None, now: float) -> None:
        self._questions[key] = _Question(data, now + NATPMP_RTO, mapping=mapping)
        self._user.out.append(SendDatagram(data, self.addr))

    def _watch_epoch(self, epoch: int, now: float) -> None:
        """See whether the router's clock says that it began anew (RFC 6886 section 3.6)."""
        before, self._epoch = self._epoch, (epoch, now)
        if before is not None:
            expected = before[0] + (now - before[1]) * 7 / 8
            if epoch < expected - EPOCH_SLACK:
                self._user.rebooted(self, now)


class IgdRouter:
    """Whoever answers a search for Internet gateway devices."""

    def __init__(self, user: RouterUser) -> None:
        self.state = RouterState.UNKNOWN
        self.external = b""
        self._user = user
        self._control: igd.Control | None = None
        self._answers: list[tuple[Address, str]] = []
        self._is_asking = False
        self._searches = 0
        self._next_search = inf
        self._ends = inf
        self._has_permanent_only = False

    def search(self, now: float) -> None:
        """Call out for gateways."""
        self.state = RouterState.SEARCHING
        self._answers.clear()
        self._searches = 0
        self._ends = now + SEARCH_TIME
        self._call_out(now)

    def receive(self, data: bytes, source: Address, now: float) -> None:
        """Take an answer to the search.

        Raises:
            DecodeError: it is none.
        """
        found = igd.read_answer(data, source)
        has_room = found not in self._answers and len(self._answers) < IGD_ANSWERS_MAX
        if self.state is RouterState.SEARCHING and has_room:
            self._answers.append(found)
            self._look(now)

    def map(self, mapping: Mapping, now: float) -> None:
        """Ask for a mapping, or to renew it."""
        control = self._control
        assert control is not None, "ready routers have it"
        port = mapping.wanted_port if mapping.external is None else mapping.external.port
        lifetime = 0 if self._has_permanent_only else IGD_LIFETIME
        is_any = control.has_any_port and mapping.external is None
        request = igd.call(
            control,
            "AddAnyPortMapping" if is_any else "AddPortMapping",
            {
                "NewRemoteHost": "",
                "NewExternalPort": port,
                "NewProtocol": "TCP" if mapping.is_tcp else "UDP",
                "NewInternalPort": mapping.local.port,
                "NewInternalClient": mapping.local.host,
                "NewEnabled": 1,
                "NewPortMappingDescription": f"{igd.DESCRIPTION_PREFIX}-{mapping.local.port}",
                "NewLeaseDuration": lifetime,
            },
        )
        self._user.ask_over_http(
            control.addr, request, lambda data, now: self._mapped(mapping, port, data, now)
        )

    def unmap(self, mapping: Mapping, now: float) -> None:
        """Give a mapping back."""
        if self._control is None or mapping.external is None:
            return
        request = igd.call(
            self._control,
            "DeletePortMapping",
            {
                "NewRemoteHost": "",
                "NewExternalPort": mapping.external.port,
                "NewProtocol": "TCP" if mapping.is_tcp else "UDP",
            },
        )
        self._user.ask_over_http(self._control.addr, request, lambda data, now: None)

    def next_deadline(self) -> float:
        """When to call out again, or to give up."""
        return min(self._next_search, self._ends) if self.state is RouterState.SEARCHING else inf

    def wake(self, now: float) -> None:
        """Call out again, or give up."""
        if self.state is not RouterState.SEARCHING:
            return
        if now >= self._ends:
            self._absent(now)
        elif now >= self._next_search:
            self._call_out(now)

    def _call_out(self, now: float) -> None:
        self._searches += 1
        is_last = self._searches >= IGD_SEARCHES_MAX
        self._next_search = inf if is_last else now + IGD_REPEAT
        self._user.out += [SendDatagram(igd.search(target), igd.SSDP) for target in igd.TARGETS]

    def _look(self, now: float) -> None:
        """Look at the next router that answered."""
        if self._is_asking or not self._answers or self.state is not RouterState.SEARCHING:
            return
        self._is_asking = True
        addr, target = self._answers[0]
        self._user.ask_over_http(
            addr,
            http.request(addr, target),
            lambda data, now: self._described(addr, target, data, now),
        )

    def _next_answer(self, now: float) -> None:
        self._is_asking = False
        self._answers = self._answers[1:]
        self._look(now)

    def _described(self, addr: Address, target: str, data: bytes | None, now: float) -> None:
        try:
            control = igd.read_description(data or b"", addr, target)
        except DecodeError:
            self._next_answer(now)
            return
        self._user.ask_over_http(
            control.addr,
            igd.call(control, "GetExternalIPAddress", {}),
            lambda data, now: self._addressed(control, data, now),
        )

    def _addressed(self, control: igd.Control, data: bytes | None, now: float) -> None:
        try:
            code, texts = igd.read_result(data or b"")
            external = Address.parse(texts.get("NewExternalIPAddress", ""), 0).ip
        except DecodeError:
            self._next_answer(now)
            return
        self._is_asking = False
        if code or self.state is not RouterState.SEARCHING:
            return
        self._control = control
        self.external = external
        self.state = RouterState.READY
        self._user.router_changed(self, now)

    def _mapped(self, mapping: Mapping, port: int, data: bytes | None, now: float) -> None:
        try:
            code, texts = igd.read_result(data or b"")
            addr = Address(self.external, _port(texts.get("NewReservedPort", str(port))))
        except DecodeError:
            self._user.refused(mapping, MappingError("the router's answer makes no sense"), now)
            return
        if code == igd.PERMANENT_ONLY and not self._has_permanent_only:
            self._has_permanent_only = True
            self.map(mapping, now)
        elif (
            code == igd.CONFLICT and mapping.external is None and mapping.conflicts < CONFLICTS_MAX
        ):
            mapping.conflicts += 1
            mapping.wanted_port = draw_port(self._user.entropy, is_tcp=mapping.is_tcp)
            self.map(mapping, now)
        elif code:
            self._user.refused(mapping, MappingRefusedError(code), now)
        else:
            lifetime = 2 * PERMANENT_CHECK if self._has_permanent_only else IGD_LIFETIME
            self._user.mapped(mapping, addr, lifetime, now)

    def _absent(self, now: float) -> None:
        self.state = RouterState.ABSENT
        self._user.router_changed(self, now)


def _may_move(mapping: Mapping) -> bool:
    """Tell whether another port will do as well."""
    return mapping.external is None and mapping.conflicts < CONFLICTS_MAX


def _port(text: str) -> int:
    if not (text.isascii() and text.isdigit() and 0 < int(text[:6]) <= PORT_MAX):
        raise DecodeError("not a port")
    return int(text[:6])


def draw_port(entropy: Entropy, *, is_tcp: bool) -> int:
    """Return an external port to ask for."""
    ports = TCP_PORTS if is_tcp else UDP_PORTS
    return ports[entropy.below(len(ports))]
