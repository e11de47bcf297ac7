"""Results that wait for their reader: bounded, and honest about gaps."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from shoal.dht.driver import operations
from shoal.dht.driver.operations import (
    Added,
    GetOperation,
    Inbox,
    Lagged,
    ListenEvent,
    ListenOperation,
)
from shoal.dht.effects import Done
from shoal.dht.errors import NodeClosedError, NotConnectedError, ResultsLostError
from shoal.dht.value import Value

VALUES = [Value(data=bytes([n]), id=n + 1) for n in range(6)]


class Source:
    """Stands for the node: an inbox that a test fills."""

    def __init__(self) -> None:
        self.inbox: Inbox[Value] = Inbox()
        self.events: Inbox[ListenEvent] = Inbox()
        self.opened = self.closed = self.dropped = 0

    def get(self, timeout: float | None = None) -> GetOperation:
        """Return a get that reads the inbox."""

        def open_() -> Inbox[Value]:
            self.opened += 1
            return self.inbox

        return GetOperation(open_, self._close, self._drop, timeout)

    def listen(self) -> ListenOperation:
        """Return a listen that reads the events."""
        return ListenOperation(lambda: self.events, self._close, self._drop, None)

    def put(self, *values: Value) -> None:
        """Let values arrive at both."""
        self.inbox.push([(value.size, value) for value in values])
        self.events.push([(value.size, Added(value)) for value in values])

    def _close(self, inbox: Inbox[Any]) -> None:
        self.closed += inbox.is_open
        inbox.is_open = False

    def _drop(self, inbox: Inbox[Any]) -> None:
        self.dropped += 1
        inbox.is_open = False


@pytest.fixture
def source(monkeypatch: pytest.MonkeyPatch) -> Source:
    """With room for three results."""
    monkeypatch.setattr(operations, "QUEUE_COUNT_MAX", 3)
    return Source()


async def test_nothing_runs_before_it_is_awaited(source: Source) -> None:
    """And it starts once."""
    get = source.get()
    assert source.opened == 0
    source.inbox.finish(Done(1, ok=True, nodes=4))
    assert await get == []
    assert (source.opened, get.nodes) == (1, 4)


async def test_results_end_with_the_operation(source: Source) -> None:
    """Those that came before the end are all seen."""
    source.put(*VALUES[:2])
    source.inbox.finish(Done(1, ok=False, nodes=0))
    assert await source.get() == VALUES[:2]


async def test_nothing_found_and_nobody_there_is_an_error(source: Source) -> None:
    """Nothing found where nodes answered is not."""
    source.inbox.finish(Done(1, ok=False, nodes=0))
    with pytest.raises(NotConnectedError):
        await source.get()


async def test_a_failure_comes_after_what_was_found(source: Source) -> None:
    """And a late end of the engine changes nothing."""
    source.put(VALUES[0])
    source.inbox.fail(NodeClosedError())
    source.inbox.finish(Done(1, ok=True, nodes=1))
    get = source.get()
    assert await anext(get) == VALUES[0]
    with pytest.raises(NodeClosedError):
        await anext(get)


async def test_a_slow_reader_of_a_get_is_told(source: Source) -> None:
    """A list with a gap would be a lie."""
    source.put(*VALUES)
    get = source.get()
    assert [await anext(get) for _ in range(3)] == VALUES[:3]
    with pytest.raises(ResultsLostError, match="3 results") as caught:
        await anext(get)
    assert caught.value.missed == 3
    assert source.closed == 1


async def test_a_slow_reader_of_a_listen_goes_on(source: Source) -> None:
    """One `Lagged` where the gap is; then events again."""
    listen = source.listen()
    source.put(*VALUES[:5])
    seen = [await anext(listen) for _ in range(4)]
    source.put(VALUES[5])
    seen.append(await anext(listen))
    assert seen == [*map(Added, VALUES[:3]), Lagged(2), Added(VALUES[5])]
    listen.close()


async def test_large_results_fill_the_queue_too(
    source: Source, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Memory is what is bounded, not only the number."""
    monkeypatch.setattr(operations, "QUEUE_BYTES_MAX", 2000)
    source.put(Value(data=bytes(1000), id=1), Value(data=bytes(1000), id=2))
    assert source.inbox.missed == 1


async def test_the_newest_version_of_a_signed_value_counts(source: Source) -> None:
    """In a list; an iteration sees both. Plain values of one id are different values."""
    owned = {"id": 1, "owner": b"key", "signature": b"x"}
    old = Value(data=b"old", seq=1, **owned)  # type: ignore[arg-type]
    new = Value(data=b"new", seq=2, **owned)  # type: ignore[arg-type]
    source.put(old, new)
    source.inbox.finish(Done(1, ok=True, nodes=1))
    assert await source.get() == [new]

    plain = [Value(data=b"a", id=1), Value(data=b"b", id=1)]
    other = Source()
    other.put(*plain)
    other.inbox.finish(Done(1, ok=True, nodes=1))
    assert await other.get() == plain


async def test_dropping_the_iterator_ends_the_operation(source: Source) -> None:
    """That is what leaving an `async for` does; once it has ended there is nothing to end."""
    source.put(VALUES[0])
    async for _value in source.get():
        break
    assert source.dropped == 1

    done = Source()
    done.inbox.finish(Done(1, ok=True, nodes=1))
    assert await done.get() == []
    assert (done.dropped, done.closed) == (0, 0)


async def test_a_cancelled_await_ends_the_operation(source: Source) -> None:
    """At once, not when Python gets to it."""
    get = source.get()

    async def wait() -> object:
        return await get

    task = asyncio.ensure_future(wait())
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert source.closed == 1


async def test_its_own_timeout_ends_the_operation(source: Source) -> None:
    """Counted from the start."""
    with pytest.raises(TimeoutError):
        await source.get(timeout=0.001)
    assert source.closed == 1
