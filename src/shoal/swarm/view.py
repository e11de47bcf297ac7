"""What is known of a conversation outside its thread: how the last job left it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from shoal.core import CommitId, DecodeError
from shoal.core.records import dataclass
from shoal.swarm.errors import ObjectMissingError
from shoal.swarm.roles import PROFILE_PATH
from shoal.swarm.vcards import VCard, read_vcard

if TYPE_CHECKING:
    from shoal.core import AccountId, DeviceId
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
    wall_begun: int = 0  # seconds since 1970, by the clock of who began it
    title: str = ""
    description: str = ""
    has_picture: bool = False
    unproved: frozenset[AccountId] = frozenset()  # members by an unverified commit only
    profile: bytes | None = None  # the blob that title, description and picture are from

    @classmethod
    def of(cls, conversation: Conversation, before: View | None = None) -> View:
        """Look at a conversation; in its thread. What *before* has is not read again."""
        profile = conversation.files.get(PROFILE_PATH)
        if before is not None and before.profile == profile:
            looks = before.title, before.description, before.has_picture
        else:
            card = read_card(conversation)
            looks = card.name, card.description, bool(card.picture)
        return cls(
            conversation.head,
            conversation.mode,
            conversation.members,
            conversation.devices(),
            conversation.graph[CommitId(conversation.id)].wall_time,
            *looks,
            conversation.unproved,
            profile,
        )

    @property
    def metadata(self) -> tuple[tuple[str, str], ...]:
        """What those who are invited are told of it."""
        known = {"description": self.description, "mode": str(int(self.mode)), "title": self.title}
        return tuple((key, value) for key, value in known.items() if value)


def read_card(conversation: Conversation) -> VCard:
    """Return the profile of a conversation; in its thread. One that makes no sense is none."""
    try:
        return read_vcard(conversation.read_file(PROFILE_PATH) or b"")
    except (DecodeError, ObjectMissingError):
        return VCard()


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
