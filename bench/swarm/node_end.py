"""A node of ours on a host: `python -m bench.swarm.node_end NAMESPACE HOME BOOTSTRAP`."""

from __future__ import annotations

import asyncio
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final

from bench.swarm.history import plant_for_shoal
from bench.workers import serve
from shoal.core import AccountId, ConversationId
from shoal.node import Node, NodeConfig
from shoal.node.config import DhtSettings, NetSettings
from shoal.node.driver.conversations import Message
from shoal.node.events import ConversationEvent
from shoal.swarm import Text
from shoal.swarm.effects import MessagesArrived
from tests.peers.netns import enter_named

if TYPE_CHECKING:
    from collections.abc import Callable

    from shoal.node import Account

PATIENCE: Final = 600.0  # seconds
PAGE: Final = 50  # messages


class NodeEnd:
    """A node that is started again and again, with one account."""

    def __init__(self, home: str, bootstrap: str) -> None:
        self._home = Path(home)
        self._config = NodeConfig(
            dht=DhtSettings(bootstrap=(bootstrap,)),
            net=NetSettings(turn=(), upnp=False, ipv6=False),
        )
        self._node: Node | None = None
        self._heard: dict[str, float] = {}
        self._listener: asyncio.Task[None] | None = None

    @property
    def _account(self) -> Account:
        assert self._node is not None, "it was started"
        (account,) = self._node.accounts
        return account

    async def create(self) -> list[str]:
        """Make the account; return its id and its folder."""
        async with Node(self._home, config=self._config) as node:
            account = await node.accounts.create("bench")
            return [str(account.id), str(account.vault.folder.path)]

    async def start(self) -> float:
        """Start the node; return the seconds until all its conversations are open."""
        begin = time.perf_counter()
        self._node = Node(self._home, config=self._config)
        await self._node.__aenter__()
        self._listener = asyncio.get_running_loop().create_task(self._listen(self._node))
        for conversation in self._account.conversations.list():
            await conversation.messages(1)
        return time.perf_counter() - begin

    async def stop(self) -> None:
        """Stop the node."""
        assert self._node is not None, "it was started"
        assert self._listener is not None, "it was started"
        self._listener.cancel()
        await self._node.__aexit__(None, None, None)
        self._node = None

    async def plant(self, source: str, owner: str) -> None:
        """Put a history into the account, whose node is stopped."""
        (folder,) = (self._home / "accounts").iterdir()
        plant_for_shoal(folder, Path(source), AccountId.from_hex(owner), time.time())

    async def wait_announced(self) -> None:
        """Return once others find the device."""
        await self._account.wait_announced(PATIENCE)

    async def page(self, conversation: str, count: int = PAGE) -> list[float]:
        """Read the latest messages; return the seconds, and how many came."""
        begin = time.perf_counter()
        found = await self._account.conversations[conversation].messages(count)
        return [time.perf_counter() - begin, len(found)]

    async def ask(self, peer: str) -> str:
        """Ask somebody to become a contact; return the conversation with them."""
        await self._account.contacts.add(peer)
        contact = self._account.contacts.get(peer)
        assert contact is not None, "it was added"
        return contact.conversation_id

    async def joined(self, conversation: str, peer: str) -> None:
        """Return once somebody has joined a conversation, here."""

        def has_joined() -> bool:
            found = [
                each for each in self._account.conversations.list() if str(each.id) == conversation
            ]
            roles = {str(who): role for each in found for who, role in each.members.items()}
            return peer in roles and roles[peer].is_inside

        await _until(has_joined)

    async def accept_contact(self, peer: str) -> None:
        """Accept what somebody asks, once they do."""
        await _until(lambda: bool(self._account.contacts.requests()))
        await self._account.contacts.accept(peer)

    async def invite(self, conversation: str, peer: str) -> None:
        """Invite somebody into a group."""
        await self._account.conversations[conversation].invite(peer)

    async def clone(self, conversation: str) -> float:
        """Accept the invitation to a group; return the seconds until its history is here."""
        wanted = ConversationId.from_hex(conversation)
        await _until(
            lambda: any(
                each.conversation == wanted for each in self._account.conversations.requests()
            )
        )
        begin = time.perf_counter()
        accepted = await self._account.conversations.accept(wanted)
        await accepted.messages(1)
        return time.perf_counter() - begin

    async def say(self, conversation: str, text: str) -> float:
        """Say something; return when that began, by the clock that all processes share."""
        begin = time.monotonic()
        await self._account.conversations[conversation].send(text)
        return begin

    async def heard(self, text: str) -> float:
        """Return when *text* came, by that clock."""
        await _until(lambda: text in self._heard)
        return self._heard[text]

    async def _listen(self, node: Node) -> None:
        """Note when texts come."""
        with node.events() as events:
            async for numbered in events:
                match getattr(numbered, "event", None):
                    case ConversationEvent(event=MessagesArrived(messages=messages)):
                        for content in (Message.of(each).content for each in messages):
                            if isinstance(content, Text):
                                self._heard.setdefault(content.body, time.monotonic())
                    case _:
                        pass


async def _until(is_so: Callable[[], bool]) -> None:
    """Wait for something."""
    async with asyncio.timeout(PATIENCE):
        while not is_so():  # noqa: ASYNC110 - there is no event for all of them
            await asyncio.sleep(0.05)


if __name__ == "__main__":
    enter_named(sys.argv[1])
    asyncio.run(serve(NodeEnd(*sys.argv[2:4])))
