"""Files that others fetch from us."""

from __future__ import annotations

import itertools
from dataclasses import replace

from shoal.core import CommitId, ConversationId, DeviceId, Persist
from shoal.transfer import effects as fx
from shoal.transfer.channel_wire import FileId, FileRequest
from shoal.transfer.config import TransferConfig
from shoal.transfer.effects import TransferState
from shoal.transfer.errors import FileChangedError, FolderError, InvalidOfferError
from shoal.transfer.records import HeldFile, Stamp, unpack_held
from shoal.transfer.serving import Serving

OWN = DeviceId(bytes(32))
PEER = DeviceId(b"p" * 32)
CONVERSATION = ConversationId(b"c" * 20)
COMMIT = CommitId(b"m" * 20)
SIZE = 100_000
HELD = HeldFile(CONVERSATION, COMMIT, "77", "/x/film.bin", "ab" * 64, Stamp(SIZE, 1, 2))


def request(
    start: int = 0, end: int = 0, *, tid: str = "77", commit: CommitId = COMMIT
) -> FileRequest:
    """What a peer asks for."""
    return FileRequest(CONVERSATION, PEER, FileId(commit, tid, "bin"), start, end)


def serving(**limits: float) -> Serving:
    """Serve one file."""
    return Serving(OWN, [HELD], TransferConfig(**limits))  # type: ignore[arg-type]


def stream(place: Serving, channel: int = 1, wanted: FileRequest | None = None) -> fx.StreamFile:
    """Let a peer ask, and find all in order."""
    wanted = wanted or request()
    assert place.accepts(PEER, wanted)
    assert place.accepted(channel, PEER, wanted, 0.0) == [fx.CheckHeld(channel, HELD, wanted)]
    effects = place.held_checked(channel, HELD, 0.0)
    (found,) = [each for each in effects if isinstance(each, fx.StreamFile)]
    return found


def test_a_file_is_sent() -> None:
    """Whole, with progress and an end."""
    place = serving()
    assert stream(place) == fx.StreamFile(1, HELD, 0, SIZE)
    assert place.streamed(1, SIZE // 2, 0.1) == []  # not so soon
    (told,) = place.streamed(1, SIZE // 4, 1.0)
    assert isinstance(told, fx.TransferChanged)
    assert (told.transfer.done, told.transfer.device) == (SIZE * 3 // 4, PEER)
    assert told.transfer.name == "film.bin"
    assert place.transfers(1.0)[0].state is TransferState.RUNNING
    assert place.streamed(1, SIZE // 4, 2.0) == []
    (ended,) = place.channel_closed(1, 2.1)
    assert isinstance(ended, fx.TransferChanged)
    assert ended.transfer.state is TransferState.DONE
    assert place.stats.served == 1
    assert place.transfers(3.0) == []


def test_parts() -> None:
    """From where to where: never before the start, never beyond the end."""
    numbers = itertools.count(1)
    for (start, end), expected in {
        (10, 0): (10, SIZE),
        (10, 20): (10, 20),
        (0, SIZE * 2): (0, SIZE),
        (SIZE, 0): (SIZE, SIZE),
        (SIZE * 2, 0): (SIZE, SIZE),
        (20, 10): (20, 20),
        (2**63, 2**63): (SIZE, SIZE),
    }.items():
        found = stream(serving(), next(numbers), request(start, end))
        assert (found.start, found.end) == expected


def test_who_stops_before_the_end() -> None:
    """It is told, and counted."""
    place = serving()
    stream(place)
    place.streamed(1, 10, 0.1)
    (ended,) = place.channel_closed(1, 0.2)
    assert isinstance(ended, fx.TransferChanged)
    assert ended.transfer.state is TransferState.CANCELED
    assert place.stats.broken == 1


def test_what_is_declined() -> None:
    """Other files, other messages, our own id as the opener's."""
    place = serving()
    own = FileRequest(CONVERSATION, OWN, FileId(COMMIT, "77"))
    elsewhere = FileRequest(ConversationId(bytes(20)), PEER, FileId(COMMIT, "77"))
    for wanted in (request(tid="78"), request(commit=CommitId(bytes(20))), own, elsewhere):
        assert not place.accepts(PEER, wanted)
        assert place.accepted(9, PEER, wanted, 0.0) == [fx.CloseChannel(9)]
    assert place.stats.declined == 8


def test_each_has_a_share() -> None:
    """A device takes so many at a time, all together so many."""
    place = serving(uploads_per_device=2, uploads_max=3)
    stream(place, 1)
    stream(place, 2)
    assert not place.accepts(PEER, request())
    other = DeviceId(b"q" * 32)
    assert place.accepts(other, request())
    place.accepted(3, other, request(), 0.0)
    assert not place.accepts(DeviceId(b"r" * 32), request())
    place.channel_closed(1, 0.0)
    assert place.accepts(PEER, request())


def test_a_peer_that_takes_nothing() -> None:
    """It loses the channel, in time."""
    place = serving(upload_stall=10.0)
    stream(place)
    assert place.next_deadline() == 10.0
    place.streamed(1, 10, 5.0)
    assert place.next_deadline() == 15.0
    assert place.advance(10.0) == []
    closed, told = place.advance(15.0)
    assert closed == fx.CloseChannel(1)
    assert isinstance(told, fx.TransferChanged)
    assert place.next_deadline() is None


def test_a_file_that_changed() -> None:
    """It is closed without a byte, told, and served no more."""
    place = serving()
    place.accepted(1, PEER, request(), 0.0)
    error = FileChangedError("/x/film.bin", "it has another size")
    closed, kept, lost = place.held_failed(1, error, 0.0)
    assert closed == fx.CloseChannel(1)
    assert isinstance(kept, Persist)
    assert unpack_held(kept.data) == []
    assert lost == fx.FileLost(CONVERSATION, COMMIT, error)
    assert not place.accepts(PEER, request())
    assert place.held_failed(1, error, 0.0) == []


def test_a_file_that_cannot_be_read_now() -> None:
    """It is closed without a byte, and served once it can be."""
    place = serving()
    place.accepted(1, PEER, request(), 0.0)
    error = FolderError("/x/film.bin", "too many open files")
    assert place.held_failed(1, error, 0.0) == [fx.CloseChannel(1)]
    assert place.stats.lost == 0
    assert stream(place, 2) == fx.StreamFile(2, HELD, 0, SIZE)


def test_a_message_that_a_peer_made_up() -> None:
    """It takes nothing from us, neither before the true one is known nor after."""
    early = HeldFile(CONVERSATION, None, "77", HELD.path, HELD.sha3_512, HELD.stamp)
    forged = request(commit=CommitId(b"f" * 20))
    place = Serving(OWN, [early], TransferConfig())
    for channel in (1, 2):
        assert place.accepts(PEER, forged)
        place.accepted(channel, PEER, forged, 0.0)
    assert place.held_failed(1, InvalidOfferError(), 0.0) == [fx.CloseChannel(1)]
    assert place.held() == [early]
    place.offered(early, COMMIT)
    assert place.held_failed(2, InvalidOfferError(), 0.0) == [fx.CloseChannel(2)]
    assert place.let_go(early) == []
    assert place.held() == [HELD]


def test_a_message_that_is_just_being_written() -> None:
    """Who sees it may ask at once; what it says then is kept."""
    held = HELD
    early = HeldFile(CONVERSATION, None, "77", HELD.path, HELD.sha3_512, HELD.stamp)
    place = Serving(OWN, [], TransferConfig())
    (kept,) = place.hold(early)
    assert isinstance(kept, Persist)
    assert kept.name == f"held/{CONVERSATION}"
    assert place.has(CONVERSATION, COMMIT, "77")
    assert place.find(CONVERSATION, COMMIT) is None
    place.accepted(1, PEER, request(), 0.0)
    first = place.held_checked(1, held, 0.0)[0]
    assert isinstance(first, Persist)
    assert unpack_held(first.data) == [early, held]
    assert place.find(CONVERSATION, COMMIT) == held
    (kept,) = place.offered(early, COMMIT)
    assert isinstance(kept, Persist)
    assert unpack_held(kept.data) == [held]
    assert place.held() == [held]


def test_a_copycat_displaces_nobody() -> None:
    """Another message with the same transfer id offers another file: each keeps its own."""
    copycat = CommitId(b"x" * 20)
    other = HeldFile(CONVERSATION, copycat, "77", "/x/other.bin", "cd" * 64, Stamp(9, 3, 4))
    place = serving()
    assert not place.has(CONVERSATION, copycat, "77")
    (kept,) = place.hold(other)
    assert isinstance(kept, Persist)
    assert unpack_held(kept.data) == [HELD, other]
    assert place.find(CONVERSATION, COMMIT) == HELD
    assert place.find(CONVERSATION, copycat) == other
    assert stream(place).held == HELD
    wanted = request(commit=copycat)
    assert place.accepted(2, PEER, wanted, 0.0) == [fx.CheckHeld(2, other, wanted)]
    place.delete(CONVERSATION, copycat, 0.0)
    assert place.held() == [HELD]
    assert stream(Serving(OWN, unpack_held(kept.data), TransferConfig())).held == HELD


def test_a_copycat_of_what_is_just_being_written() -> None:
    """Who is served by a message of their own takes the file from nobody else."""
    early = HeldFile(CONVERSATION, None, "77", HELD.path, HELD.sha3_512, HELD.stamp)
    forged = CommitId(b"f" * 20)
    place = Serving(OWN, [early], TransferConfig())
    place.accepted(1, PEER, request(commit=forged), 0.0)
    place.held_checked(1, replace(early, commit=forged), 0.0)
    assert place.accepts(PEER, request())
    place.offered(early, COMMIT)
    assert place.find(CONVERSATION, COMMIT) == HELD
    assert place.accepts(PEER, request())


def test_deletion() -> None:
    """Who fetches is cut off; a copy of ours goes, an original stays."""
    copy = HeldFile(CONVERSATION, COMMIT, "77", "/x", "ab" * 64, Stamp(SIZE, 1, 2), is_copy=True)
    for held, has_copy in ((HELD, False), (copy, True)):
        place = Serving(OWN, [held], TransferConfig())
        place.accepted(1, PEER, request(), 0.0)
        effects = place.delete(CONVERSATION, COMMIT, 0.0)
        assert effects[0] == fx.CloseChannel(1)
        assert (fx.RemoveCopy(held) in effects) is has_copy
        assert place.delete(CONVERSATION, COMMIT, 0.0) == []
        assert place.channel_closed(1, 0.0) == []


def test_leaving() -> None:
    """Nothing of a conversation that we left is served."""
    place = serving()
    stream(place)
    effects = place.forget(CONVERSATION, 0.0)
    assert fx.CloseChannel(1) in effects
    assert place.held() == []
    assert place.forget(CONVERSATION, 0.0) == []
