"""Shares of clients."""

from __future__ import annotations

import pytest

from shoal.dht.proxy.quotas import Quota, client_of


def test_share_and_total() -> None:
    """A client gets its share, all get the total, and what is given back can be taken again."""
    quota = Quota(per_client=2, total=3)

    assert [quota.take("a") for _ in range(3)] == ["granted", "granted", "client"]
    assert [quota.take("b") for _ in range(2)] == ["granted", "total"]
    quota.give_back("a")
    assert quota.take("b") == "granted"
    assert (quota.used, quota.refused) == (3, 2)


def test_amounts() -> None:
    """An amount is granted whole or not at all."""
    quota = Quota(per_client=10, total=10)

    assert quota.take("a", 8) == "granted"
    assert quota.take("a", 3) == "total"
    quota.give_back("a", 8)
    assert quota.take("a", 10) == "granted"


@pytest.mark.parametrize(
    ("one", "other", "is_same"),
    [
        ("192.0.2.1", "::ffff:192.0.2.1", True),
        ("192.0.2.1", "192.0.2.2", False),
        ("2001:db8::1", "2001:db8::ffff:2", True),
        ("2001:db8::1", "2001:db8:0:1::1", False),
        ("testclient", "testclient", True),
    ],
)
def test_who_is_one_client(one: str, other: str, *, is_same: bool) -> None:
    """An IPv4 address is a client, and an IPv6 /64."""
    assert (client_of(one) == client_of(other)) is is_same
