"""What handlers are given: a conversation to talk in, and the message that was said there."""

from __future__ import annotations

from collections.abc import MutableMapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from shoal.bot.errors import HandlerError
from shoal.bot.store import NewTask, Outcome, packed
from shoal.swarm import Edit, FileOffer, MemberEvent, Mode, Role, Text

if TYPE_CHECKING:
    import os
    from collections.abc import Awaitable, Callable, Iterator

    from shoal.core import AccountId, CommitId, ConversationId
    from shoal.node import Account
    from shoal.node.driver.conversations import Conversation
    from shoal.node.driver.conversations import Message as Said
    from shoal.swarm import Content


class State(MutableMapping[str, Any]):
    """What a bot keeps for one conversation: JSON values by name, in its database.

    Changes are kept when the handler returns, together with the fact that it has: either both or
    neither survive. A handler that raises leaves no changes. To change a list or dict within,
    set it again.
    """

    def __init__(self, values: dict[str, Any], outcome: Outcome) -> None:
        self._values = values
        self._outcome = outcome

    def __getitem__(self, key: str) -> Any:
        return self._values[key]

    def __setitem__(self, key: str, value: Any) -> None:
        packed(key, value)
        self._values[key] = value
        self._outcome.changed[key] = value
        self._outcome.removed.discard(key)

    def __delitem__(self, key: str) -> None:
        del self._values[key]
        self._outcome.changed.pop(key, None)
        self._outcome.removed.add(key)

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)


class Chat:
    """A conversation that the bot is in, while one handler runs.

    Attributes:
        conversation: the conversation itself, with all that it can do.
        account: the bot's account.
        state: what the bot keeps for this conversation.
        outcome: what the handler leaves so far.
    """

    def __init__(
        self,
        account: Account,
        conversation: Conversation,
        values: dict[str, Any],
        wall_now: Callable[[], float],
    ) -> None:
        self.account = account
        self.conversation = conversation
        self.outcome = Outcome()
        self._wall_now = wall_now
        self.state = State(values, self.outcome)

    @property
    def id(self) -> ConversationId:
        """The conversation's id."""
        return self.conversation.id

    @property
    def is_group(self) -> bool:
        """Whether it is more than a talk of two."""
        return self.conversation.mode is not Mode.ONE_TO_ONE

    @property
    def members(self) -> dict[AccountId, Role]:
        """Everybody and their roles, the bot included."""
        return self.conversation.members

    @property
    def is_admin(self) -> bool:
        """Whether the bot may ban."""
        return self.members.get(self.account.id) is Role.ADMIN

    async def say(self, text: str) -> Said:
        """Say something.

        Raises:
            SwarmError: it cannot be said.
        """
        return await self.conversation.send(text)

    async def send_file(self, path: str | os.PathLike[str]) -> Said:
        """Offer a file. It is read when somebody fetches it, so it has to stay.

        Raises:
            TransferError: it is not there, or cannot be read.
            SwarmError: nothing can be said here.
        """
        return await self.conversation.send_file(path)

    def later(self, seconds: float, task: Callable[..., Awaitable[None]], **payload: Any) -> None:
        """Let a `task` handler run in this conversation after some time, across restarts.

        It is given *payload*, which must be JSON. It is scheduled when the handler returns.

        Raises:
            HandlerError: *task* was not made one by `bot.task`.
            BotStoreError: *payload* is no JSON.
        """
        packed("the payload", payload)
        wall_due = self._wall_now() + seconds
        self.outcome.tasks.append(NewTask(task_name(task), wall_due, payload))

    def cancel(self, task: Callable[..., Awaitable[None]]) -> None:
        """Forget what was scheduled in this conversation for a `task` handler."""
        name = task_name(task)
        self.outcome.cancelled.add(name)
        self.outcome.tasks = [each for each in self.outcome.tasks if each.name != name]


class Message(Chat):
    """Something that was said, in the conversation where it was said.

    Attributes:
        said: the message as the node has it.
    """

    def __init__(
        self,
        account: Account,
        conversation: Conversation,
        values: dict[str, Any],
        wall_now: Callable[[], float],
        said: Said,
        replies: list[Said] | None = None,
    ) -> None:
        super().__init__(account, conversation, values, wall_now)
        self.said = said
        self._replies = replies or []

    @property
    def message_id(self) -> CommitId:
        """The message's id."""
        return self.said.id

    @property
    def author(self) -> AccountId:
        """Who said it."""
        return self.said.author

    @property
    def wall_time(self) -> int:
        """Seconds since 1970, by the author's clock."""
        return self.said.wall_time

    @property
    def content(self) -> Content:
        """What it is."""
        return self.said.content

    @property
    def text(self) -> str:
        """What it says: the text, the new text of an edit, the emoji of a reaction, or ""."""
        return self.content.body if isinstance(self.content, Text | Edit) else ""

    @property
    def reply_to(self) -> CommitId | None:
        """Which message it replies to."""
        return self.content.reply_to if isinstance(self.content, Text | FileOffer) else None

    @property
    def subject(self) -> CommitId | None:
        """Which message it edits or reacts to."""
        match self.content:
            case Edit(edited):
                return edited
            case Text(_, _, react_to):
                return react_to
            case _:
                return None

    @property
    def file(self) -> FileOffer | None:
        """The file that it offers."""
        return self.content if isinstance(self.content, FileOffer) else None

    @property
    def member(self) -> MemberEvent | None:
        """Who was added, joined, left or was banned."""
        return self.content if isinstance(self.content, MemberEvent) else None

    async def reply(self, text: str) -> Said:
        """Answer it. If the bot crashed after it answered, the answer is not given twice.

        Raises:
            SwarmError: it cannot be said.
        """
        for index, said in enumerate(self._replies):
            if isinstance(said.content, Text) and said.content.body == text:
                return self._replies.pop(index)
        return await self.conversation.send(text, reply_to=self.message_id)

    async def download(self, folder: str | os.PathLike[str]) -> Path:
        """Fetch the file that it offers into *folder*, from whoever has it; return where it is.

        Names of files are those that people chose, made safe, and never those of files that are
        there already.

        Raises:
            TransferError: it offers none, or it cannot be fetched.
            TimeoutError: nobody has offered it for as long as handlers may take.
        """
        transfers = self.account.transfers
        begun = await transfers.download(self.id, self.message_id, folder=folder)
        done = begun if begun.is_over else await transfers.wait(self.message_id)
        assert done.path is not None, "it is here"
        return Path(done.path)

    async def react(self, emoji: str) -> Said:
        """React to it.

        Raises:
            SwarmError: it cannot be said.
        """
        return await self.conversation.react(self.message_id, emoji)

    async def unreact(self, emoji: str) -> None:
        """Take the bot's reaction to it back.

        Raises:
            NotReactedError: there is none like this.
            SwarmError: it cannot be said.
        """
        await self.conversation.unreact(self.message_id, emoji)


def task_name(task: Callable[..., Awaitable[None]]) -> str:
    """Return the name under which a handler was registered.

    Raises:
        HandlerError: it was not.
    """
    name = getattr(task, "__shoal_task__", None)
    if not isinstance(name, str):
        raise HandlerError(f"{task!r} is no task: decorate it with @bot.task()")
    return name
