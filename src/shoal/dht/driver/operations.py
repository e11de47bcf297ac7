"""What callers hold while an operation runs: results to await, or to iterate over.

An `_Inbox` belongs to the node and collects the engine's events; the object in the caller's hands
refers to it, never the other way. So when the caller drops that object, by leaving the
`async for`, it is finalized and the engine's operation ends with it.
"""

from __future__ import annotations

import asyncio
from collections import deque
from typing import TYPE_CHECKING, Final, Generic, TypeAlias, TypeVar

from shoal.core.records import dataclass
from shoal.dht.errors import NotConnectedError, ResultsLostError
from shoal.dht.query import Row
from shoal.dht.value import Value

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Generator, Sequence
    from typing import Self

    from shoal.dht.effects import Done

QUEUE_COUNT_MAX: Final = 65_536  # ours: as many as one node stores under a key
QUEUE_BYTES_MAX: Final = 64 * 1024 * 1024  # ours: 1,024 of the largest values
_ITEM_OVERHEAD: Final = 512  # ours: an object and its share of the queue

Item = TypeVar("Item")


@dataclass(frozen=True, slots=True)
class Added:
    """A listen found *value*: a new one, or a newer version of one with the same id."""

    value: Value


@dataclass(frozen=True, slots=True)
class Expired:
    """A value that a listen reported is gone from the network."""

    value: Value


@dataclass(frozen=True, slots=True)
class Lagged:
    """The reader of a listen was too slow, and *missed* events were dropped after the last one."""

    missed: int


ListenEvent: TypeAlias = Added | Expired | Lagged


@dataclass(frozen=True, slots=True)
class PutResult:
    """What became of a put.

    Attributes:
        value_id: under which the value is stored; `cancel_put` takes it.
        nodes: how many nodes acknowledged it; an acknowledgement says received, not stored.
        is_only_here: nobody else has it yet. Only a permanent put returns so: it goes on.
    """

    value_id: int
    nodes: int
    is_only_here: bool = False


class Inbox(Generic[Item]):
    """The queue of one operation, bounded; filled by the node, emptied by one reader."""

    __slots__ = ("_bytes", "_items", "_waiter", "done", "error", "is_open", "missed", "op")

    def __init__(self) -> None:
        self.op = 0  # set once the operation has begun; ops start at 1
        self.is_open = True
        self.done: Done | None = None
        self.error: BaseException | None = None
        self.missed = 0
        self._items: deque[tuple[int, Item]] = deque()
        self._bytes = 0
        self._waiter: asyncio.Future[None] | None = None

    def push(self, items: Sequence[tuple[int, Item]]) -> None:
        """Add items with their sizes; when full, the newest are dropped and counted."""
        for size, item in items:
            cost = size + _ITEM_OVERHEAD
            is_full = len(self._items) >= QUEUE_COUNT_MAX or self._bytes + cost > QUEUE_BYTES_MAX
            if is_full or self.missed:  # after a gap nothing, until the reader has seen the gap
                self.missed += 1
                continue
            self._items.append((cost, item))
            self._bytes += cost
        self._wake()

    def finish(self, done: Done) -> None:
        """No more items will come; nothing after a failure."""
        if self.is_open:
            self.done = done
        self.is_open = False
        self._wake()

    def fail(self, error: BaseException) -> None:
        """No more items will come, for this reason."""
        self.error, self.is_open = error, False
        self._wake()

    def pop(self) -> Item | None:
        """Return the next item, or None if there is none yet."""
        if not self._items:
            return None
        cost, item = self._items.popleft()
        self._bytes -= cost
        return item

    async def wait(self) -> None:
        """Return once there is something to pop, a gap, or the end."""
        while not self._items and self.is_open and not self.missed:
            if self._waiter is not None:
                raise RuntimeError("two tasks read one operation; start one operation for each")
            self._waiter = asyncio.get_running_loop().create_future()
            try:
                await self._waiter
            finally:
                self._waiter = None

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)


class Operation(Generic[Item]):
    """An operation of a node: started by the first await or iteration, ended by `close`.

    Usable as an async iterator and as an async context manager; leaving either ends it.
    """

    def __init__(
        self,
        open_: Callable[[], Inbox[Item]],
        close: Callable[[Inbox[Item]], None],
        drop: Callable[[Inbox[Item]], None],
        timeout: float | None,
    ) -> None:
        """Prepare; nothing runs yet.

        Args:
            open_: starts the operation.
            close: ends it now.
            drop: ends it soon, from wherever Python finalizes objects.
            timeout: seconds for the whole operation, from its start.
        """
        self._open = open_
        self._close = close
        self._drop = drop
        self._timeout = timeout
        self._inbox: Inbox[Item] | None = None
        self._deadline: float | None = None

    def __aiter__(self) -> Self:
        self._start()
        return self

    async def __aenter__(self) -> Self:
        self._start()
        return self

    async def __aexit__(self, *unused: object) -> None:
        self.close()

    def __del__(self) -> None:
        # An `async for` was left by break, return or an error, or the task was cancelled.
        if self._inbox is not None and self._inbox.is_open:
            self._drop(self._inbox)

    def close(self) -> None:
        """End the operation; harmless twice."""
        if self._inbox is not None:
            self._close(self._inbox)

    def _start(self) -> Inbox[Item]:
        if self._inbox is None:
            self._inbox = self._open()
            if self._timeout is not None:
                self._deadline = asyncio.get_running_loop().time() + self._timeout
        return self._inbox


async def _next(inbox: Inbox[Item], deadline: float | None) -> Item | None:
    """Wait for the next item; None means the end, or a gap.

    A function and not a method: a traceback of this frame must not keep the operation alive.
    """
    async with asyncio.timeout_at(deadline):
        await inbox.wait()
    if (item := inbox.pop()) is not None:
        return item
    if inbox.error is not None:
        raise inbox.error
    return None


class _FiniteOperation(Operation[Item]):
    """An operation that ends by itself: `await` it for everything, or iterate.

    Attributes:
        nodes: after the end, how many nodes answered.
    """

    nodes = 0
    _has_found = False

    def __await__(self) -> Generator[object, None, list[Item]]:
        return self._collect().__await__()

    async def _collect(self) -> list[Item]:
        try:
            return [item async for item in self]
        finally:
            self.close()

    async def __anext__(self) -> Item:
        inbox = self._start()
        item = await _next(inbox, self._deadline)
        if item is not None:
            self._has_found = True
            return item
        if inbox.missed:
            self.close()
            raise ResultsLostError(inbox.missed)
        if inbox.done is not None:
            self.nodes = inbox.done.nodes
            if not inbox.done.ok and not self._has_found:
                raise NotConnectedError
        raise StopAsyncIteration


class GetOperation(_FiniteOperation[Value]):
    """A running get: `await` it for a list, or iterate to have each value when it arrives.

    While it runs, a newer version of a signed value may follow an older one; the list holds
    only the newest.

    Raises:
        NotConnectedError: no node answered and nothing was found here.
        ResultsLostError: the iteration was too slow, and values had to be dropped.
        TimeoutError: the time given for the whole operation has passed.
        NodeClosedError: the node was closed meanwhile.
    """

    async def _collect(self) -> list[Value]:
        newest: dict[object, Value] = {}
        for value in await super()._collect():
            newest[(value.id, value.owner) if value.is_signed else value] = value
        return list(newest.values())


class QueryOperation(_FiniteOperation[Row]):
    """A running query: `await` it for a list of rows, or iterate. Raises as `GetOperation` does."""


class ListenOperation(Operation[ListenEvent]):
    """A running listen: iterate over its events until you have enough.

    Raises:
        TimeoutError: the time given for the whole operation has passed.
        NodeClosedError: the node was closed meanwhile.
    """

    def values(self) -> AsyncIterator[Value]:
        """Iterate over the values alone: additions and newer versions."""
        return _values_of(self)

    async def __anext__(self) -> ListenEvent:
        inbox = self._start()
        event = await _next(inbox, self._deadline)
        if event is not None:
            return event
        missed, inbox.missed = inbox.missed, 0
        if missed:
            return Lagged(missed)
        raise StopAsyncIteration


async def _values_of(listen: ListenOperation) -> AsyncIterator[Value]:
    async for event in listen:
        if isinstance(event, Added):
            yield event.value
