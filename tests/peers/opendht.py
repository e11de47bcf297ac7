"""The `opendht` 4.4.2 wheel as a peer."""

from __future__ import annotations

import re
from typing import Final

from tests.peers.worker_peer import WorkerPeer

_GOOD: Final = re.compile(r"^\s+\d+ .*")


class OpendhtPeer(WorkerPeer):
    """A `DhtRunner` in a worker process."""

    kind = "opendht"
    module = "tests.peers.opendht_worker"

    def good_nodes(self) -> int:
        """Return how many nodes the tables list as good."""
        return sum(count_good(table) for table in self.stats()["tables"])


def count_good(table: str) -> int:
    """Count the nodes of a routing table's log that are marked good."""
    return sum("[good]" in line for line in table.splitlines())
