"""What a map of the network is drawn from."""

from __future__ import annotations

from typing import TYPE_CHECKING

from shoal.core import InfoHash
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


async def test_each_dht_node_tells_what_it_searches_for(
    both: tuple[tuple[Node, Account], tuple[Node, Account]],
) -> None:
    """What its account listens to, and whom somebody looked up within the last minute."""
    (node, _), (second, _) = both
    key = InfoHash.from_text("whom somebody looks up")
    dht = node.dht_nodes[0]
    await dht.wait_connected()
    assert await dht.get(key) == []
    (told,) = await LocalClient(node).call("node.map")
    (looked_up,) = [each for each in told["searches"] if each["key"] == str(key)]
    assert looked_up.pop("seconds") >= 0
    distance = int.from_bytes(key) ^ int.from_bytes(second.dht_nodes[0].node_id)
    assert looked_up == {
        "key": str(key),
        "family": "ipv4",
        "purposes": ["get"],
        "state": "done",
        "asked": 1,
        "answered": 1,
        "nearest": distance.bit_length(),
    }
    assert any("listen" in each["purposes"] for each in told["searches"])
    assert len(told["searches"]) == len(dht.searches())
