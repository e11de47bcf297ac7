"""What commits say, with samples that Jami wrote."""

from __future__ import annotations

import json
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shoal.core import AccountId, CommitId, DecodeError
from shoal.swarm import contents
from shoal.swarm.commits import Commit
from shoal.swarm.contents import (
    Call,
    Content,
    Edit,
    FileOffer,
    Initial,
    MemberAction,
    MemberEvent,
    Merge,
    Mode,
    ProfileUpdate,
    Text,
    Unknown,
    Vote,
    conversation_id,
    read_content,
    write_content,
    write_fields,
)
from shoal.swarm.errors import InvalidMessageError
from tests.unit.swarm.people import ALICE, device, who

ACCOUNT = AccountId.from_hex("c81424f1cb1827a99c25c079837fea1afc66754a")
MESSAGE = CommitId.from_hex("fa935ae7" * 5)
SAMPLES = [
    (
        Initial(Mode.ONE_TO_ONE, ACCOUNT),
        f'{{"invited":"{ACCOUNT}","mode":0,"type":"initial"}}',
    ),
    (Initial(Mode.INVITES_ONLY), '{"mode":2,"type":"initial"}'),
    (Text("hello from a"), '{"body":"hello from a","type":"text/plain"}'),
    (
        Text("a reply é✓", reply_to=MESSAGE),
        f'{{"body":"a reply \\u00e9\\u2713","reply-to":"{MESSAGE}","type":"text/plain"}}',
    ),
    (
        Text("👍", react_to=MESSAGE),
        f'{{"body":"\\ud83d\\udc4d","react-to":"{MESSAGE}","type":"text/plain"}}',
    ),
    (
        Edit(MESSAGE, "hello edited"),
        f'{{"body":"hello edited","edit":"{MESSAGE}","type":"application/edited-message"}}',
    ),
    (
        MemberEvent(MemberAction.ADD, ACCOUNT),
        f'{{"action":"add","type":"member","uri":"{ACCOUNT}"}}',
    ),
    (Vote(str(ACCOUNT)), f'{{"type":"vote","uri":"{ACCOUNT}"}}'),
    (ProfileUpdate(), '{"type":"application/update-profile"}'),
    (
        FileOffer("6767098794034493", "nice name.bin", 256_000, "ab" * 64),
        '{"displayName":"nice name.bin","sha3sum":"' + "ab" * 64 + '","tid":"6767098794034493",'
        '"totalSize":"256000","type":"application/data-transfer+json"}',
    ),
    (
        FileOffer("", edited=MESSAGE),
        f'{{"edit":"{MESSAGE}","tid":"","type":"application/data-transfer+json"}}',
    ),
    (
        Call(27_666, ACCOUNT),
        f'{{"duration":"27666","to":"{ACCOUNT}","type":"application/call-history+json"}}',
    ),
    (
        Call(None, None, "8628368504946230", str(ACCOUNT), "ab" * 32),
        '{"confId":"8628368504946230","device":"' + "ab" * 32 + '",'
        f'"type":"application/call-history+json","uri":"{ACCOUNT}"}}',
    ),
    (Unknown("text/html", (("body", "<b>"),)), '{"body":"<b>","type":"text/html"}'),
]


def commit(message: bytes, parents: tuple[CommitId, ...] = ()) -> Commit:
    """A commit with that message."""
    return Commit.build(
        tree=bytes(20),
        parents=parents,
        name="",
        device=who(ALICE).device_id,
        wall_time=0,
        message=message,
        key=device(ALICE).private_key,
    )


@pytest.mark.parametrize(("content", "text"), SAMPLES)
def test_samples(content: Content, text: str) -> None:
    """Each kind is written as Jami writes it, and read back."""
    assert write_content(content).decode() == text
    assert read_content(commit(text.encode())) == content


def test_the_newer_edit_is_read() -> None:
    """Jami of 2026 edits with a text that names what it edits."""
    text = f'{{"body":"x","edit":"{MESSAGE}","type":"text/plain"}}'

    assert read_content(commit(text.encode())) == Edit(MESSAGE, "x")


def test_numbers_may_be_numbers() -> None:
    """`totalSize` is text by custom only; objects in a message are kept as text."""
    text = b'{"type":"application/data-transfer+json","tid":"1","totalSize":5}'
    assert read_content(commit(text)) == FileOffer("1", size=5)
    nested = read_content(commit(b'{"type":"x/y","a":{"b":[1]}}'))
    assert nested == Unknown("x/y", (("a", '{"b": [1]}'),))


def test_merges() -> None:
    """Two parents make a merge; its message alone does not."""
    message = f"Merge commit '{MESSAGE}'".encode()
    parents = (MESSAGE, CommitId(bytes(20)))

    assert read_content(commit(message, parents)) == Merge()
    with pytest.raises(DecodeError):
        read_content(commit(message))
    with pytest.raises(InvalidMessageError):
        write_content(Merge())


def test_ids_of_conversations() -> None:
    """A conversation is named after its first commit."""
    first = commit(b'{"mode":2,"type":"initial"}')
    assert conversation_id(first) == first.id


def test_nothing_nested_is_written() -> None:
    """An object in a message stops Debian's Jami from loading the conversation, for ever."""
    with pytest.raises(InvalidMessageError):
        write_fields({"type": "x/y", "a": {"b": 1}})  # type: ignore[dict-item]
    with pytest.raises(InvalidMessageError):
        write_fields({"type": "text/plain", "body": "x" * contents.BODY_SIZE_MAX})


@pytest.mark.parametrize(
    "message",
    [
        b"",
        b"[]",
        b"{}",
        b'{"type":""}',
        b'{"type":"initial","mode":9}',
        b'{"type":"member","action":"add","uri":"xyz"}',
        b'{"type":"member","action":"praise","uri":""}',
        b'{"type":"application/edited-message","body":"x"}',
        b'{"type":"text/plain","reply-to":"12"}',
        b'{"type":"application/call-history+json","duration":"soon"}',
        b'{"type":"application/call-history+json","duration":1.5}',
        b"[" * 100_000,
        json.dumps({str(n): n for n in range(contents.FIELDS_MAX + 1)}).encode(),
    ],
)
def test_bad_messages(message: bytes) -> None:
    """What makes no sense is a DecodeError."""
    with pytest.raises(DecodeError):
        read_content(commit(message))


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)
KEYS = st.sampled_from(
    ["type", "mode", "uri", "action", "edit", "body", "tid", "totalSize", "duration", "to"]
)
KINDS = st.sampled_from(["initial", "member", "vote", contents.TEXT, contents.FILE, contents.CALL])


@given(st.dictionaries(KEYS, JSON), KINDS | st.text())
def test_any_object(fields: dict[str, object], kind: str) -> None:
    """Any JSON object is content or a DecodeError."""
    message = json.dumps(fields | {"type": kind}).encode()
    with suppress(DecodeError):
        read_content(commit(message))
