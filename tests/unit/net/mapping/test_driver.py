"""The mapper on real sockets, before a router on the loopback."""

from __future__ import annotations

import asyncio
import socket
from typing import TYPE_CHECKING, Final, Self

import pytest

from shoal.core import Address
from shoal.net.mapping import driver, igd, natpmp
from shoal.net.mapping.driver import PortMapper, default_gateway
from shoal.net.mapping.errors import MappingError, MappingRefusedError
from tests.unit.net.mapping import samples

if TYPE_CHECKING:
    from pathlib import Path

LOOPBACK: Final = bytes([127, 0, 0, 1])
LOCAL: Final = Address.parse("192.168.1.2", 4444)


class FakeRouter:
    """NAT-PMP on a UDP port, a description and calls on a TCP port."""

    def __init__(self, *, result: int = 0) -> None:
        self.asked: list[bytes] = []
        self._result = result
        self._loop = asyncio.get_running_loop()
        self._udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._udp.setblocking(False)
        self._udp.bind(("127.0.0.1", 0))
        self.port: int = self._udp.getsockname()[1]
        self._loop.add_reader(self._udp, self._read)
        self._server: asyncio.Server | None = None

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        return self

    async def __aexit__(self, *unused: object) -> None:
        self._loop.remove_reader(self._udp)
        self._udp.close()
        assert self._server is not None
        self._server.close()
        await self._server.wait_closed()

    def _read(self) -> None:
        data, peer = self._udp.recvfrom(2048)
        self.asked.append(data)
        if data.startswith(b"M-SEARCH"):
            assert self._server is not None
            port = self._server.sockets[0].getsockname()[1]
            answer = samples.ANSWER.replace(b"192.168.1.1:5000", b"127.0.0.1:%d" % port)
            self._udp.sendto(answer, peer)
        elif data == b"\0\0":
            self._udp.sendto(samples.public_address(), peer)
        else:
            internal, lifetime = int.from_bytes(data[4:6]), int.from_bytes(data[8:12])
            answer = samples.natpmp_mapping(
                internal, 12_345, lifetime=lifetime, result=self._result
            )
            self._udp.sendto(answer, peer)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        self.asked.append(head)
        if b"GetExternalIPAddress" in head:
            writer.write(samples.result(NewExternalIPAddress="44.128.0.1"))
        elif head.startswith(b"GET"):
            writer.write(samples.description().replace(b"Content-Length", b"X-Length"))
        else:
            writer.write(samples.result())
        writer.close()
        await writer.wait_closed()


@pytest.mark.parametrize("is_found", [True, False])
async def test_natpmp(monkeypatch: pytest.MonkeyPatch, is_found: bool) -> None:
    """A port from a router, given back when the mapper closes; or the router's refusal."""
    async with FakeRouter(result=0 if is_found else 2) as router:
        monkeypatch.setattr(natpmp, "PORT", router.port)
        monkeypatch.setattr(igd, "SSDP", Address(LOOPBACK, 9))
        monkeypatch.setattr("shoal.net.mapping.routers.SEARCH_TIME", 0.3)
        async with PortMapper(gateway=LOOPBACK) as mapper:
            if is_found:
                external, _ = await mapper.request(LOCAL, is_tcp=True)
                assert external == Address(samples.PUBLIC, 12_345)
                assert mapper.external_addresses == (samples.PUBLIC,)
            else:
                with pytest.raises(MappingRefusedError):
                    await mapper.request(LOCAL, is_tcp=True)
        if is_found:
            until = asyncio.get_running_loop().time() + 5
            while not any(len(each) == 12 and each[8:] == bytes(4) for each in router.asked):
                assert asyncio.get_running_loop().time() < until
                await asyncio.sleep(0)


async def test_upnp(monkeypatch: pytest.MonkeyPatch) -> None:
    """Search, description until the connection ends, calls; the port goes back at the end."""
    async with FakeRouter() as router:
        monkeypatch.setattr(igd, "SSDP", Address(LOOPBACK, router.port))
        monkeypatch.setattr(natpmp, "PORT", 9)
        async with PortMapper(gateway=bytes([127, 0, 0, 2])) as mapper:
            found: asyncio.Future[Address | None] = asyncio.get_running_loop().create_future()
            mapper.map(LOCAL, is_tcp=True, mapped=found.set_result)
            external = await found
            assert external is not None
            assert external.ip == samples.PUBLIC
            lease = mapper.map(LOCAL, is_tcp=True, mapped=lambda _: pytest.fail("given back"))
            lease.release()
        assert any(b"DeletePortMapping" in each for each in router.asked)


async def test_no_router(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody there: an error, and everything is closed; a cancelled request is forgotten."""
    monkeypatch.setattr(igd, "SSDP", Address(LOOPBACK, 9))
    monkeypatch.setattr("shoal.net.mapping.routers.SEARCH_TIME", 0.05)
    monkeypatch.setattr(driver, "default_gateway", lambda: None)
    mapper = PortMapper()
    async with mapper:
        with pytest.raises(MappingError):
            await mapper.request(LOCAL, is_tcp=True)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0):
                await mapper.request(LOCAL, is_tcp=True)
    await mapper.close()
    mapper.map(LOCAL, is_tcp=True, mapped=lambda _: pytest.fail("closed")).release()


def test_the_default_gateway(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """From Linux's table of routes; elsewhere nobody tells."""
    table = tmp_path / "route"
    monkeypatch.setattr(driver, "ROUTES", table)
    assert default_gateway() is None
    head = "Iface\tDestination\tGateway\tFlags\tRefCnt\tUse\tMetric\tMask\tMTU\tWindow\tIRTT\n"
    table.write_text(head + "eth0\t0001A8C0\t00000000\t0001\t0\t0\t0\t00FFFFFF\t0\t0\t0\n")
    assert default_gateway() is None
    table.write_text(table.read_text() + "eth0\t00000000\t0101A8C0\t0003\t0\t0\t0\t0\t0\t0\t0\n")
    assert default_gateway() == bytes([192, 168, 1, 1])
