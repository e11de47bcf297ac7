"""`account.conversations`: what people say to each other."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from shoal.core import AccountId, CommitId, ConversationId
from shoal.core.records import dataclass
from shoal.node.driver.conversation_state import ConversationState
from shoal.node.driver.ids import account_of
from shoal.node.driver.reading import Reading, search_all
from shoal.swarm import Edit, FileOffer, Mode, Taken, Text, Unknown, membership
from shoal.swarm.errors import NoSuchConversationError, NotReactedError

if TYPE_CHECKING:
    import os
    from collections.abc import AsyncIterator, Callable, Collection

    from shoal.core import DeviceId
    from shoal.node.driver.talking import Talking
    from shoal.swarm import Content, ConversationRequest, Event, Role
    from shoal.swarm import Conversation as History
    from shoal.swarm.driver import Hit, Reaction, Said, Shown
    from shoal.transfer import Transfer


@dataclass(frozen=True, slots=True)
class Message:
    """A message of a conversation.

    Attributes:
        id: the id of its commit.
        author: the account that said it.
        wall_time: seconds since 1970, by the author's clock.
        content: what it says.
        is_verified: whether the author is proved by a signature.
    """

    id: CommitId
    author: AccountId
    wall_time: int
    content: Content
    is_verified: bool

    @classmethod
    def of(cls, taken: Taken) -> Message:
        """Read a commit as a message."""
        standing = taken.standing
        return cls(
            taken.commit.id,
            standing.account,
            taken.commit.wall_time,
            taken.content,
            standing.is_verified,
        )


@dataclass(frozen=True, slots=True)
class News:
    """What is new in a conversation.

    Attributes:
        messages: in the order of history.
        known: what to give `Conversation.news` the next time.
    """

    messages: tuple[Message, ...]
    known: tuple[CommitId, ...]


@dataclass(frozen=True, slots=True)
class Entry:
    """A message as people see it.

    Attributes:
        message: as it was said.
        text: what it says now; the name of a file; empty if it was deleted.
        is_edited: whether it was edited, or deleted.
        reactions: who reacts how, the first one first.
    """

    message: Message
    text: str
    is_edited: bool
    reactions: tuple[Reaction, ...] = ()

    @property
    def is_deleted(self) -> bool:
        """Whether it was taken back."""
        return self.is_edited and not self.text

    @classmethod
    def of(cls, said: Said, shown: Shown) -> Entry:
        """Put together how it was said, and how it is now."""
        return cls(Message(*said), shown.text, shown.is_edited, shown.reactions)


class Conversation(ConversationState):
    """One conversation. `account.conversations` hands them out."""

    def __init__(self, talking: Talking, identifier: ConversationId) -> None:
        self._talking = talking
        self.id = identifier

    def __repr__(self) -> str:
        return f"<Conversation {self.id}>"

    @property
    def mode(self) -> Mode:
        """What kind it is."""
        return self._talking.engine.book.infos[self.id].mode

    @property
    def is_ready(self) -> bool:
        """Whether it was fetched and can be used."""
        session = self._talking.engine.sessions.get(self.id)
        return session is not None and session.is_ready

    @property
    def damage(self) -> str:
        """Why it cannot be opened, until it is fetched again from others; or ""."""
        return self._talking.engine.damage(self.id) or ""

    @property
    def members(self) -> dict[AccountId, Role]:
        """Everybody and their roles; empty while it is being fetched."""
        session = self._talking.engine.sessions.get(self.id)
        return {} if session is None or session.view is None else dict(session.view.members)

    async def messages(
        self, count: int = 50, *, before: CommitId | None = None
    ) -> tuple[Message, ...]:
        """Return the latest *count* messages, or those before one, oldest first.

        Waits for a conversation that is still being fetched.

        Raises:
            NoSuchConversationError: we are not in it any more.
            ObjectMissingError: there is no message *before*.
        """
        found = await Reading(self._talking, self.id).messages(count, before)
        return tuple(Message(*said) for said in found)

    async def entries(
        self,
        count: int = 50,
        *,
        before: CommitId | None = None,
        after: CommitId | None = None,
        around: CommitId | None = None,
    ) -> tuple[Entry, ...]:
        """Return the latest *count* messages as people see them, or those next to one.

        The oldest comes first. Edits are applied, reactions stand beside what they are about. Of
        *before*, *after* and *around* one is given, or none; only *around* has that message itself.

        Raises:
            NoSuchConversationError: we are not in it any more.
            ObjectMissingError: there is no such message.
        """
        found = await Reading(self._talking, self.id).entries(count, before, after, around)
        return tuple(Entry.of(said, shown) for said, shown in found)

    async def export(self) -> AsyncIterator[Entry]:
        """Yield the whole history, the oldest first, edits and reactions where they were said.

        Raises:
            NoSuchConversationError: we are not in it any more.
        """
        async for said, shown in Reading(self._talking, self.id).everything():
            yield Entry.of(said, shown)

    async def search(self, text: str, count: int = 50) -> tuple[Hit, ...]:
        """Return the latest *count* messages that have all words of *text*, the newest first."""
        return await search_all(self._talking, text, count, self.id)

    async def unread(self) -> int:
        """Return how many messages of others came after what we have displayed, or answered.

        Raises:
            NoSuchConversationError: we are not in it any more.
        """
        return await Reading(self._talking, self.id).unread()

    async def reindex(self) -> None:
        """Judge the whole history again, and make its part of the index anew.

        Raises:
            NoSuchConversationError: we are not in it any more.
        """
        await Reading(self._talking, self.id).reindex()

    async def message(self, identifier: CommitId) -> Message:
        """Return one message.

        Raises:
            NoSuchConversationError: we are not in it any more.
            ObjectMissingError: there is none with this id.
        """
        history = await self._talking.history(self.id)
        look = partial(next, history.messages(identifier))
        return Message.of(await self._talking.read(self.id, look))

    async def news(self, known: Collection[CommitId] = ()) -> News:
        """Return what came since *known*, oldest first: for those who must miss nothing.

        What others said while they were offline comes between messages that are older and newer by
        the clock, so that neither times nor the order of `messages` tell what is new; this does.

        Raises:
            NoSuchConversationError: we are not in it any more.
        """
        history = await self._talking.history(self.id)
        news: News = await self._talking.read(self.id, lambda: _news(history, known))
        return news

    async def holders(self, message: CommitId) -> dict[DeviceId, AccountId]:
        """Return the devices of other members that surely have a message, and whose they are.

        Known is what was heard since the node started: that they fetched it, or said so.

        Raises:
            NoSuchConversationError: we are not in it any more.
        """
        history = await self._talking.history(self.id)
        holders = self._talking.engine.sessions[self.id].holders()
        own = self._talking.own

        def look() -> dict[DeviceId, AccountId]:
            graph = history.graph
            return {
                device: account
                for device, (account, heads) in holders.items()
                if account != own
                and message in graph
                and any(head in graph and graph.is_ancestor(message, head) for head in heads)
            }

        found: dict[DeviceId, AccountId] = await self._talking.read(self.id, look)
        return found

    async def send(self, text: str, *, reply_to: CommitId | None = None) -> Message:
        """Say something; when this returns it is on disk, and on its way.

        Raises:
            SwarmError: it cannot be said.
        """
        return await self._say(Text(text, reply_to=reply_to))

    async def react(self, message: CommitId, emoji: str) -> Message:
        """React to a message.

        Raises:
            SwarmError: it cannot be said.
        """
        return await self._say(Text(emoji, react_to=message))

    async def unreact(self, message: CommitId, emoji: str) -> tuple[Message, ...]:
        """Take a reaction of ours back; return what says so: one edit of each that was the same.

        Raises:
            NotReactedError: there is none like this.
            SwarmError: it cannot be said.
        """
        reactions = await Reading(self._talking, self.id).reactions(message)
        own = self._talking.own
        ours = [each.id for each in reactions if (each.author, each.emoji) == (own, emoji)]
        if not ours:
            raise NotReactedError
        return tuple([await self.edit(each, "") for each in ours])

    async def edit(self, message: CommitId, text: str) -> Message:
        """Replace the text of a message of ours; an empty text deletes it.

        Raises:
            InvalidCommitError: it is not ours, or is none that can be edited.
            SwarmError: it cannot be said.
        """
        return await self._say(Edit(message, text))

    async def delete(self, message: CommitId) -> Message:
        """Take a message of ours back; of a file, the copies that others have fetched go, too.

        Raises:
            SwarmError: as `edit`.
        """
        history = await self._talking.history(self.id)
        content = await self._talking.read(self.id, partial(history.content_of, message))
        if isinstance(content, FileOffer):
            return await self._say(FileOffer("", edited=message))
        return await self.edit(message, "")

    async def send_file(
        self, path: str | os.PathLike[str], *, name: str = "", reply_to: CommitId | None = None
    ) -> Message:
        """Offer a file, as *name* if that is given. Others fetch it from where it is: leave it.

        Raises:
            FileMissingError: it is not there.
            FolderError: it cannot be read.
            SwarmError: it cannot be offered.
        """
        files = self._talking.account.files
        return await files.send(self.id, Path(path), self._say, name=name, reply_to=reply_to)

    async def download(
        self, message: Message | CommitId, *, folder: str | os.PathLike[str] | None = None
    ) -> Transfer:
        """Begin to fetch a file; `account.transfers.wait` waits for it.

        Raises:
            InvalidOfferError: the message offers no file that can be fetched.
            TooManyTransfersError: too many wait.
        """
        commit = message.id if isinstance(message, Message) else message
        return await self._talking.account.transfers.download(self.id, commit, folder=folder)

    async def send_raw(self, mime: str, fields: dict[str, str | int | float | bool]) -> Message:
        """Say something of any type; who does not know it shows it as unknown.

        Raises:
            SwarmError: it cannot be said.
        """
        return await self._say(Unknown(mime, tuple(sorted(fields.items()))))

    async def invite(self, account: AccountId | str) -> None:
        """Invite somebody.

        Raises:
            SwarmError: they cannot be invited.
        """
        name = account_of(account)
        await self._change(lambda history, wall_now: membership.invite(history, name, wall_now))

    async def ban(self, account: AccountId | str) -> None:
        """Vote somebody out.

        Raises:
            NotAnAdminError: only administrators may.
            NotAMemberError: they are not in it.
        """
        name = account_of(account)
        await self._change(lambda history, wall_now: membership.ban(history, name, wall_now))

    async def unban(self, account: AccountId | str) -> None:
        """Vote somebody in again.

        Raises:
            NotAnAdminError: only administrators may.
            NotAMemberError: they are not banned.
        """
        name = account_of(account)
        await self._change(lambda history, wall_now: membership.unban(history, name, wall_now))

    async def leave(self) -> None:
        """Leave it.

        Raises:
            SwarmError: we are not in it.
        """
        engine = self._talking.engine
        await self._talking.ask(lambda op, now: engine.leave(op, self.id, now))

    async def set_displayed(self, message: CommitId) -> None:
        """Tell the others that we have seen all up to a message.

        Raises:
            SwarmError: we are not in it.
        """
        engine = self._talking.engine
        await self._talking.ask(lambda op, now: engine.set_displayed(op, self.id, message, now))

    async def set_composing(self, *, is_active: bool = True) -> None:
        """Tell the others that we are typing, or have stopped.

        Raises:
            SwarmError: we are not in it.
        """
        engine = self._talking.engine
        await self._talking.ask(
            lambda op, now: engine.set_composing(op, self.id, now, is_active=is_active)
        )

    async def _say(self, content: Content) -> Message:
        await self._talking.wait_ready(self.id)
        engine = self._talking.engine
        events = await self._talking.ask(lambda op, now: engine.say(op, self.id, content, now))
        return next(Message.of(event) for event in events if isinstance(event, Taken))

    async def _change(self, command: Callable[[History, float], list[Event]]) -> None:
        await self._talking.wait_ready(self.id)
        engine = self._talking.engine
        await self._talking.ask(lambda op, now: engine.change(op, self.id, command, now))


def _news(history: History, known: Collection[CommitId]) -> News:
    """Look what a history has beyond *known*."""
    messages = tuple(Message.of(taken) for taken in history.since(known))
    return News(messages, history.graph.sayings(history.head))


class Conversations:
    """The conversations of an account, and the invitations to others."""

    def __init__(self, talking: Talking) -> None:
        self._talking = talking

    def list(self) -> tuple[Conversation, ...]:
        """Return those that we are in."""
        infos = self._talking.engine.book.infos.values()
        return tuple(Conversation(self._talking, each.id) for each in infos if not each.is_removed)

    def requests(self) -> tuple[ConversationRequest, ...]:
        """Return the invitations that wait for an answer."""
        return tuple(self._talking.engine.book.requests.values())

    def __getitem__(self, identifier: ConversationId | str) -> Conversation:
        """Return a conversation by its id.

        Raises:
            NoSuchConversationError: we are in none with this id.
        """
        name = ConversationId.from_hex(identifier) if isinstance(identifier, str) else identifier
        info = self._talking.engine.book.infos.get(name)
        if info is None or info.is_removed:
            raise NoSuchConversationError
        return Conversation(self._talking, name)

    async def search(self, text: str, count: int = 50) -> tuple[Hit, ...]:
        """Return the latest *count* messages of all conversations that have all words of *text*.

        The newest comes first. The last word may be the beginning of one; case and accents do not
        matter.
        """
        return await search_all(self._talking, text, count, None)

    async def create(self) -> Conversation:
        """Begin a group; invite people into it."""
        return await self._create(Mode.INVITES_ONLY, None)

    async def create_one_to_one(self, account: AccountId | str) -> Conversation:
        """Begin a conversation of two. Contacts get one by `contacts.add`."""
        return await self._create(Mode.ONE_TO_ONE, account_of(account))

    async def accept(self, identifier: ConversationId | str) -> Conversation:
        """Accept an invitation: fetch the conversation, and join.

        Raises:
            NoSuchConversationError: nobody invited us to it.
            CloneFailedError: nobody who has it is online; it is tried again when they are.
        """
        name = ConversationId.from_hex(identifier) if isinstance(identifier, str) else identifier
        engine = self._talking.engine
        await self._talking.ask(lambda op, now: engine.accept(op, name, now))
        return Conversation(self._talking, name)

    async def decline(self, identifier: ConversationId | str) -> None:
        """Decline an invitation.

        Raises:
            NoSuchConversationError: nobody invited us to it.
        """
        name = ConversationId.from_hex(identifier) if isinstance(identifier, str) else identifier
        engine = self._talking.engine
        await self._talking.ask(lambda op, now: engine.decline(op, name, now))

    async def _create(self, mode: Mode, other: AccountId | None) -> Conversation:
        engine = self._talking.engine
        identifier = await self._talking.ask(
            lambda op, now: engine.create(op, now, mode=mode, other=other)
        )
        return Conversation(self._talking, identifier)
