"""LAN discovery on sockets. The group is one node's own loopback address and port."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from typing import TYPE_CHECKING

from shoal.core import Address, Family, InfoHash
from shoal.dht.discovery import QUERY, DiscoveryEngine, NodeAnnouncement, NodeDiscovered
from shoal.dht.driver import discovery
from shoal.dht.driver.discovery import DiscoveryDriver

if TYPE_CHECKING:
    from collections.abc import Iterator

    import pytest

OURS, THEIRS = InfoHash.of(b"ours"), InfoHash.of(b"theirs")
NETWORK = 9


@contextlib.contextmanager
def neighbour() -> Iterator[socket.socket]:
    """A socket that stands for the group and whoever listens to it."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind(("127.0.0.1", 0))
        sock.setblocking(False)
        yield sock


async def test_it_asks_tells_and_hears() -> None:
    """The three datagrams of discovery."""
    loop = asyncio.get_running_loop()
    with neighbour() as sock:
        groups = {Family.IPV4: Address.parse(*sock.getsockname())}
        engine = DiscoveryEngine(OURS, NETWORK, {Family.IPV4: 4222}, groups=groups)
        found: asyncio.Future[object] = loop.create_future()
        own = {Family.IPV4: Address.parse("127.0.0.1", 0)}  # any port: 8888 is not ours to take
        driver = DiscoveryDriver(engine, [Family.IPV4], found.set_result, groups=own)
        driver.start()
        try:
            async with asyncio.timeout(10):
                query, asker = await loop.sock_recvfrom(sock, 100)
                told, _ = await loop.sock_recvfrom(sock, 100)
                announcement = b"\x81\xa3dht" + NodeAnnouncement(THEIRS, 7, NETWORK).packed()
                sock.sendto(announcement, ("127.0.0.1", asker[1]))
                event = await found
                sock.sendto(QUERY, ("127.0.0.1", asker[1]))
                answer, _ = await loop.sock_recvfrom(sock, 100)
        finally:
            driver.connected()
            driver.close()

    assert query == QUERY
    assert told == answer == b"\x81\xa3dht" + NodeAnnouncement(OURS, 4222, NETWORK).packed()
    assert event == NodeDiscovered(THEIRS, Address.parse("127.0.0.1", 7))


async def test_a_family_without_a_socket_is_left_out(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """With a warning; the node works on without discovery."""

    def refuse(*_: object) -> socket.socket:
        raise OSError(97, "Address family not supported")

    monkeypatch.setattr(discovery, "_open", refuse)
    engine = DiscoveryEngine(OURS, NETWORK, {Family.IPV6: 1})
    driver = DiscoveryDriver(engine, [Family.IPV6], lambda _event: None)
    driver.start()
    driver.close()
    assert "no discovery over IPV6: Address family not supported" in caplog.text


async def test_a_timer_asks_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """While nobody was found."""
    monkeypatch.setattr("shoal.dht.discovery.REPEAT_FIRST", 0.01)
    loop = asyncio.get_running_loop()
    with neighbour() as sock:
        groups = {Family.IPV4: Address.parse(*sock.getsockname())}
        ports = {Family.IPV4: 4222}
        engine = DiscoveryEngine(OURS, NETWORK, ports, is_published=False, groups=groups)
        own = {Family.IPV4: Address.parse("127.0.0.1", 0)}
        driver = DiscoveryDriver(engine, [Family.IPV4], lambda _event: None, groups=own)
        driver.start()
        async with asyncio.timeout(10):
            for _ in range(3):
                assert await loop.sock_recv(sock, 100) == QUERY
        driver.close()
