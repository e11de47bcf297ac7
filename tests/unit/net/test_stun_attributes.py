"""What STUN attributes hold, beside another library's codec."""

from __future__ import annotations

import struct
from typing import Any

import pytest
from aioice.stun import ATTRIBUTES as OTHERS
from hypothesis import given
from hypothesis import strategies as st

from shoal.core import Address
from shoal.net.stun_attributes import ATTRIBUTES, BY_NAME, BY_NUMBER

TRANSACTION = bytes(range(12))
SAMPLES: dict[str, Any] = {
    "ERROR-CODE": (438, "Stale Nonce, wörtlich"),
    "CHANNEL-NUMBER": 0x4001,
    "USE-CANDIDATE": None,
    "ICE-CONTROLLED": 2**64 - 3,
    "ICE-CONTROLLING": 1,
    **dict.fromkeys(("USERNAME", "REALM", "SOFTWARE"), "ä:b"),
    **dict.fromkeys(("DATA", "NONCE", "MESSAGE-INTEGRITY"), b"\x00\xff"),
}
HOSTS = ("192.0.2.1", "2001:db8::7")
XOR = ("XOR-MAPPED-ADDRESS", "XOR-PEER-ADDRESS", "XOR-RELAYED-ADDRESS")


@pytest.mark.parametrize("other", OTHERS, ids=[each[1] for each in OTHERS])
def test_values_are_written_as_another_library_does(other: Any) -> None:
    """Each of its attributes has our number and name, and the same bytes both ways."""
    number, name, pack, unpack = other
    ours = BY_NUMBER[number]
    assert ours is BY_NAME[name]
    more = (TRANSACTION,) if name in XOR else ()
    if name.endswith(("ADDRESS", "ORIGIN")):
        for host in HOSTS:
            data = ours.pack(Address.parse(host, 45_561), TRANSACTION)
            assert data == pack((host, 45_561), *more)
            assert ours.unpack(data, TRANSACTION) == Address.parse(*unpack(data, *more))
        return
    value = SAMPLES.get(name, 0xDEADBEEF)
    data = ours.pack(value, TRANSACTION)
    assert data == pack(value)
    assert ours.unpack(data, TRANSACTION) == unpack(data) == value


def test_what_the_other_library_lacks() -> None:
    """Attributes of RFC 6062 and 8656."""
    known = {each[0] for each in OTHERS}
    more = {each.name: each for each in ATTRIBUTES if each.number not in known}
    assert set(more) == {"UNKNOWN-ATTRIBUTES", "REQUESTED-ADDRESS-FAMILY", "CONNECTION-ID"}
    assert more["CONNECTION-ID"].pack(7, TRANSACTION) == bytes((0, 0, 0, 7))
    assert more["UNKNOWN-ATTRIBUTES"].unpack(b"\x70\x01", TRANSACTION) == b"\x70\x01"


@pytest.mark.parametrize("name", ["MAPPED-ADDRESS", "XOR-MAPPED-ADDRESS"])
def test_mapped_addresses_are_those_of_ipv4(name: str) -> None:
    """An IPv4 address in an IPv6 one, as dual-stack servers see us."""
    attribute = BY_NAME[name]
    mapped = Address(bytes(10) + b"\xff\xff" + bytes((192, 0, 2, 1)), 80)
    data = attribute.pack(mapped, TRANSACTION)
    assert attribute.unpack(data, TRANSACTION) == Address.parse("192.0.2.1", 80)


@given(st.sampled_from(ATTRIBUTES), st.binary(max_size=32))
def test_any_bytes_are_a_value_or_an_error(attribute: Any, data: bytes) -> None:
    """Errors are of two kinds, and values can be written again."""
    try:
        value = attribute.unpack(data, TRANSACTION)
    except (ValueError, struct.error):
        return
    attribute.pack(value, TRANSACTION)
