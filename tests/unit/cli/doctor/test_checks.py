"""Checks, against a DHT and servers of their own on loopback."""

from __future__ import annotations

import asyncio
import http.server
import socket
import threading
import urllib.error
from contextlib import contextmanager
from email.utils import formatdate
from typing import TYPE_CHECKING, NoReturn

import pytest

from shoal.cli.doctor import checks
from shoal.cli.doctor.checks import Doctor
from shoal.cli.doctor.findings import Verdict
from shoal.dht import DhtNode
from shoal.net.mapping.errors import NoRouterError
from shoal.node import DhtSettings, NamesSettings, NetSettings, NodeConfig
from shoal.node.config import TurnServer

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

QUIET = NetSettings(turn=(), upnp=False, loopback=True, ipv6=False)
NETWORK = 4_000_000_017  # nobody else's
NOBODY = NamesSettings(server="http://127.0.0.1:9", ask_own=False)


def doctor(
    home: Path,
    *,
    bootstrap: str = "",
    net: NetSettings = QUIET,
    names: NamesSettings = NOBODY,
    proxy: str = "",
) -> Doctor:
    """A doctor of a home that reaches nobody outside."""
    hosts = (bootstrap,) if bootstrap else ()
    dht = DhtSettings(bootstrap=hosts, network=NETWORK, bind=("127.0.0.1",), proxy=proxy)
    return Doctor(NodeConfig(dht=dht, net=net, names=names), home)


async def test_the_dht(tmp_path: Path) -> None:
    """Where a node answers and strangers reach us, both are fine."""
    async with DhtNode(network=NETWORK, bind=["127.0.0.1"]) as node:
        found = await doctor(tmp_path, bootstrap=f"127.0.0.1:{node.port}").dht()
    assert [(each.name, each.verdict) for each in found] == [
        ("DHT out", Verdict.OK),
        ("DHT in", Verdict.OK),
    ]


async def test_no_dht(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody to join, nobody who answers, a proxy instead: each is told as what it is."""
    monkeypatch.setattr(checks, "STEP", 0.3)
    out, inwards = await doctor(tmp_path, bootstrap="127.0.0.1:9").dht()
    assert (out.verdict, inwards.verdict) == (Verdict.FAILED, Verdict.SKIPPED)
    assert "firewall" in out.fix
    out, _ = await doctor(tmp_path).dht()
    assert out.verdict is Verdict.FAILED
    assert "bootstrap" in out.fix
    out, _ = await doctor(tmp_path, proxy="http://127.0.0.1:9").dht()
    assert out.verdict is Verdict.SKIPPED


async def test_what_is_switched_off(tmp_path: Path) -> None:
    """What the settings rule out is not looked at."""
    quiet = doctor(tmp_path)
    for finding in (await quiet.ipv6(), await quiet.nat(), await quiet.mapping()):
        assert finding.verdict is Verdict.SKIPPED, finding
    (turn,) = await quiet.turn()
    assert turn.verdict is Verdict.SKIPPED
    assert (await quiet.udp()).verdict is Verdict.OK


async def test_turn_that_is_not_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A server that does not relay is a warning that names it."""
    monkeypatch.setattr(checks, "STEP", 1.0)
    net = NetSettings(turn=(TurnServer("127.0.0.1:9"),), upnp=False, loopback=True, ipv6=False)
    (found,) = await doctor(tmp_path, net=net).turn()
    assert found.verdict is Verdict.WARNING
    assert found.text.startswith("127.0.0.1")


@contextmanager
def web(date: float | None) -> Iterator[str]:
    """A web server whose clock stands still."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_HEAD(self) -> None:
            self.send_response_only(404)
            if date is not None:
                self.send_header("Date", formatdate(date, usegmt=True))
            self.end_headers()

        def log_message(self, *args: object) -> None:
            pass

    with http.server.HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


@pytest.mark.parametrize(
    ("off", "verdict", "text"),
    [
        (0.0, Verdict.OK, "to the minute"),
        (300.0, Verdict.WARNING, "300 seconds behind"),
        (-7200.0, Verdict.FAILED, "7,200 seconds ahead"),
        (None, Verdict.SKIPPED, "nobody tells the time"),
    ],
)
async def test_the_clock(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    off: float | None,
    verdict: Verdict,
    text: str,
) -> None:
    """It is compared with the name server's, whatever that answers."""
    wall_now = 1_790_000_000.0
    monkeypatch.setattr("shoal.cli.doctor.checks.time.time", lambda: wall_now)
    with web(None if off is None else wall_now + off) as url:
        found = await doctor(tmp_path, names=NamesSettings(server=url)).clock()
    assert (found.verdict, text in found.text) == (verdict, True), found


async def test_a_machine_that_finds_no_names(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is told from a firewall: the way to a bootstrap host is looked up first."""

    async def look_up(*arguments: object, **options: object) -> NoReturn:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", look_up)
    found = await doctor(tmp_path, bootstrap="a.example").udp()
    assert (found.verdict, found.fix) == (Verdict.FAILED, checks.NAMES_FIX)
    assert "a.example" in found.text


def test_reasons_are_words() -> None:
    """Not what exceptions look like."""
    refused = ConnectionRefusedError(111, "Connection refused")
    assert checks.reason_of(urllib.error.URLError(refused)) == "Connection refused"
    assert checks.reason_of(NoRouterError()) == "no router here forwards ports on demand"
    assert checks.reason_of(TimeoutError()) == "no answer in time"


async def test_the_clock_of_what_speaks_no_http(tmp_path: Path) -> None:
    """It tells no time, and that is all that is said of it."""

    async def babble(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readline()
        writer.write(b"220 harbour.example ESMTP\r\n")
        writer.close()

    async with await asyncio.start_server(babble, "127.0.0.1", 0) as server:
        url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        found = await doctor(tmp_path, names=NamesSettings(server=url)).clock()
    assert found.verdict is Verdict.SKIPPED
    assert "nobody tells the time" in found.text


async def test_names_that_nobody_serves(tmp_path: Path) -> None:
    """No answer is a failure that says how to go on without."""
    found = await doctor(tmp_path).names()
    assert found.verdict is Verdict.FAILED
    assert "ids work without" in found.fix
    assert found.text.count("http") == 1  # the address is named once


async def test_the_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Room enough, little, none; a home that is not there yet is judged by where it would be."""
    checked = doctor(tmp_path / "not" / "yet")
    assert (await checked.disk()).verdict is Verdict.OK
    for minimum, least, verdict in (
        (2**80, 0, Verdict.WARNING),
        (2**80, 2**80, Verdict.FAILED),
    ):
        monkeypatch.setattr(checks, "SPACE_MIN", minimum)
        monkeypatch.setattr(checks, "SPACE_LEAST", least)
        assert (await checked.disk()).verdict is verdict
