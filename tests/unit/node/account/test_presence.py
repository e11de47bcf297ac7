"""Who is online: devices, not values; and what connections add to that."""

from __future__ import annotations

from dataclasses import replace

import pytest

from shoal.core import AccountId, InfoHash
from shoal.dht import Value
from shoal.identity import check_receipt
from shoal.node.account import presence
from shoal.node.account.effects import (
    AnnouncedDevice,
    DeviceAppeared,
    DeviceLeft,
    DevicesFound,
    DhtCancel,
    DhtGet,
    DhtListen,
    RevocationsSeen,
)
from shoal.node.account.operations import Operations
from shoal.node.account.presence import (
    REVOCATIONS_PER_ACCOUNT,
    UNREACHABLE_TIME,
    Presences,
)
from shoal.node.errors import TooMuchAskedError
from shoal.node.events import Presence, PresenceChanged
from tests.unit.node.people import DeviceOf, device

OWN = AccountId(bytes(range(20)))
ALICE = device("alice").chain.account


def announcement(of: DeviceOf, value_id: int) -> Value:
    """Return the value that announces a device."""
    credentials = of.credentials
    receipt = check_receipt(credentials.receipt, credentials.identity.certificate)
    return replace(receipt.announcement, id=value_id)


def announced(of: DeviceOf) -> AnnouncedDevice:
    """Return what it says."""
    return AnnouncedDevice(of.chain.short_id, of.chain.device, of.chain.spki)


@pytest.fixture
def presences() -> Presences:
    """Of somebody who follows Alice."""
    found = Presences(Operations(), OWN)
    assert found.watch(ALICE) == [DhtListen(1, InfoHash(ALICE))]
    return found


def test_devices_are_counted_not_values(presences: Presences) -> None:
    """After a restart there are two announcements for a while; each is told as an appearance."""
    one = device("alice")
    first = presences.values_found(1, (announcement(one, 5),), 0.0)
    assert first == [
        DeviceAppeared(ALICE, announced(one)),
        PresenceChanged(OWN, ALICE, Presence.ANNOUNCED, (one.chain.device,)),
    ]
    again = presences.values_found(1, (announcement(one, 5), announcement(one, 6)), 0.0)
    assert again == [DeviceAppeared(ALICE, announced(one))]
    assert presences.values_expired(1, (announcement(one, 5),), 0.0) == []
    assert presences.announced(ALICE) == (announced(one),)

    assert presences.values_expired(1, (announcement(one, 6),), 0.0) == [
        DeviceLeft(ALICE, announced(one)),
        PresenceChanged(OWN, ALICE, Presence.OFFLINE, ()),
    ]
    assert presences.values_expired(1, (announcement(one, 6), Value(b"?", id=9)), 0.0) == []


def test_connections_say_more_than_announcements(presences: Presences) -> None:
    """A connection shows that somebody is there; a failed attempt, that they cannot be reached."""
    one = device("alice").chain.device
    presences.values_found(1, (announcement(device("alice"), 5),), 0.0)

    def shown() -> Presence:
        return presences.presence(ALICE)

    presences.connection_failed(ALICE, one, 1.0)
    assert shown() is Presence.UNREACHABLE
    presences.connection_opened(ALICE, one, 2.0)
    assert shown() is Presence.CONNECTED
    assert presences.connected(ALICE) == (one,)
    presences.connection_closed(ALICE, one, 3.0)
    assert shown() is Presence.ANNOUNCED
    presences.connection_failed(ALICE, one, 4.0)
    presences.values_found(1, (announcement(device("alice"), 6),), 5.0)
    assert shown() is Presence.ANNOUNCED, "it has said that it is there"


def test_a_failure_is_forgotten_after_a_while(presences: Presences) -> None:
    """The device is still announced: it may be reachable again."""
    one = device("alice").chain.device
    presences.values_found(1, (announcement(device("alice"), 5),), 0.0)
    presences.connection_failed(ALICE, one, 1.0)
    assert presences.next_deadline() == 1.0 + UNREACHABLE_TIME
    assert presences.advance(UNREACHABLE_TIME) == []

    (changed,) = presences.advance(1.0 + UNREACHABLE_TIME)

    assert isinstance(changed, PresenceChanged)
    assert changed.presence is Presence.ANNOUNCED
    assert presences.next_deadline() is None


def test_nobody_is_followed_twice_or_for_ever(
    presences: Presences, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And no more accounts, devices or values than bounds allow."""
    assert presences.watch(ALICE) == []
    assert presences.unwatch(ALICE) == [DhtCancel(1)]
    assert presences.unwatch(ALICE) == []
    assert len(presences) == 0
    monkeypatch.setattr(presence, "WATCHED_MAX", 0)
    assert presences.watch(ALICE) == []
    assert presences.presence(ALICE) is Presence.OFFLINE
    assert not presences.announced(ALICE)
    assert not presences.connected(ALICE)
    for report in (
        presences.connection_opened,
        presences.connection_closed,
        presences.connection_failed,
    ):
        assert report(ALICE, device("alice").chain.device, 0.0) == []
    assert presences.values_found(1, (announcement(device("alice"), 5),), 0.0) == []
    assert presences.values_expired(1, (), 0.0) == []


def test_floods_are_bounded(presences: Presences, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of devices, of values of one device, of what may be lists of revoked ones."""
    monkeypatch.setattr(presence, "DEVICES_MAX", 1)
    monkeypatch.setattr(presence, "VALUES_MAX", 2)
    one, other = device("alice"), device("alice", 1)
    found = [announcement(one, number) for number in range(5)]
    appeared = presences.values_found(1, (*found, announcement(other, 9)), 0.0)
    assert sum(isinstance(each, DeviceAppeared) for each in appeared) == 2
    assert presences.announced(ALICE) == (announced(one),)

    junk = tuple(Value(b"%d" % number, id=number + 100) for number in range(50))
    seen = presences.values_found(1, junk, 0.0)
    assert len(seen) == REVOCATIONS_PER_ACCOUNT
    assert seen[0] == RevocationsSeen(ALICE, b"0")


def test_a_lookup_asks_once(presences: Presences, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without following; lists of revoked devices are told of, too."""
    (order,) = presences.find_devices(77, ALICE)
    assert order == DhtGet(2, InfoHash(ALICE))
    values = (
        announcement(device("alice"), 5),
        Value(b"list", id=6),
        announcement(device("bob"), 7),
    )
    assert presences.values_found(2, values, 0.0) == [RevocationsSeen(ALICE, b"list")]

    assert presences.dht_done(2, True, 0.0) == [DevicesFound(77, (announced(device("alice")),))]
    assert presences.dht_done(2, True, 0.0) == []
    monkeypatch.setattr(presence, "LOOKUPS_MAX", 0)
    with pytest.raises(TooMuchAskedError):
        presences.find_devices(78, ALICE)


def test_a_device_is_known_by_all_of_its_names(presences: Presences) -> None:
    """Once it is announced."""
    chain = device("alice").chain
    assert presences.name_of(chain.device) is None
    presences.values_found(1, (announcement(device("alice"), 5),), 0.0)
    name = presences.name_of(chain.device)
    assert name is not None
    assert (name.device, name.short_id, name.account) == (chain.device, chain.short_id, ALICE)
