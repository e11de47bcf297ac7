"""People with accounts and devices, made once per process, with keys as small as are believed."""

from __future__ import annotations

import functools
from dataclasses import dataclass

from shoal.crypto import PrivateKey
from shoal.identity import (
    AccountKeys,
    DeviceChain,
    DeviceCredentials,
    certify_device,
    check_device,
    check_receipt,
    create_account,
)
from shoal.sim import SeededEntropy

WALL_NOW = 1_790_000_000.0
BITS = 2048  # less is not believed


@dataclass(frozen=True)
class DeviceOf:
    """A device, and the secrets of its account."""

    keys: AccountKeys
    credentials: DeviceCredentials

    @property
    def chain(self) -> DeviceChain:
        """Its chain, checked."""
        return check_device(self.credentials.identity.certificate, WALL_NOW)


def device(person: str, number: int = 0) -> DeviceOf:
    """Return a device of *person*; each has any number of them."""
    return _device(person, number)


@functools.cache
def _device(person: str, number: int) -> DeviceOf:
    entropy = SeededEntropy(1, person, number)
    if number == 0:
        account = create_account(entropy, WALL_NOW - 3600, bits=BITS)
        return DeviceOf(account.keys, account.device)
    keys = device(person).keys
    key = PrivateKey.generate(BITS)
    credentials = certify_device(keys, key, entropy=entropy, wall_now=WALL_NOW - 60)
    return DeviceOf(keys, credentials)


def announcement(of: DeviceOf) -> object:
    """Return the value that announces a device."""
    credentials = of.credentials
    return check_receipt(credentials.receipt, credentials.identity.certificate).announcement
