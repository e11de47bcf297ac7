"""How far members have come: Jami's shape, any bytes, and what follows for messages."""

from __future__ import annotations

from contextlib import suppress

import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shoal.core import AccountId, CommitId, ConversationId, DecodeError, DeviceId
from shoal.swarm import marks
from shoal.swarm.commits import Commit
from shoal.swarm.history import Graph
from shoal.swarm.marks import (
    Marks,
    MessageStatus,
    least,
    pack_all_marks,
    pack_marks,
    statuses_of,
    unpack_all_marks,
    unpack_marks,
)

COMMITS = st.binary(min_size=20, max_size=20).map(CommitId)
SECONDS = st.integers(0, 2**43 - 1)
MARKS = st.one_of(
    st.builds(Marks, COMMITS, SECONDS),
    st.builds(Marks, st.none(), st.just(0), COMMITS, SECONDS),
    st.builds(Marks, COMMITS, SECONDS, COMMITS, SECONDS),
)
OF_ONE = st.dictionaries(st.binary(min_size=20, max_size=20).map(AccountId), MARKS, max_size=3)
OF_ALL = st.dictionaries(
    st.binary(min_size=20, max_size=20).map(ConversationId), OF_ONE, max_size=3
)
ALICE, BOB, CARLA = (AccountId(bytes([number]) * 20) for number in (1, 2, 3))


@given(OF_ONE, OF_ALL)
def test_round_trip(
    of_one: dict[AccountId, Marks], of_all: dict[ConversationId, dict[AccountId, Marks]]
) -> None:
    """What is written is read."""
    assert unpack_marks(pack_marks(of_one)) == of_one
    assert unpack_all_marks(pack_all_marks(of_all)) == of_all


def test_as_jami_of_2026_writes() -> None:
    """Texts, of which some may be missing or empty."""
    commit = "bd0044b66d129c6ef7d9a167f7e26914fe9e0e57"
    found = {
        str(ALICE): {"fetched": commit, "fetched_ts": "1795217831", "read": ""},
        str(BOB): {"read": commit, "read_ts": "not a number"},
        "nobody": {"read": commit},
        str(CARLA): "nothing",
    }

    assert unpack_marks(msgpack.packb(found)) == {
        ALICE: Marks(CommitId.from_hex(commit), 1795217831),
        BOB: Marks(displayed=CommitId.from_hex(commit)),
    }


@given(st.binary())
def test_any_bytes(data: bytes) -> None:
    """Marks or `DecodeError`."""
    for unpack in (unpack_marks, unpack_all_marks):
        with suppress(DecodeError):
            unpack(data)


def test_what_is_too_large(monkeypatch: pytest.MonkeyPatch) -> None:
    """Refused before it is unpacked."""
    monkeypatch.setattr(marks, "MARKS_SIZE_MAX", 10)
    with pytest.raises(DecodeError):
        unpack_marks(bytes(11))
    with pytest.raises(DecodeError):
        unpack_marks(msgpack.packb([]))
    assert unpack_all_marks(msgpack.packb({"x": {}, 1: {}})) == {}


def graph_of(parents: dict[str, str]) -> Graph:
    """Return a graph of commits called by letters, each with those of its parents."""
    graph = Graph()
    for second, (name, before) in enumerate(parents.items()):
        commit = Commit(
            commit_id(name),
            bytes(20),
            tuple(map(commit_id, before)),
            "",
            DeviceId(bytes(32)),
            second,
            b"",
            None,
            b"",
        )
        graph.add(commit)
    return graph


def commit_id(name: str) -> CommitId:
    """Return the id of a commit called by a letter."""
    return CommitId(name.encode() * 20)


def test_a_mark_covers_what_came_before_it() -> None:
    """Not what was said beside it; an unknown mark covers nothing."""
    graph = graph_of({"a": "", "b": "a", "c": "a", "d": "bc", "e": "d"})
    found = statuses_of(
        graph,
        commit_id("e"),
        map(commit_id, "abce"),
        {
            ALICE: Marks(fetched=commit_id("d"), displayed=commit_id("b")),
            BOB: Marks(fetched=commit_id("c")),
            CARLA: Marks(fetched=commit_id("z")),
        },
    )

    displayed, delivered, sent = (
        MessageStatus.DISPLAYED,
        MessageStatus.DELIVERED,
        MessageStatus.SENT,
    )
    assert {key: list(each.values()) for key, each in found.items()} == {
        commit_id("a"): [displayed, delivered, sent],
        commit_id("b"): [displayed, sent, sent],
        commit_id("c"): [delivered, delivered, sent],
        commit_id("e"): [MessageStatus.SENDING] * 3,
    }
    assert least(found[commit_id("a")].values()) is sent
    assert least(()) is MessageStatus.SENDING
