"""The way of one datagram: from an endpoint through NATs to another endpoint.

What leaves a private realm is translated when it is sent; what enters one is translated when it
arrives, as the far NAT's table may have changed on the way.
"""

from __future__ import annotations

import enum
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

if TYPE_CHECKING:
    from shoal.core import Address
    from shoal.sim.hosts import Endpoint, Gateway, Host, Realm
    from shoal.sim.latency import Place


class Crossing:
    """A datagram on its way to a gateway, which will say where inside it goes."""

    __slots__ = ("gateway", "sender", "target")

    def __init__(self, gateway: Gateway, target: Address, sender: Host) -> None:
        self.gateway = gateway
        self.target = target
        self.sender = sender


class Route(NamedTuple):
    """Who or what receives it, the source address seen there, and where that is; None is near."""

    receiver: Endpoint | Crossing
    seen: Address
    place: Place | None


class Dead(enum.Enum):
    """Why there is no route."""

    TRANSLATED_AWAY = enum.auto()  # a NAT dropped it
    UNREACHABLE = enum.auto()  # nothing has that address


_Outcome: TypeAlias = Route | Dead


def route(source: Endpoint, target: Address, now: float) -> _Outcome:
    """Find the way from *source* to *target*, changing the tables of the NATs passed outwards."""
    return _find(source.realm, source.address, target, source.host, now)


def enter(gateway: Gateway, target: Address, source: Address, now: float) -> Endpoint | None:
    """Follow a datagram for the external *target* inwards; None if it was dropped."""
    inside = gateway.nat.inbound(target, source, now)
    return None if inside is None else _inner(gateway, inside, source, now)


def _find(realm: Realm, seen: Address, target: Address, sender: Host, now: float) -> _Outcome:
    """Look for *target* in *realm*, then outwards."""
    gateway = realm.gateway
    if (endpoint := realm.endpoints.get(target)) is not None:
        return Route(endpoint, seen, endpoint.host.place if gateway is None else None)
    if (other := realm.gateways.get(target.ip)) is not None:
        return Route(
            Crossing(other, target, sender), seen, other.place if gateway is None else None
        )
    if gateway is None:
        return Dead.UNREACHABLE
    if target.ip in gateway.nat.external:
        return _turn_back(gateway, seen, target, now)
    external = gateway.nat.outbound(seen, target, now)
    if external is None:
        return Dead.TRANSLATED_AWAY
    return _find(gateway.outer, external, target, sender, now)


def _turn_back(gateway: Gateway, seen: Address, target: Address, now: float) -> _Outcome:
    """Send a datagram for the gateway's own external address back inside (hairpinning)."""
    turned = gateway.nat.hairpin(seen, target, now)
    if turned is None:
        return Dead.TRANSLATED_AWAY
    shown, inside = turned
    endpoint = _inner(gateway, inside, shown, now)
    return Dead.UNREACHABLE if endpoint is None else Route(endpoint, shown, None)


def _inner(gateway: Gateway, inside: Address, source: Address, now: float) -> Endpoint | None:
    if (further := gateway.inner.gateways.get(inside.ip)) is not None:
        return enter(further, inside, source, now)
    return gateway.inner.endpoints.get(inside)
