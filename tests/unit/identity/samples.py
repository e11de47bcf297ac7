"""Accounts for tests: made once per run, with keys as small as chains may have."""

from __future__ import annotations

import functools
import itertools
from typing import TYPE_CHECKING, Final

from shoal.core import AccountId, DeviceId, InfoHash
from shoal.crypto import Identity, PrivateKey, Profile, self_signed
from shoal.identity.account import DeviceCredentials, NewAccount, certify_device, create_account
from shoal.identity.testing import seeded_device
from shoal.sim.entropy import SeededEntropy

if TYPE_CHECKING:
    from shoal.identity.chain import DeviceChain

WALL: Final = 1_800_000_000.0  # January 2027
DAY: Final = 86_400.0
YEAR: Final = 365 * DAY
BITS: Final = 2048


@functools.cache
def account(name: str) -> NewAccount:
    """Return the account called *name*, with RSA-2048 keys."""
    return create_account(SeededEntropy(1, name), WALL, bits=BITS)


@functools.cache
def rsa_key(name: str, bits: int = BITS) -> PrivateKey:
    """Return the key called *name*."""
    return PrivateKey.generate(bits)


@functools.cache
def second_device(name: str) -> DeviceCredentials:
    """Return another device of the account called *name*."""
    return certify_device(
        account(name).keys, rsa_key(f"{name} 2"), entropy=SeededEntropy(2, name), wall_now=WALL
    )


def authority(name: str = "ca", wall_now: float = WALL) -> Identity:
    """Return a fresh P-384 authority of its own."""
    return self_signed(
        PrivateKey.generate_ec(), name, entropy=SeededEntropy(3, name), wall_now=wall_now
    )


def under(
    issuer: Identity,
    name: str,
    *,
    is_ca: bool = False,
    wall_now: float = WALL,
    key: PrivateKey | None = None,
    validity: float = 10 * YEAR,
) -> Identity:
    """Return an identity that *issuer* certified, with a fresh P-384 key or *key*."""
    return issuer.issue(
        key or PrivateKey.generate_ec(),
        name,
        entropy=SeededEntropy(4, name),
        wall_now=wall_now,
        profile=Profile.AUTHORITY if is_ca else Profile.BARE,
        validity=validity,
    )


def account_id(number: int) -> AccountId:
    """Return a made-up account."""
    return AccountId(number.to_bytes(20))


def device_id(number: int) -> DeviceId:
    """Return a made-up device."""
    return DeviceId(number.to_bytes(32))


def chain(name: str, device: str = "device") -> DeviceChain:
    """Return the checked chain of a simulated device."""
    return seeded_device(name, device).chain


CONVERSATIONS: Final = tuple(f"{digit}" * 40 for digit in "123456789abcdef")
SERIALS: Final = itertools.count(1)
SHORT: Final = InfoHash(bytes(range(20)))
