"""The attributes of STUN messages that we know, and how their values are written.

    address     0, family 1 or 2, port (2), IP (4 or 16)
    XOR-…       the same, port and IP masked with magic cookie and transaction id
    ERROR-CODE  0, 0, hundreds, rest, reason in UTF-8
    numbers     4 or 8 bytes; CHANNEL-NUMBER 2, and 2 that are reserved

Source: RFC 8489 section 14; RFC 8656 section 18; RFC 6062 section 6.2; RFC 8445 section 16.1; RFC
5780 section 7.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import Any, Final, NamedTuple, TypeAlias

from shoal.core import Address
from shoal.core.addresses import unmapped

COOKIE: Final = bytes.fromhex("2112a442")  # RFC 8489 section 5
_FAMILIES: Final = {4: 1, 16: 2}  # RFC 8489 section 14.1, by the length of an IP
_HUNDREDS_MAX: Final = 7  # RFC 8489 section 14.8: three bits
_REST_MAX: Final = 99  # RFC 8489 section 14.8
_ADDRESS: Final = struct.Struct("!BBH")
_ERROR: Final = struct.Struct("!HBB")
_UNSIGNED_16: Final = struct.Struct("!H2x")
_UNSIGNED_32: Final = struct.Struct("!I")
_UNSIGNED_64: Final = struct.Struct("!Q")

_Pack: TypeAlias = Callable[[Any, bytes], bytes]
_Unpack: TypeAlias = Callable[[bytes, bytes], Any]


class Attribute(NamedTuple):
    """One kind of attribute.

    Attributes:
        number: its type on the wire.
        name: as the registry has it.
        pack: makes bytes of a value, in a message with a transaction id.
        unpack: does the reverse; raises ValueError or struct.error for what makes no sense.
    """

    number: int
    name: str
    pack: _Pack
    unpack: _Unpack


def _pack_address(value: Address, _: bytes) -> bytes:
    return _ADDRESS.pack(0, _FAMILIES[len(value.ip)], value.port) + value.ip


def _unpack_address(data: bytes, _: bytes) -> Address:
    found = _raw_address(data)
    return Address(unmapped(found.ip), found.port)


def _masked(value: Address, transaction: bytes) -> Address:
    """Mask an address, or unmask it (RFC 8489 section 14.2)."""
    mask = (COOKIE + transaction)[: len(value.ip)]
    ip = (int.from_bytes(value.ip) ^ int.from_bytes(mask)).to_bytes(len(mask))
    return Address(ip, value.port ^ int.from_bytes(COOKIE[:2]))


def _pack_masked(value: Address, transaction: bytes) -> bytes:
    return _pack_address(_masked(value, transaction), transaction)


def _unpack_masked(data: bytes, transaction: bytes) -> Address:
    found = _masked(_raw_address(data), transaction)
    return Address(unmapped(found.ip), found.port)


def _raw_address(data: bytes) -> Address:
    _, family, port = _ADDRESS.unpack_from(data)
    ip = data[_ADDRESS.size :]
    if _FAMILIES.get(len(ip)) != family:
        raise ValueError("the family does not fit the length")
    return Address(ip, port)


def _pack_error(value: tuple[int, str], _: bytes) -> bytes:
    return _ERROR.pack(0, *divmod(value[0], 100)) + value[1].encode()


def _unpack_error(data: bytes, _: bytes) -> tuple[int, str]:
    _, hundreds, rest = _ERROR.unpack_from(data)
    if hundreds > _HUNDREDS_MAX or rest > _REST_MAX:
        raise ValueError("no such error code")
    return hundreds * 100 + rest, data[_ERROR.size :].decode()


def _number(layout: struct.Struct) -> tuple[_Pack, _Unpack]:
    def unpack(data: bytes, _: bytes) -> int:
        found: int = layout.unpack(data)[0]
        return found

    return lambda value, _: layout.pack(value), unpack


_MAPPED: Final = (_pack_address, _unpack_address)
_MASKED: Final = (_pack_masked, _unpack_masked)
_TEXT: Final[tuple[_Pack, _Unpack]] = (
    lambda value, _: value.encode(),
    lambda data, _: data.decode(),
)
_BYTES: Final[tuple[_Pack, _Unpack]] = (lambda value, _: value, lambda data, _: data)
_FLAG: Final[tuple[_Pack, _Unpack]] = (lambda _, __: b"", lambda _, __: None)
_NUMBER_16: Final = _number(_UNSIGNED_16)
_NUMBER_32: Final = _number(_UNSIGNED_32)
_NUMBER_64: Final = _number(_UNSIGNED_64)

ATTRIBUTES: Final = (  # IANA: STUN Attributes
    Attribute(0x0001, "MAPPED-ADDRESS", *_MAPPED),
    Attribute(0x0003, "CHANGE-REQUEST", *_NUMBER_32),
    Attribute(0x0004, "SOURCE-ADDRESS", *_MAPPED),
    Attribute(0x0005, "CHANGED-ADDRESS", *_MAPPED),
    Attribute(0x0006, "USERNAME", *_TEXT),
    Attribute(0x0008, "MESSAGE-INTEGRITY", *_BYTES),
    Attribute(0x0009, "ERROR-CODE", _pack_error, _unpack_error),
    Attribute(0x000A, "UNKNOWN-ATTRIBUTES", *_BYTES),
    Attribute(0x000C, "CHANNEL-NUMBER", *_NUMBER_16),
    Attribute(0x000D, "LIFETIME", *_NUMBER_32),
    Attribute(0x0012, "XOR-PEER-ADDRESS", *_MASKED),
    Attribute(0x0013, "DATA", *_BYTES),
    Attribute(0x0014, "REALM", *_TEXT),
    Attribute(0x0015, "NONCE", *_BYTES),
    Attribute(0x0016, "XOR-RELAYED-ADDRESS", *_MASKED),
    Attribute(0x0017, "REQUESTED-ADDRESS-FAMILY", *_NUMBER_32),
    Attribute(0x0019, "REQUESTED-TRANSPORT", *_NUMBER_32),
    Attribute(0x0020, "XOR-MAPPED-ADDRESS", *_MASKED),
    Attribute(0x0024, "PRIORITY", *_NUMBER_32),
    Attribute(0x0025, "USE-CANDIDATE", *_FLAG),
    Attribute(0x002A, "CONNECTION-ID", *_NUMBER_32),
    Attribute(0x8022, "SOFTWARE", *_TEXT),
    Attribute(0x8028, "FINGERPRINT", *_NUMBER_32),
    Attribute(0x8029, "ICE-CONTROLLED", *_NUMBER_64),
    Attribute(0x802A, "ICE-CONTROLLING", *_NUMBER_64),
    Attribute(0x802B, "RESPONSE-ORIGIN", *_MAPPED),
    Attribute(0x802C, "OTHER-ADDRESS", *_MAPPED),
)
BY_NAME: Final = {each.name: each for each in ATTRIBUTES}
BY_NUMBER: Final = {each.number: each for each in ATTRIBUTES}
