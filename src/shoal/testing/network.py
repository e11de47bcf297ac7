"""A network of people and bots on loopback, for tests that are plain functions.

An event loop in a thread of its own runs a DHT node that all join by, and a node per person. The
test's thread gives orders and waits for what they lead to.
"""

from __future__ import annotations

import asyncio
import functools
import logging
import threading
import time
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Final, NoReturn, TypeVar

from shoal.bot import TestClock
from shoal.core.driver import SystemEntropy
from shoal.dht import DhtNode
from shoal.identity import Archive, create_account, pack_archive
from shoal.node import (
    CONFIG_FILE,
    LOOPBACK,
    Node,
    NodeConfig,
    draw_network,
    loopback_settings,
)
from shoal.testing.transcript import Transcript
from shoal.testing.users import LOOK, PATIENCE, User

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from pathlib import Path
    from types import TracebackType
    from typing import Self

    from shoal.bot import Bot
    from shoal.core import AccountId
    from shoal.node import Account

T = TypeVar("T")

KEY_BITS: Final = 2048  # the least that others accept; they take a tenth of the time to make
CLOSING: Final = 30.0  # seconds, ours


class BotUser(User):
    """A bot among the people of a test."""

    def __init__(self, network: LoopbackNetwork, bot: Bot) -> None:
        super().__init__(network, bot.name)
        self.bot = bot

    @property
    def is_bot(self) -> bool:
        """Whether it is a program."""
        return True

    def restart(self) -> None:
        """Stop the bot and its node, and start them anew with what they left on disk."""
        self.go_offline()
        self.come_back()


class Stranger(User):
    """Somebody whom another program runs; all that is known of them is their id."""

    def __init__(self, network: LoopbackNetwork, name: str, account: AccountId) -> None:
        super().__init__(network, name)
        self._id = account

    @property
    def id(self) -> AccountId:
        """The id that they give to others."""
        return self._id

    @property
    def is_bot(self) -> bool:
        """Whether it is a program: nobody here can tell it to accept."""
        return True


class LoopbackNetwork:
    """A network of people, as a context manager; the fixture `shoal_network` is one.

    Attributes:
        transcript: who did and saw what.
        clock: that of bots' schedules.
    """

    def __init__(self, folder: Path, *, patience: float = PATIENCE) -> None:
        """Keep homes below *folder*; wait *patience* seconds at most for anything."""
        self.transcript = Transcript()
        self.clock = TestClock()
        self.patience = patience
        self._folder = folder
        self._network = draw_network()
        self._users: list[User] = []
        self._accounts: dict[str, AccountId] = {}
        self._homes: dict[User, tuple[Node, AsyncExitStack]] = {}
        self._loop: asyncio.AbstractEventLoop
        self._thread: threading.Thread | None = None
        self._way_in: DhtNode

    def __enter__(self) -> Self:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(
            target=self._loop.run_forever, name="shoal-testing", daemon=True
        )
        self._thread.start()
        self.run(self._open())
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    # People

    def user(self, name: str) -> User:
        """Return a new person, online."""
        user = User(self, name)
        self._add(user)
        return user

    def bot(self, bot: Bot) -> BotUser:
        """Let a bot work, online."""
        user = BotUser(self, bot)
        self._add(user)
        return user

    def stranger(self, name: str, account: AccountId) -> Stranger:
        """Return somebody of another program whose node is in this network: see `prepare_home`."""
        self._accounts[name] = account
        return Stranger(self, name, account)

    def prepare_home(self, home: Path) -> None:
        """Make a node of another program, whose home this is, one of this network."""
        home.mkdir(mode=0o700, parents=True)
        (home / CONFIG_FILE).write_text(self._settings())

    def advance(self, seconds: float) -> None:
        """Let time pass for the schedules of bots."""
        self.transcript.add("", f"{seconds:g} seconds pass")
        self._loop.call_soon_threadsafe(self.clock.advance, seconds)

    def name_of(self, account: AccountId) -> str:
        """Return what the transcript calls an account."""
        for name, known in self._accounts.items():
            if known == account:
                return name
        return str(account)[:8]

    # For users

    def run(self, work: Awaitable[T]) -> T:
        """Run a coroutine in the network's loop; return its result, or raise its error."""

        async def wait() -> T:
            return await work

        return asyncio.run_coroutine_threadsafe(wait(), self._loop).result(self.patience)

    def wait(self, look: Callable[[], T | None], what: str) -> T:
        """Return what *look* returns once that is something.

        Raises:
            AssertionError: it is nothing for too long; the transcript is part of it.
        """
        end = time.monotonic() + self.patience
        while True:
            found = look()
            if found:
                return found
            if time.monotonic() > end:
                self.fail(f"not within {self.patience:g} seconds: {what}")
            time.sleep(LOOK)

    def fail(self, why: str) -> NoReturn:
        """Fail, with the transcript.

        Raises:
            AssertionError: always.
        """
        raise AssertionError(f"{why}\n\n{self.transcript}")

    def account_of(self, user: User) -> Account:
        """Return the account of somebody who is online."""
        if user not in self._homes:
            self.fail(f"{user.name} is offline")
        node, _ = self._homes[user]
        return node.accounts[self._accounts[user.name]]

    def open_node(self, user: User) -> None:
        """Let somebody come online."""
        self.run(self._open_node(user))

    def close_node(self, user: User) -> None:
        """Let somebody go offline."""
        _, stack = self._homes.pop(user)
        self.run(stack.aclose())

    def close(self) -> None:
        """End everything; harmless twice."""
        thread, self._thread = self._thread, None
        if thread is None:
            return
        try:
            self.run(self._close())
        finally:
            self._loop.call_soon_threadsafe(self._loop.stop)
            thread.join(CLOSING)
            self._loop.close()

    # Inside

    def _add(self, user: User) -> None:
        if any(each.name == user.name for each in self._users):
            raise ValueError(f"there is somebody called {user.name} already")
        self._users.append(user)
        self.open_node(user)
        self.transcript.add(user.name, f"is here, as {user.id}")

    async def _open(self) -> None:
        self._way_in = DhtNode(network=self._network, bind=[LOOPBACK])
        await self._way_in.start()

    async def _close(self) -> None:
        stacks = [stack for _, stack in self._homes.values()]
        self._homes.clear()
        await asyncio.gather(*(stack.aclose() for stack in stacks))
        await self._way_in.close()
        await self._loop.shutdown_default_executor()

    async def _open_node(self, user: User) -> None:
        async with AsyncExitStack() as stack:
            home = self._folder / f"{self._users.index(user)}"
            node = Node(home, config=NodeConfig.parse(self._settings()), serves_api=False)
            await stack.enter_async_context(node)
            if not len(node.accounts):
                archive = await asyncio.to_thread(_archive, self._users.index(user))
                made = await node.accounts.import_archive(archive, key_bits=KEY_BITS)
                await made.rename(user.name)
                self._accounts[user.name] = made.id
            account = node.accounts[self._accounts[user.name]]
            if isinstance(user, BotUser):
                await stack.enter_async_context(user.bot.at_work(account, clock=self.clock))
            await account.wait_announced(self.patience)
            self._homes[user] = node, stack.pop_all()

    def _settings(self) -> str:
        return loopback_settings([f"{LOOPBACK}:{self._way_in.port}"], self._network)


@functools.cache
def _archive(number: int) -> bytes:
    """Return the account of the *number*th person of a test: made once per process."""
    logging.getLogger(__name__).debug("keys of person %d", number)
    made = create_account(SystemEntropy(), time.time(), bits=KEY_BITS)
    return pack_archive(Archive(made.keys), "")
