"""Records of conversations and invitations, in Jami's shapes."""

from __future__ import annotations

from contextlib import suppress

import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shoal.core import AccountId, CommitId, ConversationId, DecodeError
from shoal.swarm import records
from shoal.swarm.contents import Mode
from shoal.swarm.records import (
    ConversationInfo,
    ConversationRequest,
    pack_infos,
    pack_requests,
    unpack_infos,
    unpack_requests,
)

IDS = st.binary(min_size=20, max_size=20)
TIMES = st.integers(0, 2**52)
INFOS = st.builds(
    ConversationInfo,
    IDS.map(ConversationId),
    TIMES,
    TIMES,
    TIMES,
    st.lists(IDS.map(AccountId), max_size=3).map(tuple),
    st.none() | IDS.map(CommitId),
    st.sampled_from(Mode),
)
TEXTS = st.text(max_size=5)
REQUESTS = st.builds(
    ConversationRequest,
    IDS.map(ConversationId),
    IDS.map(AccountId),
    st.dictionaries(TEXTS, TEXTS, max_size=3).map(lambda found: tuple(sorted(found.items()))),
    TIMES,
    TIMES,
)


@given(st.lists(INFOS, max_size=3), st.lists(REQUESTS, max_size=3))
def test_round_trip(infos: list[ConversationInfo], requests: list[ConversationRequest]) -> None:
    """What is written is read."""
    known = {info.id: info for info in infos}
    waiting = {request.conversation: request for request in requests}

    assert unpack_infos(pack_infos(known)) == known
    assert unpack_requests(pack_requests(waiting)) == waiting


def test_as_debians_jami_writes() -> None:
    """Seconds, no mode, members as ids or as maps."""
    identifier = "bd0044b66d129c6ef7d9a167f7e26914fe9e0e57"
    member = "0b9a824ba5363cfb4a9e40bfb51f59fa93fa5c69"
    found = {
        identifier: {
            "id": identifier,
            "created": 1_795_218_083,
            "removed": 1_795_218_178,
            "erased": 1_795_218_179,
            "members": [member, {"uri": member}, 5],
            "lastDisplayed": "none",
        }
    }
    (info,) = unpack_infos(msgpack.packb(found)).values()

    assert info.created_ms == 1_795_218_083_000
    assert info.is_removed
    assert info.members == (AccountId.from_hex(member),) * 2
    assert info.last_displayed is None
    request = {
        identifier: {
            "from": member,
            "conversationId": identifier,
            "metadatas": {"title": "Charlie"},
            "received": 1_795_218_311,
            "declined": 0,
        }
    }
    (invited,) = unpack_requests(msgpack.packb(request)).values()
    assert (invited.title, invited.mode) == ("Charlie", Mode.ONE_TO_ONE)
    assert invited.received_ms == 1_795_218_311_000


def test_two_devices_know_together() -> None:
    """The latest of each; adding again after leaving brings it back."""
    identifier = ConversationId(bytes(20))
    left = ConversationInfo(identifier, 1_000, 2_000)
    again = ConversationInfo(identifier, 3_000)

    assert left.is_removed
    assert not left.merged_with(again).is_removed
    assert left.merged_with(again) == again.merged_with(left)


@pytest.mark.parametrize("data", [b"", b"\x90", b"\xc1", msgpack.packb(5)])
def test_nonsense(data: bytes) -> None:
    """What is no map is a DecodeError; entries that make no sense are left out."""
    with pytest.raises(DecodeError):
        unpack_infos(data)
    with pytest.raises(DecodeError):
        unpack_requests(data)


def test_entries_that_make_no_sense() -> None:
    """One that cannot be read does not cost the others."""
    good = ConversationInfo(ConversationId(bytes(20)), 1)
    packed = {"a": 5, "b": {}, "c": {"id": "x"}, "d": good.to_map()}
    assert list(unpack_infos(msgpack.packb(packed)).values()) == [good]
    big = {"conversationId": "0" * 40, "from": "0" * 40}
    big["metadatas"] = {"avatar": "x" * (records.METADATA_SIZE_MAX + 1)}  # type: ignore[assignment]
    assert unpack_requests(msgpack.packb({"a": big, "b": 5})) == {}


def test_sizes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Files that are too large are not read."""
    monkeypatch.setattr(records, "RECORDS_SIZE_MAX", 1)
    with pytest.raises(DecodeError):
        unpack_infos(b"\x80\x80")


def test_odd_modes() -> None:
    """A mode that nobody knows counts as an ordinary group."""
    odd = ConversationRequest(ConversationId(bytes(20)), AccountId(bytes(20)), (("mode", "x"),))
    assert odd.mode is Mode.INVITES_ONLY


@given(st.recursive(st.none() | st.integers() | st.text() | st.binary(), st.lists))
def test_any_object(found: object) -> None:
    """Any msgpack is records or a DecodeError."""
    with suppress(DecodeError, OverflowError):
        unpack_infos(msgpack.packb({"a": found}))
    with suppress(DecodeError, OverflowError):
        unpack_requests(msgpack.packb(found))
