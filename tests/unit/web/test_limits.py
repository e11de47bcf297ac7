"""Rates of requests."""

from __future__ import annotations

import pytest

from shoal.web import limits
from shoal.web.limits import Bucket, Buckets


def test_a_burst_then_the_rate() -> None:
    """Saved permits first; then one each so often; never more than the burst."""
    bucket = Bucket(2.0, 3)
    assert [bucket.take(0.0) for _ in range(4)] == [0, 0, 0, 0.5]
    assert bucket.take(0.5) == 0
    assert bucket.take(0.5) == pytest.approx(0.5)
    assert [bucket.take(1000.0) for _ in range(3)] == [0, 0, 0]
    assert bucket.take(1000.0) > 0


def test_each_name_has_its_own_and_they_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """The one unused longest is forgotten."""
    monkeypatch.setattr(limits, "BUCKETS_MAX", 2)
    buckets = Buckets(1.0, 1)
    assert buckets.take("a", 0.0) == 0
    assert buckets.take("a", 0.0) > 0
    assert buckets.take("b", 0.0) == 0
    assert buckets.take("c", 0.0) == 0
    assert buckets.take("a", 0.0) == 0, "forgotten"
