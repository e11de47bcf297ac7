"""The API's methods for histories: found by words, counted, read page by page or whole."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from shoal.core import CommitId
from shoal.node.driver.addressing import find_conversation
from shoal.node.driver.api.registry import METHODS, Last
from shoal.node.driver.news import message_to_json
from shoal.node.errors import ParametersError

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from shoal.node.driver.account import Account
    from shoal.node.driver.conversations import Entry
    from shoal.node.driver.node import Node

method = METHODS.method

FOUND_MAX: Final = 1_000  # ours: in one answer


def describe_entry(own: Account, entry: Entry) -> dict[str, Any]:
    """Return a message as people see it, as JSON has it."""
    return {
        **message_to_json(entry.message),
        "author_name": own.people[entry.message.author].shown,
        "text": entry.text,
        "is_edited": entry.is_edited,
        "is_deleted": entry.is_deleted,
        "reactions": [
            {"author": str(each.author), "emoji": each.emoji, "id": str(each.id)}
            for each in entry.reactions
        ],
    }


@method("conversation.search", is_local=True)
async def conversation_search(
    node: Node, account: str, text: str, conversation: str = "", count: int = 50
) -> list[dict[str, Any]]:
    """Find messages that have all words of a text, in one or all conversations, newest first."""
    own = node.accounts[account]
    count = max(0, min(count, FOUND_MAX))
    if conversation:
        hits = await (await find_conversation(own, conversation)).search(text, count)
    else:
        hits = await own.conversations.search(text, count)
    return [
        {
            "conversation": str(hit.conversation),
            "id": str(hit.id),
            "author": str(hit.author),
            "author_name": own.people[hit.author].shown,
            "wall_time": hit.wall_time,
            "text": hit.text,
        }
        for hit in hits
    ]


@method("conversation.unread", is_local=True)
async def conversation_unread(
    node: Node, account: str, conversation: str = ""
) -> list[dict[str, Any]]:
    """Count the messages of others that are new to us, in one or all conversations."""
    own = node.accounts[account]
    wanted = [await find_conversation(own, conversation)] if conversation else None
    return [
        {"conversation": str(each.id), "unread": await each.unread()}
        for each in wanted or own.conversations.list()
        if wanted or each.is_ready
    ]


@method("conversation.entries", is_local=True)
async def conversation_entries(
    node: Node,
    account: str,
    conversation: str,
    count: int = 50,
    before: str = "",
    after: str = "",
    around: str = "",
) -> list[dict[str, Any]]:
    """Return messages as people see them: edits applied, reactions beside; oldest first.

    The latest, or those before, after or around one of them.
    """
    own = node.accounts[account]
    found = await find_conversation(own, conversation)
    limits = {"before": before, "after": after, "around": around}
    part = {name: CommitId.from_hex(limit) for name, limit in limits.items() if limit}
    if len(part) > 1:
        raise ParametersError(f"one of {' and '.join(part)}, not both", "ParametersError")
    entries = await found.entries(max(0, min(count, FOUND_MAX)), **part)
    return [describe_entry(own, each) for each in entries]


@method("conversation.export", is_local=True)
async def conversation_export(
    node: Node, account: str, conversation: str
) -> AsyncGenerator[dict[str, Any] | Last, None]:
    """Give the whole history, oldest first, one message after the other."""
    own = node.accounts[account]
    found = await find_conversation(own, conversation)
    count = 0
    async for entry in found.export():
        count += 1
        yield describe_entry(own, entry)
    yield Last({"conversation": str(found.id), "messages": count})


@method("conversation.reindex", is_local=True)
async def conversation_reindex(
    node: Node, account: str, conversation: str = ""
) -> list[dict[str, Any]]:
    """Judge histories again, and make the index anew, of one or all conversations."""
    own = node.accounts[account]
    wanted = [await find_conversation(own, conversation)] if conversation else None
    done: list[dict[str, Any]] = []
    for each in wanted or own.conversations.list():
        if wanted or each.is_ready:
            await each.reindex()
            done.append({"conversation": str(each.id)})
    return done
