"""Accounts and devices for simulations: deterministic, of no cost, and NOT SECURE.

Chains of `shoal.crypto.testing`, whose signatures cost microseconds, with the check that fits them.
Receipts, announcements, requests, contacts and all else are those of production.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from shoal.core import AccountId, DeviceId
from shoal.core.records import dataclass
from shoal.crypto.testing import SeededCertificate, SeededIdentity, SeededSuite
from shoal.identity.chain import DeviceChain, expect
from shoal.identity.errors import SelfSignedError, UnreadableChainError
from shoal.identity.receipt import CheckedReceipt
from shoal.identity.wire.announcement import sign_announcement

if TYPE_CHECKING:
    from shoal.core import InfoHash
    from shoal.crypto import SuiteCertificate

_SUITE: Final = SeededSuite()
_NO_ADDRESS: Final = "0" * 40  # ours: simulations have no name servers


@dataclass(frozen=True, slots=True)
class SeededDevice:
    """A device of a simulated account.

    Attributes:
        identity: its key and chain.
        chain: the chain as others see it once they have checked it.
        receipt: what its receipt says: the announcement above all.
    """

    identity: SeededIdentity
    chain: DeviceChain
    receipt: CheckedReceipt


def seeded_device(account: str, device: str = "device", seed: int = 0) -> SeededDevice:
    """Return the device of that name, of the account of that name, in the world of *seed*."""
    above = _SUITE.identity(f"{account} CA", seed).certificate
    owner = _SUITE.identity(account, seed)
    identity = _SUITE.identity(f"{account}/{device}", seed)
    issuer = SeededCertificate(account, owner.certificate.public_key, above)
    certificate = SeededCertificate(device, identity.certificate.public_key, issuer)
    announcement = sign_announcement(certificate.public_key, owner.private_key)
    return SeededDevice(
        SeededIdentity(identity.private_key, certificate),
        check_seeded_device(certificate, 0.0),
        CheckedReceipt(AccountId(owner.certificate.id), announcement, _NO_ADDRESS),
    )


def check_seeded_device(
    certificate: SuiteCertificate,
    wall_now: float,
    *,
    account: AccountId | None = None,
    device: DeviceId | None = None,
) -> DeviceChain:
    """Do for simulated chains what `check_device` does for real ones.

    Raises:
        ChainError: the chain has no account, or not that *account*, or is of another *device*.
    """
    if not isinstance(certificate, SeededCertificate):
        raise UnreadableChainError("not a simulated certificate")
    if certificate.issuer is None:
        raise SelfSignedError(f"no account vouches for the device {certificate.long_id}")
    top: InfoHash = (certificate.issuer.issuer or certificate.issuer).id
    chain = DeviceChain(
        certificate,
        AccountId(certificate.issuer.id),
        DeviceId(certificate.long_id),
        certificate.id,
        top,
    )
    expect(chain, account=account, device=device)
    return chain
