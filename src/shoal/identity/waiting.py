"""Requests that wait for the user's answer, and those that were declined a while ago.

One per account: the newest by `invitedMs`, where both have it, else by arrival. When 256 wait no
more are taken: what the user has seen cannot be pushed out by strangers.

Source: Jami contact_list.cpp, onTrustRequest; reference section 4.2.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, TypeAlias

from shoal.core import Persist
from shoal.core.records import dataclass
from shoal.identity.effects import RequestReceived, RequestRemoved
from shoal.identity.wire.contacts import REQUESTS_MAX, pack_requests

if TYPE_CHECKING:
    from collections.abc import Mapping

    from shoal.core import AccountId
    from shoal.identity.contact import StoredRequest

REQUESTS_FILE: Final = "incomingTrustRequests"
DECLINED_MAX: Final = 1024  # ours: 60 kB; the oldest are forgotten, and may be shown again

WaitingEffect: TypeAlias = Persist | RequestReceived | RequestRemoved


@dataclass(frozen=True, slots=True)
class _Declined:
    """A request that was declined."""

    request: StoredRequest
    at_ms: int


@dataclass(slots=True)
class WaitingStats:
    """Counters of requests.

    Attributes:
        repeated: requests that were known, or declined and sent again.
        over_limit: requests beyond 256, not taken.
    """

    repeated: int = 0
    over_limit: int = 0


class WaitingRequests:
    """The list of requests; whether somebody may ask at all, the contact book decides."""

    def __init__(self, requests: Mapping[AccountId, StoredRequest] | None = None) -> None:
        self.stats = WaitingStats()
        self.items: dict[AccountId, StoredRequest] = dict(requests or {})
        self._declined: dict[AccountId, _Declined] = {}

    def received(self, account: AccountId, request: StoredRequest) -> list[WaitingEffect]:
        """Take a request that a device of *account* sent."""
        if self._was_declined(account, request) or self._is_old(account, request):
            self.stats.repeated += 1
            return []
        return self._store(account, request)

    def synced(self, account: AccountId, request: StoredRequest) -> list[WaitingEffect]:
        """Take a request that another device of ours has got; what came here itself is better."""
        declined = self._declined.get(account)
        if account in self.items or (declined and request.received_ms <= declined.at_ms):
            return []
        return self._store(account, request)

    def decline(self, account: AccountId, now_ms: int) -> list[WaitingEffect]:
        """Drop a request, and know it again if it comes once more."""
        self._declined.pop(account, None)
        self._declined[account] = _Declined(self.items[account], now_ms)
        if len(self._declined) > DECLINED_MAX:
            del self._declined[next(iter(self._declined))]
        return self.drop(account)

    def drop(self, account: AccountId) -> list[WaitingEffect]:
        """Forget a request, if there is one."""
        if self.items.pop(account, None) is None:
            return []
        return [Persist(REQUESTS_FILE, pack_requests(self.items)), RequestRemoved(account)]

    def _was_declined(self, account: AccountId, request: StoredRequest) -> bool:
        """Say whether this is the request that was declined, sent again by itself.

        13.7 does not say when it issued a request. Since whoever carries requests hands over each
        value only once, one of 13.7 that comes after it was declined was asked anew.
        """
        declined = self._declined.get(account)
        if declined is None or not request.invited_ms:
            return False
        return request.invited_ms <= declined.request.invited_ms

    def _is_old(self, account: AccountId, request: StoredRequest) -> bool:
        """Say whether *request* says nothing new."""
        known = self.items.get(account)
        if known is None:
            return False
        if 0 < request.invited_ms < known.invited_ms:
            return True
        return (request.conversation_id, request.payload) == (
            known.conversation_id,
            known.payload,
        )

    def _store(self, account: AccountId, request: StoredRequest) -> list[WaitingEffect]:
        """Keep a request."""
        if account not in self.items and len(self.items) >= REQUESTS_MAX:
            self.stats.over_limit += 1
            return []
        self.items[account] = request
        return [
            Persist(REQUESTS_FILE, pack_requests(self.items)),
            RequestReceived(account, request),
        ]
