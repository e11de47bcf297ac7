"""The watcher: addresses that change, and machines that sleep."""

from __future__ import annotations

import asyncio
import time

import pytest

from shoal.dht.driver import network
from shoal.dht.driver.network import CLOCK_JUMP, NetworkWatcher, source_addresses


class Watched:
    """A watcher that looks all the time, and what it called."""

    def __init__(self) -> None:
        self.changes = 0
        self.looks = 0
        self.watcher = NetworkWatcher(self._changed, self._ticked)

    def _changed(self) -> None:
        self.changes += 1

    def _ticked(self) -> None:
        self.looks += 1

    async def look(self) -> None:
        """Let it look twice: once may have been half done."""
        seen = self.looks
        async with asyncio.timeout(10):
            while self.looks < seen + 2:  # noqa: ASYNC110 - a counter
                await asyncio.sleep(0)


@pytest.fixture(autouse=True)
def _always_looking(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(network, "INTERVAL", 0.0)


async def test_a_new_address_is_noticed_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """And nothing while it stays."""
    addresses: tuple[str, ...] = ("192.0.2.1",)
    monkeypatch.setattr(network, "source_addresses", lambda: addresses)
    watched = Watched()
    await watched.look()
    assert watched.changes == 0

    addresses = ("192.0.2.1", "2001:db8::1")
    await watched.look()
    await watched.look()
    watched.watcher.close()
    assert watched.changes == 1


async def test_a_sleep_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    """The wall clock moved on, the monotonic one did not; a clock set back is no sleep."""
    monkeypatch.setattr(network, "source_addresses", tuple)
    wall = time.time()
    jump = 0.0
    monkeypatch.setattr(time, "time", lambda: wall + jump)
    watched = Watched()
    jump = CLOCK_JUMP + 5.0
    await watched.look()
    assert watched.changes == 1

    jump = -1000.0
    await watched.look()
    watched.watcher.close()
    assert watched.changes == 1


def test_looking_sends_nothing_and_never_fails() -> None:
    """At most one address per family, whatever this machine is connected to."""
    assert len(source_addresses()) <= 2
