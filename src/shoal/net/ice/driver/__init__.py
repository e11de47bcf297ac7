"""ICE on real sockets, with asyncio.

`IceSockets` carries out the actions of one engine that somebody else owns; `IceDriver` is one
engine with its sockets as an awaitable connection.
"""

from shoal.net.ice.driver.connection import IceDriver
from shoal.net.ice.driver.sockets import IceSockets, local_addresses

__all__ = ["IceDriver", "IceSockets", "local_addresses"]
