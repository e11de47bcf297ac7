"""Settings of a DHT node, with the defaults of a standalone one."""

from __future__ import annotations

from typing import Final

from shoal.core import Family, InfoHash
from shoal.core.records import dataclass

UNLIMITED: Final = -1  # OpenDHT: a rate limit of -1 disables it


@dataclass(frozen=True, slots=True)
class DhtConfig:
    """How a DHT node behaves. Sizes are bytes, rates are requests per second.

    Attributes:
        node_id: our id; None draws one at random.
        network: 0 is the public network; nodes of other networks ignore each other.
        families: the families that the node has sockets for.
        is_client: ask, but store and route for nobody (reference section 3.13).
        is_bootstrap: keep a fuller routing table, for nodes that many others start from.
        is_public_stable: a well-connected host: listen renewals are rare, and a search that
            fails does not make the node doubt its connectivity.
        maintain_storage: hand stored values on to nodes that come closer to their keys.
        rate_limit_total: requests accepted from everybody; -1 is no limit.
        rate_limit_per_address: requests accepted per IPv4 address or IPv6 /64; -1 is no limit.
        pace_per_node: requests sent to one node; -1 is no limit. Ours: under the 1,024 that
            nodes accept from an address, so that bulk work is delayed instead of lost.
        storage_limit: what values of others may use; least fair senders are evicted first.
        local_storage_limit: what our own puts may use; None is no limit.
        storage_keys_max: keys that we store values under.
        searches_max: searches kept; beyond it finished ones go first.
    """

    node_id: InfoHash | None = None
    network: int = 0
    families: tuple[Family, ...] = (Family.IPV4, Family.IPV6)
    is_client: bool = False
    is_bootstrap: bool = False
    is_public_stable: bool = False
    maintain_storage: bool = False
    rate_limit_total: int = 8192
    rate_limit_per_address: int = 1024
    pace_per_node: int = 900
    storage_limit: int = 8 * 1024 * 1024
    local_storage_limit: int | None = None
    storage_keys_max: int = 65_536
    searches_max: int = 16_384
