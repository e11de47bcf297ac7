"""Where a device may be reached without signalling: its addresses, and how they are dialled."""

from shoal.net.multiaddr.address import Multiaddr
from shoal.net.multiaddr.bundle import (
    BUNDLE_USER_TYPE,
    AddressBundle,
    addresses_key,
    newest_bundle,
)
from shoal.net.multiaddr.engine import DirectEngine

__all__ = [
    "BUNDLE_USER_TYPE",
    "AddressBundle",
    "DirectEngine",
    "Multiaddr",
    "addresses_key",
    "newest_bundle",
]
