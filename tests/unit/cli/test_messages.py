"""What messages say, in one line."""

from __future__ import annotations

from typing import Any, Final

import pytest

from shoal.cli.messages import reads, said

ADA, BOB, MESSAGE = "aa" * 20, "bb" * 20, "cc" * 20
NAMES: Final = {BOB: "Bob"}


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"kind": "text", "react_to": None, "body": "hello"}, "hello"),
        ({"kind": "text", "react_to": MESSAGE, "body": "👍"}, "reacts to cccccccc: 👍"),
        ({"kind": "edit", "edited": MESSAGE, "body": "hullo"}, "edits cccccccc: hullo"),
        ({"kind": "member_event", "action": "join", "account": ADA}, "joined"),
        ({"kind": "member_event", "action": "ban", "account": BOB}, "banned Bob"),
        ({"kind": "member_event", "action": "ban", "account": MESSAGE}, "banned cccccccc"),
        ({"kind": "member_event", "action": "waved", "account": ADA}, "waved"),
        (
            {"kind": "file_offer", "transfer_id": "1", "display_name": "a", "size": 2_500},
            "file a (2.5 kB)  cccccccccccc",
        ),
        ({"kind": "file_offer", "transfer_id": "", "edited": MESSAGE}, "deletes file cccccccccccc"),
        ({"kind": "initial"}, "began the conversation"),
        ({"kind": "profile_update"}, "[profile update]"),
    ],
)
def test_every_kind_has_words(fields: dict[str, Any], words: str) -> None:
    """And what is not known has its name."""
    assert said({"id": MESSAGE, "author": ADA, **fields}, NAMES) == words


def test_what_a_message_says_now() -> None:
    """Its latest text; nothing of one that was deleted."""
    entry = {"kind": "text", "text": "new", "is_edited": False, "is_deleted": False}
    assert reads(entry) == "new"
    assert reads({**entry, "is_edited": True}) == "new  (edited)"
    assert reads({**entry, "is_edited": True, "is_deleted": True}) == "(deleted)"
    assert reads({**entry, "kind": "initial"}) == "began the conversation"
