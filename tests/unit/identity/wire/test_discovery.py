"""The service `jami` of local discovery."""

from __future__ import annotations

import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shoal.core import AccountId, DecodeError
from shoal.identity.wire.discovery import JAMI_SERVICE, NearbyAccount
from tests.unit.identity.strategies import account_ids, names

# Sent by jamid 13.7; reference, appendix A.9.
SAMPLE = bytes.fromhex("81a46a616d6992c414693763e5b6705432e2212a002d946980e1972493a24341")
ACCOUNT = AccountId.from_hex("693763e5b6705432e2212a002d946980e1972493")


def test_what_jami_sent_is_read_and_written() -> None:
    """Within the map of services."""
    payload = SAMPLE[len(b"\x81\xa4jami") :]
    found = NearbyAccount.unpack(payload)

    assert found == NearbyAccount(ACCOUNT, "CA")
    assert found.pack() == payload
    assert list(msgpack.unpackb(SAMPLE)) == [JAMI_SERVICE]


@given(account_ids, names)
def test_announcements_round_trip(account: AccountId, name: str) -> None:
    """Names of any letters."""
    nearby = NearbyAccount(account, name)

    assert NearbyAccount.unpack(nearby.pack()) == nearby


@pytest.mark.parametrize("item", [[], [bytes(20)], [b"short", "x"], [bytes(20), 5], {}])
def test_what_is_no_announcement(item: object) -> None:
    """Other shapes."""
    with pytest.raises(DecodeError):
        NearbyAccount.unpack(msgpack.packb(item))


@given(st.binary(max_size=100))
def test_any_bytes_give_an_account_or_an_error(data: bytes) -> None:
    """Anybody on the network may send them."""
    try:
        NearbyAccount.unpack(data)
    except DecodeError:
        return
