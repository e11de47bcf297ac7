"""The conversations of one account at work: the swarm engine among channels, threads and files."""

from __future__ import annotations

import asyncio
import itertools
import logging
import re
import time
from functools import partial
from typing import TYPE_CHECKING, Any, Final, TypeVar

from shoal.core import ConversationId, DecodeError, ShoalError
from shoal.core.driver import SystemEntropy
from shoal.identity.driver.files import delete_folder, read_file, sweep
from shoal.net.errors import ChannelDeclinedError, NetError
from shoal.node.driver.ordered import OrderedEffects
from shoal.node.driver.refusals import RefusalLog
from shoal.node.driver.states import read_states
from shoal.node.driver.tasks import TaskSet
from shoal.node.errors import NodeStoppedError
from shoal.node.events import (
    ContactChanged,
    ConversationEvent,
    InstantMessageReceived,
    Lagged,
    PresenceChanged,
    SyncReceived,
)
from shoal.swarm import (
    INFOS_NAME,
    RECORDS_SIZE_MAX,
    REQUESTS_NAME,
    Conversation,
    Self,
    SwarmEngine,
    pack_infos,
    pack_requests,
    unpack_all_marks,
    unpack_all_preferences,
    unpack_infos,
    unpack_requests,
)
from shoal.swarm import effects as fx
from shoal.swarm.driver import (
    ConversationJobs,
    DiskStore,
    FirstStore,
    Index,
    IndexLedger,
    is_untidy,
    tidy,
)
from shoal.swarm.errors import (
    ConversationDamagedError,
    NoSuchConversationError,
    SwarmFaultError,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path

    from shoal.core import AccountId, DeviceId
    from shoal.net.driver import Channel
    from shoal.node.driver.account import Account
    from shoal.node.driver.bus import EventBus
    from shoal.swarm import GitStore
    from shoal.swarm.effects import Effect

_log = logging.getLogger(__name__)

K = TypeVar("K")
V = TypeVar("V")

FOLDER: Final = "conversations"
INDEX: Final = "index.sqlite"
_PREFIXES: Final = ("git://", "swarm://", "msg:", "sip")
UNREAD_MAX: Final = 4_096  # ours: what waits for one channel, packets and whole packs
_CONVERSATION: Final = re.compile(r"^git://[0-9a-f]{64}/([0-9a-f]{40})$")
_FETCHED: Final = (fx.ConversationReady, fx.MessagesRefused, fx.FetchEnded)
_SETTLED: Final = (fx.ConversationReady, fx.ConversationDamaged, fx.ConversationGone)
_EMPTY: Final = b"\x80"
_SHARED: Final = (
    *(fx.ConversationReady, fx.ConversationGone, fx.RequestArrived, fx.RequestGone),
)  # what our other devices are told


class Talking:
    """Runs the conversations of an account. Used by `Conversations`, which is the public face."""

    def __init__(self, account: Account, folder: Path, bus: EventBus) -> None:
        self._account = account
        self._runtime = account.runtime
        self._folder = folder
        self._bus = bus
        self._loop = asyncio.get_running_loop()
        self._tasks = TaskSet()
        self._jobs = ConversationJobs()
        self._stores: dict[ConversationId, DiskStore] = {}
        self.index = Index(folder / INDEX)
        self._effects = OrderedEffects(self._obey, account.vault.folder.apply, self._tasks)
        self._channels: dict[int, _Writer] = {}
        self._numbers = itertools.count(1)
        self._ops = itertools.count(1)
        self._answers: dict[int, asyncio.Future[object]] = {}
        self._ready: dict[ConversationId, asyncio.Event] = {}
        self._refusals = RefusalLog()
        self._watched: frozenset[AccountId] = frozenset()
        self._unregister: list[Callable[[], None]] = []
        self._timer: asyncio.TimerHandle | None = None
        self._is_closed = False
        self.engine: SwarmEngine

    # Life

    async def start(self) -> None:
        """Open the conversations on disk, and take channels.

        Raises:
            DecodeError: a file of ours makes no sense.
            AccountFileError: one cannot be read.
        """
        infos, requests = await asyncio.to_thread(self._read_records)
        self.engine = SwarmEngine(
            Self(self._runtime.identity, self._account.name),
            SystemEntropy(),
            self._open_store,
            wall_offset=time.time() - self._loop.time(),
            infos=unpack_infos(infos),
            requests=unpack_requests(requests),
            stored=await asyncio.to_thread(read_states, self._folder),
            erase_store=self._erase_store,
        )
        self._runtime.engine.more_to_share = self._states
        self._runtime.engine.is_fellow = self.engine.is_fellow
        for prefix in _PREFIXES:
            self._unregister.append(
                self._account.on_channel(prefix, self._serve, accept=self.engine.accepts)
            )
        self._tasks.start(self._follow())
        self.run(self.engine.start)
        self._share()

    async def close(self) -> None:
        """Let what was begun end, and let the files go."""
        if self._is_closed:
            return
        self.run(self.engine.stop)
        self._is_closed = True
        for unregister in self._unregister:
            unregister()
        if self._timer is not None:
            self._timer.cancel()
        for channel in list(self._channels.values()):
            channel.close()
        await self._effects.drained()
        await self._jobs.close()
        await self._tasks.close()
        for answer in self._answers.values():
            if not answer.done():
                answer.set_exception(NodeStoppedError())
        for ready in self._ready.values():
            ready.set()
        for store in self._stores.values():
            store.close()
        self.index.close()

    # For `Conversations`

    @property
    def account(self) -> Account:
        """Whose conversations they are."""
        return self._account

    @property
    def own(self) -> AccountId:
        """Whose conversations they are."""
        return self._account.id

    def run(self, command: Callable[[float], Sequence[Effect]]) -> None:
        """Give the engine something, and carry out what follows."""
        self._apply(command(self._now()))

    async def ask(self, command: Callable[[int, float], Sequence[Effect]]) -> Any:
        """Give a command, and return what it gives.

        Raises:
            SwarmError: it failed.
            NodeStoppedError: the node was stopped before it ended.
        """
        if self._is_closed:
            raise NodeStoppedError
        op = next(self._ops)
        answer: asyncio.Future[object] = self._loop.create_future()
        self._answers[op] = answer
        try:
            self._apply(command(op, self._now()))
            return await answer
        finally:
            del self._answers[op]

    async def wait_ready(self, conversation: ConversationId) -> None:
        """Return once a conversation that we are in is here: opened, or cloned.

        Raises:
            NoSuchConversationError: we are in none with this id.
            ConversationDamagedError: it cannot be opened, and was not fetched again yet.
            NodeStoppedError: the node was stopped before it was here.
        """
        while True:
            if self._is_closed:
                raise NodeStoppedError
            if not self.engine.book.is_in(conversation):
                raise NoSuchConversationError
            session = self.engine.sessions.get(conversation)
            if session is not None and session.is_ready:
                return
            if (reason := self.engine.damage(conversation)) is not None:
                raise ConversationDamagedError(reason)
            await self._ready.setdefault(conversation, asyncio.Event()).wait()

    async def history(self, conversation: ConversationId) -> Conversation:
        """Return the history of a conversation that we are in, once it is here; `read` it.

        Raises:
            NoSuchConversationError: we are in none with this id.
        """
        await self.wait_ready(conversation)
        session = self.engine.sessions.get(conversation)
        if session is None or session.conversation is None:
            raise NoSuchConversationError  # it has gone since
        return session.conversation

    async def read(self, conversation: ConversationId, question: Callable[[], object]) -> Any:
        """Look something up in a conversation's thread."""
        if self._is_closed:
            raise NodeStoppedError
        return await self._jobs.submit(conversation, question)

    def ledger(self, conversation: ConversationId) -> IndexLedger:
        """Return what the index has of a conversation that is ready."""
        ledger = self._stores[conversation].ledger
        assert isinstance(ledger, IndexLedger), "each store that is placed has one"
        return ledger

    async def _tidy(self, conversation: ConversationId) -> None:
        """Keep a repository small, while nothing is being fetched into it."""
        session, store = self.engine.sessions.get(conversation), self._stores.get(conversation)
        if session is None or store is None or session.is_fetching or self._is_closed:
            return
        history = session.conversation

        def job() -> None:
            if history is not None and is_untidy(store):
                tidy(history, store)

        await self._jobs.submit(conversation, job)

    # Effects

    def _now(self) -> float:
        """The engine's time; whoever set the clock, or slept, changes the time of day."""
        now = self._loop.time()
        self.engine.wall_offset = time.time() - now
        return now

    def _apply(self, effects: Sequence[Effect]) -> None:
        if effects:
            self._effects.apply(effects)
        self._arm()

    def _arm(self) -> None:
        deadline = self.engine.next_deadline()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if deadline is not None and not self._is_closed:
            self._timer = self._loop.call_at(deadline, self._wake)

    def _wake(self) -> None:
        self._timer = None
        self.run(self.engine.advance)

    def _obey(self, effect: object) -> None:  # noqa: C901, PLR0912 - one arm per effect
        match effect:
            case fx.Work(op, conversation, job):
                if not self._is_closed:
                    self._tasks.start(self._work(op, conversation, job))
            case fx.OpenChannel(op, device, name):
                self._tasks.start(self._open(op, device, name))
            case fx.WriteChannel(number, data):
                self._write(number, data)
            case fx.StreamChannel(number, conversation, pieces):
                self._write(number, _Stream(conversation, pieces))
            case fx.CloseChannel(number):
                self._write(number, None)
            case fx.FindDevices(op, account):
                self._tasks.start(self._find(op, account))
            case fx.Watch(accounts):
                self._watch(accounts)
            case fx.TellOwnDevices(preferences, statuses):
                self._runtime.command(partial(self._tell_devices, preferences, statuses))
            case fx.Done(op, result):
                if (answer := self._answers.get(op)) is not None and not answer.done():
                    answer.set_result(result)
            case fx.Failed(op, error):
                if isinstance(error, SwarmFaultError):
                    _log.error("! a command: %s", error, exc_info=error.__cause__)
                if (answer := self._answers.get(op)) is not None and not answer.done():
                    answer.set_exception(error)
            case _:
                if isinstance(effect, _SHARED):
                    self._share()
                if isinstance(effect, fx.MessagesRefused | fx.FetchEnded):
                    self._refusals.tell(effect)
                if isinstance(effect, _FETCHED):
                    self._tasks.start(self._tidy(effect.conversation))
                if isinstance(effect, fx.ConversationDamaged):
                    _log.error("! %s cannot be opened: %s", effect.conversation, effect.reason)
                if isinstance(effect, _SETTLED):
                    self._ready.pop(effect.conversation, asyncio.Event()).set()
                if not self._is_left(effect):
                    self._bus.publish(ConversationEvent(self._account.id, effect))

    def _is_left(self, event: object) -> bool:
        """Whether an event is about what is said in a conversation that we are out of."""
        if isinstance(event, fx.ConversationGone | fx.RequestArrived | fx.RequestGone):
            return False
        conversation = getattr(event, "conversation", None)
        info = None if conversation is None else self.engine.book.infos.get(conversation)
        return info is not None and info.is_removed

    async def _work(self, op: int, conversation: ConversationId, job: Callable[[], object]) -> None:
        try:
            result = await self._jobs.submit(conversation, job)
        except Exception as error:  # noqa: BLE001 - whatever it was, who asked has to hear it
            self.run(partial(self.engine.work_failed, op, error))
            return
        try:
            self.run(partial(self.engine.worked, op, result))
        except Exception as error:  # a fault of ours: who asked is not to wait for ever
            self.run(partial(self.engine.work_failed, op, error))
            raise

    async def _open(self, op: int, device: DeviceId, name: str) -> None:
        try:
            channel = await self._account.connect(device, name, connection_type="")
        except Exception as error:  # noqa: BLE001 - no chain, no answer, …: it is not reachable
            _log.info("x %s: %s", name[:10], error)
            was_declined = isinstance(getattr(error, "cause", error), ChannelDeclinedError)
            self.run(lambda now: self.engine.open_failed(op, now, was_declined=was_declined))
            return
        number = self._adopt(channel)
        self.run(lambda now: self.engine.channel_opened(op, number, now))
        await self._pump(number, channel)

    async def _find(self, op: int, account: AccountId) -> None:
        known = {each.device for each in self._runtime.engine.presences.announced(account)}
        devices = [device for device in known if device is not None]
        if not devices:
            try:
                devices = list(await self._account.find_devices(account))
            except Exception as error:  # noqa: BLE001 - who waits hears that nobody is there
                is_fault = not isinstance(error, ShoalError)
                _log.warning("x devices of %s: %s", account, error, exc_info=is_fault)
        others = [device for device in devices if device != self._account.device_id]
        self.run(lambda now: self.engine.devices_found(op, others, now))

    # Channels

    async def _serve(self, channel: Channel) -> None:
        """Take a channel that a peer opened, to its end."""
        number, peer = self._adopt(channel), channel.peer
        self.run(
            lambda now: self.engine.channel_accepted(
                number, peer.account, peer.device, channel.name, now
            )
        )
        await self._pump(number, channel)

    def _adopt(self, channel: Channel) -> int:
        number = next(self._numbers)
        self._channels[number] = _Writer(channel, self._jobs)
        self._tasks.start(self._channels[number].run())
        return number

    async def _pump(self, number: int, channel: Channel) -> None:
        named = _CONVERSATION.search(channel.name)
        conversation = None if named is None else ConversationId.from_hex(named[1])
        try:
            async for packet in channel:
                self.run(partial(self.engine.receive, number, packet))
                if conversation is not None:
                    await self._jobs.calm(conversation)
        except NetError as error:
            _log.info("x %s: %s", channel.name[:10], error)
        finally:
            channel.close()
            self._channels.pop(number).close()
            if not self._is_closed:
                self.run(lambda now: self.engine.channel_closed(number, now))

    def _write(self, number: int, item: bytes | _Stream | None) -> None:
        if (writer := self._channels.get(number)) is not None:
            writer.put(item)

    # Presence and contacts

    def _watch(self, accounts: frozenset[AccountId]) -> None:
        presences, book = self._runtime.engine.presences, self._runtime.engine.book
        for account in accounts - self._watched:
            self._runtime.command(partial(_without_time, presences.watch, account))
            self._tell_presence(account)
        for account in self._watched - accounts:
            record = book.contacts.get(account)
            if record is None or not record.is_active:
                self._runtime.command(partial(_without_time, presences.unwatch, account))
        self._watched = accounts
        self._tell_presence(self._account.id)

    def _tell_presence(self, account: AccountId) -> None:
        announced = self._runtime.engine.presences.announced(account)
        devices = [each.device for each in announced if each.device is not None]
        self.run(lambda now: self.engine.presence(account, devices, now))

    async def _follow(self) -> None:
        """Tell the engine who comes and goes, and clone what contacts share with us."""
        with self._bus.subscribe() as events:
            async for numbered in events:
                if isinstance(numbered, Lagged):
                    for account in (*self._watched, self._account.id):
                        self._tell_presence(account)
                    self._clone_missing()
                    continue
                match numbered.event:
                    case PresenceChanged(account, peer) if account == self._account.id:
                        if peer in self._watched or peer == account:
                            self._tell_presence(peer)
                    case SyncReceived(account, _, parts) if account == self._account.id:
                        self._synced(parts)
                    case InstantMessageReceived(account, peer, device, mime, text):
                        if account == self._account.id:
                            self.run(partial(self.engine.message, peer, device, mime, text))
                    case ContactChanged(account) if account == self._account.id:
                        self._clone_missing()
                    case _:
                        pass

    def _clone_missing(self) -> None:
        """Clone the conversations that contacts name and that we do not have."""
        for peer, record in self._runtime.engine.book.contacts.items():
            if not record.is_active or not record.conversation_id:
                continue
            identifier = ConversationId.from_hex(record.conversation_id)
            if identifier not in self.engine.book.infos:
                self.run(partial(self.engine.clone, next(self._ops), identifier, peer))

    def _share(self) -> None:
        """Let our other devices know what we are in, and what we are invited to."""
        infos, requests = self.engine.shared_records()
        packed = pack_infos(infos), pack_requests(requests)
        self._runtime.command(partial(self._share_packed, *packed))

    def _states(self) -> tuple[bytes, bytes]:
        told = self.engine.shared_states()
        return told.preferences, told.statuses

    def _share_packed(self, infos: bytes, requests: bytes, now: float) -> Sequence[object]:
        self._runtime.engine.share(infos, requests, now)
        return ()

    def _tell_devices(self, preferences: bytes, statuses: bytes, now: float) -> Sequence[object]:
        self._runtime.engine.tell_devices(preferences, statuses, now)
        return ()

    def _synced(self, parts: tuple[object, ...]) -> None:
        """Take what another device of ours tells; a part that makes no sense is passed over."""
        packed = [part if isinstance(part, bytes) else _EMPTY for part in parts]
        self.run(
            partial(
                self.engine.synced,
                _unpacked(unpack_infos, packed[0]).values(),
                _unpacked(unpack_requests, packed[1]).values(),
                preferences=_unpacked(unpack_all_preferences, packed[2]),
                marks=_unpacked(unpack_all_marks, packed[3]),
            )
        )

    # Files

    def _read_records(self) -> tuple[bytes, bytes]:
        sweep(self._folder / FOLDER)  # what was being deleted
        found = [
            read_file(self._folder / name, RECORDS_SIZE_MAX) or _EMPTY
            for name in (INFOS_NAME, REQUESTS_NAME)
        ]
        return found[0], found[1]

    def _open_store(self, identifier: ConversationId | None) -> GitStore:
        """Open a repository; runs in a thread, one per conversation at a time."""
        if identifier is None:
            return FirstStore(self._place)
        return self._place(identifier)

    def _erase_store(self, identifier: ConversationId) -> None:
        """Delete a repository; runs in its thread."""
        store = self._stores.pop(identifier, None)
        if store is not None:
            store.close()
        path = self._folder / FOLDER / str(identifier)
        if path.exists():
            delete_folder(path)
        self.index.erase(identifier)

    def _place(self, identifier: ConversationId) -> DiskStore:
        store = self._stores.get(identifier)
        if store is None:
            store = DiskStore(self._folder / FOLDER / str(identifier))
            me = Self(self._runtime.identity, self._account.name)
            rebuild = partial(Conversation.load, store, me)
            store.ledger = IndexLedger(self.index, identifier, store, rebuild)
            self._stores[identifier] = store
        return store


def _without_time(
    command: Callable[[AccountId], Sequence[object]], account: AccountId, now: float
) -> Sequence[object]:
    return command(account)


def _unpacked(unpack: Callable[[bytes], Mapping[K, V]], data: bytes) -> Mapping[K, V]:
    try:
        return unpack(data)
    except DecodeError as error:
        _log.warning("! from another device of ours: %s", error)
        return {}


class _Stream:
    """Pieces to be written one after the other, pulled in a conversation's thread."""

    def __init__(self, conversation: ConversationId, pieces: Iterator[bytes]) -> None:
        self.conversation = conversation
        self.pieces = pieces


class _Writer:
    """Writes to one channel in order, and waits while it is full."""

    def __init__(self, channel: Channel, jobs: ConversationJobs) -> None:
        self.queue: asyncio.Queue[bytes | _Stream | None] = asyncio.Queue()
        self._channel = channel
        self._jobs = jobs

    def put(self, item: bytes | _Stream | None) -> None:
        """Write *item* after what waits; who reads nothing of so much is let go."""
        if item is None or self.queue.qsize() < UNREAD_MAX:
            self.queue.put_nowait(item)
        else:
            self._channel.close()

    async def run(self) -> None:
        """Write what comes, until it is to be closed or the channel is gone."""
        try:
            while (item := await self.queue.get()) is not None:
                if isinstance(item, bytes):
                    await self._put(item)
                    continue
                pull = partial(next, item.pieces, None)
                while (piece := await self._jobs.submit(item.conversation, pull)) is not None:
                    assert isinstance(piece, bytes)
                    await self._put(piece)
        except NetError as error:
            _log.info("x %s: %s", self._channel.name[:10], error)
        self._channel.close()

    async def _put(self, data: bytes) -> None:
        self._channel.write(data)
        await self._channel.drain()

    def close(self) -> None:
        """Write no more."""
        self.queue.put_nowait(None)
