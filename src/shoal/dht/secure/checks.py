"""Verifying and decrypting what peers sent, off the packet path and fairly.

    values of an operation ── Batch ──┬── plain, or checked before: known at once
                                      └── job ── Compute ── result ── Batch complete

An RSA verification takes about 0.1 ms and a decryption 5 ms, as long as hundreds of packets, and a
hostile peer can ask for it with one datagram. So each check is a job; few run at a time, operations
take turns, equal values share one job, results are remembered, and everything that waits is
bounded: what exceeds a bound is dropped and counted, like a datagram that was lost.
"""

from __future__ import annotations

import hashlib
from collections import OrderedDict, deque
from dataclasses import field
from functools import partial
from typing import TYPE_CHECKING, Final

from shoal.core import Compute
from shoal.core.records import dataclass
from shoal.dht.value import Value

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from shoal.crypto.identity import Identity
    from shoal.dht.secure.suite import SecuritySuite

RUNNING_MAX: Final = 16  # ours: a pool of many cores is kept busy; the rest waits and takes turns
WAITING_PER_OPERATION_MAX: Final = 4096  # ours: values; one flooded key leaves room for others
WAITING_MAX: Final = 8192  # ours: values; at 0.1 ms each, under a second of verification
WAITING_BYTES_MAX: Final = 32 * 1024 * 1024  # ours: 512 of the largest values
VERDICTS_MAX: Final = 8192  # ours: as many as may wait; oldest first out
VERDICTS_BYTES_MAX: Final = 8 * 1024 * 1024  # ours: clear text kept beside verdicts
_DIGEST_SIZE: Final = 16


@dataclass(slots=True)
class SecureStats:
    """Counters of the secure layer.

    Attributes:
        verified: signatures that were checked and hold.
        forged: values dropped because their signature does not hold.
        decrypted: values that were decrypted, from their recipient's side.
        undecipherable: values dropped as encrypted to somebody else, or badly.
        without_key: encrypted values dropped because there is no identity here.
        overloaded: values dropped unchecked because too many were waiting.
        remembered: values whose check was spared, as an equal one had been checked.
        signed: values that were signed to be put.
        encrypted: values that were encrypted to be put.
        lookups: certificate searches in the DHT.
        certificates_found: of these, how many found what they wanted.
    """

    verified: int = 0
    forged: int = 0
    decrypted: int = 0
    undecipherable: int = 0
    without_key: int = 0
    overloaded: int = 0
    remembered: int = 0
    signed: int = 0
    encrypted: int = 0
    lookups: int = 0
    certificates_found: int = 0


@dataclass(slots=True, eq=False)
class Batch:
    """Values that arrived together, and what became of each: clear, dropped (None) or waiting."""

    op: int
    outer: tuple[Value, ...]
    clear: list[Value | None]
    waiting: int = 0
    is_cancelled: bool = False


@dataclass(slots=True, eq=False)
class _Job:
    """One check that somebody waits for."""

    digest: bytes
    size: int
    is_decryption: bool
    work: Callable[[], object]
    waiters: list[tuple[Batch, int]] = field(default_factory=list)


class Checker:
    """Decides which values are shown: decrypts or drops, verifies or drops, lets plain ones go."""

    def __init__(
        self,
        suite: SecuritySuite,
        stats: SecureStats,
        ids: Iterator[int],
        seen: Callable[[Value, bool], None],
    ) -> None:
        """Number the jobs by *ids*; tell *seen* of authentic values, and if they were encrypted."""
        self._suite = suite
        self._stats = stats
        self._ids = ids
        self._seen = seen
        self._jobs: dict[bytes, _Job] = {}  # by digest: waiting or running
        self._queues: OrderedDict[int, deque[_Job]] = OrderedDict()  # by op, who is next first
        self._waiting = 0
        self._waiting_bytes = 0
        self._running: dict[int, _Job] = {}  # by Compute id
        self._verdicts: OrderedDict[bytes, Value | bool] = OrderedDict()
        self._verdicts_bytes = 0

    def examine(self, op: int, values: tuple[Value, ...], identity: Identity | None) -> Batch:
        """Judge *values* as far as that is possible at once; `start` what is still waiting."""
        batch = Batch(op, values, list(values))
        for index, value in enumerate(values):
            if value.is_encrypted:
                if identity is None:
                    self._stats.without_key += 1
                    batch.clear[index] = None
                else:
                    self._check(batch, index, identity)
            elif value.is_signed:
                self._check(batch, index, None)
        return batch

    def start(self) -> list[Compute]:
        """Return the jobs that may run now, one operation after the other."""
        if not self._queues:
            return []
        started: list[Compute] = []
        while self._queues and len(self._running) < RUNNING_MAX:
            op, queue = self._queues.popitem(last=False)
            job = queue.popleft()
            if queue:
                self._queues[op] = queue  # to the end: the others come first
            self._waiting -= 1
            self._waiting_bytes -= job.size
            if all(batch.is_cancelled for batch, _ in job.waiters):
                del self._jobs[job.digest]
                continue
            compute_id = next(self._ids)
            self._running[compute_id] = job
            started.append(Compute(compute_id, job.work))
        return started

    def finish(self, compute_id: int, result: object) -> list[Batch] | None:
        """Take the result of a job; return the batches it was the last to complete.

        None says that no such job was running: the id is somebody else's.
        """
        job = self._running.pop(compute_id, None)
        if job is None:
            return None
        self._count(job, result)
        verdict = result if isinstance(result, Value) else result is True
        self._remember(job.digest, verdict)
        return self._judge(job, verdict)

    def fail(self, compute_id: int) -> list[Batch] | None:
        """Take note that a job could not be run: its values are dropped, but may come again.

        None says that no such job was running.
        """
        job = self._running.pop(compute_id, None)
        if job is None:
            return None
        self._stats.overloaded += 1
        return self._judge(job, verdict=False)

    def _judge(self, job: _Job, verdict: Value | bool) -> list[Batch]:
        """Apply a verdict to all who wait for it; return the batches that it completes."""
        del self._jobs[job.digest]
        completed: list[Batch] = []
        for batch, index in job.waiters:
            batch.clear[index] = _shown(verdict, batch.outer[index])
            batch.waiting -= 1
            if not batch.waiting and not batch.is_cancelled:
                completed.append(batch)
        return completed

    def _check(self, batch: Batch, index: int, identity: Identity | None) -> None:
        """Find the verdict on one value, or let it wait for a job."""
        value = batch.outer[index]
        digest = _digest(value, identity)
        verdict = self._verdicts.get(digest)
        if verdict is not None:
            self._verdicts.move_to_end(digest)
            self._stats.remembered += 1
            batch.clear[index] = _shown(verdict, value)
            return
        job = self._jobs.get(digest)
        if job is None:
            if not self._has_room(batch.op, value.size):
                self._stats.overloaded += 1
                batch.clear[index] = None
                return
            job = self._jobs[digest] = self._job(digest, value, identity)
            self._queues.setdefault(batch.op, deque()).append(job)
            self._waiting += 1
            self._waiting_bytes += job.size
        job.waiters.append((batch, index))
        batch.clear[index] = None
        batch.waiting += 1

    def _has_room(self, op: int, size: int) -> bool:
        """Whether one more value of *size* bytes may wait for operation *op*."""
        return (
            self._waiting < WAITING_MAX
            and self._waiting_bytes + size <= WAITING_BYTES_MAX
            and len(self._queues.get(op, ())) < WAITING_PER_OPERATION_MAX
        )

    def _job(self, digest: bytes, value: Value, identity: Identity | None) -> _Job:
        work: Callable[[], object]
        if identity is not None:
            work = partial(self._suite.unseal, identity, value)
        else:
            work = partial(self._suite.verify, value)
        return _Job(digest, value.size, identity is not None, work)

    def _count(self, job: _Job, result: object) -> None:
        """Account for a verdict, and tell of an authentic value."""
        if isinstance(result, Value):
            self._stats.decrypted += 1
            self._seen(result, True)
        elif job.is_decryption:
            self._stats.undecipherable += 1
        elif result is True:
            self._stats.verified += 1
            batch, index = job.waiters[0]
            self._seen(batch.outer[index], False)
        else:
            self._stats.forged += 1

    def _remember(self, digest: bytes, verdict: Value | bool) -> None:
        self._verdicts[digest] = verdict
        self._verdicts_bytes += _kept_bytes(verdict)
        while len(self._verdicts) > VERDICTS_MAX or self._verdicts_bytes > VERDICTS_BYTES_MAX:
            _, forgotten = self._verdicts.popitem(last=False)
            self._verdicts_bytes -= _kept_bytes(forgotten)


def _digest(value: Value, identity: Identity | None) -> bytes:
    """Name a check: the value, and for whom it would be decrypted."""
    digest = hashlib.blake2b(value.packed(), digest_size=_DIGEST_SIZE)
    if identity is not None:
        digest.update(identity.certificate.public_key.id)
    return digest.digest()


def _shown(verdict: Value | bool, outer: Value) -> Value | None:
    """Return what a reader sees of *outer*: its clear form, itself, or nothing."""
    if isinstance(verdict, Value):
        return verdict
    return outer if verdict else None


def _kept_bytes(verdict: Value | bool) -> int:
    return verdict.size if isinstance(verdict, Value) else 0
