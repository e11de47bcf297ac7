"""Connections over real sockets: `Connections` and its `Channel` streams."""

from shoal.net.driver.channel import Channel
from shoal.net.driver.connections import Connections

__all__ = ["Channel", "Connections"]
