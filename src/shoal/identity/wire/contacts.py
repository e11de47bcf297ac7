"""Contacts and stored requests, as they stand in files and travel between own devices.

A contact, in 13.7 a map of exactly the first five:

| key | type | |
| --- | --- | --- |
| `added` | int | seconds since 1970 |
| `removed` | int | seconds since 1970; the contact is active while `added` is greater |
| `confirmed` | bool | the other side is known to have us |
| `banned` | bool | counts only while the contact is not active |
| `conversationId` | str | 40 hex digits, or nothing |
| `addedMs`, `removedMs` | int | since 2026: the same in milliseconds, preferred |

The two in milliseconds are written where they say more than the seconds do, so what 13.7 wrote
leaves again as the same bytes. In archives the same is JSON, with defaults left out.

A stored request: `device` (bin, SubjectPublicKeyInfo), `conversationId`, `received` in seconds,
`payload`; since 2026 `receivedMs` and `invitedMs`. Between devices without `payload`.

The files `contacts` and `incomingTrustRequests` are maps from account (bin of 20) to these.

Source: Jami contact_list.h, Contact and TrustRequest; reference sections 4.1, 4.3 and A.5.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

import msgpack

from shoal.core import AccountId, DecodeError
from shoal.dht import packing
from shoal.identity.wire.requests import PAYLOAD_SIZE_MAX, read_conversation_id, read_time_ms

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import TypeVar

    T = TypeVar("T")

CONTACTS_MAX: Final = 20_000  # ours: 3 MB on disk
REQUESTS_MAX: Final = 256  # ours: at 64 kB each, 16 MB; the newest beyond it are not kept
FILE_SIZE_MAX: Final = 32 * 1024 * 1024  # ours: twice what either file can become
SECOND: Final = 1000  # milliseconds
_SPKI_SIZE_MAX: Final = 2048  # OpenDHT crypto.cpp, PublicKey::pack


@dataclass(frozen=True, slots=True)
class Contact:
    """Somebody who is, or was, in the contact book.

    Attributes:
        added_ms: when added the last time, milliseconds since 1970.
        removed_ms: when removed or blocked the last time; 0 for never.
        confirmed: whether the other side is known to have us.
        banned: whether the last removal was a block.
        conversation_id: the conversation between the two, 40 hex digits or nothing.
    """

    added_ms: int = 0
    removed_ms: int = 0
    confirmed: bool = False
    banned: bool = False
    conversation_id: str = ""

    @property
    def is_active(self) -> bool:
        """Whether it is in the book now."""
        return self.added_ms > self.removed_ms

    @property
    def is_banned(self) -> bool:
        """Whether it is blocked now."""
        return self.banned and not self.is_active

    def to_map(self) -> dict[str, object]:
        """Return the map that is packed."""
        fields: dict[str, object] = {
            "added": self.added_ms // SECOND,
            "removed": self.removed_ms // SECOND,
            "confirmed": self.confirmed,
            "banned": self.banned,
            "conversationId": self.conversation_id,
        }
        if self.added_ms % SECOND or self.removed_ms % SECOND:
            fields["addedMs"] = self.added_ms
            fields["removedMs"] = self.removed_ms
        return fields

    def to_json(self) -> dict[str, object]:
        """Return the object that stands in an archive: defaults are left out."""
        fields = self.to_map()
        optional = {"removed", "confirmed", "banned", "removedMs"}
        return {name: it for name, it in fields.items() if it or name not in optional}

    @classmethod
    def from_map(cls, item: object) -> Contact:
        """Read an unpacked map, or an object of an archive; absent keys have their defaults.

        Raises:
            DecodeError: *item* is no contact.
        """
        if type(item) is not dict:
            raise DecodeError("a contact that is not a map")
        return cls(
            _read_moment(item, "added"),
            _read_moment(item, "removed"),
            _read_flag(item, "confirmed"),
            _read_flag(item, "banned"),
            read_conversation_id(item.get("conversationId", "")),
        )


@dataclass(frozen=True, slots=True)
class StoredRequest:
    """A request that waits for an answer of the user.

    Attributes:
        spki: public key of the device that sent it; empty where it came from an own device of old.
        conversation_id: the conversation that it invites to, 40 hex digits or nothing.
        received_ms: when it came, by the clock of whichever own device got it.
        payload: the sender's vCard; not synced between devices.
        invited_ms: when the sender first issued it; 0 where unknown.
    """

    spki: bytes = field(default=b"", repr=False)
    conversation_id: str = ""
    received_ms: int = 0
    payload: bytes = field(default=b"", repr=False)
    invited_ms: int = 0

    def to_map(self, *, with_payload: bool = True) -> dict[str, object]:
        """Return the map that is packed."""
        fields: dict[str, object] = {
            "device": self.spki,
            "conversationId": self.conversation_id,
            "received": self.received_ms // SECOND,
        }
        if with_payload:
            fields["payload"] = self.payload
        if self.received_ms % SECOND or self.invited_ms:
            fields["receivedMs"] = self.received_ms
            fields["invitedMs"] = self.invited_ms
        return fields

    @classmethod
    def from_map(cls, item: object) -> StoredRequest:
        """Read an unpacked map; absent keys have their defaults.

        Raises:
            DecodeError: *item* is no request, or larger than one can be.
        """
        if type(item) is not dict:
            raise DecodeError("a request that is not a map")
        spki = packing.read_blob(item.get("device", b""))
        payload = packing.read_blob(item.get("payload", b""))
        if len(spki) > _SPKI_SIZE_MAX or len(payload) > PAYLOAD_SIZE_MAX:
            raise DecodeError("a request with a key or payload that is too large")
        return cls(
            spki,
            read_conversation_id(item.get("conversationId", "")),
            _read_moment(item, "received"),
            payload,
            read_time_ms(item.get("invitedMs", 0)),
        )


def pack_contacts(contacts: Mapping[AccountId, Contact]) -> bytes:
    """Return the content of the file `contacts`."""
    packed: bytes = msgpack.packb({bytes(it): each.to_map() for it, each in contacts.items()})
    return packed


def unpack_contacts(data: bytes) -> dict[AccountId, Contact]:
    """Read the file `contacts`.

    Raises:
        DecodeError: it is none, or has more than 20,000 of them.
    """
    return read_account_map(unpack_file(data), Contact.from_map, CONTACTS_MAX)


def pack_requests(requests: Mapping[AccountId, StoredRequest]) -> bytes:
    """Return the content of the file `incomingTrustRequests`."""
    packed: bytes = msgpack.packb({bytes(it): each.to_map() for it, each in requests.items()})
    return packed


def unpack_requests(data: bytes) -> dict[AccountId, StoredRequest]:
    """Read the file `incomingTrustRequests`.

    Raises:
        DecodeError: it is none, or has more requests than are kept.
    """
    return read_account_map(unpack_file(data), StoredRequest.from_map, REQUESTS_MAX)


def read_account_map(
    item: object, read: Callable[[object], T], count_max: int
) -> dict[AccountId, T]:
    """Read a map from accounts to what *read* reads.

    Raises:
        DecodeError: *item* is none, or has more than *count_max* entries.
    """
    if type(item) is not dict:
        raise DecodeError("not a map of accounts")
    if len(item) > count_max:
        raise DecodeError(f"{len(item)} accounts; {count_max} at most")
    return {AccountId(packing.read_hash(key)): read(value) for key, value in item.items()}


def unpack_file(data: bytes) -> object:
    """Return the one msgpack object that a file of ours is.

    Raises:
        DecodeError: it is none, has bytes after it, or is too large.
    """
    if len(data) > FILE_SIZE_MAX:
        raise DecodeError(f"{len(data)} bytes; {FILE_SIZE_MAX} at most")
    return unpack_exactly(data)


def unpack_exactly(data: bytes) -> object:
    """Return the msgpack object that *data* is, from the first byte to the last.

    Raises:
        DecodeError: it is none, or there are bytes after it.
    """
    unpacker = msgpack.Unpacker(max_buffer_size=len(data) or 1)
    try:
        unpacker.feed(data)
        unpacker.skip()  # no declared length may reserve memory that no bytes stand behind
        result: object = msgpack.unpackb(data, strict_map_key=False, unicode_errors="replace")
    except (ValueError, TypeError, OverflowError, RecursionError, msgpack.UnpackException) as error:
        raise DecodeError(f"not msgpack: {str(error)[:80] or type(error).__name__}") from error
    return result


def _read_moment(fields: dict[object, object], name: str) -> int:
    """Return milliseconds: those of `nameMs` where it is there, else those of `name`."""
    precise = read_time_ms(fields.get(f"{name}Ms", 0))
    return precise or read_time_ms(read_time_ms(fields.get(name, 0)) * SECOND)


def _read_flag(fields: dict[object, object], name: str) -> bool:
    """Return a boolean."""
    flag = fields.get(name, False)
    if type(flag) is not bool:
        raise DecodeError(f"{name} that is not a boolean")
    return flag
