"""Is this device who it claims to be, and whose is it?

A chain is: the device's certificate, that of its account, and those above it, usually the one
authority that was made for this account alone. What binds a device to an account is the signature
of its direct issuer, and nothing else: not names, not who is further up.

Source: Jami's AccountManager::foundPeerDevice, and section 1.4 of its description. Unlike Jami,
revocations by the account count at once, wherever a chain is checked.
"""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Final, Protocol

from cryptography.exceptions import UnsupportedAlgorithm

from shoal.core import AccountId, DeviceId, InfoHash
from shoal.core.records import dataclass
from shoal.crypto import (
    Certificate,
    ChainProblem,
    InvalidCertificateError,
    TrustList,
    UnsupportedKeyError,
)
from shoal.identity.errors import (
    ChainError,
    CyclicChainError,
    ExpiredError,
    NotAnIssuerError,
    NotYetValidError,
    OversizeChainError,
    RevokedError,
    SelfSignedError,
    UnreadableChainError,
    WeakChainError,
    WrongAccountError,
    WrongDeviceError,
    WrongSignatureError,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from shoal.crypto import SuiteCertificate

CHAIN_SIZE_MAX: Final = 65_536  # OpenDHT value.h: MAX_VALUE_SIZE
CHAIN_LENGTH_MAX: Final = 8  # ours: three in Jami, a few more under an organisation
CERTIFICATE_SIZE_MAX: Final = 16_384  # ours: ten times what Jami's have
_BEGIN: Final = b"-----BEGIN CERTIFICATE-----"
_WEAK_HASHES: Final = frozenset(("md5", "sha1", "sha224"))


class RevocationCheck(Protocol):
    """Whoever knows which certificates were taken back: `shoal.identity.Revocations`."""

    def is_revoked(self, certificate: Certificate, issuer: Certificate) -> bool:
        """Say whether *issuer* has revoked *certificate*."""
        ...


class DeviceCheck(Protocol):
    """A check of device chains, as `check_device` or what stands for it in simulations."""

    def __call__(
        self,
        certificate: SuiteCertificate,
        wall_now: float,
        *,
        account: AccountId | None = None,
        device: DeviceId | None = None,
    ) -> DeviceChain:
        """Return the checked chain, or raise a ChainError."""
        ...


@dataclass(frozen=True, slots=True)
class DeviceChain:
    """A device whose chain was checked.

    Attributes:
        certificate: its certificate, with all issuers.
        account: whose device it is: the id of the direct issuer's key.
        device: its long id.
        short_id: its short id, the one that announcements and inboxes use.
        authority: the id of the topmost key.
    """

    certificate: SuiteCertificate
    account: AccountId
    device: DeviceId
    short_id: InfoHash
    authority: InfoHash

    @property
    def spki(self) -> bytes:
        """The device's public key, DER SubjectPublicKeyInfo."""
        return self.certificate.public_key.spki

    @property
    def issuers(self) -> tuple[InfoHash, ...]:
        """The ids that a permission may name: device, account, and the authority."""
        return (self.short_id, InfoHash(self.account), self.authority)


def parse_chain(data: bytes) -> Certificate:
    """Read a device's chain: PEM blocks, leaf first, perhaps after bytes that are none.

    Raises:
        OversizeChainError: it is larger than any real chain.
        UnreadableChainError: it is no chain.
    """
    if len(data) > CHAIN_SIZE_MAX or data.count(_BEGIN) > CHAIN_LENGTH_MAX:
        raise OversizeChainError(f"a chain of {len(data)} bytes, {data.count(_BEGIN)} certificates")
    try:
        return Certificate.parse(data)
    except (InvalidCertificateError, UnsupportedKeyError) as error:
        raise UnreadableChainError(str(error)) from error


def check_device(
    certificate: Certificate,
    wall_now: float,
    *,
    account: AccountId | None = None,
    device: DeviceId | None = None,
    revocations: RevocationCheck | None = None,
) -> DeviceChain:
    """Return whose device *certificate* is for, once its chain has been proven.

    With *account* or *device* it has to be that account's, or that device. *revocations* is asked
    about each link.

    Raises:
        ChainError: one of its kinds for each thing that can be wrong; the gravest is named.
    """
    chain = certificate.chain()
    _check_shape(chain)
    _check_strength(chain)
    _check_path(certificate, chain[-1], wall_now)
    if revocations is not None:
        for link, issuer in itertools.pairwise(chain):
            if revocations.is_revoked(link, issuer):
                raise RevokedError(f"the certificate of {link.id} was revoked by {issuer.id}")
    _check_dates(chain, wall_now)
    found = DeviceChain(
        certificate,
        AccountId(chain[1].id),
        DeviceId(certificate.long_id),
        certificate.id,
        chain[-1].id,
    )
    expect(found, account=account, device=device)
    return found


def expect(
    chain: DeviceChain, *, account: AccountId | None = None, device: DeviceId | None = None
) -> None:
    """Insist that *chain* is of that *account* and *device*, where they are given.

    Raises:
        WrongAccountError: it is of another account.
        WrongDeviceError: it is of another device.
    """
    if account is not None and chain.account != account:
        raise WrongAccountError(f"a device of account {chain.account}, not of {account}")
    if device is not None and chain.device != device:
        raise WrongDeviceError(f"device {chain.device}, not {device}")


def _check_shape(chain: Sequence[Certificate]) -> None:
    """Refuse chains too large to look at, self-signed devices, and circles."""
    if len(chain) > CHAIN_LENGTH_MAX or any(len(it.der) > CERTIFICATE_SIZE_MAX for it in chain):
        raise OversizeChainError(f"a chain of {len(chain)} certificates")
    if len(chain) == 1:
        raise SelfSignedError(f"no account vouches for the device {chain[0].long_id}")
    keys = [link.public_key.spki for link in chain]
    if len(set(keys)) < len(keys):
        if keys[0] == keys[1]:
            raise SelfSignedError(f"the device {chain[0].long_id} vouches for itself")
        raise CyclicChainError(f"a chain of {len(keys)} certificates with {len(set(keys))} keys")


def _check_strength(chain: Sequence[Certificate]) -> None:
    """Refuse signatures with hashes that can be forged, below the topmost certificate."""
    for link in chain[:-1]:
        if (algorithm := _hash_of(link)) in _WEAK_HASHES:
            raise WeakChainError(f"the certificate of {link.id} is signed with {algorithm}")


def _hash_of(certificate: Certificate) -> str:
    """Return the name of the hash under a certificate's signature; nothing for unknown ones."""
    try:
        algorithm = certificate.native.signature_hash_algorithm
    except (UnsupportedAlgorithm, ValueError):
        return ""
    return "" if algorithm is None else algorithm.name


def _check_path(certificate: Certificate, top: Certificate, wall_now: float) -> None:
    """Prove the chain up to *top*, the only certificate that is taken on trust."""
    trusted = TrustList()
    trusted.add(top, with_issuers=False)
    problems = trusted.verify(certificate, wall_now)
    wrong: list[tuple[ChainProblem, type[ChainError], str]] = [
        (ChainProblem.KEY_WEAK, WeakChainError, "a key of less than 2048 bits"),
        (ChainProblem.SIGNATURE_WRONG, WrongSignatureError, "a signature is not by the issuer"),
        (ChainProblem.ISSUER_NOT_CA, NotAnIssuerError, "an issuer is no authority"),
        (ChainProblem.PATH_TOO_LONG, NotAnIssuerError, "more authorities than one allows"),
        (ChainProblem.EXTENSION_UNKNOWN, NotAnIssuerError, "a critical extension is unknown"),
    ]
    for problem, error, words in wrong:
        if problem in problems:
            raise error(words)


def _check_dates(chain: Sequence[Certificate], wall_now: float) -> None:
    """Refuse certificates of the future and of the past."""
    for link in chain:
        early, late = link.wall_not_before - wall_now, wall_now - link.wall_not_after
        if early > 0:
            raise NotYetValidError(f"the certificate of {link.id} begins in {early:.0f} s", early)
        if late > 0:
            raise ExpiredError(f"the certificate of {link.id} ended {late:.0f} s ago", late)
