"""Shoal's own node as a peer, in a process of its own like all the others."""

from __future__ import annotations

from typing import Any

from tests.peers.worker_peer import WorkerPeer


class ShoalPeer(WorkerPeer):
    """A `DhtNode` in a worker process."""

    kind = "shoal"
    module = "tests.peers.shoal_worker"

    def good_nodes(self) -> int:
        """Return the good nodes of both families."""
        return int(self.ask("stats")["good"])

    def stats(self) -> dict[str, Any]:
        """Return the node's statistics."""
        stats: dict[str, Any] = self.ask("stats")["stats"]
        return stats

    def change_connectivity(self) -> None:
        """Tell the node that the network changed."""
        self.ask("change_connectivity")
