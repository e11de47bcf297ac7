"""STUN messages (RFC 8489), with TURN's and ICE's methods and attributes.

    offset  bytes  field
    0       2      method and class, interleaved
    2       2      length of the attributes, a multiple of 4
    4       4      magic cookie 2112a442
    8       12     transaction id
    20      …      attributes: type (2), length (2), value, padding to 4

The codecs of attributes, the integrity and the fingerprint are `aioice.stun`'s. Around them stand
what that lacks: methods and attributes of RFC 6062, transaction ids that are handed in, and a
decoder to which any bytes are a message or a `DecodeError`.
"""

from __future__ import annotations

import enum
import hmac
import struct
from collections.abc import Callable, Mapping
from dataclasses import field
from typing import Any, Final, TypeAlias

from aioice import stun as library

from shoal.core import Address, DecodeError
from shoal.core.records import dataclass

HEADER_LENGTH: Final = 20  # RFC 8489 section 5
COOKIE: Final = library.COOKIE.to_bytes(4)
TRANSACTION_ID_LENGTH: Final = 12  # RFC 8489 section 5
MESSAGE_LENGTH_MAX: Final = 65_535 + HEADER_LENGTH  # RFC 8489 section 5: a 16-bit length
INTEGRITY_ATTRIBUTE: Final = 0x0008  # RFC 8489 section 18.3
FINGERPRINT_ATTRIBUTE: Final = 0x8028  # RFC 8489 section 18.3
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

_Pack: TypeAlias = Callable[..., bytes]
_Unpack: TypeAlias = Callable[..., Any]

# RFC 6062 section 6.2.1, RFC 8656 section 18, RFC 8489 section 14.13: what the library lacks.
_MORE: Final[tuple[tuple[int, str, _Pack, _Unpack], ...]] = (
    (0x000A, "UNKNOWN-ATTRIBUTES", library.pack_bytes, library.unpack_bytes),
    (0x0017, "REQUESTED-ADDRESS-FAMILY", library.pack_unsigned, library.unpack_unsigned),
    (0x002A, "CONNECTION-ID", library.pack_unsigned, library.unpack_unsigned),
)
_BY_NAME: Final = {each[1]: each for each in (*library.ATTRIBUTES, *_MORE)}
_BY_TYPE: Final = {each[0]: each for each in (*library.ATTRIBUTES, *_MORE)}
_XOR_ADDRESSES: Final = frozenset({"XOR-MAPPED-ADDRESS", "XOR-PEER-ADDRESS", "XOR-RELAYED-ADDRESS"})


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
        return hmac.compare_digest(digest, library.message_integrity(covered, key))

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
        data += _ATTRIBUTE.pack(INTEGRITY_ATTRIBUTE, 20) + library.message_integrity(data, key)
        data = library.set_body_length(data, len(data) - HEADER_LENGTH)
    if has_fingerprint:
        data += struct.pack("!HHI", FINGERPRINT_ATTRIBUTE, 4, library.message_fingerprint(data))
        data = library.set_body_length(data, len(data) - HEADER_LENGTH)
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
            if value != library.message_fingerprint(data[:offset]).to_bytes(4):
                raise DecodeError("wrong STUN fingerprint", offset)
            break  # RFC 8489 section 14.7: it is the last one
        if signed is not None:
            continue  # RFC 8489 section 14.5: after the integrity, all but the fingerprint
        if number == INTEGRITY_ATTRIBUTE:
            signed = data[:offset], value
        elif number not in _BY_TYPE:
            if number < FIRST_OPTIONAL:
                unknown.append(number)
        elif (name := _BY_TYPE[number][1]) not in attributes:
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


def _pack(name: str, value: Any, transaction: bytes) -> bytes:
    number, _, pack, _ = _BY_NAME[name]
    if isinstance(value, Address):
        value = (value.host, value.port)
    packed = pack(value, transaction) if name in _XOR_ADDRESSES else pack(value)
    padding = bytes(-len(packed) % 4)
    return _ATTRIBUTE.pack(number, len(packed)) + packed + padding


def _unpack(number: int, value: bytes, transaction: bytes, offset: int) -> Any:
    _, name, _, unpack = _BY_TYPE[number]
    try:
        if name in _XOR_ADDRESSES:
            return Address.parse(*unpack(value, transaction))
        found = unpack(value)
    except (ValueError, IndexError, struct.error) as error:
        raise DecodeError(f"malformed {name}", offset) from error
    return Address.parse(*found) if unpack is library.unpack_address else found


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
