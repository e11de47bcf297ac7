"""A server, or its chain, that is killed at any point of a registration.

Afterwards the name is registered once or not at all, it was paid for once, and the client is told
the truth: what it was told before, and whatever it is told when it asks again.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

import pytest

from shoal.chain.driver import EmbeddedChain, RegistryClient, load_key
from shoal.names import NameClient
from shoal.names.driver.opening import CHAIN_FOLDER, KEY_FILE
from shoal.names.errors import NameNotFoundError, NameServerUnavailableError
from tests.peers.name_server import MortalServer
from tests.peers.waiting import until
from tests.unit.names.people import record_of

if TYPE_CHECKING:
    from pathlib import Path

    from shoal.chain import Chain
    from shoal.names import NameRecord

pytestmark = pytest.mark.timeout(600)  # processes by the dozen, on a machine with other work

POINTS_MIN: Final = 18  # that a registration on the embedded chain has
LAST_WORDS: Final = "after Slot.fill"  # the client has its answer
LAST_POINT: Final = "after Journal.write"  # the second: it is noted as done


async def told_success(url: str, record: NameRecord) -> bool:
    """Register; return whether the server said that it is done."""
    async with NameClient(server=url) as client:
        try:
            await client.register_record(record)
        except NameServerUnavailableError:
            return False
    return True


async def look(url: str, record: NameRecord) -> bool:
    """Return whether the name is found; if so it must be this account's."""
    async with NameClient(server=url) as client:
        try:
            found = await client.lookup(record.name)
        except NameNotFoundError:
            return False
    assert found == record.with_owner(None)
    return True


async def settle(url: str, record: NameRecord) -> str:
    """Wait until a registration is no longer under way; return its state."""
    async with asyncio.timeout(60), NameClient(server=url) as client:
        while True:
            state: str = (await client.progress(record.name))["state"]
            if state != "pending":
                return state
            await asyncio.sleep(0.02)


async def check_chain(chain: Chain, folder: Path, records: list[NameRecord]) -> None:
    """Check that each record is on the chain once, and that each was paid for once."""
    events = await RegistryClient(chain).events(0)
    names = [event.name for event in events]
    assert sorted(names) == sorted(record.name for record in records)
    assert await chain.nonce(load_key(folder / KEY_FILE).address) == len(records)


def test_the_server_is_killed(tmp_path: Path) -> None:
    """At every point in turn, on the embedded chain, which dies with it."""
    promised: list[tuple[NameRecord, bool]] = []
    reached: list[str] = []
    point = 1
    while True:
        record = record_of(f"killed-{point}")
        server = MortalServer(tmp_path, point=point)
        if promised:
            asyncio.run(judge(server.url, *promised[-1]))
        server.arm()
        is_told = asyncio.run(told_success(server.url, record))
        promised.append((record, is_told))
        until(lambda server=server: has_ended(server), "the server's end, or the registration's")  # type: ignore[misc]
        server.kill()
        points = server.points()
        if len(points) < point:  # this one was not killed: there are no more points
            assert is_told
            break
        assert len(points) == point
        reached.append(points[-1])
        point += 1
    assert len(reached) >= POINTS_MIN
    assert LAST_WORDS in reached

    server = MortalServer(tmp_path)
    asyncio.run(judge(server.url, *promised[-1]))
    server.stop()

    async def finish() -> None:
        async with EmbeddedChain(tmp_path / CHAIN_FOLDER) as chain:
            await check_chain(chain, tmp_path, [record for record, _ in promised])

    asyncio.run(finish())


def has_ended(server: MortalServer) -> bool:
    """Tell whether the server was killed, or has nothing more to do."""
    return not server.is_running or server.points().count(LAST_POINT) == 2


async def judge(url: str, record: NameRecord, is_told: bool) -> None:
    """Check what a client learns after the restart."""
    if is_told:  # then it is so, at once
        assert await look(url, record)
    state = await settle(url, record)
    assert state in {"registered", "free"}
    assert await look(url, record) == (state == "registered")
    assert await told_success(url, record)
    async with NameClient(server=url) as client:
        assert await client.lookup(record.name) == record.with_owner(None)
