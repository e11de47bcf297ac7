"""The way of one datagram or segment: from an endpoint through NATs to another endpoint.

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
    from shoal.sim.nat import Nat


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


def route(source: Endpoint, target: Address, now: float, *, is_tcp: bool = False) -> _Outcome:
    """Find the way from *source* to *target*, changing the tables of the NATs passed outwards."""
    return _find(source.realm, source.address, target, source.host, now, is_tcp)


def enter(
    gateway: Gateway, target: Address, source: Address, now: float, *, is_tcp: bool = False
) -> Endpoint | None:
    """Follow a datagram or segment for the external *target* inwards; None if it was dropped."""
    inside = _table(gateway, is_tcp).inbound(target, source, now)
    return None if inside is None else _inner(gateway, inside, source, now, is_tcp)


def _table(gateway: Gateway, is_tcp: bool) -> Nat:
    return gateway.tcp if is_tcp else gateway.nat


def _endpoint(realm: Realm, address: Address, is_tcp: bool) -> Endpoint | None:
    return (realm.tcp_endpoints if is_tcp else realm.endpoints).get(address)


def _find(
    realm: Realm, seen: Address, target: Address, sender: Host, now: float, is_tcp: bool
) -> _Outcome:
    """Look for *target* in *realm*, then outwards."""
    gateway = realm.gateway
    if (endpoint := _endpoint(realm, target, is_tcp)) is not None:
        return Route(endpoint, seen, endpoint.host.place if gateway is None else None)
    if (other := realm.gateways.get(target.ip)) is not None:
        return Route(
            Crossing(other, target, sender), seen, other.place if gateway is None else None
        )
    if gateway is None:
        return Dead.UNREACHABLE
    if target.ip in gateway.nat.external:
        return _turn_back(gateway, seen, target, now, is_tcp)
    external = _table(gateway, is_tcp).outbound(seen, target, now)
    if external is None:
        return Dead.TRANSLATED_AWAY
    return _find(gateway.outer, external, target, sender, now, is_tcp)


def _turn_back(
    gateway: Gateway, seen: Address, target: Address, now: float, is_tcp: bool
) -> _Outcome:
    """Send a datagram for the gateway's own external address back inside (hairpinning)."""
    turned = _table(gateway, is_tcp).hairpin(seen, target, now)
    if turned is None:
        return Dead.TRANSLATED_AWAY
    shown, inside = turned
    endpoint = _inner(gateway, inside, shown, now, is_tcp)
    return Dead.UNREACHABLE if endpoint is None else Route(endpoint, shown, None)


def _inner(
    gateway: Gateway, inside: Address, source: Address, now: float, is_tcp: bool
) -> Endpoint | None:
    if (further := gateway.inner.gateways.get(inside.ip)) is not None:
        return enter(further, inside, source, now, is_tcp=is_tcp)
    return _endpoint(gateway.inner, inside, is_tcp)
