"""NAT-PMP's messages (RFC 6886 section 3). All numbers are big-endian.

request   0 (1)  opcode (1)                                        public address: opcode 0
0 (1)  opcode (1)  0 (2)  internal port (2)  external port (2)  lifetime (4)
response  0 (1)  128 + opcode (1)  result (2)  seconds of epoch (4)
then the public address (4), or internal port (2)  external port (2)  lifetime (4)
"""

from __future__ import annotations

import struct
from typing import Final

from shoal.core import DecodeError
from shoal.core.records import dataclass

PORT: Final = 5351  # RFC 6886 section 3.1
PUBLIC_ADDRESS: Final = 0  # RFC 6886 section 3.2
MAP_UDP: Final = 1  # RFC 6886 section 3.3
MAP_TCP: Final = 2  # RFC 6886 section 3.3
_RESPONSE: Final = 128  # RFC 6886 section 3.1: added to the opcode

_HEADER: Final = struct.Struct("!BBHL")
_MAPPING: Final = struct.Struct("!HHL")
_REQUEST: Final = struct.Struct("!BBHHHL")


@dataclass(frozen=True, slots=True)
class PublicAddress:
    """The router's address on the other side."""

    result: int
    epoch: int
    ip: bytes


@dataclass(frozen=True, slots=True)
class Mapping:
    """What the router made of a request."""

    is_tcp: bool
    result: int
    epoch: int
    internal: int
    external: int
    lifetime: int


def ask_public_address() -> bytes:
    """Write the question for the router's public address."""
    return bytes((0, PUBLIC_ADDRESS))


def ask_mapping(*, is_tcp: bool, internal: int, external: int, lifetime: int) -> bytes:
    """Write the request to map a port; with no external port and no lifetime, to end that."""
    return _REQUEST.pack(0, MAP_TCP if is_tcp else MAP_UDP, 0, internal, external, lifetime)


def decode(data: bytes) -> PublicAddress | Mapping:
    """Read a response.

    Raises:
        DecodeError: it is none.
    """
    if len(data) < _HEADER.size:
        raise DecodeError("NAT-PMP response too short")
    version, opcode, result, epoch = _HEADER.unpack_from(data)
    body = data[_HEADER.size :]
    if version != 0 or opcode < _RESPONSE:
        raise DecodeError("not a NAT-PMP response")
    opcode -= _RESPONSE
    if opcode == PUBLIC_ADDRESS:
        if result == 0 and len(body) < 4:  # noqa: PLR2004 - bytes of IPv4
            raise DecodeError("NAT-PMP response without address")
        return PublicAddress(result, epoch, body[:4])
    if opcode not in {MAP_UDP, MAP_TCP} or len(body) < _MAPPING.size:
        raise DecodeError("NAT-PMP response to something else")
    internal, external, lifetime = _MAPPING.unpack_from(body)
    return Mapping(opcode == MAP_TCP, result, epoch, internal, external, lifetime)
