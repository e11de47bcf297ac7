"""How many offers are looked at."""

from __future__ import annotations

from shoal.net.config import ConnectionsConfig
from shoal.net.limits import OfferLimits
from tests.unit.net.devices import simulated


def test_per_device_and_per_account() -> None:
    """Three a minute of one device, five of one account; others are not concerned."""
    limits = OfferLimits(ConnectionsConfig(requests_per_device=3, requests_per_account=5))
    phone, tablet = (simulated(name, account_name="bob") for name in ("phone", "tablet"))

    assert [limits.admit(phone, 0.0) for _ in range(4)] == [True, True, True, False]
    assert limits.admit(tablet, 0.0)
    assert not limits.admit(tablet, 0.0)
    assert limits.admit(simulated("carol"), 0.0)
    assert [limits.admit(phone, 200.0) for _ in range(4)] == [True, True, True, False]


def test_a_flood_is_forgiven_in_minutes() -> None:
    """Debt has a bound."""
    limits = OfferLimits(ConnectionsConfig(requests_per_device=3, requests_per_account=5))
    peer = simulated("eve")
    for _ in range(10_000):
        limits.admit(peer, 0.0)
    assert not limits.admit(peer, 30.0)
    assert limits.admit(peer, 180.0)


def test_what_is_remembered_is_bounded() -> None:
    """The budgets unused for longest go."""
    limits = OfferLimits(ConnectionsConfig())
    for number in range(2500):
        limits.admit(simulated(f"device {number}"), 0.0)
    assert len(limits) == 4096
