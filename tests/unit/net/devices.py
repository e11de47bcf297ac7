"""Devices of accounts for tests, made once per process: 2048 bits are the least for TLS."""

from __future__ import annotations

import functools
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from shoal.core import AccountId, DeviceId, InfoHash
from shoal.crypto import Identity, PrivateKey, Profile, self_signed
from shoal.crypto.testing import SeededSuite
from shoal.identity import DeviceChain, check_device
from shoal.sim import SeededEntropy

if TYPE_CHECKING:
    from shoal.crypto.suite import SuiteCertificate

DAY = 86_400.0  # seconds


@functools.cache
def key(number: int) -> PrivateKey:
    """Return one of a few keys, since making them takes a while."""
    return PrivateKey.generate(2048)


@functools.cache
def wall_now() -> float:
    """Return the right time: OpenSSL looks at the clock, whatever we say."""
    return time.time()


@functools.cache
def account(name: str, *, age: float = DAY, validity: float = 10 * DAY) -> Identity:
    """Return the identity of an account, signed by an authority of its own."""
    entropy, born = SeededEntropy(1, name), wall_now() - age
    first = 3 * (sum(name.encode()) % 5)
    authority = self_signed(
        key(first), "Jami CA", entropy=entropy, wall_now=born, validity=validity
    )
    return authority.issue(
        key(first + 1),
        "Jami",
        entropy=entropy,
        wall_now=born,
        profile=Profile.AUTHORITY,
        validity=validity,
    )


@functools.cache
def device(name: str, *, age: float = DAY, validity: float = 10 * DAY) -> Identity:
    """Return a device of the account called *name*."""
    return account(name, age=age, validity=validity).issue(
        key(3 * (sum(name.encode()) % 5) + 2),
        "Jami device",
        entropy=SeededEntropy(2, name),
        wall_now=wall_now() - age,
        profile=Profile.BARE,
        validity=validity,
    )


def chain_of(identity: Identity) -> DeviceChain:
    """Return the checked chain of a device."""
    return check_device(identity.certificate, wall_now())


@dataclass(frozen=True)
class SimulatedPeer:
    """A device whose key is simulated."""

    certificate: SuiteCertificate
    account: AccountId
    device: DeviceId
    short_id: InfoHash


@functools.cache
def simulated(name: str, account_name: str | None = None) -> SimulatedPeer:
    """Return a device that costs nothing to make; its account is that of *account_name*."""
    suite = SeededSuite()
    certificate = suite.identity(name).certificate
    owner = suite.identity(f"account of {account_name or name}").certificate
    return SimulatedPeer(
        certificate, AccountId(owner.id), DeviceId(certificate.long_id), certificate.id
    )
