"""`account.events()`: what happens to one account, taken apart so that a `match` can read it.

What a conversation tells comes as `MessageTaken`, `MessageEdited`, `MessageReacted`,
`MessageUnreacted` and as the events of `shoal.swarm.effects` that are named in `ConversationNews`;
the rest are the events of `shoal.node.events` that are about this account.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Any, TypeAlias

from shoal.core import AccountId, CommitId, ConversationId
from shoal.core.records import dataclass
from shoal.node.driver.conversations import Message
from shoal.node.events import ConversationEvent, Lagged, NodeEvent
from shoal.node.plain import plain, snake
from shoal.swarm import Edit, Taken, Text
from shoal.swarm.effects import (
    Composing,
    ConversationDamaged,
    ConversationGone,
    ConversationReady,
    DeviceHas,
    FetchEnded,
    MembersChanged,
    MessagesArrived,
    MessagesRefused,
    PreferencesChanged,
    RequestArrived,
    RequestGone,
    StatusChanged,
)

if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Self

    from shoal.node.driver.bus import Subscription


@dataclass(frozen=True, slots=True)
class MessageTaken:
    """A message became part of a conversation: said here, or by somebody else.

    Attributes:
        message: it; its content may be a text, a reply, a file, a call, a change of members, ….
    """

    conversation: ConversationId
    message: Message


@dataclass(frozen=True, slots=True)
class MessageEdited:
    """A message has a new text, or was taken back.

    Attributes:
        message: the commit that edits.
        edited: the message that is edited.
        body: its text from now on; "" if it was deleted.
    """

    conversation: ConversationId
    message: Message
    edited: CommitId
    body: str


@dataclass(frozen=True, slots=True)
class MessageReacted:
    """Somebody reacts to a message.

    Attributes:
        message: the commit that reacts.
        to: the message that it is about.
        emoji: how.
    """

    conversation: ConversationId
    message: Message
    to: CommitId
    emoji: str


@dataclass(frozen=True, slots=True)
class MessageUnreacted:
    """Somebody takes a reaction back.

    Attributes:
        message: the commit that takes it back: an edit.
        to: the message that the reaction was about.
        reaction: the commit that reacted.
        emoji: how.
    """

    conversation: ConversationId
    message: Message
    to: CommitId
    reaction: CommitId
    emoji: str


ConversationNews: TypeAlias = (
    MessageTaken
    | MessageEdited
    | MessageReacted
    | MessageUnreacted
    | MessagesRefused
    | ConversationReady
    | ConversationDamaged
    | ConversationGone
    | RequestArrived
    | RequestGone
    | MembersChanged
    | Composing
    | StatusChanged
    | PreferencesChanged
    | DeviceHas
    | FetchEnded
)
AccountEvent: TypeAlias = ConversationNews | NodeEvent | Lagged


class AccountEvents:
    """What happens to an account from now on: an async iterator, and a context manager.

    Bounded: who is too slow gets one `Lagged` in place of what was dropped for it, and reads the
    state anew.
    """

    def __init__(
        self,
        subscription: Subscription,
        account: AccountId,
        *,
        conversation: ConversationId | None = None,
        kinds: tuple[type, ...] = (),
    ) -> None:
        self._subscription = subscription
        self._account = account
        self._conversation = conversation
        self._kinds = kinds
        self._ready: deque[AccountEvent] = deque()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *unused: object) -> None:
        self.close()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> AccountEvent:
        while not self._ready:
            numbered = await anext(self._subscription)
            if isinstance(numbered, Lagged):
                self._ready.append(numbered)
            elif getattr(numbered.event, "account", None) == self._account:
                self._ready += filter(self._is_wanted, take_apart(numbered.event))
        return self._ready.popleft()

    def close(self) -> None:
        """Follow no longer; harmless twice."""
        self._subscription.close()

    def _is_wanted(self, event: AccountEvent) -> bool:
        if self._kinds and not isinstance(event, self._kinds):
            return False
        return self._conversation is None or conversation_of(event) == self._conversation


def take_apart(event: NodeEvent) -> Iterable[AccountEvent]:
    """Return what an event of the bus says, message by message."""
    match event:
        case ConversationEvent(_, MessagesArrived(conversation, messages)):
            return [news_of(conversation, each) for each in messages]
        case ConversationEvent(_, inner):
            return [inner]  # type: ignore[list-item]  # as the engine of conversations has it
        case _:
            return [event]


def news_of(conversation: ConversationId, taken: Taken) -> AccountEvent:
    """Return what a commit brings."""
    message = Message.of(taken)
    match taken.content, taken.reaction:
        case Edit(edited, ""), Text(emoji, react_to=CommitId() as to):
            return MessageUnreacted(conversation, message, to, edited, emoji)
        case Edit(edited, body), _:
            return MessageEdited(conversation, message, edited, body)
        case Text(body, react_to=CommitId() as to), _:
            return MessageReacted(conversation, message, to, body)
        case _:
            return MessageTaken(conversation, message)


def conversation_of(event: object) -> ConversationId | None:
    """Return the conversation that an event is about, if it is about one."""
    found = event
    for holder in ("conversation", "request", "transfer"):
        found = getattr(event, holder, None) or found
    found = getattr(found, "conversation", found)
    return found if isinstance(found, ConversationId) else None


def message_to_json(message: Message) -> dict[str, Any]:
    """Return a message as JSON has it, with the kind of its content in lower case."""
    content = message.content
    return {
        "id": str(message.id),
        "author": str(message.author),
        "wall_time": message.wall_time,
        "is_verified": message.is_verified,
        "kind": snake(type(content).__name__),
        **plain(content),
    }


def news_to_json(event: AccountEvent) -> dict[str, Any]:
    """Return an event as an object, with its name in lower case as "event"."""
    fields: dict[str, Any] = {"event": snake(type(event).__name__)}
    match event:
        case MessageTaken() | MessageEdited() | MessageReacted() | MessageUnreacted():
            fields |= {**plain(event), "message": message_to_json(event.message)}
        case RequestArrived(request):
            fields |= {
                "conversation": str(request.conversation),
                "sender": str(request.sender),
                "title": request.title,
                "mode": request.mode.name.lower(),
            }
        case MembersChanged(conversation, members):
            members_now = [{"id": str(each), "role": role.value} for each, role in members]
            fields |= {"conversation": str(conversation), "members": members_now}
        case _:
            fields |= plain(event)
    return fields
