"""What both databases share: opening them, and their errors in our words."""

from __future__ import annotations

import contextlib
import sqlite3
from typing import TYPE_CHECKING, Final

from shoal.names.errors import NameStoreError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

BUSY_PATIENCE: Final = 5.0  # seconds; ours: nobody else should have these files open
_MODE: Final = 0o600  # what is public is served; the file is ours alone


def open_database(path: Path, schema: str, version: int, *, synchronous: str) -> sqlite3.Connection:
    """Open or make the database at *path*, for use by any one thread at a time.

    Raises:
        NameStoreError: it cannot be opened, or is of another version.
    """
    with translated(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch(_MODE, exist_ok=True)
        database = sqlite3.connect(
            path, timeout=BUSY_PATIENCE, isolation_level=None, check_same_thread=False
        )
        try:
            database.execute("PRAGMA journal_mode = WAL")
            database.execute(f"PRAGMA synchronous = {synchronous}")
            (found,) = database.execute("PRAGMA user_version").fetchone()
            if found == 0:
                database.executescript(
                    f"BEGIN IMMEDIATE; {schema}; PRAGMA user_version = {version}; COMMIT"
                )
        except BaseException:
            database.close()
            raise
    if found not in {0, version}:
        database.close()
        raise NameStoreError(f"{path} is of version {found}, and this is {version}")
    return database


@contextlib.contextmanager
def translated(path: Path) -> Iterator[None]:
    """Turn the errors of SQLite and of files into ours.

    Raises:
        NameStoreError: there was one.
    """
    try:
        yield
    except sqlite3.Error as error:
        raise NameStoreError(f"{path}: {error}") from error
    except OSError as error:
        raise NameStoreError(f"{path}: {error.strerror}") from error


@contextlib.contextmanager
def transaction(database: sqlite3.Connection) -> Iterator[None]:
    """All or nothing; durable as far as the database is."""
    database.execute("BEGIN IMMEDIATE")
    try:
        yield
    except BaseException:
        database.execute("ROLLBACK")
        raise
    database.execute("COMMIT")
