"""The index: what the registry's events add up to, in SQLite, so that lookups need no chain.

Every event is kept as it came, and a name is what its events add up to. When a reorganisation takes
blocks away, their events go, and the names in them are added up again. All of it can be made anew
from the chain, so nothing here waits for the disk.

Key and signature are checked when a record is read. One that proves nothing stays known, since the
contract gives neither its name nor its account another one; but it is never served.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

from shoal.chain import BlockHash, ChainAddress, NameReleased, NameReserved, NameTransferred
from shoal.core import AccountId
from shoal.core.records import dataclass
from shoal.names.driver.sqlite import open_database, transaction, translated
from shoal.names.effects import IndexedName, IndexStatus
from shoal.names.record import NameRecord, is_valid
from shoal.names.wire import encode_record

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from shoal.chain import RegistryEvent

VERSION: Final = 1  # of the schema
CHECKPOINTS_MAX: Final = 256  # ours: blocks remembered to find where a reorganisation began
_SCHEMA: Final = """
CREATE TABLE facts (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE checkpoints (number INTEGER PRIMARY KEY, hash BLOB NOT NULL);
CREATE TABLE events (
    block INTEGER NOT NULL,
    position INTEGER NOT NULL,
    kind TEXT NOT NULL,
    name TEXT NOT NULL,
    account BLOB,
    owner BLOB,
    public_key BLOB,
    signature BLOB,
    is_valid INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (block, position)
);
CREATE INDEX events_by_name ON events (name, block, position);
CREATE TABLE names (
    name TEXT PRIMARY KEY,
    account BLOB NOT NULL,
    owner BLOB NOT NULL,
    answer BLOB NOT NULL,
    is_valid INTEGER NOT NULL,
    block INTEGER NOT NULL
);
CREATE INDEX names_by_account ON names (account, is_valid)
"""
_FIND: Final = "SELECT account, owner, answer, is_valid FROM names WHERE name = ?"
_REVERSE: Final = "SELECT name FROM names WHERE account = ? ORDER BY is_valid DESC LIMIT 1"


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A block up to which the chain was read."""

    number: int
    hash: BlockHash


@dataclass(frozen=True, slots=True)
class CheckedEvent:
    """An event of the registry, its place in the block, and whether its evidence holds."""

    event: RegistryEvent
    is_valid: bool


def check_events(events: Iterable[RegistryEvent]) -> list[CheckedEvent]:
    """Check the evidence of records: a quarter of a millisecond each, so best in a thread."""
    return [
        CheckedEvent(each, isinstance(each, NameReserved) and is_valid(_record_of(each)))
        for each in events
    ]


class Index:
    """The `NameIndex` of a server."""

    def __init__(self, path: Path) -> None:
        """Open or make the index.

        Raises:
            NameStoreError: it cannot be opened.
        """
        self._path = path
        self._database = open_database(path, _SCHEMA, VERSION, synchronous="OFF")
        self._status = self._read_status()

    def find(self, name: str) -> IndexedName | None:
        """Return who has a name, valid or not."""
        row = self._database.execute(_FIND, (name,)).fetchone()
        if row is None:
            return None
        account, owner, answer, is_proven = row
        return IndexedName(name, AccountId(account), owner, answer, bool(is_proven))

    def name_of(self, account: AccountId) -> str | None:
        """Return the name of an account: one that is proven, or else any that blocks others."""
        row = self._database.execute(_REVERSE, (bytes(account),)).fetchone()
        return None if row is None else str(row[0])

    def status(self) -> IndexStatus:
        """Return how far the index is."""
        return self._status

    def note_chain(self, *, is_up: bool, head: int | None = None) -> None:
        """Take note of whether the chain answers, and what its newest block is."""
        head = self._status.head if head is None else head
        self._status = replace(self._status, is_chain_up=is_up, head=head)

    def bind(self, chain_id: int, registry: ChainAddress) -> bool:
        """Make this the index of one registry; return False if it was of another one before.

        Raises:
            NameStoreError: the disk fails.
        """
        status = self._status
        if status.chain_id is not None:
            return (status.chain_id, status.registry) == (chain_id, str(registry))
        with translated(self._path), transaction(self._database):
            self._set("chain_id", chain_id)
            self._set("registry", registry)
        self._status = replace(status, chain_id=chain_id, registry=str(registry))
        return True

    def checkpoints(self) -> list[Checkpoint]:
        """Return blocks that were read up to, newest first."""
        rows = self._database.execute(
            "SELECT number, hash FROM checkpoints ORDER BY number DESC"
        ).fetchall()
        return [Checkpoint(number, BlockHash(digest)) for number, digest in rows]

    def add(self, events: Sequence[CheckedEvent], read_to: Checkpoint) -> None:
        """Add events, in their order, and remember up to where the chain was read.

        Raises:
            NameStoreError: the disk fails.
        """
        names = dict.fromkeys(each.event.name for each in events)
        with translated(self._path), transaction(self._database):
            before = self._counts(names)
            for position, checked in enumerate(events):
                self._insert(checked, position)
            for name in names:
                self._add_up(name)
            self._database.execute(
                "INSERT OR REPLACE INTO checkpoints VALUES (?, ?)",
                (read_to.number, bytes(read_to.hash)),
            )
            self._database.execute(
                "DELETE FROM checkpoints WHERE number NOT IN"
                " (SELECT number FROM checkpoints ORDER BY number DESC LIMIT ?)",
                (CHECKPOINTS_MAX,),
            )
            self._set("block", read_to.number)
            counted = self._counted(before, names)
        self._status = replace(
            self._status, block=read_to.number, names=counted[0], ignored=counted[1]
        )

    def complete(self) -> None:
        """Take note that everything up to the newest block was read."""
        if not self._status.is_complete:
            with translated(self._path):
                self._set("is_complete", 1)
            self._status = replace(self._status, is_complete=True)

    def undo(self, to_block: int) -> None:
        """Take back all that was read beyond *to_block*; -1 takes back everything.

        Raises:
            NameStoreError: the disk fails.
        """
        database = self._database
        with translated(self._path), transaction(database):
            names = [
                name
                for (name,) in database.execute(
                    "SELECT DISTINCT name FROM events WHERE block > ?", (to_block,)
                )
            ]
            before = self._counts(names)
            database.execute("DELETE FROM events WHERE block > ?", (to_block,))
            database.execute("DELETE FROM checkpoints WHERE number > ?", (to_block,))
            for name in names:
                self._add_up(name)
            self._set("block", to_block)
            reorganisations = self._status.reorganisations + 1
            self._set("reorganisations", reorganisations)
            counted = self._counted(before, names)
        self._status = replace(
            self._status,
            block=to_block,
            reorganisations=reorganisations,
            names=counted[0],
            ignored=counted[1],
        )

    def close(self) -> None:
        """Close the file."""
        self._database.close()

    def _insert(self, checked: CheckedEvent, position: int) -> None:
        event = checked.event
        account = key = signature = owner = None
        match event:
            case NameReserved():
                kind, account, owner = "reserved", bytes(event.account), bytes(event.owner)
                key, signature = event.public_key, event.signature
            case NameTransferred():
                kind, owner = "transferred", bytes(event.owner)
            case NameReleased():
                kind, account = "released", bytes(event.account)
        self._database.execute(
            "INSERT OR REPLACE INTO events VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (
                event.block_number,
                position,
                kind,
                event.name,
                account,
                owner,
                key,
                signature,
                checked.is_valid,
            ),
        )

    def _add_up(self, name: str) -> None:
        """Make the name what its events say."""
        database = self._database
        row: tuple[object, ...] | None = None
        for block, kind, account, owner, key, signature, is_proven in database.execute(
            "SELECT block, kind, account, owner, public_key, signature, is_valid FROM events"
            " WHERE name = ? ORDER BY block, position",
            (name,),
        ):
            if kind == "reserved":
                record = NameRecord(name, AccountId(account), key, signature)
                answer = encode_record(record) if is_proven else b""
                row = (name, account, owner, answer, is_proven, block)
            elif kind == "transferred" and row is not None:
                row = (*row[:2], owner, *row[3:])
            elif kind == "released":
                row = None
        database.execute("DELETE FROM names WHERE name = ?", (name,))
        if row is not None:
            database.execute("INSERT INTO names VALUES (?, ?, ?, ?, ?, ?)", row)

    def _counts(self, names: Iterable[str]) -> tuple[int, int]:
        """Return how many of *names* are served, and how many are ignored."""
        served = ignored = 0
        for name in names:
            found = self._database.execute(_FIND, (name,)).fetchone()
            if found is not None:
                served, ignored = served + bool(found[3]), ignored + (not found[3])
        return served, ignored

    def _counted(self, before: tuple[int, int], names: Iterable[str]) -> tuple[int, int]:
        """Return the totals, given what *names* counted before they changed."""
        served, ignored = self._counts(names)
        return self._status.names + served - before[0], self._status.ignored + ignored - before[1]

    def _set(self, key: str, value: object) -> None:
        self._database.execute("INSERT OR REPLACE INTO facts VALUES (?, ?)", (key, str(value)))

    def _read_status(self) -> IndexStatus:
        with translated(self._path):
            facts = dict(self._database.execute("SELECT key, value FROM facts").fetchall())
            served, ignored = self._database.execute(
                "SELECT COUNT(*) FILTER (WHERE is_valid), COUNT(*) FILTER (WHERE NOT is_valid)"
                " FROM names"
            ).fetchone()
        return IndexStatus(
            names=served,
            ignored=ignored,
            block=int(facts.get("block", -1)),
            chain_id=int(facts["chain_id"]) if "chain_id" in facts else None,
            registry=facts.get("registry"),
            is_complete="is_complete" in facts,
            reorganisations=int(facts.get("reorganisations", 0)),
        )


def _record_of(event: NameReserved) -> NameRecord:
    return NameRecord(event.name, event.account, event.public_key, event.signature, event.owner)
