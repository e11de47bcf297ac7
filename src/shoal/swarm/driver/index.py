"""The index of an account's conversations: one SQLite file beside them, which may be lost.

Everything in it comes from the repositories, and is written after them; so a crash leaves an index
that is behind, never ahead, and opening a conversation catches up. A file of another format, or one
that is damaged, is deleted and made anew. One connection serves all threads, one after the other.

    node       a commit that was taken: its place in the graph and in the line, what it says; `said`
               is its message where that is more than kind, target and body tell
    standing   what was found about commits; most are equal
    words      the words of the messages as they are now, edits applied
"""

from __future__ import annotations

import json
import logging
import sqlite3
import threading
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Final, TypeVar

from shoal.core import AccountId, CommitId, ConversationId
from shoal.swarm.errors import RepositoryError
from shoal.swarm.validation import Standing
from shoal.swarm.words import TOKENIZER, words_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

R = TypeVar("R")

_log = logging.getLogger(__name__)

FORMAT: Final = 3  # raise it when the tables, the words or the rules of validation change
CACHE_KIB: Final = 4_096  # ours: of SQLite, for the whole account
ATTEMPTS: Final = 2  # the second one finds an index that was made anew
SEARCHED: Final = 1  # the kind of commits whose words are in the index
_DAMAGE: Final = ("malformed", "no such", "has no column", "corrupt")
_TABLES: Final = f"""
CREATE TABLE conversation (number INTEGER PRIMARY KEY, id BLOB UNIQUE NOT NULL, head BLOB);
CREATE TABLE standing (
    number INTEGER PRIMARY KEY, account BLOB NOT NULL, problem TEXT NOT NULL, tainted TEXT NOT NULL,
    UNIQUE (account, problem, tainted)
);
CREATE TABLE node (
    number INTEGER PRIMARY KEY,
    conversation INTEGER NOT NULL,
    id BLOB NOT NULL,
    place INTEGER,
    parents BLOB NOT NULL,
    wall_time INTEGER NOT NULL,
    tree BLOB NOT NULL,
    generation INTEGER NOT NULL,
    children INTEGER NOT NULL,
    standing INTEGER NOT NULL,
    kind INTEGER NOT NULL,
    target BLOB,
    body TEXT,
    shown TEXT,
    said BLOB
);
CREATE UNIQUE INDEX node_by_id ON node (conversation, id);
CREATE INDEX node_by_place ON node (conversation, place);
CREATE INDEX node_by_target ON node (conversation, target, place) WHERE target IS NOT NULL;
CREATE VIRTUAL TABLE words USING fts5 (text, content = '', tokenize = "{TOKENIZER}");
PRAGMA user_version = {FORMAT};
"""


class Index:
    """The database. What conversations and searches ask of it is in the modules beside."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.generation = 0  # changes when all that was in it is lost
        self._lock = threading.RLock()
        self._standings: dict[int, Standing] = {}
        self._numbers: dict[Standing, int] = {}
        self._database: sqlite3.Connection | None = None
        self._has_traces = True  # in its log, of what was erased: a crash may have left some

    @contextmanager
    def reading(self) -> Iterator[sqlite3.Connection]:
        """Have the database for questions.

        Raises:
            sqlite3.Error: it is damaged, and was made anew; `generation` has changed.
        """
        with self._lock:
            try:
                yield self._open()
            except sqlite3.DatabaseError as error:
                self._lose(error)
                raise

    @contextmanager
    def writing(self) -> Iterator[sqlite3.Connection]:
        """Have the database for changes: all of them are kept, or none.

        Raises:
            sqlite3.Error: none was kept.
        """
        with self.reading() as database:
            database.execute("BEGIN IMMEDIATE")
            try:
                yield database
                database.execute("COMMIT")
            except BaseException:
                self._numbers.clear()
                self._standings.clear()
                with suppress(sqlite3.Error):
                    database.execute("ROLLBACK")
                raise

    def attempt(self, work: Callable[[], R]) -> R:
        """Do *work*, and once more if the index was made anew meanwhile.

        Raises:
            RepositoryError: the index cannot be read or written.
        """
        failure: sqlite3.Error | None = None
        for _ in range(ATTEMPTS):
            try:
                return work()
            except sqlite3.Error as error:
                failure = error
        raise RepositoryError(self.path, str(failure)) from failure

    def forget(self, conversation: ConversationId) -> None:
        """Let go of what is known of a conversation.

        Raises:
            RepositoryError: the index cannot be written.
        """
        self.attempt(lambda: self._forget(conversation))

    def erase(self, conversation: ConversationId) -> None:
        """Let go of a conversation for ever: no word of it is left in the files.

        Raises:
            RepositoryError: the index cannot be written.
        """

        def work() -> None:
            self._forget(conversation, is_erased=True)
            if self._has_traces:
                with self.reading() as database:
                    database.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
                    self._has_traces = False

        self.attempt(work)

    def close(self) -> None:
        """Let the file go."""
        with self._lock:
            if self._database is not None:
                self._database.close()
                self._database = None

    # --- Standings ----------------------------------------------------------------------------

    def standing(self, number: int) -> Standing:
        """Return a standing by its number. To be called within `reading`."""
        found = self._standings.get(number)
        if found is None:
            account, problem, tainted = (
                self._open()
                .execute(
                    "SELECT account, problem, tainted FROM standing WHERE number = ?", (number,)
                )
                .fetchone()
            )
            found = Standing(AccountId(account), problem, frozenset(json.loads(tainted)))
            self._standings[number] = found
        return found

    def number_of(self, standing: Standing) -> int:
        """Return the number of a standing. To be called within `writing`."""
        found = self._numbers.get(standing)
        if found is None:
            row = (standing.account, standing.problem, json.dumps(sorted(standing.tainted)))
            database = self._open()
            database.execute(
                "INSERT OR IGNORE INTO standing (account, problem, tainted) VALUES (?, ?, ?)", row
            )
            (found,) = database.execute(
                "SELECT number FROM standing WHERE account = ? AND problem = ? AND tainted = ?", row
            ).fetchone()
            assert isinstance(found, int)
            self._numbers[standing] = found
        return found

    # --- Inside -------------------------------------------------------------------------------

    def _forget(self, conversation: ConversationId, *, is_erased: bool = False) -> None:
        """Let go of a conversation, if it is there."""
        with self.writing() as database:
            which = "SELECT number FROM conversation WHERE id = ?"
            found = database.execute(which, (conversation,)).fetchone()
            if found is None:
                return
            drop(database, found[0])
            database.execute("DELETE FROM conversation WHERE number = ?", found)
            if is_erased:
                self._has_traces = True
                # Words that were deleted stay until what they are kept in is merged.
                database.execute("INSERT INTO words (words) VALUES ('optimize')")
                unused = "number NOT IN (SELECT standing FROM node)"
                database.execute(f"DELETE FROM standing WHERE {unused}")  # noqa: S608 - our own SQL
                self._numbers.clear()
                self._standings.clear()

    def _open(self) -> sqlite3.Connection:
        if self._database is None:
            try:
                self._database = self._connect()
            except sqlite3.DatabaseError as error:
                if not _is_damage(error):
                    raise
                self._delete(error)
                self._database = self._connect()
        return self._database

    def _connect(self) -> sqlite3.Connection:
        self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.path.touch(mode=0o600)
        # Earlier versions kept a damaged one, with all that was said.
        self.path.with_name(self.path.name + ".damaged").unlink(missing_ok=True)
        database = sqlite3.connect(self.path, check_same_thread=False, isolation_level=None)
        try:
            database.execute("PRAGMA journal_mode = WAL")
            # A power cut may take the latest changes, but leaves the file in order.
            database.execute("PRAGMA synchronous = NORMAL")
            database.execute("PRAGMA secure_delete = ON")  # what is erased is not in free pages
            database.execute(f"PRAGMA cache_size = -{CACHE_KIB}")
            database.create_function("words_of", 1, words_of, deterministic=True)
            (found,) = database.execute("PRAGMA user_version").fetchone()
            if found == 0:
                database.executescript(f"BEGIN; {_TABLES} COMMIT;")
            elif found != FORMAT:
                raise sqlite3.DatabaseError(f"format {found}, not {FORMAT}")  # noqa: TRY301
        except BaseException:
            database.close()
            raise
        return database

    def _lose(self, error: sqlite3.DatabaseError) -> None:
        """Begin anew, unless it is only that the disk is full or slow."""
        if _is_damage(error):
            self.close()
            self._delete(error)

    def _delete(self, error: sqlite3.DatabaseError) -> None:
        _log.warning("%s: %s; it is made anew", self.path, error)
        self.generation += 1
        self._standings.clear()
        self._numbers.clear()
        for end in ("-wal", "-shm", ""):
            self.path.with_name(self.path.name + end).unlink(missing_ok=True)


def _is_damage(error: sqlite3.DatabaseError) -> bool:
    """Whether it is the file, not only that the disk is full or slow, or too much is open."""
    is_passing = isinstance(error, sqlite3.OperationalError)
    return not is_passing or any(sign in str(error) for sign in _DAMAGE)


def drop(
    database: sqlite3.Connection, number: int, *, which: str = "1", values: tuple[bytes, ...] = ()
) -> None:
    """Remove the commits of a conversation, or those for which *which* holds."""
    condition = f"conversation = ? AND {which}"
    database.execute(
        f"INSERT INTO words (words, rowid, text) SELECT 'delete', number, words_of(shown)"  # noqa: S608 - our own SQL
        f" FROM node WHERE {condition} AND kind = {SEARCHED} AND shown <> ''",
        (number, *values),
    )
    database.execute(f"DELETE FROM node WHERE {condition}", (number, *values))  # noqa: S608 - our own SQL


def commit_ids(packed: bytes) -> tuple[CommitId, ...]:
    """Read commits that were written one after the other."""
    length = CommitId.length
    return tuple(CommitId(packed[at : at + length]) for at in range(0, len(packed), length))
