"""What a map of the network is drawn from."""

from __future__ import annotations

from typing import TYPE_CHECKING

from shoal.node.driver.api.client import LocalClient
from tests.unit.node.driver.conftest import eventually

if TYPE_CHECKING:
    from shoal.node import Account, Node


async def test_each_dht_node_tells_whom_it_knows(
    both: tuple[tuple[Node, Account], tuple[Node, Account]],
) -> None:
    """With ids, addresses, and how much it has heard and said."""
    (first, _), (second, _) = both
    other = second.dht_nodes[0]
    await eventually(lambda: bool(first.dht_nodes[0].nodes()))
    (told,) = await LocalClient(first).call("node.map")
    assert told["node_id"] == str(first.dht_nodes[0].node_id)
    assert told["nodes"] == [{"id": str(other.node_id), "addr": f"127.0.0.1:{other.port}"}]
    assert told["port"] == first.dht_nodes[0].port
    assert min(told["traffic"].values()) > 0
