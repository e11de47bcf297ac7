"""`Lab`: DHT, names, people and a bot, in one process, on loopback.

One process rather than many: it is one thing to stop, nothing outlives it, whatever happens, and an
idle node costs next to nothing. Nodes share nothing but the event loop: each has its home, its
sockets, its keys, and what they say to each other goes over TCP and UDP as it does elsewhere.
"""

from __future__ import annotations

import asyncio
import logging
import time
from contextlib import AsyncExitStack
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from shoal.bot import Bot, Message
from shoal.dht import DhtNode
from shoal.lab.config import BOOTSTRAP_NODES, PEOPLE_MAX, LabConfig
from shoal.lab.errors import PeopleError
from shoal.lab.folder import lab_folder
from shoal.lab.people import Person, Place, until
from shoal.node import LOOPBACK, draw_network
from shoal.swarm import Text

if TYPE_CHECKING:
    from collections.abc import Coroutine, Iterable
    from pathlib import Path
    from types import TracebackType
    from typing import Self

    from shoal.node.driver.conversations import Conversation

BOT_NAME: Final = "Echo"
GREETING: Final = "Hello! This is the first message of this lab."
POLL: Final = 0.05  # seconds between two looks at the embedded chain, which needs no time; ours
NAME_MAX: Final = 32  # Jami's name server: a registered name has 3 to 32 characters
NAME_MIN: Final = 3
_log = logging.getLogger(__name__)


class Lab:
    """A whole network, as an async context manager.

    Attributes:
        people: those who were asked for.
        bot: the echo bot, if there is one.
        bootstrap: `HOST:PORT` of each bootstrap node.
        network: the DHT network's id, drawn for this lab.
        name_server: its URL, or "".
        seconds: from the beginning until the first message was read.
        message_seconds: how long that message took.
    """

    def __init__(self, config: LabConfig | None = None) -> None:
        """Describe it; `async with` opens it.

        Raises:
            PeopleError: the people have no names that can be registered, or are too many.
        """
        self.config = config or LabConfig()
        check_people(self.config)
        self.people: list[Person] = []
        self.bot: Person | None = None
        self.bootstrap: tuple[str, ...] = ()
        self.network = draw_network()
        self.name_server = ""
        self.seconds = 0.0
        self.message_seconds = 0.0
        self._stack: AsyncExitStack | None = None

    async def __aenter__(self) -> Self:
        began = time.monotonic()
        async with AsyncExitStack() as stack:
            folder = stack.enter_context(lab_folder(self.config.folder))
            await self._open_dht(stack)
            if self.config.has_names:
                await self._open_names(stack, folder)
            await self._open_people(stack, folder)
            self.message_seconds = await self._first_message()
            self.seconds = time.monotonic() - began
            self._stack = stack.pop_all()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        stack, self._stack = self._stack, None
        if stack is not None:
            await stack.aclose()

    @property
    def everybody(self) -> list[Person]:
        """People and bot."""
        return [*self.people, *([self.bot] if self.bot is not None else [])]

    # Inside

    async def _open_dht(self, stack: AsyncExitStack) -> None:
        for _ in range(BOOTSTRAP_NODES):
            node = DhtNode(bootstrap=self.bootstrap, network=self.network, bind=[LOOPBACK])
            await stack.enter_async_context(node)
            self.bootstrap = (*self.bootstrap, f"{LOOPBACK}:{node.port}")

    async def _open_names(self, stack: AsyncExitStack, folder: Path) -> None:
        try:
            from shoal.chain.config import EMBEDDED_CONFIG  # noqa: PLC0415 - optional packages
            from shoal.names import NameServerConfig, NameServerLimits  # noqa: PLC0415 - same
            from shoal.names.driver.opening import open_name_server  # noqa: PLC0415 - same

            opening = open_name_server(
                folder / "names",
                NameServerConfig(
                    port=0, limits=NameServerLimits(registrations_burst=2 * PEOPLE_MAX)
                ),
                transactions=replace(EMBEDDED_CONFIG, poll_interval=POLL, retry_interval=POLL),
            )
            server = await stack.enter_async_context(opening)
        except ModuleNotFoundError as error:
            _log.warning("! no names: they need %s: pip install 'shoal[names]'", error.name)
        else:
            self.name_server = server.url

    async def _open_people(self, stack: AsyncExitStack, folder: Path) -> None:
        place = Place(self.bootstrap, self.network, self.name_server, self.config.patience)
        self.people = [Person(name, folder / name.lower(), place) for name in self.config.people]
        if self.config.has_bot:
            self.bot = Person(BOT_NAME, folder / BOT_NAME.lower(), place)
        stack.push_async_callback(self._close_people)
        has_pages = self.config.has_pages
        await together(
            each.open(has_page=has_pages and each is not self.bot) for each in self.everybody
        )
        if self.bot is not None:
            await stack.enter_async_context(echo_bot().at_work(self.bot.account))
        if self.name_server:
            await together(person.register() for person in self.everybody)
        await together(
            person.meet(other)
            for index, person in enumerate(self.people)
            for other in self.everybody[index + 1 :]
        )

    async def _close_people(self) -> None:
        await together(person.close() for person in self.everybody)

    async def _first_message(self) -> float:
        """Let the first person greet the second, or the bot; return how long it took."""
        if len(self.everybody) < 2:  # noqa: PLR2004 - it takes two
            return 0.0
        author, reader = self.everybody[:2]
        ours, theirs = await author.joined(reader), await reader.joined(author)
        began = time.monotonic()
        said = await ours.send(GREETING)
        seen: set[object] = set()

        async def look(conversation: Conversation) -> None:
            seen.update(each.id for each in await conversation.messages(20))

        end = began + self.config.patience
        while said.id not in seen and time.monotonic() < end:
            await look(theirs)
            await asyncio.sleep(POLL / 5)
        await until(lambda: said.id in seen, "the first message", 0)
        return time.monotonic() - began


async def together(work: Iterable[Coroutine[object, object, object]]) -> None:
    """Do things at once; of several failures, raise the first."""
    try:
        async with asyncio.TaskGroup() as group:
            for each in work:
                group.create_task(each)
    except BaseExceptionGroup as failures:
        raise failures.exceptions[0] from None


def echo_bot() -> Bot:
    """Return the bot that everybody in a lab can talk to."""
    bot = Bot(BOT_NAME)

    @bot.on_message()
    async def echo(message: Message) -> None:
        if isinstance(message.content, Text):
            await message.reply(message.text)

    return bot


def check_people(config: LabConfig) -> None:
    """See that people can be told apart, and registered.

    Raises:
        PeopleError: they cannot.
    """
    names = [name.lower() for name in config.people]
    if config.has_bot:
        names.append(BOT_NAME.lower())
    if not config.people or len(config.people) > PEOPLE_MAX:
        raise PeopleError(f"a lab has 1 to {PEOPLE_MAX} people, not {len(config.people)}")
    for name in names:
        if not NAME_MIN <= len(name) <= NAME_MAX or not set(name) <= _LETTERS:
            raise PeopleError(f"{name!r:.40} cannot be registered: 3 to 32 of a-z, 0-9, - and _")
        if names.count(name) > 1:
            raise PeopleError(f"two are called {name!r:.40}")


_LETTERS: Final = frozenset("abcdefghijklmnopqrstuvwxyz0123456789-_")
