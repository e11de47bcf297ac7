"""Simulated accounts."""

from __future__ import annotations

import pytest

from shoal.core import AccountId
from shoal.crypto.testing import SeededSuite
from shoal.identity.errors import (
    SelfSignedError,
    UnreadableChainError,
    WrongAccountError,
    WrongDeviceError,
)
from shoal.identity.testing import check_seeded_device, seeded_device
from tests.unit.identity.samples import account, account_id, device_id

SUITE = SeededSuite()


def test_devices_of_one_account() -> None:
    """The same each time, and their chains survive the DHT."""
    laptop, phone = seeded_device("alice", "laptop"), seeded_device("alice", "phone")

    assert laptop == seeded_device("alice", "laptop")
    assert laptop.chain.account == phone.chain.account == laptop.receipt.account
    assert laptop.chain.device != phone.chain.device
    assert laptop.chain.device == laptop.identity.certificate.long_id
    read = SUITE.parse_certificate(laptop.identity.certificate.to_pem().encode())
    assert check_seeded_device(read, 0.0, account=laptop.chain.account) == laptop.chain
    assert seeded_device("alice", "laptop", seed=1).chain.account != laptop.chain.account


def test_what_is_refused() -> None:
    """As in reality: no account, another account, another device, other certificates."""
    chain = seeded_device("alice").chain
    alone = SUITE.identity("alone").certificate

    with pytest.raises(SelfSignedError):
        check_seeded_device(alone, 0.0)
    with pytest.raises(UnreadableChainError):
        check_seeded_device(account("alice").device.identity.certificate, 0.0)
    with pytest.raises(WrongAccountError):
        check_seeded_device(chain.certificate, 0.0, account=AccountId(account_id(1)))
    with pytest.raises(WrongDeviceError):
        check_seeded_device(chain.certificate, 0.0, device=device_id(1))
