"""The DHT over HTTP: a server for nodes without UDP, and the client that is such a node.

`ProxyServer` and `ProxyNode` are imported when they are first used: they need the extra `proxy`.
"""

from importlib import import_module
from typing import TYPE_CHECKING

from shoal.dht.proxy.config import (
    ProxyClientConfig,
    ProxyLimits,
    ProxyServerConfig,
    PushRegistration,
)
from shoal.dht.proxy.effects import PushResult
from shoal.dht.proxy.engine import ProxyEngine
from shoal.dht.proxy.server_engine import ProxyServerEngine

if TYPE_CHECKING:
    from shoal.dht.proxy.driver import ProxyNode, ProxyServer, tls_context

__all__ = [
    "ProxyClientConfig",
    "ProxyEngine",
    "ProxyLimits",
    "ProxyNode",
    "ProxyServer",
    "ProxyServerConfig",
    "ProxyServerEngine",
    "PushRegistration",
    "PushResult",
    "tls_context",
]
_OF_DRIVER = ("ProxyNode", "ProxyServer", "tls_context")


def __getattr__(name: str) -> object:
    if name not in _OF_DRIVER:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    found: object = getattr(import_module("shoal.dht.proxy.driver"), name)
    globals()[name] = found
    return found
