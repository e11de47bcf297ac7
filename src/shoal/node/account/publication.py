"""What a device puts into the DHT about itself: its chain, its announcement, its account's CRL.

    start ── chain at both of its keys ── both are through ── announcement, revocations ── Published

The chain goes first because whoever sees the announcement will ask for it, at once and only once:
Jami until 2026 at the one key, Jami since at the other. So the announcement waits for both, or for
one if nobody takes the other. Every put is permanent: the DHT below repeats it. A put that no other
node took is tried again here, with growing waits, so that we learn when it was taken at last.

Source: Jami jamiaccount.cpp, doRegister_; reference sections 3.2 to 3.4 and 3.9.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

import msgpack

from shoal.core.records import dataclass
from shoal.dht import CERTIFICATE, CertificateValue, Value
from shoal.node.account.effects import DhtPut, DhtWithdraw, Published

if TYPE_CHECKING:
    from collections.abc import Sequence

    from shoal.core import Entropy, InfoHash
    from shoal.crypto.suite import SuiteCertificate
    from shoal.node.account.operations import Operations

CHAIN_VALUE_ID: Final = 1  # OpenDHT securedht.cpp, SecureDht
REVOCATIONS_PRIORITY: Final = 1  # Jami of 2026, archive_account_manager.cpp: urgent
VALUE_ID_MAX: Final = 2**64 - 1  # a uint64, and 0 is none
RETRY_FIRST: Final = 2.0  # seconds; ours
RETRY_MAX: Final = 60.0  # seconds; ours


@dataclass(slots=True, eq=False)
class _Put:
    """A value that is to be on other nodes."""

    key: InfoHash
    value: Value
    op: int | None = None
    is_taken: bool = False
    has_failed: bool = False
    wait: float = RETRY_FIRST
    retry_at: float | None = None


class Publication:
    """Puts, and keeps there, what others need to find and to believe a device."""

    def __init__(
        self,
        operations: Operations,
        entropy: Entropy,
        certificate: SuiteCertificate,
        *,
        account: InfoHash | None = None,
        announcement: Value | None = None,
    ) -> None:
        """Publish the chain of *certificate*; *announcement* at the key of *account*, if given."""
        self._operations = operations
        self._entropy = entropy
        self._account = account
        chain = CertificateValue(certificate.to_pem().encode()).pack()
        value = Value(chain, CERTIFICATE, CHAIN_VALUE_ID)
        places = (certificate.id, certificate.long_id.infohash)
        self._chain = [_Put(place, value) for place in places]
        self._announcement: _Put | None = None
        self._wanted = announcement
        self._revocations: _Put | None = None
        self._by_op: dict[int, _Put] = {}
        self._is_announced = False
        self._is_started = False

    @property
    def is_announced(self) -> bool:
        """Whether others can find us: chain and announcement were taken."""
        return self._is_announced

    @property
    def is_chain_out(self) -> bool:
        """Whether other nodes have our chain: at both of its keys, or at the one where they can."""
        return any(put.is_taken for put in self._chain) and all(
            put.is_taken or put.has_failed for put in self._chain
        )

    def start(self, now: float) -> list[object]:
        """Publish the chain; everything else follows."""
        self._is_started = True
        return [self._put(each) for each in self._chain]

    def stop(self) -> list[object]:
        """Withdraw everything; copies elsewhere live until they expire."""
        effects: list[object] = [
            DhtWithdraw(put.key, put.value.id) for put in self._puts() if self._is_started
        ]
        for op in list(self._by_op):
            self._forget(op)
        self._is_started = False
        return effects

    def announce(self, announcement: Value | None) -> list[object]:
        """Be found from now on, by this announcement, or no longer."""
        self._wanted = announcement
        effects: list[object] = []
        if self._announcement is not None:
            effects += self._withdraw(self._announcement)
            self._announcement = None
        return effects + self._follow_up()

    def revoke(self, revocations: bytes) -> list[object]:
        """Publish a list of revoked devices, DER, in place of the one before."""
        assert self._account is not None, "only accounts revoke"
        effects: list[object] = []
        if self._revocations is not None:
            effects += self._withdraw(self._revocations)
        packed: bytes = msgpack.packb(revocations)
        value = Value(packed, id=self._draw_id(), priority=REVOCATIONS_PRIORITY)
        self._revocations = _Put(self._account, value)
        return [*effects, *self._follow_up()]

    def values_found(self, op: int, values: Sequence[Value], now: float) -> list[object]:
        """Ignore: nothing is asked for here."""
        return []

    def values_expired(self, op: int, values: Sequence[Value], now: float) -> list[object]:
        """Ignore."""
        return []

    def dht_done(self, op: int, is_ok: bool, now: float) -> list[object]:
        """Take the outcome of a put."""
        put = self._by_op.pop(op, None)
        if put is None:
            return []
        put.op = None
        put.is_taken |= is_ok
        if is_ok:
            put.retry_at = None
            return self._follow_up()
        put.has_failed = True
        put.retry_at = now + put.wait
        put.wait = min(2 * put.wait, RETRY_MAX)
        return self._follow_up()

    def next_deadline(self) -> float | None:
        """When a put is to be tried again."""
        return min((p.retry_at for p in self._puts() if p.retry_at is not None), default=None)

    def advance(self, now: float) -> list[object]:
        """Try again what nobody took."""
        due = [p for p in self._puts() if p.retry_at is not None and p.retry_at <= now]
        return self._retry(due)

    def connected(self) -> list[object]:
        """Try again at once: the network is back."""
        return self._retry([put for put in self._puts() if put.retry_at is not None])

    def _follow_up(self) -> list[object]:
        """Put what was waiting for the chain; say whether all is there."""
        effects: list[object] = []
        if self._is_started and self.is_chain_out:
            if self._wanted is not None and self._announcement is None:
                assert self._account is not None, "announcements are at an account's key"
                # The receipt's value has id 0: a random one, so that the old device's is not ours.
                value = replace_id(self._wanted, self._draw_id())
                self._announcement = _Put(self._account, value)
                effects.append(self._put(self._announcement))
            revocations = self._revocations
            if revocations is not None and revocations.op is None and not revocations.is_taken:
                effects.append(self._put(revocations))
        is_announced = self._announcement is not None and self._announcement.is_taken
        if is_announced != self._is_announced:
            self._is_announced = is_announced
            effects.append(Published(is_announced))
        return effects

    def _puts(self) -> list[_Put]:
        others = (self._announcement, self._revocations)
        return [*self._chain, *(put for put in others if put is not None)]

    def _put(self, put: _Put) -> DhtPut:
        if put.op is not None:
            self._forget(put.op)
        put.op = self._operations.begin(self)
        put.retry_at = None
        self._by_op[put.op] = put
        return DhtPut(put.op, put.key, put.value, is_permanent=True)

    def _retry(self, puts: Sequence[_Put]) -> list[object]:
        """Put anew: to the DHT below an equal put is the one that it has told us of already."""
        effects: list[object] = []
        for put in puts:
            effects += [DhtWithdraw(put.key, put.value.id), self._put(put)]
        return effects

    def _withdraw(self, put: _Put) -> list[object]:
        if put.op is not None:
            self._forget(put.op)
        return [DhtWithdraw(put.key, put.value.id)]

    def _forget(self, op: int) -> None:
        self._operations.end(op)
        put = self._by_op.pop(op, None)
        if put is not None:
            put.op = None

    def _draw_id(self) -> int:
        return 1 + self._entropy.below(VALUE_ID_MAX)


def replace_id(value: Value, value_id: int) -> Value:
    """Return *value* under another id, which no signature covers."""
    return replace(value, id=value_id)
