"""Queries: which values of a key are wanted (where), and which of their fields (select).

On the wire a query is `{s: [field, …], w: [{f: field, v: value}, …]}`, both keys required:

| field | number | `v` of a condition | in a reply's table |
| --- | --- | --- | --- |
| value id | 1 | uint64 | uint |
| value type | 2 | uint16 | uint |
| owner | 3 | bin of 20, key id | bin, the whole public key, or 20 zeros |
| sequence number | 4 | cannot be sent | uint |
| user type | 5 | bin | str |

A reply to a selection is a table `{f: [sorted fields], v: [row after row]}`.

Source: OpenDHT value.h, Query, Select, Where, FieldValue; parsed_message.h.
"""

from __future__ import annotations

import enum
import re
from typing import TYPE_CHECKING, Final, NamedTuple, TypeAlias, assert_never

from shoal.core import DecodeError, InfoHash
from shoal.core.ids import ZERO_HASH
from shoal.core.records import dataclass
from shoal.dht.packing import (
    UINT16_MAX,
    UINT64_MAX,
    pack_array_header,
    pack_bin,
    pack_text,
    pack_uint,
    read_blob,
    read_hash,
    read_text,
    read_uint,
    unpack,
)

if TYPE_CHECKING:
    from collections.abc import Iterable

    from shoal.dht.value import Value

CONDITIONS_MAX: Final = 64  # ours: each stored value is held against each condition of a query


class Field(enum.IntEnum):
    """Fields a query can name, under their numbers on the wire."""

    ID = 1
    TYPE = 2
    OWNER = 3
    SEQ = 4
    USER_TYPE = 5


Cell: TypeAlias = int | str | bytes
_FIELDS: Final = {int(number): number for number in Field}
_NAMES: Final = {
    "id": Field.ID,
    "value_type": Field.TYPE,
    "owner_pk": Field.OWNER,
    "seq": Field.SEQ,
    "user_type": Field.USER_TYPE,
}


class Condition(NamedTuple):
    """A field and what it must be: int for ids, types and seqs, a key id for owners, else text."""

    field: Field
    value: int | str | InfoHash

    def matches(self, value: Value) -> bool:
        """Whether *value* meets the condition.

        Of an encrypted value only the id is known; its other fields have their defaults.
        """
        match self.field:
            case Field.ID:
                return value.id == self.value
            case Field.TYPE:
                return value.type == self.value
            case Field.OWNER:
                return value.owner is not None and value.owner_id == self.value
            case Field.SEQ:
                return value.seq == self.value
            case Field.USER_TYPE:
                return value.user_type == self.value
            case _:
                assert_never(self.field)


Where: TypeAlias = tuple[Condition, ...]


def matches_all(where: Where, value: Value) -> bool:
    """Whether *value* meets every condition; no conditions are met by all values."""
    return all(condition.matches(value) for condition in where)


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the answer to a selection; None where the field was not asked for.

    Attributes:
        owner: public key (DER) of a signed value; 20 zeros, or a key id, from nodes that send one.
    """

    id: int | None = None
    type: int | None = None
    owner: bytes | None = None
    seq: int | None = None
    user_type: str | None = None

    @property
    def owner_id(self) -> InfoHash | None:
        """Key id of the owner; None when there is none, or it was not asked for."""
        if self.owner is None or self.owner == ZERO_HASH:
            return None
        if len(self.owner) == InfoHash.length:
            return InfoHash(self.owner)
        return InfoHash.of(self.owner)

    def get(self, field: Field) -> Cell | None:
        """Return the cell of *field*, None where it was not asked for."""
        match field:
            case Field.ID:
                return self.id
            case Field.TYPE:
                return self.type
            case Field.OWNER:
                return self.owner
            case Field.SEQ:
                return self.seq
            case Field.USER_TYPE:
                return self.user_type
            case _:
                assert_never(field)


class FieldTable(NamedTuple):
    """The answer to a selection: sorted distinct fields, and one run of cells per value."""

    fields: tuple[Field, ...]
    cells: tuple[tuple[Cell, ...], ...]

    @classmethod
    def of(cls, select: Iterable[Field], values: Iterable[Value]) -> FieldTable:
        """Take the *select* fields of *values*."""
        fields = tuple(sorted(set(select)))
        return cls(fields, tuple(_project(fields, value) for value in values))

    def rows(self) -> tuple[Row, ...]:
        """Return the lines of the table, each with its cells by name."""
        names = [field.name.lower() for field in self.fields]
        return tuple(_row(dict(zip(names, line, strict=True))) for line in self.cells)

    def pack(self) -> bytes:
        """Return the table as it stands under `fileds` in a reply."""
        packed = [
            b"\x82\xa1f",
            pack_array_header(len(self.fields)),
            *(pack_uint(number) for number in self.fields),
            b"\xa1v",
            pack_array_header(len(self.fields) * len(self.cells)),
        ]
        for line in self.cells:
            packed += map(_pack_cell, line)
        return b"".join(packed)

    @classmethod
    def from_object(cls, item: object) -> FieldTable:
        """Read a table from its unpacked map; a run with a foreign cell is left out.

        Raises:
            DecodeError: *item* is not a table, or names no or unknown fields.
        """
        if type(item) is not dict:
            raise DecodeError("a table that is not a map")
        numbers = item.get("f")
        flat = item.get("v", [])
        if type(numbers) is not list or not numbers or type(flat) is not list:
            raise DecodeError("a table without fields or values")
        fields = tuple(sorted({_read_field(number) for number in numbers}))
        width = len(fields)
        lines = []
        for start in range(0, len(flat) - width + 1, width):
            try:
                run = flat[start : start + width]
                lines.append(tuple(map(_read_cell, fields, run)))
            except DecodeError:
                continue
        return cls(fields, tuple(lines))


@dataclass(frozen=True, slots=True)
class Query:
    """What is asked of the values of a key.

    Attributes:
        select: fields wanted; none means whole values.
        where: conditions that all must hold.
    """

    select: tuple[Field, ...] = ()
    where: Where = ()

    def is_satisfied_by(self, other: Query) -> bool:
        """Whether the answer to *other* contains the answer to this query.

        Source: OpenDHT value.cpp, Query::isSatisfiedBy.
        """
        if not set(other.where) <= set(self.where):
            return False
        if not self.select:
            return not other.select
        return set(self.select) <= set(other.select)

    def matches(self, value: Value) -> bool:
        """Whether *value* meets every condition."""
        return matches_all(self.where, value)

    def project(self, value: Value) -> tuple[Cell, ...]:
        """Return the selected cells of *value* in the order of field numbers."""
        return _project(tuple(sorted(set(self.select))), value)

    @property
    def is_sendable(self) -> bool:
        """Whether the query says anything that can be sent."""
        return bool(self.select) or any(c.field is not Field.SEQ for c in self.where)

    def pack(self) -> bytes:
        """Return the query as it stands under `q` in a request.

        Conditions on the sequence number are left out, for whoever asks to apply: a reader that
        finds one drops the whole datagram. Select it, and the rows can be told apart.
        """
        where = [condition for condition in self.where if condition.field is not Field.SEQ]
        packed = [b"\x82\xa1s", pack_array_header(len(self.select))]
        packed += map(pack_uint, self.select)
        packed += (b"\xa1w", pack_array_header(len(where)))
        for condition in where:
            packed += (b"\x82\xa1f", pack_uint(condition.field), b"\xa1v")
            packed.append(_pack_operand(condition.value))
        return b"".join(packed)

    @classmethod
    def unpack(cls, packed: bytes) -> Query:
        """Read a packed query.

        Raises:
            DecodeError: *packed* is not a query.
        """
        return cls.from_object(unpack(packed))

    @classmethod
    def from_object(cls, item: object) -> Query:
        """Read a query from its unpacked map.

        Fields of the future are left out of a selection; one of only such fields is refused, lest
        it be answered with whole values.

        Raises:
            DecodeError: *item* is not a query, or has a condition that cannot be sent.
        """
        if type(item) is not dict:
            raise DecodeError("a query that is not a map")
        numbers, conditions = item.get("s"), item.get("w")
        if type(numbers) is not list or type(conditions) is not list:
            raise DecodeError("a query without select or where")
        if len(conditions) > CONDITIONS_MAX:
            raise DecodeError(f"more than {CONDITIONS_MAX} conditions")
        select: tuple[Field, ...] = ()
        if numbers:
            wanted = [_FIELDS[n] for n in numbers if type(n) is int and n in _FIELDS]
            if not wanted:
                raise DecodeError("a selection of unknown fields only")
            select = tuple(dict.fromkeys(wanted))
        return cls(select, tuple([_read_condition(condition) for condition in conditions]))

    @classmethod
    def parse(cls, text: str) -> Query:
        """Read the text form `SELECT f1,f2 WHERE f=v,f=v`; either part may be missing.

        Fields: id, value_type, owner_pk, seq, user_type, and `*` for whole values. Words may be
        quoted with double quotes; SELECT and WHERE are read in any case.

        Raises:
            DecodeError: *text* has another form; the message names the spot.
        """
        shape = _TEXT_FORM.fullmatch(text)
        if shape is None:
            raise DecodeError(f"a query reads 'SELECT field,… WHERE field=value,…', not {text!r}")
        names = [name.strip() for name in (shape["select"] or "*").split(",")]
        select = () if names == ["*"] else tuple(dict.fromkeys(map(_field_named, names)))
        where = tuple(map(_parse_condition, _split_conditions(shape["where"] or "")))
        return cls(select, where)


_TEXT_FORM: Final = re.compile(
    r"\s*(?:select\s+(?P<select>\S.*?)\s*)??(?:\bwhere\s+(?P<where>\S.*))?",
    re.IGNORECASE | re.DOTALL,
)
_CONDITION_TEXT: Final = re.compile(r'(?:[^",]|"[^"]*")+')


def _split_conditions(text: str) -> list[str]:
    """Split at the commas that are outside quotes."""
    return [part.strip() for part in _CONDITION_TEXT.findall(text) if part.strip()]


def _field_named(name: str) -> Field:
    """Return the field that the text form calls *name*."""
    field = _NAMES.get(name.lower())
    if field is None:
        raise DecodeError(f"no field {name!r}: there are {', '.join(_NAMES)}")
    return field


def _parse_condition(text: str) -> Condition:
    """Read one `field=value`."""
    name, equals, operand = text.partition("=")
    if not equals:
        raise DecodeError(f"a condition reads field=value, not {text!r}")
    field = _field_named(name.strip())
    operand = operand.strip()
    if len(operand) > 1 and operand[0] == operand[-1] == '"':
        operand = operand[1:-1]
    if field is Field.USER_TYPE:
        return Condition(field, operand)
    if field is Field.OWNER:
        return Condition(field, InfoHash.from_hex(operand))
    limit = UINT64_MAX if field is Field.ID else UINT16_MAX
    if not operand.isascii() or not operand.isdecimal() or int(operand[:21]) > limit:
        raise DecodeError(f"{name.strip()} takes a number from 0 to {limit}, not {operand[:80]!r}")
    return Condition(field, int(operand))


def _pack_operand(operand: int | str | InfoHash) -> bytes:
    """Pack what a field is compared with: texts travel as bin here."""
    if isinstance(operand, int):
        return pack_uint(operand)
    if isinstance(operand, str):
        return pack_bin(operand.encode("utf-8", "surrogateescape"))
    return pack_bin(operand)


def _read_field(number: object) -> Field:
    """Return the field with this number."""
    field = _FIELDS.get(number) if type(number) is int else None
    if field is None:
        raise DecodeError("an unknown field")
    return field


def _read_condition(item: object) -> Condition:
    """Read one `{f: field, v: value}`."""
    if type(item) is not dict:
        raise DecodeError("a condition that is not a map")
    field, operand = _read_field(item.get("f")), item.get("v")
    if field is Field.ID or field is Field.TYPE:
        return Condition(field, read_uint(operand, UINT64_MAX))
    if field is Field.OWNER:
        return Condition(field, read_hash(operand))
    if field is Field.USER_TYPE:
        return Condition(field, read_blob(operand).decode("utf-8", "surrogateescape"))
    raise DecodeError("a condition on the sequence number")


def _project(fields: tuple[Field, ...], value: Value) -> tuple[Cell, ...]:
    """Return the cells of *value* in the order of *fields*."""
    return tuple(_cell(field, value) for field in fields)


def _cell(field: Field, value: Value) -> Cell:
    """Return one cell; the owner is the whole public key, as the reference writes it."""
    match field:
        case Field.ID:
            return value.id
        case Field.TYPE:
            return value.type
        case Field.OWNER:
            return ZERO_HASH if value.owner is None else value.owner
        case Field.SEQ:
            return value.seq
        case Field.USER_TYPE:
            return value.user_type
        case _:
            assert_never(field)


def _pack_cell(cell: Cell) -> bytes:
    """Pack a cell of a table."""
    if isinstance(cell, int):
        return pack_uint(cell)
    if isinstance(cell, str):
        return pack_text(cell)
    return pack_bin(cell)


def _read_cell(field: Field, item: object) -> Cell:
    """Read a cell of a table."""
    match field:
        case Field.ID | Field.TYPE | Field.SEQ:
            return read_uint(item, UINT64_MAX)
        case Field.OWNER:
            return read_blob(item)
        case Field.USER_TYPE:
            return read_text(item)
        case _:
            assert_never(field)


def _row(cells: dict[str, Cell]) -> Row:
    """Make a row of cells by name, whose types `_read_cell` and `_cell` have seen to."""
    value_id, number, owner = cells.get("id"), cells.get("type"), cells.get("owner")
    seq, user_type = cells.get("seq"), cells.get("user_type")
    return Row(
        value_id if isinstance(value_id, int) else None,
        number if isinstance(number, int) else None,
        owner if isinstance(owner, bytes) else None,
        seq if isinstance(seq, int) else None,
        user_type if isinstance(user_type, str) else None,
    )
