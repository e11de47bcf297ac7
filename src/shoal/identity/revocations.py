"""Which devices their accounts have taken back: lists are believed, kept, and count at once.

A list is an X.509 CRL signed by the account. Whatever a valid list once named stays revoked, so
lists may come in any order, and an old one that somebody repeats changes nothing.

Source: reference sections 1.5 and 2.5. Unlike Jami, which asks only at its start, a list counts
from the moment at which it is applied.
"""

from __future__ import annotations

import itertools
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from shoal.core.records import dataclass
from shoal.crypto import Certificate, RevocationList, first_number, next_number, revoke
from shoal.identity.errors import RevocationError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from shoal.core import AccountId, Entropy, InfoHash
    from shoal.identity.account import AccountKeys
    from shoal.identity.chain import DeviceChain

ISSUERS_MAX: Final = 20_480  # ours: as many as contacts, and some organisations
SERIALS_MAX: Final = 4096  # ours: per issuer; sixteen times the devices that we know of an account


@dataclass(slots=True)
class RevocationStats:
    """Counters of lists.

    Attributes:
        unsigned: lists that the issuer had not signed.
        over_limit: lists that would have gone beyond a limit.
    """

    unsigned: int = 0
    over_limit: int = 0


class Revocations:
    """All that is known to be revoked, by the id of the issuer's key."""

    def __init__(self) -> None:
        self.stats = RevocationStats()
        self._serials: dict[bytes, set[bytes]] = {}  # by the issuer's SPKI
        self._newest: dict[InfoHash, RevocationList] = {}

    def apply(self, revocations: RevocationList, issuer: Certificate) -> bool:
        """Take a list of *issuer*'s; say whether it revokes anything that was not revoked before.

        Then whoever is connected has to be checked again. A list that *issuer* did not sign is
        dropped and counted, as is one beyond the limits.
        """
        if not revocations.is_signed_by(issuer):
            self.stats.unsigned += 1
            return False
        spki = issuer.public_key.spki
        known = self._serials.get(spki, set())
        if (spki not in self._serials and len(self._serials) >= ISSUERS_MAX) or len(
            known | revocations.serials
        ) > SERIALS_MAX:
            self.stats.over_limit += 1
            return False
        newest = self._newest.get(issuer.id)
        if newest is None or _age(revocations) > _age(newest):
            self._newest[issuer.id] = revocations
        news = revocations.serials - known
        self._serials[spki] = known | news
        return bool(news)

    def newest(self, issuer: InfoHash) -> RevocationList | None:
        """Return the latest list of the account or authority *issuer*."""
        return self._newest.get(issuer)

    def is_revoked(self, certificate: Certificate, issuer: Certificate) -> bool:
        """Say whether *issuer* has revoked *certificate*."""
        return certificate.serial in self._serials.get(issuer.public_key.spki, ())

    def is_chain_revoked(self, chain: DeviceChain) -> bool:
        """Say whether any link of *chain* is revoked by now."""
        if not isinstance(chain.certificate, Certificate):
            return False  # of a simulation: nobody revokes there
        return any(
            self.is_revoked(link, issuer)
            for link, issuer in itertools.pairwise(chain.certificate.chain())
        )


def revoke_device(
    keys: AccountKeys, device: Certificate, *, entropy: Entropy, wall_now: float
) -> AccountKeys:
    """Return the account's secrets with a list that revokes *device* too.

    The list is to be saved, published and applied: `keys.revocations`. It is good for as long as
    the account's certificate.

    Raises:
        RevocationError: *device* is not one of this account, or is revoked already.
    """
    account = keys.account.certificate
    if device.issuer is None or device.issuer.public_key != account.public_key:
        raise RevocationError(f"{device.long_id} is not a device of this account")
    previous = keys.revocations
    if previous is not None and device.serial in previous.serials:
        raise RevocationError(f"the device {device.long_id} is revoked already")
    number = first_number(entropy) if previous is None else next_number(previous)
    revocations = revoke(
        [device], keys.account, number=number, wall_now=wall_now, previous=previous
    )
    return replace(keys, revocations=revocations)


def describe(revocations: RevocationList, devices: Iterable[Certificate] = ()) -> str:
    """Return the list as text for people; *devices* are named where their serials are on it."""
    named = {each.serial: str(each.long_id) for each in devices}
    lines = [
        f"number {revocations.number:x}",
        f"made {_date(revocations.wall_this_update)}",
        *(
            f"revoked {named.get(serial, f'serial {serial.hex()}')}"
            for serial in sorted(revocations.serials)
        ),
    ]
    return "\n".join(lines) + "\n"


def list_file(account: AccountId, revocations: RevocationList) -> str:
    """Return the name under which 13.7 keeps a list, below the folder of all data."""
    length = max(1, (revocations.number.bit_length() + 7) // 8)
    return f"crls/{account}/{revocations.number.to_bytes(length).hex()}"


def _age(revocations: RevocationList) -> tuple[float, int]:
    """Return what grows from list to list."""
    return revocations.wall_this_update, revocations.number


def _date(wall: float) -> str:
    return datetime.fromtimestamp(wall, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
