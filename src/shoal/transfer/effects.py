"""What the engine of transfers asks of its host, and what it tells."""

from __future__ import annotations

import enum
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

from shoal.core import Persist
from shoal.core.records import dataclass

if TYPE_CHECKING:
    from shoal.core import CommitId, ConversationId, DeviceId
    from shoal.transfer.channel_wire import FileRequest
    from shoal.transfer.errors import TransferError
    from shoal.transfer.records import HeldFile, WantedFile


class TransferState(enum.Enum):
    """Where a transfer is."""

    QUEUED = "queued"  # others come first
    CONNECTING = "connecting"  # somebody who has it is looked for and asked
    RUNNING = "running"
    CHECKING = "checking"  # all is here, and is compared with what was offered
    WAITING = "waiting"  # nobody who has it is online
    PAUSED = "paused"
    DONE = "done"
    FAILED = "failed"
    CANCELED = "canceled"


class Direction(enum.Enum):
    """Which way the bytes go."""

    DOWN = "down"
    UP = "up"


@dataclass(frozen=True, slots=True)
class Transfer:
    """How a transfer stands.

    Attributes:
        id: the message that offers the file.
        conversation: where that is.
        direction: down to us, or up to a device that fetches from us.
        device: with whom, if with anybody now.
        state: where it is.
        name: what the file is called here.
        size: how large it is.
        done: how much is here, or was sent.
        rate: bytes per second, now.
        time_left: seconds, if anybody can tell.
        path: where the file is, once it is whole.
        error: why it failed, or why it waits.
    """

    id: CommitId
    conversation: ConversationId
    direction: Direction
    device: DeviceId | None
    state: TransferState
    name: str
    size: int
    done: int
    rate: float
    time_left: float | None
    path: str
    error: TransferError | None

    @property
    def is_over(self) -> bool:
        """Whether nothing more happens unless somebody asks for it."""
        return self.state in {TransferState.DONE, TransferState.FAILED, TransferState.CANCELED}


# --- Actions ----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class OpenPart:
    """Open what is here of a file, or make it; `part_opened` or `part_failed` follows."""

    commit: CommitId
    wanted: WantedFile


class WritePart(NamedTuple):
    """Append to a part; `part_failed` if it cannot be. A NamedTuple: one is made per packet."""

    commit: CommitId
    data: bytes


@dataclass(frozen=True, slots=True)
class ResetPart:
    """Throw the content of a part away."""

    commit: CommitId


@dataclass(frozen=True, slots=True)
class CheckPart:
    """Compare a part with its SHA3-512; if it is right, give the file its name and close it.

    `part_checked`, `part_wrong` or `part_failed` follows.
    """

    commit: CommitId


@dataclass(frozen=True, slots=True)
class ClosePart:
    """Close a part, and keep it."""

    commit: CommitId


@dataclass(frozen=True, slots=True)
class RemovePart:
    """Delete a part, open or not."""

    commit: CommitId
    wanted: WantedFile


@dataclass(frozen=True, slots=True)
class FindSources:
    """Find devices of members that are online, best first; `sources_found` follows."""

    commit: CommitId
    conversation: ConversationId


@dataclass(frozen=True, slots=True)
class OpenChannel:
    """Open a channel to a device; `channel_opened` or `open_failed` follows with this *op*."""

    op: int
    device: DeviceId
    name: str


@dataclass(frozen=True, slots=True)
class CloseChannel:
    """Close a channel; nothing more of it is wanted."""

    channel: int


@dataclass(frozen=True, slots=True)
class CheckHeld:
    """See that a commit offers this file, that it is there, and that it is what was offered.

    `held_checked` or `held_failed` follows.
    """

    channel: int
    held: HeldFile
    request: FileRequest


@dataclass(frozen=True, slots=True)
class StreamFile:
    """Write a part of a file to a channel, then close it; tell `streamed` as it goes."""

    channel: int
    held: HeldFile
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class RemoveCopy:
    """Delete a file that we have made: it was deleted in its conversation, or canceled."""

    held: HeldFile


Action: TypeAlias = (
    OpenPart
    | WritePart
    | ResetPart
    | CheckPart
    | ClosePart
    | RemovePart
    | FindSources
    | OpenChannel
    | CloseChannel
    | CheckHeld
    | StreamFile
    | RemoveCopy
    | Persist
)

# --- Events -----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class TransferChanged:
    """A transfer began, went on, or ended; one that goes on tells so a few times a second."""

    transfer: Transfer


@dataclass(frozen=True, slots=True)
class FileLost:
    """A file that we had is not there any more, or is another one: it is no longer served."""

    conversation: ConversationId
    commit: CommitId | None
    error: TransferError


Event: TypeAlias = TransferChanged | FileLost
Effect: TypeAlias = Action | Event
