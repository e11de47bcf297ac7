"""The API's stream of what happens to an account, and in its conversations."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from shoal.node.driver.api.registry import METHODS
from shoal.node.driver.news import news_to_json

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from shoal.node.driver.node import Node

method = METHODS.method


@method("conversation.events")
async def conversation_events(
    node: Node, account: str, conversation: str = ""
) -> AsyncIterator[dict[str, Any]]:
    """Follow what happens to an account, or in one conversation, until the call is canceled.

    The first item is `{"event": "subscribed"}`: nothing that happens after it is missed, but for
    what a `lagged` tells.
    """
    own = node.accounts[account]
    found = own.conversations[conversation].id if conversation else None
    with own.events(conversation=found) as events:
        yield {"event": "subscribed", "account": own.id.hex()}
        async for event in events:
            yield {"account": own.id.hex(), **news_to_json(event)}
