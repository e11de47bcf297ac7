"""What several servers see of one socket, and what that says about the router."""

from __future__ import annotations

import asyncio
import socket
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, cast

import pytest

from shoal.cli.doctor.findings import Verdict
from shoal.cli.doctor.nat import ask, judge
from shoal.core import Address
from shoal.net import stun

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

OWN = ["192.168.1.7"]
HOME, ELSEWHERE = Address.parse("8.8.4.4", 5000), Address.parse("8.8.4.4", 5001)


@pytest.mark.parametrize(
    ("seen", "verdict", "text"),
    [
        ({}, Verdict.WARNING, "no server said"),
        ({"a": Address.parse("192.168.1.7", 5000)}, Verdict.OK, "none: this machine"),
        ({"a": HOME}, Verdict.OK, "takes a second server"),
        ({"a": HOME, "b": HOME}, Verdict.OK, "one port for all destinations, and keeps ports"),
        ({"a": ELSEWHERE, "b": ELSEWHERE}, Verdict.OK, "one port for all destinations:"),
        ({"a": HOME, "b": ELSEWHERE}, Verdict.WARNING, "each destination sees another port"),
    ],
)
def test_kinds_of_routers(seen: dict[str, Address], verdict: Verdict, text: str) -> None:
    """None, of one kind or the other, or not to be told."""
    finding = judge(5000, seen, OWN)
    assert finding.verdict is verdict
    assert text in finding.text


class Server(asyncio.DatagramProtocol):
    """A STUN server that shows everybody's port one higher than it is, and noise first."""

    def __init__(self) -> None:
        self.transport: asyncio.DatagramTransport
        self.asked = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep where answers go out."""
        self.transport = cast("asyncio.DatagramTransport", transport)

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        """Lose the first request; answer the others."""
        self.asked += 1
        request = stun.decode(data)
        if self.asked == 1:
            self.transport.sendto(b"noise", addr)
            return
        mapped = {"XOR-MAPPED-ADDRESS": Address.parse(addr[0], addr[1] + 1)}
        answer = stun.Message(request.method, stun.Class.SUCCESS, request.transaction, mapped)
        self.transport.sendto(stun.encode(answer), addr)


@asynccontextmanager
async def server() -> AsyncIterator[tuple[str, int]]:
    """Run one, and give its address."""
    loop = asyncio.get_running_loop()
    transport, _ = await loop.create_datagram_endpoint(Server, local_addr=("127.0.0.1", 0))
    try:
        name: tuple[str, int] = transport.get_extra_info("sockname")
        yield name
    finally:
        transport.close()


async def test_asking(monkeypatch: pytest.MonkeyPatch) -> None:
    """Servers are asked again until they answer; those that are silent or unknown are left out."""
    monkeypatch.setattr("shoal.cli.doctor.nat.PAUSE", 0.05)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as silent:
        silent.bind(("127.0.0.1", 0))
        async with server() as first, server() as second:
            servers = [first, second, silent.getsockname(), ("nobody.invalid", 3478)]
            port, seen = await ask(servers)
    assert len(seen) == 2
    assert {(each.host, each.port) for each in seen.values()} == {("127.0.0.1", port + 1)}
