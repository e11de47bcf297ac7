"""What searches tell of themselves: those under way, and those of the last minute."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from shoal.core import Family, InfoHash
from shoal.dht import wire
from shoal.dht.config import DhtConfig
from shoal.dht.engine import DhtEngine
from shoal.dht.query import Query
from shoal.dht.runs import RECENT, REPORTS_MAX, Purpose, Run, SearchReport, SearchState, keep
from shoal.dht.value import Value
from shoal.sim import SeededEntropy
from tests.unit.dht.world import KEY, WALL_NOW, Peer, Stranger, World, answer, meet

IPV4: Final = DhtConfig(families=(Family.IPV4,))
OTHER_KEY: Final = InfoHash.from_text("another key")


def make() -> tuple[DhtEngine, Stranger]:
    """Make a node that knows one other."""
    engine = DhtEngine(IPV4, SeededEntropy(5), 0.0, wall_offset=WALL_NOW)
    return engine, meet(engine)


def told(peer: Peer, key: InfoHash = KEY) -> SearchReport:
    """Return what a node says of its one search for *key*."""
    (report,) = [
        one for one in peer.engine.search_reports(peer.world.network.now) if one.key == key
    ]
    return report


def test_a_get_is_told_of_from_its_first_question_to_a_minute_after_its_end() -> None:
    """With whom it asked, who answered, how near that was, and how long it took."""
    engine, peer = make()
    (question,) = peer.read(list(engine.get(1, KEY, 10.0)))
    asked = SearchReport(
        KEY, Family.IPV4, (Purpose.GET,), SearchState.SEARCHING,
        asked=1, answered=0, nearest=None, seconds=1.5,
    )  # fmt: skip
    assert engine.search_reports(11.5) == [asked]
    peer.now = 12.0
    peer.say(answer(question, peer))
    nearest = (int.from_bytes(peer.id) ^ int.from_bytes(KEY)).bit_length()
    ended = replace(asked, state=SearchState.DONE, answered=1, nearest=nearest, seconds=2.0)
    assert engine.search_reports(12.0) == [ended]
    assert engine.search_reports(12.0 + RECENT) == [ended]
    assert engine.search_reports(12.5 + RECENT) == []


def test_one_that_nobody_answers_fails() -> None:
    """And the node counts as asked once, however often it was asked."""
    engine, peer = make()
    peer.read(list(engine.get(1, KEY, 0.0)))
    peer.wait(20.0)
    (report,) = [one for one in engine.search_reports(peer.now) if one.key == KEY]
    assert (report.state, report.asked, report.answered) == (SearchState.FAILED, 1, 0)
    assert report.nearest is None


def test_one_that_nobody_waits_for_is_stopped() -> None:
    """A late answer counts as an answer, and changes nothing else."""
    engine, peer = make()
    (question,) = peer.read(list(engine.get(1, KEY, 0.0)))
    engine.cancel(1, 2.0)
    peer.now = 3.0
    peer.say(answer(question, peer))
    (report,) = engine.search_reports(3.0)
    assert (report.state, report.answered, report.seconds) == (SearchState.STOPPED, 1, 2.0)


def test_what_an_earlier_run_asked_is_not_counted_again() -> None:
    """Each time something is wanted afresh, counts begin at nothing."""
    engine, peer = make()
    (late,) = peer.read(list(engine.get(1, KEY, 0.0)))
    engine.cancel(1, 0.0)
    peer.read(list(engine.get(2, KEY, 1.0)))
    engine.cancel(2, 1.0)
    states = [(one.state, one.asked) for one in engine.search_reports(1.0)]
    assert states == [(SearchState.STOPPED, 1)] * 2
    peer.say(answer(late, peer))
    assert all(one.answered <= one.asked for one in engine.search_reports(1.0))


def test_puts_count_whom_they_wrote_to() -> None:
    """Nodes whose tokens are known are not asked before they are written to."""
    world = World(12)
    writer = world.peers[3]
    assert writer.put(Value(b"x", id=1)).ok
    report = told(writer)
    assert (report.purposes, report.state) == ((Purpose.PUT,), SearchState.DONE)
    assert report.asked >= report.answered >= 8
    assert report.nearest is not None
    distances = [int.from_bytes(one.engine.node_id) ^ int.from_bytes(KEY) for one in world.peers]
    assert report.nearest == min(
        distance.bit_length()
        for one, distance in zip(world.peers, distances, strict=True)
        if one is not writer
    )
    assert report.seconds > 0


def test_lasting_ones_are_told_of_for_as_long_as_they_last() -> None:
    """A listen is found out once all nodes agreed; it stops when its minute of grace is over."""
    world = World(12)
    reader = world.peers[3]
    op = reader.listen()
    assert told(reader).state is SearchState.SEARCHING
    world.run(300.0)
    report = told(reader)
    assert (report.purposes, report.state) == ((Purpose.LISTEN,), SearchState.LASTING)
    assert report.seconds == 300.0
    assert report.answered >= 4
    assert reader.put(Value(b"x", id=1), permanent=True).ok
    assert told(reader).purposes == (Purpose.PUT, Purpose.LISTEN)
    reader.do(lambda e, _, now: e.cancel_put(KEY, 1, now))
    reader.do(lambda e, _, now: e.cancel(op, now))
    assert told(reader).purposes == (Purpose.LISTEN,)
    world.run(61.0)
    stopped = told(reader)
    assert (stopped.state, stopped.purposes) == (
        SearchState.STOPPED,
        (Purpose.LISTEN, Purpose.PUT),
    )


def test_listens_count_whom_they_subscribed_at() -> None:
    """Right after a put nobody has to be asked: the four closest nodes are known."""
    world = World(12)
    reader = world.peers[3]
    assert reader.put(Value(b"x", id=1)).ok
    reader.listen()
    world.run(5.0)
    found = reader.engine.search_reports(world.network.now)
    (report,) = [one for one in found if one.key == KEY and one.purposes == (Purpose.LISTEN,)]
    assert (report.state, report.asked, report.answered) == (SearchState.LASTING, 4, 4)


def test_the_search_for_our_own_place_is_told_of() -> None:
    """A node looks around itself when it has joined."""
    world = World(2)
    newcomer = world.add()
    world.join(newcomer, world.peers[0])
    world.run(20.0)
    report = told(newcomer, newcomer.engine.node_id)
    assert (report.purposes, report.state) == ((Purpose.FIND,), SearchState.DONE)


def test_scouts_count() -> None:
    """They are asked for the key like others, and what is nearest may be one of them."""
    own, key = InfoHash(bytes(20)), InfoHash(b"\xff" * 20)
    config = DhtConfig(node_id=own, families=(Family.IPV4,))
    engine = DhtEngine(config, SeededEntropy(5), 0.0, wall_offset=WALL_NOW)
    peers = [Stranger(engine, bytes([number]), port=number) for number in range(1, 10)]
    for peer in peers:  # the last one is farther away than the others, and so a scout
        peer.id = InfoHash(bytes([0x40 + peer.addr.port if peer is not peers[-1] else 1]) * 20)
        (ping,) = peer.read(engine.insert_node(peer.id, peer.addr, 0.0))
        peer.say(answer(ping, peer))
    waiting = list(engine.get(1, key, 0.0))
    while waiting:
        effects, waiting = waiting, []
        for peer in peers:
            for message in peer.read(effects):
                if isinstance(message, wire.Find | wire.Get):
                    for datagram in wire.encode(answer(message, peer), network=0):
                        waiting += engine.receive(datagram, peer.addr, 0.0)
    (report,) = engine.search_reports(0.0)
    assert (report.state, report.asked, report.answered) == (SearchState.DONE, 9, 9)


def test_both_families_tell_of_their_own() -> None:
    """A key may be sought over IPv4 and IPv6 at once."""
    world = World(4, families=(Family.IPV4, Family.IPV6))
    reader = world.peers[1]
    reader.get()
    now = world.network.now
    ended = [one for one in reader.engine.search_reports(now) if one.key == KEY]
    assert {one.family for one in ended} == {Family.IPV4, Family.IPV6}


def test_there_are_never_too_many() -> None:
    """The newest are told of, and first what is under way."""
    engine, peer = make()
    keys = [InfoHash.of(number.to_bytes(2)) for number in range(2 * REPORTS_MAX)]
    for number, key in enumerate(keys):
        engine.get(number, key, float(number) / 100)
        engine.cancel(number, float(number) / 100)
    reports = engine.search_reports(2.0)
    assert [one.key for one in reports] == keys[: -REPORTS_MAX - 1 : -1]
    engine.get(1, KEY, 2.0)
    engine.query(2, OTHER_KEY, Query(), 3.0)
    reports = engine.search_reports(3.0)
    assert len(reports) == REPORTS_MAX
    assert [one.key for one in reports[:3]] == [OTHER_KEY, KEY, keys[-1]]
    for number, key in enumerate(keys):
        engine.get(number + 10, key, 4.0 + number / 100)
    reports = engine.search_reports(6.0)
    assert [one.key for one in reports] == keys[: -REPORTS_MAX - 1 : -1]
    assert {one.state for one in reports} == {SearchState.SEARCHING}
    assert peer.engine is engine


def test_ended_runs_make_room_for_the_next() -> None:
    """What is not told of any more is not kept either, once another search ends."""
    ended: list[Run] = []
    for moment in range(REPORTS_MAX + 5):
        run = Run(KEY, Family.IPV4, 0.0)
        run.end(SearchState.DONE, moment / 10)
        keep(ended, run, moment / 10)
    assert len(ended) == REPORTS_MAX
    late = Run(KEY, Family.IPV4, 0.0)
    late.end(SearchState.DONE, 100.0)
    keep(ended, late, 100.0)
    assert ended == [late]
