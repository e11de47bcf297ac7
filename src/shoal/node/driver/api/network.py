"""The API's methods about the network below: what a map of it is drawn from."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from shoal.node.driver.api.registry import METHODS

if TYPE_CHECKING:
    from shoal.dht import DhtNode
    from shoal.dht.runs import SearchReport
    from shoal.node.driver.node import Node

method = METHODS.method

NODES_MAX: Final = 2_000  # ours: of one DHT node, in one answer


def describe(dht: DhtNode) -> dict[str, Any]:
    """Return a DHT node, whom it knows, what it searches for, and what went through it."""
    udp = dht.stats().udp
    return {
        "node_id": str(dht.node_id),
        "network": dht.network,
        "status": dht.status.value,
        "port": dht.port,
        "nodes": [
            {"id": str(node_id), "addr": str(addr)} for node_id, addr in dht.nodes()[:NODES_MAX]
        ],
        "searches": [_search(each) for each in dht.searches()],
        "traffic": {"received": udp.received, "sent": udp.sent},
    }


def _search(report: SearchReport) -> dict[str, Any]:
    return {
        "key": str(report.key),
        "family": report.family.name.lower(),
        "purposes": [each.value for each in report.purposes],
        "state": report.state.value,
        "asked": report.asked,
        "answered": report.answered,
        "nearest": report.nearest,
        "seconds": round(report.seconds, 3),
    }


@method("node.map", is_local=True)
async def node_map(node: Node) -> list[dict[str, Any]]:
    """List the DHT nodes of this node: whom each knows, what it searches for, its traffic."""
    return [describe(each) for each in node.dht_nodes]
