"""A node of ours in a process: `python -m bench.transfer.worker NAMESPACE|- HOME BOOTSTRAP|-`."""

from __future__ import annotations

import asyncio
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final

from bench.workers import serve
from shoal.core import AccountId
from shoal.node import Node, NodeConfig
from shoal.node.config import DhtSettings, FilesSettings, NetSettings

if TYPE_CHECKING:
    from collections.abc import Callable

    from shoal.node import Account
    from shoal.node.driver.conversations import Conversation

PATIENCE: Final = 120.0  # seconds
NETWORK: Final = 4_000_000_006  # nobody else's, where there is no town
_PAUSE: Final = 0.05  # seconds between two looks


class TransferEnd:
    """A node with one account and one conversation."""

    def __init__(self, home: str, bootstrap: str, *, is_loopback: bool) -> None:
        bind = ("127.0.0.1",) if is_loopback else ()
        self._config = NodeConfig(
            dht=DhtSettings(
                bootstrap=() if bootstrap == "-" else (bootstrap,),
                network=NETWORK if is_loopback else 0,
                bind=bind,
                alone=bootstrap == "-",
            ),
            net=NetSettings(turn=(), upnp=False, ipv6=False, loopback=is_loopback),
            files=FilesSettings(accept_max=0),
        )
        self._home = Path(home)
        self._node: Node | None = None

    @property
    def _account(self) -> Account:
        assert self._node is not None, "it was started"
        (account,) = self._node.accounts
        return account

    @property
    def _conversation(self) -> Conversation:
        (conversation,) = self._account.conversations.list()
        return conversation

    async def start(self) -> list[object]:
        """Start the node and make its account; return that, and the DHT's port."""
        self._node = Node(self._home, config=self._config)
        await self._node.__aenter__()
        account = await self._node.accounts.create("bench", key_bits=2048)
        return [account.id.hex(), self._node.dht_nodes[0].port]

    async def announced(self) -> None:
        """Return once the account can be found."""
        await self._account.wait_announced(PATIENCE)

    async def ask(self, account: str) -> None:
        """Ask another account to be a contact; return once it has joined the conversation."""
        await self._account.contacts.add(account)
        other = AccountId.from_hex(account)
        await _until(lambda: self._has_joined(other))

    def _has_joined(self, account: AccountId) -> bool:
        role = self._conversation.members.get(account)
        return role is not None and role.is_inside

    async def agree(self, account: str) -> None:
        """Accept the request of another account; return once the conversation is here."""
        await _until(lambda: bool(self._account.contacts.requests()))
        await self._account.contacts.accept(account)
        conversations = self._account.conversations
        await _until(lambda: any(each.is_ready for each in conversations.list()))

    async def send(self, path: str) -> list[object]:
        """Offer a file; return the message, and the seconds that took."""
        begin = time.perf_counter()
        message = await self._conversation.send_file(path)
        return [str(message.id), time.perf_counter() - begin]

    async def fetch(self, message: str, folder: str) -> float:
        """Fetch a file that was offered; return the seconds from asking to checked and named."""
        account = self._account
        conversation = self._conversation

        async def is_here() -> bool:
            return any(str(each.id) == message for each in await conversation.messages())

        async with asyncio.timeout(PATIENCE):
            while not await is_here():  # noqa: ASYNC110 - there is no event for all of it
                await asyncio.sleep(_PAUSE)
        begin = time.perf_counter()
        await account.transfers.download(conversation.id, message, folder=folder)
        await account.transfers.wait(message)
        return time.perf_counter() - begin

    async def stop(self) -> None:
        """Stop the node."""
        assert self._node is not None, "it was started"
        await self._node.__aexit__(None, None, None)


async def _until(check: Callable[[], bool]) -> None:
    async with asyncio.timeout(PATIENCE):
        while not check():  # noqa: ASYNC110 - there is no event for all of it
            await asyncio.sleep(_PAUSE)


if __name__ == "__main__":
    namespace, home, bootstrap = sys.argv[1:4]
    if namespace != "-":
        from tests.peers.netns import enter_named

        enter_named(namespace)
    asyncio.run(serve(TransferEnd(home, bootstrap, is_loopback=namespace == "-")))
