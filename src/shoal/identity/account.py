"""Making an account and its devices: three keys, three certificates, a receipt.

    authority   CN "Jami CA"      signs itself; made for this account alone
    account     CN "Jami"         signed by the authority; its key's id is the account's id
    device      CN "Jami device"  signed by the account; no extensions

Each is an RSA key of 4096 bits, a second of work or more; `AccountCreation` has the three made in
parallel by whoever runs its jobs, and says how far it is.

Source: Jami ArchiveAccountManager::createNewAccount and OpenDHT crypto.cpp; reference section 1.2.
"""

from __future__ import annotations

import enum
from dataclasses import field, replace
from typing import TYPE_CHECKING, Final, TypeAlias

from shoal.core import AccountId, Compute, DeviceId
from shoal.core.records import dataclass
from shoal.crypto import Identity, PrivateKey, Profile, self_signed
from shoal.crypto.keys import RSA_BITS_DEFAULT
from shoal.crypto.secp256k1 import CHAIN_KEY_LENGTH, chain_address, is_chain_key
from shoal.identity.errors import AccountKeyError
from shoal.identity.receipt import Receipt, make_receipt

if TYPE_CHECKING:
    from shoal.core import Entropy
    from shoal.crypto import Certificate, RevocationList

AUTHORITY_NAME: Final = "Jami CA"
ACCOUNT_NAME: Final = "Jami"
DEVICE_NAME: Final = "Jami device"


class CreationStep(enum.Enum):
    """What is done, or being done, as people are told it."""

    AUTHORITY_KEY = "key of the authority"
    ACCOUNT_KEY = "key of the account"
    DEVICE_KEY = "key of this device"
    CERTIFICATES = "certificates and receipt"


@dataclass(frozen=True, slots=True)
class AccountKeys:
    """The secrets of an account, as its archive holds them.

    Attributes:
        authority_key: signs the account's certificate; not there in accounts of organisations.
        account: the account's key and its chain.
        chain_key: 32 bytes, the private key of its address at name servers.
        revocations: the newest list of revoked devices, once there are any.
    """

    authority_key: PrivateKey | None = field(repr=False)
    account: Identity
    chain_key: bytes = field(repr=False)
    revocations: RevocationList | None = field(default=None, repr=False)

    @property
    def id(self) -> AccountId:
        """The account's id."""
        return AccountId(self.account.id)

    @property
    def chain_address(self) -> str:
        """The account's address at name servers: 40 hex digits."""
        return chain_address(self.chain_key).hex()


@dataclass(frozen=True, slots=True)
class DeviceCredentials:
    """What a device needs to run: its key, its chain, and the receipt. Not the account's key."""

    identity: Identity
    receipt: Receipt = field(repr=False)

    @property
    def account(self) -> AccountId:
        """The account's id."""
        assert self.identity.certificate.issuer is not None, "a device has an account"
        return AccountId(self.identity.certificate.issuer.id)

    @property
    def device(self) -> DeviceId:
        """The device's long id."""
        return DeviceId(self.identity.long_id)


@dataclass(frozen=True, slots=True)
class NewAccount:
    """A fresh account with its first device."""

    keys: AccountKeys
    device: DeviceCredentials


@dataclass(frozen=True, slots=True)
class Progressed:
    """Event: *step* is done, so *done* of *total* are."""

    step: CreationStep
    done: int
    total: int


@dataclass(frozen=True, slots=True)
class AccountCreated:
    """Event: the account is there; nothing of it is on disk yet."""

    account: NewAccount


CreationEffect: TypeAlias = Compute | Progressed | AccountCreated

_KEY_STEPS: Final = (CreationStep.AUTHORITY_KEY, CreationStep.ACCOUNT_KEY, CreationStep.DEVICE_KEY)


class AccountCreation:
    """Has an account made by jobs, of which the first three may run at the same time.

    Hand each job's result back with `computed`. Jobs are pure, except that the crypto library draws
    the keys; where one raises, the creation is over, and nothing of it remains.
    """

    def __init__(self, entropy: Entropy, *, bits: int = RSA_BITS_DEFAULT) -> None:
        self._entropy = entropy
        self._bits = bits
        self._keys: dict[CreationStep, PrivateKey] = {}

    def start(self) -> list[CreationEffect]:
        """Ask for the three keys."""
        bits = self._bits
        return [Compute(it, lambda: PrivateKey.generate(bits)) for it in range(len(_KEY_STEPS))]

    def computed(self, id: int, result: object, wall_now: float) -> list[CreationEffect]:  # noqa: A002 - the field's own word
        """Take the result of job *id*."""
        total = len(CreationStep)
        if isinstance(result, NewAccount):
            return [Progressed(CreationStep.CERTIFICATES, total, total), AccountCreated(result)]
        assert isinstance(result, PrivateKey), "the result of a job of ours"
        step = _KEY_STEPS[id]
        self._keys[step] = result
        progress = Progressed(step, len(self._keys), total)
        if len(self._keys) < len(_KEY_STEPS):
            return [progress]
        authority, account, device = (self._keys[it] for it in _KEY_STEPS)
        chain_key = draw_chain_key(self._entropy)
        job = Compute(
            len(_KEY_STEPS),
            lambda: assemble(
                authority, account, device, chain_key, entropy=self._entropy, wall_now=wall_now
            ),
        )
        return [progress, job]


def assemble(
    authority_key: PrivateKey,
    account_key: PrivateKey,
    device_key: PrivateKey,
    chain_key: bytes,
    *,
    entropy: Entropy,
    wall_now: float,
) -> NewAccount:
    """Return the account of these keys: three certificates and a receipt, some 50 ms of work."""
    authority = self_signed(authority_key, AUTHORITY_NAME, entropy=entropy, wall_now=wall_now)
    account = authority.issue(
        account_key, ACCOUNT_NAME, entropy=entropy, wall_now=wall_now, profile=Profile.AUTHORITY
    )
    keys = AccountKeys(authority_key, account, chain_key)
    return NewAccount(keys, certify_device(keys, device_key, entropy=entropy, wall_now=wall_now))


def certify_device(
    keys: AccountKeys, device_key: PrivateKey, *, entropy: Entropy, wall_now: float
) -> DeviceCredentials:
    """Return what a new device of the account needs; the same for a first one and a linked one.

    Source: Jami's request for a device certificate has no extensions, so neither has the result.
    """
    identity = keys.account.issue(
        device_key, DEVICE_NAME, entropy=entropy, wall_now=wall_now, profile=Profile.BARE
    )
    receipt = make_receipt(
        keys.account.private_key, identity.certificate.public_key, keys.chain_address
    )
    return DeviceCredentials(identity, receipt)


def renew(
    keys: AccountKeys, device: Identity, *, entropy: Entropy, wall_now: float
) -> tuple[AccountKeys, DeviceCredentials]:
    """Return account and *device* with new certificates of the same keys, for ten more years.

    All ids stay; but 13.7 refuses a device whose chain has other bytes than those that it has
    stored, so do this only when the old ones have expired, or are about to. Other devices of the
    account have to be renewed too. The authority's own certificate is renewed with the rest.

    Raises:
        AccountKeyError: the authority's key is elsewhere, as in an organisation.

    Source: Jami archive_account_manager.cpp, migrateAccount and updateCertificates.
    """
    if keys.authority_key is None:
        raise AccountKeyError("the account's certificate is renewed by its organisation")
    above = self_signed(keys.authority_key, AUTHORITY_NAME, entropy=entropy, wall_now=wall_now)
    account = above.issue(
        keys.account.private_key,
        ACCOUNT_NAME,
        entropy=entropy,
        wall_now=wall_now,
        profile=Profile.AUTHORITY,
    )
    renewed = replace(keys, account=account)
    credentials = certify_device(renewed, device.private_key, entropy=entropy, wall_now=wall_now)
    return renewed, credentials


def create_account(
    entropy: Entropy, wall_now: float, *, bits: int = RSA_BITS_DEFAULT
) -> NewAccount:
    """Make an account at once, one key after the other; tests and simulations do it this way."""
    authority, account, device = (PrivateKey.generate(bits) for _ in _KEY_STEPS)
    chain_key = draw_chain_key(entropy)
    return assemble(authority, account, device, chain_key, entropy=entropy, wall_now=wall_now)


def draw_chain_key(entropy: Entropy) -> bytes:
    """Return a private key for the account's address at name servers."""
    while not is_chain_key(key := entropy.token_bytes(CHAIN_KEY_LENGTH)):
        pass  # once in 2^128
    return key


def account_of(certificate: Certificate) -> AccountId:
    """Return the account that a device's *certificate* names, without any check."""
    return AccountId((certificate.issuer or certificate).id)
