"""What goes wrong in conversations.

SwarmError
├── InvalidCommitError       a commit breaks the rules of its conversation
├── ObjectMissingError       history names an object that nobody gave us
├── CloneFailedError         nobody gave us the conversation
├── HistoryTooLargeError     more than we take from a peer
├── NoSuchConversationError  it is not here, or not yet
├── ConversationDamagedError what is on disk cannot be opened
├── SwarmFaultError          a fault of the program itself
├── RepositoryError          its folder cannot be read or written
├── NotAMemberError          the person is not in the conversation
├── NotAnAdminError          only an administrator may do that
├── NotEditableError         that message is not ours, or is none that can be edited
├── NotReactedError          there is no such reaction of ours
├── InvalidMessageError      the message cannot be put into a conversation
├── InvalidPreferenceError   a preference of a conversation is too long, or there are too many
├── InvalidProfileError      a name or a picture cannot be shown to others
└── ConversationEndedError   we left, or were banned
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from shoal.core import ShoalError

if TYPE_CHECKING:
    from pathlib import Path

    from shoal.core import CommitId


class SwarmError(ShoalError):
    """Base of the errors of conversations."""


class InvalidCommitError(SwarmError):
    """A commit breaks the rules of its conversation, so it and what stands on it is not taken.

    Attributes:
        commit: which one.
        rule: what it breaks, in words.
    """

    def __init__(self, commit: CommitId, rule: str) -> None:
        super().__init__(f"commit {commit}: {rule}")
        self.commit = commit
        self.rule = rule


class ObjectMissingError(SwarmError):
    """The history names a git object that is not there. Fetch again from another device.

    Attributes:
        object_id: its id, 20 bytes.
    """

    def __init__(self, object_id: bytes) -> None:
        super().__init__(f"no git object {object_id.hex()}")
        self.object_id = object_id


class HistoryTooLargeError(SwarmError):
    """A peer sends more than we take in one fetch. Nothing of it was kept.

    Attributes:
        limit: how much that is, in the unit that the message names.
    """

    def __init__(self, what: str, limit: int) -> None:
        super().__init__(f"more than {limit} {what}")
        self.limit = limit


class NotAMemberError(SwarmError):
    """The person is not a member of this conversation. Invite them first."""


class NotAnAdminError(SwarmError):
    """Only an administrator of the conversation may do that. Ask one."""


class NotEditableError(SwarmError):
    """Only your own texts and files can be edited or deleted."""


class NotReactedError(SwarmError):
    """You have not reacted to this message like that, or have taken it back already."""


class InvalidMessageError(SwarmError):
    """The message cannot be put into a conversation: see what is said about its fields."""


class InvalidPreferenceError(SwarmError):
    """A preference of a conversation is too long, or there are too many of them."""


class InvalidProfileError(SwarmError):
    """The name or the picture cannot be shown to others: see what is said about it."""


class ConversationEndedError(SwarmError):
    """You are no longer in this conversation: you left it, or an administrator banned you."""


class CloneFailedError(SwarmError):
    """Nobody who has the conversation could be reached. It is tried again when they are online."""


class NoSuchConversationError(SwarmError):
    """There is no such conversation on this device, or it is still being fetched."""


class ConversationDamagedError(SwarmError):
    """What is on disk of the conversation cannot be opened. Nothing of it is thrown away.

    It is fetched again as soon as somebody who has it is online; what only this device had is put
    together with that, as far as it can be read. If the disk is full, or a file cannot be read, see
    to that and start the node again.

    Attributes:
        reason: what is wrong.
    """

    def __init__(self, reason: str) -> None:
        super().__init__(f"the conversation cannot be opened: {reason}")
        self.reason = reason


class SwarmFaultError(SwarmError):
    """The program itself has a fault: it is none of yours. Please report what the node's log says.

    What the command was about may have happened or not; the exception behind it is its cause.
    """

    def __init__(self, error: Exception) -> None:
        super().__init__(f"{type(error).__name__}: see the node's log")


class RepositoryError(SwarmError):
    """The conversation's folder cannot be read or written. Look at its disk and permissions.

    Attributes:
        path: which file or folder.
    """

    def __init__(self, path: Path, reason: str) -> None:
        super().__init__(f"{path}: {reason}")
        self.path = path
