"""Keeping values: what is told to those who listen here and elsewhere, and what survives."""

from __future__ import annotations

from math import inf

import pytest

from shoal.core import InfoHash
from shoal.dht import wire
from shoal.dht.config import DhtConfig
from shoal.dht.effects import ValuesExpired, ValuesFound
from shoal.dht.engine import DhtEngine
from shoal.dht.state import SavedValue
from shoal.dht.types import TypeRegistry, ValueType
from shoal.dht.value import Value
from shoal.sim import SeededEntropy
from tests.unit.dht.world import KEY, WALL_NOW, Stranger

HELD = Value(b"held", id=1)


def make(config: DhtConfig | None = None, types: TypeRegistry | None = None) -> DhtEngine:
    """Make a node that knows nobody."""
    return DhtEngine(
        config or DhtConfig(), SeededEntropy(5), 0.0, wall_offset=WALL_NOW, types=types
    )


def created_of(engine: DhtEngine, now: float) -> list[float]:
    """Return when each stored value was created, on the engine's clock."""
    return [one.created_wall - WALL_NOW for one in engine.export_values(now)]


def told_refreshed(messages: list[wire.Message]) -> list[tuple[int, ...]]:
    """Pick the refreshes from updates, and acknowledge nothing."""
    return [one.refreshed for one in messages if isinstance(one, wire.Update) and one.refreshed]


def test_what_we_keep_for_good_is_not_cut_short_by_others() -> None:
    """Another node's put of our permanent value leaves our own listeners alone."""
    asker = Stranger(make())
    asker.read(list(asker.engine.put(1, KEY, HELD, 0.0, permanent=True)))
    asker.read(list(asker.engine.listen(2, KEY, 0.0)))
    asker.take_token()
    asker.put(HELD)
    asker.wait(2000.0)
    assert not [event for event in asker.events if isinstance(event, ValuesExpired)]
    assert [event.values for event in asker.events if isinstance(event, ValuesFound)] == [(HELD,)]
    assert [stored.expires for stored in asker.engine.storage] == [inf]


def test_listeners_of_our_own_hear_the_end() -> None:
    """A value that only we store: found, prolonged by a second put, gone when its life ends."""
    asker = Stranger(make())
    asker.read(list(asker.engine.listen(2, KEY, 0.0)))
    asker.take_token()
    asker.put(HELD)
    asker.wait(500.0)
    asker.take_token()
    asker.put(HELD)
    asker.wait(590.0)
    assert not [event for event in asker.events if isinstance(event, ValuesExpired)]
    asker.wait(11.0)
    assert [e.values for e in asker.events if isinstance(e, ValuesExpired)] == [(HELD,)]


def test_an_older_copy_takes_nothing_from_a_younger_one() -> None:
    """A put that says it was created long ago neither shortens a life nor dates it back."""
    asker = Stranger(make())
    asker.wait(300.0)
    asker.take_token()
    asker.put(HELD)
    asker.put(HELD, created=int(WALL_NOW) + 10)
    assert created_of(asker.engine, asker.now) == [300.0]
    asker.wait(599.0)
    assert asker.get().values == (HELD,)


def test_a_flood_of_refreshes_is_told_once_a_second() -> None:
    """Else whoever may write makes us send to all who listen, thousands of times a second."""
    asker = Stranger(make())
    token = asker.take_token()
    asker.put(HELD)
    asker.say(wire.Listen(asker.tid(), asker.id, KEY, token, 7, None, 1))
    told = []
    for _ in range(50):
        told += asker.say(wire.Refresh(asker.tid(), asker.id, KEY, HELD.id, token))
    assert told_refreshed(told) == [(HELD.id,)]
    asker.wait(1.0)
    again = asker.say(wire.Refresh(asker.tid(), asker.id, KEY, HELD.id, token))
    assert told_refreshed(again) == [(HELD.id,)]


def test_a_change_of_type_may_end_a_life() -> None:
    """An edit into a type of shorter life, created too long ago for it, is not stored."""
    types = TypeRegistry(lambda value: True)
    types.register(ValueType(77, "brief", life=5.0))
    asker = Stranger(make(types=types))
    asker.take_token()
    old = Value(b"a", id=1, owner=b"o", signature=b"s", seq=1)
    brief = Value(b"b", id=1, owner=b"o", signature=b"s", seq=2, type=77)
    asker.put(old)
    asker.put(brief, created=int(WALL_NOW) - 60)
    assert asker.get().values == (old,)
    asker.put(brief)
    assert asker.get().values == (brief,)


def test_exported_values_come_back_with_the_life_that_is_left() -> None:
    """What we keep for good is not exported: who put it puts it again."""
    engine = make()
    engine.put(1, KEY, HELD, 0.0)
    engine.put(2, KEY, Value(b"for good", id=2), 0.0, permanent=True)
    (saved,) = engine.export_values(100.0)
    assert saved == SavedValue(KEY, HELD, WALL_NOW, WALL_NOW + 600.0, None)
    heir = Stranger(make())
    dead = SavedValue(KEY, Value(b"dead", id=3), WALL_NOW - 700.0, WALL_NOW - 100.0, None)
    heir.read(list(heir.engine.import_values([saved, dead], 0.0)))
    assert heir.engine.storage_size() == (1, 4)
    heir.wait(601.0)
    assert heir.engine.storage_size() == (0, 0)


def test_a_smaller_limit_evicts_and_says_so() -> None:
    """What has to go is told to our own listeners; nothing at all fits into nothing."""
    asker = Stranger(make())
    asker.read(list(asker.engine.listen(2, KEY, 0.0)))
    asker.take_token()
    asker.put(HELD)
    asker.read(list(asker.engine.set_storage_limit(-5, 0.0)))
    assert [e.values for e in asker.events if isinstance(e, ValuesExpired)] == [(HELD,)]
    assert asker.engine.storage_size() == (0, 0)
    asker.put(HELD)
    assert asker.engine.storage_size() == (0, 0)


@pytest.mark.parametrize("is_permanent", [False, True])
def test_cancelling_a_put_forgets_our_copy_and_no_other(is_permanent: bool) -> None:
    """A copy that another node put here stays, whatever is cancelled."""
    asker = Stranger(make())
    asker.read(list(asker.engine.put(1, KEY, HELD, 0.0, permanent=is_permanent)))
    asker.take_token()
    asker.put(Value(b"theirs", id=2))
    for value_id in (1, 2, 3):
        asker.read(list(asker.engine.cancel_put(KEY, value_id, 0.0)))
    assert [value.id for value in asker.get().values] == [2]
    assert asker.get(key=InfoHash.of(b"elsewhere")).values == ()
