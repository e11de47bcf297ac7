"""The API's methods for those who talk: people, what they do to messages, who has which."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING, Any, Final

from shoal.node.driver.addressing import find_conversation, find_message
from shoal.node.driver.api.registry import METHODS
from shoal.node.driver.news import message_to_json

if TYPE_CHECKING:
    from shoal.core import CommitId
    from shoal.node.driver.account import Account
    from shoal.node.driver.conversations import Conversation
    from shoal.node.driver.node import Node
    from shoal.node.driver.people import Person

method = METHODS.method

LOOK: Final = 0.2  # seconds between two looks at who has a message; ours


def describe_person(own: Account, person: Person) -> dict[str, Any]:
    """Return a person as JSON has it."""
    return {
        "id": str(person.id),
        "shown": person.shown,
        "name": person.name,
        "registered_name": person.registered_name,
        "is_self": person.is_self,
        "is_contact": person.is_contact,
        "has_picture": own.profiles[person.id].has_picture,
    }


@method("person.list", is_local=True)
async def person_list(node: Node, account: str, conversation: str = "") -> list[dict[str, Any]]:
    """List what to call everybody whom the account has met, or who is in a conversation."""
    own = node.accounts[account]
    if not conversation:
        return [describe_person(own, each) for each in own.people.met()]
    found = await find_conversation(own, conversation)
    return [describe_person(own, own.people[each]) for each in found.members]


@method("conversation.edit")
async def conversation_edit(
    node: Node, account: str, conversation: str, message: str, text: str
) -> dict[str, Any]:
    """Replace the text of a message of ours; an empty text deletes it."""
    found, about = await _message(node.accounts[account], conversation, message)
    return message_to_json(await found.edit(about, text))


@method("conversation.delete")
async def conversation_delete(
    node: Node, account: str, conversation: str, message: str
) -> dict[str, Any]:
    """Take a message of ours back, a text or a file."""
    found, about = await _message(node.accounts[account], conversation, message)
    return message_to_json(await found.delete(about))


@method("conversation.react")
async def conversation_react(
    node: Node, account: str, conversation: str, message: str, emoji: str
) -> dict[str, Any]:
    """React to a message."""
    found, about = await _message(node.accounts[account], conversation, message)
    return message_to_json(await found.react(about, emoji))


@method("conversation.unreact")
async def conversation_unreact(
    node: Node, account: str, conversation: str, message: str, emoji: str
) -> list[dict[str, Any]]:
    """Take a reaction of ours to a message back."""
    found, about = await _message(node.accounts[account], conversation, message)
    return [message_to_json(each) for each in await found.unreact(about, emoji)]


@method("conversation.set_displayed")
async def conversation_set_displayed(
    node: Node, account: str, conversation: str, message: str
) -> None:
    """Tell the others that we have seen all up to a message."""
    found, about = await _message(node.accounts[account], conversation, message)
    await found.set_displayed(about)


@method("conversation.set_composing")
async def conversation_set_composing(
    node: Node, account: str, conversation: str, is_active: bool = True
) -> None:
    """Tell the others that we are typing, or have stopped."""
    found = await find_conversation(node.accounts[account], conversation)
    await found.set_composing(is_active=is_active)


@method("conversation.received")
async def conversation_received(
    node: Node,
    account: str,
    conversation: str,
    message: str,
    devices: int = 1,
    timeout: float = 30.0,  # noqa: ASYNC109 - a parameter of the API
) -> list[dict[str, Any]]:
    """Return which devices of others have a message, once so many do or the time is over.

    Known is what was heard since the node started.
    """
    own = node.accounts[account]
    found, about = await _message(own, conversation, message)
    holders = await found.holders(about)
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(timeout):
            while len(holders) < devices:  # the events tell of other commits, too
                await asyncio.sleep(LOOK)
                holders = await found.holders(about)
    return [
        {"device": str(device), "account": str(who), "name": own.people[who].shown}
        for device, who in holders.items()
    ]


async def _message(own: Account, conversation: str, message: str) -> tuple[Conversation, CommitId]:
    found = await find_conversation(own, conversation)
    return found, await find_message(found, message)
