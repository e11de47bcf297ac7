"""Case 26: an index over the DHT, written by one kind and read by the other."""

from __future__ import annotations

import itertools

import pytest

from tests.peers.peer import key_of
from tests.peers.pool import OPENDHT, SHOAL, PeerPool, connected
from tests.peers.worker_peer import Index, WorkerPeer

_names = itertools.count()
WRITERS_AND_READERS = [(OPENDHT, SHOAL), (SHOAL, OPENDHT), (SHOAL, SHOAL)]


class Users:
    """A small network with one user of the index of each kind."""

    def __init__(self, pool: PeerPool) -> None:
        first = pool.start(SHOAL)
        users = {kind: pool.start(kind, bootstrap=first) for kind in (OPENDHT, SHOAL)}
        connected(first, *users.values())
        self.by_kind: dict[str, WorkerPeer] = {}
        for kind, user in users.items():
            assert isinstance(user, WorkerPeer)
            self.by_kind[kind] = user


@pytest.fixture(scope="module")
def users(shared_pool: PeerPool) -> Users:
    """The network of this module."""
    return Users(shared_pool)


@pytest.fixture
def name() -> str:
    """An index that no other test uses."""
    return f"index-{next(_names)}-"  # 4.4.2 takes entries of names that only begin alike


@pytest.mark.parametrize(("writer", "reader"), WRITERS_AND_READERS)
def test_few_entries(users: Users, name: str, writer: str, reader: str) -> None:
    """Entries that share the root leaf."""
    index = Index(name, {"word": 6})
    words = {b"abcd": key_of("1"), b"abce": key_of("2"), b"zzzzzz": key_of("3")}
    for number, (word, target) in enumerate(words.items()):
        assert users.by_kind[writer].index_insert(index, {"word": word}, target, number)
    for number, (word, target) in enumerate(words.items()):
        found = users.by_kind[reader].index_lookup(index, {"word": word})
        assert found == {(target, number)}, word
    assert users.by_kind[reader].index_lookup(index, {"word": b"absent"}) == set()


@pytest.mark.parametrize(("writer", "reader"), WRITERS_AND_READERS)
def test_two_fields(users: Users, name: str, writer: str, reader: str) -> None:
    """Fields are interleaved bit by bit, in the order of their names."""
    index = Index(name, {"foo": 2, "bar": 2})
    fields = {"foo": b"ab", "bar": b"cd"}
    assert users.by_kind[writer].index_insert(index, fields, key_of("both"), 7)
    assert users.by_kind[reader].index_lookup(index, fields) == {(key_of("both"), 7)}
    assert users.by_kind[reader].index_lookup(index, {"foo": b"cd", "bar": b"ab"}) == set()


@pytest.mark.parametrize(("writer", "reader"), WRITERS_AND_READERS)
def test_enough_entries_to_split(users: Users, name: str, writer: str, reader: str) -> None:
    """More than sixteen entries: leaves split, and the other kind follows the canaries."""
    index = Index(name, {"word": 4})
    words = [bytes([97 + number]) + b"xyz" for number in range(20)]
    for number, word in enumerate(words):
        assert users.by_kind[writer].index_insert(index, {"word": word}, key_of("many"), number)
    found = {word: users.by_kind[reader].index_lookup(index, {"word": word}) for word in words}
    assert found == {word: {(key_of("many"), number)} for number, word in enumerate(words)}
