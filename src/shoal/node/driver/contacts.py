"""`Contacts`: who an account knows, who asks to be known, and who is blocked."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from shoal.core import AccountId, DeviceId
    from shoal.node.events import Presence


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
    """The contacts of one account. Accounts are named by `AccountId`, or by its 40 hex digits."""

    def __iter__(self) -> Iterator[Contact]:
        """Iterate over contacts and blocked accounts."""
        raise NotImplementedError

    def __contains__(self, account: AccountId | str) -> bool:
        """Whether it is a contact; blocked ones are not."""
        raise NotImplementedError

    def list(self, *, with_banned: bool = True) -> tuple[Contact, ...]:
        """Return the contacts, and those who are blocked."""
        raise NotImplementedError

    def get(self, account: AccountId | str) -> Contact | None:
        """Return one of them."""
        raise NotImplementedError

    def requests(self) -> tuple[IncomingRequest, ...]:
        """Return who asks to become a contact, oldest first."""
        raise NotImplementedError

    async def add(
        self, account: AccountId | str, *, payload: bytes = b"", conversation_id: str = ""
    ) -> Contact:
        """Add a contact and send it a request; sent again whenever it appears, until confirmed.

        *payload* is shown to the other side, mostly a vCard, at most 64,000 bytes.

        Raises:
            UnknownNameError: *account* is no id.
            PayloadTooLargeError: the payload is too large to be sent.
        """
        raise NotImplementedError

    async def accept(self, account: AccountId | str) -> Contact:
        """Accept a request: both sides are contacts then.

        Raises:
            UnknownRequestError: it has asked for nothing.
        """
        raise NotImplementedError

    async def decline(self, account: AccountId | str) -> None:
        """Forget a request; the other side is not told, and may ask again.

        Raises:
            UnknownRequestError: it has asked for nothing.
        """
        raise NotImplementedError

    async def block(self, account: AccountId | str) -> None:
        """Let an account reach us by no path; its connections are closed at once."""
        raise NotImplementedError

    async def unblock(self, account: AccountId | str) -> Contact:
        """Block an account no longer; it is a contact again.

        Raises:
            UnknownContactError: it is not blocked.
        """
        raise NotImplementedError

    async def remove(self, account: AccountId | str) -> None:
        """Forget a contact; its connections are closed at once.

        Raises:
            UnknownContactError: it is none.
        """
        raise NotImplementedError
