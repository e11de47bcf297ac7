"""The event bus: numbered events to any number of subscribers, each with a bounded queue."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import TYPE_CHECKING, Final

from shoal.node.errors import SubscriptionsError
from shoal.node.events import Lagged, Numbered

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Self

    from shoal.node.events import NodeEvent

QUEUE_MAX: Final = 4096  # ours: events a subscriber may be behind
SUBSCRIPTIONS_MAX: Final = 256  # ours: windows of an app, commands, bots


class EventBus:
    """Numbers events and hands each to every subscriber; never waits for one."""

    def __init__(self) -> None:
        self._number = 0
        self._subscriptions: dict[Subscription, None] = {}
        self._is_closed = False

    @property
    def number(self) -> int:
        """That of the last event."""
        return self._number

    def publish(self, event: NodeEvent) -> None:
        """Number *event* and queue it for all."""
        self._number += 1
        numbered = Numbered(self._number, event)
        for subscription in self._subscriptions:
            subscription.push(numbered)

    def subscribe(self) -> Subscription:
        """Return a subscription to what happens from now on.

        Raises:
            SubscriptionsError: there are as many as allowed.
        """
        if len(self._subscriptions) >= SUBSCRIPTIONS_MAX:
            raise SubscriptionsError(f"{SUBSCRIPTIONS_MAX} subscribers")
        subscription = Subscription(self._unsubscribe)
        if self._is_closed:
            subscription.close()
        else:
            self._subscriptions[subscription] = None
        return subscription

    def close(self) -> None:
        """End every subscription, once its queue is read."""
        self._is_closed = True
        for subscription in list(self._subscriptions):
            subscription.finish()
        self._subscriptions.clear()

    def _unsubscribe(self, subscription: Subscription) -> None:
        self._subscriptions.pop(subscription, None)


class Subscription:
    """One subscriber's events: an async iterator, and a context manager that ends it.

    What does not fit into the queue is dropped and told as one `Lagged`, in its place.
    """

    def __init__(self, ended: Callable[[Subscription], None]) -> None:
        self._ended = ended
        self._queue: deque[Numbered | Lagged] = deque()
        self._is_open = True
        self._waiter: asyncio.Future[None] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *unused: object) -> None:
        self.close()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Numbered | Lagged:
        while not self._queue:
            if not self._is_open:
                raise StopAsyncIteration
            if self._waiter is not None:
                raise RuntimeError("two tasks read one subscription; make one for each")
            self._waiter = asyncio.get_running_loop().create_future()
            try:
                await self._waiter
            finally:
                self._waiter = None
        return self._queue.popleft()

    def push(self, numbered: Numbered) -> None:
        """Queue an event; when full, only count it."""
        last = self._queue[-1] if self._queue else None
        if isinstance(last, Lagged):
            self._queue[-1] = Lagged(last.first, numbered.number)
        elif len(self._queue) >= QUEUE_MAX:
            self._queue.append(Lagged(numbered.number, numbered.number))
        else:
            self._queue.append(numbered)
        self._wake()

    def finish(self) -> None:
        """Nothing more comes; what is queued can still be read."""
        self._is_open = False
        self._wake()

    def close(self) -> None:
        """End the subscription; harmless twice."""
        self._queue.clear()
        self.finish()
        self._ended(self)

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)
