"""How a channel finds its way: one network, relays, routers, forwarded ports, no UDP."""

from __future__ import annotations

import sys
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Final

import pytest

from shoal.net.errors import ConnectError, ConnectStep
from shoal.node.config import DhtSettings
from shoal.node.events import ConnectionOpened
from tests.peers.coturn import CoturnProcess
from tests.peers.crossings import FORWARDING, KINDS, NO_NAT, behind, measure, party, with_turn
from tests.peers.jami import JamiAccount
from tests.peers.miniupnpd import MiniupnpdProcess
from tests.peers.natbench import Nat, block_udp
from tests.peers.presence import Need, require
from tests.peers.process import LoggedProcess
from tests.peers.shoal_node import QUIET
from tests.peers.sip_git import first_sip_message, sip_request
from tests.peers.town import GENERATIONS
from tests.peers.waiting import until

if TYPE_CHECKING:
    from shoal.net.driver import Channel
    from tests.peers.jami import JamiDaemon
    from tests.peers.town import Town

pytestmark = pytest.mark.timeout(300)  # RSA keys and Jami take their time on a busy machine

ONE_TO_ONE: Final = "endpoint-independent"
PATIENCE: Final = 90.0  # seconds, on a busy machine
ICE_LIMIT: Final = 60.0  # seconds, twice what our side takes at worst


@pytest.fixture(scope="module")
def turn(town: Town) -> CoturnProcess:
    """A relay with a public address."""
    require(Need.COTURN)
    return town.keep(CoturnProcess(town.home("turn"), town.bench.add_host()))


def test_every_pair_of_routers(town: Town, turn: CoturnProcess) -> None:
    """Direct where one side is public, 1:1 or forwarded; relayed else; and never not at all."""
    require(Need.MINIUPNPD)
    open_kinds = {NO_NAT, ONE_TO_ONE, FORWARDING}

    crossings = measure(town, turn)

    assert {pair: crossing.kind for pair, crossing in crossings.items()} == {
        (caller, callee): "direct" if open_kinds & {caller, callee} else "relayed"
        for caller in KINDS
        for callee in KINDS
    }


def test_one_network(town: Town) -> None:
    """Two behind one router meet inside, though it reflects nothing."""
    router = town.bench.add_router(Nat.SYMMETRIC)
    one, two = (party(town, town.bench.add_host_behind(router)) for _ in range(2))

    assert one.reach(two).kind == "lan"
    assert two.reach(one).kind == "lan"


def test_relay_only(town: Town, turn: CoturnProcess) -> None:
    """Who wants it goes through the relay though both are public, and shows no address."""
    hidden = party(town, town.bench.add_host(), net=with_turn(turn, relay_only=True))
    other = party(town, town.bench.add_host(), net=with_turn(turn))

    assert hidden.reach(other).kind == "relayed"
    assert other.reach(hidden).kind == "relayed"
    for each in (hidden, other):
        for trace in each.account.traces():
            mine = trace.local_candidates if each is hidden else trace.remote_candidates
            assert hidden.host.namespace.host not in mine


def test_no_path_at_all(town: Town) -> None:
    """Two symmetric routers and no relay: an error that says so, in time; nothing stays open."""
    one, two = (party(town, behind(town, "symmetric")) for _ in range(2))
    began = time.monotonic()

    with pytest.raises(ConnectError) as failed:
        one.reach(two)
    assert failed.value.step is ConnectStep.ICE
    assert time.monotonic() - began < ICE_LIMIT
    for each in (one, two):
        tcp = until(
            lambda each=each: (each.host.namespace.run("ss", "-Htan"),),  # type: ignore[misc]
            "the sockets",
        )
        assert [line for line in tcp[0].splitlines() if "TIME-WAIT" not in line] == []


@pytest.mark.parametrize("protocol", ["upnp", "natpmp"])
def test_forwarded_ports(town: Town, protocol: str) -> None:
    """A router that forwards ports is reached directly by everybody, and is asked to stop."""
    require(Need.MINIUPNPD)
    router = town.bench.add_router(Nat.PORT_DEPENDENT)
    daemon = town.keep(
        MiniupnpdProcess(
            router,
            town.home(f"router-{protocol}"),
            has_upnp=protocol == "upnp",
            has_natpmp=protocol == "natpmp",
        )
    )
    inner = party(town, town.bench.add_host_behind(router), net=replace(QUIET, upnp=True))
    outer = party(town, behind(town, "symmetric"))

    crossing = outer.reach(inner)
    assert crossing.kind == "direct"
    assert inner.reach(outer).kind == "direct"
    until(
        lambda: not [each for each in daemon.mappings() if each[0] == "tcp"],
        "the end of the forwarding",
        PATIENCE,
    )


def test_udp_blocked_between_two(town: Town) -> None:
    """Two that cannot exchange a single datagram have their channel all the same."""
    one, two = town.bench.add_host(), town.bench.add_host()
    block_udp(one, two)
    block_udp(two, one)
    first, second = (party(town, host) for host in (one, two))

    # Each is among those who keep what the other publishes, and cannot be asked: a search may miss.
    for asking, asked in ((first, second), (second, first)):
        until(lambda: asking.knows(asked), "the other's chain", PATIENCE)  # noqa: B023 - at once
        assert asking.reach(asked).kind == "direct"


def test_no_udp_at_all(town: Town) -> None:
    """With a DHT proxy a host without any UDP is found, and finds others."""
    pytest.importorskip("httpx2")
    server = town.bench.add_host()
    command = [
        sys.executable, "-m", "shoal", "dht", "node", "--bootstrap", town.bootstrap,
        "--network", "0", "--proxy", "8080", "--proxy-bind", server.host,
        "--state", str(town.home("proxy") / "state"),
    ]  # fmt: skip
    town.keep(LoggedProcess("proxy", server.inside(command)))
    host = town.bench.add_host()
    block_udp(host)
    without = party(town, host, dht=DhtSettings(proxy=f"http://{server.host}:8080"))
    other = party(town, town.bench.add_host())

    assert without.reach(other).kind == "direct"
    assert other.reach(without).kind == "direct"


@pytest.mark.parametrize("kind", GENERATIONS)
def test_relayed_with_jami(town: Town, turn: CoturnProcess, kind: str) -> None:
    """Jami and Shoal, each behind a symmetric router, through the relay, whoever calls."""
    daemon = town.jami(kind, at=behind(town, "symmetric"))
    name = daemon.add_account(
        town.bootstrap,
        **{"DHT.PublicInCalls": "true", "TURN.enable": "true", "TURN.server": turn.address},
        **{"TURN.username": "ring", "TURN.password": "ring", "TURN.realm": "ring"},
    )
    daemon.wait_announced(name)
    theirs = JamiAccount(daemon, name)
    ours = party(town, behind(town, "symmetric"), net=with_turn(turn))
    account, host = ours.account, ours.host

    async def hello() -> bytes:
        async with await account.connect(theirs.uri, "sip") as channel:
            info = channel.connection
            assert info is not None
            assert info.path is not None
            assert info.path.kind.value == "relayed"
            channel.write(sip_request("MESSAGE", account.id.hex(), theirs.uri, "hello"))
            return await first_answer(channel)

    assert host.run(hello()).startswith(b"SIP/2.0 200 OK")

    other = party(town, behind(town, "symmetric"), net=with_turn(turn))
    call_from(daemon, name, other.account.id.hex())
    opened = other.host.wait_event(ConnectionOpened)
    assert opened.device.hex() == theirs.device
    assert opened.path.startswith("relayed")


def call_from(daemon: JamiDaemon, name: str, uri: str) -> None:
    """Make Jami connect to an account."""
    daemon.send_text(name, uri, "a call")


async def first_answer(channel: Channel) -> bytes:
    """Read one SIP message."""
    stream = b""
    while first_sip_message(stream) is None:
        packet = await channel.read_packet()
        assert packet, f"closed after {stream!r}"
        stream += packet
    return stream
