"""Ports that the router forwards: which router, which port, until when (reference 5.5).

Theory of operation. Both protocols look for a router at once. A mapping is asked of the first that
is there, of the other one if that refuses, and waits while it is not clear whether there is any.
In force, it is renewed after half its time until it is given back. A router that turns out to have
a private address itself is of no use. Where no router was found, the next request after a while
looks again: people switch networks and change settings.
"""

from __future__ import annotations

import ipaddress
from math import inf
from typing import TYPE_CHECKING, Final

from shoal.core import Address, DecodeError
from shoal.core.records import dataclass
from shoal.net.mapping import natpmp
from shoal.net.mapping.effects import AskOverHttp, Effect, Mapped, MappingFailed
from shoal.net.mapping.errors import (
    MappingError,
    NoRouterError,
    NotPublicError,
    TooManyMappingsError,
)
from shoal.net.mapping.routers import (
    IgdRouter,
    Mapping,
    NatPmpRouter,
    Router,
    RouterState,
    draw_port,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from shoal.core import Entropy

MAPPINGS_MAX: Final = 64  # at once, ours: half the table of a small router
SEARCH_AGAIN: Final = 300.0  # seconds after a search in vain, ours
RETRY_WAIT: Final = 60.0  # seconds after a renewal that failed, ours
HTTP_TIME: Final = 3.0  # seconds for one exchange, ours: inside the four of a connection
LIFETIME_MIN: Final = 120.0  # seconds, ours: shorter leases are renewed as if they had these
HTTP_PENDING_MAX: Final = 192  # ours: three times as many exchanges as mappings


@dataclass(slots=True)
class MapperStats:
    """Each field says what one increment means."""

    malformed: int = 0  # a datagram or document that could not be read
    unsolicited: int = 0  # a datagram from somebody who was not asked
    reboots: int = 0  # a router that had forgotten its mappings


class MapperEngine:
    """Gets, renews and gives back ports of the router in front of this machine."""

    def __init__(self, entropy: Entropy, gateway: bytes | None) -> None:
        """Know the default *gateway*, if there is one: it is asked by NAT-PMP."""
        self.stats = MapperStats()
        self.entropy = entropy
        self.out: list[Effect] = []
        self._natpmp = None if gateway is None else NatPmpRouter(self, gateway)
        self._igd = IgdRouter(self)
        self._routers: list[Router] = [*([self._natpmp] if self._natpmp else []), self._igd]
        self._mappings: dict[int, Mapping] = {}
        self._waiting: dict[int, Callable[[bytes | None, float], None]] = {}
        self._asked = 0
        self._searched_at = -inf
        self._is_closed = False

    @property
    def external_addresses(self) -> tuple[bytes, ...]:
        """The addresses of the routers that were found, on their other side."""
        ready = [each.external for each in self._routers if each.state is RouterState.READY]
        return tuple(dict.fromkeys(ready))

    # Commands

    def start(self, now: float) -> list[Effect]:
        """Look for routers, anew after a change of networks; mappings are made again."""
        self._searched_at = now
        for router in self._routers:
            router.search(now)
        for mapping in self._mappings.values():
            mapping.router = None
            mapping.tried.clear()
            mapping.refusal = None
            mapping.renew_at = inf
        return self._take()

    def map(self, id: int, local: Address, now: float, *, is_tcp: bool) -> list[Effect]:  # noqa: A002 - the event's word
        """Ask for a port for *local*; `Mapped` or `MappingFailed` follows, at once if it is clear.

        Raises:
            TooManyMappingsError: the table is full.
        """
        assert id not in self._mappings, "ids are drawn fresh"
        if len(self._mappings) >= MAPPINGS_MAX:
            raise TooManyMappingsError
        port = draw_port(self.entropy, is_tcp=is_tcp)
        mapping = self._mappings[id] = Mapping(id, local, is_tcp, port)
        has_router = any(
            each.state in {RouterState.READY, RouterState.SEARCHING} for each in self._routers
        )
        if not has_router and now - self._searched_at >= SEARCH_AGAIN:
            self.out += self.start(now)
        self._try(mapping, now)
        return self._take()

    def unmap(self, id: int, now: float) -> list[Effect]:  # noqa: A002 - the event's word
        """Give mapping *id* back, if it is still there; no event follows."""
        mapping = self._mappings.pop(id, None)
        if mapping is not None and mapping.router is not None:
            mapping.router.unmap(mapping, now)
        return self._take()

    def close(self, now: float) -> list[Effect]:
        """Give everything back; exchanges that this takes go on."""
        for number in list(self._mappings):
            self.out += self.unmap(number, now)
        self._is_closed = True
        return self._take()

    # Inputs

    def receive(self, datagram: bytes, addr: Address, now: float) -> list[Effect]:
        """Take one datagram. Never raises."""
        try:
            if self._natpmp is not None and addr == self._natpmp.addr:
                self._natpmp.receive(datagram, now)
            elif addr.port == natpmp.PORT or not ipaddress.ip_address(addr.ip).is_private:
                self.stats.unsolicited += 1
            else:
                self._igd.receive(datagram, addr, now)
        except DecodeError:
            self.stats.malformed += 1
        return self._take()

    def http_answered(self, id: int, data: bytes | None, now: float) -> list[Effect]:  # noqa: A002 - the effect's word
        """Learn what came back for `AskOverHttp`; None if nothing did."""
        answered = self._waiting.pop(id, None)
        if answered is not None:
            answered(data, now)
        return self._take()

    def next_deadline(self) -> float | None:
        """When `advance` next has work."""
        if self._is_closed:
            return None
        earliest = min(
            *(router.next_deadline() for router in self._routers),
            *(mapping.renew_at for mapping in self._mappings.values()),
            inf,
        )
        return None if earliest == inf else earliest

    def advance(self, now: float) -> list[Effect]:
        """Repeat, renew and give up what is due."""
        if self._is_closed:
            return []
        for router in self._routers:
            if router.next_deadline() <= now:
                router.wake(now)
        for mapping in list(self._mappings.values()):
            if mapping.renew_at <= now and mapping.router is not None:
                mapping.renew_at = inf
                mapping.router.map(mapping, now)
        return self._take()

    # As the user of routers

    def router_changed(self, router: Router, now: float) -> None:
        """Ask a router that was found for what waits, or give up hope in one that was not."""
        if (
            router.state is RouterState.READY
            and not ipaddress.ip_address(router.external).is_global
        ):
            router.state = RouterState.ABSENT
        for mapping in list(self._mappings.values()):
            if mapping.router is None:
                self._try(mapping, now)

    def mapped(self, mapping: Mapping, external: Address, lifetime: float, now: float) -> None:
        """Note a mapping that is in force."""
        if self._mappings.get(mapping.id) is not mapping:  # given back in the meantime
            mapping.external = external
            if mapping.router is not None:
                mapping.router.unmap(mapping, now)
            return
        lifetime = max(lifetime, LIFETIME_MIN)
        mapping.renew_at = now + lifetime / 2
        mapping.expires = now + lifetime
        if mapping.external != external:
            mapping.external = external
            self.out.append(Mapped(mapping.id, external))

    def refused(self, mapping: Mapping, error: MappingError, now: float) -> None:
        """Try a mapping elsewhere, or again later, or give up."""
        if self._mappings.get(mapping.id) is not mapping:
            return
        if mapping.external is not None and now + RETRY_WAIT < mapping.expires:
            mapping.renew_at = now + RETRY_WAIT
            return
        if mapping.router is not None:
            mapping.tried.append(mapping.router)
            mapping.router = None
        mapping.external = None
        mapping.refusal = mapping.refusal or error
        self._try(mapping, now)

    def rebooted(self, router: Router, now: float) -> None:
        """Make the mappings again that a router has forgotten."""
        self.stats.reboots += 1
        for mapping in self._mappings.values():
            if mapping.router is router and mapping.external is not None:
                mapping.renew_at = now

    def ask_over_http(
        self, addr: Address, request: bytes, answered: Callable[[bytes | None, float], None]
    ) -> None:
        """Order an exchange."""
        self._asked += 1
        if len(self._waiting) >= HTTP_PENDING_MAX:  # the oldest will not be answered any more
            del self._waiting[next(iter(self._waiting))]
        self._waiting[self._asked] = answered
        self.out.append(AskOverHttp(self._asked, addr, request))

    # Inside

    def _try(self, mapping: Mapping, now: float) -> None:
        """Ask the first router for *mapping* that has not refused it, wait for one, or give up."""
        is_waiting = False
        for router in self._routers:
            if router in mapping.tried:
                continue
            if router.state is RouterState.READY:
                mapping.router = router
                router.map(mapping, now)
                return
            is_waiting = is_waiting or router.state is RouterState.SEARCHING
        if is_waiting:
            return
        del self._mappings[mapping.id]
        error = mapping.refusal
        if error is None:
            has_private = any(each.external for each in self._routers)
            error = NotPublicError() if has_private else NoRouterError()
        self.out.append(MappingFailed(mapping.id, error))

    def _take(self) -> list[Effect]:
        out, self.out = self.out, []
        return out
