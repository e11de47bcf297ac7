"""Parts: put together in any order, from the right source, within time and room."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shoal.core import Address, InfoHash
from shoal.dht import parts, wire
from shoal.dht.parts import EARLY_PARTS_MAX, EARLY_SIZE_MAX, IDLE_MAX, LIFE_MAX, Assembler
from shoal.dht.value import PACKED_SIZE_MAX, Value

ME = InfoHash.of(b"me")
ADDR = Address.parse("192.0.2.1", 4222)
OTHER = Address.parse("192.0.2.2", 4222)
VALUES = (Value(b"a" * 3000, id=1), Value(b"b" * 10, id=2), Value(cypher=b"c" * 1500, id=3))


def put(values: tuple[Value, ...] = VALUES, tid: int = 7) -> tuple[wire.Put, list[wire.Part]]:
    """Return the header of a put, and its parts, as decoded."""
    message = wire.Put(tid, ME, ME, values, None, b"t" * 32)
    header, rest = split(message)
    assert isinstance(header, wire.Put)
    return header, rest


def reply(values: tuple[Value, ...] = VALUES, tid: int = 7) -> tuple[wire.Reply, list[wire.Part]]:
    """Return the header of a get reply, and its parts, as decoded."""
    message = wire.Reply(tid, ME, None, b"", b"", b"t" * 32, values, None, None)
    header, rest = split(message)
    assert isinstance(header, wire.Reply)
    return header, rest


def split(message: wire.Message) -> tuple[wire.Message, list[wire.Part]]:
    """Return the header and the parts of *message*, as their receiver decodes them."""
    header, *rest = (wire.decode(data).message for data in wire.encode(message))
    return header, [part for part in rest if isinstance(part, wire.Part)]


def part(place: int, offset: int, data: bytes, tid: int = 7) -> wire.Part:
    """Return a part of one piece."""
    return wire.Part(tid, (wire.Piece(place, offset, data),))


def sizes(*numbers: int, tid: int = 7) -> wire.Put:
    """Return the header of a put that announces *numbers*."""
    return wire.Put(tid, ME, ME, (), None, b"t", numbers)


def is_empty(assembler: Assembler) -> bool:
    """Whether nothing at all is held."""
    return (
        len(assembler) == assembler.held == 0
        and assembler.next_deadline() is None
        and not assembler._shares  # noqa: SLF001 - leaks would hide there
    )


@given(st.data())
def test_pieces_in_any_order_make_the_message(data: st.DataObject) -> None:
    """Header anywhere among its parts, pieces repeated: the message comes out once, whole."""
    header, pieces = put()
    arrivals: list[wire.Message] = data.draw(st.permutations([header, *pieces]))
    arrivals = [m for m in arrivals for _ in range(data.draw(st.integers(1, 2)))]
    assembler = Assembler()
    whole: list[parts.Assembled] = []
    for arrival in arrivals:
        if whole:
            break  # what is left would open an assembly that times out
        if isinstance(arrival, wire.Part):
            message = assembler.add(arrival, ADDR, 0.0)
        else:
            assert isinstance(arrival, wire.Put)
            message = assembler.open(arrival, ADDR, 0.0)
        whole += [message] if message is not None else []
    assert whole == [header._replace(values=VALUES, sizes=None)]
    assert is_empty(assembler)
    assert assembler.stats.completed == 1


def test_in_order_as_older_nodes_send() -> None:
    """Nothing is left of a complete assembly."""
    assembler = Assembler()
    header, pieces = reply()
    assert assembler.open(header, ADDR, 0.0) is None
    assert assembler.is_open(ADDR, 7)
    for piece in pieces[:-1]:
        assert assembler.add(piece, ADDR, 0.0) is None
    assert assembler.add(pieces[-1], ADDR, 0.0) == header._replace(values=VALUES, sizes=None)
    assert not assembler.is_open(ADDR, 7)
    assert is_empty(assembler)


def test_a_header_is_paid_for_once() -> None:
    """By the early part that began its assembly; a repeated header pays for itself."""
    assembler = Assembler()
    header, pieces = put()
    assert not assembler.awaits_header(ADDR, 7)
    assembler.add(pieces[0], ADDR, 0.0)
    assert assembler.awaits_header(ADDR, 7)
    assert not assembler.awaits_header(OTHER, 7)
    assembler.open(header, ADDR, 0.0)
    assert not assembler.awaits_header(ADDR, 7)
    assert assembler.is_open(ADDR, 7)


def test_sources_and_ids_are_kept_apart() -> None:
    """A part counts only from the address, and with the tid, of its header."""
    assembler = Assembler()
    header, (*pieces, last) = put()
    assembler.open(header, ADDR, 0.0)
    for piece in pieces:
        assembler.add(piece, ADDR, 0.0)
    assert assembler.add(last, OTHER, 0.0) is None
    assert assembler.add(last, Address(ADDR.ip, 4223), 0.0) is None
    assert assembler.add(last._replace(tid=8), ADDR, 0.0) is None
    assert assembler.add(last, ADDR, 0.0) is not None
    assert len(assembler) == 3


def test_inline_values_come_first() -> None:
    """A mixed header, which nobody writes, loses nothing."""
    inline = Value(b"inline", id=9)
    late = Value(b"late", id=8)
    header = wire.Put(7, ME, ME, (inline,), None, b"t", (-1, len(late.packed())))
    assembler = Assembler()
    assert assembler.open(header, ADDR, 0.0) is None
    message = assembler.add(part(1, 0, late.packed()), ADDR, 0.0)
    assert message is not None
    assert message.values == (inline, late)


def test_sizes_above_the_limit_keep_their_places() -> None:
    """The first value is lost, the second comes in parts numbered 1."""
    value = Value(b"x" * 700, id=1)
    assembler = Assembler()
    header = sizes(PACKED_SIZE_MAX + 1, len(value.packed()))
    assert assembler.open(header, ADDR, 0.0) is None
    assert assembler.add(part(0, 0, b"lost"), ADDR, 0.0) is None
    message = assembler.add(part(1, 0, value.packed()), ADDR, 0.0)
    assert message is not None
    assert message.values == (value,)
    assert assembler.stats.unknown_pieces == 1


@pytest.mark.parametrize(
    ("piece", "counter"),
    [
        (wire.Piece(5, 0, b"x"), "unknown_pieces"),
        (wire.Piece(0, 0, b""), "empty_pieces"),
        (wire.Piece(0, 95, b"123456"), "beyond_pieces"),
        (wire.Piece(0, 2**64 - 1, b"x"), "beyond_pieces"),
        (wire.Piece(0, 40, b"x"), "overlapping_pieces"),
        (wire.Piece(0, 49, b"x"), "overlapping_pieces"),
        (wire.Piece(0, 35, b"123456"), "overlapping_pieces"),
        (wire.Piece(1, 0, b"x"), "late_pieces"),
    ],
)
def test_pieces_that_are_ignored(piece: wire.Piece, counter: str) -> None:
    """Each is counted, changes nothing, and earns no time."""
    assembler = Assembler()
    assembler.open(sizes(100, 1), ADDR, 0.0)
    assembler.add(wire.Part(7, (wire.Piece(0, 40, b"1234567890"), wire.Piece(1, 0, b"z"))), ADDR, 0)
    held = assembler.held
    assert assembler.add(wire.Part(7, (piece,)), ADDR, 2.0) is None
    assert getattr(assembler.stats, counter) == 1
    assert assembler.held == held
    assembler.advance(IDLE_MAX)
    assert is_empty(assembler)


def test_neighbours_do_not_overlap() -> None:
    """Pieces that touch fill a value without a gap."""
    value = Value(b"0123456789" * 70, id=1)
    packed = value.packed()
    assembler = Assembler()
    assembler.open(sizes(len(packed)), ADDR, 0.0)
    for start in (100, 300, 0, 500, 200):
        assert assembler.add(part(0, start, packed[start : start + 100]), ADDR, 0.0) is None
    assembler.add(part(0, 400, packed[400:500]), ADDR, 0.0)
    message = assembler.add(part(0, 600, packed[600:]), ADDR, 0.0)
    assert message is not None
    assert message.values == (value,)


def test_a_header_that_cannot_be_completed_is_not_begun() -> None:
    """An empty value never completes; more than 4 MiB are more than we hold."""
    assembler = Assembler()
    assert assembler.open(sizes(10, 0), ADDR, 0.0) is None
    assert assembler.open(sizes(*[PACKED_SIZE_MAX] * 64), ADDR, 0.0) is None
    assert assembler.stats.hopeless_headers == assembler.stats.oversize_headers == 1
    assert is_empty(assembler)


def test_a_second_header_changes_nothing() -> None:
    """A retransmitted put begins with its header again."""
    assembler = Assembler()
    header, pieces = put()
    assembler.open(header, ADDR, 0.0)
    assembler.add(pieces[0], ADDR, 0.0)
    assert assembler.open(header, ADDR, 1.0) is None
    assert assembler.stats.duplicate_headers == 1
    results = [assembler.add(piece, ADDR, 1.0) for piece in pieces]
    assert results[-1] == header._replace(values=VALUES, sizes=None)


def test_a_value_that_does_not_parse_drops_its_message() -> None:
    """As in OpenDHT 4."""
    assembler = Assembler()
    assembler.open(sizes(4), ADDR, 0.0)
    assert assembler.add(part(0, 0, b"nope"), ADDR, 0.0) is None
    assert assembler.stats.unparsable == 1
    assert is_empty(assembler)


# ---- time ----------------------------------------------------------------------------------------


def test_three_idle_seconds_end_an_assembly() -> None:
    """Each accepted piece gives three more, up to ten."""
    assembler = Assembler()
    assembler.open(sizes(1000), ADDR, 0.0)
    assert assembler.next_deadline() == IDLE_MAX
    assembler.add(part(0, 0, b"x"), ADDR, 2.0)
    assembler.advance(IDLE_MAX)
    assert len(assembler) == 1
    assert assembler.next_deadline() == 2.0 + IDLE_MAX
    assembler.advance(4.9)
    assert len(assembler) == 1
    assembler.advance(5.0)
    assert is_empty(assembler)
    assert assembler.stats.timed_out == 1


def test_ten_seconds_end_an_assembly_however_busy() -> None:
    """Counted from its first part, which may be early."""
    assembler = Assembler()
    assembler.add(part(0, 0, b"x"), ADDR, 0.0)
    assembler.open(sizes(1000), ADDR, 1.0)
    for second in range(2, 10):
        assembler.add(part(0, second, b"x"), ADDR, float(second))
        assembler.advance(float(second))
        assert len(assembler) == 1
    assembler.advance(LIFE_MAX)
    assert is_empty(assembler)


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 2), st.floats(0, 2)), max_size=40))
def test_deadlines_move_and_everything_ends(steps: list[tuple[int, int, float]]) -> None:
    """After `advance(next_deadline())` the deadline is later; ten seconds later all is gone."""
    assembler = Assembler()
    now = 0.0
    for tid, kind, wait in steps:
        now += wait
        if kind:
            assembler.add(part(0, kind, b"x", tid), ADDR, now)
        else:
            assembler.open(sizes(100, tid=tid), ADDR, now)
        deadline = assembler.next_deadline()
        if deadline is not None and deadline <= now:
            assembler.advance(deadline)
            following = assembler.next_deadline()
            assert following is None or following > deadline
    assembler.advance(now + LIFE_MAX)
    assert is_empty(assembler)


def test_completed_assemblies_leave_no_deadlines_behind() -> None:
    """However many come while one waits."""
    assembler = Assembler()
    assembler.open(sizes(100, tid=0), OTHER, 0.0)
    value = Value(b"x" * 600, id=1)
    for tid in range(1, 1000):
        assembler.open(sizes(len(value.packed()), tid=tid), ADDR, 0.1)
        assert assembler.add(part(0, 0, value.packed(), tid), ADDR, 0.1) is not None
    assert len(assembler._deadlines) < 100  # noqa: SLF001 - the bound is the point
    assert assembler.next_deadline() == IDLE_MAX


def test_a_stale_deadline_is_passed_over() -> None:
    """One that outlived its assembly, behind one that moved."""
    assembler = Assembler()
    assembler.open(sizes(100, tid=1), ADDR, 0.0)
    value = Value(b"x" * 600, id=1)
    assembler.open(sizes(len(value.packed()), tid=2), ADDR, 0.5)
    assembler.add(part(0, 0, value.packed(), tid=2), ADDR, 0.5)
    assembler.add(part(0, 0, b"x", tid=1), ADDR, 2.0)
    assembler.advance(4.0)
    assert len(assembler) == 1
    assert assembler.next_deadline() == 2.0 + IDLE_MAX
    assert assembler.stats.timed_out == 0


# ---- room ----------------------------------------------------------------------------------------


def test_early_parts_are_bounded_in_number_and_size() -> None:
    """Beyond 98 parts, or 122,912 bytes, the assembly is dropped."""
    assembler = Assembler()
    for number in range(EARLY_PARTS_MAX):
        assembler.add(part(0, number, b"x"), ADDR, 0.0)
    assert len(assembler) == 1
    assembler.add(part(0, 500, b"x"), ADDR, 0.0)
    assert is_empty(assembler)
    assert EARLY_SIZE_MAX == 122_912
    assembler.add(part(0, 0, bytes(60_000)), ADDR, 0.0)
    assembler.add(part(0, 60_000, bytes(60_000)), ADDR, 0.0)
    assert len(assembler) == 1
    assembler.add(part(0, 120_000, bytes(3000)), ADDR, 0.0)
    assert is_empty(assembler)
    assert assembler.stats.early_overflows == 2


def test_empty_early_parts_open_nothing() -> None:
    """Neither one without pieces nor one with an empty piece."""
    assembler = Assembler()
    assembler.add(wire.Part(7, ()), ADDR, 0.0)
    assembler.add(wire.Part(7, (wire.Piece(0, 0, b"x"), wire.Piece(1, 0, b""))), ADDR, 0.0)
    assert assembler.stats.empty_parts == 2
    assert is_empty(assembler)


def test_one_source_has_a_share_of_the_assemblies(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its ports count together, and so do the addresses of an IPv6 /64."""
    monkeypatch.setattr(parts, "ASSEMBLIES_PER_SOURCE_MAX", 2)
    assembler = Assembler()
    for host in ("192.0.2.1", "2001:db8::1"):
        for port in (1, 2, 3):
            assembler.open(sizes(100), Address.parse(host, port), 0.0)
    assembler.open(sizes(100), Address.parse("2001:db8::2", 1), 0.0)
    assert len(assembler) == 4
    assert assembler.stats.refused == 3


def test_when_full_the_higher_rank_gets_in(monkeypatch: pytest.MonkeyPatch) -> None:
    """Early parts make room for requests, both for replies, the oldest first."""
    monkeypatch.setattr(parts, "ASSEMBLIES_MAX", 3)
    assembler = Assembler()
    assembler.add(part(0, 0, b"x", tid=1), ADDR, 0.0)
    assembler.add(part(0, 0, b"x", tid=2), OTHER, 0.0)
    assembler.open(sizes(100, tid=3), ADDR, 0.0)
    assembler.add(part(0, 0, b"x", tid=4), ADDR, 0.0)
    assert not assembler.is_open(ADDR, 4)
    assembler.open(sizes(100, tid=5), ADDR, 0.0)
    assert not assembler.is_open(ADDR, 1)
    header, pieces = reply(tid=6)
    assembler.open(header, OTHER, 0.0)
    assert not assembler.is_open(OTHER, 2)
    assembler.open(header, ADDR, 0.0)
    assert not assembler.is_open(ADDR, 3)
    assembler.open(sizes(100, tid=7), ADDR, 0.0)
    assert not assembler.is_open(ADDR, 7)
    assert (assembler.stats.refused, assembler.stats.pushed_out) == (2, 3)
    assert [assembler.add(piece, OTHER, 0.0) for piece in pieces][-1] is not None


def test_bytes_in_all_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """A request without room is dropped, a reply pushes requests out."""
    monkeypatch.setattr(parts, "HELD_MAX", 4000)
    assembler = Assembler()
    assembler.open(sizes(5000, tid=1), ADDR, 0.0)
    assembler.add(part(0, 0, bytes(1500), tid=1), ADDR, 0.0)
    assembler.open(sizes(5000, tid=2), OTHER, 0.0)
    assembler.add(part(0, 0, bytes(1500), tid=2), OTHER, 0.0)
    assert not assembler.is_open(OTHER, 2)
    assert assembler.stats.refused == 1
    header, pieces = reply((Value(b"x" * 1200, id=1),), tid=3)
    assert assembler.open(header, OTHER, 0.0) is None
    assert assembler.add(pieces[0], OTHER, 0.0) is not None
    assert assembler.stats.pushed_out == 1
    assert is_empty(assembler)


def test_bytes_of_one_source_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Bookkeeping included, else one-byte pieces would be free."""
    monkeypatch.setattr(parts, "HELD_PER_SOURCE_MAX", 2000)
    assembler = Assembler()
    assembler.open(sizes(5000, tid=1), ADDR, 0.0)
    for offset in range(20):
        assembler.add(part(0, offset, b"x", tid=1), ADDR, 0.0)
        assert assembler.held <= 2000
    assert assembler.stats.refused
    assert not assembler.is_open(ADDR, 1) or assembler.held < 2000


def test_no_room_for_what_a_header_announces(monkeypatch: pytest.MonkeyPatch) -> None:
    """The slots of many values, or the first early part, may already be too much."""
    monkeypatch.setattr(parts, "HELD_PER_SOURCE_MAX", 2000)
    assembler = Assembler()
    assert assembler.open(sizes(*[5] * 20), ADDR, 0.0) is None
    assert is_empty(assembler)
    assembler.add(part(0, 0, bytes(1900)), ADDR, 0.0)
    assert is_empty(assembler)
    assembler.add(part(0, 0, bytes(1300)), ADDR, 0.0)
    assembler.open(sizes(1400, 5), ADDR, 0.0)
    assert is_empty(assembler)
    monkeypatch.setattr(parts, "HELD_PER_SOURCE_MAX", 100)
    assert assembler.open(sizes(5), ADDR, 0.0) is None
    assert is_empty(assembler)
    assert assembler.stats.refused == 4
