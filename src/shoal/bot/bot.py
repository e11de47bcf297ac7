"""`Bot`: what a bot does, as decorated functions, and how it is run."""

from __future__ import annotations

import asyncio
import inspect
import logging
import re
import signal
import sys
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeAlias, TypeVar

from shoal.bot.clock import Clock
from shoal.bot.commands import Command, split_command
from shoal.bot.errors import BotNotRunningError, HandlerError, Refusal
from shoal.bot.filters import Filter, anything
from shoal.bot.message import Chat, Message, task_name
from shoal.bot.policy import everyone
from shoal.bot.work import BotWork
from shoal.core.records import dataclass
from shoal.node import home_path
from shoal.swarm import Edit, FileOffer, MemberAction, MemberEvent, Text

if TYPE_CHECKING:
    import os
    from collections.abc import AsyncIterator, Awaitable, Callable

    from shoal.bot.policy import Policy
    from shoal.core import ConversationId
    from shoal.node import Account, Node, NodeConfig

_log = logging.getLogger(__name__)

Handler: TypeAlias = "Callable[[Message], Awaitable[None]]"
AnyHandler: TypeAlias = "Callable[..., Awaitable[None]]"
H = TypeVar("H", bound="Callable[..., Awaitable[None]]")

PREFIX: Final = "/"
CONCURRENCY: Final = 8  # ours: conversations whose handlers run at once
HANDLER_SECONDS: Final = 600.0  # ours: a handler that takes longer hangs
BOTS_FOLDER: Final = "bots"  # of the home
BOT_FOLDER: Final = "bot"  # of the account
DATABASE: Final = "bot.sqlite"


@dataclass(frozen=True, slots=True)
class Interval:
    """A handler that runs every so often."""

    name: str
    seconds: float
    handler: Callable[[], Awaitable[None]]


class Bot:
    """A bot: functions that are called when something is said.

    Attributes:
        name: what people see, and the name of its home.
        commands: by their names.
        intervals: what runs every so often.
        starters: what runs when the bot begins to work.
        stoppers: what runs when it ends.
    """

    def __init__(
        self,
        name: str,
        *,
        home: str | os.PathLike[str] | None = None,
        config: NodeConfig | None = None,
        accepts: Policy = everyone,
        tells_errors: bool = True,
        concurrency: int = CONCURRENCY,
        handler_seconds: float = HANDLER_SECONDS,
        prefix: str = PREFIX,
    ) -> None:
        """Describe it; decorators add what it does, and `run` runs it.

        Args:
            name: what people see.
            home: where its account and its state are; by default a folder of its own, below that
                of the user's node.
            config: settings of its node; by default config.toml of its home.
            accepts: whose requests and invitations are accepted.
            tells_errors: say in the conversation when a handler failed.
            concurrency: in how many conversations handlers may run at once. Within one
                conversation they run one after the other, in its order.
            handler_seconds: how long a handler may take.
            prefix: what commands begin with.
        """
        self.name = name
        self.accepts = accepts
        self.tells_errors = tells_errors
        self.concurrency = concurrency
        self.handler_seconds = handler_seconds
        self.prefix = prefix
        self.commands: dict[str, Command] = {}
        self.intervals: list[Interval] = []
        self.starters: list[Callable[[], Awaitable[None]]] = []
        self.stoppers: list[Callable[[], Awaitable[None]]] = []
        self._home = home
        self._config = config
        self._texts: list[tuple[Filter, Handler]] = []
        self._files: list[tuple[Filter, Handler]] = []
        self._edits: list[tuple[Filter, Handler]] = []
        self._reactions: list[tuple[Filter, Handler]] = []
        self._members: list[tuple[frozenset[MemberAction], Handler]] = []
        self._tasks: dict[str, AnyHandler] = {}
        self._work: BotWork | None = None

    # What it does

    def command(self, name: str = "", *, summary: str = "") -> Callable[[H], H]:
        """Call the function for `/name WORDS…`; see `shoal.bot.commands` for its parameters.

        Raises:
            HandlerError: it has parameters that no words can be given to, or the name is taken.
        """

        def register(handler: H) -> H:
            called = (name or getattr(handler, "__name__", "")).lower()
            if called in self.commands:
                raise HandlerError(f"there is a command {called} already")
            self.commands[called] = Command.of(handler, called, summary)
            return handler

        return register

    def on_message(self, where: Filter = anything) -> Callable[[H], H]:
        """Call the function for texts that no command takes; of several the first that fits."""
        return self._registrar(self._texts, where)

    def on_file(self, where: Filter = anything) -> Callable[[H], H]:
        """Call the function when somebody offers a file."""
        return self._registrar(self._files, where)

    def on_edit(self, where: Filter = anything) -> Callable[[H], H]:
        """Call the function when somebody edits or deletes a message."""
        return self._registrar(self._edits, where)

    def on_reaction(self, where: Filter = anything) -> Callable[[H], H]:
        """Call the function when somebody reacts to a message."""
        return self._registrar(self._reactions, where)

    def on_member(self, *actions: MemberAction) -> Callable[[H], H]:
        """Call the function when somebody is added, joins, leaves or is banned; or for some."""

        def register(handler: H) -> H:
            _check_takes(handler, 1, "the message")
            self._members.append((frozenset(actions or MemberAction), handler))
            return handler

        return register

    def task(self, name: str = "") -> Callable[[H], H]:
        """Make the function one that `later` can schedule: it is given the chat and what was kept.

        Raises:
            HandlerError: the name is taken.
        """

        def register(handler: H) -> H:
            called = name or getattr(handler, "__name__", "")
            if called in self._tasks:
                raise HandlerError(f"there is a task {called} already")
            self._tasks[called] = handler
            # `later` finds the name at the function that it is given; its type has no such thing.
            handler.__shoal_task__ = called  # type: ignore[attr-defined]  # a mark
            return handler

        return register

    def every(self, seconds: float, name: str = "") -> Callable[[H], H]:
        """Call the function, without arguments, every so many seconds, across restarts."""

        def register(handler: H) -> H:
            called = name or getattr(handler, "__name__", "")
            self.intervals.append(Interval(called, seconds, handler))
            return handler

        return register

    def on_start(self) -> Callable[[H], H]:
        """Call the function, without arguments, when the bot begins to work."""

        def register(handler: H) -> H:
            self.starters.append(handler)
            return handler

        return register

    def on_stop(self) -> Callable[[H], H]:
        """Call the function, without arguments, when the bot ends."""

        def register(handler: H) -> H:
            self.stoppers.append(handler)
            return handler

        return register

    # While it works

    @property
    def account(self) -> Account:
        """Its account.

        Raises:
            BotNotRunningError: it does not run.
        """
        return self._running.account

    @property
    def folder(self) -> Path:
        """Where its database is, and whatever else it keeps.

        Raises:
            BotNotRunningError: it does not run.
        """
        return self._running.folder

    def conversations(self) -> tuple[ConversationId, ...]:
        """Return the conversations that it is in.

        Raises:
            BotNotRunningError: it does not run.
        """
        return tuple(each.id for each in self.account.conversations.list())

    async def later(
        self, conversation: ConversationId, seconds: float, task: AnyHandler, **payload: Any
    ) -> None:
        """Let a `task` handler run in a conversation: the way in for what happens elsewhere.

        Raises:
            BotNotRunningError: it does not run.
        """
        await self._running.schedule(conversation, seconds, task_name(task), payload)

    # How it is run

    def run(self) -> None:
        """Run it until Ctrl-C or SIGTERM. The first time it makes its account and tells where."""
        logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", stream=sys.stderr)
        with suppress(KeyboardInterrupt):
            asyncio.run(self.serve())

    async def serve(self) -> None:
        """Run it, on a node of its own, until the task is cancelled or SIGTERM arrives."""
        loop, task = asyncio.get_running_loop(), asyncio.current_task()
        assert task is not None, "a coroutine runs in a task"
        is_terminated = False

        def terminate() -> None:
            nonlocal is_terminated
            is_terminated = True
            task.cancel()

        loop.add_signal_handler(signal.SIGTERM, terminate)
        try:
            async with self.open_node() as node, self.at_work(await self._account(node)):
                introduce(self.name, f"jami:{self.account.id}", node.home)
                await loop.create_future()
        except asyncio.CancelledError:
            if not is_terminated:
                raise
        finally:
            loop.remove_signal_handler(signal.SIGTERM)

    @asynccontextmanager
    async def at_work(
        self, account: Account, *, folder: Path | None = None, clock: Clock | None = None
    ) -> AsyncIterator[Bot]:
        """Let it work for an account of a node that runs already, as long as the context lasts.

        Args:
            account: who it is.
            folder: where its database is; by default a folder of the account's.
            clock: that of its schedules.

        Raises:
            BotStoreError: its database cannot be opened.
        """
        if self._work is not None:
            raise HandlerError("the bot works already")
        path = (folder or account.vault.folder.path / BOT_FOLDER) / DATABASE
        async with AsyncExitStack() as stack:
            self._work = work = BotWork(self, account, path, clock or Clock())
            stack.callback(self._ended)
            stack.push_async_callback(work.close)
            await work.open()
            for stopper in self.stoppers:
                stack.push_async_callback(stopper)
            for starter in self.starters:
                await starter()
            work.start()
            yield self

    @asynccontextmanager
    async def open_node(self) -> AsyncIterator[Node]:
        """Open the node of its own home.

        Raises:
            HomeTakenError: it runs already.
        """
        from shoal.node import Node  # noqa: PLC0415 - heavy, and not needed to describe a bot

        async with Node(self.home, config=self._config) as node:
            yield node

    @property
    def home(self) -> Path:
        """The folder of its account and its state."""
        if self._home is not None:
            return Path(self._home).expanduser()
        slug = re.sub(r"\W+", "-", self.name.lower()).strip("-") or "bot"
        return home_path() / BOTS_FOLDER / slug

    # For `BotWork`

    async def handle(self, message: Message) -> None:
        """Find who takes a message, and let them."""
        match message.content:
            case Text(react_to=None):
                await self._handle_text(message)
            case Text():
                await _first(self._reactions, message)
            case Edit():
                await _first(self._edits, message)
            case FileOffer() if message.content.transfer_id:
                await _first(self._files, message)
            case MemberEvent(action):
                for actions, handler in self._members:
                    if action in actions:
                        await handler(message)
                        return
            case _:
                return

    async def handle_task(self, chat: Chat, name: str, payload: dict[str, Any]) -> None:
        """Do what was to be done later."""
        handler = self._tasks.get(name)
        if handler is None:
            _log.warning("! nobody takes the task %s any more", name)
            return
        await handler(chat, **payload)

    async def _handle_text(self, message: Message) -> None:
        found = split_command(message.text, self.prefix) if self.commands else None
        if found is not None:
            name, rest = found
            command = self.commands.get(name)
            if command is not None:
                await command.handler(message, *command.read(rest))
                return
            if name == "help":
                await message.reply(self._help())
                return
        if await _first(self._texts, message) or found is None or message.is_group:
            return  # in a group it may be meant for another bot
        raise Refusal(f"I do not know {self.prefix}{found[0]}. {self.prefix}help tells what I do.")

    def _help(self) -> str:
        lines = [f"{self.prefix}{each.usage}  {each.summary}" for each in self.commands.values()]
        return "\n".join(line.rstrip() for line in lines)

    # Inside

    @property
    def _running(self) -> BotWork:
        if self._work is None:
            raise BotNotRunningError
        return self._work

    def _ended(self) -> None:
        self._work = None

    async def _account(self, node: Node) -> Account:
        """Return its account, made if need be."""
        accounts = list(node.accounts)
        named = [each for each in accounts if each.name == self.name]
        if named or accounts:
            return (named or accounts)[0]
        _tell(f"{self.name} is new: its keys are being made, which takes some seconds.")
        return await node.accounts.create(self.name)

    @staticmethod
    def _registrar(handlers: list[tuple[Filter, Handler]], where: Filter) -> Callable[[H], H]:
        def register(handler: H) -> H:
            _check_takes(handler, 1, "the message")
            handlers.append((where, handler))
            return handler

        return register


def introduce(name: str, link: str, home: Path) -> None:
    """Tell whoever started a bot where it can be found; in a terminal by a QR code, too."""
    _tell(f"{name} is at {link}")
    if sys.stdout.isatty():
        import segno  # noqa: PLC0415 - only where there is a terminal to draw it on

        segno.make(link, error="m", micro=False).terminal(out=sys.stdout, compact=True)
    _tell(f"It lives in {home}. Ctrl-C ends it.")


async def _first(handlers: list[tuple[Filter, Handler]], message: Message) -> bool:
    """Call the first handler that a message fits; return whether there was one."""
    for where, handler in handlers:
        if where(message):
            await handler(message)
            return True
    return False


def _check_takes(handler: AnyHandler, count: int, what: str) -> None:
    """See that a handler can be called with as many arguments.

    Raises:
        HandlerError: it cannot.
    """
    if not inspect.iscoroutinefunction(handler):
        raise HandlerError(f"{handler!r} is no coroutine: write `async def`")
    try:
        inspect.signature(handler).bind(*range(count))
    except TypeError as error:
        raise HandlerError(f"{handler!r} is given {what}: {error}") from error


def _tell(line: str) -> None:
    """Tell who started the bot, at once, also through a pipe."""
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()
