"""What the engines of identity order and report.

Actions: `Persist` (of `shoal.core`), `Forget`, `SendTrustRequest`, `SyncDevices`,
`CloseConnections`. Everything else are events.
"""

from __future__ import annotations

import enum
from dataclasses import field
from typing import TYPE_CHECKING, TypeAlias

from shoal.core import Persist
from shoal.core.records import dataclass

if TYPE_CHECKING:
    from shoal.core import AccountId, DeviceId, InfoHash
    from shoal.identity.contact import Contact, StoredRequest
    from shoal.identity.trust_request import TrustRequest


class Status(enum.Enum):
    """What an id may do, as the user decided. Source: dhtnet certstore.h, PermissionStatus."""

    UNDEFINED = "undefined"
    ALLOWED = "allowed"
    BANNED = "banned"


@dataclass(frozen=True, slots=True)
class Forget:
    """Action: delete what was persisted under *name*, if it is there."""

    name: str


@dataclass(frozen=True, slots=True)
class SendTrustRequest:
    """Action: put *request* into the inbox of a device of *account*.

    For every device that is announced now where *device*, a short id, is None. Report each by
    `ContactBook.request_sent`.
    """

    account: AccountId
    request: TrustRequest = field(repr=False)
    device: InfoHash | None = None


@dataclass(frozen=True, slots=True)
class SyncDevices:
    """Action: tell the account's other devices the new state."""


@dataclass(frozen=True, slots=True)
class CloseConnections:
    """Action: end all connections with devices of *account*, and those being made."""

    account: AccountId


@dataclass(frozen=True, slots=True)
class ContactAdded:
    """Event: somebody is in the contact book now, by us or by another device of ours."""

    account: AccountId
    contact: Contact


@dataclass(frozen=True, slots=True)
class ContactRemoved:
    """Event: somebody is in the contact book no more; blocked, if so the contact says."""

    account: AccountId
    contact: Contact


@dataclass(frozen=True, slots=True)
class ContactConfirmed:
    """Event: a contact is known to have us now."""

    account: AccountId


@dataclass(frozen=True, slots=True)
class ConversationChanged:
    """Event: the conversation with a contact is another one now; nothing for none before."""

    account: AccountId
    old: str
    new: str


@dataclass(frozen=True, slots=True)
class RequestReceived:
    """Event: somebody asks to become a contact, or asks again with other words."""

    account: AccountId
    request: StoredRequest


@dataclass(frozen=True, slots=True)
class RequestRemoved:
    """Event: a request waits no more: answered or declined, here or on another device."""

    account: AccountId


@dataclass(frozen=True, slots=True)
class StatusChanged:
    """Event: an id may do something else now."""

    id: InfoHash
    status: Status


BookEffect: TypeAlias = (
    Persist
    | Forget
    | SendTrustRequest
    | SyncDevices
    | CloseConnections
    | ContactAdded
    | ContactRemoved
    | ContactConfirmed
    | ConversationChanged
    | RequestReceived
    | RequestRemoved
    | StatusChanged
)


@dataclass(frozen=True, slots=True)
class FindDevice:
    """Action: look up the chain of a device of ours that another one told of.

    Hand it to `KnownDevices.chain_found`; nothing need be said if there is none.
    """

    device: DeviceId
    short_id: InfoHash | None


@dataclass(frozen=True, slots=True)
class DeviceAdded:
    """Event: a device of the account is known now."""

    device: DeviceId


@dataclass(frozen=True, slots=True)
class DeviceChanged:
    """Event: a device of the account has another name."""

    device: DeviceId


@dataclass(frozen=True, slots=True)
class DeviceRemoved:
    """Event: a device of the account is known no more, since it was revoked."""

    device: DeviceId


DevicesEffect: TypeAlias = (
    Persist | FindDevice | SyncDevices | DeviceAdded | DeviceChanged | DeviceRemoved
)
