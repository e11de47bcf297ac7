"""Allowances that refill."""

from __future__ import annotations

from shoal.net.mux.budget import Budget


def test_a_burst_then_a_rate() -> None:
    """Three at once, then one a second; what is overdrawn must be waited off."""
    budget = Budget(3, 1.0)

    assert [budget.take(0.0) for _ in range(5)] == [2, 1, 0, -1, -2]
    assert budget.take(2.0) == -1
    assert budget.take(4.0) == 0
    assert budget.take(100.0) == 2  # no more than the burst


def test_time_never_runs_back() -> None:
    """A clock that goes backwards gives nothing."""
    budget = Budget(2, 1.0)
    assert [budget.take(10.0), budget.take(9.0), budget.take(10.0)] == [1, 0, 0]
