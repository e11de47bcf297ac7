"""Rates per client."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shoal.names.rates import RateLimiter, client_of


def test_a_burst_then_the_rate() -> None:
    """Three at once, then one in ten seconds, and the wait is said."""
    limiter = RateLimiter(0.1, 3, 100)

    assert [limiter.take("a", 0.0) for _ in range(4)] == [0.0, 0.0, 0.0, pytest.approx(10.0)]
    assert limiter.take("b", 0.0) == 0.0
    assert limiter.take("a", 5.0) == pytest.approx(5.0)
    assert limiter.take("a", 10.0) == 0.0
    assert limiter.take("a", 10.0) > 0.0
    assert limiter.refused == 3
    assert [limiter.take("a", 1000.0) for _ in range(3)] == [0.0] * 3


def test_what_cost_nothing_is_given_back() -> None:
    """And never more than a burst."""
    limiter = RateLimiter(0.1, 1, 100)

    assert limiter.take("a", 0.0) == 0.0
    limiter.give_back("a", 0.0)
    assert limiter.take("a", 0.0) == 0.0
    limiter.give_back("stranger", 0.0)
    limiter.give_back("a", 500.0)
    assert limiter.left("a", 500.0) == 1.0


def test_clients_are_bounded() -> None:
    """The longest unseen is forgotten; who keeps asking is not."""
    limiter = RateLimiter(0.1, 1, 2)

    for client in ("a", "b", "a", "c", "a"):
        limiter.take(client, 0.0)

    assert len(limiter) == 2
    assert limiter.left("a", 0.0) < 1.0
    assert limiter.left("b", 0.0) == 1.0


@given(st.lists(st.floats(0, 100), max_size=60), st.integers(1, 5))
def test_never_more_than_granted(moments: list[float], burst: int) -> None:
    """In any time no more passes than a burst and what the rate gives."""
    limiter = RateLimiter(0.5, burst, 10)
    moments = sorted(moments)

    granted = [moment for moment in moments if limiter.take("a", moment) == 0.0]

    if granted:
        assert len(granted) <= burst + 0.5 * (granted[-1] - granted[0]) + 1e-6


def test_who_a_client_is() -> None:
    """IPv4 by address, IPv6 by /64, mapped ones as the IPv4 that they are."""
    assert client_of("203.0.113.7") == client_of("::ffff:203.0.113.7")
    assert client_of("203.0.113.7") != client_of("203.0.113.8")
    assert client_of("2001:db8:1:2::3") == client_of("2001:db8:1:2:ffff::9")
    assert client_of("2001:db8:1:2::3") != client_of("2001:db8:1:3::3")
    assert client_of("fe80::1%eth0") == client_of("fe80::2")
    assert client_of("unix") == "unix"
