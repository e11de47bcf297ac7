"""The people of a lab: each with a node, an account, a name, and a page."""

from __future__ import annotations

import asyncio
import logging
import time
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Final

from shoal.core.records import dataclass
from shoal.lab.config import KEY_BITS
from shoal.lab.errors import ForeignHomeError, LabSlowError
from shoal.node import CONFIG_FILE, Node, NodeConfig, loopback_settings
from shoal.node.driver.home import Home

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from shoal.node import Account
    from shoal.node.driver.conversations import Conversation
    from shoal.web import WebServer

MARK: Final = "# Written by shoal lab.\n"
LOOK: Final = 0.01  # seconds between two looks at what changes without telling; ours
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Place:
    """What the nodes of a lab have in common.

    Attributes:
        bootstrap: where to join.
        network: the DHT network's id.
        name_server: its URL, or "".
        patience: seconds that one step may take.
    """

    bootstrap: tuple[str, ...]
    network: int
    name_server: str
    patience: float

    def settings(self) -> str:
        """Return the text of a node's config.toml.

        A file rather than arguments: whoever starts a node in a home that was kept is in the lab's
        network then, and not in the public one.
        """
        return MARK + loopback_settings(self.bootstrap, self.network, self.name_server)


class Person:
    """Somebody with a node.

    Attributes:
        name: what they are called.
        home: where their node lives.
        registered: their name at the name server, or "".
        page: their page to talk in, if they have one.
    """

    def __init__(self, name: str, home: Path, place: Place) -> None:
        self.name = name
        self.home = home
        self.registered = ""
        self.page: WebServer | None = None
        self._place = place
        self._settings = place.settings()
        self._node = Node(home, config=NodeConfig.parse(self._settings))
        self._stack = AsyncExitStack()

    @property
    def account(self) -> Account:
        """Their account."""
        return next(iter(self._node.accounts))

    @property
    def address(self) -> str:
        """What others add them by."""
        return f"jami:{self.account.id}"

    async def open(self, *, has_page: bool) -> None:
        """Start the node and its page; make the account, and be found."""
        await self.move_in()
        if not len(self._node.accounts):
            await self._node.accounts.create(self.name, key_bits=KEY_BITS)
        if has_page:
            self.page = await open_page(self._node, self._stack)
        await self.account.wait_announced(self._place.patience)

    async def move_in(self) -> None:
        """Take the home, with the settings of this lab, and start the node.

        Raises:
            ForeignHomeError: somebody lives there who is of no lab.
            HomeTakenError: a node runs there.
        """
        check_home(self.home)
        await self._stack.enter_async_context(self._node)
        (self.home / CONFIG_FILE).write_text(self._settings)  # it is ours, and not before

    async def close(self) -> None:
        """Stop page and node."""
        await self._stack.aclose()

    async def register(self) -> None:
        """Have the name registered."""
        record = await self.account.names.register(self.name.lower())
        self.registered = record.name

    async def meet(self, other: Person) -> Conversation:
        """Become contacts; return the conversation of both, as this one has it."""
        contacts = self.account.contacts
        if contacts.get(other.account.id) is None:
            await contacts.add(other.account.id)
        ours = self.account.id
        patience = self._place.patience

        def is_asked_or_friend() -> bool:
            requests = other.account.contacts.requests()
            return any(each.id == ours for each in requests) or ours in other.account.contacts

        await until(is_asked_or_friend, f"{other.name} hears of {self.name}", patience)
        if ours not in other.account.contacts:
            await other.account.contacts.accept(ours)
        return await self.joined(other)

    async def joined(self, other: Person) -> Conversation:
        """Return the conversation with a contact, once they are in it."""
        contact = self.account.contacts.get(other.account.id)
        assert contact is not None, "they are contacts"
        conversation = self.account.conversations[contact.conversation_id]

        def is_there() -> bool:
            role = conversation.members.get(other.account.id)
            return role is not None and role.is_inside

        await until(is_there, f"{other.name} joins {self.name}", self._place.patience)
        return conversation

    def link(self) -> str:
        """Return a link that opens the page once, or "" without one."""
        return "" if self.page is None else self.page.new_link()


def check_home(home: Path) -> None:
    """See that a home is new, or was one of a lab before.

    Raises:
        ForeignHomeError: it is somebody's, and what they have there would be changed.
    """
    try:
        is_foreign = not (home / CONFIG_FILE).read_text().startswith(MARK)
    except FileNotFoundError:
        is_foreign = any(Home(home).accounts.glob("*"))
    if is_foreign:
        raise ForeignHomeError(f"{home} is a home that no lab made")


async def open_page(node: Node, stack: AsyncExitStack) -> WebServer | None:
    """Serve a node's page, where the packages for it are installed."""
    try:
        from shoal.web import WebConfig, WebServer  # noqa: PLC0415 - with optional packages
    except ModuleNotFoundError as error:
        _log.warning("! no pages: they need %s: pip install 'shoal[web]'", error.name)
        return None
    return await stack.enter_async_context(WebServer(node, WebConfig(port=0)))


async def until(look: Callable[[], bool], what: str, patience: float) -> None:
    """Return once *look* says yes.

    Raises:
        LabSlowError: it does not for too long.
    """
    end = time.monotonic() + patience
    while not look():
        if time.monotonic() > end:
            raise LabSlowError(f"not within {patience:g} seconds: {what}")
        await asyncio.sleep(LOOK)
