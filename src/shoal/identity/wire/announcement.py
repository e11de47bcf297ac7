"""The announcement of a device, which is what others know its presence by.

A value at the DHT key that equals the account id, type 0, signed by the *account's* key. Its data:

| key | type | |
| --- | --- | --- |
| `dev` | bin of 20 | short id of the device |
| `pk` | bin | its SubjectPublicKeyInfo in DER; missing in values of very old daemons |

Source: Jami's DeviceAnnouncement, made in ArchiveAccountManager; reference section 3.3.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Final

import msgpack

from shoal import crypto
from shoal.core import AccountId, DecodeError, DeviceId, InfoHash
from shoal.core.records import dataclass
from shoal.crypto.keys import SPKI_SIZE_MAX
from shoal.dht import Value, packing

if TYPE_CHECKING:
    from collections.abc import Callable

    from shoal.crypto import SuitePrivateKey, SuitePublicKey

ANNOUNCEMENT_TYPE: Final = 0  # OpenDHT default_types.h: USER_DATA


@dataclass(frozen=True, slots=True)
class Announcement:
    """A device of the account that signed it.

    Attributes:
        short_id: the device's short id.
        spki: its public key; None where a very old daemon left it out.
    """

    short_id: InfoHash
    spki: bytes | None = None

    @classmethod
    def of(cls, device: SuitePublicKey) -> Announcement:
        """Announce the holder of *device*."""
        return cls(device.id, device.spki)

    @property
    def device(self) -> DeviceId | None:
        """The device's long id, where its key is given."""
        return None if self.spki is None else DeviceId(hashlib.sha256(self.spki).digest())

    def pack(self) -> bytes:
        """Return the data of the value: 583 bytes for a key of 4096 bits."""
        fields: dict[str, bytes] = {"dev": bytes(self.short_id)}
        if self.spki is not None:
            fields["pk"] = self.spki
        packed: bytes = msgpack.packb(fields)
        return packed

    @classmethod
    def unpack(cls, data: bytes) -> Announcement:
        """Read the data of the value.

        Raises:
            DecodeError: it announces nothing, or the key is not that of the device.
        """
        fields = packing.unpack(data)
        if type(fields) is not dict or "dev" not in fields:
            raise DecodeError("not a map with a device")
        short_id = packing.read_hash(fields["dev"])
        if "pk" not in fields:
            return cls(short_id)
        spki = packing.read_blob(fields["pk"])
        if len(spki) > SPKI_SIZE_MAX:
            raise DecodeError(f"a key of {len(spki)} bytes; {SPKI_SIZE_MAX} at most")
        if InfoHash.of(spki) != short_id:
            raise DecodeError("the announced key is not that of the announced device")
        return cls(short_id, spki)


def sign_announcement(device: SuitePublicKey, account: SuitePrivateKey) -> Value:
    """Return the value that announces *device*, signed by its *account*; its id is left to be set.

    1696 bytes once packed, with keys of 4096 bits.
    """
    unsigned = Value(
        Announcement.of(device).pack(), ANNOUNCEMENT_TYPE, owner=account.public_key.spki
    )
    return replace_signature(unsigned, account.sign(unsigned.body()))


def replace_signature(value: Value, signature: bytes) -> Value:
    """Return *value* with this *signature*."""
    return Value(
        value.data,
        value.type,
        value.id,
        value.user_type,
        value.owner,
        value.recipient,
        value.seq,
        signature,
    )


def read_announcement(
    value: Value,
    account: AccountId,
    verify: Callable[[bytes, bytes, bytes], bool] = crypto.verify,
) -> Announcement:
    """Read what was found at *account*'s key, once the account is known to have signed it.

    *verify* is that of a `Suite`: is it by the key of this SPKI, over these bytes, this signature?

    Raises:
        DecodeError: it is no announcement, or not by that account.
    """
    if value.owner is None or not value.signature:
        raise DecodeError("an announcement that nobody signed")
    if value.owner_id != account:
        raise DecodeError(f"an announcement by {value.owner_id}, not by {account}")
    announcement = Announcement.unpack(value.data)
    if not verify(value.owner, value.body(), value.signature):
        raise DecodeError("the signature of the announcement is wrong")
    return announcement
