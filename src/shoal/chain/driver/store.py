"""The embedded chain on disk: the genesis and every transaction in order, in one SQLite file.

meta          format, genesis (the text of the file)
blocks        number, hash, parent, wall_time; its one transaction: tx_hash, raw, sender, price,
              and of raw what a replay needs without reading it again; how it went: is_success,
              gas_used, contract, output
logs          of a block, in order: address, topics, data

Each block is one SQLite transaction, on disk before anybody learns of it. State is not stored: a
start executes all blocks again, 20,000 in about a second.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
from typing import TYPE_CHECKING, Any, Final

from shoal.chain.addresses import BlockHash, ChainAddress, TransactionHash
from shoal.chain.driver.files import FileLock, sync_folder
from shoal.chain.errors import (
    ChainDamagedError,
    ChainFileError,
    ChainMissingError,
)
from shoal.chain.genesis import Genesis
from shoal.chain.ledger import Step
from shoal.chain.values import Call, Log, Receipt

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from shoal.chain.backend import Topics
    from shoal.chain.ledger import Made

FORMAT: Final = "shoal chain 1"
FILE_NAME: Final = "chain.sqlite"
LOCK_NAME: Final = "chain.lock"
MODE: Final = 0o600  # whose names and coins these are concerns nobody else on the machine
_SCHEMA: Final = """
CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT;
CREATE TABLE blocks (
    number INTEGER PRIMARY KEY,
    hash BLOB NOT NULL,
    parent BLOB NOT NULL,
    wall_time INTEGER NOT NULL,
    tx_hash BLOB NOT NULL UNIQUE,
    raw BLOB NOT NULL,
    sender BLOB NOT NULL,
    price TEXT NOT NULL,
    nonce INTEGER NOT NULL,
    gas_limit INTEGER NOT NULL,
    recipient BLOB,
    value TEXT NOT NULL,
    data_start INTEGER NOT NULL,
    data_size INTEGER NOT NULL,
    is_success INTEGER NOT NULL,
    gas_used INTEGER NOT NULL,
    contract BLOB,
    output BLOB NOT NULL
) STRICT;
CREATE UNIQUE INDEX blocks_hash ON blocks (hash);
CREATE TABLE logs (
    number INTEGER NOT NULL,
    position INTEGER NOT NULL,
    address BLOB NOT NULL,
    topic0 BLOB, topic1 BLOB, topic2 BLOB, topic3 BLOB,
    data BLOB NOT NULL,
    PRIMARY KEY (number, position)
) STRICT;
"""
_TOPICS_MAX: Final = 4  # yellow paper: LOG0 to LOG4
_INSERT_BLOCK: Final = (
    "INSERT INTO blocks VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
)
_SELECT_STEPS: Final = (
    "SELECT number, hash, wall_time, tx_hash, sender, price, nonce, gas_limit, recipient, value,"
    " substr(raw, data_start + 1, data_size) FROM blocks WHERE number > ? ORDER BY number LIMIT ?"
)
_PAGE: Final = 1000  # blocks read at once when replaying; ours


class ChainStore:
    """The file, opened by one process and used by one thread at a time."""

    def __init__(self, folder: Path) -> None:
        """Open what is there.

        Raises:
            ChainMissingError: nothing is.
            ChainBusyError: another process has it.
            ChainFileError, ChainDamagedError: it cannot be read, or is none of ours.
        """
        path = folder / FILE_NAME
        if not path.exists():
            raise ChainMissingError(f"there is no chain in {folder}")
        self._lock = FileLock(folder / LOCK_NAME)
        try:
            self._db = _connect(path)
            try:
                self.genesis = self._read_genesis(path)
            except BaseException:
                self._db.close()
                raise
        except BaseException:
            self._lock.release()
            raise

    @classmethod
    def create(cls, folder: Path, genesis: Genesis) -> ChainStore:
        """Make the file where there is none, whole or not at all, and open it."""
        path = folder / FILE_NAME
        with _file_errors(path):
            temporary = path.with_name(f".{FILE_NAME}.{os.getpid()}.tmp")
            temporary.unlink(missing_ok=True)
            os.close(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, MODE))
            with contextlib.closing(sqlite3.connect(temporary, isolation_level=None)) as db:
                db.executescript("PRAGMA synchronous = FULL;" + _SCHEMA)
                rows = [("format", FORMAT), ("genesis", genesis.to_json())]
                db.executemany("INSERT INTO meta VALUES (?, ?)", rows)
            temporary.replace(path)
            sync_folder(folder)
        return cls(folder)

    def append(self, raw: bytes, made: Made) -> None:
        """Write a block down; it is on disk when this returns.

        Raises:
            ChainFileError: it is not.
        """
        step, receipt = made.step, made.receipt
        with _file_errors(FILE_NAME), self._db:
            self._db.execute("BEGIN IMMEDIATE")
            self._db.execute(
                _INSERT_BLOCK,
                (
                    *(step.number, step.hash, made.block.parent_hash, step.wall_time),
                    *(step.tx_hash, raw, step.sender, str(step.gas_price_wei)),
                    *(step.nonce, step.gas_limit, step.call.to, str(step.call.value_wei)),
                    *(raw.index(step.call.data), len(step.call.data)),
                    *(int(receipt.is_success), receipt.gas_used, receipt.contract, made.output),
                ),
            )
            self._db.executemany(
                "INSERT INTO logs VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                [
                    (step.number, log.index, log.address, *_padded(log.topics), log.data)
                    for log in receipt.logs
                ],
            )

    def steps(self) -> Iterator[Step]:
        """Yield every block, to be executed again."""
        last = 0
        while True:
            with _file_errors(FILE_NAME):
                rows = self._db.execute(_SELECT_STEPS, (last, _PAGE)).fetchall()
            if not rows:
                return
            for row in rows:
                yield _step(row)
            last = rows[-1][0]

    def block(self, number: int) -> tuple[BlockHash, BlockHash, int] | None:
        """Return hash, parent and wall time of a block after the genesis."""
        row = self._one("SELECT hash, parent, wall_time FROM blocks WHERE number = ?", number)
        return None if row is None else (BlockHash(row[0]), BlockHash(row[1]), row[2])

    def number_of(self, block_hash: BlockHash) -> int | None:
        """Return the number of the block with this hash."""
        row = self._one("SELECT number FROM blocks WHERE hash = ?", block_hash)
        return None if row is None else row[0]

    def raw(self, tx_hash: TransactionHash) -> bytes | None:
        """Return a transaction as it was sent."""
        row = self._one("SELECT raw FROM blocks WHERE tx_hash = ?", tx_hash)
        return None if row is None else row[0]

    def raw_in(self, number: int) -> bytes | None:
        """Return the transaction of a block as it was sent."""
        row = self._one("SELECT raw FROM blocks WHERE number = ?", number)
        return None if row is None else row[0]

    def receipt(self, tx_hash: TransactionHash) -> Receipt | None:
        """Return how a transaction went."""
        query = "SELECT number, hash, is_success, gas_used, price, contract FROM blocks"
        row = self._one(f"{query} WHERE tx_hash = ?", tx_hash)
        if row is None:
            return None
        number, block_hash, is_success, gas_used, price, contract = row
        return Receipt(
            tx_hash=tx_hash,
            block_number=number,
            block_hash=BlockHash(block_hash),
            is_success=bool(is_success),
            gas_used=gas_used,
            gas_price_wei=int(price),
            contract=None if contract is None else ChainAddress(contract),
            logs=tuple(self.logs(None, number, number)),
        )

    def logs(
        self,
        addresses: tuple[ChainAddress, ...] | None,
        from_block: int,
        to_block: int,
        topics: Topics = (),
        limit: int = -1,
    ) -> list[Log]:
        """Return the logs of these blocks, both included, in order."""
        where = ["logs.number BETWEEN ? AND ?"]
        arguments: list[int | bytes] = [from_block, to_block]
        choices = [("address", addresses), *zip(_TOPIC_COLUMNS, topics, strict=False)]
        for column, wanted in choices:
            if wanted is None:
                continue
            values = [wanted] if isinstance(wanted, bytes) else list(wanted)
            where.append(f"{column} IN ({', '.join('?' * len(values))})")
            arguments += values
        columns = "logs.number, position, address, topic0, topic1, topic2, topic3, data"
        query = (
            f"SELECT {columns}, hash, tx_hash FROM logs JOIN blocks USING (number)"  # noqa: S608
            f" WHERE {' AND '.join(where)} ORDER BY logs.number, position LIMIT ?"
        )
        with _file_errors(FILE_NAME):
            rows = self._db.execute(query, (*arguments, limit)).fetchall()
        return [_log(row) for row in rows]

    def close(self) -> None:
        """Close the file; others may open it."""
        self._db.close()
        self._lock.release()

    def _one(self, query: str, argument: object) -> Any:
        with _file_errors(FILE_NAME):
            return self._db.execute(query, (argument,)).fetchone()

    def _read_genesis(self, path: Path) -> Genesis:
        try:
            meta = dict(self._db.execute("SELECT key, value FROM meta"))
        except sqlite3.Error as error:
            raise ChainDamagedError(f"{path} is no chain: {error}") from error
        if meta.get("format") != FORMAT:
            raise ChainDamagedError(f"{path} is a chain of another format: {meta.get('format')}")
        return Genesis.parse(meta.get("genesis", ""))


_TOPIC_COLUMNS: Final = tuple(f"topic{number}" for number in range(_TOPICS_MAX))


def _connect(path: Path) -> sqlite3.Connection:
    with _file_errors(path):
        db = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        try:
            db.executescript("PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;")
        except sqlite3.Error as error:
            db.close()
            raise ChainDamagedError(f"{path} is no chain: {error}") from error
    return db


@contextlib.contextmanager
def _file_errors(path: object) -> Iterator[None]:
    """Turn what disk and database say into errors of ours."""
    try:
        yield
    except (OSError, sqlite3.Error) as error:
        raise ChainFileError(f"{path}: {error}") from error


def _padded(topics: tuple[bytes, ...]) -> list[bytes | None]:
    return [*topics, *[None] * (_TOPICS_MAX - len(topics))]


def _log(row: Any) -> Log:
    number, position, address, *topics, data, block_hash, tx_hash = row
    return Log(
        address=ChainAddress(address),
        topics=tuple(each for each in topics if each is not None),
        data=data,
        block_number=number,
        block_hash=BlockHash(block_hash),
        tx_hash=TransactionHash(tx_hash),
        index=position,
    )


def _step(row: Any) -> Step:
    number, block_hash, wall_time, tx_hash, sender, price, nonce, gas_limit, *call = row
    recipient, value, data = call
    to = None if recipient is None else ChainAddress(recipient)
    return Step(
        number=number,
        hash=BlockHash(block_hash),
        wall_time=wall_time,
        tx_hash=TransactionHash(tx_hash),
        sender=ChainAddress(sender),
        nonce=nonce,
        call=Call(to, data, int(value)),
        gas_limit=gas_limit,
        gas_price_wei=int(price),
    )
