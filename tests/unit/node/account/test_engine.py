"""Accounts' engines in one small world: found, asked, synced, revoked, blocked."""

from __future__ import annotations

import pytest

from shoal.core import AccountId, InfoHash
from shoal.crypto import Certificate
from shoal.dht import Value
from shoal.identity import TrustRequest
from shoal.identity.errors import RevokedError, UnknownRequestError
from shoal.identity.revocations import revoke_device
from shoal.identity.wire.treated import unpack_treated
from shoal.net.effects import SendSignal
from shoal.node.account import effects as fx
from shoal.node.account.chains import DeviceName
from shoal.node.events import (
    ContactChanged,
    DeviceChanged,
    DeviceRemoved,
    Presence,
    PresenceChanged,
    RequestClosed,
    RequestReceived,
)
from shoal.sim import SeededEntropy
from tests.unit.node.account.world import (
    Person,
    Stored,
    World,
    offer,
    persisted,
)
from tests.unit.node.people import WALL_NOW, device


@pytest.fixture
def world() -> World:
    """An empty one."""
    return World()


def request(world: World, one: Person, other: Person, payload: bytes = b"hi") -> None:
    """One asks the other to become a contact."""
    effects = one.engine.request_contact(other.chain.account, payload, "", world.now)
    world.apply(one, effects)


def befriend(world: World, one: Person, other: Person) -> None:
    """Both are contacts of each other."""
    request(world, one, other)
    world.apply(other, other.engine.accept_contact(one.chain.account, world.now))


def test_a_device_publishes_what_others_need(world: World) -> None:
    """Its chain at both of its keys, and then its announcement at the account's."""
    alice = world.add(device("alice"))
    chain = alice.chain

    (short,) = world.stored[chain.short_id]
    (long,) = world.stored[chain.device.infohash]
    (announced,) = world.stored[InfoHash(chain.account)]
    assert short.value == long.value
    assert (short.value.type, short.value.id) == (8, 1)
    assert announced.value.owner_id == chain.account
    assert announced.value.id
    assert alice.events(fx.Published) == [fx.Published(True)]
    puts = [each.key for each in alice.events(fx.DhtPut)]
    assert puts[0] == chain.short_id, "the chain goes first"


def test_a_request_is_seen_accepted_and_confirmed(world: World) -> None:
    """Both have each other then, and follow each other's presence."""
    alice, bob = world.add(device("alice")), world.add(device("bob"))
    request(world, alice, bob, b"BEGIN:VCARD")

    (seen,) = bob.events(RequestReceived)
    assert (seen.peer, seen.payload) == (alice.chain.account, b"BEGIN:VCARD")
    assert not alice.engine.book.contacts[bob.chain.account].confirmed

    world.apply(bob, bob.engine.accept_contact(alice.chain.account, world.now))

    assert alice.engine.book.contacts[bob.chain.account].confirmed
    assert bob.engine.book.contacts[alice.chain.account].confirmed
    assert bob.events(RequestClosed)
    last = alice.events(ContactChanged)[-1]
    assert last.is_confirmed
    for one, other in ((alice, bob), (bob, alice)):
        assert one.engine.presences.presence(other.chain.account) is Presence.ANNOUNCED


def test_a_request_waits_for_those_who_are_offline(world: World) -> None:
    """It is sent when a device of theirs appears, and never again once it is confirmed."""
    alice = world.add(device("alice"))
    bob = world.add(device("bob"), starts=False)
    request(world, alice, bob)
    (done,) = alice.events(fx.TrustRequestDone)
    assert done.count == 0

    world.apply(bob, bob.engine.start(world.now))
    assert len(bob.events(RequestReceived)) == 1
    world.apply(bob, bob.engine.accept_contact(alice.chain.account, world.now))
    second = world.add(device("bob", 1))

    assert second.events(RequestReceived) == []


def test_each_device_of_an_account_gets_the_request(world: World) -> None:
    """And what one of them answers, the others learn by their sync channel."""
    alice, bob, second = (
        world.add(device("alice")),
        world.add(device("bob")),
        world.add(device("bob", 1)),
    )
    request(world, alice, bob)
    assert len(bob.events(RequestReceived)) == len(second.events(RequestReceived)) == 1

    world.apply(second, second.engine.accept_contact(alice.chain.account, world.now))
    world.run(1)

    assert bob.engine.book.contacts[alice.chain.account].confirmed
    assert not bob.engine.book.requests
    assert bob.events(RequestClosed)


def test_a_declined_request_is_forgotten_without_a_word(world: World) -> None:
    """The other side waits on; asking for it twice is a mistake."""
    alice, bob = world.add(device("alice")), world.add(device("bob"))
    request(world, alice, bob)
    world.apply(bob, bob.engine.decline_contact(alice.chain.account, world.now))

    assert not bob.engine.book.requests
    assert not alice.engine.book.contacts[bob.chain.account].confirmed
    with pytest.raises(UnknownRequestError):
        bob.engine.decline_contact(alice.chain.account, world.now)


def test_who_was_declined_may_ask_again(world: World) -> None:
    """A new request is seen; the same one, read again after a restart, is not."""
    alice, bob = world.add(device("alice")), world.add(device("bob"))
    request(world, alice, bob)
    world.apply(bob, bob.engine.decline_contact(alice.chain.account, world.now))
    world.run(5)
    ids = unpack_treated(persisted(bob)["readRequests"])
    again = world.add(device("bob"), read=ids)
    assert again.events(RequestReceived) == []

    undated = TrustRequest(payload=b"again")  # of 13.7
    world.apply(alice, alice.engine.inbox.send(1, bob.chain.account, undated, None, world.now))

    assert [each.payload for each in again.events(RequestReceived)] == [b"again"]


def test_who_is_blocked_reaches_us_by_no_path(world: World) -> None:
    """Not by connections, open or new, nor by offers, requests or channels."""
    alice, bob = world.add(device("alice")), world.add(device("bob"))
    befriend(world, alice, bob)
    world.connect(alice, bob)
    assert alice.engine.presences.presence(bob.chain.account) is Presence.CONNECTED

    world.apply(alice, alice.engine.block_contact(bob.chain.account, world.now))

    assert not alice.connected
    assert not alice.engine.may_connect(bob.chain)
    before = len(alice.said)
    request(world, bob, alice, b"please")
    assert [each for each in alice.said[before:] if isinstance(each, RequestReceived)] == []
    world.apply(alice, alice.engine.unblock_contact(bob.chain.account, world.now))
    assert alice.engine.may_connect(bob.chain)


def test_strangers_connect_only_where_that_is_wanted(world: World) -> None:
    """Contacts always, others by a setting."""
    alice, mallory = world.add(device("alice")), world.add(device("mallory"))
    assert not alice.engine.may_connect(mallory.chain)

    alice.engine.allow_public = True

    assert alice.engine.may_connect(mallory.chain)


def test_who_shares_a_conversation_may_connect(world: World) -> None:
    """Members need not be contacts; the blocked stay out."""
    alice, bob = world.add(device("alice")), world.add(device("bob"))
    alice.engine.is_fellow = lambda account: account == bob.chain.account
    assert alice.engine.may_connect(bob.chain)
    assert not alice.engine.may_connect(world.add(device("mallory")).chain)

    world.apply(alice, alice.engine.block_contact(bob.chain.account, world.now))

    assert not alice.engine.may_connect(bob.chain)


def test_devices_of_an_account_meet_and_sync(world: World) -> None:
    """Each learns of the other, of its name, and of the contacts that it has."""
    bob = world.add(device("bob"))
    alice = world.add(device("alice"))
    befriend(world, alice, bob)
    world.apply(alice, alice.engine.rename_device("laptop", world.now))

    second = world.add(device("alice", 1))
    world.run(1)

    for each in (alice, second):
        assert set(each.engine.devices.devices) == {alice.chain.device, second.chain.device}
    assert second.engine.devices.devices[alice.chain.device].name == "laptop"
    assert second.engine.book.contacts[bob.chain.account].confirmed
    assert second.events(DeviceChanged)
    assert {"contacts", "knownDevices"} <= set(persisted(second))


def test_a_device_whose_chain_comes_late_is_met(world: World) -> None:
    """Its announcement may be there before its chain is."""
    alice = world.add(device("alice"))
    alice.is_online = False  # so that only what is stored speaks for it
    places = (alice.chain.short_id, alice.chain.device.infohash)
    kept = {place: world.stored.pop(place) for place in places}
    second = world.add(device("alice", 1))
    world.run(1)
    assert alice.chain.device not in second.engine.devices.devices

    world.stored.update(kept)
    world.run(10)

    assert alice.chain.device in second.engine.devices.devices


def test_a_lost_sync_channel_is_opened_again(world: World) -> None:
    """After a while, as long as the device is announced."""
    alice, second = world.add(device("alice")), world.add(device("alice", 1))
    assert alice.channels
    world.disconnect(alice, second)
    assert not alice.channels

    world.run(60)

    assert alice.channels


def test_a_stranger_s_sync_channel_is_refused(world: World) -> None:
    """Only devices of the account sync."""
    alice, mallory = world.add(device("alice"), allow_public=True), world.add(device("mallory"))
    name = alice.engine.syncing.own_name

    assert not alice.engine.accepts_sync(mallory.chain, name)
    assert alice.engine.accepts_sync(device("alice", 1).chain, name)
    assert not alice.engine.accepts_sync(device("alice", 1).chain, "sync://elsewhere")


def test_a_revoked_device_is_out_at_once(world: World) -> None:
    """Of its own account, and of those who have it as a contact."""
    bob, alice, second = (
        world.add(device("bob")),
        world.add(device("alice")),
        world.add(device("alice", 1)),
    )
    befriend(world, alice, bob)
    world.connect(second, bob)
    certificate = second.chain.certificate
    assert isinstance(certificate, Certificate)
    keys = revoke_device(
        device("alice").keys, certificate, entropy=SeededEntropy(9), wall_now=WALL_NOW + world.now
    )
    assert keys.revocations is not None

    world.apply(alice, alice.engine.revoke(keys.revocations, world.now))

    assert set(alice.engine.devices.devices) == {alice.chain.device}
    assert alice.events(DeviceRemoved) == [DeviceRemoved(alice.chain.account, second.chain.device)]
    for other in (alice, bob):
        assert not other.engine.may_connect(second.chain)
        assert second.chain.device not in other.connected
    world.apply(bob, bob.engine.find_chain(99, DeviceName(second.chain.device), world.now))
    (missing,) = bob.events(fx.ChainMissing)
    assert (missing.op, type(missing.error)) == (99, RevokedError)
    assert [each.account for each in bob.events(fx.KeepRevocations)] == [alice.chain.account]


def test_a_revoked_device_that_is_being_called_is_out_too(world: World) -> None:
    """No connection to it comes up later: what is under way ends."""
    alice, second = world.add(device("alice")), world.add(device("alice", 1))
    certificate = second.chain.certificate
    assert isinstance(certificate, Certificate)
    keys = revoke_device(
        device("alice").keys, certificate, entropy=SeededEntropy(9), wall_now=WALL_NOW + world.now
    )
    assert keys.revocations is not None
    world.apply(alice, alice.engine.find_chain(99, DeviceName(second.chain.device), world.now))
    world.apply(
        alice,
        alice.engine.connection_closed(alice.chain.account, second.chain.device, world.now),
    )

    effects = alice.engine.revoke(keys.revocations, world.now)

    assert fx.CloseConnections(alice.chain.account, second.chain.device) in effects


def test_a_list_that_waits_for_a_chain_counts_for_that_chain(world: World) -> None:
    """Whoever asks for the device first, and learns of its account by that, is told."""
    alice, second = world.add(device("alice")), world.add(device("alice", 1))
    certificate = second.chain.certificate
    assert isinstance(certificate, Certificate)
    keys = revoke_device(
        device("alice").keys, certificate, entropy=SeededEntropy(9), wall_now=WALL_NOW
    )
    assert keys.revocations is not None
    world.apply(alice, alice.engine.revoke(keys.revocations, world.now))
    bob = world.add(device("bob"))
    request(world, bob, alice)

    world.apply(bob, bob.engine.find_chain(99, DeviceName(second.chain.device), world.now))

    (missing,) = bob.events(fx.ChainMissing)
    assert (missing.op, type(missing.error)) == (99, RevokedError)
    assert bob.events(fx.ChainFound) == []


def test_offers_reach_the_device_by_both_of_its_keys(world: World) -> None:
    """And its answer goes back to the family of keys that the offer came by."""
    alice, bob = world.add(device("alice")), world.add(device("bob"))
    world.apply(alice, alice.engine.send_signal(SendSignal(1, bob.chain, offer(), ""), world.now))

    came = bob.events(fx.DeliverSignal)
    routes = [each.route for each in came]
    assert routes == ["dht/long", "dht/short"]
    for route in routes:
        signal = SendSignal(2, alice.chain, offer(is_answer=True), route)
        world.apply(bob, bob.engine.send_signal(signal, world.now))
    answers = alice.events(fx.DeliverSignal)
    assert [each.route for each in answers] == routes


def test_a_search_finds_who_is_online(world: World) -> None:
    """Devices of any account, without following it."""
    alice, bob = world.add(device("alice")), world.add(device("bob"))
    world.apply(alice, alice.engine.find_devices(50, bob.chain.account, world.now))

    (found,) = alice.events(fx.DevicesFound)
    assert [each.device for each in found.devices] == [bob.chain.device]
    world.apply(alice, alice.engine.find_chain(51, DeviceName(bob.chain.device), world.now))
    (chain,) = alice.events(fx.ChainFound)
    assert chain == fx.ChainFound(51, bob.chain)


def test_presence_ends_when_the_announcement_expires(world: World) -> None:
    """There is no other good-bye."""
    alice, bob = world.add(device("alice")), world.add(device("bob"))
    befriend(world, alice, bob)
    world.leave(bob)

    assert alice.engine.presences.presence(bob.chain.account) is Presence.OFFLINE
    last = alice.events(PresenceChanged)[-1]
    assert (last.presence, last.devices) == (Presence.OFFLINE, ())


def test_an_account_can_be_hidden(world: World) -> None:
    """It announces nothing, until it wants to be found."""
    alice = world.add(device("alice"))
    world.apply(alice, alice.engine.set_announced(False, world.now))
    assert world.stored[InfoHash(alice.chain.account)] == []

    world.apply(alice, alice.engine.set_announced(True, world.now))

    assert len(world.stored[InfoHash(alice.chain.account)]) == 1
    said = [each.is_announced for each in alice.events(fx.Published)]
    assert said == [True, False, True]


def test_what_stops_is_silent(world: World) -> None:
    """Nothing is listened to, nothing announced."""
    alice, bob = world.add(device("alice")), world.add(device("bob"))
    befriend(world, alice, bob)
    world.apply(alice, alice.engine.stop(world.now))

    assert alice.listens == {}
    assert world.stored[InfoHash(alice.chain.account)] == []


def test_forged_announcements_and_garbage_change_nothing(world: World) -> None:
    """Whatever anybody puts at our keys."""
    alice, bob = world.add(device("alice")), world.add(device("bob"))
    befriend(world, alice, bob)
    account = InfoHash(bob.chain.account)
    before = alice.engine.presences.announced(bob.chain.account)
    forged = Value(world.stored[account][0].value.data, id=5, owner=device("mallory").chain.spki)
    for value in (forged, Value(b"junk", id=6), Value(b"\xc4\x01\x30", id=7)):
        world.put(account, Stored(value))
    request_of_nobody = Value(TrustRequest().pack(), 4, id=8)
    for key in alice.listens.values():
        world.put(key, Stored(request_of_nobody))

    assert alice.engine.presences.announced(bob.chain.account) == before
    assert alice.events(RequestReceived) == []


def test_ids_of_accounts_are_their_own_type() -> None:
    """An account's id is what its certificates say."""
    assert type(device("alice").chain.account) is AccountId
