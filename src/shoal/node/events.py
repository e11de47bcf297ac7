"""What happens in a node, as its users see it.

Events are numbered by the bus that carries them: see `shoal.node.driver.bus`.
"""

from __future__ import annotations

import enum
from typing import TYPE_CHECKING, Final, TypeAlias, get_args

from shoal.core.records import dataclass

if TYPE_CHECKING:
    from shoal.core import AccountId, CommitId, ConversationId, DeviceId
    from shoal.transfer import Transfer


class Presence(enum.Enum):
    """What is known about whether a person can be reached."""

    OFFLINE = "offline"  # no device is announced
    ANNOUNCED = "announced"  # a device said lately that it is online
    CONNECTED = "connected"  # there is a connection with one of the devices
    UNREACHABLE = "unreachable"  # announced, but the last attempt to connect failed


class AccountState(enum.Enum):
    """How far an account is on its way to be found by others."""

    STOPPED = "stopped"
    STARTING = "starting"  # waiting for the DHT, or for its first puts
    ANNOUNCED = "announced"  # chain and announcement are on other nodes


@dataclass(frozen=True, slots=True)
class AccountAdded:
    """An account was created, imported or linked."""

    account: AccountId


@dataclass(frozen=True, slots=True)
class AccountRemoved:
    """An account was removed from this node."""

    account: AccountId


@dataclass(frozen=True, slots=True)
class AccountNamed:
    """The account has this name at its name server; "" is none."""

    account: AccountId
    name: str


@dataclass(frozen=True, slots=True)
class AccountStateChanged:
    """The account is announced, or no longer."""

    account: AccountId
    state: AccountState


@dataclass(frozen=True, slots=True)
class RequestReceived:
    """Somebody asks to become a contact.

    Attributes:
        peer: the account that asks.
        conversation_id: the conversation that it offers, 40 hex digits, or "".
        payload: what it sent along, mostly a vCard.
        wall_received: seconds since 1970.
    """

    account: AccountId
    peer: AccountId
    conversation_id: str
    payload: bytes
    wall_received: float


@dataclass(frozen=True, slots=True)
class RequestClosed:
    """A request is no longer open: accepted, declined, blocked, or answered on another device."""

    account: AccountId
    peer: AccountId


@dataclass(frozen=True, slots=True)
class RequestSent:
    """Our request, or our confirmation, was put into the inboxes of an account's devices.

    Attributes:
        devices: of how many; the others get it when they appear.
    """

    account: AccountId
    peer: AccountId
    devices: int


@dataclass(frozen=True, slots=True)
class ContactChanged:
    """The record of a contact changed: added, confirmed, removed, blocked.

    Attributes:
        is_active: it is a contact.
        is_confirmed: the other side has us, too.
        is_banned: it is blocked.
    """

    account: AccountId
    peer: AccountId
    is_active: bool
    is_confirmed: bool
    is_banned: bool
    conversation_id: str


@dataclass(frozen=True, slots=True)
class PresenceChanged:
    """A contact, or one of our own other devices, came, went, or became unreachable.

    Attributes:
        devices: long ids of its devices that are announced.
    """

    account: AccountId
    peer: AccountId
    presence: Presence
    devices: tuple[DeviceId, ...]


@dataclass(frozen=True, slots=True)
class DeviceChanged:
    """A device of our own account was found, named, or seen again."""

    account: AccountId
    device: DeviceId
    name: str


@dataclass(frozen=True, slots=True)
class DeviceRemoved:
    """A device of our own account was revoked."""

    account: AccountId
    device: DeviceId


@dataclass(frozen=True, slots=True)
class ConnectionOpened:
    """There is a connection with a device.

    Attributes:
        path: how it goes, in words.
    """

    account: AccountId
    peer: AccountId
    device: DeviceId
    path: str


@dataclass(frozen=True, slots=True)
class ConnectionClosed:
    """The last connection with a device is gone."""

    account: AccountId
    peer: AccountId
    device: DeviceId
    reason: str


@dataclass(frozen=True, slots=True)
class ChannelOpened:
    """A channel is open, asked for by us or by the other side."""

    account: AccountId
    peer: AccountId
    device: DeviceId
    name: str
    is_incoming: bool


@dataclass(frozen=True, slots=True)
class BackupDue:
    """The account exists on this device alone, and no export of it was ever made."""

    account: AccountId


@dataclass(frozen=True, slots=True)
class SyncReceived:
    """Another device of ours sent parts of its state that the account itself does not keep.

    Attributes:
        parts: the message's elements after the first, as unpacked: conversations and so on.
    """

    account: AccountId
    device: DeviceId
    parts: tuple[object, ...]


@dataclass(frozen=True, slots=True)
class InstantMessageReceived:
    """A message came through the DHT, as Jami 13.7 sends them while it connects.

    Attributes:
        device: the device of *peer* that sent it.
        mime: what it is.
        text: what it says.
    """

    account: AccountId
    peer: AccountId
    device: DeviceId
    mime: str
    text: str


@dataclass(frozen=True, slots=True)
class ProfileReceived:
    """Somebody has a new profile; it is *account* itself if another device of ours changed it.

    Attributes:
        name: what they call themselves now.
        has_picture: whether there is one.
    """

    account: AccountId
    peer: AccountId
    name: str
    has_picture: bool


@dataclass(frozen=True, slots=True)
class ConversationEvent:
    """Something happened in a conversation.

    Attributes:
        event: what, as `shoal.swarm.effects` has it: `MessagesArrived`, `RequestArrived`, ….
    """

    account: AccountId
    event: object


@dataclass(frozen=True, slots=True)
class TransferChanged:
    """A file is being fetched or sent: it began, went on, or ended."""

    account: AccountId
    transfer: Transfer


@dataclass(frozen=True, slots=True)
class FileLost:
    """A file that others could fetch from us is not there any more, or is another one.

    Attributes:
        message: the one that offers it, if that is known.
        reason: what is wrong with it.
    """

    account: AccountId
    conversation: ConversationId
    message: CommitId | None
    reason: str


NodeEvent: TypeAlias = (
    AccountAdded
    | AccountRemoved
    | AccountNamed
    | AccountStateChanged
    | RequestReceived
    | RequestSent
    | RequestClosed
    | ContactChanged
    | PresenceChanged
    | DeviceChanged
    | DeviceRemoved
    | ConnectionOpened
    | ConnectionClosed
    | ChannelOpened
    | BackupDue
    | SyncReceived
    | InstantMessageReceived
    | ProfileReceived
    | ConversationEvent
    | TransferChanged
    | FileLost
)


EVENTS: Final = get_args(NodeEvent)


@dataclass(frozen=True, slots=True)
class Numbered:
    """An event and its number: 1 is the first of a node's life, each next one is one more."""

    number: int
    event: NodeEvent


@dataclass(frozen=True, slots=True)
class Lagged:
    """A subscriber was too slow: the events numbered *first* to *last* were dropped for it.

    What they told is in the node's state: list contacts, requests, devices again.
    """

    first: int
    last: int
