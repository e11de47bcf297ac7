"""The account's own file, and the reminder of a backup."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shoal.core import DecodeError
from shoal.identity.receipt import Receipt
from shoal.identity.record import RECORD_SIZE_MAX, RECOVERY_STEPS, AccountRecord, Backup
from tests.unit.identity.strategies import names

RECEIPT = Receipt('{"id":"x"}', b"signature")


@given(
    st.builds(
        AccountRecord,
        st.builds(Receipt, st.text(min_size=1, max_size=50), st.binary(max_size=50)),
        st.booleans(),
        names,
        st.booleans(),
        st.floats(0, 1e10),
        st.floats(0, 1e10),
        st.dictionaries(names, names, max_size=3),
    )
)
def test_records_round_trip(record: AccountRecord) -> None:
    """The receipt's text to the letter, for it is signed."""
    assert AccountRecord.unpack(record.pack()) == record


def test_a_reminder_until_there_is_a_backup() -> None:
    """And again when something has changed since."""
    record = AccountRecord(RECEIPT)
    assert record.backup is Backup.NONE
    record = record.changed(5.0)
    assert record.backup is Backup.NONE
    record = record.backed_up(10.0)
    assert record.backup is Backup.GOOD
    assert record.changed(11.0).backup is Backup.OUTDATED
    assert any("shoal account import" in step for step in RECOVERY_STEPS)


def test_the_receipt_is_not_shown() -> None:
    """It is as good as a password to the device's announcement."""
    assert "signature" not in repr(AccountRecord(RECEIPT))


@pytest.mark.parametrize(
    "change",
    [
        {"version": 2},
        {"receipt": ""},
        {"receipt": 5},
        {"receipt": "x" * 20_000},
        {"receiptSignature": "!"},
        {"hasPassword": 1},
        {"deviceName": None},
        {"backedUp": -1},
        {"changed": True},
        {"settings": []},
        {"settings": {"a": 1}},
    ],
)
def test_what_is_no_record(change: dict[str, object]) -> None:
    """Each field has its type."""
    fields = {**json.loads(AccountRecord(RECEIPT).pack()), **change}
    with pytest.raises(DecodeError):
        AccountRecord.unpack(json.dumps(fields).encode())


@given(st.binary(max_size=100))
def test_any_bytes_give_a_record_or_an_error(data: bytes) -> None:
    """Disks fail."""
    with pytest.raises(DecodeError):
        AccountRecord.unpack(data)


@pytest.mark.parametrize("data", [b"[" * 5000, b"7", bytes(RECORD_SIZE_MAX + 1)])
def test_deep_flat_and_large_files(data: bytes) -> None:
    """Each is refused."""
    with pytest.raises(DecodeError):
        AccountRecord.unpack(data)
