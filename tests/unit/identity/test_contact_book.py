"""The contact book: what users do, what others do, and that devices agree in the end."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, TypeVar

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shoal.core import Persist
from shoal.identity import contact_book
from shoal.identity.contact import Contact, StoredRequest
from shoal.identity.contact_book import ANSWER_AFTER, RESEND_AFTER, BookState, ContactBook
from shoal.identity.effects import (
    BookEffect,
    CloseConnections,
    ContactAdded,
    ContactConfirmed,
    ContactRemoved,
    ConversationChanged,
    Forget,
    RequestReceived,
    RequestRemoved,
    SendTrustRequest,
    Status,
    StatusChanged,
    SyncDevices,
)
from shoal.identity.errors import (
    ContactError,
    OwnAccountError,
    PayloadTooLargeError,
    TooManyContactsError,
    UnknownContactError,
    UnknownRequestError,
)
from shoal.identity.permissions import Permissions
from shoal.identity.trust_request import PAYLOAD_SIZE_MAX, TrustRequest
from shoal.identity.wire.contacts import pack_contacts, pack_requests, unpack_contacts
from shoal.identity.wire.sync import DeviceSync, SyncedDevice
from shoal.sim.entropy import SeededEntropy
from tests.unit.identity.samples import CONVERSATIONS, SHORT, WALL, account_id, chain

if TYPE_CHECKING:
    from collections.abc import Callable

    from shoal.identity.chain import DeviceChain

T = TypeVar("T")
ALICE, BOB, EVE = chain("alice"), chain("bob"), chain("eve")
VCARD = b"BEGIN:VCARD\nFN:bob\nEND:VCARD"
ONE, TWO = CONVERSATIONS[:2]
MS = int(WALL * 1000)


def book(state: BookState | None = None) -> ContactBook:
    """Return Alice's."""
    return ContactBook(ALICE.account, state)


def of(effects: list[BookEffect], kind: type[T]) -> list[T]:
    """Return the effects of one kind."""
    return [each for each in effects if isinstance(each, kind)]


# What the user does


def test_asking_somebody() -> None:
    """Saved first, then the request, then the other devices; who was asked may connect."""
    alice = book()

    effects = alice.request(BOB.account, WALL, payload=VCARD, conversation_id=ONE)

    contact = Contact(MS, 0, conversation_id=ONE)
    assert effects == [
        Persist(f"requests/{BOB.account}", VCARD),
        Persist("contacts", pack_contacts({BOB.account: contact})),
        StatusChanged(BOB.account, Status.ALLOWED),
        ContactAdded(BOB.account, contact),
        SyncDevices(),
        SendTrustRequest(BOB.account, TrustRequest(ONE, VCARD, invited_ms=MS)),
    ]
    assert alice.contact(BOB.account) == contact
    assert alice.is_allowed(BOB, allow_public=False)
    assert not alice.is_allowed(EVE, allow_public=False)


def test_asking_again_sends_again() -> None:
    """The record stays as it is; a new card takes the old one's place."""
    alice = book()
    alice.request(BOB.account, WALL, payload=VCARD, conversation_id=ONE)

    again = alice.request(BOB.account, WALL + 9, payload=VCARD)
    other = alice.request(BOB.account, WALL + 9, payload=b"new")

    assert again == [SendTrustRequest(BOB.account, TrustRequest(ONE, VCARD, invited_ms=MS))]
    assert other[0] == Persist(f"requests/{BOB.account}", b"new")


def test_being_asked_and_accepting() -> None:
    """The request waits; accepting adds the contact, confirmed, and tells them."""
    alice = book()

    asked = alice.request_received(BOB, TrustRequest(ONE, VCARD), 0.0, WALL)
    stored = StoredRequest(BOB.spki, ONE, MS, VCARD)
    assert asked == [
        Persist("incomingTrustRequests", pack_requests({BOB.account: stored})),
        RequestReceived(BOB.account, stored),
    ]
    assert alice.requests == {BOB.account: stored}
    assert not alice.is_allowed(BOB, allow_public=False)

    accepted = alice.accept(BOB.account, WALL + 5)
    contact = Contact(MS + 5000, 0, confirmed=True, conversation_id=ONE)
    assert accepted == [
        Persist("contacts", pack_contacts({BOB.account: contact})),
        StatusChanged(BOB.account, Status.ALLOWED),
        Persist("incomingTrustRequests", pack_requests({})),
        RequestRemoved(BOB.account),
        ContactAdded(BOB.account, contact),
        ContactConfirmed(BOB.account),
        SyncDevices(),
        SendTrustRequest(BOB.account, TrustRequest(ONE, confirm=True)),
    ]
    assert alice.requests == {}


def test_asking_who_has_asked_accepts() -> None:
    """Two people who want the same do not wait for one another."""
    alice = book()
    alice.request_received(BOB, TrustRequest(ONE, VCARD), 0.0, WALL)

    effects = alice.request(BOB.account, WALL, payload=VCARD)

    (sent,) = of(effects, SendTrustRequest)
    assert sent.request == TrustRequest(ONE, confirm=True)
    assert alice.contact(BOB.account) == Contact(MS, 0, confirmed=True, conversation_id=ONE)


def test_declining_tells_nobody() -> None:
    """What its sender repeats by itself is known again; a later request is shown."""
    alice = book()
    request = TrustRequest(ONE, VCARD, invited_ms=MS)
    alice.request_received(BOB, request, 0.0, WALL)

    assert alice.decline(BOB.account, WALL) == [
        Persist("incomingTrustRequests", pack_requests({})),
        RequestRemoved(BOB.account),
    ]
    assert alice.request_received(BOB, request, 1.0, WALL + 599) == []
    later = TrustRequest(ONE, VCARD, invited_ms=MS + 1)
    assert of(alice.request_received(BOB, later, 2.0, WALL + 601), RequestReceived)


def test_removing_ends_connections_and_forgets_the_confirmation() -> None:
    """They are strangers again, and may ask again."""
    alice = book()
    alice.request(BOB.account, WALL, payload=VCARD, conversation_id=ONE)

    effects = alice.remove(BOB.account, WALL + 1)

    gone = Contact(MS, MS + 1000, conversation_id=ONE)
    assert effects == [
        Persist("contacts", pack_contacts({BOB.account: gone})),
        StatusChanged(BOB.account, Status.UNDEFINED),
        CloseConnections(BOB.account),
        ContactRemoved(BOB.account, gone),
        Forget(f"requests/{BOB.account}"),
        SyncDevices(),
    ]
    assert alice.contact(BOB.account) is None
    assert of(alice.request_received(BOB, TrustRequest(TWO), 0.0, WALL + 2), RequestReceived)


def test_blocking_lets_nothing_through() -> None:
    """Neither requests nor connections, whatever strangers may do; also those unknown before."""
    alice = book()
    alice.request_received(EVE, TrustRequest(ONE), 0.0, WALL)

    effects = alice.block(EVE.account, WALL)

    assert of(effects, CloseConnections) == [CloseConnections(EVE.account)]
    assert of(effects, StatusChanged) == [StatusChanged(EVE.account, Status.BANNED)]
    assert of(effects, RequestRemoved)
    assert of(effects, ContactRemoved)[0].contact.is_banned
    assert not alice.is_allowed(EVE, allow_public=True)
    assert alice.request_received(EVE, TrustRequest(ONE), 1.0, WALL + 5) == []
    assert alice.stats.refused == 1
    assert alice.block(EVE.account, WALL + 9) == [], "already"


def test_unblocking_brings_back_what_was() -> None:
    """A contact is one again, a stranger a stranger."""
    alice = book()
    alice.add(BOB.account, WALL, conversation_id=ONE, confirmed=True)
    alice.block(BOB.account, WALL + 1)
    alice.block(EVE.account, WALL + 1)

    back = alice.unblock(BOB.account, WALL + 2)
    stranger = alice.unblock(EVE.account, WALL + 2)

    assert of(back, ContactAdded)
    assert alice.contact(BOB.account) == Contact(MS + 2000, MS + 1000, conversation_id=ONE)
    assert alice.contact(EVE.account) is None
    assert of(stranger, StatusChanged) == [StatusChanged(EVE.account, Status.UNDEFINED)]
    assert alice.is_allowed(EVE, allow_public=True)


def test_every_change_is_later_than_what_it_changes() -> None:
    """An addition by a whole second, as 13.7 counts; also against a clock that is ahead."""
    ahead = Contact(MS + 3_600_000, 0)
    alice = book(BookState({BOB.account: ahead}))

    alice.remove(BOB.account, WALL)
    removed = alice.contacts[BOB.account]
    alice.add(BOB.account, WALL)
    added = alice.contacts[BOB.account]

    assert not removed.is_active
    assert removed.removed_ms == ahead.added_ms + 1
    assert added.is_active
    assert added.added_ms // 1000 > removed.removed_ms // 1000


def test_what_cannot_be_done_changes_nothing() -> None:
    """Each mistake has its error."""
    alice = book(BookState({EVE.account: Contact(0, 5, banned=True)}))
    mistakes: list[tuple[type[ContactError], object]] = [
        (OwnAccountError, lambda: alice.request(ALICE.account, WALL)),
        (OwnAccountError, lambda: alice.block(ALICE.account, WALL)),
        (
            PayloadTooLargeError,
            lambda: alice.request(BOB.account, WALL, payload=bytes(PAYLOAD_SIZE_MAX + 1)),
        ),
        (UnknownRequestError, lambda: alice.accept(BOB.account, WALL)),
        (UnknownRequestError, lambda: alice.decline(BOB.account, WALL)),
        (UnknownContactError, lambda: alice.remove(BOB.account, WALL)),
        (UnknownContactError, lambda: alice.remove(EVE.account, WALL)),
        (UnknownContactError, lambda: alice.unblock(BOB.account, WALL)),
    ]
    for error, mistake in mistakes:
        with pytest.raises(error):
            mistake()  # type: ignore[operator]

    assert dict(alice.contacts) == {EVE.account: Contact(0, 5, banned=True)}
    assert alice.requests == {}


def test_a_full_book_takes_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither from the user nor from other devices; what is known may change."""
    monkeypatch.setattr(contact_book, "CONTACTS_MAX", 1)
    alice = book()
    alice.add(BOB.account, WALL)

    for mistake in (alice.add, alice.block):
        with pytest.raises(TooManyContactsError):
            mistake(EVE.account, WALL)
    sync = DeviceSync(peers={EVE.account: Contact(1), BOB.account: Contact(0, MS + 9)})
    alice.merge(sync, WALL, is_current=True)

    assert list(alice.contacts) == [BOB.account]
    assert alice.contact(BOB.account) is None
    assert alice.stats.over_limit == 1


def test_one_may_list_oneself() -> None:
    """The conversation with oneself; no request is ever sent."""
    alice = book()

    assert of(alice.add(ALICE.account, WALL, conversation_id=ONE), ContactAdded)
    assert alice.device_online(ALICE.account, SHORT, 0.0) == []
    assert alice.request_received(ALICE, TrustRequest(ONE), 0.0, WALL) == []
    assert alice.stats.unasked == 1


def test_statuses_of_others_than_contacts() -> None:
    """A single device of a contact, say."""
    alice = book()
    alice.add(BOB.account, WALL)

    effects = alice.set_status(BOB.short_id, Status.BANNED)

    assert effects == [StatusChanged(BOB.short_id, Status.BANNED)]
    assert alice.set_status(BOB.short_id, Status.BANNED) == []
    assert not alice.is_allowed(BOB, allow_public=True)
    assert alice.is_allowed(chain("bob", "phone"), allow_public=False)


# What others do


def test_a_confirmation_ends_the_asking() -> None:
    """Until then each device that appears is asked, once in ten minutes."""
    alice = book()
    alice.request(BOB.account, WALL, payload=VCARD, conversation_id=ONE)
    alice.request_sent(BOB.account, BOB.short_id, 0.0)

    assert alice.device_online(BOB.account, BOB.short_id, 1.0) == []
    ask = SendTrustRequest(BOB.account, TrustRequest(ONE, VCARD, invited_ms=MS), SHORT)
    assert alice.device_online(BOB.account, SHORT, 1.0) == [ask]
    assert alice.device_online(BOB.account, SHORT, 1.0) == []
    again = alice.device_online(BOB.account, BOB.short_id, RESEND_AFTER)
    assert of(again, SendTrustRequest)

    confirmed = alice.request_received(BOB, TrustRequest(ONE, confirm=True), 700.0, WALL + 700)
    assert of(confirmed, ContactConfirmed) == [ContactConfirmed(BOB.account)]
    assert of(confirmed, Forget) == [Forget(f"requests/{BOB.account}")]
    assert of(confirmed, SyncDevices)
    assert alice.device_online(BOB.account, BOB.short_id, 1e6) == []
    assert alice.request_received(BOB, TrustRequest(ONE, confirm=True), 1e6, WALL) == []


def test_only_a_few_devices_of_a_contact_are_remembered() -> None:
    """Somebody may announce any number of them."""
    alice = book()
    alice.request(BOB.account, WALL)
    for number in range(contact_book.DEVICES_PER_CONTACT_MAX + 1):
        alice.request_sent(BOB.account, account_id(number), 0.0)

    assert alice.device_online(BOB.account, account_id(0), 1.0), "forgotten, so asked again"
    assert not alice.device_online(BOB.account, account_id(60), 1.0)


def test_a_contact_that_asks_is_always_answered() -> None:
    """A confirmation may have been lost; once a minute is enough, though."""
    alice = book()
    alice.add(BOB.account, WALL, conversation_id=ONE)
    answer = SendTrustRequest(BOB.account, TrustRequest(ONE, confirm=True))

    first = alice.request_received(BOB, TrustRequest(TWO), 0.0, WALL)
    second = alice.request_received(BOB, TrustRequest(TWO), 1.0, WALL)
    third = alice.request_received(BOB, TrustRequest(TWO), ANSWER_AFTER, WALL)

    assert of(first, ContactConfirmed)
    assert first[-1] == answer, "with our conversation"
    assert second == []
    assert third == [answer]
    assert alice.stats.repeated == 1


def test_a_contact_without_conversation_gets_the_one_it_is_asked_with() -> None:
    """As after a contact was added by id alone."""
    alice = book()
    alice.add(BOB.account, WALL)

    effects = alice.request_received(BOB, TrustRequest(ONE), 0.0, WALL)

    assert of(effects, ConversationChanged) == [ConversationChanged(BOB.account, "", ONE)]
    assert of(effects, ContactConfirmed)
    assert of(effects, SendTrustRequest)[0].request.conversation_id == ONE


def test_the_conversation_of_a_confirmation_is_taken() -> None:
    """The other side insists on one that it had; other devices of ours are to see it as later."""
    alice = book()
    alice.request(BOB.account, WALL, conversation_id=ONE)

    effects = alice.request_received(BOB, TrustRequest(TWO, confirm=True), 0.0, WALL)

    assert of(effects, ConversationChanged) == [ConversationChanged(BOB.account, ONE, TWO)]
    assert alice.contacts[BOB.account].added_ms > MS


def test_two_who_ask_each_other_agree_on_one_conversation() -> None:
    """Both have made one; the lesser id holds on both sides, in whatever order things arrive."""
    for swapped in (False, True):
        mine, theirs = (TWO, ONE) if swapped else (ONE, TWO)
        alice, bob = ContactBook(ALICE.account), ContactBook(BOB.account)
        alice.request(BOB.account, WALL, conversation_id=mine)
        bob.request(ALICE.account, WALL, conversation_id=theirs)
        (to_bob,) = of(
            alice.request_received(BOB, TrustRequest(theirs), 0.0, WALL), SendTrustRequest
        )
        (to_alice,) = of(
            bob.request_received(ALICE, TrustRequest(mine), 0.0, WALL), SendTrustRequest
        )
        alice.request_received(BOB, to_alice.request, 1.0, WALL)
        bob.request_received(ALICE, to_bob.request, 1.0, WALL)

        assert alice.contacts[BOB.account].conversation_id == ONE
        assert bob.contacts[ALICE.account].conversation_id == ONE


def test_joining_the_conversation_confirms_too() -> None:
    """13.7 does not always answer."""
    alice = book()
    alice.add(BOB.account, WALL, conversation_id=ONE)

    assert of(alice.conversation_joined(BOB.account), ContactConfirmed)
    assert alice.conversation_joined(BOB.account) == []
    assert alice.conversation_joined(EVE.account) == []


def test_confirmations_that_nobody_asked_for_are_dropped() -> None:
    """Of strangers, and of those who were removed."""
    alice = book()

    assert alice.request_received(EVE, TrustRequest(ONE, confirm=True), 0.0, WALL) == []
    assert alice.stats.unasked == 1


# What other devices know


def test_a_contact_that_another_device_added() -> None:
    """Saved once, whatever the number of changes; and passed on, for devices may not all meet."""
    alice = book()
    alice.request_received(BOB, TrustRequest(ONE, VCARD), 0.0, WALL)
    peers = {
        BOB.account: Contact(MS + 9000, 0, confirmed=True, conversation_id=ONE),
        EVE.account: Contact(0, MS, banned=True),
        account_id(9): Contact(),
    }

    effects = alice.merge(DeviceSync(peers=peers), WALL, is_current=True)

    saved = of(effects, Persist)[0]
    assert unpack_contacts(saved.data) == {it: peers[it] for it in (BOB.account, EVE.account)}
    assert [each.name for each in of(effects, Persist)] == ["contacts", "incomingTrustRequests"]
    assert of(effects, RequestRemoved) == [RequestRemoved(BOB.account)]
    assert of(effects, ContactAdded)[0].account == BOB.account
    assert of(effects, CloseConnections) == [CloseConnections(EVE.account)]
    assert effects[-1] == SyncDevices()
    assert alice.stats.merged == 2
    assert alice.merge(DeviceSync(peers=peers), WALL, is_current=True) == []


def test_13_7_merges_by_its_own_rule() -> None:
    """Confirmed sticks, and a removal keeps an older addition's conversation."""
    alice = book(BookState({BOB.account: Contact(5000, 0, confirmed=True, conversation_id=ONE)}))
    theirs = DeviceSync(peers={BOB.account: Contact(4000, 6000)})

    effects = alice.merge(theirs, WALL, is_current=False)

    assert of(effects, ContactRemoved)
    assert alice.contacts[BOB.account] == Contact(5000, 6000, confirmed=True, conversation_id=ONE)


def test_13_7_counts_in_seconds() -> None:
    """Within one: its removal of what we added counts, our addition as it tells it is no news."""
    alice = book()
    alice.add(BOB.account, WALL + 0.3, conversation_id=ONE)
    told = Contact(MS, 0, conversation_id=ONE)

    same = DeviceSync(peers={BOB.account: told})
    assert alice.merge(same, WALL, is_current=False) == []
    gone = DeviceSync(peers={BOB.account: replace(told, removed_ms=MS)})
    assert of(alice.merge(gone, WALL, is_current=False), ContactRemoved)
    assert alice.contacts[BOB.account].removed_ms == MS + 300
    again = DeviceSync(peers={BOB.account: replace(told, added_ms=MS + 1000)})
    assert of(alice.merge(again, WALL, is_current=False), ContactAdded)


def test_requests_that_another_device_received() -> None:
    """Shown here too, without the picture; not those that are settled, and never twice."""
    alice = book(BookState({EVE.account: Contact(0, 9, banned=True), account_id(3): Contact(4, 0)}))
    waiting = StoredRequest(BOB.spki, ONE, MS, b"", 0)
    old = StoredRequest(b"", ONE, 1)
    requests = {
        BOB.account: waiting,
        EVE.account: waiting,
        ALICE.account: waiting,
        account_id(3): waiting,
    }

    effects = alice.merge(DeviceSync(requests=requests), WALL, is_current=True)

    assert of(effects, RequestReceived) == [RequestReceived(BOB.account, waiting)]
    assert alice.merge(DeviceSync(requests=requests), WALL, is_current=True) == []
    better = alice.request_received(BOB, TrustRequest(ONE, VCARD), 0.0, WALL)
    assert of(better, RequestReceived)[0].request.payload == VCARD
    alice.decline(BOB.account, WALL)
    assert alice.merge(DeviceSync(requests=requests), WALL, is_current=True) == []
    alice.remove(account_id(3), WALL)
    stale = DeviceSync(requests={account_id(3): old})
    assert alice.merge(stale, WALL, is_current=True) == []


def test_the_state_that_is_told() -> None:
    """All contacts, also removed ones; twenty requests at most, from a random one on."""
    alice = book()
    alice.add(BOB.account, WALL)
    alice.remove(BOB.account, WALL + 1)
    for number in range(30):
        alice.request_received(replace(EVE, account=account_id(number)), TrustRequest(), 0.0, WALL)
    devices = {ALICE.device: SyncedDevice("laptop", ALICE.short_id)}

    states = [alice.state(devices, SeededEntropy(seed), WALL) for seed in range(8)]

    assert states[0].date_ns == int(WALL * 1e9)
    assert states[0].devices == devices
    assert not states[0].peers[BOB.account].is_active
    assert {len(state.requests) for state in states} == {20}
    assert len({tuple(state.requests) for state in states}) > 1


def test_a_book_begins_with_what_was_saved() -> None:
    """Statuses are not on disk: they follow from the records."""
    state = BookState(
        {BOB.account: Contact(5, 0), EVE.account: Contact(0, 5, banned=True)},
        {account_id(1): StoredRequest(received_ms=3)},
        {BOB.account: VCARD},
    )
    alice = ContactBook(ALICE.account, state, Permissions(ALICE.account))

    assert alice.permissions.status(BOB.account) is Status.ALLOWED
    assert alice.permissions.status(EVE.account) is Status.BANNED
    (sent,) = of(alice.device_online(BOB.account, SHORT, 0.0), SendTrustRequest)
    assert sent.request.payload == VCARD
    assert list(alice.requests) == [account_id(1)]


# Laws

OTHERS = [BOB, EVE, chain("carol")]


@dataclass
class Devices:
    """Three devices of one account: what each has, and what each has told but not delivered.

    Those that are not current merge as 13.7 does, and what they tell is merged that way. With
    *has_seconds* they know, tell and take whole seconds only.
    """

    is_current: tuple[bool, ...]
    has_seconds: bool
    books: list[ContactBook] = field(init=False)
    disks: list[dict[str, bytes]] = field(init=False)
    letters: list[tuple[int, int, DeviceSync]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.books = [ContactBook(ALICE.account) for _ in self.is_current]
        self.disks = [{} for _ in self.is_current]

    def take(self, device: int, effects: list[BookEffect]) -> None:
        """Do what the driver does: write, and tell the others."""
        for effect in effects:
            if isinstance(effect, Persist):
                self.disks[device][effect.name] = effect.data
            elif isinstance(effect, Forget):
                self.disks[device].pop(effect.name, None)
        if self.has_seconds and not self.is_current[device]:
            self.round(device)
        if any(isinstance(effect, SyncDevices) for effect in effects):
            self.tell(device)

    def round(self, device: int) -> None:
        """Let a device forget its milliseconds."""
        old = self.books[device]
        contacts = {it: _rounded(each) for it, each in old.contacts.items()}
        self.books[device] = ContactBook(ALICE.account, BookState(contacts, dict(old.requests)))
        self.disks[device]["contacts"] = pack_contacts(contacts)

    def tell(self, device: int) -> None:
        """Send the full state to every other device."""
        state = self.books[device].state({}, SeededEntropy(1), WALL)
        others = [other for other in range(len(self.books)) if other != device]
        self.letters += [(device, other, state) for other in others]

    def deliver(self, pick: int) -> None:
        """Deliver one letter."""
        sender, receiver, state = self.letters.pop(pick % len(self.letters))
        rule = self.is_current[sender] and self.is_current[receiver]
        if self.has_seconds and not rule:
            state = replace(state, peers={it: _rounded(c) for it, c in state.peers.items()})
        self.take(receiver, self.books[receiver].merge(state, WALL, is_current=rule))


actions = st.tuples(
    st.integers(0, 2),
    st.sampled_from(
        ("request", "accept", "decline", "remove", "block", "unblock", "asked", "joined")
    ),
    st.integers(0, 2),
    st.integers(-5000, 5000),
    st.integers(0, 1000),
)


@pytest.mark.parametrize(
    ("is_current", "has_seconds"),
    [
        ((True,) * 3, False),
        ((False,) * 3, False),
        ((False, True, True), False),
        ((False, True, True), True),
        ((False, False, True), True),
    ],
    ids=["current", "old", "both", "one 13.7", "two 13.7"],
)
@settings(max_examples=150)
@given(steps=st.lists(actions, max_size=25), skews=st.tuples(*[st.integers(-90, 90)] * 3))
def test_devices_agree_in_the_end(
    is_current: tuple[bool, ...],
    has_seconds: bool,
    steps: list[tuple[int, str, int, int, int]],
    skews: tuple[int, ...],
) -> None:
    """Whatever is done where, with clocks that differ, letters in any order, some lost for good.

    Once each device has told each other one all it knows, and that was passed on, all have the
    same records; or, where both generations of Jami are among them, the same contacts and blocks.
    What is on disk is what is in memory; and nobody who is blocked is allowed.
    """
    devices = Devices(is_current, has_seconds)
    for number, (device, action, other, jitter, pick) in enumerate(steps):
        wall = WALL + number * 2 + skews[device] + jitter / 1000
        devices.take(device, _act(devices.books[device], action, OTHERS[other], wall))
        if devices.letters and pick % 3:
            devices.deliver(pick)
    devices.letters.clear()
    for device in range(len(skews)):
        devices.tell(device)
    rounds = 0
    while devices.letters:
        devices.deliver(0)
        rounds += 1
        assert rounds < 500, "telling each other comes to an end"

    first, *others = devices.books
    for each in others:
        assert _essence(each, is_current) == _essence(first, is_current)
    for each, disk in zip(devices.books, devices.disks, strict=True):
        assert unpack_contacts(disk.get("contacts", b"\x80")) == dict(each.contacts)
        for person in OTHERS:
            record = each.contacts.get(person.account, Contact())
            assert each.is_allowed(person, allow_public=False) == record.is_active
            assert each.is_allowed(person, allow_public=True) != record.is_banned
            assert not (person.account in each.requests and record.is_active)


def _rounded(contact: Contact) -> Contact:
    """Return what 13.7 knows of a contact."""
    return replace(
        contact,
        added_ms=contact.added_ms // 1000 * 1000,
        removed_ms=contact.removed_ms // 1000 * 1000,
    )


def _essence(book: ContactBook, is_current: tuple[bool, ...]) -> object:
    """Return what devices have to agree upon."""
    if len(set(is_current)) == 1:
        return dict(book.contacts)
    return {it: (each.is_active, each.is_banned) for it, each in book.contacts.items()}


def _act(alice: ContactBook, action: str, person: DeviceChain, wall: float) -> list[BookEffect]:
    """Do something with Alice's book; what cannot be done is not."""
    account = person.account
    does: dict[str, Callable[[], list[BookEffect]]] = {
        "request": lambda: alice.request(account, wall, payload=VCARD, conversation_id=ONE),
        "accept": lambda: alice.accept(account, wall),
        "decline": lambda: alice.decline(account, wall),
        "remove": lambda: alice.remove(account, wall),
        "block": lambda: alice.block(account, wall),
        "unblock": lambda: alice.unblock(account, wall),
        "joined": lambda: alice.conversation_joined(account),
        "asked": lambda: alice.request_received(person, TrustRequest(TWO, VCARD), wall, wall),
    }
    try:
        return does[action]()
    except ContactError:
        return []
