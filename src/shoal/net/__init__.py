"""From a device to a channel: signalling, ICE, TLS, and channels by name on one connection.

`Connections` is all connections of one device, with asyncio; `ConnectionsEngine` the same without
I/O. Names load on first use. Errors are in `shoal.net.errors`, ICE in `shoal.net.ice`.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from shoal.net.config import ConnectionsConfig, MuxConfig
    from shoal.net.driver.addresses import DhtAddresses
    from shoal.net.driver.channel import Channel
    from shoal.net.driver.connections import Connections
    from shoal.net.effects import ChannelId, SendSignal, Way
    from shoal.net.engine import ConnectionsEngine
    from shoal.net.multiaddr.address import Multiaddr
    from shoal.net.mux.engine import MuxEngine
    from shoal.net.peer import ChannelPolicy, Peer
    from shoal.net.signalling.carrier import DHT_USER_TYPE, Carrier, peer_key
    from shoal.net.signalling.request import PeerRequest
    from shoal.net.trace import AttemptTrace, ConnectionInfo, ConnectionsStats

__all__ = [
    "DHT_USER_TYPE",
    "AttemptTrace",
    "Carrier",
    "Channel",
    "ChannelId",
    "ChannelPolicy",
    "ConnectionInfo",
    "Connections",
    "ConnectionsConfig",
    "ConnectionsEngine",
    "ConnectionsStats",
    "DhtAddresses",
    "Multiaddr",
    "MuxConfig",
    "MuxEngine",
    "Peer",
    "PeerRequest",
    "SendSignal",
    "Way",
    "peer_key",
]

_MODULES = {
    "config": ("ConnectionsConfig", "MuxConfig"),
    "driver.addresses": ("DhtAddresses",),
    "driver.channel": ("Channel",),
    "driver.connections": ("Connections",),
    "effects": ("ChannelId", "SendSignal", "Way"),
    "engine": ("ConnectionsEngine",),
    "multiaddr.address": ("Multiaddr",),
    "mux.engine": ("MuxEngine",),
    "peer": ("ChannelPolicy", "Peer"),
    "signalling.carrier": ("DHT_USER_TYPE", "Carrier", "peer_key"),
    "signalling.request": ("PeerRequest",),
    "trace": ("AttemptTrace", "ConnectionInfo", "ConnectionsStats"),
}
_MODULE_OF = {name: module for module, names in _MODULES.items() for name in names}


def __getattr__(name: str) -> object:
    if name not in _MODULE_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    found: object = getattr(import_module(f"{__name__}.{_MODULE_OF[name]}"), name)
    globals()[name] = found
    return found


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
