"""What callers started: what is reported, when, and how much of it is remembered."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

from hypothesis import given
from hypothesis import strategies as st

from shoal.core import Family, InfoHash
from shoal.core.deadlines import Deadlines, Sleeper
from shoal.dht import operations
from shoal.dht.effects import Done, RowsFound, ValuesExpired, ValuesFound
from shoal.dht.operations import TRACKED_MAX, GetOperation, ListenGroup, PutOperation
from shoal.dht.query import Condition, Field, FieldTable, Query
from shoal.dht.value import Value
from tests.unit.dht.world import KEY

if TYPE_CHECKING:
    import pytest

BOTH = (Family.IPV4, Family.IPV6)
ANNA, BEN, CARA = (InfoHash(name * 20) for name in (b"a", b"b", b"c"))


class Listening:
    """A listen group with one caller, and what that caller hears."""

    def __init__(self, query: Query | None = None, forged: bytes = b"forged") -> None:
        self.out: list[Any] = []
        self.wakeups: Deadlines[Sleeper] = Deadlines()
        self.asked = 0
        self._forged = forged
        self.group = ListenGroup(KEY, query or Query(), self.out, self.wakeups, self._is_authentic)
        self.group.join(1)

    def _is_authentic(self, value: Value) -> bool:
        self.asked += 1
        return value.signature != self._forged

    def take(self, holder: InfoHash, *values: Value, until: float = 600.0) -> None:
        """Let *holder* report values."""
        self.group.take_values(holder, values, {value.id: until for value in values})

    def wait(self, until: float) -> None:
        """Let time pass."""
        while (sleeper := self.wakeups.pop_due(until)) is not None:
            sleeper.wake(until)

    def heard(self) -> list[bytes]:
        """Return the contents reported."""
        return [v.data for e in self.out if isinstance(e, ValuesFound) for v in e.values]

    def missed(self) -> list[int]:
        """Return the ids reported gone."""
        return [v.id for e in self.out if isinstance(e, ValuesExpired) for v in e.values]


def signed(seq: int, data: bytes = b"", owner: bytes = b"owner", signature: bytes = b"s") -> Value:
    """Make a signed value with id 1."""
    return Value(data or b"%d" % seq, id=1, owner=owner, seq=seq, signature=signature)


def get(query: Query | None = None) -> tuple[GetOperation, list[Any]]:
    """Make a get of both families and the list of what it reports."""
    out: list[Any] = []
    return GetOperation(7, KEY, query or Query(), BOTH, 0.0, out), out


def test_a_get_ends_when_both_families_have() -> None:
    """Once, and well if one of them did well."""
    operation, out = get()
    operation.answered.add(ANNA)
    operation.family_ended(Family.IPV4, ok=False)
    assert out == []
    operation.family_ended(Family.IPV6, ok=True)
    operation.family_ended(Family.IPV6, ok=False)
    assert out == [Done(7, ok=True, nodes=1)]
    operation.take_values([Value(b"late", id=1)])
    assert len(out) == 1


values = st.builds(
    Value,
    data=st.sampled_from([b"", b"x"]),
    id=st.integers(1, 3),
    user_type=st.sampled_from(["", "t"]),
    seq=st.integers(0, 1),
    owner=st.none() | st.just(b"o"),
    signature=st.none() | st.just(b"s"),
    cypher=st.none() | st.sampled_from([b"c", b"d"]),
)


@given(answers=st.lists(st.lists(values)))
def test_each_content_is_reported_once(answers: list[list[Value]]) -> None:
    """By id and `content_equals`: what nodes repeat is not news, what differs under an id is."""
    operation, out = get()
    expected: list[Value] = []
    for answer in answers:
        for value in answer:
            if not any(old.id == value.id and old.content_equals(value) for old in expected):
                expected.append(value)
        operation.take_values(answer)
    assert [value for event in out for value in event.values] == expected


def test_a_get_reports_a_bounded_amount(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nodes that make values up do not fill our memory; what was known is still known."""
    monkeypatch.setattr(operations, "FOUND_SIZE_MAX", 4000)
    operation, out = get()
    for number in range(1, 100):
        operation.take_values([Value(bytes(1000), id=number)])
    assert [value.id for event in out for value in event.values] == [1, 2, 3, 4]
    assert operation.wants_copy(1)
    operation.take_values([Value(bytes(1000), id=1)] * 2)
    assert not operation.wants_copy(1)
    assert operation.wants_copy(99)


def test_a_query_reports_rows_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """From tables and from whole values alike, up to a bound."""
    monkeypatch.setattr(operations, "ROWS_MAX", 3)
    operation, out = get(Query((Field.ID,), (Condition(Field.TYPE, 0),)))
    operation.take_values([Value(b"x", id=1), Value(b"y", id=2), Value(b"z", id=9, type=3)])
    operation.take_rows(FieldTable((Field.ID,), ((1,), (3,), (3,))).rows())
    operation.take_rows(FieldTable((Field.ID,), ((4,), (1,))).rows())
    assert [[row.id for row in event.rows] for event in out] == [[1, 2], [3]]
    assert all(isinstance(event, RowsFound) for event in out)


def put(*, is_permanent: bool = False) -> tuple[PutOperation, list[Any]]:
    """Make a put in both families and the list of what it reports."""
    out: list[Any] = []
    value = Value(b"x", id=1)
    operation = PutOperation(
        [7], KEY, value, BOTH, out, is_permanent=is_permanent, wall_created=None, life=600.0
    )
    return operation, out


def test_a_put_tells_all_who_wait_for_it_once() -> None:
    """Those who join later hear at once; a permanent one goes on."""
    for is_permanent in (False, True):
        operation, out = put(is_permanent=is_permanent)
        operation.join(8)
        operation.nodes = 3
        operation.family_ended(Family.IPV4, ok=True)
        assert operation.is_open(Family.IPV6)
        operation.family_ended(Family.IPV6, ok=False)
        operation.tell(ok=False)
        operation.join(9)
        assert out == [Done(op, ok=True, nodes=3) for op in (7, 8, 9)]
        assert operation.is_over != is_permanent


def test_a_value_is_gone_when_nobody_holds_it() -> None:
    """Reference 1.9.3: reported at the first sight, and once the last holder let it go."""
    listening = Listening()
    listening.take(ANNA, Value(b"x", id=1))
    listening.take(BEN, Value(b"x", id=1))
    listening.group.drop(ANNA, [1, 99])
    listening.group.drop(ANNA, [1])
    assert listening.missed() == []
    listening.group.drop(BEN, [1])
    assert listening.heard() == [b"x"]
    assert listening.missed() == [1]
    assert listening.group.type_of(1) is None


def test_a_life_that_ends_in_time() -> None:
    """Each holder's copy lives its time; refreshed ones longer, unknown ones do not matter."""
    listening = Listening()
    listening.take(ANNA, Value(b"x", id=1, type=3), until=600.0)
    listening.take(BEN, Value(b"y", id=2), until=300.0)
    listening.wait(299.9)
    assert listening.missed() == []
    listening.wait(300.0)
    assert listening.missed() == [2]
    listening.group.refresh(CARA, {1: 900.0, 5: 400.0})
    assert listening.group.type_of(1) == 3
    listening.wait(899.9)
    assert listening.missed() == [2]
    listening.wait(900.0)
    assert listening.missed() == [2, 1]
    assert listening.group.values() == ()
    assert not len(listening.wakeups)


def test_a_permanent_put_that_succeeded_late_says_so_to_who_joins() -> None:
    """It had failed when its first caller was told, and went on."""
    out: list[Any] = []
    operation = PutOperation(
        [7], KEY, Value(b"x", id=1), BOTH, out, is_permanent=True, wall_created=None, life=600.0
    )
    for family in BOTH:
        operation.family_ended(family, ok=False)
    operation.nodes = 3  # that hold it by now

    operation.join(8)

    assert out == [Done(7, False, 0), Done(8, True, 3)]


def test_who_joins_later_hears_what_is_there() -> None:
    """Callers share one group; each is told the whole, and nothing after leaving."""
    listening = Listening()
    listening.take(ANNA, Value(b"x", id=1))
    listening.group.join(2)
    assert listening.out[-1] == ValuesFound(2, (Value(b"x", id=1),))
    listening.group.leave(1, 5.0)
    assert listening.group.abandoned_at == float("inf")
    listening.group.leave(2, 6.0)
    assert listening.group.abandoned_at == 6.0
    listening.take(ANNA, Value(b"y", id=2))
    assert len(listening.out) == 2


def test_conditions_hold_here_as_well() -> None:
    """Whatever nodes send, callers hear what they asked for."""
    listening = Listening(Query(where=(Condition(Field.SEQ, 4),)))
    listening.take(ANNA, signed(3))
    listening.take(ANNA, signed(4))
    assert listening.heard() == [b"4"]


def test_edits_are_heard_in_their_order() -> None:
    """Reference 1.9.3: a greater seq is news, from whichever node; an older one a straggler."""
    listening = Listening()
    for holder, seq in ((ANNA, 1), (ANNA, 3), (BEN, 2), (BEN, 3), (CARA, 4)):
        listening.take(holder, signed(seq))
    assert listening.heard() == [b"1", b"3", b"4"]


def test_a_liar_can_neither_silence_a_key_nor_edit_it() -> None:
    """Forged versions with the highest seq: before the true one, or after it."""
    forged = signed(65_535, b"lie", signature=b"forged")
    listening = Listening()
    listening.take(ANNA, forged)
    for seq in (1, 2, 3):
        listening.take(BEN, signed(seq))
        listening.take(ANNA, forged)
    assert listening.heard() == [b"lie", b"1", b"2", b"3"]


def test_a_known_value_is_verified_once() -> None:
    """Stragglers cost one verification in all, not one each."""
    listening = Listening()
    listening.take(ANNA, signed(9))
    for seq in range(8):
        listening.take(BEN, signed(seq))
    assert listening.heard() == [b"9"]
    assert listening.asked == 1


def test_plain_and_signed_values_under_one_id() -> None:
    """Proof beats none; without proof on either side what comes later is what is there now."""
    plain = Value(b"plain", id=1)
    other = dataclasses.replace(plain, data=b"other")
    listening = Listening()
    listening.take(ANNA, plain)
    listening.take(BEN, other)
    listening.take(BEN, signed(1, b"lie", signature=b"forged"))
    listening.take(ANNA, signed(1, b"true"))
    listening.take(BEN, plain)
    listening.take(CARA, signed(0, b"also true", owner=b"somebody else"))
    assert listening.heard() == [b"plain", b"other", b"true", b"also true"]
    hidden = Listening()
    hidden.take(ANNA, signed(1, b"lie", signature=b"forged"))
    hidden.take(BEN, plain)
    assert hidden.heard() == [b"lie", b"plain"]


def test_a_group_tracks_a_bounded_number_of_values() -> None:
    """OpenDHT's bound; the oldest go."""
    listening = Listening()
    for number in range(1, TRACKED_MAX + 11):
        listening.take(ANNA, Value(id=number))
    assert len(listening.group.values()) == TRACKED_MAX
    assert listening.group.type_of(10) is None
    assert listening.group.type_of(11) == 0
