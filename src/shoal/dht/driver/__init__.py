"""A DHT node on real sockets: `DhtNode`, an asyncio API around the engines."""

from shoal.dht.driver.node import DhtNode
from shoal.dht.driver.operations import (
    Added,
    Expired,
    GetOperation,
    Lagged,
    ListenEvent,
    ListenOperation,
    PutResult,
)
from shoal.dht.driver.stats import NodeStats

__all__ = [
    "Added",
    "DhtNode",
    "Expired",
    "GetOperation",
    "Lagged",
    "ListenEvent",
    "ListenOperation",
    "NodeStats",
    "PutResult",
]
