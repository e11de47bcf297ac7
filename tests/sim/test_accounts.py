"""Accounts on a DHT of many nodes in virtual time: found, asked, answered, gone."""

from __future__ import annotations

import pytest

from shoal.node.events import Presence, PresenceChanged, RequestReceived
from shoal.sim import Conditions
from tests.sim.accounts_world import AccountsWorld, DeviceEngine
from tests.unit.node.people import device

TEN_MINUTES = 600.0


def presence(one: DeviceEngine, other: DeviceEngine) -> Presence:
    """What one knows about the other."""
    return one.account.presences.presence(other.chain.account)


def is_confirmed(one: DeviceEngine, other: DeviceEngine) -> bool:
    """Whether one knows that the other has it."""
    contact = one.account.book.contact(other.chain.account)
    return contact is not None and contact.confirmed


@pytest.mark.parametrize("loss", [0.0, 0.05])
def test_a_request_finds_its_way_through_the_dht(loss: float) -> None:
    """Chain, announcement, request, confirmation: all of it datagrams among fourteen nodes."""
    world = AccountsWorld(seed=3, conditions=Conditions(loss=loss))
    alice, bob = world.add(device("alice")), world.add(device("bob"))
    world.run(60)
    assert alice.account.publication.is_announced
    assert bob.account.publication.is_announced

    asked = alice.account.request_contact(bob.chain.account, b"card", "", world.network.now)
    world.do(alice, asked)
    world.run(60)
    (request,) = bob.events(RequestReceived)
    assert request.payload == b"card"
    world.do(bob, bob.account.accept_contact(alice.chain.account, world.network.now))
    world.run(60)

    assert is_confirmed(alice, bob)
    assert is_confirmed(bob, alice)
    assert presence(alice, bob) is presence(bob, alice) is Presence.ANNOUNCED


def test_who_comes_later_gets_the_request_then() -> None:
    """Sent again when the device appears, and not before."""
    world = AccountsWorld(seed=5)
    alice = world.add(device("alice"))
    world.run(30)
    asked = alice.account.request_contact(device("bob").chain.account, b"", "", world.network.now)
    world.do(alice, asked)
    world.run(2 * TEN_MINUTES)

    bob = world.add(device("bob"))
    world.run(60)

    assert len(bob.events(RequestReceived)) == 1


def test_a_device_that_vanishes_is_offline_ten_minutes_later() -> None:
    """Its announcement is nobody's any more; devices that stay are seen for hours."""
    world = AccountsWorld(seed=7)
    alice, bob = world.add(device("alice")), world.add(device("bob"))
    world.run(30)
    for one, other in ((alice, bob), (bob, alice)):
        world.do(one, one.account.request_contact(other.chain.account, b"", "", world.network.now))
    world.run(2 * 3600)
    assert presence(alice, bob) is Presence.ANNOUNCED
    changes = [e for e in alice.events(PresenceChanged) if e.peer == bob.chain.account]
    assert [each.presence for each in changes] == [Presence.ANNOUNCED], "seen without a break"

    world.remove(bob)
    world.run(TEN_MINUTES + 120)

    assert presence(alice, bob) is Presence.OFFLINE
