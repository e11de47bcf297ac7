"""Lists of revoked devices on their way in: believed once the account's certificate is known.

A list lies at its account's key, where anybody may put anything, and is worth something only with
the account's certificate, which comes with the chain of any of its devices. A list that comes
before that waits, with a few others of the same account, of which any may be forged.

Source: Jami account_manager.cpp, forEachDevice; reference sections 1.5 and 3.4.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING, Final

from shoal.core import AccountId, DecodeError
from shoal.crypto import Certificate
from shoal.identity import unpack_revocations
from shoal.node.account.effects import KeepRevocations

if TYPE_CHECKING:
    from shoal.crypto import RevocationList
    from shoal.identity import DeviceChain, Revocations

WAITING_MAX: Final = 256  # ours: accounts with lists whose certificate is not known yet
LISTS_MAX: Final = 8  # ours: lists of one account that wait
ISSUERS_MAX: Final = 8192  # ours: certificates of accounts that were met


class RevocationIntake:
    """Hands lists to `Revocations`, and says when one of them has news."""

    def __init__(self, revocations: Revocations) -> None:
        self._revocations = revocations
        self._issuers: OrderedDict[AccountId, Certificate] = OrderedDict()
        self._waiting: OrderedDict[AccountId, list[RevocationList]] = OrderedDict()

    def seen(self, account: AccountId, data: bytes) -> list[KeepRevocations]:
        """Take bytes from an account's key; return what is to be kept, if that revokes anything."""
        try:
            revocations = unpack_revocations(data)
        except DecodeError:
            return []
        return self.take(account, revocations)

    def take(self, account: AccountId, revocations: RevocationList) -> list[KeepRevocations]:
        """Apply a list, or let it wait for the certificate of its account."""
        issuer = self._issuers.get(account)
        if issuer is not None:
            return self._apply(account, revocations, issuer)
        waiting = self._waiting.setdefault(account, [])
        self._waiting.move_to_end(account)
        if len(waiting) < LISTS_MAX and revocations not in waiting:
            waiting.append(revocations)
        if len(self._waiting) > WAITING_MAX:
            self._waiting.popitem(last=False)
        return []

    def met(self, chain: DeviceChain) -> list[KeepRevocations]:
        """Take the chain of a device that was checked: it has the certificate of its account."""
        certificate = chain.certificate
        if not isinstance(certificate, Certificate) or certificate.issuer is None:
            return []  # of a simulation
        self._issuers[chain.account] = certificate.issuer
        self._issuers.move_to_end(chain.account)
        if len(self._issuers) > ISSUERS_MAX:
            self._issuers.popitem(last=False)
        effects: list[KeepRevocations] = []
        for revocations in self._waiting.pop(chain.account, ()):
            effects += self._apply(chain.account, revocations, certificate.issuer)
        return effects

    def _apply(
        self, account: AccountId, revocations: RevocationList, issuer: Certificate
    ) -> list[KeepRevocations]:
        if not self._revocations.apply(revocations, issuer):
            return []
        return [KeepRevocations(account, revocations)]
