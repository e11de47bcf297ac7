"""What the engine of conversations asks of its host, and what it tells."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, TypeAlias

from shoal.core import Persist
from shoal.core.records import dataclass
from shoal.identity import Forget
from shoal.swarm import refusals

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from shoal.core import AccountId, CommitId, ConversationId, DeviceId
    from shoal.swarm.conversation import Taken
    from shoal.swarm.errors import SwarmError
    from shoal.swarm.preferences import Preferences
    from shoal.swarm.records import ConversationRequest
    from shoal.swarm.refusals import Refused
    from shoal.swarm.roles import Role


REFUSED_BEFORE: Final = refusals.REFUSED_BEFORE
ALL_REFUSED: Final = "what it has is refused"  # why a fetch ended; `MessagesRefused` tells more


# --- Actions ----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class OpenChannel:
    """Open a channel to a device; `channel_opened` or `open_failed` follows with this *op*."""

    op: int
    device: DeviceId
    name: str


@dataclass(frozen=True, slots=True)
class WriteChannel:
    """Write *data* to a channel, as one packet where it fits."""

    channel: int
    data: bytes


@dataclass(frozen=True, slots=True)
class StreamChannel:
    """Write *pieces*, each whole; pull them in the conversation's thread, wait while it is full."""

    channel: int
    conversation: ConversationId
    pieces: Iterator[bytes]


@dataclass(frozen=True, slots=True)
class CloseChannel:
    """Close a channel when what was written to it has left."""

    channel: int


@dataclass(frozen=True, slots=True)
class FindDevices:
    """Find the devices of an account that are online; `devices_found` follows with this *op*."""

    op: int
    account: AccountId


@dataclass(frozen=True, slots=True)
class Watch:
    """Follow the presence of exactly these accounts, and tell `presence`."""

    accounts: frozenset[AccountId]


@dataclass(frozen=True, slots=True)
class Work:
    """Run *job* in the thread of a conversation, after those before it; `worked` follows."""

    op: int
    conversation: ConversationId
    job: Callable[[], object]


@dataclass(frozen=True, slots=True)
class TellOwnDevices:
    """Tell our other devices these parts of their packed maps: they are new."""

    preferences: bytes
    statuses: bytes


# --- Events -----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Done:
    """A command ended well, with what it gives."""

    op: int
    result: object


@dataclass(frozen=True, slots=True)
class Failed:
    """A command failed."""

    op: int
    error: SwarmError


@dataclass(frozen=True, slots=True)
class ConversationReady:
    """A conversation was begun, opened or cloned: it can be used."""

    conversation: ConversationId


@dataclass(frozen=True, slots=True)
class ConversationDamaged:
    """A conversation that we are in cannot be opened; it is fetched again where that is possible.

    Attributes:
        reason: what is wrong with what is on disk.
    """

    conversation: ConversationId
    reason: str


@dataclass(frozen=True, slots=True)
class ConversationGone:
    """We left a conversation, or it was removed on another device of ours."""

    conversation: ConversationId


@dataclass(frozen=True, slots=True)
class RequestArrived:
    """Somebody invites us."""

    request: ConversationRequest


@dataclass(frozen=True, slots=True)
class RequestGone:
    """An invitation was accepted or declined, here or on another device of ours."""

    conversation: ConversationId


@dataclass(frozen=True, slots=True)
class MessagesArrived:
    """Commits became part of a history, ours included, in its order."""

    conversation: ConversationId
    messages: tuple[Taken, ...]


@dataclass(frozen=True, slots=True)
class MessagesRefused:
    """A device offered commits that break the rules; they were not taken.

    Attributes:
        member: whose device it is, as far as we know.
    """

    conversation: ConversationId
    device: DeviceId
    refused: tuple[Refused, ...]
    member: AccountId | None = None


@dataclass(frozen=True, slots=True)
class MembersChanged:
    """Somebody was invited, joined, left, was banned or unbanned."""

    conversation: ConversationId
    members: tuple[tuple[AccountId, Role], ...]


@dataclass(frozen=True, slots=True)
class Composing:
    """A member is typing, or has stopped."""

    conversation: ConversationId
    account: AccountId
    is_active: bool


@dataclass(frozen=True, slots=True)
class StatusChanged:
    """How far a member has come: what a device of theirs has, and what they have seen."""

    conversation: ConversationId
    account: AccountId
    fetched: CommitId | None
    displayed: CommitId | None


@dataclass(frozen=True, slots=True)
class DeviceHas:
    """A device has fetched from us, or says that it has, all up to a commit."""

    conversation: ConversationId
    account: AccountId
    device: DeviceId
    commit: CommitId


@dataclass(frozen=True, slots=True)
class PreferencesChanged:
    """The user wants something else of a conversation, here or on another device of theirs."""

    conversation: ConversationId
    preferences: Preferences


@dataclass(frozen=True, slots=True)
class FetchEnded:
    """A fetch from a device failed; it is tried again when there is a reason to.

    Attributes:
        member: whose device it is, as far as we know.
        is_peers_fault: it did what no honest device does.
    """

    conversation: ConversationId
    device: DeviceId
    reason: str
    member: AccountId | None = None
    is_peers_fault: bool = False


Event: TypeAlias = (
    Done
    | Failed
    | ConversationReady
    | ConversationDamaged
    | ConversationGone
    | RequestArrived
    | RequestGone
    | MessagesArrived
    | MessagesRefused
    | MembersChanged
    | Composing
    | StatusChanged
    | PreferencesChanged
    | DeviceHas
    | FetchEnded
)
Action: TypeAlias = (
    OpenChannel
    | WriteChannel
    | StreamChannel
    | CloseChannel
    | FindDevices
    | Watch
    | Work
    | TellOwnDevices
    | Persist
    | Forget
)
Effect: TypeAlias = Action | Event
