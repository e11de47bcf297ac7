"""An index byte by byte: what OpenDHT writes into the nodes of the tree is what we would write.

And with Debian's `dhtnode`, whose console knows indexes. Its siblings aren't those of OpenDHT 4.4.
"""

from __future__ import annotations

import itertools
import re
from typing import TYPE_CHECKING

import pytest

from shoal.core import InfoHash
from shoal.dht.pht.entry import CANARY, USER_TYPE, IndexEntry, IndexValue
from shoal.dht.pht.prefix import KeySpec, Prefix
from tests.peers.dhtnode import DhtnodeProcess
from tests.peers.peer import key_of
from tests.peers.pool import DHTNODE, OPENDHT, SHOAL, PeerPool, connected
from tests.peers.waiting import until
from tests.peers.worker_peer import Index, WorkerPeer

if TYPE_CHECKING:
    from tests.peers.peer import Seen

_names = itertools.count()
TARGET = IndexValue(InfoHash.from_hex(key_of("target")), 2**40 + 7)


class Pair:
    """An OpenDHT node that writes, and a Shoal node that looks."""

    def __init__(self, pool: PeerPool) -> None:
        first = pool.start(SHOAL)
        writer, reader = (pool.start(kind, bootstrap=first) for kind in (OPENDHT, SHOAL))
        connected(first, writer, reader)
        assert isinstance(writer, WorkerPeer)
        self.writer = writer
        self.reader = reader

    def node(self, prefix: Prefix, name: str) -> dict[str, list[Seen]]:
        """Return the values of an index in a node of the tree, by user type."""
        found: dict[str, list[Seen]] = {}
        for value in self.reader.get(str(prefix.key)):
            if value.user_type in (USER_TYPE + name, USER_TYPE + name + CANARY):
                found.setdefault(value.user_type, []).append(value)
        return found


@pytest.fixture(scope="module")
def pair(shared_pool: PeerPool) -> Pair:
    """The nodes of this module."""
    return Pair(shared_pool)


@pytest.mark.parametrize(
    ("spec", "fields"),
    [
        ({"key": 4}, {"key": b"abcd"}),
        ({"key": 9}, {"key": b""}),
        ({"key": 9}, {"key": b"\xff\x00\x80"}),
        ({"key": 0}, {"key": b""}),
        ({"foo": 2, "bar": 2}, {"foo": b"ab", "bar": b"cd"}),
        ({"b": 5, "a": 1, "C": 0}, {"a": b"x", "b": b"yz", "C": b""}),
        ({"x": 8, "y": 8, "z": 8, "t": 3}, {"x": b"1", "y": b"\xaa" * 8, "z": b"", "t": b"abc"}),
    ],
    ids=str,
)
def test_linearized_keys_and_entries(
    pair: Pair, spec: dict[str, int], fields: dict[str, bytes]
) -> None:
    """One entry lies at the root, packed as ours would be, beside a canary without data."""
    name = f"bytes-{next(_names)}"
    target = str(TARGET.key)
    assert pair.writer.index_insert(Index(name, spec), fields, target, TARGET.value_id)
    root = Prefix(b"", 0)
    until(lambda: len(pair.node(root, name)) == 2, "entry and canary")
    found = pair.node(root, name)

    path = KeySpec(spec).linearize(fields)
    ours = IndexEntry(path.content, TARGET).pack(name, 1)
    assert [value.data for value in found[USER_TYPE + name]] == [ours.data]
    assert {value.data for value in found[USER_TYPE + name + CANARY]} == {b""}


def test_nodes_of_a_split(pair: Pair) -> None:
    """The seventeenth key begins with another bit: its node and the sibling are marked."""
    name = f"split-{next(_names)}"
    index, spec = Index(name, {"key": 4}), KeySpec({"key": 4})
    for number in range(16):
        assert pair.writer.index_insert(index, {"key": b"%04d" % number}, key_of("x"), number + 1)
    assert pair.writer.index_insert(index, {"key": b"\xf0\xf0"}, key_of("x"), 17)
    path = spec.linearize({"key": b"\xf0\xf0"})
    node = path.cut(1)

    until(lambda: USER_TYPE + name in pair.node(node, name), "the split")
    assert len(pair.node(node, name)[USER_TYPE + name]) == 1
    mark = USER_TYPE + name + CANARY
    for marked in (node, node.sibling(), node.cut(0)):
        until(lambda marked=marked: mark in pair.node(marked, name), f"canary at {marked}")  # type: ignore[misc]


class OldPair:
    """A `dhtnode`, and a Shoal node, and twenty words: more than a leaf holds."""

    words = tuple(f"{letter}xyz" for letter in "abcdefghijklmnopqrst")

    def __init__(self, pool: PeerPool) -> None:
        first = pool.start(SHOAL)
        old, ours = (pool.start(kind, bootstrap=first) for kind in (DHTNODE, SHOAL))
        connected(first, old, ours)
        assert isinstance(old, DhtnodeProcess)
        assert isinstance(ours, WorkerPeer)
        self.old = old
        self.ours = ours


@pytest.fixture(scope="module")
def old_pair(shared_pool: PeerPool) -> OldPair:
    """The nodes of the tests with `dhtnode`."""
    return OldPair(shared_pool)


def test_an_index_written_by_dhtnode(old_pair: OldPair) -> None:
    """Its canaries at places that are no siblings lead nobody astray."""
    name = f"old-{next(_names)}"
    for word in old_pair.words:
        line = f"ii {name} word:{word} {key_of(word)}"
        assert old_pair.old.console(line, re.compile(r"Pht::insert: (\w+)"))[1] == "done"
    index = Index(name, {"word": 4})
    found = {
        word: old_pair.ours.index_lookup(index, {"word": word.encode()}) for word in old_pair.words
    }
    assert found == {word: {(key_of(word), 0)} for word in old_pair.words}


def test_an_index_read_by_dhtnode(old_pair: OldPair) -> None:
    """It finds what we wrote, split leaves included."""
    name = f"new-{next(_names)}"
    index = Index(name, {"word": 4})
    for number, word in enumerate(old_pair.words):
        fields = {"word": word.encode()}
        assert old_pair.ours.index_insert(index, fields, key_of(word), number + 1)
    for number, word in enumerate(old_pair.words):
        line, entry = f"il {name} word:{word}", f"{key_of(word)}\\[vid: {number + 1:x}\\]"
        assert old_pair.old.console(line, re.compile(entry))[0]
