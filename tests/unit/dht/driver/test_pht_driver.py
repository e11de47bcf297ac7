"""An index over nodes on loopback."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from shoal.core import InfoHash
from shoal.dht.driver.pht import Pht
from shoal.dht.errors import IndexKeyError, NodeClosedError, NotConnectedError
from shoal.dht.pht.entry import IndexValue

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable

    from shoal.dht.driver import DhtNode, ListenEvent, PutResult
    from shoal.dht.value import Value

TARGET = IndexValue(InfoHash.of(b"a book"), 7)
FIELDS = {"author": 8, "title": 16}


async def test_one_node_inserts_and_another_finds(pair: tuple[DhtNode, DhtNode]) -> None:
    """By exactly these fields, as text or bytes; and by those that begin alike."""
    writer, reader = pair
    async with Pht(writer, "books", FIELDS) as mine, Pht(reader, "books", FIELDS) as theirs:
        await mine.insert({"author": "Thoreau", "title": "Walden"}, TARGET)

        assert await theirs.lookup({"title": b"Walden", "author": b"Thoreau"}) == [TARGET]
        assert await theirs.nearest({"author": "Thorea", "title": "Walde"}) == [TARGET]
        assert await theirs.lookup({"author": "Thoreau", "title": "walden"}) == []
        assert mine.stats.inserted == 1


async def test_more_entries_than_a_leaf_holds(pair: tuple[DhtNode, DhtNode]) -> None:
    """Inserted at once from both sides: splits and moves happen on real nodes."""
    fields = {"word": 4}
    async with Pht(pair[0], "words", fields) as one, Pht(pair[1], "words", fields) as other:
        values = {b"%02d" % n: IndexValue(InfoHash.of(b"%d" % n), n) for n in range(24)}
        for n, (word, value) in enumerate(values.items()):
            await (one, other)[n % 2].insert({"word": word}, value, keep=True)

        found = await asyncio.gather(*(other.lookup({"word": word}) for word in values))
        assert found == [[value] for value in values.values()]
        assert one.stats.splits + other.stats.splits > 0
        one.remove({"word": b"00"}, values[b"00"])


async def test_fields_that_do_not_fit_are_refused(pair: tuple[DhtNode, DhtNode]) -> None:
    """Before anything is sent."""
    async with Pht(pair[0], "words", {"word": 4}) as index:
        with pytest.raises(IndexKeyError):
            await index.insert({"word": "longer"}, TARGET)
        with pytest.raises(IndexKeyError):
            await index.lookup({"other": "x"})
        with pytest.raises(IndexKeyError):
            index.remove({}, TARGET)
    with pytest.raises(IndexKeyError):
        Pht(pair[0], "words", {})


async def test_a_node_without_others_says_so(open_node: Awaitable[DhtNode]) -> None:
    """Nobody answers, nobody stores."""
    node = await open_node()  # type: ignore[operator]
    async with Pht(node, "words", {"word": 4}) as index:
        with pytest.raises(NotConnectedError):
            await index.insert({"word": "x"}, TARGET)
        with pytest.raises(NotConnectedError):
            await index.lookup({"word": "x"})
        with pytest.raises(NotConnectedError):
            await index.nearest({"word": "x"})


class DeafNode:
    """A node whose operations never end."""

    def __init__(self) -> None:
        self.cancelled = 0

    async def get(self, key: InfoHash, *, raw: bool = False) -> list[Value]:
        """Wait for ever."""
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        raise AssertionError

    async def listen(self, key: InfoHash, *, raw: bool = False) -> AsyncIterator[ListenEvent]:
        """Find nothing, for ever."""
        await asyncio.Event().wait()
        raise AssertionError
        yield

    async def put(self, key: InfoHash, value: Value, *, created: float | None = None) -> PutResult:
        """Wait for ever."""
        await asyncio.Event().wait()
        raise AssertionError


async def test_a_cancelled_lookup_cancels_its_reads() -> None:
    """A timeout of the caller ends what was begun for it."""
    node = DeafNode()
    async with Pht(node, "words", {"word": 4}) as index:
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(index.lookup({"word": "x"}), 0.01)
        await asyncio.sleep(0)
        assert node.cancelled == 2


async def test_closing_ends_what_is_under_way() -> None:
    """Whoever waits gets an error; so does whoever comes late."""
    async with asyncio.TaskGroup() as group:
        async with Pht(DeafNode(), "words", {"word": 4}) as index:
            lookup = group.create_task(_refused(index))
            await asyncio.sleep(0)
        await lookup
    with pytest.raises(NodeClosedError):
        await index.insert({"word": "x"}, TARGET)


async def _refused(index: Pht) -> None:
    with pytest.raises(NodeClosedError):
        await index.lookup({"word": "x"})
