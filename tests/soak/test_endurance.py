"""A Shoal node that works for hours among real peers: still trusted, no larger than at the start.

`SHOAL_SOAK_HOURS` sets how long, one hour by default.
"""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final

from tests.peers.peer import key_of, shown
from tests.peers.pool import DHTNODE, OPENDHT, SHOAL, connected
from tests.peers.shoal import ShoalPeer
from tests.peers.worker_peer import WorkerPeer

if TYPE_CHECKING:
    from tests.peers.pool import PeerPool

HOURS: Final = float(os.environ.get("SHOAL_SOAK_HOURS", "1"))
ROUND: Final = 5.0  # seconds between two rounds of work


def resident_bytes(pid: int) -> int:
    """Return the resident memory of a process."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) * 1024
    raise AssertionError("no VmRSS in the process's status")


def test_memory_is_flat_and_peers_stay(pool: PeerPool, measured: list[str]) -> None:
    """Case 5: nobody blacklists us; values by all are found by all; memory does not grow."""
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
    samples: list[int] = []
    deadline = time.monotonic() + HOURS * 3600
    rounds = 0
    while time.monotonic() < deadline:
        key = key_of(f"endurance {rounds}")
        putter, getter = peers[rounds % 4], peers[(rounds + 1) % 4]
        data = f"value-{rounds}".encode()
        assert putter.put(key, data).ok, rounds
        assert shown(getter.get(key)) == [data], rounds
        for number in range(20):  # from others, so that storage and searches turn over
            listener.begin_put(key_of(f"bulk {rounds} {number}"), os.urandom(2000))
        samples.append(resident_bytes(node.process.pid))
        rounds += 1
        time.sleep(ROUND)
    assert all(peer.good_nodes() >= 2 for peer in peers)
    quarter = len(samples) // 4
    early, late = max(samples[quarter : 2 * quarter]), max(samples[-quarter:])
    measured.append(
        f"{rounds} rounds in {HOURS:g} h: resident memory {samples[0] / 1e6:.1f} MB at the start,"
        f" at most {early / 1e6:.1f} MB in the second quarter, {late / 1e6:.1f} MB in the last"
    )
    assert late < 1.1 * early
