"""The API's methods about files. A transfer is named by the message that offers its file."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from shoal.node.driver.addressing import find_conversation, find_message
from shoal.node.driver.api.registry import METHODS, Last
from shoal.node.driver.news import message_to_json
from shoal.node.events import Lagged, TransferChanged
from shoal.node.plain import plain
from shoal.transfer.effects import Direction, TransferState

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator

    from shoal.core import CommitId
    from shoal.node.driver.account import Account
    from shoal.node.driver.bus import Subscription
    from shoal.node.driver.node import Node
    from shoal.transfer import Transfer

method = METHODS.method


def transfer_to_json(transfer: Transfer) -> dict[str, Any]:
    """Return a transfer as JSON has it; an error by its kind and its words."""
    error = transfer.error
    words = {"kind": type(error).__name__, "message": str(error)} if error is not None else None
    return {**plain(transfer), "error": words, "is_over": transfer.is_over}


@method("file.send")
async def file_send(
    node: Node,
    account: str,
    to: str,
    path: str,
    name: str = "",
    reply_to: str = "",
    wait: bool = False,
) -> AsyncGenerator[dict[str, Any] | Last, None]:
    """Offer a file in a conversation; *path* is absolute, and has to stay where it is.

    The result is the message. With *wait* it comes once a device has fetched the whole, and how
    that goes is told before.
    """
    own = node.accounts[account]
    conversation = await find_conversation(own, to)
    reply = await find_message(conversation, reply_to) if reply_to else None
    with node.events() as events:
        message = await conversation.send_file(path, name=name, reply_to=reply)
        if wait:
            async for each in _follow(own, events, message.id, Direction.UP):
                yield transfer_to_json(each)
    yield Last({"conversation": str(conversation.id), **message_to_json(message)})


@method("file.list", is_local=True)
async def file_list(node: Node, account: str) -> list[dict[str, Any]]:
    """List what was fetched lately, what is being fetched, and what is being sent."""
    return [transfer_to_json(each) for each in node.accounts[account].transfers.list()]


@method("file.get")
async def file_get(
    node: Node, account: str, conversation: str, message: str, folder: str = "", wait: bool = True
) -> AsyncGenerator[dict[str, Any] | Last, None]:
    """Fetch a file, and tell how that goes; the result says where the file is.

    Without *wait* it goes on by itself, and the result says how it stands.
    """
    own = node.accounts[account]
    place = await find_conversation(own, conversation)
    commit = await find_message(place, message)
    with node.events() as events:
        transfer = await place.download(commit, folder=folder or None)
        if wait and not transfer.is_over:
            async for each in _follow(own, events, commit, Direction.DOWN):
                yield transfer_to_json(each)
            transfer = await own.transfers.wait(commit)
    yield Last(transfer_to_json(transfer))


@method("file.pause", is_local=True)
async def file_pause(node: Node, account: str, message: str) -> dict[str, Any]:
    """Stop fetching a file, and keep what is here of it."""
    return transfer_to_json(await node.accounts[account].transfers.pause(message))


@method("file.resume")
async def file_resume(node: Node, account: str, message: str) -> dict[str, Any]:
    """Go on with a file that was paused, waits, or failed."""
    return transfer_to_json(await node.accounts[account].transfers.resume(message))


@method("file.cancel", is_local=True)
async def file_cancel(node: Node, account: str, message: str) -> None:
    """Stop fetching a file and delete what is here; or stop sending it, to everybody."""
    await node.accounts[account].transfers.cancel(message)


@method("file.path", is_local=True)
async def file_path(node: Node, account: str, conversation: str, message: str) -> str | None:
    """Say where the file of a message is, if it is here and what was offered."""
    own = node.accounts[account]
    place = await find_conversation(own, conversation)
    found = await own.transfers.path(place.id, await find_message(place, message))
    return None if found is None else str(found)


async def _follow(
    account: Account, events: Subscription, message: CommitId, direction: Direction
) -> AsyncIterator[Transfer]:
    """Yield how a transfer goes, up to where nothing more happens by itself."""
    async for numbered in events:
        if isinstance(numbered, Lagged):
            if direction is Direction.UP:
                continue  # what was sent is not listed any more
            transfer = account.transfers[message]  # its end may be among what was dropped
        else:
            match numbered.event:
                case TransferChanged(own, transfer) if own == account.id:
                    if transfer.id != message or transfer.direction is not direction:
                        continue
                case _:
                    continue
        yield transfer
        is_whole = transfer.state is TransferState.DONE
        is_still = transfer.is_over or transfer.state is TransferState.PAUSED
        if is_whole or (is_still and direction is Direction.DOWN):
            return
