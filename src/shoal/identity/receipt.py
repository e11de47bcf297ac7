"""The device receipt: made once with the account's key, so that a device never needs that key.

It holds the device's announcement, signed in advance, and is signed itself, as text:

    {"id":"ACCOUNT","dev":"SHORT DEVICE ID","eth":"CHAIN ADDRESS","announce":"BASE64"}

in exactly this order and without spaces. The text is kept as it was signed, never written anew.

Source: Jami ArchiveAccountManager::makeReceipt and AccountManager::useIdentity; reference 1.7.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
from typing import TYPE_CHECKING, Final

from shoal.core import AccountId, DecodeError, InfoHash
from shoal.core.records import dataclass
from shoal.dht import Value
from shoal.identity.errors import ReceiptError
from shoal.identity.wire.announcement import (
    Announcement,
    read_announcement,
    sign_announcement,
)

if TYPE_CHECKING:
    from shoal.crypto import Certificate, SuitePrivateKey, SuitePublicKey

RECEIPT_SIZE_MAX: Final = 16_384  # ours: four times what real ones have
SIGNATURE_SIZE_MAX: Final = 1024  # bytes of a signature with the largest key that we use
_CHAIN_ADDRESS: Final = re.compile(r"(0x)?[0-9a-fA-F]{40}|")


@dataclass(frozen=True, slots=True)
class Receipt:
    """A receipt as it is kept: the text that was signed, and the signature."""

    text: str
    signature: bytes


@dataclass(frozen=True, slots=True)
class CheckedReceipt:
    """What a receipt says, once it was checked.

    Attributes:
        account: the account's id.
        announcement: the value to put at the account's key; its id is still to be chosen.
        chain_address: the account's address at name servers, 40 hex digits without 0x.
    """

    account: AccountId
    announcement: Value
    chain_address: str


def make_receipt(account: SuitePrivateKey, device: SuitePublicKey, chain_address: str) -> Receipt:
    """Return the receipt of *device*; two signatures of some milliseconds each."""
    announcement = sign_announcement(device, account)
    text = json.dumps(
        {
            "id": str(account.public_key.id),
            "dev": str(device.id),
            "eth": chain_address,
            "announce": base64.b64encode(announcement.packed()).decode(),
        },
        separators=(",", ":"),
    )
    return Receipt(text, account.sign(text.encode()))


def check_receipt(receipt: Receipt, certificate: Certificate) -> CheckedReceipt:
    """Return what *receipt* says of the device with this *certificate*, or refuse it.

    Raises:
        ReceiptError: it is of another device or account, or a signature is wrong.
    """
    if certificate.issuer is None:
        raise ReceiptError("the device's certificate comes without that of its account")
    account_key = certificate.issuer.public_key
    if len(receipt.text) > RECEIPT_SIZE_MAX or len(receipt.signature) > SIGNATURE_SIZE_MAX:
        raise ReceiptError("the receipt is too large")
    if not certificate.is_signed_by(account_key):
        raise ReceiptError("the device's certificate is not signed by the account")
    if not account_key.verify(receipt.text.encode(), receipt.signature):
        raise ReceiptError("the receipt is not signed by the account")
    fields = _read(receipt.text)
    if fields["id"] != str(account_key.id):
        raise ReceiptError(f"the receipt is of account {fields['id'][:40]}")
    if fields["dev"] != str(certificate.id):
        raise ReceiptError(f"the receipt is of device {fields['dev'][:40]}")
    account = AccountId(account_key.id)
    value = _read_announcement(fields["announce"], account, certificate.id)
    return CheckedReceipt(account, value, fields["eth"].removeprefix("0x").lower())


def _read(text: str) -> dict[str, str]:
    """Return the four fields of a receipt's text."""
    try:
        fields = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ReceiptError("the receipt is not JSON") from error
    wanted = ("id", "dev", "eth", "announce")
    if not isinstance(fields, dict) or not all(isinstance(fields.get(it), str) for it in wanted):
        raise ReceiptError("the receipt lacks a field")
    if _CHAIN_ADDRESS.fullmatch(fields["eth"]) is None:
        raise ReceiptError("the receipt's chain address is none")
    return {name: fields[name] for name in wanted}


def _read_announcement(text: str, account: AccountId, device: InfoHash) -> Value:
    """Return the announcement in a receipt, which has to be of *device*."""
    try:
        value = Value.unpack(base64.b64decode(text, validate=True))
        announcement: Announcement = read_announcement(value, account)
    except (binascii.Error, DecodeError) as error:
        raise ReceiptError(f"the receipt's announcement: {error}") from error
    if announcement.short_id != device:
        raise ReceiptError(f"the receipt announces device {announcement.short_id}")
    return value
