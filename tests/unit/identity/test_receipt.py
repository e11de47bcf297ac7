"""Device receipts: made once, checked at each start."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shoal.dht import Value
from shoal.identity.errors import ReceiptError
from shoal.identity.receipt import RECEIPT_SIZE_MAX, Receipt, check_receipt, make_receipt
from shoal.identity.wire.announcement import read_announcement
from tests.unit.identity.samples import account, second_device

ALICE = account("alice")
CERTIFICATE = ALICE.device.identity.certificate
OWNER = ALICE.keys.account.private_key


def test_a_receipt_holds_what_a_device_needs() -> None:
    """Its text has Jami's form to the letter; the announcement in it is signed and ready."""
    receipt = ALICE.device.receipt
    checked = check_receipt(receipt, CERTIFICATE)

    assert list(json.loads(receipt.text)) == ["id", "dev", "eth", "announce"]
    assert receipt.text.startswith(f'{{"id":"{ALICE.keys.id}","dev":"{CERTIFICATE.id}","eth":"')
    assert " " not in receipt.text
    assert checked.account == ALICE.keys.id
    assert checked.chain_address == ALICE.keys.chain_address
    assert checked.announcement.id == 0
    announcement = read_announcement(checked.announcement, ALICE.keys.id)
    assert announcement.device == CERTIFICATE.long_id


def test_another_devices_receipt_is_refused() -> None:
    """Of the same account, and of another one."""
    with pytest.raises(ReceiptError, match="of device"):
        check_receipt(second_device("alice").receipt, CERTIFICATE)
    with pytest.raises(ReceiptError, match="not signed by the account"):
        check_receipt(account("bob").device.receipt, CERTIFICATE)


def test_a_device_without_its_account_is_refused() -> None:
    """There is nobody to check the receipt with."""
    with pytest.raises(ReceiptError, match="without"):
        check_receipt(ALICE.device.receipt, CERTIFICATE.with_issuer(None))


def test_a_certificate_by_another_key_is_refused() -> None:
    """An account's certificate of the same name, with another key."""
    other = account("bob").keys.account.certificate
    native = replace(other, der=ALICE.keys.account.certificate.der)
    forged = replace(CERTIFICATE, issuer=native)

    with pytest.raises(ReceiptError, match="certificate is not signed"):
        check_receipt(ALICE.device.receipt, forged)


def test_an_announcement_in_its_place_has_to_be_its_own() -> None:
    """A receipt that the account signed, with another device's announcement, or with none."""
    fields = json.loads(ALICE.device.receipt.text)
    others = json.loads(second_device("alice").receipt.text)["announce"]
    for announce in (others, "!", "AAAA", 7):
        text = json.dumps({**fields, "announce": announce})
        with pytest.raises(ReceiptError):
            check_receipt(_signed(text), CERTIFICATE)


@pytest.mark.parametrize(
    "change",
    [{"id": "0" * 40}, {"dev": "0" * 40}, {"eth": "not hex"}, {"eth": None}],
)
def test_each_field_is_checked(change: dict[str, object]) -> None:
    """Signed by the account, and wrong all the same."""
    fields = {**json.loads(ALICE.device.receipt.text), **change}

    with pytest.raises(ReceiptError):
        check_receipt(_signed(json.dumps(fields)), CERTIFICATE)


@pytest.mark.parametrize("text", ["", "[]", "{}", "[" * 5000, "x" * (RECEIPT_SIZE_MAX + 1)])
def test_what_is_no_receipt(text: str) -> None:
    """Signed or not, it is refused."""
    with pytest.raises(ReceiptError):
        check_receipt(_signed(text), CERTIFICATE)


def test_an_address_with_0x_is_taken() -> None:
    """Both spellings are about."""
    made = make_receipt(OWNER, CERTIFICATE.public_key, "0x" + "AB" * 20)

    assert check_receipt(made, CERTIFICATE).chain_address == "ab" * 20


@given(st.text(max_size=300), st.binary(max_size=300))
def test_any_receipt_is_checked_or_refused(text: str, signature: bytes) -> None:
    """Files may hold anything."""
    with pytest.raises(ReceiptError):
        check_receipt(Receipt(text, signature), CERTIFICATE)


def test_an_announcement_value_has_jamis_size() -> None:
    """1696 bytes with keys of 4096 bits; two keys and a signature less with 2048."""
    value = check_receipt(ALICE.device.receipt, CERTIFICATE).announcement

    assert len(value.packed()) == 1696 - 2 * 256 - 256
    assert Value.unpack(value.packed()) == value


def _signed(text: str) -> Receipt:
    return Receipt(text, OWNER.sign(text.encode()))
