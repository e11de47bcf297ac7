"""Sends transactions of one key to one chain: the transaction engine, a file, and tasks.

The file is SQLite: `intents` as `Persist` names them, in the order in which they came, and in
`meta` the chain and the account they are for. Effects are carried out in order by one task, which
goes on only when everything before is on disk.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import sqlite3
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Final, Self, assert_never

from shoal.chain.config import EMBEDDED_CONFIG, TransactionConfig
from shoal.chain.driver.embedded import EmbeddedChain
from shoal.chain.driver.files import MODE_KEY, FileLock
from shoal.chain.effects import (
    Broadcast,
    Confirmed,
    Delayed,
    Estimate,
    Failed,
    Look,
    Mined,
)
from shoal.chain.engine import State, TransactionEngine, TransactionStats
from shoal.chain.errors import (
    ChainClosedError,
    ChainError,
    ChainFileError,
    RpcError,
    WrongChainError,
)
from shoal.core import DecodeError, Persist
from shoal.core.records import dataclass

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from shoal.chain.addresses import ChainAddress
    from shoal.chain.backend import Chain
    from shoal.chain.effects import Effect
    from shoal.chain.keys import ChainKey
    from shoal.chain.values import Call, Receipt

_log = logging.getLogger(__name__)

_SCHEMA: Final = """
PRAGMA journal_mode = WAL;
PRAGMA synchronous = FULL;
CREATE TABLE IF NOT EXISTS meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT;
CREATE TABLE IF NOT EXISTS intents (
    position INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT NOT NULL UNIQUE, data BLOB NOT NULL
) STRICT;
"""
_SAVE: Final = (
    "INSERT INTO intents (name, data) VALUES (?, ?)"
    " ON CONFLICT (name) DO UPDATE SET data = excluded.data"
)


@dataclass(frozen=True, slots=True)
class Pending:
    """A transaction that is under way.

    Attributes:
        problem: what it waits for; None if for nothing but the next blocks.
    """

    key: str
    state: State
    problem: ChainError | None


class TransactionSender:
    """`async with TransactionSender(chain, key, path) as sender` goes on with what was begun.

    One sender per key: nonces come from one place.
    """

    def __init__(
        self, chain: Chain, key: ChainKey, path: Path, config: TransactionConfig | None = None
    ) -> None:
        if config is None:
            is_own = isinstance(chain, EmbeddedChain)
            config = EMBEDDED_CONFIG if is_own else TransactionConfig()
        self.chain = chain
        self._key = key
        self._path = path
        self._config = config
        self._engine: TransactionEngine | None = None
        self._file: _IntentFile | None = None
        self._worker = ThreadPoolExecutor(1, thread_name_prefix="shoal-sender")
        self._effects: deque[Effect] = deque()
        self._outbox: asyncio.Queue[Broadcast] = asyncio.Queue()
        self._signal = asyncio.Event()
        self._waiting: dict[str, list[asyncio.Future[Receipt]]] = {}
        self._main: asyncio.Task[None] | None = None
        self._error: ChainError | None = None

    async def open(self) -> None:
        """Read the file and go on with what is in it.

        Raises:
            ChainUnreachableError: the file is new, and the chain does not answer.
            WrongChainError: the file is for another chain or another account.
            ChainBusyError: another process has the file.
            ChainFileError: it cannot be read.
        """
        loop = asyncio.get_running_loop()
        self._file = file = await loop.run_in_executor(self._worker, _IntentFile, self._path)
        try:
            chain_id = await self._chain_id(file)
            saved = await loop.run_in_executor(self._worker, file.load)
            try:
                self._engine = TransactionEngine(self._config, self._key, chain_id, saved)
            except DecodeError as error:
                raise ChainFileError(f"{self._path}: {error}") from error
        except BaseException:
            await self.close()
            raise
        self._take(self._engine.start(loop.time()))
        self._main = loop.create_task(self._serve(), name="shoal transactions")
        self._main.add_done_callback(self._ended)

    async def close(self) -> None:
        """Stop. What is under way goes on the next time."""
        if self._main is not None:
            self._main.cancel()
            await asyncio.wait({self._main})  # how it ended, `_ended` has told
            self._main = None
        if self._file is not None:
            loop = asyncio.get_running_loop()
            await loop.run_in_executor(self._worker, self._file.close)
            self._file = None
        self._worker.shutdown(wait=False)

    async def __aenter__(self) -> Self:
        await self.open()
        return self

    async def __aexit__(self, *unused: object) -> None:
        await self.close()

    @property
    def address(self) -> ChainAddress:
        """Who pays."""
        return self._key.address

    @property
    def stats(self) -> TransactionStats:
        """Counters."""
        return self._running.stats

    def pending(self) -> list[Pending]:
        """Return what is under way, and what it waits for."""
        return [Pending(key, *state) for key, state in self._running.states().items()]

    def __contains__(self, key: str) -> bool:
        return key in self._running

    async def submit(self, key: str, call: Call) -> Receipt:
        """See that *call* happens once; return how it went, when that is final.

        Who stops waiting stops nothing. The same *key* again joins what is under way, also after a
        restart.

        Raises:
            TransactionError: it did not happen, and will not.
            TooManyTransactionsError: too many are under way.
            ChainClosedError, ChainFileError: the sender ended; what was begun goes on later.
        """
        loop = asyncio.get_running_loop()
        self._take(self._running.submit(key, call, loop.time()))
        future: asyncio.Future[Receipt] = loop.create_future()
        waiting = self._waiting.setdefault(key, [])
        waiting.append(future)
        try:
            return await future
        finally:
            waiting.remove(future)
            if not waiting and self._waiting.get(key) is waiting:
                del self._waiting[key]

    # The one task that carries out effects.

    async def _serve(self) -> None:
        loop, engine = asyncio.get_running_loop(), self._running
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._hand_in())
            while True:
                self._signal.clear()
                effects = list(self._effects)
                self._effects.clear()
                await self._save([each for each in effects if isinstance(each, Persist)])
                for effect in effects:
                    self._apply(effect, tasks)
                deadline = engine.next_deadline()
                if self._effects:
                    continue
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout_at(deadline):
                        await self._signal.wait()
                self._take(engine.advance(loop.time()))

    def _apply(self, effect: Effect, tasks: asyncio.TaskGroup) -> None:
        match effect:
            case Persist():
                pass  # done, before anything that follows
            case Estimate():
                tasks.create_task(self._estimate(effect))
            case Look():
                tasks.create_task(self._look(effect))
            case Broadcast():
                self._outbox.put_nowait(effect)
            case Mined() | Confirmed() | Failed() | Delayed():
                self._report(effect)
            case _:
                assert_never(effect)

    def _report(self, event: Mined | Confirmed | Failed | Delayed) -> None:
        futures = () if event.key is None else self._waiting.get(event.key, ())
        waiting = [future for future in futures if not future.done()]
        match event:
            case Confirmed(_, receipt):
                for future in waiting:
                    future.set_result(receipt)
            case Failed(key, error):
                _log.info("x %s: %s", key, error)
                for future in waiting:
                    future.set_exception(error)
            case Delayed(key, error):
                _log.info("= %s waits: %s", key or "everything", error)
            case Mined(key, receipt):
                _log.debug("= %s is in block %d", key, receipt.block_number)

    async def _save(self, changes: Sequence[Persist]) -> None:
        file = self._file
        if changes and file is not None:
            loop = asyncio.get_running_loop()
            await loop.run_in_executor(self._worker, file.save, changes)

    async def _estimate(self, asked: Estimate) -> None:
        engine, clock = self._running, asyncio.get_running_loop().time
        try:
            gas = await self.chain.estimate_gas(asked.call, self._key.address)
        except ChainError as error:
            self._take(engine.estimate_failed(asked.key, error, clock()))
        else:
            self._take(engine.estimated(asked.key, gas, clock()))

    async def _look(self, asked: Look) -> None:
        engine, clock = self._running, asyncio.get_running_loop().time
        try:
            view = await self.chain.view(self._key.address, asked.transactions)
        except ChainError as error:
            self._take(engine.look_failed(error, clock()))
        else:
            self._take(engine.looked(view, clock()))

    async def _hand_in(self) -> None:
        """Hand transactions in one after the other: nodes want them in order."""
        engine, clock = self._running, asyncio.get_running_loop().time
        while True:
            ordered = await self._outbox.get()
            error: ChainError | None = None
            try:
                await self.chain.send(ordered.raw)
            except ChainError as failed:
                error = failed
            done = engine.broadcast_done(ordered.key, ordered.tx_hash, error, clock())
            self._take(done)

    def _take(self, effects: Sequence[Effect]) -> None:
        self._effects.extend(effects)
        self._signal.set()

    def _ended(self, task: asyncio.Task[None]) -> None:
        """Tell those who wait that nobody works for them any more."""
        error: ChainError = ChainClosedError()
        if not task.cancelled() and (failed := task.exception()) is not None:
            inner = failed.exceptions[0] if isinstance(failed, BaseExceptionGroup) else failed
            _log.error("x sending transactions ends", exc_info=inner)
            if isinstance(inner, ChainError):
                error = inner
        self._error = error
        for futures in self._waiting.values():
            for future in futures:
                if not future.done():
                    future.set_exception(error)

    @property
    def _running(self) -> TransactionEngine:
        if self._error is not None:
            raise self._error
        if self._engine is None:
            raise ChainClosedError
        return self._engine

    async def _chain_id(self, file: _IntentFile) -> int:
        """Return the chain that the file is for; a new file is for the chain that answers."""
        loop = asyncio.get_running_loop()
        known = await loop.run_in_executor(self._worker, file.meta)
        owner = str(self._key.address)
        if known is None:
            chain_id = await self.chain.chain_id()
            await loop.run_in_executor(self._worker, file.set_meta, chain_id, owner)
            return chain_id
        chain_id, account = known
        if account != owner:
            raise ChainFileError(f"{self._path} is for the account {account}, not {owner}")
        try:
            found = await self.chain.chain_id()
        except (ChainError, RpcError):
            return chain_id  # it may answer later; the engine compares with every look
        if found != chain_id:
            raise WrongChainError(chain_id, found)
        return chain_id


class _IntentFile:
    """Intents on disk; used by one thread at a time."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = FileLock(path.with_name(path.name + ".lock"))
        try:
            os.close(os.open(path, os.O_RDWR | os.O_CREAT, MODE_KEY))
            self._db = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
            try:
                self._db.executescript(_SCHEMA)
            except BaseException:
                self._db.close()
                raise
        except (OSError, sqlite3.Error) as error:
            self._lock.release()
            raise ChainFileError(f"{path}: {error}") from error

    def meta(self) -> tuple[int, str] | None:
        found = dict(self._db.execute("SELECT key, value FROM meta").fetchall())
        return (int(found["chain"]), found["account"]) if found else None

    def set_meta(self, chain_id: int, account: str) -> None:
        rows = [("chain", str(chain_id)), ("account", account)]
        with self._errors(), self._db:
            self._db.execute("BEGIN IMMEDIATE")
            self._db.executemany("INSERT INTO meta VALUES (?, ?)", rows)

    def load(self) -> list[tuple[str, bytes]]:
        return self._db.execute("SELECT name, data FROM intents ORDER BY position").fetchall()

    def save(self, changes: Sequence[Persist]) -> None:
        with self._errors(), self._db:
            self._db.execute("BEGIN IMMEDIATE")
            for change in changes:
                if change.data:
                    self._db.execute(_SAVE, (change.name, change.data))
                else:
                    self._db.execute("DELETE FROM intents WHERE name = ?", (change.name,))

    def close(self) -> None:
        self._db.close()
        self._lock.release()

    @contextlib.contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            raise ChainFileError(f"{self._path}: {error}") from error
