"""NAT-PMP's twelve and sixteen bytes."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shoal.core import DecodeError
from shoal.net.mapping import natpmp
from shoal.net.mapping.natpmp import Mapping, PublicAddress


def test_requests() -> None:
    """RFC 6886 sections 3.2 to 3.4."""
    assert natpmp.ask_public_address() == b"\0\0"
    wanted = natpmp.ask_mapping(is_tcp=True, internal=4444, external=10_001, lifetime=3600)
    assert wanted == bytes.fromhex("00020000115c271100000e10")
    ended = natpmp.ask_mapping(is_tcp=False, internal=4444, external=0, lifetime=0)
    assert ended == bytes.fromhex("00010000115c000000000000")


def test_responses() -> None:
    """The public address, a mapping, an error."""
    assert natpmp.decode(bytes.fromhex("0080000000000064 2c800001")) == PublicAddress(
        0, 100, bytes([44, 128, 0, 1])
    )
    assert natpmp.decode(bytes.fromhex("0082000000000064 115c2711 00000e10")) == Mapping(
        True, 0, 100, 4444, 10_001, 3600
    )
    assert natpmp.decode(bytes.fromhex("0081000200000064 115c0000 00000000")) == Mapping(
        False, 2, 100, 4444, 0, 0
    )
    assert natpmp.decode(bytes.fromhex("0080000300000064")) == PublicAddress(3, 100, b"")


@pytest.mark.parametrize(
    "data",
    ["", "00800000", "0080000000000064", "0280000000000064 2c800001", "0000000000000064 2c800001",
     "0083000000000064 115c2711 00000e10", "0082000000000064 115c2711"],
)  # fmt: skip
def test_what_is_none(data: str) -> None:
    """Too short, another version, a request, another opcode."""
    with pytest.raises(DecodeError):
        natpmp.decode(bytes.fromhex(data))


@given(st.binary(max_size=24) | st.binary(max_size=20).map(lambda tail: b"\0\x82\0\0" + tail))
def test_any_bytes(data: bytes) -> None:
    """A response or a DecodeError."""
    try:
        natpmp.decode(data)
    except DecodeError:
        return
