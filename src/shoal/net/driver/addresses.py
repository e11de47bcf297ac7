"""Addresses of devices in the DHT: ours are published, others' are found."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Final

from shoal.core import DeviceId
from shoal.crypto import verify
from shoal.dht import Value
from shoal.net.multiaddr import (
    BUNDLE_USER_TYPE,
    AddressBundle,
    Multiaddr,
    addresses_key,
    newest_bundle,
)

if TYPE_CHECKING:
    from collections.abc import Iterable

    from shoal.crypto import Identity
    from shoal.dht import DhtNode
    from shoal.net.peer import Peer

FIND_TIMEOUT: Final = 10.0  # seconds for looking a record up, ours: a search takes one or two
_KNOWN_MAX: Final = 4096  # devices whose latest record's number is remembered, ours


class DhtAddresses:
    """Publishes the addresses of one device, and finds those of others.

    `find` is what `Connections` takes as *find_addresses*.
    """

    def __init__(self, node: DhtNode, identity: Identity) -> None:
        self._node = node
        self._identity = identity
        self._device = DeviceId(identity.certificate.long_id)
        self._value_id: int | None = None
        self._known: dict[DeviceId, AddressBundle] = {}

    async def publish(
        self, addresses: Iterable[Multiaddr], *, is_public: bool = True
    ) -> AddressBundle:
        """Publish where we may be reached, best first, in place of what was published before.

        The record counts for a day: publish again before that. A public one leaves out private
        addresses, which are nobody's business.

        Raises:
            DhtError: the DHT did not take it.
        """
        bundle = AddressBundle.of(self._device, addresses, time.time(), is_public=is_public)
        sign = self._identity.private_key.sign
        packed = await asyncio.get_running_loop().run_in_executor(None, bundle.pack, sign)
        self.withdraw()
        value = Value(packed, user_type=BUNDLE_USER_TYPE)
        put = await self._node.put(addresses_key(self._device), value, permanent=True)
        self._value_id = put.value_id
        return bundle

    def withdraw(self) -> None:
        """Publish nothing any more; the DHT forgets in minutes."""
        if self._value_id is not None:
            self._node.cancel_put(addresses_key(self._device), self._value_id)
            self._value_id = None

    async def find(self, peer: Peer) -> tuple[Multiaddr, ...]:
        """Return the addresses that a device publishes, best first; none if it does not.

        A record older than one that was seen before is not believed.

        Raises:
            DhtError: the search failed.
        """
        async with asyncio.timeout(FIND_TIMEOUT):
            values = await self._node.get(addresses_key(peer.device))
        known = self._known.pop(peer.device, None)
        found = newest_bundle(
            (value.data for value in values if value.user_type == BUNDLE_USER_TYPE),
            peer.certificate.public_key.spki,
            time.time(),
            verify,
            above=0 if known is None else known.seq - 1,
        )
        if (latest := found or known) is not None:
            self._known[peer.device] = latest
            while len(self._known) > _KNOWN_MAX:
                del self._known[next(iter(self._known))]
        return () if found is None else found.addresses
