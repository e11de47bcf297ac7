"""A bot at work: what happens in the account becomes calls of handlers, in order, none lost.

events ──► conversations to look at ──► news() ──► inbox in the database ──► a worker per
                                                                              conversation
tasks that are due ───────────────────────────────────────────────────────────► the same

Whatever events say, what is to be handled is what the history has beyond the cursor; so events that
are missed, or come while the bot is not running, cost nothing. A worker takes jobs off the database
one after the other, and ends when there are none: memory holds one job per conversation at work.
"""

from __future__ import annotations

import asyncio
import inspect
import logging
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TYPE_CHECKING, Any, Final, TypeVar

from shoal.bot.errors import Refusal
from shoal.bot.message import Chat, Message
from shoal.bot.store import Arrival, BotStore, DueTask, NewTask, Outcome
from shoal.core import ConversationId, ShoalError
from shoal.node import (
    ContactChanged,
    Lagged,
    MessageEdited,
    MessageReacted,
    MessageTaken,
    MessageUnreacted,
    RequestReceived,
)
from shoal.node.driver.tasks import TaskSet
from shoal.swarm import MemberAction, MemberEvent, Mode, Text
from shoal.swarm.effects import ConversationGone, ConversationReady, RequestArrived
from shoal.swarm.errors import NoSuchConversationError, SwarmError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from shoal.bot.bot import Bot, Interval
    from shoal.bot.clock import Clock
    from shoal.core import AccountId
    from shoal.node import Account, AccountEvents
    from shoal.node.driver.conversations import Conversation
    from shoal.node.driver.conversations import Message as Said

_log = logging.getLogger(__name__)

T = TypeVar("T")

CLOSING: Final = 5.0  # seconds that handlers have to come to their end; ours
ATTEMPTS_MAX: Final = 3  # ours: a message that thrice took the process with it is left out
WENT_WRONG: Final = "Something went wrong. Whoever runs this bot finds it in its log."


class BotWork:
    """One bot, working for one account."""

    def __init__(self, bot: Bot, account: Account, path: Path, clock: Clock) -> None:
        self.account = account
        self.folder = path.parent
        self.handled = 0
        self.failed = 0
        self._bot = bot
        self._path = path
        self._clock = clock
        self._alarm = clock.alarm()
        self._tasks = TaskSet()
        self._handling = TaskSet()
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="shoal-bot")
        self._slots = asyncio.Semaphore(bot.concurrency)
        self._workers: set[ConversationId] = set()
        self._poked: set[ConversationId] = set()  # there may be more to do in them
        self._looking: set[ConversationId] = set()
        self._to_look_at: dict[ConversationId, None] = {}
        self._answering: set[object] = set()
        self._is_closing = False
        self._store: BotStore

    # Life

    async def open(self) -> None:
        """Open the database.

        Raises:
            BotStoreError: it cannot be opened.
        """
        self._store = await self._ask(lambda: BotStore(self._path))

    def start(self) -> None:
        """Take up what was left, and follow the account."""
        self._tasks.start(self._follow(self.account.events()))
        self._tasks.start(self._keep_time())
        for interval in self._bot.intervals:
            self._tasks.start(self._repeat(interval))
        self._look_everywhere()

    async def close(self) -> None:
        """Let handlers that run come to their end for a moment, and let go."""
        self._is_closing = True
        await self._tasks.close()
        await self._handling.close(patience=CLOSING)
        if hasattr(self, "_store"):
            await self._ask(self._store.close)
        self._thread.shutdown()

    async def schedule(
        self, conversation: ConversationId, seconds: float, name: str, payload: dict[str, Any]
    ) -> None:
        """Let a task be done later."""
        task = NewTask(name, self._clock.wall_now() + seconds, payload)
        await self._ask(lambda: self._store.add_task(conversation, task))
        self._alarm.ring()

    # What happens

    async def _follow(self, subscription: AccountEvents) -> None:
        with subscription as events:
            async for event in events:
                match event:
                    case (
                        MessageTaken()
                        | MessageEdited()
                        | MessageReacted()
                        | MessageUnreacted()
                        | ConversationReady()
                    ):
                        self._look_at(event.conversation)
                    case RequestReceived() | RequestArrived() | ContactChanged():
                        self._answer_requests()
                    case ConversationGone(conversation):
                        await self._ask(partial(self._store.forget, conversation))
                    case Lagged():
                        self._look_everywhere()
                    case _:
                        pass

    def _look_everywhere(self) -> None:
        self._answer_requests()
        for conversation in self.account.conversations.list():
            self._look_at(conversation.id)
        self._alarm.ring()

    # Requests

    def _answer_requests(self) -> None:
        for request in self.account.contacts.requests():
            if request.id not in self._answering:
                self._answering.add(request.id)
                self._tasks.start(self._answer_contact(request.id))
        for invitation in self.account.conversations.requests():
            key = invitation.conversation
            if not invitation.declined_ms and key not in self._answering:
                self._answering.add(key)
                self._tasks.start(self._answer_invitation(key, invitation.sender))

    async def _answer_contact(self, sender: AccountId) -> None:
        try:
            if await self._accepts(sender):
                _log.info("+ %s is a contact", sender)
                await self.account.contacts.accept(sender)
            else:
                _log.info("- %s is declined", sender)
                await self.account.contacts.decline(sender)
        finally:
            self._answering.discard(sender)

    async def _answer_invitation(self, conversation: ConversationId, sender: AccountId) -> None:
        try:
            if await self._accepts(sender):
                _log.info("+ invited to %s by %s", conversation, sender)
                await self.account.conversations.accept(conversation)
            else:
                _log.info("- invitation of %s is declined", sender)
                await self.account.conversations.decline(conversation)
        finally:
            self._answering.discard(conversation)

    async def _accepts(self, sender: AccountId) -> bool:
        answer: object = self._bot.accepts(sender)
        return bool(await answer if inspect.isawaitable(answer) else answer)

    # From histories to the inbox

    def _look_at(self, conversation: ConversationId) -> None:
        self._to_look_at[conversation] = None
        if conversation not in self._looking and not self._is_closing:
            self._looking.add(conversation)
            self._tasks.start(self._look(conversation))

    async def _look(self, identifier: ConversationId) -> None:
        try:
            while identifier in self._to_look_at:
                del self._to_look_at[identifier]
                conversation = self.account.conversations[identifier]
                if not conversation.is_ready:
                    return  # an event tells when it is
                known = await self._ask(lambda: self._store.known(identifier))
                news = await conversation.news(known or ())
                messages: Sequence[Said] = news.messages
                if known is None:
                    messages = await asyncio.to_thread(self._after_us, conversation, messages)
                fresh = [each.id for each in messages if self._is_for_us(each)]
                await self._ask(partial(self._store.queue, identifier, fresh, news.known))
        except NoSuchConversationError:
            return
        finally:
            self._looking.discard(identifier)
        self._begin(identifier)

    def _after_us(self, conversation: Conversation, messages: Sequence[Said]) -> Sequence[Said]:
        """Return what is new to a bot that remembers nothing of a conversation.

        What came after the last words of its account: those before were answered, or another bot's.
        In a talk of two with no such words that is everything, as people write before they are
        accepted; in a group what came since it joined.
        """
        is_group = conversation.mode is not Mode.ONE_TO_ONE
        for index in range(len(messages) - 1, -1, -1):
            said = messages[index]
            if said.author == self.account.id and (is_group or isinstance(said.content, Text)):
                return messages[index + 1 :]
        return messages

    def _is_for_us(self, said: Said) -> bool:
        """Whether a message may have a handler: our own ones, and unproved ones, have none."""
        if isinstance(said.content, MemberEvent) and said.content.action is MemberAction.JOIN:
            return said.content.account != self.account.id and said.is_verified
        return said.author != self.account.id and said.is_verified

    # From the inbox to handlers

    def _begin(self, conversation: ConversationId) -> None:
        self._poked.add(conversation)
        if conversation not in self._workers and not self._is_closing:
            self._workers.add(conversation)
            self._handling.start(self._work(conversation))

    async def _work(self, identifier: ConversationId) -> None:
        try:
            while not self._is_closing:
                self._poked.discard(identifier)
                now = self._clock.wall_now()
                job = await self._ask(partial(self._store.next, identifier, now))
                if job is None:
                    if identifier in self._poked:
                        continue
                    return
                try:
                    async with self._slots:
                        outcome = await self._do(job)
                except asyncio.CancelledError:
                    self._thread.submit(self._store.give_back, job)  # before it is closed
                    raise
                await self._ask(partial(self._store.finish, job, outcome))
                if outcome.tasks:
                    self._alarm.ring()
        finally:
            self._workers.discard(identifier)

    async def _do(self, job: Arrival | DueTask) -> Outcome:
        """Call the handler of a job; return what it leaves, which is nothing if it failed."""
        if job.attempts > ATTEMPTS_MAX:
            _log.error("! %r was begun %d times and never ended: left out", job, ATTEMPTS_MAX)
            return Outcome()
        try:
            chat = await self._chat_of(job)
        except SwarmError as error:
            _log.warning("! %s: %s", job, error)
            return Outcome()
        try:
            async with asyncio.timeout(self._bot.handler_seconds):
                if isinstance(chat, Message):
                    await self._bot.handle(chat)
                else:
                    assert isinstance(job, DueTask), "it has no message"
                    await self._bot.handle_task(chat, job.name, dict(job.payload))
        except Refusal as refusal:
            await self._tell(chat, str(refusal))
            return Outcome()
        except Exception:  # noqa: BLE001 - one handler's mistake is not the end of the others
            self.failed += 1
            _log.exception("! a handler failed in %s", job.conversation)
            if self._bot.tells_errors:
                await self._tell(chat, WENT_WRONG)
            return Outcome()
        self.handled += 1
        return chat.outcome

    async def _chat_of(self, job: Arrival | DueTask) -> Chat:
        conversation = self.account.conversations[job.conversation]
        values = await self._ask(lambda: self._store.state(job.conversation))
        wall_now = self._clock.wall_now
        if isinstance(job, DueTask):
            return Chat(self.account, conversation, values, wall_now)
        said = await conversation.message(job.message)
        replies = await self._replies(conversation, said) if job.attempts > 1 else []
        return Message(self.account, conversation, values, wall_now, said, replies)

    async def _replies(self, conversation: Conversation, said: Said) -> list[Said]:
        """Return our answers to a message whose handler was interrupted."""
        news = await conversation.news((said.id,))
        return [
            each
            for each in news.messages
            if each.author == self.account.id
            and isinstance(each.content, Text)
            and each.content.reply_to == said.id
        ]

    async def _tell(self, chat: Chat, text: str) -> None:
        try:
            await (chat.reply(text) if isinstance(chat, Message) else chat.say(text))
        except ShoalError as error:
            _log.warning("! %s was not told: %s", chat.id, error)

    # Time

    async def _keep_time(self) -> None:
        """Wake the workers of conversations in which something is due."""
        while True:
            now = self._clock.wall_now()
            for conversation in await self._ask(partial(self._store.waiting, now)):
                self._begin(conversation)
            due = await self._ask(partial(self._store.next_due, now))
            await self._alarm.wait_until(due)

    async def _repeat(self, interval: Interval) -> None:
        alarm = self._clock.alarm()
        last = await self._ask(lambda: self._store.wall_last(interval.name))
        while True:
            now = self._clock.wall_now()
            due = now if last is None else last + interval.seconds
            if due > now:
                await alarm.wait_until(due)
                continue
            try:
                async with asyncio.timeout(self._bot.handler_seconds):
                    await interval.handler()
            except Exception:  # noqa: BLE001 - the next time it may do better
                self.failed += 1
                _log.exception("! %s failed", interval.name)
            last = self._clock.wall_now()
            await self._ask(partial(self._store.ran, interval.name, last))

    # The database's thread

    async def _ask(self, job: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._thread, job)
