"""Revocation lists in the DHT."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shoal.core import DecodeError
from shoal.crypto import revoke
from shoal.identity.wire.revocations import pack_revocations, unpack_revocations
from tests.unit.identity.samples import WALL, account

ALICE = account("alice")
LIST = revoke([ALICE.device.identity.certificate], ALICE.keys.account, number=5, wall_now=WALL)


def test_a_list_is_a_bin_of_der() -> None:
    """`c5` and two bytes of length, as the 714 bytes of a real one."""
    data = pack_revocations(LIST)

    assert data == b"\xc5" + len(LIST.der).to_bytes(2) + LIST.der
    assert unpack_revocations(data) == LIST


@pytest.mark.parametrize("data", [b"", b"\x80", b"\xc4\x03abc", b"\xa3abc"])
def test_what_is_no_list(data: bytes) -> None:
    """Neither bin nor DER."""
    with pytest.raises(DecodeError):
        unpack_revocations(data)


@given(st.binary(max_size=100) | st.integers(0, 800).map(lambda n: pack_revocations(LIST)[:n]))
def test_any_bytes_give_a_list_or_an_error(data: bytes) -> None:
    """Anybody may put values at an account's key."""
    try:
        unpack_revocations(data)
    except DecodeError:
        return
