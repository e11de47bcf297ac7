"""The event bus: numbers, queues, gaps."""

from __future__ import annotations

import asyncio

import pytest

from shoal.core import AccountId
from shoal.node.driver import bus as module
from shoal.node.driver.bus import EventBus
from shoal.node.errors import SubscriptionsError
from shoal.node.events import AccountAdded, Lagged, Numbered

EVENT = AccountAdded(AccountId(bytes(20)))


async def test_each_subscriber_gets_every_event_from_then_on() -> None:
    """Numbered from the first of the node's life."""
    bus = EventBus()
    bus.publish(EVENT)
    with bus.subscribe() as one, bus.subscribe() as other:
        bus.publish(EVENT)
        assert await anext(one) == await anext(other) == Numbered(2, EVENT)
        waiting = asyncio.ensure_future(anext(one))
        await asyncio.sleep(0)
        with pytest.raises(RuntimeError):
            await anext(one)
        bus.publish(EVENT)
        assert await waiting == Numbered(3, EVENT)
    bus.publish(EVENT)
    assert bus.number == 4
    with pytest.raises(StopAsyncIteration):
        await anext(one)


async def test_who_is_too_slow_is_told_what_was_missed(monkeypatch: pytest.MonkeyPatch) -> None:
    """One gap, in its place; then it goes on."""
    monkeypatch.setattr(module, "QUEUE_MAX", 2)
    bus = EventBus()
    events = bus.subscribe()
    for _ in range(5):
        bus.publish(EVENT)
    assert [await anext(events) for _ in range(3)] == [
        Numbered(1, EVENT),
        Numbered(2, EVENT),
        Lagged(3, 5),
    ]
    bus.publish(EVENT)
    assert await anext(events) == Numbered(6, EVENT)


async def test_closing_lets_what_is_queued_be_read(monkeypatch: pytest.MonkeyPatch) -> None:
    """Then iteration ends; subscribers are bounded."""
    monkeypatch.setattr(module, "SUBSCRIPTIONS_MAX", 1)
    bus = EventBus()
    events = bus.subscribe()
    with pytest.raises(SubscriptionsError):
        bus.subscribe()
    bus.publish(EVENT)
    bus.close()
    assert [each async for each in events] == [Numbered(1, EVENT)]
    assert [each async for each in bus.subscribe()] == []
