"""`NameServer`: JamiNS over HTTP, from an index of the chain and a journal of promises."""

from __future__ import annotations

import asyncio
import fcntl
import logging
import os
import sqlite3
import ssl
import time
from http import HTTPStatus
from pathlib import Path
from typing import TYPE_CHECKING, Final, Protocol, assert_never

from shoal.chain.errors import ChainError, OutOfFundsError, RevertedError
from shoal.names import answers
from shoal.names.config import NameServerConfig
from shoal.names.driver.follower import ChainFollower
from shoal.names.driver.http import HttpServer, Slot
from shoal.names.driver.index import Index
from shoal.names.driver.journal import Journal
from shoal.names.driver.metrics import CONTENT_TYPE, Metrics, health_of
from shoal.names.effects import (
    DropIntent,
    KeepIntent,
    Reply,
    ReplyPage,
    Reserve,
    Response,
)
from shoal.names.engine import NameServerEngine
from shoal.names.errors import NamesError, NameStoreError
from shoal.names.registrations import CHAIN_AWAY
from shoal.names.wire import to_json

if TYPE_CHECKING:
    from collections.abc import Coroutine, Iterable
    from typing import Any, Self

    from shoal.chain import Chain, ChainAddress, Registry
    from shoal.names.effects import Effect, Request
    from shoal.names.record import NameRecord

_log = logging.getLogger(__name__)

INDEX_FILE: Final = "index.sqlite"
JOURNAL_FILE: Final = "journal.sqlite"
LOCK_FILE: Final = "server.lock"
BALANCE_INTERVAL: Final = 60.0  # seconds; ours: between two looks at what the payer has
FIRST_LOOK: Final = 5.0  # seconds; ours: for the chain, before serving without it


class Registrar(Protocol):
    """Brings records to the chain, and pays for it."""

    @property
    def payer(self) -> ChainAddress:
        """Whose account pays."""
        ...

    async def reserve(self, record: NameRecord) -> None:
        """Return once the record is in a block; calling it again must not harm.

        Raises:
            RevertedError: the registry refuses.
            ChainError: not now.
        """
        ...


class NameServer:
    """Serves names over HTTP or HTTPS.

        async with NameServer(chain, registry, data, registrar=registrar) as server:
            print(server.url)

    Attributes:
        index: what the chain says, as far as it was read.
        engine: answers requests, and counts them.
        http: connections, and their figures.
        is_open: whether it serves.
        balance_wei: what the payer had lately; None while that is unknown.
    """

    def __init__(
        self,
        chain: Chain,
        registry: Registry,
        data: str | os.PathLike[str],
        config: NameServerConfig | None = None,
        *,
        registrar: Registrar | None = None,
        first_block: int = 0,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        """Describe the server; `async with` opens it.

        Args:
            chain: where the registry is; it must be open, and stay so longer than the server.
            registry: the contract.
            data: folder for index and journal; one process at a time has it.
            config: where to listen, and what to grant.
            registrar: brings records to the chain; a read-only mirror needs none.
            first_block: that can have events of the registry.
            tls: makes it HTTPS; see `tls_context`.
        """
        self.config = config or NameServerConfig()
        if registrar is None and not self.config.is_read_only:
            raise ValueError("without a registrar the server must be read-only")
        self.is_open = False
        self.balance_wei: int | None = None
        self._chain = chain
        self._registry = registry
        self._registrar = registrar
        self._first_block = first_block
        self._data = Path(data)
        self._tls = tls
        self._lock_file = -1
        self._slots: dict[int, Slot] = {}
        self._count = 0
        self._tasks: set[asyncio.Task[None]] = set()
        self._timer: asyncio.TimerHandle | None = None
        self._is_chain_up = False
        self._reorganisations = 0

    async def __aenter__(self) -> Self:
        await self.open()
        return self

    async def __aexit__(self, *unused: object) -> None:
        await self.close()

    async def open(self) -> None:
        """Read index and journal, look at the chain, listen, and go on with what was promised.

        Raises:
            NameStoreError: the data folder cannot be used, or belongs to another registry.
            NameServerBindError: the port cannot be had.
        """
        self._loop = asyncio.get_running_loop()
        self._lock()
        try:
            self.index = Index(self._data / INDEX_FILE)
            try:
                await self._open_rest()
            except BaseException:
                self.index.close()
                raise
        except BaseException:
            os.close(self._lock_file)
            raise

    async def _open_rest(self) -> None:
        self._journal = Journal(self._data / JOURNAL_FILE)
        try:
            self.engine = NameServerEngine(self.config, self.index, self._journal.read())
            self._reorganisations = self.index.status().reorganisations
            self.http = HttpServer(self.config, self._receive)
            self.metrics = Metrics(self)
            self._follower = ChainFollower(
                self._chain,
                self._registry,
                self.index,
                first_block=self._first_block,
                on_change=self._look_at_chain,
            )
            await self._look_first()
            await self.http.open(self._tls)
        except BaseException:
            self._journal.close()
            raise
        self.is_open = True
        self._start(self._follower.run())
        if self._registrar is not None:
            self._start(self._watch_balance(self._registrar.payer))
        self._look_at_chain()
        _log.info("= name server on %s, %d names", self.url, self.index.status().names)

    async def close(self) -> None:
        """Stop listening, let answers under way leave, and close. Harmless twice.

        What was promised and is not done stays in the journal.
        """
        if not self.is_open:
            return
        await self.http.close()
        self.is_open = False
        if self._timer is not None:
            self._timer.cancel()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await asyncio.to_thread(self._journal.close)
        self.index.close()
        os.close(self._lock_file)
        _log.info("= name server closed")

    @property
    def port(self) -> int:
        """The TCP port."""
        return self.http.port

    @property
    def url(self) -> str:
        """Where clients find the server, seen from its own machine if it is bound to all."""
        host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(self.config.host, self.config.host)  # noqa: S104
        shown = f"[{host}]" if ":" in host else host
        return f"{'https' if self._tls else 'http'}://{shown}:{self.port}"

    @property
    def payer(self) -> ChainAddress | None:
        """Whose account pays the fees; None of a mirror."""
        return None if self._registrar is None else self._registrar.payer

    # Requests

    def _receive(self, slot: Slot, request: Request) -> None:
        self._count += 1
        number = self._count
        try:
            effects = self.engine.receive(number, request, self._loop.time(), time.time())
        except (sqlite3.Error, NameStoreError) as error:
            _log.error("! the index fails: %s", error)
            slot.fill(answers.busy("the server's disk fails", answers.RETRY_CHAIN_AWAY))
            return
        if len(effects) == 1 and isinstance(effects[0], Reply):  # every lookup
            slot.fill(effects[0].response)
            return
        self._slots[number] = slot
        self._apply(effects)

    def _apply(self, effects: Iterable[Effect]) -> None:
        """Carry effects out in order; from the first that waits for the disk on, in a task."""
        effects = list(effects)
        for position, effect in enumerate(effects):
            if isinstance(effect, KeepIntent | DropIntent):
                self._start(self._apply_later(effects[position:]))
                break
            self._apply_one(effect)
        self._arm()

    async def _apply_later(self, effects: list[Effect]) -> None:
        for position, effect in enumerate(effects):
            if not isinstance(effect, KeepIntent | DropIntent):
                self._apply_one(effect)
                continue
            try:
                await self._journal.write(effect)
            except NameStoreError as error:
                _log.error("! %s", error)
                self._give_up(effects[position:])
                return

    def _apply_one(self, effect: Reply | ReplyPage | Reserve) -> None:
        match effect:
            case Reply(number, response):
                self._fill(number, response)
            case ReplyPage(number, page):
                self._fill(number, self._page(page))
            case Reserve(record):
                self._start(self._reserve(record))
            case _:
                assert_never(effect)

    def _give_up(self, effects: list[Effect]) -> None:
        """Answer truly where the disk failed: what was to be sent is not sent."""
        for effect in effects:
            match effect:
                case Reply() | ReplyPage():
                    self._apply_one(effect)
                case KeepIntent(intent):
                    self._apply(self.engine.registrations.not_kept(intent.record.name))
                case _:
                    pass

    def _fill(self, number: int, response: Response) -> None:
        slot = self._slots.pop(number, None)
        if slot is not None:
            slot.fill(response)

    def _page(self, page: str) -> Response:
        if page == "/metrics":
            return Response(HTTPStatus.OK, self.metrics.page(), CONTENT_TYPE)
        health = health_of(self)
        is_well = health["status"] == "ok"
        status = HTTPStatus.OK if is_well else HTTPStatus.SERVICE_UNAVAILABLE
        return Response(status, to_json(health))

    # The chain

    async def _look_first(self) -> None:
        """Read the chain, for some seconds: it may be away, and the index serves."""
        try:
            async with asyncio.timeout(FIRST_LOOK):
                await self._follower.catch_up()
        except (ChainError, TimeoutError) as error:
            _log.warning("! serving from the index: %s", str(error) or "the chain is slow")

    def _look_at_chain(self) -> None:
        """Tell the engine what changed."""
        if not self.is_open:
            return
        status, registrations = self.index.status(), self.engine.registrations
        now, wall_now = self._loop.time(), time.time()
        if status.reorganisations != self._reorganisations:
            self._reorganisations = status.reorganisations
            self._apply(registrations.reorganised(now, wall_now))
        if status.is_chain_up != self._is_chain_up:
            self._is_chain_up = status.is_chain_up
            if status.is_chain_up:
                self._apply(registrations.chain_up(now, wall_now))
            else:
                self._apply(registrations.chain_down(now))

    async def _reserve(self, record: NameRecord) -> None:
        """Bring a record to the chain and into the index, and say how it went."""
        assert self._registrar is not None, "read-only servers promise nothing"
        registrations, name, reason = self.engine.registrations, record.name, ""
        try:
            if not self._is_indexed(record):
                try:
                    await self._registrar.reserve(record)
                except RevertedError as error:
                    reason = error.reason or "no reason given"
                await self._follower.catch_up()
            if self._is_indexed(record):  # refused or not: an earlier attempt may have succeeded
                effects = registrations.reserved(name, self._loop.time(), time.time())
            elif reason:
                effects = registrations.refused(name, reason, self._loop.time(), time.time())
            else:  # in a block that went away again
                effects = registrations.delayed(name, "the chain is in flux", self._loop.time())
        except (ChainError, NamesError) as error:
            _log.warning("! %s is not registered yet: %s", name, error)
            effects = registrations.delayed(name, _excuse_of(error), self._loop.time())
        self._apply(effects)

    async def _watch_balance(self, payer: ChainAddress) -> None:
        """Know what is left for fees: operators have to fill it up in time."""
        while True:
            try:
                self.balance_wei = await self._chain.balance(payer)
            except ChainError:
                self.balance_wei = None
            await asyncio.sleep(BALANCE_INTERVAL)

    def _is_indexed(self, record: NameRecord) -> bool:
        found = self.index.find(record.name)
        return (
            found is not None
            and (found.account, found.owner) == (record.account, record.owner)
            and found.is_valid
        )

    # Time and tasks

    def _arm(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        deadline = self.engine.next_deadline()
        self._timer = None
        if deadline is not None and self.is_open:
            self._timer = self._loop.call_at(deadline, self._wake)

    def _wake(self) -> None:
        self._apply(self.engine.advance(self._loop.time()))

    def _start(self, work: Coroutine[Any, Any, None]) -> None:
        task = self._loop.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            _log.error("! a task of the name server failed", exc_info=error)

    def _lock(self) -> None:
        """Take the data folder for this process.

        Raises:
            NameStoreError: another one has it, or it cannot be made.
        """
        try:
            self._data.mkdir(parents=True, exist_ok=True, mode=0o700)
            self._lock_file = os.open(self._data / LOCK_FILE, os.O_RDWR | os.O_CREAT, 0o600)
        except OSError as error:
            raise NameStoreError(f"{self._data}: {error.strerror}") from error
        try:
            fcntl.flock(self._lock_file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            os.close(self._lock_file)
            raise NameStoreError(f"{self._data} is in use by another process") from error


def _excuse_of(error: Exception) -> str:
    """Return what clients are told: nothing about money and machines of the server."""
    if isinstance(error, OutOfFundsError):
        return "the server cannot pay the chain's fee at the moment"
    return CHAIN_AWAY


def tls_context(
    certificate: str | os.PathLike[str],
    private_key: str | os.PathLike[str],
    password: str | None = None,
) -> ssl.SSLContext:
    """Return what makes a server speak HTTPS: its certificate chain and its key, both PEM files.

    Raises:
        OSError: a file cannot be read; `ssl.SSLError`: they do not belong together.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.load_cert_chain(certificate, private_key, password)
    return context
