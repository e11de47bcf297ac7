"""Who is nearby: the service `jami` of local discovery.

In an announcement, beside the DHT node's (see `shoal.dht`), under the name `jami`:

    [account id (bin of 20), display name]

Nothing is signed: it may be shown to people, and never trusted.

Source: Jami jamiaccount.cpp, startAccountPublish; reference section 7.
"""

from __future__ import annotations

from typing import Final

import msgpack

from shoal.core import AccountId, DecodeError
from shoal.core.records import dataclass
from shoal.dht import packing
from shoal.identity.wire.devices import read_name

JAMI_SERVICE: Final = "jami"  # Jami: PEER_DISCOVERY_JAMI_SERVICE
NEARBY_LIFE: Final = 60.0  # seconds; Jami: nearby peers are forgotten after a minute


@dataclass(frozen=True, slots=True)
class NearbyAccount:
    """Somebody on the same network who says so."""

    account: AccountId
    display_name: str

    def pack(self) -> bytes:
        """Return the payload of the service."""
        packed: bytes = msgpack.packb([bytes(self.account), self.display_name])
        return packed

    @classmethod
    def unpack(cls, payload: bytes) -> NearbyAccount:
        """Read the payload of the service.

        Raises:
            DecodeError: it is none.
        """
        match packing.unpack(payload):
            case [account, name, *_]:
                return cls(AccountId(packing.read_hash(account)), read_name(name))
            case _:
                raise DecodeError("an account announces [id, display name]")
