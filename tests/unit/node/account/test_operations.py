"""Numbers of operations, and whose they are."""

from __future__ import annotations

from shoal.node.account.operations import Clock, Operations
from shoal.node.account.publication import Publication
from shoal.sim import SeededEntropy
from tests.unit.node.people import device


def test_each_operation_has_one_owner() -> None:
    """Until it ends; those without an owner are never confused with others."""
    operations = Operations()
    owner = Publication(operations, SeededEntropy(1), device("alice").chain.certificate)
    first, silent, second = (
        operations.begin(owner),
        operations.begin_silent(),
        operations.begin(owner),
    )
    assert len({first, silent, second}) == 3
    assert operations.owner(first) is owner
    assert operations.owner(silent) is None
    assert operations.end(first) is owner
    assert operations.end(first) is None
    assert len(operations) == 1


def test_jobs_are_numbered_with_them() -> None:
    """And ended apart."""
    operations = Operations()

    class Worker:
        def computed(self, compute_id: int, result: object, now: float) -> list[object]:
            return []

    worker = Worker()
    job = operations.begin_job(worker)
    assert operations.owner(job) is None
    assert operations.end_job(job) is worker
    assert operations.end_job(job) is None


def test_the_wall_clock_is_an_offset() -> None:
    """Which changes when somebody sets it."""
    clock = Clock(1000.0)
    assert clock.wall(5.0) == 1005.0
    clock.wall_offset = 0.0
    assert clock.wall(5.0) == 5.0
