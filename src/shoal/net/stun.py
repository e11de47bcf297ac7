"""STUN messages (RFC 8489), with TURN's and ICE's methods and attributes.

    offset  bytes  field
    0       2      method and class, interleaved
    2       2      length of the attributes, a multiple of 4
    4       4      magic cookie 2112a442
    8       12     transaction id
    20      …      attributes: type (2), length (2), value, padding to 4

What attributes hold is in `stun_attributes`.
"""

from __future__ import annotations

import enum
import hmac
import struct
import zlib
from dataclasses import field
from typing import TYPE_CHECKING, Any, Final

from shoal.core import DecodeError
from shoal.core.records import dataclass
from shoal.net.stun_attributes import BY_NAME, BY_NUMBER, COOKIE

if TYPE_CHECKING:
    from collections.abc import Mapping

HEADER_LENGTH: Final = 20  # RFC 8489 section 5
TRANSACTION_ID_LENGTH: Final = 12  # RFC 8489 section 5
MESSAGE_LENGTH_MAX: Final = 65_535 + HEADER_LENGTH  # RFC 8489 section 5: a 16-bit length
INTEGRITY_ATTRIBUTE: Final = 0x0008  # RFC 8489 section 18.3
FINGERPRINT_ATTRIBUTE: Final = 0x8028  # RFC 8489 section 18.3
INTEGRITY_LENGTH: Final = 24  # RFC 8489 section 14.5: with its type and length
FINGERPRINT_LENGTH: Final = 8  # RFC 8489 section 14.7: likewise
FINGERPRINT_MASK: Final = 0x5354554E  # RFC 8489 section 14.7: "STUN"
FIRST_OPTIONAL: Final = 0x8000  # RFC 8489 section 14: from here on, unknown ones are ignored
ATTRIBUTES_MAX: Final = 64  # per message, ours: three times what any RFC has in one

_HEADER: Final = struct.Struct("!HH4s12s")
_ATTRIBUTE: Final = struct.Struct("!HH")


class Method(enum.IntEnum):
    """Methods in their place in a message type (RFC 8489, 8656, 6062)."""

    BINDING = 0x001
    ALLOCATE = 0x003
    REFRESH = 0x004
    SEND = 0x006
    DATA = 0x007
    CREATE_PERMISSION = 0x008
    CHANNEL_BIND = 0x009
    CONNECT = 0x00A
    CONNECTION_BIND = 0x00B
    CONNECTION_ATTEMPT = 0x00C


class Class(enum.IntEnum):
    """Classes in their place in a message type."""

    REQUEST = 0x000
    INDICATION = 0x010
    SUCCESS = 0x100
    ERROR = 0x110


_CLASS_BITS: Final = 0x0110  # RFC 8489 section 5
_METHOD_BITS: Final = 0x3EEF  # RFC 8489 section 5


@dataclass(frozen=True, slots=True)
class Message:
    """One message.

    Attributes:
        attributes: by name, in the order of the wire; addresses are `Address`. Of repeated ones
            the first counts (RFC 8489 section 14). MESSAGE-INTEGRITY and FINGERPRINT are not
            here: `encode` adds them, `decode` checks the latter, `is_signed_with` the former.
        unknown: types of attributes that we would have to understand and do not.
        signed: what MESSAGE-INTEGRITY covers, and its value; None without one.
    """

    method: Method
    kind: Class
    transaction: bytes
    attributes: Mapping[str, Any] = field(default_factory=dict)
    unknown: tuple[int, ...] = ()
    signed: tuple[bytes, bytes] | None = field(default=None, compare=False, repr=False)

    def is_signed_with(self, key: bytes) -> bool:
        """Tell whether MESSAGE-INTEGRITY is there and was made with *key*."""
        if self.signed is None:
            return False
        covered, digest = self.signed
        return hmac.compare_digest(digest, _integrity(covered, key))

    @property
    def error(self) -> tuple[int, str]:
        """ERROR-CODE's number and reason; 0 and nothing without one."""
        found: tuple[int, str] = self.attributes.get("ERROR-CODE", (0, ""))
        return found


def encode(message: Message, *, key: bytes | None = None, has_fingerprint: bool = True) -> bytes:
    """Write *message*, with MESSAGE-INTEGRITY if *key* is given, and FINGERPRINT last."""
    body = b"".join(
        _pack(name, value, message.transaction) for name, value in message.attributes.items()
    )
    data = _HEADER.pack(message.method | message.kind, len(body), COOKIE, message.transaction)
    data += body
    if key is not None:
        data += _ATTRIBUTE.pack(INTEGRITY_ATTRIBUTE, 20) + _integrity(data, key)
        data = _with_length(data, len(data))
    if has_fingerprint:
        data += _ATTRIBUTE.pack(FINGERPRINT_ATTRIBUTE, 4) + _fingerprint(data)
        data = _with_length(data, len(data))
    return data


def decode(data: bytes) -> Message:
    """Read one message.

    Raises:
        DecodeError: *data* is not exactly one STUN message of a method we know, an attribute is
            malformed, or the fingerprint is wrong.
    """
    method, kind, transaction = _decode_header(data)
    attributes: dict[str, Any] = {}
    unknown: list[int] = []
    signed: tuple[bytes, bytes] | None = None
    for offset, number, value in _attributes(data):
        if number == FINGERPRINT_ATTRIBUTE:
            if value != _fingerprint(data[:offset]):
                raise DecodeError("wrong STUN fingerprint", offset)
            break  # RFC 8489 section 14.7: it is the last one
        if signed is not None:
            continue  # RFC 8489 section 14.5: after the integrity, all but the fingerprint
        if number == INTEGRITY_ATTRIBUTE:
            signed = data[:offset], value
        elif number not in BY_NUMBER:
            if number < FIRST_OPTIONAL:
                unknown.append(number)
        elif (name := BY_NUMBER[number].name) not in attributes:
            attributes[name] = _unpack(number, value, transaction, offset)
    return Message(method, kind, transaction, attributes, tuple(unknown), signed)


def is_stun(head: bytes | memoryview, length: int) -> bool:
    """Tell whether a packet of *length* bytes that begins with *head* is STUN (reference 5.7)."""
    return (
        length >= HEADER_LENGTH
        and len(head) >= HEADER_LENGTH
        and head[0] <= 3  # noqa: PLR2004 - RFC 7983: first byte 0 to 3
        and head[4:8] == COOKIE
        and int.from_bytes(head[2:4]) + HEADER_LENGTH == length
    )


def _decode_header(data: bytes) -> tuple[Method, Class, bytes]:
    if not HEADER_LENGTH <= len(data) <= MESSAGE_LENGTH_MAX:
        raise DecodeError(f"a STUN message cannot have {len(data)} bytes")
    kind, length, cookie, transaction = _HEADER.unpack_from(data)
    if kind & 0xC000 or cookie != COOKIE or length % 4 or length != len(data) - HEADER_LENGTH:
        raise DecodeError("not a STUN message")
    try:
        method = Method(kind & _METHOD_BITS)
    except ValueError as error:
        raise DecodeError(f"unknown STUN method {kind & _METHOD_BITS:#x}") from error
    return method, Class(kind & _CLASS_BITS), transaction


def _integrity(data: bytes, key: bytes) -> bytes:
    """Return what MESSAGE-INTEGRITY says of all that stands before it (RFC 8489 section 14.5)."""
    return hmac.digest(key, _with_length(data, len(data) + INTEGRITY_LENGTH), "sha1")


def _fingerprint(data: bytes) -> bytes:
    """Return what FINGERPRINT says of all that stands before it (RFC 8489 section 14.7)."""
    checksum = zlib.crc32(_with_length(data, len(data) + FINGERPRINT_LENGTH))
    return (checksum ^ FINGERPRINT_MASK).to_bytes(4)


def _with_length(data: bytes, length: int) -> bytes:
    """Return the beginning of a message that is to have *length* bytes."""
    return data[:2] + (length - HEADER_LENGTH).to_bytes(2) + data[4:]


def _pack(name: str, value: Any, transaction: bytes) -> bytes:
    attribute = BY_NAME[name]
    packed = attribute.pack(value, transaction)
    return _ATTRIBUTE.pack(attribute.number, len(packed)) + packed + bytes(-len(packed) % 4)


def _unpack(number: int, value: bytes, transaction: bytes, offset: int) -> Any:
    attribute = BY_NUMBER[number]
    try:
        return attribute.unpack(value, transaction)
    except (ValueError, struct.error) as error:
        raise DecodeError(f"malformed {attribute.name}", offset) from error


def _attributes(data: bytes) -> list[tuple[int, int, bytes]]:
    """Split the attributes into offset, type and value."""
    found: list[tuple[int, int, bytes]] = []
    offset = HEADER_LENGTH
    while offset < len(data):
        number, length = _ATTRIBUTE.unpack_from(data, offset)  # multiples of 4: never short
        start = offset + _ATTRIBUTE.size
        if start + length > len(data) or len(found) == ATTRIBUTES_MAX:
            raise DecodeError("STUN attributes do not fit", offset)
        found.append((offset, number, data[start : start + length]))
        offset = start + length + -length % 4
    return found
