"""The API's methods about how conversations stand, and what they and people look like.

Pictures are base64; "" is none. What is null stays as it is.
"""

from __future__ import annotations

import base64
import binascii
from typing import TYPE_CHECKING, Any, Final

from shoal.node.driver.addressing import find_conversation, find_message
from shoal.node.driver.api.registry import METHODS
from shoal.node.driver.conversation_state import status_as_whole
from shoal.node.errors import ParametersError

if TYPE_CHECKING:
    from shoal.node.driver.conversations import Conversation
    from shoal.node.driver.node import Node
    from shoal.swarm import VCard

method = METHODS.method

MESSAGES_MAX: Final = 1_000  # ours: in one answer


def describe_state(conversation: Conversation) -> dict[str, Any]:
    """Return how a conversation stands, as JSON has it."""
    wanted, displayed = conversation.preferences, conversation.last_displayed
    return {
        "description": conversation.description,
        "colour": wanted.colour,
        "is_muted": wanted.is_muted,
        "preferences": dict(wanted.values),
        "last_displayed": "" if displayed is None else str(displayed),
        "displayed": {str(who): str(each) for who, each in conversation.displayed.items()},
        "composing": [str(who) for who in conversation.composing],
    }


def describe_card(card: VCard) -> dict[str, Any]:
    """Return a profile as JSON has it."""
    return {
        "name": card.name,
        "description": card.description,
        "picture": base64.b64encode(card.picture).decode(),
        "picture_type": card.picture_type.lower(),
    }


@method("conversation.statuses", is_local=True)
async def conversation_statuses(
    node: Node, account: str, conversation: str, count: int = 50, message: str = ""
) -> list[dict[str, Any]]:
    """Return how far the latest messages of ours, or one message, have come with each member."""
    own = node.accounts[account]
    found = await find_conversation(own, conversation)
    if message:
        wanted = [await find_message(found, message)]
    else:
        latest = await found.messages(max(0, min(count, MESSAGES_MAX)))
        wanted = [each.id for each in latest if each.author == own.id]
    statuses = await found.statuses(wanted)
    return [
        {
            "id": str(each),
            "status": status_as_whole(of_members).value,
            "members": {str(who): status.value for who, status in of_members.items()},
        }
        for each, of_members in statuses.items()
    ]


@method("conversation.state", is_local=True)
async def conversation_state(node: Node, account: str, conversation: str) -> dict[str, Any]:
    """Return who types, who has seen what, and what the user wants of a conversation."""
    return describe_state(await find_conversation(node.accounts[account], conversation))


@method("conversation.set")
async def conversation_set(
    node: Node,
    account: str,
    conversation: str,
    colour: str | None = None,
    is_muted: bool | None = None,
    title: str | None = None,
    description: str | None = None,
    picture: str | None = None,
) -> dict[str, Any]:
    """Change what we want of a conversation, or, as administrator, what it looks like to all."""
    found = await find_conversation(node.accounts[account], conversation)
    image = _picture(picture)
    if colour is not None or is_muted is not None:
        await found.set_preferences(colour=colour, is_muted=is_muted)
    if title is not None or description is not None or image is not None:
        await found.set_profile(title=title, description=description, picture=image)
    return {"id": str(found.id), "title": found.title, **describe_state(found)}


@method("conversation.profile", is_local=True)
async def conversation_profile(node: Node, account: str, conversation: str) -> dict[str, Any]:
    """Return title, description and picture of a conversation."""
    found = await find_conversation(node.accounts[account], conversation)
    return describe_card(await found.profile())


@method("account.profile", is_local=True)
async def account_profile(node: Node, account: str) -> dict[str, Any]:
    """Return what others see of an account."""
    return describe_card(node.accounts[account].profiles.own)


@method("account.set_profile")
async def account_set_profile(
    node: Node, account: str, name: str | None = None, picture: str | None = None
) -> dict[str, Any]:
    """Change what others see of an account."""
    image = _picture(picture)
    return describe_card(await node.accounts[account].profiles.set_own(name=name, picture=image))


@method("contact.profile", is_local=True)
async def contact_profile(node: Node, account: str, contact: str) -> dict[str, Any]:
    """Return what somebody looks like; empty if nobody has told us."""
    own = node.accounts[account]
    return describe_card(await own.profiles.card(await own.names.find_account(contact)))


def _picture(text: str | None) -> bytes | None:
    """Return the bytes of a picture.

    Raises:
        ParametersError: it is not base64.
    """
    try:
        return None if text is None else base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise ParametersError("picture is base64", "ParametersError") from error
