"""Which sites connect by which path: the production engine behind every NAT of RFC 4787."""

from __future__ import annotations

import itertools
from typing import Final

import pytest

from shoal.net.ice import PathKind, Scope, Transport
from shoal.net.ice.errors import IceTimeoutError, NoPathError
from tests.unit.net.ice.world import IceWorld, Site

# Somebody can connect to these: a listening port is reachable from anywhere.
REACHABLE: Final = {Site.OPEN, Site.ONE_TO_ONE, Site.MAPPED}
# Behind these UDP ports can be told ahead.
TELLABLE: Final = set(Site) - {Site.SYMMETRIC}
PAIRS: Final = list(itertools.product(Site, Site))


def name(sites: tuple[Site, Site]) -> str:
    """Name a pair of sites."""
    return f"{sites[0].name}-{sites[1].name}"


@pytest.mark.parametrize("sites", PAIRS, ids=name)
def test_tcp_without_servers(sites: tuple[Site, Site]) -> None:
    """TCP needs one side whose port can be reached: there is no hole punching in Jami's ICE."""
    world = IceWorld(sites)
    world.connect()

    if set(sites) & REACHABLE:
        assert world.kind() is PathKind.DIRECT
        world.exchange()
    else:
        assert world.kind() is NoPathError
        assert world.callee.is_closed
        assert world.network.now < 20.0
    world.close()


@pytest.mark.parametrize("sites", PAIRS, ids=name)
@pytest.mark.parametrize("turn", [(True, True), (True, False), (False, True)], ids=str)
def test_tcp_with_turn(sites: tuple[Site, Site], turn: tuple[bool, bool]) -> None:
    """One relay at either side connects everybody, and is used only where nothing else does."""
    world = IceWorld(sites, turn=turn)
    world.connect()

    assert world.kind() is (PathKind.DIRECT if set(sites) & REACHABLE else PathKind.RELAYED)
    world.exchange()
    world.close()


@pytest.mark.parametrize("sites", PAIRS, ids=name)
def test_udp_with_turn(sites: tuple[Site, Site]) -> None:
    """UDP punches holes: a relay is needed only by symmetric NATs before strict filters."""
    world = IceWorld(sites, turn=(True, True), transport=Transport.UDP)
    world.connect()

    is_strict = {Site.SYMMETRIC, Site.PORT_DEPENDENT}
    is_hopeless = Site.SYMMETRIC in sites and set(sites) <= is_strict
    assert world.kind() is (PathKind.RELAYED if is_hopeless else PathKind.DIRECT)
    world.exchange(b"x" * 1000)
    world.close()


@pytest.mark.parametrize("sites", PAIRS, ids=name)
def test_udp_without_servers(sites: tuple[Site, Site]) -> None:
    """Knowing one's public address is enough behind NATs that keep ports."""
    world = IceWorld(sites, transport=Transport.UDP)
    world.connect()

    is_easy = {Site.OPEN, Site.ONE_TO_ONE, Site.MAPPED, Site.ENDPOINT_INDEPENDENT}
    can = set(sites) <= TELLABLE or set(sites) & (is_easy | {Site.ADDRESS_DEPENDENT})
    assert world.kind() is (PathKind.DIRECT if can else IceTimeoutError)
    world.close()


SCOPES: Final = [
    (Scope.RELAY_ONLY, Scope.RELAY_ONLY),
    (Scope.RELAY_ONLY, Scope.ALL),
    (Scope.ALL, Scope.RELAY_ONLY),
]


@pytest.mark.parametrize("transport", Transport)
@pytest.mark.parametrize("scopes", SCOPES, ids=str)
@pytest.mark.parametrize("sites", [(Site.OPEN, Site.OPEN), (Site.SYMMETRIC, Site.SYMMETRIC)])
def test_relay_only(
    transport: Transport, scopes: tuple[Scope, Scope], sites: tuple[Site, Site]
) -> None:
    """Who asks for it tells no address of its own, not even by connecting to the peer."""
    world = IceWorld(sites, turn=(True, True), scopes=scopes, transport=transport)
    world.connect()

    assert world.kind() is PathKind.RELAYED
    for device, scope in zip(world.devices, scopes, strict=True):
        assert device.description is not None
        texts = device.description.to_text()
        other = world.callee if device is world.caller else world.caller
        assert other.path is not None
        if scope is Scope.RELAY_ONLY:
            assert device.host.address.host not in texts
            seen = {other.path.remote.addr.ip, *(each.remote.addr.ip for each in other.path.pairs)}
            assert seen <= {world.server.addr.ip}
    world.exchange(b"x" * 1000)
    world.close()


@pytest.mark.parametrize("transport", Transport)
@pytest.mark.parametrize("scope", [Scope.ALL, Scope.LAN])
def test_one_home(transport: Transport, scope: Scope) -> None:
    """Two devices behind one NAT speak inside, whatever it does outside."""
    world = IceWorld(
        (Site.SYMMETRIC, Site.SYMMETRIC),
        share_gateway=True,
        scopes=(scope, scope),
        turn=(True, True),
        transport=transport,
    )
    world.connect()

    assert world.kind() is PathKind.LAN
    world.exchange(b"x" * 1000)
    world.close()


def test_lan_scope_goes_nowhere_else() -> None:
    """Without a common network there is no path, and no server hears of it."""
    world = IceWorld(
        (Site.SYMMETRIC, Site.SYMMETRIC), scopes=(Scope.LAN, Scope.LAN), turn=(True, True)
    )
    world.connect()

    assert world.kind() is NoPathError
    assert not world.server.allocations
