"""Both generations of Jami reach a device that hides behind a TURN server, and are reached."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import pytest

from shoal.net.ice import IceConfig, PathKind, Scope, TurnServer
from tests.interop.test_connections import called_by, exchange, hang_up, jami
from tests.peers.coturn import CoturnProcess
from tests.peers.presence import Need, require
from tests.peers.shoal_device import ShoalDevice

if TYPE_CHECKING:
    from shoal.net import Channel
    from tests.peers.jami import JamiAccount
    from tests.peers.town import Town

__all__ = ["jami"]

LATENESS: Final = 0.5  # seconds: an answer through a public DHT comes after Jami's first call


@pytest.fixture(scope="module")
def coturn(town: Town, tmp_path_factory: pytest.TempPathFactory) -> CoturnProcess:
    """A server in the town."""
    require(Need.COTURN)
    return town.keep(CoturnProcess(tmp_path_factory.mktemp("coturn"), town.bench.add_host()))


@pytest.fixture(scope="module")
def hidden(town: Town, coturn: CoturnProcess) -> ShoalDevice:
    """A device that tells nobody its addresses."""
    server = TurnServer(coturn.host, coturn.username, coturn.password, coturn.port)
    config = IceConfig(turn=(server,), scope=Scope.RELAY_ONLY)
    host = town.bench.add_host()
    return town.keep(ShoalDevice(host, town.bootstrap, ice=config, lateness=LATENESS))


def check_path(device: ShoalDevice, coturn: CoturnProcess, channel: Channel) -> None:
    """The path leads through the server, and we showed nothing but the server."""
    info = device.do(lambda: channel.connection)
    assert info is not None
    assert info.path is not None
    assert info.path.kind is PathKind.RELAYED
    assert info.path.local.addr.host == coturn.host


def test_jami_calls(hidden: ShoalDevice, coturn: CoturnProcess, jami: JamiAccount) -> None:
    """Its connection arrives at the relay, or ours from the relay at it."""
    channel = called_by(hidden, jami)
    check_path(hidden, coturn, channel)
    hang_up(hidden, channel)


def test_we_call(hidden: ShoalDevice, coturn: CoturnProcess, jami: JamiAccount) -> None:
    """Data both ways through the relay."""
    channel = hidden.connect(hidden.device_of(jami.uri), "sip", timeout=60.0)
    check_path(hidden, coturn, channel)
    assert exchange(hidden, jami, channel).startswith(b"SIP/2.0 ")
    hang_up(hidden, channel)
