"""The HTTP proxy on real sockets: `ProxyServer` for a node, `ProxyNode` for those without UDP."""
