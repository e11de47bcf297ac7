"""The API's methods about conversations. They are named by id, 40 hex digits."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from shoal.core import CommitId, ConversationId
from shoal.node.driver.api.registry import METHODS
from shoal.node.driver.news import message_to_json
from shoal.swarm.errors import NoSuchConversationError

if TYPE_CHECKING:
    from shoal.node.driver.account import Account
    from shoal.node.driver.conversations import Conversation
    from shoal.node.driver.node import Node
    from shoal.swarm import ConversationRequest

method = METHODS.method

MESSAGES_MAX: Final = 1_000  # ours: in one answer


def describe(conversation: Conversation) -> dict[str, Any]:
    """Return a conversation as JSON has it."""
    members = conversation.members
    return {
        "id": str(conversation.id),
        "mode": conversation.mode.name.lower(),
        "is_ready": conversation.is_ready,
        "members": [{"id": str(each), "role": role.value} for each, role in members.items()],
    }


def describe_request(request: ConversationRequest) -> dict[str, Any]:
    """Return an invitation as JSON has it."""
    return {
        "id": str(request.conversation),
        "sender": str(request.sender),
        "title": request.title,
        "mode": request.mode.name.lower(),
        "wall_received": request.received_ms / 1_000,
    }


@method("conversation.list", is_local=True)
async def conversation_list(node: Node, account: str) -> list[dict[str, Any]]:
    """List the conversations of an account."""
    return [describe(each) for each in node.accounts[account].conversations.list()]


@method("conversation.requests", is_local=True)
async def conversation_requests(node: Node, account: str) -> list[dict[str, Any]]:
    """List the invitations that wait for an answer."""
    return [describe_request(each) for each in node.accounts[account].conversations.requests()]


@method("conversation.show", is_local=True)
async def conversation_show(node: Node, account: str, conversation: str) -> dict[str, Any]:
    """Describe one conversation."""
    return describe(node.accounts[account].conversations[conversation])


@method("conversation.create")
async def conversation_create(node: Node, account: str) -> dict[str, Any]:
    """Begin a group."""
    return describe(await node.accounts[account].conversations.create())


@method("conversation.invite")
async def conversation_invite(
    node: Node, account: str, conversation: str, contact: str
) -> dict[str, Any]:
    """Invite somebody into a group."""
    own = node.accounts[account]
    found = own.conversations[conversation]
    await found.invite(await own.names.find_account(contact))
    return describe(found)


@method("conversation.accept")
async def conversation_accept(node: Node, account: str, conversation: str) -> dict[str, Any]:
    """Accept an invitation, and fetch the conversation."""
    return describe(await node.accounts[account].conversations.accept(conversation))


@method("conversation.decline", is_local=True)
async def conversation_decline(node: Node, account: str, conversation: str) -> None:
    """Decline an invitation; nobody is told."""
    await node.accounts[account].conversations.decline(conversation)


@method("conversation.leave")
async def conversation_leave(node: Node, account: str, conversation: str) -> None:
    """Leave a conversation."""
    await node.accounts[account].conversations[conversation].leave()


@method("conversation.ban")
async def conversation_ban(
    node: Node, account: str, conversation: str, contact: str
) -> dict[str, Any]:
    """Vote somebody out."""
    own = node.accounts[account]
    found = own.conversations[conversation]
    await found.ban(await own.names.find_account(contact))
    return describe(found)


@method("conversation.unban")
async def conversation_unban(
    node: Node, account: str, conversation: str, contact: str
) -> dict[str, Any]:
    """Vote somebody in again."""
    own = node.accounts[account]
    found = own.conversations[conversation]
    await found.unban(await own.names.find_account(contact))
    return describe(found)


@method("conversation.messages", is_local=True)
async def conversation_messages(
    node: Node, account: str, conversation: str, count: int = 50, before: str = ""
) -> list[dict[str, Any]]:
    """Return the latest messages, or those before one, oldest first; at most 1,000."""
    found = node.accounts[account].conversations[conversation]
    limit = CommitId.from_hex(before) if before else None
    messages = await found.messages(max(0, min(count, MESSAGES_MAX)), before=limit)
    return [message_to_json(each) for each in messages]


@method("conversation.send")
async def conversation_send(
    node: Node, account: str, to: str, text: str, reply_to: str = ""
) -> dict[str, Any]:
    """Say something in a conversation, or to a contact; it is on disk when this returns."""
    own = node.accounts[account]
    conversation = await _addressed(own, to)
    reply = CommitId.from_hex(reply_to) if reply_to else None
    message = await conversation.send(text, reply_to=reply)
    return {"conversation": str(conversation.id), **message_to_json(message)}


async def _addressed(account: Account, to: str) -> Conversation:
    """Return the conversation named, or that with the contact named, by id or registered name.

    Raises:
        NoSuchConversationError: it is neither.
        UnknownNameError: it is no id and no name.
        NamesError: nobody has the name, or the name server gave no answer that holds.
    """
    text = to.strip().removeprefix("swarm:").removeprefix("jami:")
    who = await account.names.find_account(text)
    contact = account.contacts.get(who)
    if contact is not None and contact.conversation_id:
        return account.conversations[contact.conversation_id]
    try:
        return account.conversations[ConversationId(who)]  # ids of both kinds look alike
    except NoSuchConversationError:
        raise NoSuchConversationError(f"{text}: neither a conversation nor a contact") from None
