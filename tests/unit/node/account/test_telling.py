"""What users are told of changes in the contact book."""

from __future__ import annotations

from shoal.identity import ContactBook, KnownDevices, Revocations, StoredRequest
from shoal.identity import effects as book_fx
from shoal.node.account.telling import tell
from shoal.node.events import (
    ContactChanged,
    DeviceChanged,
    DeviceRemoved,
    RequestClosed,
    RequestReceived,
)
from tests.unit.node.people import WALL_NOW, device

ALICE, BOB = device("alice").chain, device("bob").chain


def test_each_effect_has_its_event() -> None:
    """Several are one to users, and a status is told with its contact."""
    book = ContactBook(ALICE.account)
    devices = KnownDevices(ALICE, Revocations(), name="laptop")
    book.add(BOB.account, WALL_NOW)
    contact = book.contacts[BOB.account]
    changed = ContactChanged(ALICE.account, BOB.account, True, False, False, "")
    for effect in (
        book_fx.ContactAdded(BOB.account, contact),
        book_fx.ContactRemoved(BOB.account, contact),
        book_fx.ContactConfirmed(BOB.account),
        book_fx.ConversationChanged(BOB.account, "", ""),
    ):
        assert tell(effect, book, devices) == [changed]

    request = StoredRequest(BOB.spki, "", 5000, b"card")
    received = RequestReceived(ALICE.account, BOB.account, "", b"card", 5.0)
    assert tell(book_fx.RequestReceived(BOB.account, request), book, devices) == [received]
    removed = RequestClosed(ALICE.account, BOB.account)
    assert tell(book_fx.RequestRemoved(BOB.account), book, devices) == [removed]
    named = DeviceChanged(ALICE.account, ALICE.device, "laptop")
    assert tell(book_fx.DeviceAdded(ALICE.device), book, devices) == [named]
    assert tell(book_fx.DeviceChanged(ALICE.device), book, devices) == [named]
    unnamed = DeviceChanged(ALICE.account, BOB.device, "")
    assert tell(book_fx.DeviceChanged(BOB.device), book, devices) == [unnamed]
    gone = DeviceRemoved(ALICE.account, BOB.device)
    assert tell(book_fx.DeviceRemoved(BOB.device), book, devices) == [gone]
    status = book_fx.StatusChanged(BOB.short_id, book_fx.Status.ALLOWED)
    assert tell(status, book, devices) == []
