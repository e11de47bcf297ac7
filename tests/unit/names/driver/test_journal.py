"""The journal: what was promised is on disk before anything follows."""

from __future__ import annotations

import asyncio
import sqlite3
from typing import TYPE_CHECKING

import pytest

from shoal.names.driver.journal import Journal
from shoal.names.effects import DropIntent, Intent, IntentState, KeepIntent
from shoal.names.errors import NameStoreError
from tests.unit.names.people import record_of

if TYPE_CHECKING:
    from pathlib import Path

ALICE = Intent(record_of("alice"), IntentState.WAITING, 2.0)
BOB = Intent(record_of("bob"), IntentState.SENT, 1.0)


async def test_intents_survive(tmp_path: Path) -> None:
    """Oldest first; a later state replaces an earlier one; what is dropped is gone."""
    path = tmp_path / "journal.sqlite"
    journal = Journal(path)
    sent = Intent(ALICE.record, IntentState.SENT, ALICE.wall_created)
    for intent in (ALICE, BOB, sent, Intent(record_of("carol"), IntentState.DONE, 3.0)):
        await journal.write(KeepIntent(intent))
    await journal.write(DropIntent("carol"))
    await journal.write(DropIntent("nobody"))
    assert journal.read() == [BOB, sent]
    journal.close()

    again = Journal(path)
    assert again.read() == [BOB, sent]
    again.close()


async def test_it_is_on_disk_when_write_returns(tmp_path: Path) -> None:
    """Another reader sees it at once."""
    path = tmp_path / "journal.sqlite"
    journal = Journal(path)
    await journal.write(KeepIntent(ALICE))

    other = sqlite3.connect(path)
    assert other.execute("SELECT name, state FROM intents").fetchall() == [("alice", "waiting")]
    other.close()
    journal.close()


async def test_many_at_a_time_share_a_transaction(tmp_path: Path) -> None:
    """All come through, in the order in which they were asked for."""
    journal = Journal(tmp_path / "journal.sqlite")
    async with asyncio.TaskGroup() as group:
        for state in (IntentState.WAITING, IntentState.SENT, IntentState.DONE):
            for name in ("alice", "bob"):
                group.create_task(journal.write(KeepIntent(Intent(record_of(name), state, 1.0))))

    assert {each.state for each in journal.read()} == {IntentState.DONE}
    journal.close()


async def test_a_failing_disk_is_told(tmp_path: Path) -> None:
    """To whoever waits, and the next attempt may succeed."""
    path = tmp_path / "journal.sqlite"
    journal = Journal(path)
    journal._database.execute("PRAGMA query_only = ON")  # noqa: SLF001 - as a full disk would
    with pytest.raises(NameStoreError, match=r"journal\.sqlite"):
        await journal.write(KeepIntent(ALICE))
    journal._database.execute("PRAGMA query_only = OFF")  # noqa: SLF001
    await journal.write(KeepIntent(ALICE))
    journal.close()
    with pytest.raises(NameStoreError, match="closed"):
        await journal.write(KeepIntent(BOB))


async def test_a_cancelled_writer_harms_nobody(tmp_path: Path) -> None:
    """The others are written and told."""
    journal = Journal(tmp_path / "journal.sqlite")
    first = asyncio.ensure_future(journal.write(KeepIntent(ALICE)))
    await asyncio.sleep(0)
    first.cancel()
    await journal.write(KeepIntent(BOB))

    assert BOB in journal.read()
    journal.close()
