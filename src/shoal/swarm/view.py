"""What is known of a conversation outside its thread: how the last job left it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from shoal.core import AccountId, CommitId, DeviceId
    from shoal.swarm.contents import Mode
    from shoal.swarm.conversation import Conversation, Event
    from shoal.swarm.roles import Role


@dataclass(frozen=True, slots=True)
class View:
    """What a conversation looked like after the last job."""

    head: CommitId
    mode: Mode
    members: dict[AccountId, Role]
    devices: dict[DeviceId, AccountId]  # that have committed

    @classmethod
    def of(cls, conversation: Conversation) -> View:
        """Look at a conversation; in its thread."""
        return cls(
            conversation.head, conversation.mode, conversation.members, conversation.devices()
        )


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a job did."""

    events: tuple[Event, ...]
    view: View
    conversation: Conversation | None = None  # that a clone has made


@dataclass(slots=True)
class SessionStats:
    """Counters of one conversation.

    Attributes:
        fetches: fetches begun.
        failed: fetches that failed.
        served: fetches by others that ended well.
        refused: commits that were not taken.
    """

    fetches: int = 0
    failed: int = 0
    served: int = 0
    refused: int = 0
