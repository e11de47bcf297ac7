"""Queries: their wire and text forms, what they match, what satisfies them."""

from __future__ import annotations

import contextlib
from typing import Any

import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shoal.core import DecodeError, InfoHash
from shoal.core.ids import ZERO_HASH
from shoal.dht.packing import unpack
from shoal.dht.query import CONDITIONS_MAX, Condition, Field, FieldTable, Query, Row
from shoal.dht.value import Value
from tests.unit.dht import strategies

OWNER = b"a public key"
VALUE = Value(b"x", 3, 7, "text/plain", OWNER, None, 2, b"sig")


@given(strategies.QUERIES)
def test_every_query_survives_the_wire(query: Query) -> None:
    """Selections keep their order."""
    assert Query.unpack(query.pack()) == query


@given(st.binary(max_size=100))
def test_any_bytes_give_a_query_or_a_decode_error(data: bytes) -> None:
    """Nothing else is raised, by the table reader neither."""
    with contextlib.suppress(DecodeError):
        Query.unpack(data)
    with contextlib.suppress(DecodeError):
        FieldTable.from_object(unpack(data))


@pytest.mark.parametrize(
    "item",
    [
        None,
        [],
        {"s": []},
        {"w": []},
        {"s": 1, "w": []},
        {"s": [], "w": {}},
        {"s": [9], "w": []},
        {"s": ["1"], "w": []},
        {"s": [], "w": [5]},
        {"s": [], "w": [{"f": 1}]},
        {"s": [], "w": [{"f": 0, "v": 1}]},
        {"s": [], "w": [{"f": "1", "v": 1}]},
        {"s": [], "w": [{"f": 1, "v": -1}]},
        {"s": [], "w": [{"f": 3, "v": b"short"}]},
        {"s": [], "w": [{"f": 4, "v": 1}]},
        {"s": [], "w": [{"f": 5, "v": 1}]},
        {"s": [], "w": [{"f": 1, "v": 1}] * (CONDITIONS_MAX + 1)},
    ],
    ids=str,
)
def test_what_is_no_query(item: object) -> None:
    """Both keys are required, a condition on the sequence number cannot be sent."""
    with pytest.raises(DecodeError):
        Query.from_object(item)


def test_fields_of_the_future_are_left_out_of_a_selection() -> None:
    """As long as a known one is left."""
    assert Query.from_object({"s": [9, 1, 1], "w": []}) == Query((Field.ID,))


def test_sequence_conditions_stay_at_home() -> None:
    """A reader would drop the datagram."""
    seq = Condition(Field.SEQ, 5)
    both = Query(where=(seq, Condition(Field.ID, 1)))
    assert Query.unpack(both.pack()).where == (Condition(Field.ID, 1),)
    assert both.is_sendable
    assert not Query(where=(seq,)).is_sendable
    assert Query((Field.ID,), (seq,)).is_sendable
    assert not Query().is_sendable


@pytest.mark.parametrize(
    ("condition", "is_met"),
    [
        (Condition(Field.ID, 7), True),
        (Condition(Field.ID, 8), False),
        (Condition(Field.TYPE, 3), True),
        (Condition(Field.TYPE, 0), False),
        (Condition(Field.OWNER, InfoHash.of(OWNER)), True),
        (Condition(Field.OWNER, InfoHash.of(b"other")), False),
        (Condition(Field.SEQ, 2), True),
        (Condition(Field.SEQ, 1), False),
        (Condition(Field.USER_TYPE, "text/plain"), True),
        (Condition(Field.USER_TYPE, ""), False),
    ],
)
def test_conditions(condition: Condition, is_met: bool) -> None:
    """Each field, alone and joined with one that holds."""
    assert condition.matches(VALUE) is is_met
    assert Query(where=(Condition(Field.ID, 7), condition)).matches(VALUE) is is_met
    assert Query().matches(VALUE)


def test_nobody_owns_an_unsigned_value() -> None:
    """Not even the zero id does."""
    assert not Condition(Field.OWNER, ZERO_HASH).matches(Value(b"x"))


def test_satisfaction() -> None:
    """A wider where and a larger selection contain the answer."""
    one, two = Condition(Field.ID, 1), Condition(Field.TYPE, 2)
    whole, ids = Query(), Query((Field.ID,))
    narrow = Query(where=(one, two))
    assert whole.is_satisfied_by(whole)
    assert narrow.is_satisfied_by(Query(where=(two,)))
    assert narrow.is_satisfied_by(whole)
    assert not whole.is_satisfied_by(narrow)
    assert not whole.is_satisfied_by(ids)
    assert not ids.is_satisfied_by(whole)
    assert ids.is_satisfied_by(Query((Field.SEQ, Field.ID)))
    assert not Query((Field.SEQ, Field.ID)).is_satisfied_by(ids)


@given(strategies.TABLES)
def test_every_table_survives_the_wire(table: FieldTable) -> None:
    """Fields come sorted and once."""
    assert FieldTable.from_object(unpack(table.pack())) == table
    assert list(table.fields) == sorted(set(table.fields))
    assert len(table.rows()) == len(table.cells)


@pytest.mark.parametrize(
    "item",
    [None, {}, {"f": []}, {"f": 1, "v": []}, {"f": [1], "v": 1}, {"f": [0], "v": []}],
    ids=str,
)
def test_what_is_no_table(item: object) -> None:
    """A table names at least one field, all known."""
    with pytest.raises(DecodeError):
        FieldTable.from_object(item)


def test_rows_of_a_table() -> None:
    """A selection is projected in field order; an unsigned value's owner is zeros."""
    query = Query((Field.USER_TYPE, Field.ID, Field.OWNER, Field.SEQ, Field.TYPE))
    table = FieldTable.of(query.select, (VALUE, Value(b"", id=9)))
    assert table.cells[0] == query.project(VALUE) == (7, 3, OWNER, 2, "text/plain")
    signed, plain = table.rows()
    assert signed == Row(7, 3, OWNER, 2, "text/plain")
    assert plain == Row(9, 0, ZERO_HASH, 0, "")
    assert signed.owner_id == InfoHash.of(OWNER)
    assert plain.owner_id is None
    assert Row().owner_id is None
    assert Row(owner=InfoHash.of(OWNER)).owner_id == InfoHash.of(OWNER)
    assert tuple(signed.get(field) for field in Field) == table.cells[0]
    assert all(Row().get(field) is None for field in Field)


def test_a_run_with_a_foreign_cell_is_left_out() -> None:
    """So is what follows the last whole run."""
    table = FieldTable.from_object({"f": [5, 1], "v": [1, "a", "odd", "b", 3, b"c", 4]})
    assert table == ((Field.ID, Field.USER_TYPE), ((1, "a"), (3, "c")))
    assert FieldTable.from_object({"f": [1]}).cells == ()


def test_operands_as_the_reference_packs_them() -> None:
    """Numbers as uint, owners and user types as bin."""
    where = (
        Condition(Field.TYPE, 300),
        Condition(Field.OWNER, InfoHash.of(OWNER)),
        Condition(Field.USER_TYPE, "é"),
    )
    expected: dict[str, Any] = {
        "s": [],
        "w": [
            {"f": 2, "v": 300},
            {"f": 3, "v": bytes(InfoHash.of(OWNER))},
            {"f": 5, "v": "é".encode()},
        ],
    }
    assert msgpack.unpackb(Query(where=where).pack()) == expected


ID, TYPE, SEQ = Field.ID, Field.TYPE, Field.SEQ


@pytest.mark.parametrize(
    ("text", "query"),
    [
        ("", Query()),
        ("SELECT *", Query()),
        ("select id", Query((ID,))),
        ("SELECT id, seq,id", Query((ID, SEQ))),
        ("WHERE id=5", Query(where=(Condition(ID, 5),))),
        ("SELECT value_type where seq = 2 ", Query((TYPE,), (Condition(SEQ, 2),))),
        (
            'SELECT id WHERE user_type="a,b = c",value_type=3',
            Query((ID,), (Condition(Field.USER_TYPE, "a,b = c"), Condition(TYPE, 3))),
        ),
        ("where user_type=text/plain", Query(where=(Condition(Field.USER_TYPE, "text/plain"),))),
        (
            "where owner_pk=" + "ab" * 20,
            Query(where=(Condition(Field.OWNER, InfoHash(b"\xab" * 20)),)),
        ),
        ("where id=18446744073709551615", Query(where=(Condition(ID, 2**64 - 1),))),
    ],
)
def test_the_text_form(text: str, query: Query) -> None:
    """SELECT and WHERE, either or both."""
    assert Query.parse(text) == query


@pytest.mark.parametrize(
    "text",
    [
        "DELETE id",
        "SELECTid",
        "SELECT",
        "WHERE",
        "SELECT name",
        "SELECT id,",
        "WHERE id",
        "WHERE name=1",
        "WHERE id=x",
        "WHERE id=²",
        "WHERE id=18446744073709551616",
        "WHERE value_type=65536",
        "WHERE owner_pk=ab",
    ],
)
def test_bad_text_forms_say_what_is_wrong(text: str) -> None:
    """As a decode error."""
    with pytest.raises(DecodeError):
        Query.parse(text)
