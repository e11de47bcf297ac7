"""Fetching: two engines on a wire, and peers that make no sense."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shoal.swarm import MemoryStore
from shoal.swarm.contents import Text
from shoal.swarm.fetching import (
    REFS_MAX,
    Fetched,
    FetchEffect,
    FetchEngine,
    FetchFailed,
    ObjectsArrived,
    Send,
)
from shoal.swarm.pkt_line import FLUSH, encode
from tests.unit.swarm.people import ALICE, BOB, WALL_NOW, add, begin, who
from tests.unit.swarm.wire import Wire

if TYPE_CHECKING:
    from shoal.swarm import Conversation


def history(length: int = 3) -> Conversation:
    """A conversation in which alice has said something."""
    conversation = begin()
    for number in range(length):
        conversation.say(Text(f"message {number}"), WALL_NOW + number)
    return conversation


@pytest.mark.parametrize("cut", [1, 13, 65_535])
def test_clone(cut: int) -> None:
    """Everything arrives, however the packets are cut on the way to us."""
    source, store = history(), MemoryStore()
    wire = Wire(source, store, cut)

    assert wire.fetch((), lambda commit: False) == Fetched(source.head, is_new=True)
    assert store.objects == source.store.objects  # type: ignore[attr-defined]


def test_only_news_travel() -> None:
    """What we have is not sent again; when there is nothing new, nothing is."""
    source, store = history(), MemoryStore()
    wire = Wire(source, store)
    wire.fetch((), lambda commit: False)
    known = source.head
    wire.arrived.clear()

    assert wire.fetch((known,), known.__eq__) == Fetched(known, is_new=False)
    assert not wire.arrived
    source.say(Text("news"), WALL_NOW)
    assert wire.fetch((known,), known.__eq__) == Fetched(source.head, is_new=True)
    assert len(wire.arrived) == 1  # the commit; its tree and blobs are known
    add(source, BOB)
    wire.arrived.clear()
    assert wire.fetch((known,), known.__eq__) == Fetched(source.head, is_new=True)
    assert store.objects.keys() >= source.store.objects.keys()  # type: ignore[attr-defined]


def test_haves_that_the_peer_does_not_know() -> None:
    """They are passed over, and the whole is sent where nothing is common."""
    source, other = history(), history(5)
    store = MemoryStore()
    wire = Wire(source, store)

    assert wire.fetch((other.head,), lambda commit: False) == Fetched(source.head, is_new=True)
    assert store.objects.keys() == source.store.objects.keys()  # type: ignore[attr-defined]


def engine() -> tuple[FetchEngine, list[FetchEffect]]:
    """An engine that has asked."""
    conversation = begin()
    fetch = FetchEngine(conversation.id, who(ALICE).device_id, MemoryStore())
    return fetch, fetch.fetch((), lambda commit: False, 0.0)


def test_the_first_words() -> None:
    """The request names conversation and device, in one line."""
    conversation = begin()
    host = who(BOB).device_id
    fetch = FetchEngine(conversation.id, host, MemoryStore())
    (sent,) = fetch.fetch((), lambda commit: False, 0.0)

    assert isinstance(sent, Send)
    assert sent.data == b"0084git-upload-pack /%s\0host=%s\0" % (
        str(conversation.id).encode(),
        str(host).encode(),
    )


HEAD = encode(b"a" * 40 + b" HEAD\0side-band-64k\n") + FLUSH


@pytest.mark.parametrize(
    "answer",
    [
        FLUSH,
        b"zzzz",
        encode(b"not-an-id HEAD"),
        encode(b"a" * 40 + b" refs/remotes/origin/main\n") * (REFS_MAX + 1),
        encode(b"a" * 5_000),
        HEAD + encode(b"ERR no such repository"),
        HEAD + encode(b"what"),
        HEAD + FLUSH,
        HEAD + encode(b"NAK\n") + FLUSH,
        HEAD + encode(b"NAK\n") + encode(b"\3out of memory"),
        HEAD + encode(b"NAK\n") + encode(b"\1KCAP" + bytes(20)),
    ],
)
def test_peers_that_make_no_sense(answer: bytes) -> None:
    """Each ends the fetch with a reason; nothing that comes later counts."""
    fetch, _ = engine()

    *_, last = fetch.receive(answer, 1.0)
    assert isinstance(last, FetchFailed)
    assert last.reason
    assert fetch.receive(answer, 2.0) == []
    assert fetch.receive_eof(3.0) == []


def test_progress_is_passed_over() -> None:
    """Words in between are for people; rounds of ACK may come before the last."""
    fetch, _ = engine()
    fetch.receive(HEAD, 1.0)

    assert fetch.receive(encode(b"ACK " + b"a" * 40 + b" continue\n"), 1.0) == []
    assert fetch.receive(encode(b"NAK\n") + encode(b"\2Counting") + encode(b"NAK\n"), 1.0) == []
    assert fetch.is_busy


def test_the_channel_closes() -> None:
    """In the middle of a fetch that is a failure; between two it is not."""
    fetch, _ = engine()
    assert isinstance(fetch.receive_eof(1.0)[0], FetchFailed)
    idle = FetchEngine(begin().id, who(ALICE).device_id, MemoryStore())
    assert idle.receive_eof(1.0) == []
    idle = FetchEngine(begin().id, who(ALICE).device_id, MemoryStore())
    assert isinstance(idle.receive(encode(b"unasked"), 1.0)[0], FetchFailed)


@given(
    st.lists(st.binary(max_size=60), max_size=5), st.sampled_from([b"", HEAD, HEAD + b"0008NAK\n"])
)
def test_any_bytes(pieces: list[bytes], start: bytes) -> None:
    """Whatever a peer says, we do not raise."""
    fetch, _ = engine()
    fetch.receive(start, 0.0)
    for piece in pieces:
        for effect in fetch.receive(piece, 1.0):
            assert isinstance(effect, Send | ObjectsArrived | Fetched | FetchFailed)
