"""Contacts, and requests that wait: records as they stand in files and travel between own devices.

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

Source: Jami contact_list.h, Contact and TrustRequest; reference sections 4.1 and 4.3.
"""

from __future__ import annotations

from dataclasses import field
from typing import Final

from shoal.core import DecodeError
from shoal.core.records import dataclass
from shoal.dht import packing
from shoal.identity.trust_request import PAYLOAD_SIZE_MAX, read_conversation_id, read_time_ms

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
