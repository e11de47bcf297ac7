"""How many offers are looked at: each costs us candidates, an answer and the search for a path."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from shoal.net.mux.budget import Budget

if TYPE_CHECKING:
    from shoal.net.config import ConnectionsConfig
    from shoal.net.peer import Peer

_MINUTE: Final = 60.0  # seconds
_KEPT_MAX: Final = 4096  # budgets that are kept, ours; the one unused for longest goes


class OfferLimits:
    """Allowances per device and per account."""

    def __init__(self, config: ConnectionsConfig) -> None:
        self._per_device = config.requests_per_device
        self._per_account = config.requests_per_account
        self._budgets: dict[bytes, Budget] = {}

    def __len__(self) -> int:
        return len(self._budgets)

    def admit(self, peer: Peer, now: float) -> bool:
        """Whether an offer of *peer* is looked at; counts it."""
        device = self._budget(peer.device, self._per_device).take(now)
        account = self._budget(peer.account, self._per_account).take(now)
        return device >= 0 and account >= 0

    def _budget(self, key: bytes, per_minute: int) -> Budget:
        rate = per_minute / _MINUTE
        budget = self._budgets.pop(key, None) or Budget(per_minute, rate, debt_max=per_minute)
        self._budgets[key] = budget
        while len(self._budgets) > _KEPT_MAX:
            del self._budgets[next(iter(self._budgets))]
        return budget
