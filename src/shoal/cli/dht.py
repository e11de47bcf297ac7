"""`shoal dht`: everything about the key-value network."""

from __future__ import annotations

import click

from shoal.cli.lazy import LazyGroup, Source


@click.group(
    cls=LazyGroup,
    sources={
        "node": Source("shoal.cli.node:node", "Run a node until it is stopped."),
        "put": Source("shoal.cli.values:put", "Store a value."),
        "get": Source("shoal.cli.values:get", "Show the values at a key."),
        "listen": Source("shoal.cli.values:listen", "Follow the values at a key."),
        "query": Source("shoal.cli.values:query", "Show fields of the values at a key."),
        "scan": Source("shoal.cli.scan:scan", "Walk the network and draw its map."),
        "stats": Source("shoal.cli.stats:stats", "Show the figures of a node or a network."),
        "demo": Source("shoal.cli.demo:demo", "A private network in this process, live."),
    },
)
def dht() -> None:
    """Run a node of the DHT, or use the network that others run.

    KEY is 40 hexadecimal digits, or any text, which is hashed as OpenDHT's tools hash it. Without
    --bootstrap, network 0 is joined by the public hosts that are shipped with Shoal, and by those
    in bootstrap.txt of Shoal's configuration directory; any other network needs a host to join by.
    """
