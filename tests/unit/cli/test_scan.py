"""`shoal dht scan` and `stats`: a network of a few nodes, walked and drawn."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from shoal.dht.driver import DhtNode
from tests.unit.cli.conftest import NETWORK, Peer, shoal

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def network(peer: Peer) -> Iterator[list[DhtNode]]:
    """The peer and three more nodes."""
    more = [DhtNode(bind=["127.0.0.1"], network=NETWORK, bootstrap=[peer.host]) for _ in range(3)]
    for node in more:
        peer.do(node.start())
        peer.do(node.wait_connected(10))
        peer.do(peer.node.bootstrap([("127.0.0.1", node.port)]))
    peer.do(peer.node.wait_connected(10))
    yield [peer.node, *more]
    for node in more:
        peer.do(node.close(grace=0))


def test_every_node_is_listed_and_drawn(peer: Peer, network: list[DhtNode], tmp_path: Path) -> None:
    """One line each, the ring, the sums, and a picture."""
    picture = tmp_path / "map.png"
    scan = shoal("dht", "scan", "--plot", str(picture), "--rate", "500", peer=peer)

    assert scan.status == 0
    for node in network:
        assert f"{node.node_id}" in scan.out
        assert f"127.0.0.1:{node.port}" in scan.out
    assert "4 nodes answered, 0 did not" in scan.out
    assert "agents: o2 4" in scan.out
    assert sum(scan.out.count(dot) for dot in "•●█") in range(1, 5)
    assert picture.read_bytes().startswith(b"\x89PNG")


def test_json_has_a_line_per_node_and_a_summary(peer: Peer, network: list[DhtNode]) -> None:
    """For scripts; nothing is drawn."""
    events = shoal("dht", "scan", "--json", "--rate", "500", peer=peer).events

    assert {e["node_id"] for e in events[:-1]} == {str(node.node_id) for node in network}
    assert events[-1]["event"] == "summary"
    assert events[-1]["nodes"] == 4
    assert events[-1]["is_complete"] is True
    assert events[-1]["families"] == {"ipv4": 4}


def test_quiet_shows_the_map_alone(peer: Peer) -> None:
    """And a timeout shows what there was."""
    scan = shoal("dht", "scan", "--quiet", "--timeout", "0.2", peer=peer)

    assert scan.status == 0
    assert str(peer.node.node_id) not in scan.out
    assert "1 node answered" in scan.out


def test_nobody_there_is_status_3() -> None:
    """After both attempts."""
    words = ("--network", "5", "--bootstrap", "127.0.0.1:1", "--no-ipv6", "--timeout", "0.2")
    assert shoal("dht", "scan", *words).status == 3


def test_wrong_usage_is_status_2(tmp_path: Path) -> None:
    """Before anything is sent."""
    assert shoal("dht", "scan", "--network", "5").status == 2
    bad = shoal("dht", "scan", "--plot", str(tmp_path / "map.txt"), "--bootstrap", "127.0.0.1:1")
    assert bad.status == 2
    assert "png" in bad.err


def test_stats_of_a_guest(peer: Peer) -> None:
    """What somebody sees who joins for a moment."""
    stats = shoal("dht", "stats", peer=peer)
    assert stats.status == 0
    assert "connected after" in stats.out
    assert "1 good, " in stats.out
    assert "seen as    127.0.0.1" in stats.out


def test_stats_of_no_node(peer: Peer) -> None:
    """Says how to start one that has figures."""
    failed = shoal("dht", "stats", "--node", "127.0.0.1:1")
    assert failed.status == 1
    assert "--metrics PORT" in failed.err
    assert shoal("dht", "stats", "--node", "ftp://x").status == 2
