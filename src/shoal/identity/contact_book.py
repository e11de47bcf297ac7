"""The contact book of one account: who is in it, who asks to be, who is blocked.

The life of a contact, by what the user and others do:

| what | record | told to others |
| --- | --- | --- |
| `request` | added, not confirmed | a request, again whenever a device appears, until confirmed |
| a request arrives | none; it waits in the list of requests | nothing |
| `accept` | added, confirmed | a confirmation |
| `decline` | none | nothing: the other may ask again |
| a request arrives of a contact | confirmed | a confirmation, always |
| a confirmation arrives | confirmed | nothing |
| `remove` | removed | nothing; connections end |
| `block` | removed, banned | nothing, ever again |
| `unblock` | added again if it was a contact | nothing |

Every change goes to the account's other devices, whose changes come in by `merge`. A change always
gets a later time than what it changes, even if our clock is behind the one that made that: so a
device whose clock is ahead cannot keep others from changing what it did.

Source: Jami contact_list.cpp, account_manager.cpp, jamiaccount.cpp; reference section 4.
"""

from __future__ import annotations

from dataclasses import field, replace
from typing import TYPE_CHECKING, Final

from shoal.core import AccountId, InfoHash, Persist
from shoal.core.records import dataclass
from shoal.identity.contact import SECOND, Contact, StoredRequest
from shoal.identity.effects import (
    BookEffect,
    CloseConnections,
    ContactAdded,
    ContactConfirmed,
    ContactRemoved,
    ConversationChanged,
    Forget,
    SendTrustRequest,
    Status,
    StatusChanged,
    SyncDevices,
)
from shoal.identity.errors import (
    OwnAccountError,
    PayloadTooLargeError,
    TooManyContactsError,
    UnknownContactError,
    UnknownRequestError,
)
from shoal.identity.merging import merge_13_7, merge_current, refine, stamp
from shoal.identity.permissions import Permissions
from shoal.identity.trust_request import PAYLOAD_SIZE_MAX, TIME_MS_MAX, TrustRequest
from shoal.identity.waiting import WaitingRequests
from shoal.identity.wire.contacts import CONTACTS_MAX, pack_contacts
from shoal.identity.wire.sync import REQUESTS_PER_SYNC_MAX, DeviceSync, SyncedDevice

if TYPE_CHECKING:
    from collections.abc import Mapping

    from shoal.core import DeviceId, Entropy
    from shoal.identity.chain import DeviceChain

CONTACTS_FILE: Final = "contacts"
PAYLOADS_FOLDER: Final = "requests"
RESEND_AFTER: Final = 600.0  # seconds; a sealed value is kept for 10 minutes: OpenDHT value.h
ANSWER_AFTER: Final = 60.0  # seconds; ours: a contact that asks and asks is confirmed once a minute
DEVICES_PER_CONTACT_MAX: Final = 64  # ours: whose resending is remembered
_NANOSECONDS: Final = 1_000_000_000


@dataclass(frozen=True, slots=True)
class BookState:
    """What of a contact book is on disk.

    Attributes:
        contacts: all records, also of those who were removed.
        requests: those that wait.
        payloads: the vCards that were sent along with our own requests.
    """

    contacts: Mapping[AccountId, Contact] = field(default_factory=dict)
    requests: Mapping[AccountId, StoredRequest] = field(default_factory=dict)
    payloads: Mapping[AccountId, bytes] = field(default_factory=dict)


@dataclass(slots=True)
class BookStats:
    """Counters of the contact book.

    Attributes:
        refused: requests of those who are blocked, or whose device is revoked.
        unasked: confirmations of requests that we never made, and requests of ourselves.
        repeated: requests of contacts that were confirmed less than a minute ago.
        over_limit: records of other devices beyond 20,000, not taken.
        merged: records of other devices that changed one of ours.
    """

    refused: int = 0
    unasked: int = 0
    repeated: int = 0
    over_limit: int = 0
    merged: int = 0


class ContactBook:
    """Decides about contacts and requests. `wall_now` is in seconds since 1970, as everywhere."""

    def __init__(
        self,
        account: AccountId,
        state: BookState | None = None,
        permissions: Permissions | None = None,
    ) -> None:
        state = state or BookState()
        self.stats = BookStats()
        self.account: Final = account
        self.permissions: Final = permissions or Permissions(account)
        self._contacts = dict(state.contacts)
        self.waiting: Final = WaitingRequests(state.requests)
        self._payloads = dict(state.payloads)
        self._sent: dict[AccountId, dict[InfoHash, float]] = {}  # unconfirmed: by device, when
        self._answered: dict[AccountId, float] = {}
        self._asked_with: dict[AccountId, str] = {}  # conversations of contacts who asked us too
        for each, contact in self._contacts.items():
            self.permissions.set_status(each, _status_of(contact))

    # What is in it

    @property
    def contacts(self) -> Mapping[AccountId, Contact]:
        """All records, also of those who were removed or blocked."""
        return self._contacts

    @property
    def requests(self) -> Mapping[AccountId, StoredRequest]:
        """The requests that wait for an answer, the oldest first."""
        return self.waiting.items

    def contact(self, account: AccountId) -> Contact | None:
        """Return the record of an *account* that is in the book now."""
        found = self._contacts.get(account)
        return found if found is not None and found.is_active else None

    def is_allowed(self, chain: DeviceChain, *, allow_public: bool) -> bool:
        """Say whether the device of *chain* may talk to us."""
        return self.permissions.is_allowed(chain, allow_public=allow_public)

    # What the user does

    def add(
        self,
        account: AccountId,
        wall_now: float,
        *,
        conversation_id: str = "",
        confirmed: bool = False,
    ) -> list[BookEffect]:
        """Put *account* into the book, without telling it; `request` does that.

        An empty *conversation_id* leaves that of the record. One may add oneself.

        Raises:
            TooManyContactsError: the book is full.
        """
        old = self._contacts.get(account)
        if old is None and len(self._contacts) >= CONTACTS_MAX:
            raise TooManyContactsError(f"{CONTACTS_MAX} contacts, with those who were removed")
        old = old or Contact()
        conversation_id = conversation_id or old.conversation_id
        if old.is_active and old.conversation_id == conversation_id:
            return self._confirm(account, old) if confirmed else []
        new = Contact(
            _second_after(old, wall_now),
            old.removed_ms,
            old.confirmed or confirmed,
            False,
            conversation_id,
        )
        return [*self._change(account, new), SyncDevices()]

    def request(
        self,
        account: AccountId,
        wall_now: float,
        *,
        payload: bytes = b"",
        conversation_id: str = "",
    ) -> list[BookEffect]:
        """Put *account* into the book and ask it to do the same; accept, if it has asked us.

        The *payload*, a vCard, is kept, to be sent again until the other has confirmed.

        Raises:
            OwnAccountError: *account* is ours.
            PayloadTooLargeError: *payload* has more than 64,000 bytes.
            TooManyContactsError: the book is full.
        """
        if account == self.account:
            raise OwnAccountError("one cannot ask oneself")
        if len(payload) > PAYLOAD_SIZE_MAX:
            raise PayloadTooLargeError(len(payload), PAYLOAD_SIZE_MAX)
        if account in self.requests:
            return self.accept(account, wall_now, conversation_id=conversation_id)
        effects = self.add(account, wall_now, conversation_id=conversation_id)
        if self._contacts[account].confirmed:
            return effects
        if self._payloads.get(account, b"") != payload:
            self._payloads[account] = payload
            effects.insert(0, Persist(_payload_file(account), payload))
        self._sent.pop(account, None)
        return [*effects, SendTrustRequest(account, self._own_request(account))]

    def accept(
        self, account: AccountId, wall_now: float, *, conversation_id: str = ""
    ) -> list[BookEffect]:
        """Take *account*, which has asked, into the book, and tell it so.

        The conversation is that of the request, unless *conversation_id* names another.

        Raises:
            TooManyContactsError: the book is full.
            UnknownRequestError: it has not asked.
        """
        request = self.requests.get(account)
        if request is None:
            raise UnknownRequestError(f"no request of {account} waits")
        conversation_id = conversation_id or request.conversation_id
        effects = self.add(account, wall_now, conversation_id=conversation_id, confirmed=True)
        effects += self.waiting.drop(account)  # where it was in the book already
        return [*effects, self._confirmation(account)]

    def decline(self, account: AccountId, wall_now: float) -> list[BookEffect]:
        """Forget the request of *account*; nobody is told, and it may ask again.

        Raises:
            UnknownRequestError: it has not asked.
        """
        if account not in self.requests:
            raise UnknownRequestError(f"no request of {account} waits")
        return [*self.waiting.decline(account, _milliseconds(wall_now))]

    def remove(self, account: AccountId, wall_now: float) -> list[BookEffect]:
        """Take *account* out of the book; its connections end. It is not told, and may ask again.

        Raises:
            UnknownContactError: it is not in the book.
        """
        if self.contact(account) is None:
            raise UnknownContactError(f"{account} is no contact")
        return self._take_out(account, wall_now, is_banned=False)

    def block(self, account: AccountId, wall_now: float) -> list[BookEffect]:
        """Let nothing of *account* through any more, whether or not it is a contact.

        Raises:
            OwnAccountError: *account* is ours.
            TooManyContactsError: the book is full.
        """
        if account == self.account:
            raise OwnAccountError("one cannot block oneself")
        old = self._contacts.get(account)
        if old is None and len(self._contacts) >= CONTACTS_MAX:
            raise TooManyContactsError(f"{CONTACTS_MAX} contacts, with those who were removed")
        if old is not None and old.is_banned:
            return []
        return self._take_out(account, wall_now, is_banned=True)

    def unblock(self, account: AccountId, wall_now: float) -> list[BookEffect]:
        """Let *account* through again: back into the book, or as a stranger if it never was there.

        Raises:
            UnknownContactError: it is not blocked.
        """
        old = self._contacts.get(account)
        if old is None or not old.is_banned:
            raise UnknownContactError(f"{account} is not blocked")
        if old.added_ms:
            return self.add(account, wall_now)
        new = replace(old, removed_ms=_after(old, wall_now), banned=False)
        return [*self._change(account, new), SyncDevices()]

    def set_status(self, id: InfoHash, status: Status) -> list[BookEffect]:  # noqa: A002 - the field's own word
        """Decide about an id that is no contact: a device, or an authority. Not kept on disk.

        Connections are to be checked again after a `StatusChanged`.
        """
        if not self.permissions.set_status(id, status):
            return []
        return [StatusChanged(InfoHash(id), status)]

    # What others do

    def request_received(
        self, chain: DeviceChain, request: TrustRequest, now: float, wall_now: float
    ) -> list[BookEffect]:
        """Take a request that the device of *chain*, which was checked, has sealed for us.

        Those who are blocked are not heard. Never raises.
        """
        if not self.permissions.is_allowed(chain, allow_public=True):
            self.stats.refused += 1
            return []
        contact = self.contact(chain.account)
        if contact is None or chain.account == self.account:
            return self._asked_by_stranger(chain, request, wall_now)
        if request.confirm:
            return self._confirmed_by(chain.account, contact, request, wall_now)
        return self._asked_by(chain.account, contact, request, now)

    def device_online(self, account: AccountId, device: InfoHash, now: float) -> list[BookEffect]:
        """Take note that *device*, by its short id, was announced: it may not have our request."""
        contact = self.contact(account)
        if contact is None or contact.confirmed or account == self.account:
            return []
        last = self._sent.get(account, {}).get(InfoHash(device))
        if last is not None and now < last + RESEND_AFTER:
            return []
        self.request_sent(account, device, now)
        return [SendTrustRequest(account, self._own_request(account), InfoHash(device))]

    def request_sent(self, account: AccountId, device: InfoHash, now: float) -> None:
        """Remember that *device* was sent our request, so that it is left in peace for a while."""
        sent = self._sent.setdefault(account, {})
        sent.pop(InfoHash(device), None)
        sent[InfoHash(device)] = now
        if len(sent) > DEVICES_PER_CONTACT_MAX:
            del sent[next(iter(sent))]

    def conversation_joined(self, account: AccountId) -> list[BookEffect]:
        """Take note that a contact is in the conversation between us: that confirms it, too."""
        contact = self.contact(account)
        return [] if contact is None else self._confirm(account, contact)

    # What our other devices know

    def merge(self, sync: DeviceSync, wall_now: float, *, is_current: bool) -> list[BookEffect]:
        """Take what another device of ours, checked as such, says of contacts and requests.

        *is_current* says whose rules it follows: see `SyncMessage.is_current`. Never raises.
        """
        effects: list[BookEffect] = []
        merged_before = self.stats.merged
        for account, theirs in sync.peers.items():
            ours = self._contacts.get(account)
            if ours is None and len(self._contacts) >= CONTACTS_MAX:
                self.stats.over_limit += 1
                continue
            if ours is None:
                merged = theirs
            elif is_current:
                merged = merge_current(ours, theirs)
            else:
                merged = merge_13_7(ours, refine(theirs, ours))
            if merged == ours or (ours is None and not stamp(merged)):
                continue
            self.stats.merged += 1
            effects += self._change(account, merged, persist=False)
        if self.stats.merged > merged_before:
            effects.insert(0, Persist(CONTACTS_FILE, pack_contacts(self._contacts)))
            effects.append(SyncDevices())
        for account, request in sync.requests.items():
            effects += self._request_synced(account, request)
        return effects

    def state(
        self, devices: Mapping[DeviceId, SyncedDevice], entropy: Entropy, wall_now: float
    ) -> DeviceSync:
        """Return all that our other devices are to know, with the *devices* that we know.

        Of the requests 20, beginning at a random one, as Jami does.
        """
        waiting = list(self.requests.items())
        start = entropy.below(len(waiting)) if len(waiting) > REQUESTS_PER_SYNC_MAX else 0
        chosen = (waiting[start:] + waiting[:start])[:REQUESTS_PER_SYNC_MAX]
        return DeviceSync(int(wall_now * _NANOSECONDS), devices, dict(self._contacts), dict(chosen))

    # Parts

    def _change(
        self, account: AccountId, new: Contact, *, persist: bool = True
    ) -> list[BookEffect]:
        """Put *new* into the book, with all that follows from it."""
        old = self._contacts.get(account, Contact())
        self._contacts[account] = new
        effects: list[BookEffect] = []
        if persist:
            effects.append(Persist(CONTACTS_FILE, pack_contacts(self._contacts)))
        if self.permissions.set_status(account, _status_of(new)):
            effects.append(StatusChanged(InfoHash(account), _status_of(new)))
        if new.is_active != old.is_active or new.is_banned != old.is_banned:
            effects += self.waiting.drop(account)
        if new.is_active and not old.is_active:
            effects.append(ContactAdded(account, new))
        elif not new.is_active and (old.is_active or new.is_banned != old.is_banned):
            effects += [CloseConnections(account), ContactRemoved(account, new)]
        elif new.is_active and old.conversation_id != new.conversation_id:
            effects.append(ConversationChanged(account, old.conversation_id, new.conversation_id))
        if new.is_active and new.confirmed and not (old.confirmed and old.is_active):
            effects.append(ContactConfirmed(account))
        if new.confirmed or not new.is_active:
            effects += self._forget_payload(account)
        return effects

    def _take_out(
        self, account: AccountId, wall_now: float, *, is_banned: bool
    ) -> list[BookEffect]:
        """Remove or block *account*."""
        old = self._contacts.get(account, Contact())
        new = Contact(old.added_ms, _after(old, wall_now), False, is_banned, old.conversation_id)
        self._asked_with.pop(account, None)
        self._answered.pop(account, None)
        return [*self._change(account, new), SyncDevices()]

    def _confirm(self, account: AccountId, contact: Contact) -> list[BookEffect]:
        """Take note that *account* has us."""
        if contact.confirmed:
            return []
        return [*self._change(account, replace(contact, confirmed=True)), SyncDevices()]

    def _asked_by(
        self, account: AccountId, contact: Contact, request: TrustRequest, now: float
    ) -> list[BookEffect]:
        """Answer a contact that asks: it has us, and is told that we have it.

        Always, because a confirmation may get lost; with our own conversation, as 13.7 insists.
        """
        self._asked_with[account] = request.conversation_id
        if not contact.conversation_id and request.conversation_id:
            contact = replace(contact, conversation_id=request.conversation_id, confirmed=True)
            effects: list[BookEffect] = [*self._change(account, contact), SyncDevices()]
        else:
            effects = self._confirm(account, contact)
        last = self._answered.get(account)
        if last is not None and now < last + ANSWER_AFTER:
            self.stats.repeated += 1
            return effects
        self._answered[account] = now
        return [*effects, self._confirmation(account)]

    def _confirmed_by(
        self, account: AccountId, contact: Contact, request: TrustRequest, wall_now: float
    ) -> list[BookEffect]:
        """Take a contact's confirmation, and the conversation that it names.

        Where both have asked each other each has a conversation of its own; then the lesser id
        holds, which is the same on both sides.
        """
        ours, theirs = contact.conversation_id, request.conversation_id
        if not theirs or theirs == ours:
            return self._confirm(account, contact)
        if ours and self._asked_with.get(account) == theirs and ours < theirs:
            return self._confirm(account, contact)
        added_ms = _second_after(contact, wall_now) if ours else contact.added_ms
        new = replace(contact, added_ms=added_ms, confirmed=True, conversation_id=theirs)
        return [*self._change(account, new), SyncDevices()]

    def _asked_by_stranger(
        self, chain: DeviceChain, request: TrustRequest, wall_now: float
    ) -> list[BookEffect]:
        """Keep the request of somebody who is no contact."""
        if request.confirm or chain.account == self.account:
            self.stats.unasked += 1
            return []
        stored = StoredRequest(
            chain.spki,
            request.conversation_id,
            _milliseconds(wall_now),
            request.payload,
            request.invited_ms,
        )
        return [*self.waiting.received(chain.account, stored)]

    def _request_synced(self, account: AccountId, request: StoredRequest) -> list[BookEffect]:
        """Take a request that another device of ours has got."""
        contact = self._contacts.get(account, Contact())
        is_from_before = request.received_ms < contact.removed_ms
        if (
            contact.is_active
            or is_from_before
            or account == self.account
            or self.permissions.status(account) is Status.BANNED
        ):
            return []
        return [*self.waiting.synced(account, replace(request, payload=b""))]

    def _forget_payload(self, account: AccountId) -> list[BookEffect]:
        """Nothing is to be sent again."""
        self._sent.pop(account, None)
        if self._payloads.pop(account, None) is None:
            return []
        return [Forget(_payload_file(account))]

    def _own_request(self, account: AccountId) -> TrustRequest:
        """Return what we ask *account*."""
        contact = self._contacts[account]
        return TrustRequest(
            contact.conversation_id,
            self._payloads.get(account, b""),
            invited_ms=contact.added_ms,
        )

    def _confirmation(self, account: AccountId) -> SendTrustRequest:
        """Return the order to tell *account* that we have it."""
        conversation_id = self._contacts[account].conversation_id
        return SendTrustRequest(account, TrustRequest(conversation_id, confirm=True))


def _after(contact: Contact, wall_now: float) -> int:
    """Return the time of a removal: now, or if need be the millisecond after the last change.

    13.7, which counts in seconds, lets a removal win over an addition of the same second.
    """
    return _at_least(stamp(contact) + 1 if stamp(contact) else 0, wall_now)


def _second_after(contact: Contact, wall_now: float) -> int:
    """Return the time of an addition: now, or if need be the second after the last change.

    For 13.7 an addition has to be in a later second than the removal.
    """
    last = stamp(contact)
    return _at_least((last // SECOND + 1) * SECOND if last else 0, wall_now)


def _at_least(earliest_ms: int, wall_now: float) -> int:
    return min(max(_milliseconds(wall_now), earliest_ms), TIME_MS_MAX)


def _milliseconds(wall_now: float) -> int:
    """Return milliseconds since 1970."""
    return int(wall_now * SECOND)


def _status_of(contact: Contact) -> Status:
    """Return what a contact may do."""
    if contact.is_active:
        return Status.ALLOWED
    return Status.BANNED if contact.is_banned else Status.UNDEFINED


def _payload_file(account: AccountId) -> str:
    """Return where the vCard of a request of ours is kept."""
    return f"{PAYLOADS_FOLDER}/{account}"
