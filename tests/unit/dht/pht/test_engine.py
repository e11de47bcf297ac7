"""The prefix hash tree over a DHT in memory: what is inserted is found."""

from __future__ import annotations

from typing import Final

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from shoal.core import InfoHash
from shoal.dht.errors import IndexKeyError, TooManyOperationsError
from shoal.dht.pht import engine
from shoal.dht.pht.effects import InsertDone, LookupDone
from shoal.dht.pht.engine import LEAF_ENTRIES_MAX, PhtEngine
from shoal.dht.pht.entry import IndexEntry, IndexValue, canary
from shoal.dht.pht.prefix import KeySpec, Prefix
from shoal.dht.value import Value
from shoal.sim.entropy import SeededEntropy
from tests.unit.dht.fake_index import IndexWorld

FIELDS = {"key": 4}
SPEC = KeySpec(FIELDS)


def target(n: int) -> IndexValue:
    """Return what an entry may point at."""
    return IndexValue(InfoHash.of(b"%d" % n), n + 1)


def path(key: bytes) -> Prefix:
    """Return the prefix of a key of one field."""
    return SPEC.linearize({"key": key})


def entries_at(world: IndexWorld, node: Prefix) -> list[IndexValue]:
    """Return what lies in a node of the tree."""
    values = world.dht.values(node.key, world.now)
    return [IndexEntry.unpack(v.data).value for v in values if v.user_type == "index.pht.test"]


def depth_of(world: IndexWorld, key: bytes, value: IndexValue) -> list[int]:
    """Return the depths at which an entry lies."""
    whole = Prefix.whole(path(key).content)
    return [n for n in range(whole.bits) if value in entries_at(world, whole.cut(n))]


def fill(world: IndexWorld, keys: list[bytes], pause: float = 5.0, first: int = 0) -> None:
    """Insert keys one after the other, pointing at their numbers from *first*."""
    for n, key in enumerate(keys, first):
        op = world.users[0].insert({"key": key}, target(n), world.now)
        world.run(pause)
        assert world.users[0].done[op] == InsertDone(op, ok=True)


def test_an_empty_index_has_nothing() -> None:
    """And says that the DHT was asked."""
    world = IndexWorld(FIELDS)
    (user,) = world.users
    exact = user.lookup({"key": b"a"}, world.now)
    nearest = user.lookup({"key": b"a"}, world.now, is_exact=False)
    world.run(5.0)

    assert user.done[exact] == LookupDone(exact, ok=True, entries=())
    assert user.done[nearest] == LookupDone(nearest, ok=True, entries=())


def test_the_first_entries_lie_at_the_root() -> None:
    """With a canary, as values that OpenDHT reads."""
    world = IndexWorld(FIELDS)
    fill(world, [b"abcd"])

    root = world.dht.values(path(b"").cut(0).key, world.now)
    assert {value.user_type for value in root} == {"index.pht.test", "index.pht.test.canary"}
    assert entries_at(world, path(b"").cut(0)) == [target(0)]


def test_a_full_leaf_is_split_where_the_key_differs() -> None:
    """The seventeenth key begins with another bit; canaries mark its way and the siblings."""
    world = IndexWorld(FIELDS)
    fill(world, [b"a%02d" % n for n in range(LEAF_ENTRIES_MAX)])
    fill(world, [b"\xf0new"], first=99)

    node = Prefix.whole(path(b"\xf0new").content).cut(1)
    assert depth_of(world, b"\xf0new", target(99)) == [1]
    for marked in (node, node.sibling(), node.cut(0)):
        stored = world.dht.values(marked.key, world.now)
        assert any(value.user_type == "index.pht.test.canary" for value in stored)
    assert world.users[0].engine.stats.splits == 1


def test_entries_move_down_when_their_leaf_is_split_below_them() -> None:
    """Their owner sees the canary on their path, and puts them again there, no younger."""
    world = IndexWorld(FIELDS, users=2)
    begun = world.now
    fill(world, [b"a%02d" % n for n in range(LEAF_ENTRIES_MAX)], pause=1.0)
    other = world.users[1]
    op = other.insert({"key": b"axyz"}, target(99), world.now)
    world.run(10.0)

    assert other.done[op] == InsertDone(op, ok=True)
    (depth,) = depth_of(world, b"axyz", target(99))
    assert depth == path(b"axyz").common_bits(path(b"a00")) + 1
    assert world.users[0].engine.stats.moved
    for n in range(LEAF_ENTRIES_MAX):
        assert any(depth_of(world, b"a%02d" % n, target(n)))
    world.run(600.0 - (world.now - begun))  # those that moved die when the first copies do
    lookup = other.lookup({"key": b"a00"}, world.now)
    world.run(5.0)
    assert other.values(lookup) == set()


def test_sparse_neighbours_become_one() -> None:
    """Fewer than sixteen at leaf, parent and sibling: the next entry goes to the parent too."""
    world = IndexWorld(FIELDS)
    keys = [b"a%02d" % n for n in range(LEAF_ENTRIES_MAX)] + [b"\xf0new"]
    fill(world, keys[:-1], pause=1.0)
    world.run(300.0)
    fill(world, keys[-1:], pause=1.0, first=99)
    world.run(310.0)  # the sixteen expire, the canaries of the seventeenth live longer
    assert not entries_at(world, path(b"").cut(0))
    op = world.users[0].insert({"key": b"\xf0two"}, target(50), world.now)
    world.run(5.0)

    assert world.users[0].done[op] == InsertDone(op, ok=True)
    assert 0 in depth_of(world, b"\xf0two", target(50))


def test_equal_keys_share_a_leaf() -> None:
    """However many: no split would part them."""
    world = IndexWorld(FIELDS)
    fill(world, [b"same"] * 40, pause=2.0)
    (user,) = world.users
    op = user.lookup({"key": b"same"}, world.now)
    world.run(5.0)

    assert user.values(op) == {target(n) for n in range(40)}
    assert user.engine.stats.splits == 0


def test_a_split_never_goes_below_the_bits_of_a_key() -> None:
    """Keys that begin with it differ in the padding only, where lookups of it don't reach."""
    world = IndexWorld(FIELDS)
    fill(world, [b"ab\x80" + bytes([n]) for n in range(LEAF_ENTRIES_MAX)], pause=2.0)
    fill(world, [b"ab"], pause=2.0, first=99)
    assert max(depth_of(world, b"ab", target(99))) <= path(b"ab").size


def test_nearest_entries_are_those_with_most_common_bits() -> None:
    """All that are equally near; a key of fewer bytes finds what begins with it."""
    world = IndexWorld(FIELDS)
    fill(world, [b"abcd", b"abce", b"abxx", b"zzzz"], pause=2.0)
    (user,) = world.users
    nearest = user.lookup({"key": b"abcf"}, world.now, is_exact=False)
    beginning = user.lookup({"key": b"abx"}, world.now, is_exact=False)
    world.run(5.0)

    assert user.values(nearest) == {target(1)} or user.values(nearest) == {target(0), target(1)}
    assert user.values(beginning) == {target(2)}


def test_an_empty_leaf_sends_nearest_lookups_to_siblings() -> None:
    """One level up each time; it ends, and finds what lies in one of them."""
    world = IndexWorld(FIELDS)
    (user,) = world.users
    key = Prefix.whole(path(b"abcd").content)
    for depth in range(7):
        world.dht.store(key.cut(depth).key, canary("test", 9), world.now)
    cousin = key.cut(6).sibling()
    whole = Prefix.whole((cousin.content + bytes(5))[:5])
    entry = IndexEntry(whole.content, target(7))
    world.dht.store(whole.cut(6).key, entry.pack("test", 5), world.now)
    world.dht.store(whole.cut(6).key, canary("test", 9), world.now)
    op = user.lookup({"key": b"abcd"}, world.now, is_exact=False)
    world.run(60.0)

    assert user.values(op) == {target(7)}
    nothing = user.lookup({"key": b"\0\0\0\0"}, world.now, is_exact=False)
    world.run(60.0)
    assert user.done[nothing] == LookupDone(nothing, ok=True, entries=())


def test_a_lookup_finds_what_lies_above_its_leaf() -> None:
    """Entries whose owner left before a split are read by whoever looks for them."""
    world = IndexWorld(FIELDS)
    (user,) = world.users
    whole = Prefix.whole(path(b"abcd").content)
    for depth in range(12):
        world.dht.store(whole.cut(depth).key, canary("test", 9), world.now)
    for depth in range(12):
        entry = IndexEntry(whole.content, target(depth))
        world.dht.store(whole.cut(depth).key, entry.pack("test", 5), world.now)
    op = user.lookup({"key": b"abcd"}, world.now)
    world.run(5.0)

    assert user.values(op) == {target(n) for n in range(12)}


def test_a_lookup_goes_deeper_than_the_bits_of_its_key() -> None:
    """OpenDHT puts the seventeenth of equal keys at the last bit but one."""
    world = IndexWorld(FIELDS)
    (user,) = world.users
    whole = Prefix.whole(path(b"ab").content)
    for depth in range(whole.bits):
        world.dht.store(whole.cut(depth).key, canary("test", 9), world.now)
    entry = IndexEntry(whole.content, target(1))
    world.dht.store(whole.cut(whole.bits - 1).key, entry.pack("test", 5), world.now)
    op = user.lookup({"key": b"ab"}, world.now)
    world.run(5.0)
    assert user.values(op) == {target(1)}


def test_kept_entries_outlive_ten_minutes_and_others_do_not() -> None:
    """For hours, until they are removed."""
    world = IndexWorld(FIELDS, users=2)
    keeper, reader = world.users
    keeper.insert({"key": b"kept"}, target(1), world.now, is_kept=True)
    keeper.insert({"key": b"brief"[:4]}, target(2), world.now)
    for _ in range(20):
        world.run(700.0)
        ops = [reader.lookup({"key": key}, world.now) for key in (b"kept", b"brie")]
        world.run(5.0)
        assert [reader.values(op) for op in ops] == [{target(1)}, set()]
    assert keeper.engine.stats.renewed >= 20

    keeper.take(keeper.engine.remove({"key": b"kept"}, target(1)), world.now)
    assert keeper.engine.remove({"key": b"kept"}, target(1)) == []
    world.run(601.0)
    op = reader.lookup({"key": b"kept"}, world.now)
    world.run(5.0)
    assert reader.values(op) == set()
    assert keeper.backend.listens == {}
    assert keeper.engine.next_deadline() is None


def test_a_failed_insertion_is_reported_and_a_kept_entry_tried_again() -> None:
    """As soon as the DHT answers."""
    world = IndexWorld(FIELDS)
    (user,) = world.users
    user.backend.failing = True
    brief = user.insert({"key": b"a"}, target(1), world.now)
    kept = user.insert({"key": b"b"}, target(2), world.now, is_kept=True)
    lookup = user.lookup({"key": b"b"}, world.now)
    world.run(5.0)
    assert user.done[brief] == InsertDone(brief, ok=False)
    assert user.done[kept] == InsertDone(kept, ok=False)
    assert user.done[lookup] == LookupDone(lookup, ok=False, entries=())

    user.backend.failing = False
    world.run(60.0)
    ops = [user.lookup({"key": key}, world.now) for key in (b"a", b"b")]
    world.run(5.0)
    assert [user.values(op) for op in ops] == [set(), {target(2)}]


def test_cancelled_operations_are_silent() -> None:
    """In each of their stages; an entry that was on its way isn't kept."""
    world = IndexWorld(FIELDS)
    (user,) = world.users
    fill(world, [b"a%02d" % n for n in range(LEAF_ENTRIES_MAX)], pause=1.0)
    world.run(300.0)
    fill(world, [b"\xf0new"], pause=1.0, first=99)
    world.run(300.0)  # the neighbours of its leaf are empty now, and will be counted
    for stage in range(12):
        key = {"key": b"\xf0%02d" % stage}
        lookup = user.lookup(key, world.now)
        world.run(stage * 0.05)
        if lookup not in user.done:
            user.take(user.engine.cancel(lookup), world.now)
            world.run(2.0)
            assert lookup not in user.done
        insert = user.insert(key, target(3), world.now, is_kept=True)
        world.run(stage * 0.05)
        if insert not in user.done:
            user.take(user.engine.cancel(insert), world.now)
            world.run(2.0)
            assert insert not in user.done
        user.take(user.engine.remove(key, target(3)), world.now)
    assert user.engine.cancel(9999) == []
    world.run(2000.0)
    assert user.engine.stats.renewed == 0
    assert user.engine.next_deadline() is None


def test_hostile_values_are_ignored() -> None:
    """Entries that are none, of other shape, or not where they belong; and other indexes."""
    world = IndexWorld(FIELDS)
    (user,) = world.users
    root, whole = path(b"").cut(0), Prefix.whole(path(b"abcd").content)
    world.dht.store(root.key, Value(b"rubbish", id=1, user_type="index.pht.test"), 0.0)
    world.dht.store(root.key, IndexEntry(b"ab", target(1)).pack("test", 2), 0.0)
    world.dht.store(root.key, IndexEntry(whole.content, target(2)).pack("test2", 3), 0.0)
    world.dht.store(root.key, canary("test2", 4), 0.0)
    elsewhere = IndexEntry(path(b"\xff\xff").content, target(3))
    for depth in range(4):
        world.dht.store(whole.cut(depth).key, canary("test", 9), 0.0)
        world.dht.store(whole.cut(depth).key, elsewhere.pack("test", 10), 0.0)
    op = user.lookup({"key": b"abcd"}, world.now)
    strange = user.lookup({"key": b"\xff\xff"}, world.now)
    world.run(5.0)

    assert user.values(op) == set()
    assert user.values(strange) == {target(3)}  # at the root it is in its place
    assert user.engine.stats.malformed >= 5


@settings(deadline=None)
@given(
    st.lists(
        st.tuples(
            st.integers(0, 39),
            st.binary(max_size=80)
            | st.builds(
                lambda prefix, n: IndexEntry(prefix, target(n)).pack("test", 1).data,
                st.binary(max_size=6),
                st.integers(0, 30),
            ),
            st.sampled_from(["index.pht.test", "index.pht.test.canary", "index.pht.other", ""]),
        ),
        max_size=60,
    )
)
def test_whatever_peers_store_operations_end(stored: list[tuple[int, bytes, str]]) -> None:
    """Rubbish at the nodes of a path raises nothing, and what is inserted is found all the same."""
    world = IndexWorld(FIELDS)
    (user,) = world.users
    whole = Prefix.whole(path(b"abcd").content)
    for n, (depth, data, user_type) in enumerate(stored):
        value = Value(data, id=n + 100, user_type=user_type)
        world.dht.store(whole.cut(depth).key, value, world.now)
    nearest = user.lookup({"key": b"abcd"}, world.now, is_exact=False)
    inserted = user.insert({"key": b"abcd"}, target(99), world.now)
    world.run(60.0)
    found = user.lookup({"key": b"abcd"}, world.now)
    world.run(60.0)

    assert user.done[nearest].ok
    assert user.done[inserted] == InsertDone(inserted, ok=True)
    assert target(99) in user.values(found)


def test_a_hostile_leaf_costs_a_bounded_number_of_puts() -> None:
    """Sixteen false entries like ours up to the last bit don't make us mark hundreds of nodes."""
    world = IndexWorld({"key": 200})
    (user,) = world.users
    content = user.engine.spec.linearize({"key": bytes(199) + b"\xff"}).content
    root = Prefix(b"", 0)
    world.dht.store(root.key, canary("test", 9), 0.0)
    for n in range(LEAF_ENTRIES_MAX):
        world.dht.store(root.key, IndexEntry(content, target(n)).pack("test", n + 10), 0.0)
    user.insert({"key": bytes(199) + b"\xfe"}, target(99), world.now)
    world.run(10.0)

    assert len(user.backend.ops("put")) <= 2 * engine.SPLIT_LEVELS_MAX + 3
    op = user.lookup({"key": bytes(199) + b"\xfe"}, world.now)
    world.run(5.0)
    assert user.values(op) == {target(99)}


def test_canaries_everywhere_cost_a_bounded_number_of_reads() -> None:
    """A path marked to its end is searched in a few steps, and read in part."""
    world = IndexWorld({"key": 200})
    (user,) = world.users
    whole = Prefix.whole(user.engine.spec.linearize({"key": bytes(200)}).content)
    for depth in range(whole.bits):
        world.dht.store(whole.cut(depth).key, canary("test", 9), 0.0)
    op = user.lookup({"key": bytes(200)}, world.now)
    world.run(10.0)
    assert user.values(op) == set()
    assert len(user.backend.ops("get")) < 100


def test_what_exceeds_the_bounds_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """Operations at once, entries alive, names, keys."""
    monkeypatch.setattr(engine, "OPERATIONS_MAX", 1)
    world = IndexWorld(FIELDS)
    (user,) = world.users
    user.lookup({"key": b"a"}, 0.0)
    with pytest.raises(TooManyOperationsError):
        user.engine.lookup(77, {"key": b"a"}, 0.0)
    with pytest.raises(TooManyOperationsError):
        user.engine.insert(77, {"key": b"a"}, target(1), 0.0)
    with pytest.raises(IndexKeyError):
        user.engine.lookup(77, {"other": b"a"}, 0.0)
    with pytest.raises(IndexKeyError):
        user.engine.remove({"other": b"a"}, target(1))
    with pytest.raises(IndexKeyError):
        PhtEngine("x" * 257, FIELDS, SeededEntropy(1))


def test_unknown_requests_are_ignored() -> None:
    """Late answers of a cancelled request, say."""
    engine = PhtEngine("test", FIELDS, SeededEntropy(1))
    assert engine.values_found(5, [canary("test", 1)], 0.0) == []
    assert engine.request_done(5, 0.0, ok=True) == []
    assert engine.advance(1e9) == []


def test_equal_inputs_give_equal_effects() -> None:
    """One seed, one run."""
    runs = []
    for _ in range(2):
        world = IndexWorld(FIELDS, users=2)
        for n in range(40):
            world.users[n % 2].insert({"key": b"%d" % (n % 30)}, target(n), world.now, is_kept=True)
        world.run(1000.0)
        runs.append([user.backend.calls for user in world.users])
    assert runs[0] == runs[1]


keys = st.one_of(
    st.binary(max_size=2),
    st.sampled_from([b"", b"a", b"ab", b"aa", b"b"]),
    st.integers(0, 255).map(lambda n: b"\x00" + bytes([n])),
)


@settings(max_examples=30, deadline=None)
@given(st.lists(st.tuples(keys, keys, st.integers(0, 2), st.floats(0, 1)), max_size=150))
def test_whatever_is_inserted_is_found(
    insertions: list[tuple[bytes, bytes, int, float]],
) -> None:
    """By every user, exactly, whatever was inserted at the same time; held against a dict."""
    world = IndexWorld({"first": 2, "second": 2}, users=3)
    model: dict[tuple[bytes, bytes], set[IndexValue]] = {}
    for n, (first, second, user, pause) in enumerate(insertions):
        world.users[user].insert({"first": first, "second": second}, target(n), world.now)
        model.setdefault((first, second), set()).add(target(n))
        world.run(pause)
    world.run(20.0)

    for reader in world.users:
        found = {
            key: reader.lookup({"first": key[0], "second": key[1]}, world.now) for key in model
        }
        world.run(20.0)
        assert {key: reader.values(op) for key, op in found.items()} == model


@pytest.mark.parametrize("seed", range(3))
def test_a_large_index_is_found_whole(seed: int) -> None:
    """Hundreds of entries from several users, many of them under equal or similar keys."""
    chance = SeededEntropy(seed)
    world = IndexWorld({"key": 3}, users=3)
    model: dict[bytes, set[IndexValue]] = {}
    for n in range(400):
        key = (b"", b"a", b"ab", chance.token_bytes(1), chance.token_bytes(2))[chance.below(5)]
        world.users[chance.below(3)].insert({"key": key}, target(n), world.now)
        model.setdefault(key, set()).add(target(n))
        world.run(chance.uniform(0, 0.5))
    world.run(20.0)

    reader = world.add_user(PhtEngine("test", {"key": 3}, SeededEntropy(9)))
    found = {key: reader.lookup({"key": key}, world.now) for key in model}
    world.run(20.0)
    assert {key: reader.values(op) for key, op in found.items()} == model
    assert sum(user.engine.stats.splits for user in world.users) > 3


# Entries of which one is due for renewal just while a split moves it.
RENEWED_IN_A_MOVE: Final = [
    *((b"", user) for user in (0, 1, 2)),
    (b"\0\0", 0),
    *((b"", user) for user in (0, 0, 0, 0, 0, 1, 1, 1, 1, 2)),
    *((b"\0", 1),) * 3,
    *((b"", 1),) * 2,
    (b"\0\0", 0),
]


@settings(max_examples=10, deadline=None)
@given(st.lists(st.tuples(st.binary(max_size=2), st.integers(0, 2)), min_size=20, max_size=50))
@example(RENEWED_IN_A_MOVE)
def test_kept_entries_are_found_at_any_time(insertions: list[tuple[bytes, int]]) -> None:
    """Through renewals, splits and moves, over an hour."""
    world = IndexWorld({"key": 2}, users=3)
    model: dict[bytes, set[IndexValue]] = {}
    for n, (key, user) in enumerate(insertions):
        world.users[user].insert({"key": key}, target(n), world.now, is_kept=True)
        model.setdefault(key, set()).add(target(n))
    reader = world.add_user(PhtEngine("test", {"key": 2}, SeededEntropy(9)))
    world.run(20.0)
    for _ in range(6):
        found = {key: reader.lookup({"key": key}, world.now) for key in model}
        world.run(611.0)
        assert {key: reader.values(op) for key, op in found.items()} == model
