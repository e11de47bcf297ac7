"""The contact request, which Jami calls trust request, and the certificate of who sends it.

A value of type 4 at `InfoHash.of("inbox:" + short device id)`, signed by the sender's device and
encrypted for the recipient's. Its data:

| key | type | |
| --- | --- | --- |
| `service` | str | always `cx.ring`; others are ignored |
| `conversationId` | str | 40 hex digits of the conversation between the two, or nothing |
| `payload` | bin | the sender's profile, a vCard in UTF-8; 64,000 bytes at most |
| `confirm` | bool | true: "I have accepted yours" |
| `invitedMs` | int64 | since 2026: when it was first issued, milliseconds since 1970 |

Source: OpenDHT default_types.h, TrustRequest; Jami's ContactList; reference section 3.6.
"""

from __future__ import annotations

import re
from typing import Final

import msgpack

from shoal.core import DecodeError
from shoal.core.records import dataclass
from shoal.dht import packing

TRUST_REQUEST_TYPE: Final = 4  # OpenDHT default_types.h: TrustRequest::TYPE
SERVICE: Final = "cx.ring"  # Jami contact_list.h: DHT_TYPE_NS
PAYLOAD_SIZE_MAX: Final = 64_000  # Jami account_const / jamiaccount.cpp: MAX_PAYLOAD
TIME_MS_MAX: Final = 253_402_300_799_999  # ours: the end of the year 9999
_CONVERSATION: Final = re.compile(r"[0-9a-f]{40}|")


@dataclass(frozen=True, slots=True)
class TrustRequest:
    """Be my contact; or, confirming: I am yours.

    Attributes:
        conversation_id: 40 hex digits, or nothing.
        payload: the sender's vCard, or nothing.
        confirm: whether it answers a request instead of making one.
        invited_ms: when it was first issued, milliseconds since 1970; 0 where unknown.
        service: what it is for.
    """

    conversation_id: str = ""
    payload: bytes = b""
    confirm: bool = False
    invited_ms: int = 0
    service: str = SERVICE

    def pack(self) -> bytes:
        """Return the data of the value; without a time it is what 13.7 writes, byte for byte."""
        fields: dict[str, object] = {
            "service": self.service,
            "conversationId": self.conversation_id,
            "payload": self.payload,
            "confirm": self.confirm,
        }
        if self.invited_ms:
            fields["invitedMs"] = self.invited_ms
        packed: bytes = msgpack.packb(fields)
        return packed

    @classmethod
    def unpack(cls, data: bytes) -> TrustRequest:
        """Read the data of the value.

        Raises:
            DecodeError: it is no request, of another service, or its payload is too large.
        """
        fields = packing.unpack(data)
        if type(fields) is not dict:
            raise DecodeError("a request that is not a map")
        service = packing.read_text(fields.get("service", ""))
        if service != SERVICE:
            raise DecodeError(f"a request for the service {service[:40]!r}")
        payload = packing.read_blob(fields.get("payload", b""))
        if len(payload) > PAYLOAD_SIZE_MAX:
            raise DecodeError(f"a payload of {len(payload)} bytes; {PAYLOAD_SIZE_MAX} at most")
        confirm = fields.get("confirm", False)
        if type(confirm) is not bool:
            raise DecodeError("a confirmation that is not a boolean")
        return cls(
            read_conversation_id(fields.get("conversationId", "")),
            payload,
            confirm,
            read_time_ms(fields.get("invitedMs", 0)),
        )


def read_conversation_id(item: object) -> str:
    """Return a conversation's id as text: 40 hex digits, or nothing.

    Raises:
        DecodeError: *item* is something else.
    """
    text = packing.read_text(item)
    if _CONVERSATION.fullmatch(text) is None:
        raise DecodeError(f"not the id of a conversation: {text[:40]!r}")
    return text


def read_time_ms(item: object) -> int:
    """Return milliseconds since 1970; what no clock shows, as 13.7's wrapped ones, is unknown: 0.

    Raises:
        DecodeError: *item* is no number.
    """
    if type(item) is not int:
        raise DecodeError("a time that is not a number")
    return item if 0 <= item <= TIME_MS_MAX else 0
