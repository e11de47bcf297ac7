"""Two ICE drivers on hosts of their own: which NATs, which servers, which path, how fast."""

from __future__ import annotations

import asyncio
import concurrent.futures
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import pytest

from shoal.core import Address
from shoal.net.ice import IceConfig, IceDescription, PathKind, Scope, Transport, TurnServer
from shoal.net.ice.driver import IceDriver
from shoal.net.ice.errors import IceError
from shoal.net.mapping.driver import PortMapper
from tests.peers.coturn import CoturnProcess
from tests.peers.inside import start_inside
from tests.peers.miniupnpd import MiniupnpdProcess
from tests.peers.natbench import Nat, NatBench, Router, block_udp
from tests.peers.presence import Need, require
from tests.peers.waiting import until

if TYPE_CHECKING:
    from collections.abc import Iterator

    from shoal.net.ice import IcePath
    from tests.peers.namespaces import Namespace

PATIENCE: Final = 90.0  # seconds for one pair on a loaded machine
DATA: Final = os.urandom(300_000)
DATAGRAM: Final = os.urandom(1000)


@dataclass(frozen=True)
class Site:
    """A host, and the router in front of it, if any."""

    host: Namespace
    router: Router | None = None

    @property
    def public(self) -> bytes:
        """The address under which others see it."""
        seen = self.host if self.router is None else self.router.space
        return Address.parse(seen.host, 0).ip


@dataclass(frozen=True)
class Streets:
    """Sites by name, and a TURN server's host."""

    bench: NatBench
    sites: dict[str, Site]
    turn: Namespace


@pytest.fixture(scope="module")
def streets() -> Iterator[Streets]:
    """Two open hosts, two homes of each kind, a server."""
    require(Need.NAMESPACES, Need.NFT)
    with NatBench() as bench:
        sites = {f"open {number}": Site(bench.add_host()) for number in (1, 2)}
        for nat, name in (
            (Nat.ENDPOINT_INDEPENDENT, "1:1"),
            (Nat.PORT_DEPENDENT, "port-dependent"),
            (Nat.SYMMETRIC, "symmetric"),
        ):
            for number in (1, 2):
                router = bench.add_router(nat)
                sites[f"{name} {number}"] = Site(bench.add_host_behind(router), router)
        yield Streets(bench, sites, bench.add_host())


@pytest.fixture(scope="module")
def turn(
    streets: Streets, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[TurnServer, ...]]:
    """A real TURN server that everybody reaches."""
    require(Need.COTURN)
    with CoturnProcess(tmp_path_factory.mktemp("coturn"), streets.turn) as server:
        yield (TurnServer(server.host, server.username, server.password, server.port),)


def connect(
    sites: tuple[Site, Site], config: IceConfig, *, first_maps: bool = False
) -> list[IcePath | IceError]:
    """Let the two sites connect and exchange data; return each one's path or error."""
    texts: list[concurrent.futures.Future[str]] = [concurrent.futures.Future() for _ in range(2)]

    async def session(number: int) -> IcePath | IceError:
        site = sites[number]
        async with PortMapper() if first_maps and number == 0 else _Nothing() as mapper:
            driver = IceDriver(config, is_controlling=number == 1, mapper=mapper)
            async with driver:
                mine = await driver.gather(
                    public=[site.public], hosts=[Address.parse(site.host.host, 0).ip]
                )
                texts[number].set_result(mine.to_text())
                theirs = await asyncio.wrap_future(texts[1 - number])
                try:
                    path = await driver.connect(IceDescription.parse(theirs))
                except IceError as error:
                    assert driver.open_count == 0
                    return error
                await exchange(driver, config.transport)
            assert driver.open_count == 0
        return path

    running = [start_inside(sites[number].host, lambda n=number: session(n)) for number in (0, 1)]  # type: ignore[misc]
    return [each.result(PATIENCE) for each in running]


async def exchange(driver: IceDriver, transport: Transport) -> None:
    """Send data, receive the peer's, and wait until it has ours."""
    expected = DATA if transport is Transport.TCP else DATAGRAM
    received = bytearray()
    arrived = asyncio.Event()

    def take(data: bytes | memoryview) -> None:
        received.extend(data)
        if len(received) >= len(expected):
            arrived.set()

    driver.on_data(take, lambda _: arrived.set())
    driver.send(expected)
    if transport is Transport.UDP:  # nobody repeats it for us, and the peer may close first
        for _ in range(300):
            await asyncio.sleep(0.02)
            driver.send(expected)
            if arrived.is_set():
                break
        assert bytes(received[: len(expected)]) == expected
        return
    await arrived.wait()
    assert bytes(received[: len(expected)]) == expected
    if len(received) == len(expected):
        arrived.clear()
    driver.send(b"!")  # the peer has everything once we have the same of it, or it has closed
    await arrived.wait()


class _Nothing:
    """No mapper."""

    async def __aenter__(self) -> None:
        return None

    async def __aexit__(self, *unused: object) -> None:
        return None


def kinds(results: list[IcePath | IceError]) -> set[object]:
    """Return what both got."""
    return {each.kind if not isinstance(each, IceError) else type(each) for each in results}


DIRECT: Final = [
    ("open 1", "open 2"),
    ("open 1", "symmetric 1"),
    ("port-dependent 1", "open 1"),
    ("1:1 1", "1:1 2"),
    ("1:1 1", "symmetric 1"),
    ("port-dependent 1", "1:1 1"),
]
RELAYED: Final = [
    ("port-dependent 1", "port-dependent 2"),
    ("symmetric 1", "symmetric 2"),
    ("symmetric 1", "port-dependent 1"),
]


@pytest.mark.parametrize("names", DIRECT, ids="-".join)
def test_tcp_direct(streets: Streets, names: tuple[str, str]) -> None:
    """One reachable side is enough, and no server is needed."""
    results = connect((streets.sites[names[0]], streets.sites[names[1]]), IceConfig())
    assert kinds(results) == {PathKind.DIRECT}, results


def test_tcp_without_any_way(streets: Streets) -> None:
    """Two NATs and no server: an error that names what was tried, on both sides."""
    results = connect((streets.sites["symmetric 1"], streets.sites["symmetric 2"]), IceConfig())
    for each in results:
        assert isinstance(each, IceError)
        assert each.pairs


@pytest.mark.parametrize("names", RELAYED, ids="-".join)
def test_tcp_relayed(
    streets: Streets, turn: tuple[TurnServer, ...], names: tuple[str, str]
) -> None:
    """Through coturn's TCP allocations (RFC 6062)."""
    config = IceConfig(turn=turn)
    results = connect((streets.sites[names[0]], streets.sites[names[1]]), config)
    assert kinds(results) == {PathKind.RELAYED}, results


@pytest.mark.parametrize("transport", Transport)
def test_relay_only(streets: Streets, turn: tuple[TurnServer, ...], transport: Transport) -> None:
    """Both sides hide behind the server, and each sees only that."""
    config = IceConfig(turn=turn, scope=Scope.RELAY_ONLY, transport=transport)
    results = connect((streets.sites["open 1"], streets.sites["port-dependent 1"]), config)
    for each in results:
        assert not isinstance(each, IceError), each
        assert each.remote.addr.host == streets.turn.host


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (("port-dependent 1", "port-dependent 2"), PathKind.DIRECT),
        (("symmetric 1", "1:1 1"), PathKind.DIRECT),
        (("symmetric 1", "symmetric 2"), PathKind.RELAYED),
    ],
    ids=str,
)
def test_udp_with_a_server(
    streets: Streets, turn: tuple[TurnServer, ...], names: tuple[str, str], expected: PathKind
) -> None:
    """Holes are punched where NATs keep ports; coturn relays where they do not."""
    config = IceConfig(turn=turn, transport=Transport.UDP)
    results = connect((streets.sites[names[0]], streets.sites[names[1]]), config)
    assert kinds(results) == {expected}, results


@pytest.mark.parametrize("protocol", ["upnp", "natpmp"])
def test_tcp_through_a_mapped_port(
    streets: Streets, tmp_path_factory: pytest.TempPathFactory, protocol: str
) -> None:
    """A router that maps ports makes its home reachable; afterwards no mapping is left."""
    require(Need.MINIUPNPD)
    router = streets.bench.add_router(Nat.PORT_DEPENDENT)
    home = Site(streets.bench.add_host_behind(router), router)
    folder = tmp_path_factory.mktemp(protocol)
    with MiniupnpdProcess(
        router, folder, has_upnp=protocol == "upnp", has_natpmp=protocol == "natpmp"
    ) as daemon:
        results = connect(
            (home, streets.sites["symmetric 1"]), IceConfig(maps_ports=True), first_maps=True
        )
        assert kinds(results) == {PathKind.DIRECT}, results
        until(lambda: daemon.mappings() == [], "the release", 10.0)


def test_no_udp_at_all(streets: Streets, turn: tuple[TurnServer, ...]) -> None:
    """Channels are TCP: a network without UDP carries them, servers included."""
    router = streets.bench.add_router(Nat.SYMMETRIC)
    router.block_udp()
    home = Site(streets.bench.add_host_behind(router), router)
    block_udp(home.host)
    assert kinds(connect((home, streets.sites["open 1"]), IceConfig())) == {PathKind.DIRECT}
    relayed = connect((home, streets.sites["symmetric 1"]), IceConfig(turn=turn))
    assert kinds(relayed) == {PathKind.RELAYED}


def test_one_home(streets: Streets, turn: tuple[TurnServer, ...]) -> None:
    """Two hosts of one home speak inside."""
    router = streets.bench.add_router(Nat.SYMMETRIC)
    sites = [Site(streets.bench.add_host_behind(router), router) for _ in range(2)]
    assert kinds(connect((sites[0], sites[1]), IceConfig(turn=turn))) == {PathKind.LAN}
