"""What users may write for accounts and devices."""

from __future__ import annotations

import pytest

from shoal.core import AccountId, DeviceId
from shoal.node.driver.ids import account_of, device_of, target_of
from shoal.node.errors import UnknownNameError

ACCOUNT, DEVICE = AccountId(bytes(range(20))), DeviceId(bytes(range(32)))


@pytest.mark.parametrize("name", [ACCOUNT, str(ACCOUNT), f" jami:{ACCOUNT} ", f"ring://{ACCOUNT}"])
def test_accounts_have_ids_with_or_without_scheme(name: AccountId | str) -> None:
    """As Jami writes them."""
    assert account_of(name) == target_of(name) == ACCOUNT


@pytest.mark.parametrize("name", [DEVICE, str(DEVICE), f"jami:{DEVICE}"])
def test_devices_are_told_by_their_length(name: DeviceId | str) -> None:
    """64 digits."""
    assert target_of(name) == DEVICE
    assert device_of(DEVICE) == device_of(str(DEVICE)) == DEVICE


def test_everything_else_is_refused() -> None:
    """With what was written."""
    for read in (account_of, device_of, target_of):
        with pytest.raises(UnknownNameError, match="'alice'"):
            read("alice")
