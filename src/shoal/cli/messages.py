"""What messages say, in one line each: as they were sent, or as they read now."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from shoal.cli.chat.transcript import MEMBER_WORDS
from shoal.cli.progress import sized

if TYPE_CHECKING:
    from collections.abc import Mapping

SHORT: Final = 8  # digits of a message's id, and of who has no name; ours


def called(names: Mapping[str, str], account: str) -> str:
    """Return what to call somebody: they may have left long ago."""
    return names.get(account) or account[:SHORT]


def said(  # noqa: PLR0911 - one line per kind
    message: Mapping[str, Any], names: Mapping[str, str]
) -> str:
    """Return what a message says, as it was sent."""
    match message["kind"]:
        case "text" if message["react_to"]:
            return f"reacts to {message['react_to'][:8]}: {message['body']}"
        case "text":
            return str(message["body"])
        case "edit":
            return f"edits {message['edited'][:8]}: {message['body']}"
        case "member_event":
            verb = MEMBER_WORDS.get(message["action"], message["action"])
            is_own = message["account"] == message["author"]
            return verb if is_own else f"{verb} {called(names, message['account'])}"
        case "file_offer" if message["transfer_id"]:
            size = sized(message["size"])
            return f"file {message['display_name']} ({size})  {message['id'][:12]}"
        case "file_offer":
            return f"deletes file {message['edited'][:12]}"
        case "initial":
            return "began the conversation"
        case kind:
            return f"[{kind.replace('_', ' ')}]"


def reads(entry: Mapping[str, Any]) -> str:
    """Return what a message says now that it may have been edited, or deleted."""
    if entry["is_deleted"]:
        return "(deleted)"
    if entry["kind"] != "text":
        return said(entry, {})
    return f"{entry['text']}  (edited)" if entry["is_edited"] else str(entry["text"])
