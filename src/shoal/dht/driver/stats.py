"""What a running node tells about itself, for people, scripts and Prometheus."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from shoal.core.records import dataclass

if TYPE_CHECKING:
    from shoal.core import Address, Family, InfoHash
    from shoal.dht.driver.udp import UdpStats
    from shoal.dht.effects import Status


@dataclass(frozen=True, slots=True)
class FamilyStats:
    """One address family of a node.

    Attributes:
        bound: where the node listens.
        good: nodes that answered lately.
        dubious: nodes not heard of for some time.
        cached: addresses kept for when a bucket loses a node.
        incoming: nodes that talk to us but did not answer lately.
        table_depth: how often the routing table was split.
        searches: searches kept, running or idle.
        nodes_known: nodes remembered at all.
        size_estimate: nodes that the network may have, judged by the table's depth.
    """

    bound: Address
    status: Status
    good: int
    dubious: int
    cached: int
    incoming: int
    table_depth: int
    searches: int
    nodes_known: int
    size_estimate: int


@dataclass(frozen=True, slots=True)
class NodeStats:
    """A snapshot of a node.

    Attributes:
        key_id: the id of its identity's public key, if it has an identity.
        uptime: seconds since it was opened.
        operations: gets, listens, puts and the like that callers wait for.
        values: values stored here, their own puts included.
        values_bytes: what these values take.
        counters: of the engines, by part and name.
    """

    node_id: InfoHash
    key_id: InfoHash | None
    network: int
    status: Status
    uptime: float
    operations: int
    values: int
    values_bytes: int
    families: Mapping[Family, FamilyStats]
    udp: UdpStats
    counters: Mapping[str, Mapping[str, int]]

    def to_json(self) -> dict[str, Any]:
        """Return the same as what `json.dumps` takes: ids in hex, addresses as text."""
        return {
            "node_id": str(self.node_id),
            "key_id": None if self.key_id is None else str(self.key_id),
            "network": self.network,
            "status": self.status.value,
            "uptime": round(self.uptime, 3),
            "operations": self.operations,
            "values": self.values,
            "values_bytes": self.values_bytes,
            "families": {
                family.name.lower(): {
                    **dataclasses.asdict(stats),
                    "bound": str(stats.bound),
                    "status": stats.status.value,
                }
                for family, stats in self.families.items()
            },
            "udp": dataclasses.asdict(self.udp),
            "counters": {part: dict(counters) for part, counters in self.counters.items()},
        }


def counters_of(stats: object) -> dict[str, int]:
    """Flatten a dataclass of counters; a dictionary in it gives one name per entry."""
    assert dataclasses.is_dataclass(stats), "engines count in dataclasses"
    flat: dict[str, int] = {}
    for field in dataclasses.fields(stats):
        counter = getattr(stats, field.name)
        if isinstance(counter, int):
            flat[field.name] = counter
        elif isinstance(counter, Mapping):
            flat.update({f"{field.name}_{name}": count for name, count in counter.items()})
    return flat
