"""Ports mapped by Debian's miniupnpd, over each of its protocols."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from shoal.core import Address
from shoal.net.mapping.driver import PortMapper, default_gateway
from shoal.net.mapping.errors import NoRouterError
from tests.peers.inside import run_inside
from tests.peers.miniupnpd import MiniupnpdProcess
from tests.peers.natbench import Nat, NatBench
from tests.peers.presence import Need, require
from tests.peers.waiting import until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.peers.namespaces import Namespace
    from tests.peers.natbench import Router


@pytest.fixture(scope="module")
def streets() -> Iterator[NatBench]:
    """A public network."""
    require(Need.NAMESPACES, Need.NFT)
    with NatBench() as bench:
        yield bench


@pytest.fixture
def home(streets: NatBench) -> tuple[Router, Namespace]:
    """A home with a host in it."""
    router = streets.add_router(Nat.PORT_DEPENDENT)
    return router, streets.add_host_behind(router)


@pytest.mark.parametrize("protocol", ["upnp", "natpmp", "both"])
def test_ports_are_mapped_and_given_back(
    home: tuple[Router, Namespace], tmp_path: Path, protocol: str
) -> None:
    """The router's public address, a port for TCP and one for UDP; released one by one."""
    require(Need.MINIUPNPD)
    router, host = home
    with MiniupnpdProcess(
        router, tmp_path, has_upnp=protocol != "natpmp", has_natpmp=protocol != "upnp"
    ) as daemon:

        async def session() -> tuple[Address, Address]:
            assert default_gateway() == Address.parse(router.inside.host, 0).ip
            async with PortMapper() as mapper:
                tcp, lease = await mapper.request(Address.parse(host.host, 4444), is_tcp=True)
                udp, _ = await mapper.request(Address.parse(host.host, 4444), is_tcp=False)
                assert set(daemon.mappings()) == {
                    ("tcp", tcp.port, host.host, 4444),
                    ("udp", udp.port, host.host, 4444),
                }
                assert tcp.ip in mapper.external_addresses
                lease.release()
                await asyncio.to_thread(
                    until, lambda: len(daemon.mappings()) == 1, "the release", 10.0
                )
            return tcp, udp

        for external in run_inside(host, session):
            assert external.host == router.space.host
        until(lambda: daemon.mappings() == [], "the release of the rest", 10.0)


def test_a_port_is_reachable_from_outside(
    streets: NatBench, home: tuple[Router, Namespace], tmp_path: Path
) -> None:
    """Somebody outside connects to the mapped port, and reaches the host inside."""
    require(Need.MINIUPNPD)
    router, host = home
    stranger = streets.add_host()
    with MiniupnpdProcess(router, tmp_path):

        async def serve() -> bytes:
            heard: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()

            async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
                said = await reader.read()
                writer.close()
                await writer.wait_closed()  # else the loop ends first, and leaves it open
                heard.set_result(said)

            server = await asyncio.start_server(accept, host.host, 0)
            port = server.sockets[0].getsockname()[1]
            async with PortMapper() as mapper, server:
                external, _ = await mapper.request(Address.parse(host.host, port), is_tcp=True)
                await asyncio.to_thread(run_inside, stranger, lambda: call(external))
                return await heard

        async def call(addr: Address) -> None:
            _, writer = await asyncio.open_connection(addr.host, addr.port)
            writer.write(b"from outside")
            writer.close()
            await writer.wait_closed()

        assert run_inside(host, serve) == b"from outside"


def test_a_home_without_such_a_router(home: tuple[Router, Namespace]) -> None:
    """Four seconds for the first, nothing for those that follow."""

    async def session() -> float:
        loop = asyncio.get_running_loop()
        async with PortMapper() as mapper:
            local = Address.parse(home[1].host, 4444)
            with pytest.raises(NoRouterError):
                await mapper.request(local, is_tcp=True)
            begun = loop.time()
            with pytest.raises(NoRouterError):
                await mapper.request(local, is_tcp=True)
            return loop.time() - begun

    assert run_inside(home[1], session) < 1.0
