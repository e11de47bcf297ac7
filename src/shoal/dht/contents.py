"""What the data of OpenDHT's own value types says: their codecs.

| type | content | packed data |
| --- | --- | --- |
| 1 | `DhtMessage` | array: service str, data bin |
| 2 | `IpServiceAnnouncement` | bin: a raw Linux socket address |
| 3 | `ImMessage` | map: `id msg date status datatype metadatas` |
| 4 | `TrustRequest` | map: `service conversationId payload confirm` |
| 5 | `IceCandidates` | array: id uint64, candidates bin |
| 8 | `CertificateValue` | bin: PEM chain |

Readers skip unknown keys and elements, and give absent ones their defaults.

Source: OpenDHT default_types.h; securedht.h for certificates.
"""

from __future__ import annotations

import enum
import struct
from dataclasses import field
from typing import TYPE_CHECKING, Final

import msgpack

from shoal.core import Address, DecodeError, Family
from shoal.core.records import dataclass
from shoal.dht.packing import UINT16_MAX, UINT64_MAX, read_blob, read_text, read_uint, unpack

if TYPE_CHECKING:
    from collections.abc import Mapping

    from shoal.dht.value import Value

# OpenDHT default_types.cpp and securedht.h: the numbers of its types
USER_DATA: Final = 0
DHT_MESSAGE: Final = 1
IP_SERVICE_ANNOUNCEMENT: Final = 2
IM_MESSAGE: Final = 3
TRUST_REQUEST: Final = 4
ICE_CANDIDATES: Final = 5
CERTIFICATE: Final = 8

_IPV4_SOCKET: Final = struct.Struct("<H2x4s8x")  # sockaddr_in; the port is big-endian, so apart
_IPV6_SOCKET: Final = struct.Struct("<H2x4x16s4x")  # sockaddr_in6: family, port, flow, ip, scope
_PORT: Final = struct.Struct(">2xH")
_TIME_MIN, _TIME_MAX = -(2**63), 2**63 - 1


@dataclass(frozen=True, slots=True)
class DhtMessage:
    """A message to whoever runs a service at this key."""

    service: str
    data: bytes = b""

    def pack(self) -> bytes:
        """Return the data of a value of type 1."""
        return _pack([self.service, self.data])

    @classmethod
    def unpack(cls, packed: bytes) -> DhtMessage:
        """Read the data of a value of type 1.

        Raises:
            DecodeError: it is no such message.
        """
        items = _read_array(packed)
        service = read_text(items[0]) if items else ""
        return cls(service, read_blob(items[1]) if len(items) > 1 else b"")


@dataclass(frozen=True, slots=True)
class IpServiceAnnouncement:
    """Where a service runs; storers replace the IP by that of whom they heard it from."""

    addr: Address

    def pack(self) -> bytes:
        """Return the data of a value of type 2: 16 bytes for IPv4 or 28 for IPv6."""
        ip, port = self.addr
        layout = _IPV4_SOCKET if self.addr.family is Family.IPV4 else _IPV6_SOCKET
        socket = bytearray(layout.pack(self.addr.family, ip))
        socket[2:4] = port.to_bytes(2)
        return _pack(bytes(socket))

    @classmethod
    def unpack(cls, packed: bytes) -> IpServiceAnnouncement:
        """Read the data of a value of type 2.

        Raises:
            DecodeError: it is no IPv4 or IPv6 socket address.
        """
        socket = unpack(packed)
        if type(socket) is not bytes:
            raise DecodeError("a socket address that is not a bin")
        for layout, family in ((_IPV4_SOCKET, Family.IPV4), (_IPV6_SOCKET, Family.IPV6)):
            if len(socket) == layout.size:
                number, ip = layout.unpack(socket)
                if number == family:
                    return cls(Address(ip, *_PORT.unpack_from(socket)))
        raise DecodeError("neither an IPv4 nor an IPv6 socket address")


class ImStatus(enum.IntEnum):
    """What an instant message reports."""

    NONE = 0
    TYPING = 1
    RECEIVED = 2
    READ = 3


@dataclass(frozen=True, slots=True)
class ImMessage:
    """An instant message, signed by convention.

    Attributes:
        id: number of the message, uint64.
        text: the words.
        date: as the application counts, usually Unix seconds.
        status: an `ImStatus`, or a number of the future.
        data_type: media type of *text*.
        metadata: anything else, by name.
    """

    id: int = 0
    text: str = ""
    date: int = 0
    status: int = ImStatus.NONE
    data_type: str = ""
    metadata: Mapping[str, str] = field(default_factory=dict)

    def pack(self) -> bytes:
        """Return the data of a value of type 3."""
        return _pack(
            {
                "id": self.id,
                "msg": self.text,
                "date": self.date,
                "status": int(self.status),
                "datatype": self.data_type,
                "metadatas": dict(self.metadata),
            }
        )

    @classmethod
    def unpack(cls, packed: bytes) -> ImMessage:
        """Read the data of a value of type 3.

        Raises:
            DecodeError: it is no such message.
        """
        fields = _read_map(packed)
        metadata = fields.get("metadatas", {})
        if type(metadata) is not dict:
            raise DecodeError("metadata that is not a map")
        date = fields.get("date", 0)
        if type(date) is not int or not _TIME_MIN <= date <= _TIME_MAX:
            raise DecodeError("a date that is not a number")
        return cls(
            read_uint(fields.get("id", 0), UINT64_MAX),
            read_text(fields.get("msg", "")),
            date,
            read_uint(fields.get("status", 0), UINT16_MAX),
            read_text(fields.get("datatype", "")),
            {read_text(name): read_text(text) for name, text in metadata.items()},
        )

    @classmethod
    def from_value(cls, value: Value) -> ImMessage:
        """Read a message from a value that is signed.

        Raises:
            DecodeError: *value* has no owner, or its data is no such message.
        """
        _need_owner(value)
        return cls.unpack(value.data)


@dataclass(frozen=True, slots=True)
class TrustRequest:
    """A request to become a contact, encrypted by convention."""

    service: str = ""
    conversation_id: str = ""
    payload: bytes = b""
    confirm: bool = False

    def pack(self) -> bytes:
        """Return the data of a value of type 4."""
        return _pack(
            {
                "service": self.service,
                "conversationId": self.conversation_id,
                "payload": self.payload,
                "confirm": self.confirm,
            }
        )

    @classmethod
    def unpack(cls, packed: bytes) -> TrustRequest:
        """Read the data of a value of type 4.

        Raises:
            DecodeError: it is no such request.
        """
        fields = _read_map(packed)
        confirm = fields.get("confirm", False)
        if type(confirm) is not bool:
            raise DecodeError("a confirmation that is not a boolean")
        return cls(
            read_text(fields.get("service", "")),
            read_text(fields.get("conversationId", "")),
            read_blob(fields.get("payload", b"")),
            confirm,
        )

    @classmethod
    def from_value(cls, value: Value) -> TrustRequest:
        """Read a request from a decrypted value.

        Raises:
            DecodeError: *value* lacks owner or recipient, or its data is no such request.
        """
        _need_recipient(value)
        return cls.unpack(value.data)


@dataclass(frozen=True, slots=True)
class IceCandidates:
    """Where a peer can be reached, encrypted by convention."""

    id: int
    candidates: bytes

    def pack(self) -> bytes:
        """Return the data of a value of type 5."""
        return _pack([self.id, self.candidates])

    @classmethod
    def unpack(cls, packed: bytes) -> IceCandidates:
        """Read the data of a value of type 5; candidates may be an array of integers.

        Raises:
            DecodeError: it holds no candidates.
        """
        items = _read_array(packed)
        if len(items) < 2:  # noqa: PLR2004 - id and candidates
            raise DecodeError("candidates without id or data")
        return cls(read_uint(items[0], UINT64_MAX), read_blob(items[1]))

    @classmethod
    def from_value(cls, value: Value) -> IceCandidates:
        """Read candidates from a decrypted value.

        Raises:
            DecodeError: *value* lacks owner or recipient, or its data holds no candidates.
        """
        _need_recipient(value)
        return cls.unpack(value.data)


@dataclass(frozen=True, slots=True)
class CertificateValue:
    """A certificate and its issuers: PEM text as written; PEM or DER as read."""

    chain: bytes

    def pack(self) -> bytes:
        """Return the data of a value of type 8."""
        return _pack(self.chain)

    @classmethod
    def unpack(cls, data: bytes) -> CertificateValue:
        """Read the data of a value of type 8: the chain in a msgpack bin, or as it is.

        Raises:
            DecodeError: *data* is empty.
        """
        if not data:
            raise DecodeError("no certificate")
        # PEM starts with a dash and DER with 0x30: to msgpack, small integers.
        if data[0] in _BIN_HEADS:
            chain = unpack(data)
            if type(chain) is bytes and chain:
                return cls(chain)
            raise DecodeError("no certificate")
        return cls(data)


_BIN_HEADS: Final = b"\xc4\xc5\xc6"


def _pack(item: object) -> bytes:
    """Return *item* as msgpack, as OpenDHT would write it."""
    packed: bytes = msgpack.packb(item, unicode_errors="surrogateescape")
    return packed


def _read_array(packed: bytes) -> list[object]:
    """Return the elements of a packed array."""
    items = unpack(packed)
    if type(items) is not list:
        raise DecodeError("content that is not an array")
    return items


def _read_map(packed: bytes) -> dict[object, object]:
    """Return the entries of a packed map."""
    fields = unpack(packed)
    if type(fields) is not dict:
        raise DecodeError("content that is not a map")
    return fields


def _need_owner(value: Value) -> None:
    """Refuse what nobody signed."""
    if value.owner is None:
        raise DecodeError("a value without an owner")


def _need_recipient(value: Value) -> None:
    """Refuse what nobody signed, or what was not encrypted to anybody."""
    _need_owner(value)
    if value.recipient is None:
        raise DecodeError("a value without a recipient")
