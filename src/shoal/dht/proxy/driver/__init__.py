"""The HTTP proxy on real sockets: `ProxyServer` for a node, `ProxyNode` for those without UDP."""

from shoal.dht.proxy.driver.proxy_node import ProxyNode
from shoal.dht.proxy.driver.server import ProxyServer, tls_context

__all__ = ["ProxyNode", "ProxyServer", "tls_context"]
