"""Two `jamid` 13.7 that have nothing but Shoal nodes for a DHT."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.peers.jamid import JamidProcess
from tests.peers.pool import SHOAL, address_of
from tests.peers.presence import Need, require
from tests.peers.waiting import until

if TYPE_CHECKING:
    from pathlib import Path

    from tests.peers.namespaces import Bench
    from tests.peers.pool import PeerPool


@pytest.mark.parametrize("kind", [SHOAL])
def test_register_and_meet(bench: Bench, pool: PeerPool, tmp_path: Path, kind: str) -> None:
    """Each registers with a Shoal node as its only bootstrap; a trust request finds its way."""
    require(Need.JAMID)

    way_in = pool.start(kind, network=0, namespace=bench.add_host())
    for _ in range(2):
        pool.start(kind, network=0, bootstrap=way_in, namespace=bench.add_host())

    def jamid(name: str) -> tuple[JamidProcess, str]:
        home = tmp_path / name
        home.mkdir()
        daemon = pool.keep(JamidProcess(bench.add_host(), home, name=name))
        return daemon, daemon.add_account(address_of(way_in))

    alice, bob = jamid("alice"), jamid("bob")
    for daemon, account in (alice, bob):
        daemon.wait_registered(account)
    for daemon, account in (alice, bob):
        daemon.wait_announced(account)
    alice[0].ask_for_trust(alice[1], bob[0].uri(bob[1]))
    request = until(lambda: bob[0].trust_requests(bob[1]), "the trust request", 30.0)[0]
    assert request["from"] == alice[0].uri(alice[1])
