"""The `opendht` 4.4.2 wheel as a peer."""

from __future__ import annotations

from tests.peers.peer import PeerError
from tests.peers.worker_peer import WorkerPeer


class OpendhtPeer(WorkerPeer):
    """A `DhtRunner` in a worker process."""

    kind = "opendht"
    module = "tests.peers.opendht_worker"

    def good_nodes(self) -> int:
        """Return how many nodes answer a lookup; asking the wheel for its tables is not safe."""
        try:
            return int(self.ask("probe", timeout=10.0)["nodes"])
        except PeerError:
            return 0
