"""What a bot remembers: what is to be handled, what handlers keep, what is due.

    cursors    per conversation: up to where its messages were queued
    inbox      messages that wait for their handler, or are with it
    state      what handlers keep, per conversation
    tasks      what is to be done at a time
    intervals  when handlers that run every so often last did

A message is queued in the transaction that moves the cursor, and leaves the queue in the one that
keeps what its handler has changed. So a crash at any point loses nothing, and repeats at most the
one message of each conversation that was being handled.
"""

from __future__ import annotations

import json
import sqlite3
from contextlib import contextmanager
from dataclasses import field
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from shoal.bot.errors import BotStoreError
from shoal.core import CommitId, ConversationId
from shoal.core.records import dataclass

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

Json: TypeAlias = "bool | int | float | str | list[Json] | dict[str, Json] | None"

VERSION: Final = 1  # of the schema
VALUE_SIZE_MAX: Final = 1_048_576  # characters, ours: of one value of a state
BUSY_MS: Final = 5_000  # ours: a look at the database from outside may take that long
_SCHEMA: Final = """
CREATE TABLE cursors (conversation TEXT PRIMARY KEY, known TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE inbox (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    conversation TEXT NOT NULL,
    message TEXT NOT NULL UNIQUE,
    attempts INTEGER NOT NULL DEFAULT 0
);
CREATE INDEX inbox_by_conversation ON inbox (conversation, number);
CREATE TABLE state (
    conversation TEXT NOT NULL, key TEXT NOT NULL, value TEXT NOT NULL,
    PRIMARY KEY (conversation, key)
) WITHOUT ROWID;
CREATE TABLE tasks (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    conversation TEXT NOT NULL,
    name TEXT NOT NULL,
    due REAL NOT NULL,
    payload TEXT NOT NULL,
    attempts INTEGER NOT NULL DEFAULT 0
);
CREATE INDEX tasks_by_due ON tasks (due);
CREATE INDEX tasks_by_conversation ON tasks (conversation, due);
CREATE TABLE intervals (name TEXT PRIMARY KEY, wall_last REAL NOT NULL) WITHOUT ROWID;
"""


@dataclass(frozen=True, slots=True)
class Arrival:
    """A message that waits for its handler.

    Attributes:
        attempts: how often handling began, this time included.
    """

    number: int
    conversation: ConversationId
    message: CommitId
    attempts: int


@dataclass(frozen=True, slots=True)
class DueTask:
    """Something whose time has come."""

    number: int
    conversation: ConversationId
    name: str
    wall_due: float
    payload: Mapping[str, Any]
    attempts: int


@dataclass(frozen=True, slots=True)
class NewTask:
    """Something to be done later."""

    name: str
    wall_due: float
    payload: Mapping[str, Any]


@dataclass(slots=True)
class Outcome:
    """What a handler leaves.

    Attributes:
        changed: what it set in the state of its conversation.
        removed: what it deleted there.
        tasks: what is to be done later.
        cancelled: names of tasks of the conversation that are not to be done any more.
    """

    changed: dict[str, Json] = field(default_factory=dict)
    removed: set[str] = field(default_factory=set)
    tasks: list[NewTask] = field(default_factory=list)
    cancelled: set[str] = field(default_factory=set)


class BotStore:
    """The database of one bot. All of it blocks; one thread uses it at a time."""

    def __init__(self, path: Path) -> None:
        """Open or make it.

        Raises:
            BotStoreError: it cannot be opened, or was made by a newer version.
        """
        self._path = path
        try:
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._database = sqlite3.connect(
                path, isolation_level=None, check_same_thread=False, timeout=BUSY_MS / 1_000
            )
            path.chmod(0o600)
        except (OSError, sqlite3.Error) as error:
            raise BotStoreError(f"{path}: {error}") from error
        try:
            self._prepare()
        except BaseException:
            self._database.close()
            raise

    def close(self) -> None:
        """Let the file go."""
        self._database.close()

    # Messages

    def known(self, conversation: ConversationId) -> tuple[CommitId, ...] | None:
        """Return up to where messages were queued; None if none ever were."""
        row = self._row("SELECT known FROM cursors WHERE conversation = ?", str(conversation))
        return None if row is None else tuple(map(CommitId.from_hex, json.loads(row[0])))

    def queue(
        self,
        conversation: ConversationId,
        messages: Iterable[CommitId],
        known: Iterable[CommitId],
    ) -> None:
        """Let messages wait for their handler, and remember that all up to *known* were taken."""
        name = str(conversation)
        with self._transaction() as database:
            database.executemany(
                "INSERT OR IGNORE INTO inbox (conversation, message) VALUES (?, ?)",
                [(name, str(each)) for each in messages],
            )
            database.execute(
                "INSERT OR REPLACE INTO cursors VALUES (?, ?)",
                (name, json.dumps([str(each) for each in known])),
            )

    def waiting(self, wall_now: float) -> list[ConversationId]:
        """Return the conversations in which there is something to do."""
        rows = self._rows(
            "SELECT conversation FROM inbox UNION SELECT conversation FROM tasks WHERE due <= ?",
            wall_now,
        )
        return [ConversationId.from_hex(row[0]) for row in rows]

    def next(self, conversation: ConversationId, wall_now: float) -> Arrival | DueTask | None:
        """Return what is to be done next in a conversation, and count the attempt."""
        name = str(conversation)
        with self._transaction() as database:
            row = database.execute(
                "UPDATE inbox SET attempts = attempts + 1 WHERE number ="
                " (SELECT number FROM inbox WHERE conversation = ? ORDER BY number LIMIT 1)"
                " RETURNING number, message, attempts",
                (name,),
            ).fetchone()
            if row is not None:
                return Arrival(row[0], conversation, CommitId.from_hex(row[1]), row[2])
            row = database.execute(
                "UPDATE tasks SET attempts = attempts + 1 WHERE number ="
                " (SELECT number FROM tasks WHERE conversation = ? AND due <= ?"
                " ORDER BY due, number LIMIT 1)"
                " RETURNING number, name, due, payload, attempts",
                (name, wall_now),
            ).fetchone()
        if row is None:
            return None
        return DueTask(row[0], conversation, row[1], row[2], json.loads(row[3]), row[4])

    def finish(self, job: Arrival | DueTask, outcome: Outcome) -> None:
        """Take a job off the queue, and keep what its handler leaves."""
        name = str(job.conversation)
        with self._transaction() as database:
            table = "inbox" if isinstance(job, Arrival) else "tasks"
            database.execute(
                f"DELETE FROM {table} WHERE number = ?",  # noqa: S608 - our names
                (job.number,),
            )
            self._keep(database, name, outcome)

    def give_back(self, job: Arrival | DueTask) -> None:
        """Let a job wait again that was interrupted in order: that was not its fault.

        It stays known that it was begun once.
        """
        table = "inbox" if isinstance(job, Arrival) else "tasks"
        with self._transaction() as database:
            database.execute(
                f"UPDATE {table} SET attempts = max(1, attempts - 1)"  # noqa: S608 - our names
                " WHERE number = ?",
                (job.number,),
            )

    def forget(self, conversation: ConversationId) -> None:
        """Delete all that belongs to a conversation that the bot is in no longer."""
        with self._transaction() as database:
            for table in ("cursors", "inbox", "state", "tasks"):
                database.execute(
                    f"DELETE FROM {table} WHERE conversation = ?",  # noqa: S608 - our names
                    (str(conversation),),
                )

    # State

    def state(self, conversation: ConversationId) -> dict[str, Json]:
        """Return what handlers keep for a conversation."""
        rows = self._rows("SELECT key, value FROM state WHERE conversation = ?", str(conversation))
        return {key: json.loads(value) for key, value in rows}

    # Tasks

    def add_task(self, conversation: ConversationId, task: NewTask) -> None:
        """Let something be done later."""
        with self._transaction() as database:
            self._keep(database, str(conversation), Outcome(tasks=[task]))

    def next_due(self, wall_now: float) -> float | None:
        """Return when the next task that is not due yet will be."""
        row = self._row("SELECT min(due) FROM tasks WHERE due > ?", wall_now)
        return None if row is None or row[0] is None else float(row[0])

    def wall_last(self, name: str) -> float | None:
        """Return when an interval's handler last ran."""
        row = self._row("SELECT wall_last FROM intervals WHERE name = ?", name)
        return None if row is None else float(row[0])

    def ran(self, name: str, wall_now: float) -> None:
        """Remember when an interval's handler ran."""
        with self._transaction() as database:
            database.execute("INSERT OR REPLACE INTO intervals VALUES (?, ?)", (name, wall_now))

    # Inside

    def _keep(self, database: sqlite3.Connection, name: str, outcome: Outcome) -> None:
        database.executemany(
            "INSERT OR REPLACE INTO state VALUES (?, ?, ?)",
            [(name, key, packed(key, value)) for key, value in outcome.changed.items()],
        )
        database.executemany(
            "DELETE FROM state WHERE conversation = ? AND key = ?",
            [(name, key) for key in sorted(outcome.removed)],
        )
        database.executemany(
            "DELETE FROM tasks WHERE conversation = ? AND name = ?",
            [(name, task) for task in sorted(outcome.cancelled)],
        )
        database.executemany(
            "INSERT INTO tasks (conversation, name, due, payload) VALUES (?, ?, ?, ?)",
            [
                (name, task.name, task.wall_due, packed(task.name, dict(task.payload)))
                for task in outcome.tasks
            ],
        )

    def _prepare(self) -> None:
        with self._translated():
            self._database.execute("PRAGMA journal_mode = WAL")
            self._database.execute("PRAGMA synchronous = FULL")  # handled is handled
            (version,) = self._database.execute("PRAGMA user_version").fetchone()
        if version > VERSION:
            raise BotStoreError(f"{self._path} was made by a newer version of Shoal")
        if version == 0:
            with self._transaction() as database:
                for statement in _SCHEMA.split(";"):
                    database.execute(statement)
                database.execute(f"PRAGMA user_version = {VERSION}")

    def _row(self, statement: str, *values: object) -> Sequence[Any] | None:
        with self._translated():
            row: Sequence[Any] | None = self._database.execute(statement, values).fetchone()
            return row

    def _rows(self, statement: str, *values: object) -> list[Sequence[Any]]:
        with self._translated():
            return self._database.execute(statement, values).fetchall()

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        with self._translated():
            self._database.execute("BEGIN IMMEDIATE")
            try:
                yield self._database
            except BaseException:
                self._database.execute("ROLLBACK")
                raise
            self._database.execute("COMMIT")

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            raise BotStoreError(f"{self._path}: {error}") from error


def packed(key: str, value: object) -> str:
    """Return a value as JSON.

    Raises:
        BotStoreError: it is none, or too large.
    """
    try:
        text = json.dumps(value, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise BotStoreError(f"{key!r} cannot be kept: {error}") from error
    if len(text) > VALUE_SIZE_MAX:
        raise BotStoreError(f"{key!r} is larger than {VALUE_SIZE_MAX} characters")
    return text
