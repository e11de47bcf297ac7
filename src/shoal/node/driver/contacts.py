"""`Contacts`: who an account knows, who asks to be known, and who is blocked."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from shoal.core.records import dataclass
from shoal.identity.errors import OwnAccountError
from shoal.node.driver.ids import account_of

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator

    from shoal.core import AccountId, DeviceId
    from shoal.identity import Contact as Record
    from shoal.identity import ContactBook
    from shoal.node.driver.runtime import AccountRuntime
    from shoal.node.events import Presence

_SECOND_MS: Final = 1000  # records count in milliseconds


@dataclass(frozen=True, slots=True)
class Contact:
    """Somebody an account has as a contact, or has blocked.

    Attributes:
        id: the account.
        wall_added: seconds since 1970.
        is_confirmed: the other side has us, too.
        is_banned: it is blocked.
        conversation_id: 40 hex digits of the 1:1 conversation, or "".
        presence: whether it can be reached.
        devices: long ids of its devices that are announced.
    """

    id: AccountId
    wall_added: float
    is_confirmed: bool
    is_banned: bool
    conversation_id: str
    presence: Presence
    devices: tuple[DeviceId, ...]


@dataclass(frozen=True, slots=True)
class IncomingRequest:
    """Somebody who asks to become a contact.

    Attributes:
        id: the account that asks.
        conversation_id: the conversation that it offers, 40 hex digits, or "".
        payload: what it sent along, mostly a vCard; at most 64,000 bytes.
        wall_received: seconds since 1970.
    """

    id: AccountId
    conversation_id: str
    payload: bytes
    wall_received: float


class Contacts:
    """The contacts of one account. Accounts are named by `AccountId`, or by its 40 hex digits.

    Where something is awaited, a registered name, `name@server` or a `jami:` address does, too.
    What changes here is on disk when the call returns, and on its way to our other devices.
    """

    def __init__(
        self,
        runtime: AccountRuntime,
        begin: Callable[[AccountId], Awaitable[str]],
        find: Callable[[AccountId | str], Awaitable[AccountId]],
        payload: Callable[[], bytes],
    ) -> None:
        """Work on *runtime*.

        *begin* begins a conversation of two and returns its id; *find* returns the account that an
        id or a name stands for; *payload* gives our vCard.
        """
        self._runtime = runtime
        self._begin = begin
        self._find = find
        self._payload = payload

    def __iter__(self) -> Iterator[Contact]:
        """Iterate over contacts and blocked accounts."""
        return iter(self.list())

    def __contains__(self, account: AccountId | str) -> bool:
        """Whether it is a contact; blocked ones are not."""
        return self._book.contact(account_of(account)) is not None

    def list(self, *, with_banned: bool = True) -> tuple[Contact, ...]:
        """Return the contacts, and those who are blocked."""
        return tuple(
            self._contact(account, record)
            for account, record in self._book.contacts.items()
            if record.is_active or (with_banned and record.is_banned)
        )

    def get(self, account: AccountId | str) -> Contact | None:
        """Return one of them."""
        name = account_of(account)
        record = self._book.contacts.get(name)
        is_there = record is not None and (record.is_active or record.is_banned)
        return self._contact(name, record) if is_there and record is not None else None

    def requests(self) -> tuple[IncomingRequest, ...]:
        """Return who asks to become a contact, oldest first."""
        return tuple(
            IncomingRequest(
                account,
                request.conversation_id,
                request.payload,
                request.received_ms / _SECOND_MS,
            )
            for account, request in self._book.requests.items()
        )

    async def add(
        self, account: AccountId | str, *, payload: bytes = b"", conversation_id: str = ""
    ) -> Contact:
        """Add a contact and send it a request; sent again whenever it appears, until confirmed.

        *payload* is shown to the other side, at most 64,000 bytes; it is our vCard by default. A
        `RequestSent`
        event tells how many of its devices have it. Without a *conversation_id* a conversation of
        two is begun, to which the request invites.

        Raises:
            UnknownNameError: *account* is neither id nor name.
            NamesError: nobody has the name, or the name server gave no answer that holds.
            OwnAccountError: it is our own.
            PayloadTooLargeError: the payload is too large to be sent.
            TooManyContactsError: the book is full.
        """
        name = await self._find(account)
        engine = self._runtime.engine
        record = self._book.contacts.get(name)
        if not conversation_id and (record is None or not record.is_active):
            if name == engine.account:
                raise OwnAccountError
            conversation_id = await self._begin(name)
        payload = payload or self._payload()
        self._runtime.command(
            lambda now: engine.request_contact(name, payload, conversation_id, now)
        )
        return await self._saved(name)

    async def accept(self, account: AccountId | str) -> Contact:
        """Accept a request: both sides are contacts then.

        Raises:
            UnknownRequestError: it has asked for nothing.
        """
        name = await self._find(account)
        engine = self._runtime.engine
        self._runtime.command(lambda now: engine.accept_contact(name, now))
        return await self._saved(name)

    async def decline(self, account: AccountId | str) -> None:
        """Forget a request; the other side is not told, and may ask again.

        Raises:
            UnknownRequestError: it has asked for nothing.
        """
        name = await self._find(account)
        engine = self._runtime.engine
        self._runtime.command(lambda now: engine.decline_contact(name, now))
        await self._runtime.drained()

    async def block(self, account: AccountId | str) -> None:
        """Let an account reach us by no path; its connections are closed at once.

        Raises:
            OwnAccountError: it is our own.
        """
        name = await self._find(account)
        engine = self._runtime.engine
        self._runtime.command(lambda now: engine.block_contact(name, now))
        await self._runtime.drained()

    async def unblock(self, account: AccountId | str) -> Contact | None:
        """Block an account no longer; it is a contact again, if it was one.

        Raises:
            UnknownContactError: it is not blocked.
        """
        name = await self._find(account)
        engine = self._runtime.engine
        self._runtime.command(lambda now: engine.unblock_contact(name, now))
        await self._runtime.drained()
        return self.get(name)

    async def remove(self, account: AccountId | str) -> None:
        """Forget a contact; its connections are closed at once.

        Raises:
            UnknownContactError: it is none.
        """
        name = await self._find(account)
        engine = self._runtime.engine
        self._runtime.command(lambda now: engine.remove_contact(name, now))
        await self._runtime.drained()

    @property
    def _book(self) -> ContactBook:
        return self._runtime.engine.book

    async def _saved(self, account: AccountId) -> Contact:
        await self._runtime.drained()
        contact = self.get(account)
        assert contact is not None, "it was just added"
        return contact

    def _contact(self, account: AccountId, record: Record) -> Contact:
        presences = self._runtime.engine.presences
        announced = (each.device for each in presences.announced(account))
        return Contact(
            account,
            record.added_ms / _SECOND_MS,
            record.confirmed,
            record.is_banned,
            record.conversation_id,
            presences.presence(account),
            tuple(device for device in announced if device is not None),
        )
