"""The DRT: who is dialled, who is asked, who is told."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from shoal.core import DeviceId
from shoal.sim.entropy import SeededEntropy
from shoal.swarm import drt
from shoal.swarm.drt import Dial, Drop, DrtEngine, Tell
from shoal.swarm.drt_wire import DrtMessage, DrtReader, Find, Found, encode

OWN = DeviceId(bytes(32))


def node(first: int, last: int = 0) -> DeviceId:
    """A device whose id begins with one byte and ends with another."""
    return DeviceId(bytes([first]) + bytes(30) + bytes([last]))


FAR, FAR_TOO, MIDDLE, NEAR = node(0x80), node(0xC0), node(0x40), node(0, 1)


def engine() -> DrtEngine:
    """A table that knows nobody."""
    return DrtEngine(OWN, SeededEntropy(1))


def told(effects: list[drt.DrtEffect]) -> list[DrtMessage]:
    """What is told to neighbours."""
    return [
        message
        for effect in effects
        if isinstance(effect, Tell)
        for message in DrtReader().feed(effect.data)
    ]


def dialled(effects: list[drt.DrtEffect]) -> list[DeviceId]:
    """Who is dialled."""
    return [effect.device for effect in effects if isinstance(effect, Dial)]


def test_one_of_each_bucket() -> None:
    """Of two far devices one is dialled, of each nearer bucket another, nobody twice."""
    table = engine()
    first = dialled(table.know([FAR, FAR_TOO, MIDDLE, NEAR, OWN], 0.0))

    assert len(first) == 3
    assert {MIDDLE, NEAR} < set(first)
    assert table.know([FAR, FAR_TOO], 1.0) == []


def test_a_new_neighbour_is_asked() -> None:
    """For the devices closest to us, and later for others; its answers are dialled."""
    table = engine()
    assert told(table.opened(FAR, 0.0)) == [DrtMessage(find=Find(OWN, drt.ASKED_FOR))]
    assert table.neighbours == (FAR,)
    answer = encode(DrtMessage(found=Found((MIDDLE, FAR), (NEAR,))))
    assert dialled(table.receive(FAR, answer, 1.0)) == [MIDDLE]
    assert NEAR in table.known  # mobile: not to be dialled

    table.opened(MIDDLE, 2.0)
    assert table.next_deadline() == drt.ASK_INTERVAL
    (question,) = told(table.advance(drt.ASK_INTERVAL))
    assert question.find is not None
    assert question.find.target[0] & 0x80


def test_questions_are_answered() -> None:
    """With the closest neighbours, the asker left out, and mobile devices of that bucket."""
    table = engine()
    for each in (FAR, MIDDLE, NEAR):
        table.opened(each, 0.0)
    table.receive(FAR, encode(DrtMessage(found=Found((), (node(0x20),)))), 0.0)
    asked = encode(DrtMessage(is_mobile=True, find=Find(node(0x21), 2)))
    (answer,) = told(table.receive(FAR, asked, 1.0))

    assert answer.found == Found((NEAR, MIDDLE), (node(0x20),))
    table.closed(FAR, 2.0)
    assert FAR in table.known
    assert table.next_deadline() == drt.ASK_INTERVAL  # a mobile device is not dialled again


def test_failures_are_tried_again_later() -> None:
    """Another of the bucket first; each failure doubles the patience; news ends it."""
    table = engine()
    (first,) = dialled(table.know([FAR], 0.0))
    assert dialled(table.dial_failed(first, 1.0)) == []
    again = table.next_deadline()
    assert again is not None
    assert 1.0 + drt.RETRY_FIRST / 2 <= again <= 1.0 + drt.RETRY_FIRST
    assert dialled(table.advance(again)) == [FAR]
    assert dialled(table.advance(again + drt.DIAL_TIMEOUT)) == []
    assert dialled(table.appeared(FAR, again + drt.DIAL_TIMEOUT + 1)) == [FAR]


def test_a_lost_neighbour_is_replaced() -> None:
    """By another of its bucket at once."""
    table = engine()
    table.opened(FAR, 0.0)
    assert dialled(table.know([FAR_TOO], 0.0)) == []
    assert dialled(table.closed(FAR, 1.0)) == [FAR_TOO]
    assert table.closed(FAR, 2.0) == []


def test_who_is_no_member_any_more() -> None:
    """Is dropped and forgotten."""
    table = engine()
    table.opened(FAR, 0.0)
    assert table.forget(FAR, 1.0) == [Drop(FAR)]
    assert table.forget(FAR, 1.0) == []
    assert table.know([], 2.0) == []


def test_nonsense_costs_the_channel() -> None:
    """The neighbour is dropped; who is no neighbour is not heard."""
    table = engine()
    table.opened(FAR, 0.0)
    assert table.receive(FAR, b"\xc1", 1.0) == [Drop(FAR)]
    assert table.receive(FAR, b"\xc1", 1.0) == []
    assert table.opened(OWN, 2.0) == []


def test_memory_is_bounded() -> None:
    """A neighbour may name devices without end; the first ones go first."""
    table = engine()
    table.opened(NEAR, 0.0)
    for start in range(0, drt.KNOWN_MAX + 2_000, 1_000):
        nodes = tuple(
            DeviceId((start + n).to_bytes(4) + bytes([255]) * 28) for n in range(1, 1_001)
        )
        table.receive(NEAR, encode(DrtMessage(found=Found(nodes))), 1.0)
    assert len(table.known) <= drt.KNOWN_MAX
    assert len(dialled(table.know([], 2.0))) <= drt.DIALS_MAX


NODES = st.sampled_from([node(b, n) for b in (0, 1, 0x40, 0x80) for n in (0, 1)])
STEPS = st.lists(
    st.tuples(
        st.sampled_from(
            ["know", "appeared", "forget", "opened", "dial_failed", "closed", "receive", "advance"]
        ),
        NODES,
        st.floats(0.0, 300.0),
        st.builds(DrtMessage, st.booleans(), st.none(), st.builds(Found, st.tuples(NODES))).map(
            encode
        )
        | st.binary(max_size=5),
    ),
    max_size=30,
)


@given(STEPS)
def test_any_life(steps: list[tuple[str, DeviceId, float, bytes]]) -> None:
    """Nobody is dialled twice at once; deadlines move; equal lives are equal."""
    lives = [engine(), engine()]
    now = 0.0
    open_dials: set[DeviceId] = set()
    for step, device, wait, data in steps:
        now += wait
        results = []
        for table in lives:
            match step:
                case "know":
                    effects = table.know([device], now)
                case "receive":
                    effects = table.receive(device, data, now)
                case "advance":
                    effects = table.advance(now)
                case _:
                    effects = getattr(table, step)(device, now)
            results.append(effects)
        assert results[0] == results[1]
        deadline = lives[0].next_deadline()
        if deadline is not None:
            now = max(now, deadline)
            results += [table.advance(now) for table in lives]
            later = lives[0].next_deadline()
            assert later is None or later > now
        new = dialled([effect for effects in results[::2] for effect in effects])
        assert not set(new) & set(lives[0].neighbours)
        assert OWN not in new
        open_dials.update(new)


def test_inventions_keep_nobody_away() -> None:
    """However many devices a neighbour makes up, members' devices are dialled next."""
    table = engine()
    table.opened(MIDDLE, 0.0)
    tried: list[DeviceId] = []
    for number in range(8):
        made_up = tuple(node(0x80, 16 * number + each) for each in range(16))
        tried += dialled(table.receive(MIDDLE, encode(DrtMessage(found=Found(made_up, ()))), 0.0))
    assert len(tried) == 1
    assert len(table.known) <= drt.HEARSAY_MAX
    assert dialled(table.appeared(FAR_TOO, 2.0)) == []

    assert dialled(table.dial_failed(tried[0], 3.0)) == [FAR_TOO]
