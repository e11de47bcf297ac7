"""TURN clients (RFC 8656, RFC 6062): addresses on a server that relays, as engines."""

from shoal.net.turn.client import ConnectionBinding, RelayTransport, TurnClient
from shoal.net.turn.packets import PacketSplitter, channel_data, channel_of

__all__ = [
    "ConnectionBinding",
    "PacketSplitter",
    "RelayTransport",
    "TurnClient",
    "channel_data",
    "channel_of",
]
