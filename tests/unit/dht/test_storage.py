"""Storage: bounds, life times, and who has to give way."""

import gc
from math import inf

from hypothesis import given
from hypothesis import strategies as st

from shoal.core import Address, InfoHash
from shoal.dht.query import Condition, Field
from shoal.dht.storage import OVERHEAD, Storage, StoredValue, sender_of
from shoal.dht.value import Value

KEY = InfoHash(bytes(20))
ALICE = Address(bytes((192, 0, 2, 1)), 4222)
BOB = Address(bytes((192, 0, 2, 2)), 4222)


def entry(
    value_id: int,
    size: int = 100,
    storer: Address | None = ALICE,
    expires: float = 600.0,
    key: InfoHash = KEY,
) -> StoredValue:
    """Make an entry of *size* bytes."""
    return StoredValue(key, Value(bytes(size), id=value_id), 0.0, expires, storer)


def ids(storage: Storage, key: InfoHash = KEY) -> set[int]:
    """Return which values a key holds."""
    return {value.id for value in storage.values(key)}


def test_values_are_found_by_key_and_id() -> None:
    """Stored, counted, replaced, filtered, removed."""
    storage = Storage(10_000, None, 10)
    assert storage.store(entry(1)) == (True, [])
    assert storage.store(entry(2, size=50)) == (True, [])
    assert (storage.count, storage.size) == (2, 150)
    assert storage.store(entry(2, size=70)) == (True, [])
    assert (storage.count, storage.size) == (2, 170)
    assert [v.id for v in storage.values(KEY, (Condition(Field.ID, 2),))] == [2]
    assert storage.has_key(KEY)
    assert storage.remove(KEY, 1) is not None
    assert storage.remove(KEY, 1) is None
    assert storage.remove(KEY, 2) is not None
    assert not storage.has_key(KEY)
    assert (storage.count, storage.size) == (0, 0)
    assert list(storage) == []


def test_the_heaviest_sender_gives_way_first() -> None:
    """Bob's one value survives Alice's flood; of hers the soonest to expire goes."""
    cost = 100 + OVERHEAD
    storage = Storage(4 * cost, None, 100)
    storage.store(entry(1, storer=BOB, expires=1.0))
    for value_id, expires in ((2, 500.0), (3, 300.0), (4, 400.0)):
        assert storage.store(entry(value_id, expires=expires)) == (True, [])
    fits, evicted = storage.store(entry(5, expires=450.0))
    assert fits
    assert [gone.value.id for gone in evicted] == [3]
    assert ids(storage) == {1, 2, 4, 5}
    assert storage.stats.evicted == 1


def test_the_new_value_itself_may_be_the_one_to_go() -> None:
    """Then it is told that it did not fit."""
    storage = Storage(2 * (100 + OVERHEAD), None, 100)
    storage.store(entry(1, expires=500.0))
    storage.store(entry(2, expires=500.0))
    assert storage.store(entry(3, expires=5.0)) == (False, [])
    assert ids(storage) == {1, 2}


def test_ipv6_senders_count_by_their_64() -> None:
    """Whoever has a /64 has not 2^64 shares."""
    assert sender_of(Address.parse("2001:db8::1", 1)) == sender_of(Address.parse("2001:db8::2", 9))
    assert sender_of(Address.parse("2001:db8:0:1::1", 1)) != sender_of(
        Address.parse("2001:db8::1", 1)
    )
    assert sender_of(ALICE) != sender_of(BOB)


def test_our_own_values_have_a_limit_of_their_own() -> None:
    """They neither push others out nor are pushed out."""
    storage = Storage(100 + OVERHEAD, 2 * (100 + OVERHEAD), 100)
    for value_id in (1, 2):
        assert storage.store(entry(value_id, storer=None, expires=inf)) == (True, [])
    assert storage.store(entry(3, storer=None)) == (False, [])
    assert storage.store(entry(4)) == (True, [])
    assert storage.store(entry(5, expires=601.0))[0]
    assert ids(storage) == {1, 2, 5}


def test_keys_are_bounded() -> None:
    """One more key is refused and counted; known keys still take values."""
    storage = Storage(1 << 20, None, keys_max=1)
    assert storage.store(entry(1))[0]
    assert not storage.store(entry(1, key=InfoHash(b"x" * 20)))[0]
    assert storage.store(entry(2))[0]
    assert storage.stats.too_many_keys == 1


def test_values_expire_when_their_life_ends() -> None:
    """Not before, and not when they were refreshed meanwhile."""
    storage = Storage(1 << 20, None, 10)
    storage.store(entry(1, expires=600.0))
    storage.store(entry(2, expires=600.0))
    second = storage.find(KEY, 2)
    assert second is not None
    storage.refresh(second, 300.0, 900.0)
    assert storage.next_deadline() == 600.0
    assert storage.expire(599.0) == []
    assert [gone.value.id for gone in storage.expire(600.0)] == [1]
    assert [gone.value.id for gone in storage.expire(900.0)] == [2]
    assert storage.next_deadline() is None
    assert storage.stats.expired == 2


def test_a_smaller_limit_acts_at_once() -> None:
    """What no longer fits is returned, for listeners to be told."""
    storage = Storage(1 << 20, None, 10)
    for value_id in range(1, 5):
        storage.store(entry(value_id, expires=100.0 + value_id))
    assert [gone.value.id for gone in storage.set_limit(2 * (100 + OVERHEAD))] == [1, 2]


class Model:
    """What must hold after anything."""

    def __init__(self) -> None:
        self.storage = Storage(20 * OVERHEAD, None, 5)

    def check(self) -> None:
        """Sums agree, bounds hold."""
        entries = list(self.storage)
        assert self.storage.count == len(entries)
        assert self.storage.size == sum(one.value.size for one in entries)
        assert sum(one.cost for one in entries if one.storer) <= self.storage.limit
        assert len(self.storage.key_list()) <= 5


@given(
    steps=st.lists(
        st.tuples(
            st.sampled_from(["store", "refresh", "remove", "expire"]),
            st.integers(0, 7),  # key
            st.integers(1, 6),  # value id
            st.integers(0, 700),  # size
            st.integers(1, 5),  # sender
            st.floats(0, 1000),  # expiry, or now
        ),
        max_size=120,
    )
)
def test_sums_and_bounds_hold_whatever_happens(
    steps: list[tuple[str, int, int, int, int, float]],
) -> None:
    """Random histories: the counters equal what is there, the quota is never passed."""
    model = Model()
    for what, key_byte, value_id, size, sender, moment in steps:
        key = InfoHash(bytes([key_byte]) * 20)
        held = model.storage.find(key, value_id)
        if what == "store":
            storer = Address(bytes((10, 0, 0, sender)), 1) if sender < 5 else None
            model.storage.store(entry(value_id, size, storer, moment, key))
        elif what == "refresh" and held is not None:
            model.storage.refresh(held, 0.0, max(held.expires, moment))
        elif what == "remove":
            model.storage.remove(key, value_id)
        elif what == "expire":
            for gone in model.storage.expire(moment):
                assert gone.expires <= moment
            assert all(one.expires > moment for one in model.storage)
        model.check()


def test_a_version_that_does_not_fit_takes_the_older_one_along() -> None:
    """The caller is told what is gone, so that listeners are."""
    cost = 100 + OVERHEAD
    storage = Storage(2 * cost, None, 10)
    older = entry(1, size=50, expires=100.0)
    storage.store(older)
    storage.store(entry(2, expires=500.0))
    heavier = entry(1, size=160, expires=50.0)
    assert storage.store(heavier) == (False, [older])
    assert ids(storage) == {2}


def test_our_own_limit_counts_a_new_version_instead_of_the_older() -> None:
    """Replacing a value of ours by one as large always fits."""
    storage = Storage(10_000, 100 + OVERHEAD, 10)
    assert storage.store(entry(1, storer=None)) == (True, [])
    assert storage.store(entry(1, storer=None, expires=700.0)) == (True, [])
    assert storage.store(entry(2, storer=None)) == (False, [])
    assert ids(storage) == {1}


def test_reading_by_id_and_more() -> None:
    """An id is looked up; the other conditions hold nevertheless."""
    storage = Storage(10_000, None, 10)
    storage.store(entry(1))
    assert storage.values(KEY, (Condition(Field.TYPE, 0), Condition(Field.ID, 1)))
    assert storage.values(KEY, (Condition(Field.TYPE, 3), Condition(Field.ID, 1))) == []
    assert storage.values(KEY, (Condition(Field.ID, 2),)) == []
    assert storage.values(KEY, (Condition(Field.USER_TYPE, ""),))


def test_what_was_evicted_is_let_go() -> None:
    """Bookkeeping about values that are gone keeps none of their bytes."""
    storage = Storage(10 * (100 + OVERHEAD), None, 100_000)
    for number in range(3000):
        storage.store(entry(1, key=InfoHash.of(b"%d" % number), expires=600.0 + number))
    gc.collect()
    assert storage.count == 10
    assert sum(type(each) is StoredValue for each in gc.get_objects()) <= 10 + 5


def test_values_that_expired_leave_little_bookkeeping() -> None:
    """A busy sender's entries are twice its values at most, however much has come and gone."""
    storage = Storage(10_000_000, None, 100_000)
    for number in range(20_000):
        storage.store(entry(1, 2000, key=InfoHash.of(b"%d" % number), expires=600.0 + number))
        storage.expire(500.0 + number)
    assert storage.count == 100
    (sender,) = storage._senders.values()  # noqa: SLF001 - no other way to see it
    assert len(sender.soonest) <= 2 * storage.count + 16
    assert len(storage._expiry) <= 2 * storage.count + 1024  # noqa: SLF001


def test_many_versions_of_one_life_take_no_more_room() -> None:
    """A value replaced thousands of times, ending at the same moment, is one entry in the end."""
    storage = Storage(100_000, None, 10)
    for _ in range(20_000):
        storage.store(entry(1))
    assert len(storage._expiry) < 2000  # noqa: SLF001 - no other way to see it
    assert [gone.value.id for gone in storage.expire(600.0)] == [1]
    assert storage.count == 0
