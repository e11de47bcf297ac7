"""Downloads from peers of every kind, over crashes, on full disks."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shoal.core import CommitId, DeviceId
from shoal.transfer import effects as fx
from shoal.transfer.channel_wire import START_END, FileId, FileRequest
from shoal.transfer.config import TransferConfig
from shoal.transfer.effects import TransferState
from shoal.transfer.engine import PAST_MAX, TransferEngine
from shoal.transfer.errors import (
    DiskFullError,
    InvalidOfferError,
    NoSuchTransferError,
    TooManyTransfersError,
    TransferCanceledError,
    WrongContentError,
)
from shoal.transfer.records import HeldFile, Stamp, WantedFile
from tests.unit.transfer.world import CHUNK, CONVERSATION, OWN, Peer, World, device

CONTENT = bytes(range(256)) * 200  # 51,200 bytes: 52 packets, 2.6 seconds
COMMIT = CommitId(b"m" * 20)
HONEST = Peer("honest")
HABITS = st.one_of(
    st.sampled_from(["declines", "silent", "wrong", "long and wrong", "slow", "empty"]).map(Peer),
    st.builds(
        Peer, st.sampled_from(["short", "stalls", "wrong and short"]), st.integers(1, 40_000)
    ),
)


def world(*habits: str | Peer, **options: object) -> World:
    """A world with a peer for each habit."""
    peers = [each if isinstance(each, Peer) else Peer(each) for each in habits]
    config = options.pop("config", None)
    assert config is None or isinstance(config, TransferConfig)
    return World(CONTENT, {device(n): peer for n, peer in enumerate(peers, 1)}, config)


def fetch(place: World, seconds: float = 600.0) -> None:
    """Want the file, and wait."""
    place.do(lambda now: place.engine.download(place.wanted(COMMIT), now))
    place.run(seconds)


def test_from_one_source() -> None:
    """It comes, its progress is told, and its end."""
    place = world("honest")
    fetch(place)
    assert place.whole == {COMMIT: CONTENT}
    assert place.starts == [(device(1), 0)]
    states = [each.state for each in place.told]
    assert states[0] is TransferState.CONNECTING
    assert states[-2:] == [TransferState.CHECKING, TransferState.DONE]
    running = [each for each in place.told if each.state is TransferState.RUNNING]
    assert 5 < len(running) < 20  # four times a second, not at each packet
    assert running[-1].rate == pytest.approx(CHUNK / 0.05, rel=0.2)
    assert running[5].time_left == pytest.approx(
        (len(CONTENT) - running[5].done) / running[5].rate, rel=0.01
    )
    assert place.engine.transfer(COMMIT, 0.0).path == "/files/a.bin"


def test_an_empty_file_needs_nobody() -> None:
    """It is made."""
    place = World(b"", {})
    fetch(place, 1.0)
    assert place.whole == {COMMIT: b""}
    assert place.starts == []


@pytest.mark.parametrize(
    "habit",
    [
        *("declines", "silent", "wrong", "long and wrong", "slow", "empty"),
        *(Peer("short", 10_000), Peer("stalls", 10_000), Peer("wrong and short", 10_000)),
    ],
    ids=str,
)
def test_a_bad_source_then_a_good_one(habit: str | Peer) -> None:
    """Whatever the first does, the second brings the file."""
    place = world(habit, "honest")
    fetch(place)
    assert place.whole == {COMMIT: CONTENT}


def test_too_much_is_cut_off() -> None:
    """A source that goes on after the end is not read on; what it sent before is right."""
    place = world("long")
    fetch(place)
    assert place.whole == {COMMIT: CONTENT}
    assert place.sent < len(CONTENT) + 2 * CHUNK


def test_a_silent_source_holds_nobody_up() -> None:
    """After the stagger the next is asked besides."""
    place = world("silent", "honest")
    fetch(place, 10.0)
    assert place.whole == {COMMIT: CONTENT}


def test_what_a_short_source_gave_is_kept() -> None:
    """The next one is asked for the rest only."""
    place = world(Peer("short", 20_000), "honest")
    fetch(place)
    assert place.starts == [(device(1), 0), (device(2), 20_000)]


def test_only_liars() -> None:
    """With nobody else the download fails, and can be tried again."""
    place = world("wrong", "wrong")
    fetch(place)
    assert place.state(COMMIT) is TransferState.FAILED
    assert isinstance(place.engine.transfer(COMMIT, place.now).error, WrongContentError)
    assert not place.disk[COMMIT]
    place.peers[device(1)] = HONEST
    place.do(lambda now: place.engine.resume(COMMIT, now))
    place.run(600)
    assert place.whole == {COMMIT: CONTENT}


def test_a_liar_who_spoils_what_others_bring() -> None:
    """What several have brought and is wrong is fetched again from one alone."""
    place = world(Peer("wrong and short", 5_000), "honest", Peer("wrong and short", 7_000))
    fetch(place)
    assert place.whole == {COMMIT: CONTENT}
    assert place.sent <= 3 * len(CONTENT)


def test_nobody_is_there_until_somebody_comes() -> None:
    """It waits, looks again, and goes on at once when a device appears."""
    place = world("honest")
    place.online.clear()
    fetch(place, 100.0)
    assert place.state(COMMIT) is TransferState.WAITING
    place.online.append(device(1))
    place.do(lambda now: place.engine.appeared(device(1), [CONVERSATION], now))
    place.run(10)
    assert place.whole == {COMMIT: CONTENT}


def test_it_looks_again_by_itself() -> None:
    """Also when nobody tells that a device is online."""
    place = world("honest")
    place.online.clear()
    fetch(place, 1.0)
    place.online.append(device(1))
    place.run(60.0)
    assert place.whole == {COMMIT: CONTENT}


def test_a_source_that_goes_and_comes_back() -> None:
    """What it sent before is kept."""
    place = world("honest")
    fetch(place, 1.5)
    kept = len(place.disk[COMMIT])
    assert 0 < kept < len(CONTENT)
    place.online.clear()
    place.run(200)
    assert place.state(COMMIT) is TransferState.WAITING
    place.online.append(device(1))
    place.do(lambda now: place.engine.appeared(device(1), [CONVERSATION], now))
    place.run(10)
    assert place.whole == {COMMIT: CONTENT}
    assert place.sent == len(CONTENT)  # not a byte twice


def test_pause_resume_cancel() -> None:
    """Paused it rests, over a restart too; resumed it goes on; canceled it is gone."""
    place = world("honest")
    fetch(place, 1.5)
    place.do(lambda now: place.engine.pause(COMMIT, now))
    place.run(100)
    kept = len(place.disk[COMMIT])
    place.crash()
    place.run(100)
    assert place.state(COMMIT) is TransferState.PAUSED
    assert len(place.disk[COMMIT]) == kept
    place.do(lambda now: place.engine.resume(COMMIT, now))
    place.run(1)
    assert place.starts[-1] == (device(1), kept)
    place.do(lambda now: place.engine.cancel(COMMIT, now))
    assert place.disk == {}
    past = place.engine.transfer(COMMIT, place.now)
    assert past.state is TransferState.CANCELED
    assert isinstance(past.error, TransferCanceledError)
    place.crash()
    with pytest.raises(NoSuchTransferError):
        place.engine.transfer(COMMIT, place.now)
    for command in (place.engine.pause, place.engine.resume, place.engine.cancel):
        with pytest.raises(NoSuchTransferError):
            command(COMMIT, place.now)


def test_a_full_disk() -> None:
    """It fails, keeps what is there, and goes on once there is room."""
    place = world("honest")
    place.disk_size_max = 30_000
    fetch(place)
    assert place.state(COMMIT) is TransferState.FAILED
    assert isinstance(place.engine.transfer(COMMIT, place.now).error, DiskFullError)
    assert len(place.disk[COMMIT]) == 30_000
    place.disk_size_max = 1 << 60
    place.do(lambda now: place.engine.download(place.wanted(COMMIT), now))
    place.run(10)
    assert place.whole == {COMMIT: CONTENT}
    assert place.starts[-1] == (device(1), 30_000)


def test_a_part_that_is_damaged() -> None:
    """What an earlier run left is checked with the rest, and fetched anew where it is wrong."""
    for left in (b"x" * 10_000, b"x" * len(CONTENT), b"x" * (len(CONTENT) + 1)):
        place = world("honest")
        place.disk[COMMIT] = bytearray(left)
        fetch(place)
        assert place.whole == {COMMIT: CONTENT}


def test_turns() -> None:
    """So many are fetched at a time, the others have their turn; all come."""
    place = world("honest", config=TransferConfig(downloads_max=2, waiting_max=6))
    commits = [CommitId(bytes([n]) * 20) for n in range(6)]
    for commit in commits:
        place.do(lambda now, c=commit: place.engine.download(place.wanted(c), now))  # type: ignore[misc]
        place.run(0.01)
    states = [place.state(commit) for commit in commits]
    assert states.count(TransferState.QUEUED) == 4
    with pytest.raises(TooManyTransfersError):
        place.engine.download(place.wanted(COMMIT), place.now)
    place.run(60)
    assert set(place.whole) == set(commits)


def test_automatic_ones_are_fewer() -> None:
    """Files that nobody asked for cannot fill the list."""
    place = world("declines", config=TransferConfig(accept_waiting_max=1))
    wanted = replace(place.wanted(COMMIT), is_automatic=True)
    place.do(lambda now: place.engine.download(wanted, now))
    assert place.engine.download(wanted, 0.0) == []  # again
    with pytest.raises(TooManyTransfersError):
        place.engine.download(replace(wanted, commit=CommitId(bytes(20))), 0.0)
    assert place.engine.download(place.wanted(CommitId(bytes(20))), 0.0)


WALL = 1_700_000_000.0  # a time of day


def offered(engine: TransferEngine, wanted: WantedFile, wall_offered: float = WALL) -> bool:
    """Offer a file that nobody has asked for; say whether it is fetched."""
    return bool(engine.offer(wanted, wall_offered, WALL, 0.0))


def test_what_is_fetched_unasked() -> None:
    """What is small and new, by the limits, and only once."""
    wanted = world().wanted(COMMIT)
    old = WALL - 100.5
    for config, wall_offered, is_fetched in (
        (TransferConfig(accept_max=len(CONTENT)), WALL, True),
        (TransferConfig(accept_max=len(CONTENT) - 1), WALL, False),
        (TransferConfig(accept_max=0), WALL, False),
        (TransferConfig(accept_age_max=101.0), old, True),
        (TransferConfig(accept_age_max=100.0), old, False),
        (TransferConfig(accept_age_max=100.0), WALL + 9_999.0, True),  # their clock is fast
    ):
        engine = TransferEngine(OWN, config)
        assert offered(engine, wanted, wall_offered) is is_fetched
        assert engine.is_wanted(COMMIT) is is_fetched
    empty = replace(wanted, size=0)
    assert not offered(TransferEngine(OWN, TransferConfig(accept_max=0)), empty)


def test_what_is_not_fetched_unasked_again() -> None:
    """What is coming, what was canceled, what we have, ours included."""
    engine, wanted = TransferEngine(OWN), world().wanted(COMMIT)
    assert offered(engine, wanted)
    assert not offered(engine, wanted)
    engine.cancel(COMMIT, 0.0)
    assert not offered(engine, wanted)
    for commit in (COMMIT, None):
        engine = TransferEngine(OWN)
        stamp = Stamp(len(CONTENT), 2, 3)
        engine.hold(HeldFile(CONVERSATION, commit, "77", "/a", wanted.sha3_512, stamp))
        assert not offered(engine, wanted)


def test_an_offer_that_cannot_be_taken() -> None:
    """It is counted: it makes no sense, or too many wait."""
    engine = TransferEngine(OWN, TransferConfig(accept_waiting_max=1))
    assert not offered(engine, replace(world().wanted(COMMIT), sha3_512="none"))
    assert offered(engine, world().wanted(COMMIT))
    assert not offered(engine, world().wanted(CommitId(bytes(20))))
    assert engine.stats.passed_over == 2


@pytest.mark.parametrize("change", [{"sha3_512": ""}, {"sha3_512": "A" * 128}, {"size": 2**63}])
def test_offers_that_make_no_sense(change: dict[str, object]) -> None:
    """They are refused at once."""
    place = world()
    wanted = replace(place.wanted(COMMIT), **change)  # type: ignore[arg-type]
    with pytest.raises(InvalidOfferError):
        place.engine.download(wanted, 0.0)


def test_positions_beyond_32_bits() -> None:
    """A part of more than 4 GiB goes on from the last position that has a name."""
    engine = TransferEngine(OWN)
    size = START_END + 5_000
    wanted = replace(world().wanted(COMMIT), size=size)
    engine.download(wanted, 0.0)
    engine.part_opened(COMMIT, START_END + 999, 0.0)
    effects = engine.sources_found(COMMIT, [device(1)], 0.0)
    (opening,) = [each for each in effects if isinstance(each, fx.OpenChannel)]
    assert opening.name.endswith(f"?start={START_END - 1}&end=0")
    engine.channel_opened(opening.op, 1, 0.0)
    assert engine.receive(1, b"a" * 400, 0.0) == []
    assert engine.receive(1, b"a" * 600, 0.0) == []
    (first, *_) = engine.receive(1, b"a" * 500, 0.0)
    assert first == fx.WritePart(COMMIT, b"a" * 500)
    assert engine.transfer(COMMIT, 0.0).done == START_END + 1499


def test_deleted_and_left() -> None:
    """A file that was taken back is fetched no more, nor are those of a conversation we left."""
    place = world("honest")
    fetch(place, 1.5)
    place.do(lambda now: place.engine.deleted(CONVERSATION, COMMIT, now))
    assert place.state(COMMIT) is TransferState.CANCELED
    fetch(place, 1.5)
    assert place.engine.conversations() == {CONVERSATION}
    place.do(lambda now: place.engine.left(CONVERSATION, now))
    assert place.state(COMMIT) is TransferState.CANCELED
    assert not place.engine.is_wanted(COMMIT)
    assert place.disk == {}


def being_checked(engine: TransferEngine) -> HeldFile:
    """Let all of a file be here, so that it is compared and named."""
    wanted = world().wanted(COMMIT)
    engine.download(wanted, 0.0)
    effects = engine.part_opened(COMMIT, wanted.size, 0.0)
    assert fx.CheckPart(COMMIT) in effects
    return HeldFile(CONVERSATION, COMMIT, "77", "/a", wanted.sha3_512, Stamp(wanted.size, 2, 3))


def test_canceled_while_it_is_checked() -> None:
    """The file that has its name by then is deleted, once; wanted again it comes again."""
    engine = TransferEngine(OWN)
    held = being_checked(engine)
    engine.cancel(COMMIT, 0.0)
    engine.download(world().wanted(COMMIT), 0.0)
    assert engine.part_checked(COMMIT, held, 0.0) == [fx.RemoveCopy(held)]
    assert engine.serving.held() == []
    assert engine.transfer(COMMIT, 0.0).state is TransferState.CONNECTING
    assert engine.part_checked(COMMIT, held, 0.0) == []
    engine.part_opened(COMMIT, len(CONTENT), 0.0)
    engine.part_checked(COMMIT, held, 0.0)
    assert engine.serving.held() == [held]


def test_canceled_while_it_is_checked_and_wrong() -> None:
    """There is nothing to delete, and the next that comes is kept."""
    engine = TransferEngine(OWN)
    for fail in (engine.part_wrong, lambda c, n: engine.part_failed(c, DiskFullError("/"), n)):
        being_checked(engine)
        engine.cancel(COMMIT, 0.0)
        assert fail(COMMIT, 0.0) == []
    held = being_checked(engine)
    engine.part_checked(COMMIT, held, 0.0)
    assert engine.serving.held() == [held]


def test_paused_while_it_is_checked() -> None:
    """It is whole all the same, and not fetched once more, also if it was to go on meanwhile."""
    engine = TransferEngine(OWN)
    held = being_checked(engine)
    engine.pause(COMMIT, 0.0)
    engine.part_checked(COMMIT, held, 0.0)
    assert engine.transfer(COMMIT, 0.0).state is TransferState.DONE
    assert not engine.is_wanted(COMMIT)

    engine = TransferEngine(OWN)
    held = being_checked(engine)
    engine.pause(COMMIT, 0.0)
    engine.resume(COMMIT, 0.0)
    wanted = replace(world().wanted(COMMIT), is_paused=False)
    assert fx.RemovePart(COMMIT, wanted) in engine.part_checked(COMMIT, held, 0.0)
    assert engine.transfer(COMMIT, 0.0).state is TransferState.DONE
    assert engine.next_deadline() is None


def test_what_nobody_asked_for() -> None:
    """Answers to what is forgotten do no harm; a channel that nobody wants is closed."""
    engine = TransferEngine(OWN)
    assert engine.channel_opened(7, 1, 0.0) == [fx.CloseChannel(1)]
    assert engine.open_failed(7, 0.0) == []
    assert engine.receive(1, b"x", 0.0) == []
    assert engine.channel_closed(1, 0.0) == []
    assert engine.part_opened(COMMIT, 5, 0.0) == []
    assert engine.part_wrong(COMMIT, 0.0) == []
    assert engine.sources_found(COMMIT, [device(1)], 0.0) == []
    assert engine.next_deadline() is None
    assert engine.advance(99.0) == []


def test_we_never_ask_ourselves() -> None:
    """Nor those who are found to lie."""
    place = world("honest")
    place.peers[OWN] = HONEST
    place.online.insert(0, OWN)
    fetch(place)
    assert [each[0] for each in place.starts] == [device(1)]


def test_what_comes_too_late() -> None:
    """Answers to what was stopped meanwhile change nothing."""
    engine = TransferEngine(OWN)
    engine.download(world().wanted(COMMIT), 0.0)
    assert engine.resume(COMMIT, 0.0)[:-1] == []  # it is at work: only kept
    engine.pause(COMMIT, 0.0)
    held = HeldFile(CONVERSATION, COMMIT, "77", "/a", "ab" * 64, Stamp(1, 2, 3))
    assert engine.part_opened(COMMIT, 5, 0.0) == []
    assert engine.part_failed(COMMIT, DiskFullError("/"), 0.0) == []
    assert engine.part_checked(COMMIT, held, 0.0) == []
    assert engine.part_checked(CommitId(bytes(20)), held, 0.0) == []
    assert engine.part_wrong(COMMIT, 0.0) == []
    assert engine.sources_found(COMMIT, [device(1)], 0.0) == []
    assert engine.appeared(device(1), [CONVERSATION], 0.0) == []
    assert engine.transfer(COMMIT, 0.0).state is TransferState.PAUSED
    assert [each.state for each in engine.transfers(0.0)] == [TransferState.PAUSED]


def opening(effects: list[fx.Effect]) -> list[fx.OpenChannel]:
    """Pick the channels that are asked for."""
    return [each for each in effects if isinstance(each, fx.OpenChannel)]


def test_the_first_that_answers_is_taken() -> None:
    """The other's channel is closed; when the first stops, the other is asked again."""
    engine = TransferEngine(OWN)
    engine.download(world().wanted(COMMIT), 0.0)
    engine.part_opened(COMMIT, 0, 0.0)
    (first,) = opening(engine.sources_found(COMMIT, [device(1), device(2)], 0.0))
    (second,) = opening(engine.advance(5.0))
    assert (first.device, second.device) == (device(1), device(2))
    engine.channel_opened(second.op, 2, 6.0)
    assert engine.channel_opened(first.op, 1, 7.0) == [fx.CloseChannel(1)]
    assert engine.open_failed(first.op, 7.0) == []
    (again,) = opening(engine.channel_closed(2, 8.0))
    assert again.device == device(1)


def test_somebody_appears_while_others_are_asked() -> None:
    """They are asked, too, after those before; whom we ask already, or ourselves, not again."""
    engine = TransferEngine(OWN)
    engine.download(world().wanted(COMMIT), 0.0)
    engine.part_opened(COMMIT, 0, 0.0)
    (first,) = opening(engine.sources_found(COMMIT, [device(1)], 0.0))
    for known in (device(1), OWN):
        assert engine.appeared(known, [CONVERSATION], 1.0) == []
    assert opening(engine.appeared(device(2), [CONVERSATION], 1.0)) == []
    (second,) = opening(engine.open_failed(first.op, 2.0))
    assert second.device == device(2)
    assert engine.appeared(device(3), [], 2.0) == []  # of another conversation


def test_who_appears_is_asked_besides_the_silent() -> None:
    """After the stagger, counted from then; at most so many at once."""
    engine = TransferEngine(OWN, TransferConfig(opening_max=2))
    engine.download(world().wanted(COMMIT), 0.0)
    engine.part_opened(COMMIT, 0, 0.0)
    engine.sources_found(COMMIT, [device(1)], 0.0)
    engine.appeared(device(2), [CONVERSATION], 1.0)
    assert engine.next_deadline() == 6.0
    engine.appeared(device(3), [CONVERSATION], 4.0)  # does not put it off
    assert engine.next_deadline() == 6.0
    assert [each.device for each in opening(engine.advance(6.0))] == [device(2)]
    assert engine.next_deadline() == 120.0  # two are asked: the first of them to be given up
    assert [each.device for each in opening(engine.advance(120.0))] == []
    assert engine.next_deadline() == 125.0
    assert [each.device for each in opening(engine.advance(125.0))] == [device(3)]


def test_a_search_without_an_answer() -> None:
    """The host finds nobody, and does not say so: it is looked for again."""
    engine = TransferEngine(OWN)
    engine.download(world().wanted(COMMIT), 0.0)
    engine.part_opened(COMMIT, 0, 0.0)
    engine.advance(120.0)
    assert engine.transfer(COMMIT, 120.0).state is TransferState.WAITING


def test_a_stall_with_nobody_else() -> None:
    """The one source is asked again, and goes on where it was."""
    place = world(Peer("stalls", 10_000))
    fetch(place, 100.0)
    assert [start for _, start in place.starts[:3]] == [0, 10_000, 20_000]
    place.run(1_000)
    assert place.whole == {COMMIT: CONTENT}


def test_a_slow_source_is_kept_while_it_is_not_too_slow() -> None:
    """Speed is looked at again and again; 20 kB/s are enough, also with others there."""
    content = CONTENT * 20
    place = World(content, {device(1): HONEST, device(2): HONEST})
    fetch(place)
    assert place.starts == [(device(1), 0)]
    assert place.whole == {COMMIT: content}


def test_wrong_too_often() -> None:
    """Those who cannot be told apart as liars do not make it go on for ever."""
    engine = TransferEngine(OWN, TransferConfig(wrong_max=0))
    engine.download(world().wanted(COMMIT), 0.0)
    engine.part_opened(COMMIT, len(CONTENT), 0.0)
    engine.part_wrong(COMMIT, 0.0)
    assert isinstance(engine.transfer(COMMIT, 0.0).error, WrongContentError)


def test_both_directions() -> None:
    """What is served is listed with what is fetched, and can be canceled alone."""
    engine = TransferEngine(OWN)
    held = HeldFile(CONVERSATION, COMMIT, "77", "/a", "ab" * 64, Stamp(9, 2, 3))
    engine.hold(held)
    request = FileRequest(CONVERSATION, device(1), held_file_id(held))
    assert engine.accepts(device(1), request)
    engine.accepted(1, device(1), request, 0.0)
    engine.serving.held_checked(1, held, 0.0)
    assert engine.serving.has_channel(1)
    assert [each.direction for each in engine.transfers(0.0)] == [fx.Direction.UP]
    assert engine.cancel(COMMIT, 0.0)[0] == fx.CloseChannel(1)
    assert engine.transfers(0.0) == []


def held_file_id(held: HeldFile) -> FileId:
    """Return the id of a file that is held."""
    assert held.commit is not None
    return FileId(held.commit, held.transfer_id)


def test_only_so_many_are_remembered() -> None:
    """Of those that are over, the latest."""
    engine = TransferEngine(OWN)
    for number in range(PAST_MAX + 5):
        commit = CommitId(number.to_bytes(20))
        engine.download(world().wanted(commit), 0.0)
        engine.cancel(commit, 0.0)
    assert len(engine.transfers(0.0)) == PAST_MAX


@settings(max_examples=60, deadline=None)
@given(
    habits=st.lists(HABITS, max_size=5),
    place_of_honest=st.integers(0, 5),
    crashes=st.lists(st.floats(0.01, 20.0), max_size=4),
    left=st.binary(max_size=3),
)
def test_an_honest_peer_is_enough(
    habits: list[Peer], place_of_honest: int, crashes: list[float], left: bytes
) -> None:
    """Among any peers, over any crashes, the file comes, and no liar makes it come endlessly."""
    peers = list(habits)
    peers.insert(place_of_honest, HONEST)
    place = world(*peers)
    place.disk[COMMIT] = bytearray(left)
    place.do(lambda now: place.engine.download(place.wanted(COMMIT), now))
    for seconds in crashes:
        place.run(seconds)
        place.crash()
    place.run(3_600)
    assert place.whole == {COMMIT: CONTENT}
    assert place.sent <= (len(crashes) + 1) * (len(peers) + 3) * len(CONTENT)
    assert place.engine.next_deadline() is None


@settings(max_examples=20, deadline=None)
@given(st.lists(st.sampled_from([device(1), device(2), OWN]), max_size=3), st.integers(0, 2**63))
def test_equal_inputs_give_equal_outputs(devices: list[DeviceId], size: int) -> None:
    """Chance has no part in it."""

    def play() -> list[object]:
        engine = TransferEngine(OWN)
        found: list[object] = [*engine.download(world().wanted(COMMIT), 0.0)]
        found += engine.part_opened(COMMIT, size, 1.0)
        found += engine.sources_found(COMMIT, devices, 1.0)
        found += engine.channel_opened(1, 1, 1.0)
        found += engine.receive(1, b"x" * 99, 2.0)
        return [*found, *engine.channel_closed(1, 3.0)]

    assert play() == play()
