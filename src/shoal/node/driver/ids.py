"""What users may write for an account, a device, or either."""

from __future__ import annotations

import string

from shoal.core import AccountId, DecodeError, DeviceId
from shoal.names import is_canonical_name
from shoal.node.errors import UnknownNameError

SCHEMES = ("jami:", "ring:")  # Jami jamiaccount.cpp: what stands before ids in addresses


def account_of(name: AccountId | str) -> AccountId:
    """Return the account that *name* is the id of: 40 hex digits, perhaps after `jami:`.

    Raises:
        UnknownNameError: it is none.
    """
    if isinstance(name, AccountId):
        return name
    try:
        return AccountId.from_hex(bare(name))
    except DecodeError as error:
        raise UnknownNameError(f"no account id: {name[:80]!r}") from error


def device_of(name: DeviceId | str) -> DeviceId:
    """Return the device that *name* is the long id of: 64 hex digits.

    Raises:
        UnknownNameError: it is none.
    """
    if isinstance(name, DeviceId):
        return name
    try:
        return DeviceId.from_hex(name.strip())
    except DecodeError as error:
        raise UnknownNameError(f"no device id: {name[:80]!r}") from error


def target_of(name: AccountId | DeviceId | str) -> AccountId | DeviceId:
    """Return the account or device that *name* is the id of.

    Raises:
        UnknownNameError: it is neither.
    """
    if isinstance(name, AccountId | DeviceId):
        return name
    is_device = len(bare(name)) == 2 * DeviceId.length
    return device_of(bare(name)) if is_device else account_of(name)


def is_hex(text: str) -> bool:
    """Whether *text* is digits of an id, and cannot be a name."""
    return all(c in string.hexdigits for c in text) and not is_canonical_name(text.lower())


def bare(name: str) -> str:
    """Return *name* without the scheme of an address."""
    text = name.strip()
    for scheme in SCHEMES:
        text = text.removeprefix(scheme)
    return text.removeprefix("//")
