"""ICE on real sockets, with asyncio.

`IceSockets` carries out the actions of one engine that somebody else owns; `IceDriver` is one
engine with its sockets as an awaitable connection.
"""

from shoal.net.ice.driver.connection import IceDriver
from shoal.net.ice.driver.interfaces import local_addresses
from shoal.net.ice.driver.sockets import Command, IceSockets, Lease, Mapper

__all__ = ["Command", "IceDriver", "IceSockets", "Lease", "Mapper", "local_addresses"]
