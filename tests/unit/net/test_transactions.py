"""When a STUN request is repeated, and when it is given up."""

from __future__ import annotations

import pytest

from shoal.net.transactions import Transaction


def test_repetitions_double() -> None:
    """Seven sendings, each wait twice the one before, then eight seconds, then never."""
    transaction = Transaction(b"id", b"data", now=10.0)
    sent = [10.0]
    while not transaction.is_expired:
        due = transaction.deadline
        assert not transaction.advance(due - 0.01)
        if transaction.advance(due):
            sent.append(due)
            assert not transaction.advance(due)
        else:
            ended = due

    assert [moment - 10.0 for moment in sent] == [0, 0.5, 1.5, 3.5, 7.5, 15.5, 31.5]
    assert ended == sent[-1] + 8.0


def test_a_round_trip_counts_only_if_it_is_clear_which() -> None:
    """Karn's rule: a repeated request measures nothing."""
    transaction = Transaction(b"id", b"data", now=1.0)
    assert transaction.rtt(1.25) == pytest.approx(0.25)
    transaction.advance(1.5)
    assert transaction.rtt(1.6) is None
