"""Shoal's own node as a peer, in a process of its own like all the others."""

from __future__ import annotations

from tests.peers.worker_peer import WorkerPeer


class ShoalPeer(WorkerPeer):
    """A `DhtNode` in a worker process."""

    kind = "shoal"
    module = "tests.peers.shoal_worker"

    def good_nodes(self) -> int:
        """Return the good nodes of both families."""
        return int(self.stats()["good"])

    def change_connectivity(self) -> None:
        """Tell the node that the network changed."""
        self.ask("change_connectivity")
