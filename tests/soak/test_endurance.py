"""A Shoal node that works for hours among real peers: still trusted, no larger than at the start.

`SHOAL_SOAK_HOURS` sets how long, one hour by default; with `SHOAL_SOAK_SPEED` the peers' clocks run
so many times as fast, and these are hours by their clocks.
"""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final

import pytest

from tests.peers.dhtnode import DhtnodeProcess
from tests.peers.peer import key_of, shown
from tests.peers.pool import DHTNODE, KINDS, OPENDHT, SHOAL, connected
from tests.peers.shoal import ShoalPeer
from tests.peers.wire_peer import plain_value
from tests.peers.worker_peer import WorkerPeer
from tests.soak.fast_clock import SPEED, fast_clocks

if TYPE_CHECKING:
    from tests.peers.peer import Peer, Seen
    from tests.peers.pool import PeerPool

__all__ = ["fast_clocks"]

HOURS: Final = float(os.environ.get("SHOAL_SOAK_HOURS", "1"))
ROUND: Final = max(5.0 / SPEED, 1.0)  # seconds between two rounds: work takes the time it takes


def resident_bytes(pid: int) -> int:
    """Return the resident memory of a process."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) * 1024
    raise AssertionError("no VmRSS in the process's status")


def get(peer: Peer, key: str) -> list[Seen]:
    """Get; from dhtnode not by the console, which in thousands of lines muddles one."""
    return peer.get_json(key) if isinstance(peer, DhtnodeProcess) else peer.get(key)


@pytest.mark.skipif(SPEED == 1, reason="test_values_expire measures it by true clocks")
@pytest.mark.parametrize("kind", KINDS)
def test_clocks_are_fast(pool: PeerPool, measured: list[str], kind: str) -> None:
    """What makes the day short works: a value's ten minutes pass so much sooner, and no sooner."""
    peer, wire, key = pool.start(kind), pool.wire(is_client=True), bytes.fromhex(key_of("clock"))
    to = "127.0.0.1", peer.port
    assert len(wire.put(to, key, [plain_value(1, b"x")])) == 1
    start = time.monotonic()
    while wire.ask(to, "get", {"h": key, "w": []}).values:
        time.sleep(0.1)
    after = time.monotonic() - start
    measured.append(f"{kind}, clock {SPEED} times as fast: a value expired after {after:.1f} s")
    assert 590.0 / SPEED < after < 610.0 / SPEED + 5.0


def test_memory_is_flat_and_peers_stay(pool: PeerPool, measured: list[str]) -> None:
    """Case 5: nobody blacklists us; values by all are found by all; memory does not grow.

    Values that are put once are found at once, those that last as long as the test does, so that
    their owners must refresh them at nodes whose tokens have changed since.
    """
    node = pool.start(SHOAL, is_unlimited=False)
    assert isinstance(node, ShoalPeer)
    peers = [
        node,
        *(pool.start(kind, bootstrap=node, has_identity=True) for kind in (DHTNODE, OPENDHT)),
        pool.start(SHOAL, bootstrap=node, has_identity=True),
    ]
    connected(*peers)
    listener = peers[2]
    assert isinstance(listener, WorkerPeer)
    for number, peer in enumerate(peers):
        assert peer.put(key_of(f"lasting {number}"), b"lasting", permanent=True).ok
    samples: list[int] = []
    deadline = time.monotonic() + HOURS * 3600 / SPEED
    rounds = 0
    while time.monotonic() < deadline:
        key = key_of(f"endurance {rounds}")
        putter, getter = peers[rounds % 4], peers[(rounds + 1) % 4]
        data = f"value-{rounds}".encode()
        assert putter.put(key, data, user_type="soak").ok, rounds
        assert shown(get(getter, key)) == [data], rounds
        lasting = key_of(f"lasting {rounds // 4 % 4}")  # by each in turn, asked for by each in turn
        assert shown(get(getter, lasting)) == [b"lasting"], rounds
        for number in range(20):  # from others, so that storage and searches turn over
            listener.begin_put(key_of(f"bulk {rounds} {number}"), os.urandom(2000))
        samples.append(resident_bytes(node.process.pid))
        rounds += 1
        time.sleep(ROUND)
    good = [peer.good_nodes() for peer in peers]
    assert all(count >= 2 for count in good)
    quarter = len(samples) // 4
    early, late = max(samples[quarter : 2 * quarter]), max(samples[-quarter:])
    measured.append(
        f"{rounds} rounds in {HOURS:g} h, clocks {SPEED} times as fast: {good} good nodes at"
        f" the end; resident memory {samples[0] / 1e6:.1f} MB at the start,"
        f" at most {early / 1e6:.1f} MB in the second quarter, {late / 1e6:.1f} MB in the last"
    )
    assert late < 1.1 * early
