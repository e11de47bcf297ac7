"""Who may talk to us: statuses by id, and the answer for a chain.

Statuses are keyed by the short id of a device, an account or an authority. They are not stored as
such: the contact book sets them again at each start.

Source: dhtnet certstore.cpp, TrustStore::isAllowed; reference section 1.4. Where the reference
stops at the first id of the chain that has a status, a ban anywhere in it decides here.
"""

from __future__ import annotations

import enum
from typing import TYPE_CHECKING, Final

from shoal.core import InfoHash
from shoal.identity.effects import Status

if TYPE_CHECKING:
    from shoal.core import AccountId
    from shoal.identity.chain import DeviceChain
    from shoal.identity.revocations import Revocations

STATUSES_MAX: Final = 65_536  # ours: three times as many as contacts


class Refusal(enum.Enum):
    """Why somebody may not talk to us. They are never told."""

    BANNED = "blocked"
    REVOKED = "revoked"
    STRANGER = "not a contact"


class Permissions:
    """Answers who may talk to an account; devices of its own always may, unless revoked."""

    def __init__(self, account: AccountId, revocations: Revocations | None = None) -> None:
        self._own = InfoHash(account)
        self._revocations = revocations
        self._statuses: dict[InfoHash, Status] = {}

    def status(self, id: InfoHash) -> Status:  # noqa: A002 - the field's own word
        """Return what *id*, of a device, account or authority, may do."""
        return self._statuses.get(InfoHash(id), Status.UNDEFINED)

    def set_status(self, id: InfoHash, status: Status) -> bool:  # noqa: A002 - the field's own word
        """Decide what *id* may do; say whether that is new.

        When 65,536 ids have one, no more are allowed; bans are taken nevertheless, in the place of
        the oldest permission.
        """
        key = InfoHash(id)
        if self.status(key) is status:
            return False
        self._statuses.pop(key, None)
        if status is Status.UNDEFINED:
            return True
        if len(self._statuses) >= STATUSES_MAX and not self._make_room(status):
            return False
        self._statuses[key] = status
        return True

    def refusal(self, chain: DeviceChain, *, allow_public: bool) -> Refusal | None:
        """Return why the device of *chain*, which was checked, may not talk to us; None if it may.

        With *allow_public* strangers may. Ask again for every connection when a list of revoked
        devices, or a status, has changed.
        """
        statuses = [self.status(each) for each in chain.issuers]
        if Status.BANNED in statuses:
            return Refusal.BANNED
        if self._revocations is not None and self._revocations.is_chain_revoked(chain):
            return Refusal.REVOKED
        is_known = Status.ALLOWED in statuses or InfoHash(chain.account) == self._own
        return None if is_known or allow_public else Refusal.STRANGER

    def is_allowed(self, chain: DeviceChain, *, allow_public: bool) -> bool:
        """Say whether the device of *chain* may talk to us."""
        return self.refusal(chain, allow_public=allow_public) is None

    def _make_room(self, status: Status) -> bool:
        """Give up a permission for a ban, if there is one."""
        if status is not Status.BANNED:
            return False
        for each, other in self._statuses.items():
            if other is Status.ALLOWED:
                del self._statuses[each]
                return True
        return False
