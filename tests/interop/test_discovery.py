"""Case 25: nodes of one local network find each other without any bootstrap."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

import pytest

from tests.peers.peer import key_of, shown
from tests.peers.pool import KINDS, SHOAL, connected
from tests.peers.waiting import until

if TYPE_CHECKING:
    from tests.peers.namespaces import Bench
    from tests.peers.peer import Peer
    from tests.peers.pool import PeerPool

PAIRS = [pair for pair in itertools.product(KINDS, KINDS) if SHOAL in pair]


@pytest.mark.parametrize(("first", "second"), PAIRS)
def test_meeting_on_a_local_network(bench: Bench, pool: PeerPool, first: str, second: str) -> None:
    """Whoever comes first, both end up connected; a third one on another network does not."""
    stranger = pool.start(
        SHOAL, has_discovery=True, namespace=bench.add_host(), network=pool.network + 1
    )
    peers: list[Peer] = [
        pool.start(kind, has_discovery=True, namespace=bench.add_host()) for kind in (first, second)
    ]
    connected(*peers, timeout=25.0)
    assert peers[0].put(key_of("here"), b"hello").ok
    until(lambda: shown(peers[1].get(key_of("here"))) == [b"hello"], "the value")
    assert stranger.good_nodes() == 0
