"""Two daemons of Jami, of either generation, that have nothing but Shoal nodes for a DHT."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.peers.jamid import JamidProcess
from tests.peers.libjami import LibjamiProcess
from tests.peers.pool import SHOAL, address_of
from tests.peers.presence import Need, require

if TYPE_CHECKING:
    from pathlib import Path

    from tests.peers.jami import JamiDaemon
    from tests.peers.namespaces import Bench
    from tests.peers.pool import PeerPool


@pytest.mark.parametrize("generation", [JamidProcess, LibjamiProcess])
def test_register_and_meet(
    bench: Bench,
    pool: PeerPool,
    tmp_path: Path,
    generation: type[JamidProcess | LibjamiProcess],
) -> None:
    """Each registers with a Shoal node as its only bootstrap; a trust request finds its way."""
    require(Need(generation.kind))

    way_in = pool.start(SHOAL, network=0, namespace=bench.add_host())
    for _ in range(2):
        pool.start(SHOAL, network=0, bootstrap=way_in, namespace=bench.add_host())

    def start(name: str) -> tuple[JamiDaemon, str]:
        home = tmp_path / name
        home.mkdir()
        daemon = pool.keep(generation(bench.add_host(), home, name=name))
        return daemon, daemon.add_account(address_of(way_in))

    meet(start("alice"), start("bob"))


def test_2026_on_the_loopback(pool: PeerPool, tmp_path: Path) -> None:
    """The library of 2026 needs no address of its own, so this runs for every user."""
    require(Need.LIBJAMI)

    way_in = pool.start(SHOAL, network=0)

    def start(name: str) -> tuple[JamiDaemon, str]:
        home = tmp_path / name
        home.mkdir()
        daemon = pool.keep(LibjamiProcess(None, home, name=name))
        return daemon, daemon.add_account(address_of(way_in))

    meet(start("alice"), start("bob"))


def meet(alice: tuple[JamiDaemon, str], bob: tuple[JamiDaemon, str]) -> None:
    """Register both, send a trust request, accept it."""
    for daemon, account in (alice, bob):
        daemon.wait_registered(account)
    for daemon, account in (alice, bob):
        daemon.wait_announced(account)
    asker, asked = (daemon.uri(account) for daemon, account in (alice, bob))

    alice[0].ask_for_trust(alice[1], asked)
    request = bob[0].wait_request(bob[1], asker)
    assert request["from"] == asker

    bob[0].accept(bob[1], asker)
    alice[0].wait_confirmed(alice[1], asked)
