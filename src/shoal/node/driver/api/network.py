"""The API's methods about the network below: what a map of it is drawn from."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from shoal.node.driver.api.registry import METHODS

if TYPE_CHECKING:
    from shoal.dht import DhtNode
    from shoal.node.driver.node import Node

method = METHODS.method

NODES_MAX: Final = 2_000  # ours: of one DHT node, in one answer


def describe(dht: DhtNode) -> dict[str, Any]:
    """Return a DHT node, whom it knows, and what went through it."""
    udp = dht.stats().udp
    return {
        "node_id": str(dht.node_id),
        "network": dht.network,
        "status": dht.status.value,
        "port": dht.port,
        "nodes": [
            {"id": str(node_id), "addr": str(addr)} for node_id, addr in dht.nodes()[:NODES_MAX]
        ],
        "traffic": {"received": udp.received, "sent": udp.sent},
    }


@method("node.map", is_local=True)
async def node_map(node: Node) -> list[dict[str, Any]]:
    """List the DHT nodes of this node, with whom each knows and how much it has heard and said."""
    return [describe(each) for each in node.dht_nodes]
