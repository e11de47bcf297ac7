"""What an account remembers besides Jami's files: `account.json`, ours.

Jami keeps the same in its `config.yml`: above all the device receipt, without which a device cannot
start. Settings stand under Jami's names.

| key | value |
| --- | --- |
| `version` | 1 |
| `receipt`, `receiptSignature` | text as it was signed; base64 |
| `hasPassword` | whether the archive asks for one |
| `deviceName` | what this device is called |
| `isEnabled` | whether the account is started with the node |
| `backedUp`, `changed` | seconds since 1970; 0 for never |
| `settings` | object of texts |
"""

from __future__ import annotations

import base64
import binascii
import enum
import json
from dataclasses import field, replace
from typing import TYPE_CHECKING, Final

from shoal.core import DecodeError
from shoal.core.records import dataclass
from shoal.identity.receipt import RECEIPT_SIZE_MAX, SIGNATURE_SIZE_MAX, Receipt

if TYPE_CHECKING:
    from collections.abc import Mapping

RECORD_SIZE_MAX: Final = 1024 * 1024  # ours: settings of any account are some kilobytes
VERSION: Final = 1  # ours
_WALL_MAX: Final = 253_402_300_800.0  # ours: the year 10000


class Backup(enum.Enum):
    """Whether the account would survive the loss of this device."""

    NONE = "no backup exists yet"
    OUTDATED = "the backup is older than the last change"
    GOOD = "a backup exists"


RECOVERY_STEPS: Final = (
    "Export the account to a file: `shoal account export ID FILE`.",
    "Keep the file where this device is not: on another disk, or printed with its password apart.",
    "To recover, install Shoal or Jami and import it: `shoal account import FILE`.",
    "Nobody can reset the password or give the account back: without file or device it is gone.",
)


@dataclass(frozen=True, slots=True)
class AccountRecord:
    """The account's entry, as it is on disk.

    Attributes:
        receipt: proves, without the account's key, that this device belongs to it.
        has_password: whether the archive asks for one.
        device_name: what this device is called.
        is_enabled: whether the account is started with the node.
        wall_backed_up: when it was exported the last time; 0 for never.
        wall_changed: when something changed that a backup holds.
        settings: settings under Jami's names.
    """

    receipt: Receipt = field(repr=False)
    has_password: bool = False
    device_name: str = ""
    is_enabled: bool = True
    wall_backed_up: float = 0.0
    wall_changed: float = 0.0
    settings: Mapping[str, str] = field(default_factory=dict, repr=False)

    @property
    def backup(self) -> Backup:
        """Whether the user should be reminded of making a backup."""
        if not self.wall_backed_up:
            return Backup.NONE
        return Backup.OUTDATED if self.wall_changed > self.wall_backed_up else Backup.GOOD

    def backed_up(self, wall_now: float) -> AccountRecord:
        """Return the record after an export."""
        return replace(self, wall_backed_up=wall_now)

    def changed(self, wall_now: float) -> AccountRecord:
        """Return the record after a change of contacts, devices, settings or password."""
        return replace(self, wall_changed=wall_now)

    def pack(self) -> bytes:
        """Return the file's content."""
        fields = {
            "version": VERSION,
            "receipt": self.receipt.text,
            "receiptSignature": base64.b64encode(self.receipt.signature).decode(),
            "hasPassword": self.has_password,
            "deviceName": self.device_name,
            "isEnabled": self.is_enabled,
            "backedUp": self.wall_backed_up,
            "changed": self.wall_changed,
            "settings": dict(self.settings),
        }
        return json.dumps(fields, indent=1).encode() + b"\n"

    @classmethod
    def unpack(cls, data: bytes) -> AccountRecord:
        """Read the file.

        Raises:
            DecodeError: it is none, or of a later version.
        """
        if len(data) > RECORD_SIZE_MAX:
            raise DecodeError(f"a record of {len(data)} bytes; {RECORD_SIZE_MAX} at most")
        try:
            fields = json.loads(data)
        except (ValueError, RecursionError) as error:
            raise DecodeError("a record that is not JSON") from error
        if not isinstance(fields, dict) or fields.get("version") != VERSION:
            raise DecodeError(f"not a record of version {VERSION}")
        settings = fields.get("settings", {})
        if not isinstance(settings, dict) or not all(
            isinstance(text, str) for text in settings.values()
        ):
            raise DecodeError("settings that are not texts")
        return cls(
            _read_receipt(fields),
            _read_flag(fields, "hasPassword", default=False),
            _read_text(fields, "deviceName"),
            _read_flag(fields, "isEnabled", default=True),
            _read_wall(fields, "backedUp"),
            _read_wall(fields, "changed"),
            settings,
        )


def _read_receipt(fields: Mapping[str, object]) -> Receipt:
    """Return the receipt, unchecked."""
    text = _read_text(fields, "receipt")
    try:
        signature = base64.b64decode(_read_text(fields, "receiptSignature"), validate=True)
    except (binascii.Error, ValueError) as error:
        raise DecodeError("a receipt's signature that is not base64") from error
    if not text or len(text) > RECEIPT_SIZE_MAX or len(signature) > SIGNATURE_SIZE_MAX:
        raise DecodeError("no receipt, or one that is too large")
    return Receipt(text, signature)


def _read_flag(fields: Mapping[str, object], name: str, *, default: bool) -> bool:
    """Return a boolean."""
    flag = fields.get(name, default)
    if not isinstance(flag, bool):
        raise DecodeError(f"{name} that is not a boolean")
    return flag


def _read_text(fields: Mapping[str, object], name: str) -> str:
    """Return a text."""
    text = fields.get(name, "")
    if not isinstance(text, str):
        raise DecodeError(f"{name} that is not text")
    return text


def _read_wall(fields: Mapping[str, object], name: str) -> float:
    """Return seconds since 1970."""
    wall = fields.get(name, 0)
    if isinstance(wall, bool) or not isinstance(wall, int | float) or not 0 <= wall < _WALL_MAX:
        raise DecodeError(f"{name} that is not a time")
    return float(wall)
