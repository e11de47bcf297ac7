"""The journal: registrations that were promised, on disk before anything is sent.

One thread writes. What is asked for while it writes goes into its next transaction, so that a
hundred registrations at a time cost a few waits for the disk and not a hundred.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
from typing import TYPE_CHECKING, Final

from shoal.chain import ChainAddress
from shoal.core import AccountId
from shoal.names.driver.sqlite import open_database, transaction, translated
from shoal.names.effects import DropIntent, Intent, IntentState, KeepIntent
from shoal.names.errors import NameStoreError
from shoal.names.record import NameRecord

if TYPE_CHECKING:
    import sqlite3
    from pathlib import Path

VERSION: Final = 1  # of the schema
_SCHEMA: Final = """
CREATE TABLE intents (
    name TEXT PRIMARY KEY,
    account BLOB NOT NULL,
    owner BLOB NOT NULL,
    public_key BLOB NOT NULL,
    signature BLOB NOT NULL,
    state TEXT NOT NULL,
    wall_created REAL NOT NULL
)
"""
_KEEP: Final = """
INSERT INTO intents VALUES (?, ?, ?, ?, ?, ?, ?)
ON CONFLICT (name) DO UPDATE SET
    account = excluded.account, owner = excluded.owner, public_key = excluded.public_key,
    signature = excluded.signature, state = excluded.state, wall_created = excluded.wall_created
"""

Write = KeepIntent | DropIntent


class Journal:
    """Intents on disk. `write` returns once they are there."""

    def __init__(self, path: Path) -> None:
        """Open or make the journal.

        Raises:
            NameStoreError: it cannot be opened.
        """
        self._path = path
        self._database = open_database(path, _SCHEMA, VERSION, synchronous="FULL")
        self._loop = asyncio.get_running_loop()
        self._wanted: list[tuple[Write, asyncio.Future[None]]] = []
        self._changed = threading.Condition()
        self._is_closing = False
        self._thread = threading.Thread(target=self._work, name="names journal", daemon=True)
        self._thread.start()

    def read(self) -> list[Intent]:
        """Return every intent, oldest first.

        Raises:
            NameStoreError: the journal cannot be read.
        """
        query = (
            "SELECT name, account, owner, public_key, signature, state, wall_created"
            " FROM intents ORDER BY wall_created, name"
        )
        with translated(self._path):
            rows = self._database.execute(query).fetchall()
        return [
            Intent(
                NameRecord(name, AccountId(account), key, signature, ChainAddress(owner)),
                IntentState(state),
                created,
            )
            for name, account, owner, key, signature, state, created in rows
        ]

    async def write(self, change: Write) -> None:
        """Keep or drop one intent; return once that is on disk.

        Raises:
            NameStoreError: it cannot be written.
        """
        future: asyncio.Future[None] = self._loop.create_future()
        with self._changed:
            if self._is_closing:
                raise NameStoreError(f"{self._path} is closed")
            self._wanted.append((change, future))
            self._changed.notify()
        await future

    def close(self) -> None:
        """Write what is wanted still, and close."""
        with self._changed:
            self._is_closing = True
            self._changed.notify()
        self._thread.join()
        self._database.close()

    def _work(self) -> None:
        while True:
            with self._changed:
                while not self._wanted and not self._is_closing:
                    self._changed.wait()
                batch, self._wanted = self._wanted, []
            if not batch:
                return
            problem: NameStoreError | None = None
            try:
                with translated(self._path), transaction(self._database):
                    for change, _ in batch:
                        _apply(self._database, change)
            except NameStoreError as error:
                problem = error
            with contextlib.suppress(RuntimeError):  # the loop has ended
                self._loop.call_soon_threadsafe(_resolve, batch, problem)


def _apply(database: sqlite3.Connection, change: Write) -> None:
    if isinstance(change, DropIntent):
        database.execute("DELETE FROM intents WHERE name = ?", (change.name,))
        return
    intent, record = change.intent, change.intent.record
    assert record.owner is not None, "intents have owners"
    row = (
        record.name,
        bytes(record.account),
        bytes(record.owner),
        record.public_key,
        record.signature,
        intent.state.value,
        intent.wall_created,
    )
    database.execute(_KEEP, row)


def _resolve(batch: list[tuple[Write, asyncio.Future[None]]], problem: Exception | None) -> None:
    for _, future in batch:
        if future.done():  # whoever waited was cancelled
            continue
        if problem is None:
            future.set_result(None)
        else:
            future.set_exception(problem)
