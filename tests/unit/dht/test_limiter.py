"""Rate limits: a window of one second, per source and in all."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shoal.core import Address
from shoal.dht import limiter
from shoal.dht.limiter import RateLimiter

ONE, TWO = Address.parse("192.0.2.1", 1), Address.parse("192.0.2.2", 1)


def admitted(rates: RateLimiter, addr: Address, count: int, now: float) -> int:
    """Return how many of *count* requests pass."""
    return sum(rates.admit(addr, now) for _ in range(count))


def test_the_default_limits() -> None:
    """8192 in all, an eighth of it per address."""
    rates = RateLimiter()
    assert admitted(rates, ONE, 1100, now=0.0) == 1024
    others = [Address(bytes((10, 0, 0, n)), 1) for n in range(8)]
    assert sum(admitted(rates, other, 1024, now=0.5) for other in others) == 8192 - 1024


def test_the_window_slides() -> None:
    """What is more than a second old does not count."""
    rates = RateLimiter(100, 10)
    assert admitted(rates, ONE, 6, now=0.0) == 6
    assert admitted(rates, ONE, 6, now=0.5) == 4
    assert admitted(rates, ONE, 6, now=1.0) == 0
    assert admitted(rates, ONE, 9, now=1.1) == 6
    assert admitted(rates, ONE, 9, now=1.6) == 4


def test_ports_share_and_so_does_an_ipv6_prefix() -> None:
    """One IPv4 address, one /64."""
    rates = RateLimiter(100, 1)
    assert rates.admit(ONE, 0.0)
    assert not rates.admit(Address(ONE.ip, 2), 0.0)
    assert rates.admit(Address.parse("2001:db8::1", 1), 0.0)
    assert not rates.admit(Address.parse("2001:db8::ffff", 1), 0.0)
    assert rates.admit(Address.parse("2001:db8:0:1::1", 1), 0.0)


def test_what_the_total_refuses_counts_for_its_address() -> None:
    """As in OpenDHT, where the limit per address is asked first."""
    rates = RateLimiter(1, 2)
    assert rates.admit(ONE, 0.0)
    assert not rates.admit(TWO, 0.5)
    assert not rates.admit(TWO, 0.5)
    assert not rates.admit(TWO, 1.2)  # its own limit, the total is free again
    assert rates.admit(ONE, 1.2)


@pytest.mark.parametrize(
    ("total", "per_address", "expected"),
    [(-1, -1, 5000), (-1, 0, 5000), (-1, 7, 7), (9, -1, 9), (80, 0, 10), (3, 0, 1)],
)
def test_limits_can_be_off(total: int, per_address: int, expected: int) -> None:
    """-1 is no limit, 0 the default."""
    assert admitted(RateLimiter(total, per_address), ONE, 5000, now=0.0) == expected


@pytest.mark.parametrize(("total", "is_admitted"), [(3, False), (-1, True)])
def test_forged_sources_take_bounded_room(
    total: int, is_admitted: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Beyond it they are refused, or pass unrecorded if there is no limit in all."""
    monkeypatch.setattr(limiter, "_RECORDS_MAX", 50)
    rates = RateLimiter(total, 2)
    for number in range(50):
        rates.admit(Address(number.to_bytes(4), 1), 0.0)
    assert rates.admit(ONE, 0.1) is is_admitted
    assert len(rates._records) == len(rates._counts) == 50  # noqa: SLF001 - the bound is the point
    assert rates.admit(ONE, 1.2)
    assert len(rates._records) == len(rates._counts) == 1  # noqa: SLF001


@given(
    st.lists(st.tuples(st.floats(0, 0.5), st.integers(0, 3)), max_size=200),
    st.integers(1, 12),
    st.integers(1, 6),
)
def test_no_second_has_more_than_its_limit(
    steps: list[tuple[float, int]], total: int, per_address: int
) -> None:
    """Whatever the pattern, in all and per address."""
    rates = RateLimiter(total, per_address)
    passed: list[tuple[float, int]] = []
    now = 0.0
    for step, source in steps:
        now += step
        if rates.admit(Address(bytes((10, 0, 0, source)), 1), now):
            passed.append((now, source))
            window = [who for when, who in passed if when >= now - 1.0]
            assert len(window) <= total
            assert window.count(source) <= per_address
