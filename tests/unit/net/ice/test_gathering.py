"""Gathering: servers that answer, do not, die later; names; and what a peer is told."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import pytest

from shoal.core import Address
from shoal.net.ice import (
    CandidateType,
    IceConfig,
    IceEngine,
    PathKind,
    Scope,
    TcpType,
    Transport,
    TurnServer,
)
from shoal.net.ice.effects import Failed, Listen, SendFrom
from shoal.net.ice.errors import LinkLostError, NoPathError
from shoal.net.ice.gathering import GATHER_TIME, choose_hosts, is_reflexive
from shoal.sim import SeededEntropy
from tests.unit.net.ice.world import Device, IceWorld, Site

if TYPE_CHECKING:
    from shoal.net.ice.candidates import Candidate

HOMES: Final = (Site.PORT_DEPENDENT, Site.PORT_DEPENDENT)


def candidates(device: Device, kind: CandidateType) -> list[Candidate]:
    """Return what a device offers of one type."""
    assert device.description is not None
    return [each for each in device.description.candidates if each.type is kind]


@pytest.mark.parametrize("transport", Transport)
def test_a_stun_server(transport: Transport) -> None:
    """It tells the public address; over UDP with the port that the NAT gave us."""
    world = IceWorld(HOMES, stun=True, guesses_ports=False, knows_public=False, transport=transport)
    world.gather()
    (found,) = candidates(world.caller, CandidateType.SRFLX)
    assert found.addr.ip == world.caller.public
    assert found.tcp_type is (None if transport is Transport.UDP else TcpType.ACTIVE)
    world.start()
    world.run(world.is_decided, 60.0)
    expected = PathKind.DIRECT if transport is Transport.UDP else NoPathError
    assert world.kind() is expected
    world.close()


@pytest.mark.parametrize("transport", Transport)
def test_a_server_known_by_name(transport: Transport) -> None:
    """It is looked up; of two allocations on one server one is kept."""
    world = IceWorld(HOMES, turn=(True, True), turn_host="turn.sim", transport=transport)
    world.gather()
    world.network.run(world.network.now + 1.0)
    assert len(candidates(world.caller, CandidateType.RELAY)) == 1
    assert len(world.server.allocations) == 2
    world.start()
    world.run(world.is_decided, 60.0)
    assert isinstance(world.kind(), PathKind)
    world.close()


@pytest.mark.parametrize("transport", Transport)
def test_a_name_that_nobody_has(transport: Transport) -> None:
    """The relay is done without, at once."""
    world = IceWorld(turn=(True, True), turn_host="nowhere.sim", transport=transport)
    world.gather()
    assert world.network.now < 1.0
    assert candidates(world.caller, CandidateType.RELAY) == []


@pytest.mark.parametrize("transport", Transport)
def test_a_deaf_server(transport: Transport) -> None:
    """After four seconds the peer gets the message without it, and its sockets are closed."""
    world = IceWorld(turn=(True, True), stun=True, transport=transport)
    world.server.is_deaf = True
    world.gather()
    assert world.network.now == pytest.approx(GATHER_TIME)
    assert len(world.caller.agent.engine.open_links) == 0
    world.start()
    world.run(world.is_decided, 60.0)
    assert world.kind() is PathKind.DIRECT
    world.close()


def test_a_server_that_is_not_there() -> None:
    """A refused connection is an answer, too: no waiting."""
    world = IceWorld(turn=(True, True), stun=True)
    world.tcp.drop_host(world.network.hosts[0])
    world.gather()
    assert world.network.now < 1.0
    assert candidates(world.caller, CandidateType.RELAY) == []


@pytest.mark.parametrize("transport", Transport)
@pytest.mark.parametrize("is_connected", [True, False])
def test_a_server_that_dies(transport: Transport, is_connected: bool) -> None:
    """With a path through it: lost. Before there is one: it cannot be used any more."""
    sites = (Site.SYMMETRIC, Site.SYMMETRIC)
    world = IceWorld(sites, turn=(True, True), transport=transport)
    if is_connected:
        world.connect()
        assert world.kind() is PathKind.RELAYED
    else:
        world.gather()
    world.tcp.drop_host(world.network.hosts[0])
    world.server.is_deaf = True
    if not is_connected:
        world.start()
    for device in world.devices:
        if is_connected and transport is Transport.TCP:
            device.agent.feed(lambda engine, now: engine.send(b"anybody?", now))
    world.network.run(world.network.now + 1000.0)
    for device in world.devices:
        if is_connected and transport is Transport.UDP:
            # Who sends to the peer's relay cannot tell a dead server from a silent peer.
            assert device.path is not None
            if device.path.local.type is not CandidateType.RELAY:
                continue
        assert any(isinstance(each, Failed) for each in device.agent.events)
        assert isinstance(device.error, LinkLostError) is is_connected
        assert device.is_closed


def test_a_relay_that_cannot_connect() -> None:
    """Hidden behind a relay, before a peer whose port nobody reaches: it says so in time."""
    world = IceWorld(
        (Site.OPEN, Site.PORT_DEPENDENT),
        turn=(True, False),
        scopes=(Scope.RELAY_ONLY, Scope.LAN),
    )
    world.connect()
    assert world.caller.error is not None
    assert world.caller.is_closed
    assert world.caller.error.pairs
    world.close_quietly()


def test_a_socket_that_breaks() -> None:
    """Media on it are over."""
    world = IceWorld(transport=Transport.UDP)
    world.connect()
    (socket,) = world.caller.agent.engine.open_sockets
    world.caller.agent.feed(lambda engine, now: engine.socket_failed(socket, "gone", now))
    assert isinstance(world.caller.error, LinkLostError)


def test_which_hosts_are_offered() -> None:
    """Three of IPv4, two of IPv6, no link-local ones, none twice."""
    hosts = [
        *(bytes([10, 0, 0, last]) for last in (1, 1, 2, 3, 4)),
        bytes([169, 254, 0, 1]),
        bytes.fromhex("fe80") + bytes(14),
        *(bytes.fromhex("2001") + bytes(13) + bytes([last]) for last in (1, 2, 3)),
    ]
    assert [Address(ip, 0).host for ip in choose_hosts(hosts)] == [
        *("10.0.0.1", "10.0.0.2", "10.0.0.3", "2001::1", "2001::2"),
    ]


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("44.1.2.3", True),
        ("127.0.0.1", False),
        ("169.254.1.1", False),
        ("224.0.0.1", False),
        ("::", False),
        ("240.0.0.1", False),
        ("2a00::1", True),
    ],
)
def test_what_may_be_a_public_address(host: str, expected: bool) -> None:
    """Other nodes may err or lie."""
    assert is_reflexive(Address.parse(host, 0).ip) is expected


def test_a_public_address_that_is_our_own_is_not_repeated() -> None:
    """An open host has nothing reflexive."""
    world = IceWorld()
    world.gather()
    assert candidates(world.caller, CandidateType.SRFLX) == []


def test_the_instant_zero_is_one_like_any_other() -> None:
    """A question to a relay that is due at 0.0 is awaited, and repeated then."""
    server = TurnServer("203.0.113.1", "user", "pass")
    config = IceConfig(transport=Transport.UDP, turn=(server,), guesses_ports=False)

    def asked(began: float) -> IceEngine:
        engine = IceEngine(config, SeededEntropy(1), is_controlling=True)
        host = Address.parse("10.0.0.1", 0)
        (listen,) = engine.gather([host.ip], [], began)
        assert isinstance(listen, Listen)
        (question,) = engine.socket_opened(listen.socket, host._replace(port=4001), began)
        assert isinstance(question, SendFrom)
        return engine

    wait = asked(0.0).next_deadline()
    assert wait is not None
    engine = asked(-wait)
    assert engine.next_deadline() == 0.0
    (again,) = engine.advance(0.0)
    assert isinstance(again, SendFrom)
