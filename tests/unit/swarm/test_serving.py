"""Serving: what is shown, what is refused."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shoal.swarm import Conversation, MemoryStore
from shoal.swarm.contents import Text
from shoal.swarm.fetching import Send
from shoal.swarm.pkt_line import FLUSH, encode
from shoal.swarm.serving import LINES_MAX, SendPack, Served, ServeEngine, ServeFailed
from tests.unit.swarm.people import ALICE, WALL_NOW, begin, who

CONVERSATION = begin()
CONVERSATION.say(Text("hello"), WALL_NOW)
TIP = str(CONVERSATION.head).encode()
REQUEST = encode(b"git-upload-pack /%s\0host=x\0" % str(CONVERSATION.id).encode())
WANT = encode(b"want " + TIP + b" side-band-64k include-tag \n") + FLUSH


def engine() -> ServeEngine:
    """An end that serves."""
    return ServeEngine(CONVERSATION.id, CONVERSATION.store, CONVERSATION.graph)


def test_only_the_main_branch_is_shown() -> None:
    """HEAD with the capabilities, main, and no notes about peers."""
    (sent,) = engine().receive(REQUEST, 0.0)

    assert isinstance(sent, Send)
    assert sent.data == (
        encode(TIP + b" HEAD\0side-band side-band-64k shallow no-progress include-tag\n")
        + encode(TIP + b" refs/heads/main\n")
        + FLUSH
    )


def test_version_1_is_answered_with_its_name() -> None:
    """A client that offers version 1 hears so first."""
    request = encode(b"git-upload-pack /%s\0host=x\0\0version=1\0" % str(CONVERSATION.id).encode())
    (sent,) = engine().receive(request, 0.0)

    assert isinstance(sent, Send)
    assert sent.data.startswith(b"000eversion 1\n")


def test_a_clone_in_one_packet() -> None:
    """Want, flush and done may come at once; NAK and the pack follow, and what was served."""
    server = engine()
    server.receive(REQUEST, 0.0)
    nak, pack, served = server.receive(WANT + encode(b"done\n"), 0.0)

    assert nak == Send(encode(b"NAK\n"))
    assert isinstance(pack, SendPack)
    assert served == Served(CONVERSATION.head)
    *_, last = pack.pieces
    assert last == FLUSH
    assert len(server.receive(FLUSH + REQUEST, 0.0)) == 1  # the next fetch on the same channel


def test_haves_in_rounds() -> None:
    """libgit2 flushes between batches of haves, and is told what is common."""
    server = engine()
    server.receive(REQUEST + WANT, 0.0)
    first = encode(b"have " + TIP + b"\n")

    (answer,) = server.receive(first + encode(b"have " + b"1" * 40 + b"\n") + FLUSH, 0.0)
    assert answer == Send(encode(b"ACK " + TIP + b" continue\n") + encode(b"NAK\n"))
    acknowledged, _, _ = server.receive(encode(b"done\n"), 0.0)
    assert acknowledged == Send(encode(b"ACK " + TIP + b"\n"))


def test_nothing_new() -> None:
    """A flush instead of a want tells that the peer has all of it."""
    server = engine()
    server.receive(REQUEST, 0.0)
    assert server.receive(FLUSH, 0.0) == [Served(CONVERSATION.head)]


@pytest.mark.parametrize(
    "data",
    [
        encode(b"git-receive-pack /%s\0host=x\0" % str(CONVERSATION.id).encode()),
        encode(b"git-upload-pack /%s\0host=x\0" % (b"1" * 40)),
        encode(b"git-upload-pack /../etc\0host=x\0"),
        b"zzzz",
        REQUEST + encode(b"want " + b"1" * 40 + b"\n"),
        REQUEST + encode(b"have " + TIP + b"\n"),
        REQUEST + WANT + encode(b"want " + TIP + b"\n"),
        REQUEST + WANT + encode(b"have it\n"),
        REQUEST + encode(b"want " + TIP + b"\n") * (LINES_MAX + 1),
    ],
)
def test_requests_that_make_no_sense(data: bytes) -> None:
    """Each ends the channel with a reason, and nothing more is answered."""
    server = engine()
    *_, last = server.receive(data, 0.0)

    assert isinstance(last, ServeFailed)
    assert last.reason
    assert server.receive(REQUEST, 0.0) == []


def test_an_empty_repository_serves_nothing() -> None:
    """Before the clone has ended there is nothing to give."""
    empty = Conversation(MemoryStore(), who(ALICE))
    server = ServeEngine(CONVERSATION.id, empty.store, empty.graph)

    assert isinstance(server.receive(REQUEST, 0.0)[0], ServeFailed)


def test_shallow_is_passed_over() -> None:
    """Histories are given whole, whatever depth is asked for."""
    server = engine()
    server.receive(REQUEST, 0.0)
    assert server.receive(encode(b"deepen 1\n"), 0.0) == []


@given(
    st.lists(st.binary(max_size=60), max_size=5), st.sampled_from([b"", REQUEST, REQUEST + WANT])
)
def test_any_bytes(pieces: list[bytes], start: bytes) -> None:
    """Whatever a peer says, we do not raise."""
    server = engine()
    server.receive(start, 0.0)
    for piece in pieces:
        for effect in server.receive(piece, 1.0):
            assert isinstance(effect, Send | SendPack | Served | ServeFailed)
