"""Announcements of devices."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shoal.core import DecodeError
from shoal.crypto.testing import SeededSuite
from shoal.dht import Value
from shoal.identity.testing import seeded_device
from shoal.identity.wire.announcement import (
    Announcement,
    read_announcement,
    replace_signature,
    sign_announcement,
)
from tests.unit.identity.samples import SHORT, account, account_id

if TYPE_CHECKING:
    from shoal.crypto import SuitePublicKey

ALICE = account("alice")
KEY: SuitePublicKey = ALICE.device.identity.certificate.public_key
VALUE = sign_announcement(KEY, ALICE.keys.account.private_key)


def test_the_data_has_jamis_form() -> None:
    """A map of `dev` and `pk`, in this order, as bin; 583 bytes with a key of 550."""
    data = Announcement.of(KEY).pack()

    assert data.startswith(b"\x82\xa3dev\xc4\x14" + KEY.id + b"\xa2pk\xc5")
    assert len(Announcement(SHORT, bytes(550)).pack()) == 583
    assert Announcement.unpack(data) == Announcement.of(KEY)
    assert Announcement.unpack(data).device == KEY.long_id


def test_only_the_account_announces() -> None:
    """The signer has to be the account under whose key it lies, and to have signed it."""
    assert read_announcement(VALUE, ALICE.keys.id) == Announcement.of(KEY)

    assert VALUE.signature is not None
    wrong = [
        Value(VALUE.data),
        replace_signature(VALUE, b""),
        replace_signature(VALUE, bytes(len(VALUE.signature))),
        Value(b"\xc0", owner=VALUE.owner, signature=VALUE.signature),
    ]
    for value in wrong:
        with pytest.raises(DecodeError):
            read_announcement(value, ALICE.keys.id)
    with pytest.raises(DecodeError, match="not by"):
        read_announcement(VALUE, account_id(1))


def test_simulated_accounts_announce_too() -> None:
    """With the suite's own way to verify."""
    device = seeded_device("alice")
    verify = SeededSuite().verify

    found = read_announcement(device.receipt.announcement, device.chain.account, verify)

    assert found.device == device.chain.device
    assert found.short_id == device.chain.short_id


def test_old_daemons_leave_the_key_out() -> None:
    """Then only the short id is known."""
    old = Announcement(SHORT)

    assert Announcement.unpack(old.pack()) == old
    assert old.device is None


@pytest.mark.parametrize(
    "fields",
    [
        [],
        {"pk": b""},
        {"dev": b"short"},
        {"dev": bytes(20), "pk": KEY.spki},
        {"dev": bytes(20), "pk": bytes(3000)},
    ],
)
def test_what_is_no_announcement(fields: object) -> None:
    """Among them a key that is not the device's."""
    with pytest.raises(DecodeError):
        Announcement.unpack(msgpack.packb(fields))


@given(st.binary(max_size=200))
def test_any_bytes_give_an_announcement_or_an_error(data: bytes) -> None:
    """Everybody may write to the DHT."""
    try:
        Announcement.unpack(data)
    except DecodeError:
        return
