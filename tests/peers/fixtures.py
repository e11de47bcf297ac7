"""Fixtures for tests with real peers; a conftest imports them by name."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.peers import process
from tests.peers.namespaces import Bench
from tests.peers.pool import PeerPool
from tests.peers.presence import Need, require
from tests.peers.town import GENERATIONS, Town

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.peers.jami import JamiAccount
    from tests.peers.shoal_node import ShoalHost


@pytest.fixture
def pool() -> Iterator[PeerPool]:
    """A network for one test."""
    with PeerPool() as peers:
        yield peers


@pytest.fixture(scope="module")
def shared_pool() -> Iterator[PeerPool]:
    """A network for all tests of a module."""
    with PeerPool() as peers:
        yield peers


@pytest.fixture
def bench() -> Iterator[Bench]:
    """Hosts with addresses of their own."""
    require(Need.NAMESPACES)
    with Bench() as hosts:
        yield hosts


@pytest.fixture(scope="module")
def town(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Town]:
    """A public network with a DHT, for all tests of a module."""
    require(Need.NAMESPACES, Need.NFT)
    with Town(tmp_path_factory.mktemp("town")) as place:
        yield place


@pytest.fixture(scope="module")
def ours(town: Town) -> ShoalHost:
    """A node of ours in the town."""
    return town.shoal()


@pytest.fixture(scope="module", params=GENERATIONS)
def theirs(town: Town, request: pytest.FixtureRequest) -> JamiAccount:
    """An account of Jami that others can find; each test runs with both generations."""
    return town.account(request.param)


def add_logs(report: pytest.TestReport) -> None:
    """Put the last lines of every running peer under a failed test."""
    if report.failed:
        for peer in process.running():
            report.sections.append((f"last lines of {peer.name} (pid {peer.pid})", peer.tail()))
