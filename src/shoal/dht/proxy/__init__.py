"""The DHT over HTTP: a server for nodes without UDP, and the client that is such a node."""

from shoal.dht.proxy.config import (
    ProxyClientConfig,
    ProxyLimits,
    ProxyServerConfig,
    PushRegistration,
)
from shoal.dht.proxy.effects import PushResult
from shoal.dht.proxy.engine import ProxyEngine
from shoal.dht.proxy.server_engine import ProxyServerEngine

__all__ = [
    "ProxyClientConfig",
    "ProxyEngine",
    "ProxyLimits",
    "ProxyServerConfig",
    "ProxyServerEngine",
    "PushRegistration",
    "PushResult",
]
