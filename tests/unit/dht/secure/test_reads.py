"""Gets and listens as their callers see them."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

from shoal.core import InfoHash
from shoal.dht.effects import Done, ValuesExpired, ValuesFound
from shoal.dht.secure import reads
from shoal.dht.secure.checks import Checker, SecureStats
from shoal.dht.secure.reads import Reading, Readings
from shoal.dht.secure.suite import StandardSuite
from shoal.dht.value import Value
from tests.unit.dht.identities import identity

if TYPE_CHECKING:
    import pytest

    from shoal.crypto.identity import Identity

SUITE = StandardSuite()
KEY = InfoHash.of(b"key")


class Bench:
    """Readings over a checker whose jobs run when asked to."""

    def __init__(self) -> None:
        checker = Checker(SUITE, SecureStats(), itertools.count(1), lambda *_: None)
        self.checker = checker
        self.readings = Readings(checker)

    def open(self, op: int, *, is_listen: bool, reader: Identity | None = None) -> None:
        """Begin a reading."""
        self.readings.open(Reading(op, KEY, (), is_listen, False, reader))

    def check(self) -> list[object]:
        """Run what waits; return what may be shown then."""
        shown: list[object] = []
        for compute in self.checker.start():
            for batch in self.checker.finish(compute.id, compute.job()) or ():
                shown += self.readings.completed(batch)
        return shown


def sealed(data: bytes, value_id: int) -> Value:
    """Return a value that Alice encrypted to Bob."""
    spki = identity("bob").certificate.public_key.spki
    return SUITE.seal(identity("alice"), Value(data, id=value_id), spki)


def test_done_waits_for_the_last_check() -> None:
    """And a batch of plain values waits for the one before it."""
    bench = Bench()
    bench.open(1, is_listen=False)
    signed = SUITE.sign(identity("alice"), Value(b"s", id=1))

    assert bench.readings.found(ValuesFound(1, (signed,))) == []
    assert bench.readings.found(ValuesFound(1, (Value(b"p", id=2),))) == []
    assert bench.readings.done(Done(1, ok=True, nodes=3)) == []
    assert 1 in bench.readings
    assert bench.readings.running() == []  # its backend is done with it
    assert bench.check() == [
        ValuesFound(1, (signed,)),
        ValuesFound(1, (Value(b"p", id=2),)),
        Done(1, ok=True, nodes=3),
    ]
    assert 1 not in bench.readings


def test_an_encrypted_value_expires_in_clear() -> None:
    """The listener knows it by its content; an expiry of what it never saw is no news."""
    bench = Bench()
    bench.open(1, is_listen=True, reader=identity("bob"))
    outer, other = sealed(b"hello", 5), sealed(b"other", 5)

    bench.readings.found(ValuesFound(1, (outer,)))
    (found,) = bench.check()
    assert isinstance(found, ValuesFound)
    assert [value.data for value in found.values] == [b"hello"]
    assert bench.readings.expired(ValuesExpired(1, (other,))) == []
    assert bench.readings.expired(ValuesExpired(1, (outer,))) == [ValuesExpired(1, found.values)]
    assert bench.readings.expired(ValuesExpired(1, (outer,))) == []


def test_a_cancelled_listen_forgets_what_it_queued() -> None:
    """Values that wait, dropped ones and expiries alike."""
    bench = Bench()
    bench.open(1, is_listen=True, reader=identity("carol"))
    bench.readings.found(ValuesFound(1, (sealed(b"x", 5),)))
    bench.readings.expired(ValuesExpired(1, (sealed(b"x", 5),)))
    bench.readings.cancel(1)
    assert bench.check() == []
    bench.open(1, is_listen=True, reader=identity("carol"))
    bench.readings.found(ValuesFound(1, (sealed(b"y", 5), Value(b"z", id=6))))
    assert bench.check() == [ValuesFound(1, (Value(b"z", id=6),))]


def test_a_listen_shows_a_value_once_and_its_edits() -> None:
    """Equal content under one id is no news; other content is."""
    bench = Bench()
    bench.open(1, is_listen=True)
    old, new = Value(b"1", id=1), Value(b"2", id=1)

    assert bench.readings.found(ValuesFound(1, (old,))) == [ValuesFound(1, (old,))]
    assert bench.readings.found(ValuesFound(1, (old,))) == []
    assert bench.readings.found(ValuesFound(1, (new,))) == [ValuesFound(1, (new,))]
    assert bench.readings.expired(ValuesExpired(1, (old,))) == []  # replaced meanwhile
    assert bench.readings.expired(ValuesExpired(1, (new,))) == [ValuesExpired(1, (new,))]


def test_the_memory_of_a_listen_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """The oldest value is forgotten: its expiry isn't reported."""
    monkeypatch.setattr(reads, "SHOWN_MAX", 2)
    bench = Bench()
    bench.open(1, is_listen=True)
    values = tuple(Value(b"x", id=n) for n in (1, 2, 3))

    bench.readings.found(ValuesFound(1, values))
    assert bench.readings.expired(ValuesExpired(1, values)) == [ValuesExpired(1, values[1:])]


def test_unconfirmed_values_expire() -> None:
    """After a change of backend: what came again stays, edits included."""
    bench = Bench()
    bench.open(1, is_listen=True)
    bench.open(2, is_listen=True)
    values = tuple(Value(b"x", id=n) for n in (1, 2, 3))
    bench.readings.found(ValuesFound(1, values))

    bench.readings.doubt()
    bench.readings.found(ValuesFound(1, (values[0], Value(b"edited", id=2))))
    bench.readings.expired(ValuesExpired(1, ()))
    assert bench.readings.drop_unconfirmed() == [ValuesExpired(1, (values[2],))]
    assert bench.readings.drop_unconfirmed() == []


def test_events_of_unknown_or_ended_readings_are_ignored() -> None:
    """Late events of a backend do no harm."""
    bench = Bench()
    late = (ValuesFound(7, (Value(b"x", id=1),)), ValuesExpired(7, ()), Done(7, ok=True, nodes=0))

    assert bench.readings.found(late[0]) == ()
    assert bench.readings.expired(late[1]) == ()
    assert bench.readings.done(late[2]) == ()
    bench.open(7, is_listen=False)
    signed = SUITE.sign(identity("alice"), Value(b"s", id=1))
    bench.readings.found(ValuesFound(7, (signed,)))
    bench.readings.done(late[2])
    assert bench.readings.found(late[0]) == ()
    assert bench.readings.done(late[2]) == ()
    assert bench.readings.cancel(7) is not None
    assert bench.readings.cancel(7) is None
    assert bench.check() == []
    assert len(bench.readings) == 0
