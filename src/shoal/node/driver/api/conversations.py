"""The API's methods about conversations.

A conversation is named by its id, by first digits of it, by its title, or by the contact that it is
with; people by id or registered name.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from shoal.node.driver.addressing import find_conversation, find_message, find_request
from shoal.node.driver.api.registry import METHODS
from shoal.node.driver.news import message_to_json
from shoal.node.plain import plain

if TYPE_CHECKING:
    from shoal.node.driver.account import Account
    from shoal.node.driver.conversations import Conversation
    from shoal.node.driver.node import Node
    from shoal.swarm import ConversationRequest

method = METHODS.method

MESSAGES_MAX: Final = 1_000  # ours: in one answer


def describe(own: Account, conversation: Conversation) -> dict[str, Any]:
    """Return a conversation of *own* as JSON has it."""
    return {
        "id": str(conversation.id),
        "title": own.people.title(conversation),
        "mode": conversation.mode.name.lower(),
        "is_ready": conversation.is_ready,
        "damage": conversation.damage,
        "has_picture": conversation.has_picture,
        "members": describe_members(own, conversation),
    }


def describe_members(own: Account, conversation: Conversation) -> list[dict[str, Any]]:
    """Return who is in a conversation, who is online, and how far they have come."""
    marks = own.talking.engine.states.marks(conversation.id)
    found = []
    for member, role in conversation.members.items():
        mark = marks.get(member)
        found.append(
            {
                "id": str(member),
                "role": role.value,
                "name": own.people[member].shown,
                "presence": own.presence(member).value,
                "fetched": plain(mark and mark.fetched),
                "displayed": plain(mark and mark.displayed),
            }
        )
    return found


def describe_request(own: Account, request: ConversationRequest) -> dict[str, Any]:
    """Return an invitation to *own* as JSON has it."""
    return {
        "id": str(request.conversation),
        "sender": str(request.sender),
        "sender_name": own.people[request.sender].shown,
        "title": request.title,
        "mode": request.mode.name.lower(),
        "wall_received": request.received_ms / 1_000,
    }


@method("conversation.list", is_local=True)
async def conversation_list(node: Node, account: str) -> list[dict[str, Any]]:
    """List the conversations of an account."""
    own = node.accounts[account]
    return [describe(own, each) for each in own.conversations.list()]


@method("conversation.requests", is_local=True)
async def conversation_requests(node: Node, account: str) -> list[dict[str, Any]]:
    """List the invitations that wait for an answer."""
    own = node.accounts[account]
    return [describe_request(own, each) for each in own.conversations.requests()]


@method("conversation.show", is_local=True)
async def conversation_show(node: Node, account: str, conversation: str) -> dict[str, Any]:
    """Describe one conversation."""
    own = node.accounts[account]
    return describe(own, await find_conversation(own, conversation))


@method("conversation.create")
async def conversation_create(node: Node, account: str) -> dict[str, Any]:
    """Begin a group."""
    own = node.accounts[account]
    return describe(own, await own.conversations.create())


@method("conversation.invite")
async def conversation_invite(
    node: Node, account: str, conversation: str, contact: str
) -> dict[str, Any]:
    """Invite somebody into a group."""
    own = node.accounts[account]
    found = await find_conversation(own, conversation)
    await found.invite(await own.names.find_account(contact))
    return describe(own, found)


@method("conversation.accept")
async def conversation_accept(node: Node, account: str, conversation: str) -> dict[str, Any]:
    """Accept an invitation, and fetch the conversation."""
    own = node.accounts[account]
    return describe(own, await own.conversations.accept(find_request(own, conversation)))


@method("conversation.decline", is_local=True)
async def conversation_decline(node: Node, account: str, conversation: str) -> None:
    """Decline an invitation; nobody is told."""
    own = node.accounts[account]
    await own.conversations.decline(find_request(own, conversation))


@method("conversation.leave")
async def conversation_leave(node: Node, account: str, conversation: str) -> None:
    """Leave a conversation."""
    await (await find_conversation(node.accounts[account], conversation)).leave()


@method("conversation.ban")
async def conversation_ban(
    node: Node, account: str, conversation: str, contact: str
) -> dict[str, Any]:
    """Vote somebody out."""
    own = node.accounts[account]
    found = await find_conversation(own, conversation)
    await found.ban(await own.names.find_account(contact))
    return describe(own, found)


@method("conversation.unban")
async def conversation_unban(
    node: Node, account: str, conversation: str, contact: str
) -> dict[str, Any]:
    """Vote somebody in again."""
    own = node.accounts[account]
    found = await find_conversation(own, conversation)
    await found.unban(await own.names.find_account(contact))
    return describe(own, found)


@method("conversation.messages", is_local=True)
async def conversation_messages(
    node: Node, account: str, conversation: str, count: int = 50, before: str = ""
) -> list[dict[str, Any]]:
    """Return the latest messages, or those before one, oldest first; at most 1,000."""
    found = await find_conversation(node.accounts[account], conversation)
    limit = await find_message(found, before) if before else None
    messages = await found.messages(max(0, min(count, MESSAGES_MAX)), before=limit)
    return [message_to_json(each) for each in messages]


@method("conversation.send")
async def conversation_send(
    node: Node, account: str, to: str, text: str, reply_to: str = ""
) -> dict[str, Any]:
    """Say something in a conversation, or to a contact; it is on disk when this returns."""
    conversation = await find_conversation(node.accounts[account], to)
    reply = await find_message(conversation, reply_to) if reply_to else None
    message = await conversation.send(text, reply_to=reply)
    return {"conversation": str(conversation.id), **message_to_json(message)}
