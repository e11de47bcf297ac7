"""Puts, from the wish to the announced value: which are prepared, which are announced.

    put_signed ──── its turn for this key and id? ── find the highest seq ── sign ──────┐
    put_encrypted ─ whose key? known, or search for the certificate ── encrypt ─────────┼─ put
    put ────────────────────────────────────────────────────────────────────────────────┘

Signed puts of one value id take turns, so that the last to be called gets the highest sequence
number and wins.
"""

from __future__ import annotations

from collections import deque
from dataclasses import field, replace
from functools import partial
from typing import TYPE_CHECKING, Final

from shoal.core import Compute, ShoalError
from shoal.core.records import dataclass
from shoal.dht.effects import Done, ValuesFound
from shoal.dht.errors import DhtError, SequenceExhaustedError, TooManyOperationsError
from shoal.dht.packing import UINT16_MAX
from shoal.dht.query import Condition, Field
from shoal.dht.secure.effects import CertificateFound, OperationFailed
from shoal.dht.secure.orders import (
    AnnounceValue,
    BeginSigning,
    CancelOperation,
    Event,
    FetchValues,
    FindCertificate,
    Refused,
    Slot,
)
from shoal.dht.value import Value

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from shoal.core import InfoHash
    from shoal.crypto.identity import Identity
    from shoal.dht.secure.certificates import KeyName
    from shoal.dht.secure.checks import SecureStats
    from shoal.dht.secure.suite import SecuritySuite

PREPARED_MAX: Final = 4096  # ours: puts waiting for a sequence number, a key or a computation
ANNOUNCED_MAX: Final = 65_536  # ours: permanent puts and puts under way
SEQ_MAX: Final = UINT16_MAX  # reference section 2.1: seq is a uint16


@dataclass(slots=True, eq=False)
class Preparation:
    """A put whose value isn't ready.

    Attributes:
        step: op of the get or of the certificate search that it waits for, or None.
        compute: id of the `Compute` that it waits for, or None.
    """

    op: int
    key: InfoHash
    value: Value
    signer: Identity
    is_permanent: bool
    step: int | None = None
    compute: int | None = None

    @property
    def slot(self) -> Slot:
        """Where the value goes."""
        return self.key, self.value.id


class Preparations:
    """Puts being signed or encrypted; each ends in `AnnounceValue` or in a failed `Done`."""

    def __init__(
        self,
        suite: SecuritySuite,
        stats: SecureStats,
        own_ops: Iterator[int],
        compute_ids: Iterator[int],
        announced_seq: Callable[[Slot], int | None],
    ) -> None:
        """Start with none; *announced_seq* gives that of the value announced in a slot, or None."""
        self._suite = suite
        self._stats = stats
        self._own_ops = own_ops
        self._compute_ids = compute_ids
        self._announced_seq = announced_seq
        self._by_op: dict[int, Preparation] = {}
        self._by_step: dict[int, Preparation] = {}
        self._by_compute: dict[int, Preparation] = {}
        self._lines: dict[Slot, deque[Preparation]] = {}

    def __contains__(self, step: int) -> bool:
        """Whether *step*, an op of our own, is one that a put waits for."""
        return step in self._by_step

    def ops(self) -> list[int]:
        """Return the ops of all puts in preparation."""
        return list(self._by_op)

    def sign(self, preparation: Preparation, *, is_fresh: bool) -> list[object]:
        """Sign a value; one whose id *is_fresh* replaces nothing, so no search is needed.

        Raises:
            TooManyOperationsError: as many as allowed are being prepared.
        """
        self._admit(preparation)
        if is_fresh:
            return self._sign(preparation)
        line = self._lines.setdefault(preparation.slot, deque())
        line.append(preparation)
        return [BeginSigning(preparation)] if len(line) == 1 else []

    def encrypt(
        self, preparation: Preparation, spki: bytes | None, name: KeyName | None
    ) -> list[object]:
        """Sign and encrypt a value to the key *spki*, or to that of *name*, to be searched for.

        Raises:
            TooManyOperationsError: as many as allowed are being prepared.
        """
        self._admit(preparation)
        if spki is not None:
            return self._seal(preparation, spki)
        assert name is not None
        return [FindCertificate(self._step(preparation), name)]

    def begin(self, preparation: Preparation) -> list[object]:
        """Choose a sequence number: above that of what we announce and of what is stored.

        Source: OpenDHT securedht.cpp, putSigned.
        """
        line = self._lines.get(preparation.slot)
        if line is None or line[0] is not preparation or preparation.step is not None:
            return []  # cancelled meanwhile
        announced = self._announced_seq(preparation.slot)
        if announced is not None:
            self._outbid(preparation, announced)
        where = (Condition(Field.ID, preparation.value.id),)
        return [FetchValues(self._step(preparation), preparation.key, where, is_raw=False)]

    def answered(self, event: Event) -> list[object]:
        """Take an event of a step."""
        preparation = self._by_step[event.op]
        match event:
            case ValuesFound(values=values):
                owner = preparation.signer.certificate.public_key.spki
                for value in values:
                    if value.is_signed and value.owner == owner:
                        self._outbid(preparation, value.seq)
                return []
            case CertificateFound(certificate=certificate):
                self._leave_step(preparation)
                return self._seal(preparation, certificate.public_key.spki)
            case OperationFailed(error=error) | Refused(error=error):
                return self._abandon(preparation, error)
            case _:
                assert isinstance(event, Done), "gets report no expiry"
                self._leave_step(preparation)
                return self._sign(preparation)

    def computed(self, compute_id: int, result: object) -> list[object] | None:
        """Take the value that a computation made; None if the id is somebody else's."""
        preparation = self._by_compute.get(compute_id)
        if preparation is None:
            return None
        assert isinstance(result, Value), "signing and sealing make values"
        if result.is_encrypted:
            self._stats.encrypted += 1
        else:
            self._stats.signed += 1
        put = AnnounceValue(preparation.op, preparation.key, result, preparation.is_permanent)
        return [put, *self._leave(preparation)]

    def failed(self, compute_id: int, error: Exception) -> list[object] | None:
        """Take the failure of a computation; None if the id is somebody else's."""
        preparation = self._by_compute.get(compute_id)
        if preparation is None:
            return None
        return self._abandon(preparation, error)

    def cancel(self, op: int) -> list[object]:
        """Forget a put without a further event of it."""
        preparation = self._by_op.get(op)
        if preparation is None:
            return []
        step = preparation.step
        orders: list[object] = [] if step is None else [CancelOperation(step)]
        return orders + self._leave(preparation)

    def cancel_slot(self, slot: Slot) -> list[object]:
        """End what is being prepared for *slot*; each of these puts fails."""
        effects: list[object] = []
        for preparation in [each for each in self._by_op.values() if each.slot == slot]:
            effects += self.cancel(preparation.op)
            effects.append(Done(preparation.op, ok=False, nodes=0))
        return effects

    def _admit(self, preparation: Preparation) -> None:
        if len(self._by_op) >= PREPARED_MAX:
            raise TooManyOperationsError
        assert preparation.op not in self._by_op, "the ids of running operations differ"
        self._by_op[preparation.op] = preparation

    def _outbid(self, preparation: Preparation, seq: int) -> None:
        """Raise the sequence number above *seq*."""
        if preparation.value.seq <= seq:
            preparation.value = replace(preparation.value, seq=seq + 1)

    def _sign(self, preparation: Preparation) -> list[object]:
        if preparation.value.seq > SEQ_MAX:
            return self._abandon(preparation, SequenceExhaustedError())
        return self._compute(
            preparation, partial(self._suite.sign, preparation.signer, preparation.value)
        )

    def _seal(self, preparation: Preparation, spki: bytes) -> list[object]:
        return self._compute(
            preparation, partial(self._suite.seal, preparation.signer, preparation.value, spki)
        )

    def _compute(self, preparation: Preparation, job: Callable[[], object]) -> list[object]:
        preparation.compute = next(self._compute_ids)
        self._by_compute[preparation.compute] = preparation
        return [Compute(preparation.compute, job)]

    def _step(self, preparation: Preparation) -> int:
        """Return a new op for the put to wait for."""
        preparation.step = next(self._own_ops)
        self._by_step[preparation.step] = preparation
        return preparation.step

    def _leave_step(self, preparation: Preparation) -> None:
        if preparation.step is not None:
            del self._by_step[preparation.step]
            preparation.step = None

    def _leave(self, preparation: Preparation) -> list[object]:
        """Take a put out of preparation; the next in its line may begin."""
        del self._by_op[preparation.op]
        self._leave_step(preparation)
        if preparation.compute is not None:
            del self._by_compute[preparation.compute]
        line = self._lines.get(preparation.slot)
        if line is None or preparation not in line:
            return []
        was_first = line[0] is preparation
        line.remove(preparation)
        if not line:
            del self._lines[preparation.slot]
            return []
        return [BeginSigning(line[0])] if was_first else []

    def _abandon(self, preparation: Preparation, error: Exception) -> list[object]:
        """End a put that can't be made ready."""
        return [*failure(preparation.op, error), *self._leave(preparation)]


@dataclass(slots=True, eq=False)
class Announcement:
    """A put that the backend was given.

    Attributes:
        is_reported: the caller has had its `Done`.
    """

    op: int
    key: InfoHash
    value: Value
    created: float | None
    is_permanent: bool
    is_reported: bool = False

    @property
    def slot(self) -> Slot:
        """Where the value is."""
        return self.key, self.value.id


@dataclass(slots=True)
class Announcements:
    """Puts that the backend is busy with, or keeps announced; at most one per slot."""

    _by_slot: dict[Slot, Announcement] = field(default_factory=dict)
    _by_op: dict[int, Announcement] = field(default_factory=dict)  # those without `Done`

    def check_room(self, slot: Slot) -> None:
        """Make sure that a value can be announced in *slot*.

        Raises:
            TooManyOperationsError: as many as allowed are announced.
        """
        if slot not in self._by_slot and len(self._by_slot) >= ANNOUNCED_MAX:
            raise TooManyOperationsError

    def seq(self, slot: Slot) -> int | None:
        """Return the sequence number of the value announced in *slot*."""
        announcement = self._by_slot.get(slot)
        return None if announcement is None else announcement.value.seq

    def add(self, announcement: Announcement) -> None:
        """Take note of a put; it replaces the one in its slot, whose `Done` may still come."""
        self._by_slot[announcement.slot] = self._by_op[announcement.op] = announcement

    def remove(self, slot: Slot) -> None:
        """Forget what is announced in *slot*."""
        self._by_slot.pop(slot, None)

    def ended(self, op: int) -> None:
        """Take the backend's `Done`: a put that isn't permanent is over."""
        announcement = self._by_op.pop(op, None)
        if announcement is None:
            return
        announcement.is_reported = True
        if not announcement.is_permanent and self._by_slot.get(announcement.slot) is announcement:
            del self._by_slot[announcement.slot]

    def all(self) -> list[Announcement]:
        """Return what is announced, oldest first."""
        return list(self._by_slot.values())


def failure(op: int, error: Exception) -> list[object]:
    """Return the events that end *op* because of *error*."""
    reason = error if isinstance(error, ShoalError) else DhtError(str(error))
    return [OperationFailed(op, reason), Done(op, ok=False, nodes=0)]
