"""What Jami's app access answers with, made of what our node has. See docs/protocol/app-access.md.

Yes and no are text in details and contacts, as in the daemon's own maps.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from shoal.node import AccountState
from shoal.node.driver.news import message_to_json

if TYPE_CHECKING:
    from shoal.core import AccountId
    from shoal.node import Account
    from shoal.node.driver.conversations import Conversation, Entry, Message
    from shoal.swarm import ConversationRequest
    from shoal.web.tokens import Token

_TYPES: Final = {  # Jami apiserver.cpp: by kind of interaction
    "call": "application/call-history+json",
    "file_offer": "application/data-transfer+json",
    "initial": "initial",
    "member_event": "member",
    "merge": "merge",
    "profile_update": "application/update-profile",
    "vote": "vote",
}
TEXT: Final = "text/plain"
SENT: Final = 2  # Jami apiserver.cpp: 1 is on its way, 2 is sent, 3 is displayed


def account_of(account: Account) -> dict[str, Any]:
    """Return an account, its details, and its devices."""
    is_announced = account.state is AccountState.ANNOUNCED
    return {
        "id": account.id.hex(),
        "details": {
            "Account.alias": account.name,
            "Account.displayName": account.name,
            "Account.type": "RING",
            "Account.username": account.id.hex(),
        },
        "volatileDetails": {
            "Account.active": "true",
            "Account.deviceAnnounced": _text(is_announced),
            "Account.deviceID": account.device_id.hex(),
            "Account.registeredName": account.names.own,
        },
        "defaultModerators": [],
        "devices": {str(each.id): each.name for each in account.devices.list()},
    }


def contact_of(account: Account, who: AccountId) -> dict[str, Any]:
    """Return somebody, a contact or not."""
    contact, person = account.contacts.get(who), account.people[who]
    is_added = contact is not None and not contact.is_banned
    return {
        "id": who.hex(),
        "conversationId": contact.conversation_id if contact is not None else "",
        "added": _text(is_added),
        "confirmed": _text(contact is not None and contact.is_confirmed),
        "banned": _text(contact is not None and contact.is_banned),
        "username": person.registered_name or who.hex(),
        "displayName": person.shown,
    }


def message_of(account: Account, message: Message, entry: Entry | None = None) -> dict[str, Any]:
    """Return a message; with its *entry*, as it reads now."""
    content, kind = message.content, message_to_json(message)["kind"]
    reply = getattr(content, "reply_to", None)
    body = getattr(content, "body", "") if entry is None else entry.text
    fields: dict[str, Any] = {
        "id": str(message.id),
        "author": message.author.hex(),
        "timestamp": message.wall_time,
        "type": _TYPES.get(kind, TEXT),
        "body": body,
        "linearizedParent": "",
        "parents": "",
        "displayName": account.people[message.author].shown,
        "reactions": [
            {"id": str(each.id), "author": each.author.hex(), "body": each.emoji}
            for each in (entry.reactions if entry is not None else ())
        ],
        "status": {"self": SENT} if message.author == account.id else {},
    }
    if reply is not None:
        fields["reply-to"] = str(reply)
    if kind == "file_offer":
        fields["displayName"] = getattr(content, "display_name", "")
        fields["fileId"] = f"{message.id}_{getattr(content, 'transfer_id', '')}"
        fields["totalSize"] = getattr(content, "size", 0)
        fields["sha3sum"] = getattr(content, "sha3_512", "")
    return fields


async def infos_of(conversation: Conversation) -> dict[str, Any]:
    """Return what a conversation looks like."""
    card = await conversation.profile() if conversation.is_ready else None
    return {
        "avatar": "",
        "description": getattr(card, "description", ""),
        "mode": str(int(conversation.mode)),
        "title": getattr(card, "title", ""),
    }


async def summary_of(account: Account, conversation: Conversation) -> dict[str, Any]:
    """Return a conversation, and its latest message."""
    infos = await infos_of(conversation)
    summary = {
        "id": str(conversation.id),
        "avatar": infos["avatar"],
        "title": infos["title"],
        "mode": infos["mode"],
        "description": infos["description"],
        "membersNames": [account.people[each].shown for each in conversation.members],
    }
    if conversation.is_ready:
        for entry in await conversation.entries(1):
            summary["lastMessage"] = message_of(account, entry.message, entry)
    return summary


def members_of(account: Account, conversation: Conversation) -> list[dict[str, Any]]:
    """Return who is in a conversation, and as what."""
    return [
        {"role": role.value, "contact": _reference(account, who)}
        for who, role in conversation.members.items()
    ]


def request_of(account: Account, request: ConversationRequest) -> dict[str, Any]:
    """Return an invitation."""
    received = datetime.fromtimestamp(request.received_ms // 1000, UTC)
    return {
        "conversationId": str(request.conversation),
        "infos": {
            "avatar": "",
            "description": "",
            "mode": str(int(request.mode)),
            "title": request.title,
        },
        "from": _reference(account, request.sender),
        "received": received.strftime("%Y-%m-%dT%H:%M:%SZ"),
        "membersNames": [account.people[request.sender].shown],
    }


def token_of(token: Token) -> dict[str, Any]:
    """Return what may be known about a token."""
    fields = {
        "id": token.id,
        "prefix": token.prefix,
        "accountId": token.account,
        "scopes": list(token.scopes),
        "name": token.label,
        "createdAt": _moment(token.wall_created),
    }
    if token.wall_expires:
        fields["expiresAt"] = _moment(token.wall_expires)
    return fields


def _reference(account: Account, who: AccountId) -> dict[str, str]:
    name = account.people[who].registered_name
    return {"uri": who.hex(), **({"registeredName": name} if name else {})}


def _moment(wall: float) -> str:
    moment = datetime.fromtimestamp(wall, UTC)
    return f"{moment.strftime('%Y-%m-%dT%H:%M:%S')}.{moment.microsecond // 1000:03}Z"


def _text(value: bool) -> str:
    return "true" if value else "false"
