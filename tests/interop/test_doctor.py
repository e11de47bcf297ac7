"""What `shoal doctor` says behind real routers, before coturn and miniupnpd."""

from __future__ import annotations

from typing import TYPE_CHECKING

from shoal.cli.doctor.checks import Doctor
from shoal.cli.doctor.findings import Verdict
from shoal.node import NetSettings, NodeConfig
from shoal.node.config import TurnServer
from tests.peers.coturn import CoturnProcess
from tests.peers.inside import run_inside
from tests.peers.miniupnpd import MiniupnpdProcess
from tests.peers.natbench import Nat, NatBench
from tests.peers.presence import Need, require

if TYPE_CHECKING:
    from pathlib import Path

    from shoal.cli.doctor.findings import Finding
    from tests.peers.namespaces import Namespace


def test_routers_and_servers(tmp_path: Path) -> None:
    """Kind of NAT, forwarded ports and relays are told as they are, behind routers and before."""
    require(Need.NAMESPACES, Need.NFT, Need.COTURN, Need.MINIUPNPD)
    with NatBench() as streets:
        folders = [tmp_path / name for name in ("one", "two", "router")]
        for folder in folders:
            folder.mkdir()
        strict = streets.add_router(Nat.SYMMETRIC)
        easy = streets.add_router(Nat.PORT_DEPENDENT)
        places = [
            streets.add_host_behind(strict),
            streets.add_host_behind(easy),
            streets.add_host(),
        ]
        with (
            CoturnProcess(folders[0], streets.add_host()) as one,
            CoturnProcess(folders[1], streets.add_host()) as two,
            MiniupnpdProcess(strict, folders[2]),
        ):
            net = NetSettings(
                turn=(_known(one), _known(two), TurnServer(one.address, "ring", "wrong"))
            )

            def look(place: Namespace) -> list[Finding]:
                async def checks() -> list[Finding]:
                    doctor = Doctor(NodeConfig(net=net), tmp_path)
                    return [await doctor.nat(), await doctor.mapping(), *await doctor.turn()]

                return run_inside(place, checks)

            found = [look(place) for place in places]
    kinds = [nat.text for nat, *_ in found]
    assert "each destination sees another port" in kinds[0]
    assert "one port for all destinations" in kinds[1]
    assert "none: this machine" in kinds[2]
    assert [mapping.verdict for _, mapping, *_ in found] == [
        *(Verdict.OK, Verdict.WARNING, Verdict.WARNING)
    ]
    assert strict.space.host in found[0][1].text
    for _, _, *relays in found:
        assert [each.verdict for each in relays] == [Verdict.OK, Verdict.OK, Verdict.WARNING]


def _known(server: CoturnProcess) -> TurnServer:
    return TurnServer(server.address, server.username, server.password, server.realm)
