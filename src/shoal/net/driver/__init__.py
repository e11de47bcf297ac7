"""Connections over real sockets: `Connections`, its `Channel` streams, addresses in the DHT."""

from shoal.net.driver.addresses import DhtAddresses
from shoal.net.driver.channel import Channel
from shoal.net.driver.connections import Connections

__all__ = ["Channel", "Connections", "DhtAddresses"]
