"""Checks off the packet path: shared, remembered, taking turns, bounded."""

from __future__ import annotations

import itertools
from dataclasses import replace
from typing import TYPE_CHECKING

from shoal.dht.secure import checks
from shoal.dht.secure.checks import Batch, Checker, SecureStats
from shoal.dht.secure.suite import StandardSuite
from shoal.dht.value import Value
from tests.unit.dht.identities import identity

if TYPE_CHECKING:
    import pytest

    from shoal.core import Compute

SUITE = StandardSuite()
SIGNED = SUITE.sign(identity("alice"), Value(b"x", id=1))


class Bench:
    """A checker and what it told."""

    def __init__(self) -> None:
        self.stats = SecureStats()
        self.seen: list[tuple[Value, bool]] = []
        self.checker = Checker(
            SUITE, self.stats, itertools.count(1), lambda *told: self.seen.append(told)
        )

    def finish(self, computes: list[Compute]) -> list[Batch]:
        """Run jobs; return the batches they complete."""
        completed: list[Batch] = []
        for compute in computes:
            batches = self.checker.finish(compute.id, compute.job())
            assert batches is not None
            completed += batches
        return completed


def many(count: int, size: int = 1) -> tuple[Value, ...]:
    """Return *count* values that claim to be signed, all different."""
    return tuple(
        Value(n.to_bytes(size), id=n + 1, owner=b"key", signature=b"s") for n in range(count)
    )


def test_equal_values_share_one_job_and_its_result_is_remembered() -> None:
    """A value that a get and a listen find costs one verification, ever."""
    bench = Bench()
    first = bench.checker.examine(1, (SIGNED,), None)
    second = bench.checker.examine(2, (SIGNED, SIGNED), None)
    (job,) = bench.checker.start()

    assert (first.waiting, second.waiting) == (1, 2)
    assert bench.finish([job]) == [first, second]
    assert second.clear == [SIGNED, SIGNED]
    third = bench.checker.examine(3, (SIGNED,), None)
    assert (third.waiting, third.clear) == (0, [SIGNED])
    assert bench.checker.start() == []
    assert (bench.stats.verified, bench.stats.remembered) == (1, 1)


def test_refusals_and_clear_values_are_remembered_too() -> None:
    """A forged value is dropped at once when it comes again; a decrypted one is shown."""
    bench = Bench()
    forged = replace(SIGNED, data=b"y")
    sealed = SUITE.seal(
        identity("alice"), Value(b"z", id=2), identity("bob").certificate.public_key.spki
    )
    bench.checker.examine(1, (forged, sealed), identity("bob"))
    bench.finish(bench.checker.start())

    again = bench.checker.examine(1, (forged, sealed), identity("bob"))
    assert again.waiting == 0
    assert again.clear[0] is None
    assert again.clear[1] is not None
    assert again.clear[1].data == b"z"
    for_carol = bench.checker.examine(1, (sealed,), identity("carol"))
    assert for_carol.waiting == 1  # what Bob may read is no news about Carol


def test_authentic_values_are_told_with_how_they_came() -> None:
    """Public keys are learnt from them."""
    bench = Bench()
    sealed = SUITE.seal(
        identity("alice"), Value(b"z", id=2), identity("bob").certificate.public_key.spki
    )
    bench.checker.examine(1, (SIGNED, replace(SIGNED, data=b"y"), sealed), identity("bob"))
    bench.finish(bench.checker.start())

    assert [(value.data, was_encrypted) for value, was_encrypted in bench.seen] == [
        (b"x", False),
        (b"z", True),
    ]


def test_operations_take_turns() -> None:
    """A flooded key delays others by one job each, not by all of its own."""
    bench = Bench()
    bench.checker.examine(1, many(checks.RUNNING_MAX * 3), None)
    started = bench.checker.start()
    assert len(started) == checks.RUNNING_MAX
    late = bench.checker.examine(2, (SIGNED,), None)
    assert bench.checker.start() == []  # as many run as may

    bench.finish(started[:2])
    assert late in bench.finish(bench.checker.start())


def test_jobs_of_cancelled_operations_are_not_started() -> None:
    """Unless somebody else waits for the same value."""
    bench = Bench()
    shared, alone = many(2)
    cancelled = bench.checker.examine(1, (shared, alone), None)
    other = bench.checker.examine(2, (shared,), None)
    cancelled.is_cancelled = True

    started = bench.checker.start()
    assert len(started) == 1
    assert bench.finish(started) == [other]
    assert bench.checker.examine(3, (alone,), None).waiting == 1  # it was never checked


def test_what_exceeds_a_bound_is_dropped_and_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    """Per operation, in all, and by bytes; what was accepted is still checked."""
    monkeypatch.setattr(checks, "WAITING_PER_OPERATION_MAX", 3)
    monkeypatch.setattr(checks, "WAITING_MAX", 5)
    bench = Bench()
    first = bench.checker.examine(1, many(4), None)
    second = bench.checker.examine(2, many(8)[4:], None)
    assert (first.waiting, second.waiting) == (3, 2)
    assert bench.stats.overloaded == 3

    monkeypatch.setattr(checks, "WAITING_BYTES_MAX", 100)
    bench = Bench()
    batch = bench.checker.examine(1, many(9, size=40), None)
    assert batch.waiting == 2
    bench.finish(bench.checker.start())
    assert bench.checker.examine(1, many(9, size=40)[3:5], None).waiting == 2  # room again


def test_memory_of_verdicts_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """By number, and by bytes of clear text; the one unused for longest goes first."""
    monkeypatch.setattr(checks, "VERDICTS_MAX", 2)
    bench = Bench()
    values = many(3)
    for value in values[:2]:
        bench.checker.examine(1, (value,), None)
        bench.finish(bench.checker.start())
    bench.checker.examine(1, values[:1], None)  # used again
    bench.checker.examine(1, values[2:], None)
    bench.finish(bench.checker.start())
    assert [bench.checker.examine(1, (value,), None).waiting for value in values] == [0, 1, 0]

    monkeypatch.setattr(checks, "VERDICTS_MAX", 100)
    monkeypatch.setattr(checks, "VERDICTS_BYTES_MAX", 1000)
    bench = Bench()
    spki = identity("bob").certificate.public_key.spki
    sealed = [SUITE.seal(identity("alice"), Value(b"z" * 400, id=n), spki) for n in (1, 2)]
    for value in sealed:
        bench.checker.examine(1, (value,), identity("bob"))
        bench.finish(bench.checker.start())
    assert bench.checker.examine(1, (sealed[1],), identity("bob")).waiting == 0
    assert bench.checker.examine(1, (sealed[0],), identity("bob")).waiting == 1


def test_unknown_results_are_not_ours() -> None:
    """The id belongs to another part of the engine."""
    assert Bench().checker.finish(1, True) is None
    assert Bench().checker.fail(1) is None


def test_a_job_that_could_not_run_judges_nothing() -> None:
    """Its value isn't shown, and is checked when it comes again."""
    bench = Bench()
    batch = bench.checker.examine(1, (SIGNED,), None)
    (job,) = bench.checker.start()
    assert bench.checker.fail(job.id) == [batch]
    assert batch.clear == [None]
    assert (bench.stats.overloaded, bench.stats.forged) == (1, 0)
    again = bench.checker.examine(1, (SIGNED,), None)
    bench.finish(bench.checker.start())
    assert again.clear == [SIGNED]
