"""Messages with what became of them, in whatever order they are loaded."""

from __future__ import annotations

from typing import Any

import pytest

from shoal.cli.chat.transcript import ENTRIES_MAX, Transcript, words

ME, SHE = "aa" * 20, "bb" * 20


def text(name: str, body: str, author: str = ME, **fields: Any) -> dict[str, Any]:
    """A text as the API has it."""
    return {
        "id": name * 10, "author": author, "wall_time": 1, "is_verified": True, "kind": "text",
        "body": body, "reply_to": None, "react_to": None, **fields,
    }  # fmt: skip


def edit(name: str, edited: str, body: str, author: str = ME) -> dict[str, Any]:
    """An edit as the API has it."""
    return {**text(name, body, author), "kind": "edit", "edited": edited * 10}


def test_pages_are_put_before_what_is_there() -> None:
    """And news behind; nothing is shown twice."""
    transcript = Transcript()
    assert [e.body for e in transcript.add_page([text("0003", "c"), text("0004", "d")])] == [
        "c",
        "d",
    ]
    transcript.take(text("0005", "e"))
    older = transcript.add_page([text("0001", "a"), text("0002", "b"), text("0003", "c")])
    assert [each.body for each in older] == ["a", "b"]
    assert [each.body for each in transcript.entries] == ["a", "b", "c", "d", "e"]
    assert transcript.oldest == "0001" * 10
    assert transcript.take(text("0005", "e")) is None
    assert not transcript.is_full
    transcript.entries *= ENTRIES_MAX
    assert transcript.is_full


def test_what_others_write_does_not_control_the_terminal() -> None:
    """Neither in a text nor in a reaction, from history or as news."""
    transcript = Transcript()
    reaction = text("0002", "\x1b]0;mine\a", SHE, react_to="0001" * 10)
    transcript.add_page([text("0001", "\x1b[2Jhello", SHE), reaction])
    (entry,) = transcript.entries
    assert (entry.body, list(entry.reactions)) == ("\ufffd[2Jhello", ["\ufffd]0;mine\ufffd"])
    transcript.take(text("0003", "\x1b[2J", SHE, react_to="0001" * 10))
    assert all(emoji.isprintable() for emoji in entry.reactions)


def test_edits_and_reactions_are_shown_at_their_message() -> None:
    """Also those that come before it; the last edit counts, and only one by its author."""
    transcript = Transcript()
    later = [
        edit("0006", "0001", "first", ME),
        edit("0007", "0001", "second", ME),
        edit("0008", "0001", "forged", SHE),
        text("0009", "👍", SHE, react_to="0001" * 10),
    ]
    assert transcript.add_page(later) == []
    (entry,) = transcript.add_page([text("0001", "zeroth")])
    assert (entry.body, entry.is_edited, entry.reactions) == ("second", True, {"👍": [SHE]})

    assert transcript.take(text("000a", "♥", ME, react_to="0001" * 10)) is entry
    assert entry.reactions == {"👍": [SHE], "♥": [ME]}
    assert transcript.take(edit("000b", "0001", "", ME)) is entry
    assert entry.is_deleted
    assert transcript["0001" * 10] is entry
    assert "0001" * 10 in transcript


def test_reactions_that_are_taken_back_are_gone() -> None:
    """As news or in an older page, before or after what they are about; only by their author."""
    transcript = Transcript()
    about = {"react_to": "0001" * 10}
    transcript.add_page([text("0001", "hello"), text("0002", "👍", SHE, **about)])
    (entry,) = transcript.entries
    assert transcript.take(edit("0003", "0002", "", ME)) is None
    assert transcript.latest_reacted("👍", SHE) is entry
    assert transcript.take(edit("0004", "0002", "", SHE)) is entry
    assert (entry.reactions, transcript.latest_reacted("👍", SHE)) == ({}, None)
    assert transcript.take(edit("0004", "0002", "", SHE)) is None
    assert transcript.has("0004" * 10)
    transcript.take(text("0005", "♥", ME, **about))
    assert transcript.take(edit("0006", "0005", "🐟", ME)) is entry
    assert entry.reactions == {"🐟": [ME]}

    transcript = Transcript()
    assert transcript.add_page([edit("0003", "0002", "", ME), edit("0004", "0002", "", SHE)]) == []
    assert transcript.add_page([text("0002", "👍", SHE, **about), text("0005", "♥", **about)]) == []
    (entry,) = transcript.add_page([text("0001", "hello")])
    assert entry.reactions == {"♥": [ME]}


def test_an_older_edit_does_not_undo_a_newer_one() -> None:
    """A page of history may hold an edit of a message that is edited already."""
    transcript = Transcript()
    transcript.add_page([text("0001", "zeroth")])
    transcript.take(edit("0009", "0001", "newest"))
    transcript.add_page([edit("0005", "0001", "older")])
    assert transcript["0001" * 10].body == "newest"


def test_messages_are_found_by_label_or_by_whose_they_are() -> None:
    """Without a label the latest that can be meant."""
    transcript = Transcript()
    member = {**text("0003", ""), "kind": "member_event", "action": "join", "account": ME}
    transcript.add_page([text("0001", "mine"), text("0002", "hers", SHE), member])
    (found,) = transcript.find("#0001")
    assert found.body == "mine"
    assert transcript.find("", by=ME)[0].body == "mine"
    assert transcript.find("", not_by=ME)[0].body == "hers"
    assert transcript.find("#ffff") == []
    assert len(transcript.find("00")) == 3


def test_files_lose_their_offer_when_they_are_deleted() -> None:
    """A file is a message that can be taken back."""
    transcript = Transcript()
    offer = {
        **text("0001", ""), "kind": "file_offer", "display_name": "a\x1bb.png", "size": 7,
        "edited": None,
    }  # fmt: skip
    (entry,) = transcript.add_page([offer])
    assert entry.file is not None
    assert (entry.file.name, entry.file.size) == ("a�b.png", 7)
    transcript.take({**offer, "id": "0002" * 10, "edited": "0001" * 10})
    assert entry.is_deleted


@pytest.mark.parametrize(
    ("fields", "shown"),
    [
        ({"kind": "text", "body": "a\x1b[2Jb\tc\nd"}, "a�[2Jb    c\nd"),
        ({"kind": "call", "duration_ms": None}, "began a call"),
        ({"kind": "call", "duration_ms": 61_000}, "called, 61 s"),
        ({"kind": "member_event", "action": "ban"}, "banned"),
        ({"kind": "initial"}, "began the conversation"),
        ({"kind": "vote"}, "voted"),
        ({"kind": "file_offer", "display_name": ""}, "a file"),
        ({"kind": "unknown", "type": "application/x\n"}, "application/x"),
        ({"kind": "odd_thing"}, "odd thing"),
    ],
)
def test_every_kind_has_words(fields: dict[str, Any], shown: str) -> None:
    """And what others wrote cannot control a terminal."""
    assert shown in words(fields)


def test_merges_are_not_shown() -> None:
    """They say nothing to read, but count as loaded."""
    transcript = Transcript()
    assert transcript.add_page([{**text("0001", ""), "kind": "merge"}]) == []
    assert transcript.oldest == "0001" * 10
