"""Rates and times left."""

from __future__ import annotations

import pytest

from shoal.transfer.progress import Meter


def test_a_steady_stream() -> None:
    """After a moment the rate is what it is, and the time left follows."""
    meter = Meter()
    for tick in range(100):
        meter.add(1_000, tick / 20)
    assert meter.rate(5.0) == pytest.approx(20_000, rel=0.1)
    assert meter.time_left(200_000, 5.0) == pytest.approx(10, rel=0.1)


def test_nothing_is_known_at_first() -> None:
    """No rate and no time, and none after a break."""
    meter = Meter()
    assert meter.rate(0.0) == 0.0
    assert meter.time_left(1, 0.0) is None
    meter.add(10_000, 0.0)
    meter.add(10_000, 1.0)
    assert meter.rate(1.0) > 0
    meter.reset()
    assert meter.rate(2.0) == 0.0


def test_a_stall_shows() -> None:
    """When nothing comes any more the rate falls."""
    meter = Meter()
    for tick in range(40):
        meter.add(1_000, tick / 10)
    before = meter.rate(4.0)
    assert meter.rate(12.0) < before / 4
