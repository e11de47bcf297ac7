"""People in a test: they can do what people can do with an app, and see what it shows."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Final, TypeAlias

from shoal.swarm import Edit, FileOffer, MemberAction, MemberEvent, Role, Text

if TYPE_CHECKING:
    import re
    from collections.abc import Callable

    from shoal.core import AccountId, CommitId, ConversationId
    from shoal.node import Account
    from shoal.node.driver.conversations import Conversation, Message
    from shoal.testing.network import LoopbackNetwork

PATIENCE: Final = 60.0  # seconds, ours: loopback takes milliseconds, a busy machine more
LOOK: Final = 0.02  # seconds between two looks at what changes without telling
HISTORY: Final = 1_000  # messages of a talk that are looked at

Wanted: TypeAlias = "str | re.Pattern[str] | Callable[[Message], bool]"


class User:
    """Somebody with an app.

    Attributes:
        name: what the transcript calls them.
    """

    def __init__(self, network: LoopbackNetwork, name: str) -> None:
        self.name = name
        self._network = network

    @property
    def account(self) -> Account:
        """Their account; use its coroutines by `network.run` alone."""
        return self._network.account_of(self)

    @property
    def id(self) -> AccountId:
        """The id that they give to others."""
        return self.account.id

    # Contacts

    def add(self, other: User) -> None:
        """Ask somebody to become a contact."""
        self._did(f"asks {other.name} to become a contact")
        self._network.run(self.account.contacts.add(other.id))

    def accept(self, other: User) -> None:
        """Wait for somebody's request, and accept it."""
        self._network.wait(
            lambda: any(each.id == other.id for each in self.account.contacts.requests()),
            f"{self.name} has a request of {other.name}",
        )
        self._did(f"accepts {other.name}")
        self._network.run(self.account.contacts.accept(other.id))

    def meet(self, other: User) -> Talk:
        """Become contacts: ask, and have people accept; a bot does as its policy says."""
        self.add(other)
        if not other.is_bot:
            other.accept(self)
        return self.talk_with(other)

    @property
    def is_bot(self) -> bool:
        """Whether it is a program."""
        return False

    # Conversations

    def talk_with(self, other: User) -> Talk:
        """Return the conversation of two with a contact, once both are in it."""
        contact = self._network.wait(
            lambda: self.account.contacts.get(other.id), f"{self.name} has {other.name}"
        )
        identifier = contact.conversation_id
        talk = self._network.wait(lambda: self._find(identifier), f"their talk at {self.name}'s")
        talk.wait_member(other)
        return talk

    def new_group(self, *others: User) -> Talk:
        """Begin a group, invite people, and have them accept; bots do as their policy says."""
        self._did(f"begins a group with {', '.join(each.name for each in others) or 'nobody'}")
        conversation = self._network.run(self.account.conversations.create())
        talk = Talk(self._network, self, conversation)
        for other in others:
            talk.invite(other)
            if not other.is_bot:
                other.accept_invitation(talk)
            talk.wait_member(other)
        return talk

    def accept_invitation(self, talk: Talk | ConversationId) -> Talk:
        """Wait for an invitation, and accept it."""
        identifier = talk.id if isinstance(talk, Talk) else talk
        self._network.wait(
            lambda: any(
                each.conversation == identifier for each in self.account.conversations.requests()
            ),
            f"{self.name} is invited",
        )
        self._did("accepts the invitation")
        conversation = self._network.run(self.account.conversations.accept(identifier))
        return Talk(self._network, self, conversation)

    def invited_to(self) -> Talk:
        """Wait for an invitation to a group, accept it, and return the group."""
        invitation = self._network.wait(
            lambda: next(iter(self.account.conversations.requests()), None),
            f"{self.name} is invited to a group",
        )
        return self.accept_invitation(invitation.conversation)

    # Presence

    def go_offline(self) -> None:
        """Close the app."""
        self._did("goes offline")
        self._network.close_node(self)

    def come_back(self) -> None:
        """Open the app again."""
        self._network.open_node(self)
        self._did("is back")

    def __repr__(self) -> str:
        return f"<{self.name}>"

    # Inside

    def _find(self, identifier: str) -> Talk | None:
        for conversation in self.account.conversations.list():
            if str(conversation.id) == identifier and conversation.is_ready:
                return Talk(self._network, self, conversation)
        return None

    def _did(self, what: str) -> None:
        self._network.transcript.add(self.name, what)


class Talk:
    """A conversation as one of its people has it.

    What others say is taken in order: `expect` waits for something, and passes what came before.
    """

    def __init__(self, network: LoopbackNetwork, user: User, conversation: Conversation) -> None:
        self.user = user
        self.id = conversation.id
        self._network = network
        self._passed: set[CommitId] = set()

    @property
    def members(self) -> dict[AccountId, Role]:
        """Everybody and their roles."""
        return self._conversation.members

    # What people do

    def say(self, text: str, *, reply_to: Message | None = None) -> Message:
        """Say something."""
        self._did(f"says {text!r}")
        target = None if reply_to is None else reply_to.id
        return self._network.run(self._conversation.send(text, reply_to=target))

    def edit(self, message: Message, text: str) -> Message:
        """Edit what one has said; an empty text deletes it."""
        self._did(f"edits it to {text!r}" if text else "deletes a message")
        return self._network.run(self._conversation.edit(message.id, text))

    def react(self, message: Message, emoji: str) -> Message:
        """React to a message."""
        self._did(f"reacts with {emoji}")
        return self._network.run(self._conversation.react(message.id, emoji))

    def unreact(self, message: Message, emoji: str) -> None:
        """Take a reaction back."""
        self._did(f"takes {emoji} back")
        self._network.run(self._conversation.unreact(message.id, emoji))

    def send_file(self, path: Path) -> Message:
        """Offer a file."""
        self._did(f"offers {path.name!r}")
        return self._network.run(self._conversation.send_file(path))

    def download(self, message: Message, folder: Path) -> Path:
        """Fetch the file that a message offers into a folder, and return where it is.

        Raises:
            TransferError: it cannot be had.
        """
        self._did(f"fetches {shown(message)}")
        folder.mkdir(exist_ok=True)
        return self._network.run(self._download(message, folder))

    def invite(self, other: User) -> None:
        """Invite somebody into a group."""
        self._did(f"invites {other.name}")
        self._network.run(self._conversation.invite(other.id))

    def ban(self, other: User) -> None:
        """Vote somebody out."""
        self._did(f"bans {other.name}")
        self._network.run(self._conversation.ban(other.id))

    def leave(self) -> None:
        """Leave."""
        self._did("leaves")
        self._network.run(self._conversation.leave())

    # What people see

    def expect(self, wanted: Wanted = "", *, by: User | None = None) -> Message:
        """Wait until somebody else says what is wanted; return it.

        *wanted* is the whole text, a regular expression that is found in it, or a function that
        says of a message whether it is the one; without it any text does.

        Raises:
            AssertionError: nobody has, for a minute; the transcript is part of it.
        """

        def fits(message: Message) -> bool:
            if by is not None and message.author != by.id:
                return False
            if callable(wanted):
                return wanted(message)
            if not isinstance(message.content, Text) or message.content.react_to is not None:
                return False
            if isinstance(wanted, str):
                return not wanted or message.content.body == wanted
            return wanted.search(message.content.body) is not None

        shown = getattr(wanted, "pattern", wanted) or "anything"
        return self._wait(fits, f"{shown!r}")

    def expect_reaction(self, emoji: str) -> Message:
        """Wait until somebody reacts with *emoji*."""
        return self._wait(
            lambda each: (
                isinstance(each.content, Text)
                and each.content.react_to is not None
                and each.content.body == emoji
            ),
            f"a reaction {emoji}",
        )

    def expect_edit(self, text: str) -> Message:
        """Wait until somebody edits a message to *text*."""
        return self._wait(
            lambda each: isinstance(each.content, Edit) and each.content.body == text,
            f"an edit to {text!r}",
        )

    def expect_file(self, name: str = "") -> Message:
        """Wait until somebody offers a file, perhaps of a certain name."""
        return self._wait(
            lambda each: (
                isinstance(each.content, FileOffer)
                and (not name or each.content.display_name == name)
            ),
            f"a file {name}",
        )

    def expect_member(self, action: MemberAction, other: User | None = None) -> Message:
        """Wait until somebody is added, joins, leaves, is banned, ….

        The user's own joining counts, too.
        """
        return self._wait(
            lambda each: (
                isinstance(each.content, MemberEvent)
                and each.content.action is action
                and (other is None or each.content.account == other.id)
            ),
            f"{action.value} of {other.name if other else 'somebody'}",
        )

    def expect_nothing(self, seconds: float = 1.0) -> None:
        """Wait, and see that nobody else says anything.

        A look at real time: keep it short, and better expect what comes instead.

        Raises:
            AssertionError: somebody did.
        """
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            said = [each for each in self._unseen() if isinstance(each.content, Text | Edit)]
            if said:
                self._network.fail(f"{self.user.name} expected nothing, and saw {shown(said[0])}")
            time.sleep(LOOK)

    def wait_member(self, other: User) -> None:
        """Wait until somebody has joined.

        Raises:
            AssertionError: they have not, for a minute.
        """
        self._network.wait(
            lambda: (role := self.members.get(other.id)) is not None and role.is_inside,
            f"{other.name} is in the conversation at {self.user.name}'s",
        )

    def texts(self) -> list[tuple[str, str]]:
        """Return who said what so far, edits and all, in order."""
        return [
            (self._network.name_of(each.author), each.content.body)
            for each in self._messages()
            if isinstance(each.content, Text | Edit)
        ]

    # Inside

    async def _download(self, message: Message, folder: Path) -> Path:
        transfers = self.user.account.transfers
        begun = await transfers.download(self.id, message.id, folder=folder)
        done = begun if begun.is_over else await transfers.wait(message.id)
        assert done.path is not None, "it is here"
        return Path(done.path)

    @property
    def _conversation(self) -> Conversation:
        return self.user.account.conversations[self.id]

    def _messages(self) -> tuple[Message, ...]:
        return self._network.run(self._conversation.messages(HISTORY))

    def _unseen(self) -> list[Message]:
        me = self.user.id
        fresh = [each for each in self._messages() if each.id not in self._passed]
        return [
            each for each in fresh if each.author != me or isinstance(each.content, MemberEvent)
        ]

    def _wait(self, fits: Callable[[Message], bool], what: str) -> Message:
        def look() -> Message | None:
            passed = []
            for message in self._unseen():
                passed.append(message.id)
                if fits(message):
                    self._passed.update(passed)
                    return message
            return None

        found = self._network.wait(look, f"{self.user.name} sees {what}")
        author = self._network.name_of(found.author)
        self._network.transcript.add(self.user.name, f"sees {shown(found)} of {author}")
        return found

    def _did(self, what: str) -> None:
        self._network.transcript.add(self.user.name, what)


def shown(message: Message) -> str:
    """Return what a message is, in words."""
    match message.content:
        case Text(body, react_to=None):
            return repr(body)
        case Text(body):
            return f"a reaction {body}"
        case Edit(_, body):
            return f"an edit to {body!r}"
        case FileOffer():
            return f"the file {message.content.display_name!r}"
        case MemberEvent(action, account):
            return f"{action.value} of {str(account)[:8]}"
        case other:
            return type(other).__name__.lower()
