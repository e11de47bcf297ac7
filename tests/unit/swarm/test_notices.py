"""Notices, with samples that Jami wrote."""

from __future__ import annotations

import json
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shoal.core import AccountId, CommitId, ConversationId, DecodeError, DeviceId
from shoal.swarm import notices
from shoal.swarm.notices import (
    CommitNotice,
    ComposingNotice,
    DisplayedNotice,
    Invitation,
    InvitationWanted,
    read_notice,
    write_notice,
)
from shoal.swarm.records import ConversationRequest, pack_requests, unpack_requests

CONVERSATION = ConversationId.from_hex("bd0044b66d129c6ef7d9a167f7e26914fe9e0e57")
COMMIT = CommitId.from_hex("54ed90ebbffbb41d22ba3095cea1bda798d39199")
DEVICE = DeviceId.from_hex("faf4614920eaccd561a51030c6c11df0410ff2f4146ca2f6a3bb8ab600694ce3")
ALL = [
    CommitNotice(CONVERSATION, COMMIT, DEVICE),
    InvitationWanted(CONVERSATION),
    Invitation(CONVERSATION),
    Invitation(CONVERSATION, (("mode", "2"), ("title", "My group")), 1_795_218_311_000),
    DisplayedNotice(CONVERSATION, COMMIT),
    ComposingNotice(CONVERSATION, is_active=True),
    ComposingNotice(CONVERSATION, is_active=False),
]


@pytest.mark.parametrize("notice", ALL)
def test_round_trip(notice: notices.Notice) -> None:
    """What is written is read."""
    assert read_notice(*write_notice(notice)) == notice


def test_as_debians_jami_writes() -> None:
    """Indented, with a blank before the colon; a read mark over several lines."""
    text = (
        f'{{\n\t"commit" : "{COMMIT}",\n\t"deviceId" : "{DEVICE}",\n\t"id" : "{CONVERSATION}"\n}}'
    )
    assert read_notice("application/im-gitmessage-id", text) == ALL[0]
    text = (
        '<?xml version="1.0" encoding="utf-8" ?>\n'
        f"<imdn><message-id>{COMMIT}</message-id>\n"
        f"<conversation>{CONVERSATION}</conversation><display-notification>"
        "<status><displayed/></status></display-notification>\n</imdn>\n"
    )
    assert read_notice("message/imdn+xml; charset=utf-8", text) == ALL[4]


def test_what_is_no_notice() -> None:
    """Other types, and receipts for other things than reading, are none."""
    assert read_notice("text/plain", "hello") is None
    assert read_notice("message/imdn+xml", "<imdn></imdn>") is None


def test_long_fields_stay_out_of_invitations() -> None:
    """A picture that is too large is left out, the rest is sent."""
    long = Invitation(CONVERSATION, (("avatar", "x" * 64_000), ("title", "t")))
    assert read_notice(*write_notice(long)) == Invitation(CONVERSATION, (("title", "t"),))


@pytest.mark.parametrize("received", [-1, -(10**30), 0, True, 2**53, 10**30, "5", 1.5, None])
def test_an_invitation_that_cannot_be_kept(received: object) -> None:
    """Half a character, a time that is none: what is read of it can be written to a file."""
    fields = {
        "conversationId": str(CONVERSATION),
        "metadatas": {"title": "\ud800!", "\udfff": ""},
        "receivedMs": received,
    }
    found = read_notice(notices.INVITE_JSON, json.dumps(fields))

    assert isinstance(found, Invitation)
    assert found == Invitation(CONVERSATION, (("?", ""), ("title", "?!")))
    kept = ConversationRequest(CONVERSATION, AccountId(bytes(20)), found.metadata, 5)
    assert unpack_requests(pack_requests({CONVERSATION: kept})) == {CONVERSATION: kept}


@pytest.mark.parametrize(
    ("mime", "body"),
    [
        (notices.COMMIT, "no JSON"),
        (notices.COMMIT, "[]"),
        (notices.COMMIT, "[" * 60_000),
        (notices.COMMIT, "{}"),
        (notices.COMMIT, json.dumps({"id": 5})),
        (notices.INVITE, "nothing"),
        (notices.INVITE_JSON, "{}"),
        (notices.DISPLAYED, "<status><displayed/></status>"),
        (notices.COMPOSING, f"<conversation>{CONVERSATION}</conversation>"),
        (notices.COMPOSING, "x" * (notices.BODY_SIZE_MAX + 1)),
    ],
)
def test_nonsense(mime: str, body: str) -> None:
    """Each is a DecodeError."""
    with pytest.raises(DecodeError):
        read_notice(mime, body)


MIMES = st.sampled_from(
    [notices.COMMIT, notices.INVITE, notices.INVITE_JSON, notices.DISPLAYED, notices.COMPOSING]
)


@given(MIMES, st.text())
def test_any_text(mime: str, body: str) -> None:
    """Text is a notice, none, or a DecodeError."""
    with suppress(DecodeError):
        read_notice(mime, body)
