"""The `opendht` 4.4.2 wheel as a peer."""

from __future__ import annotations

from tests.peers.peer import LOOPBACK, PeerError
from tests.peers.waiting import NotReachedError
from tests.peers.wire_peer import WirePeer
from tests.peers.worker_peer import WorkerPeer


class OpendhtPeer(WorkerPeer):
    """A `DhtRunner` in a worker process."""

    kind = "opendht"
    module = "tests.peers.opendht_worker"

    def good_nodes(self) -> int:
        """Return how many good nodes the peer names, 8 per family at most.

        Asked on the wire, because asking the wheel for its tables is not safe. In a namespace,
        where no socket of ours is, a lookup tells how many nodes answer; asked of a node that is
        just connecting, it can take half a minute.
        """
        if self.options.namespace is None:
            return self._named_nodes()
        try:
            return int(self.ask("probe", timeout=10.0)["nodes"])
        except PeerError:
            return 0

    def _named_nodes(self) -> int:
        with WirePeer(network=self.options.network, is_client=True) as wire:
            arguments = {"target": self.node_id, "w": [2, 10]}
            try:
                body = wire.ask((LOOPBACK, self.port), "find", arguments).body
            except NotReachedError:
                return 0
        return len(body.get("n4", b"")) // 26 + len(body.get("n6", b"")) // 38
