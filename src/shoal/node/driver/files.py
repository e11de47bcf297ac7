"""The files of one account at work: the transfer engine among channels, threads and disk."""

from __future__ import annotations

import asyncio
import itertools
import logging
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Protocol

from shoal.core import DecodeError
from shoal.core.driver import SystemEntropy
from shoal.identity.driver.files import read_file
from shoal.net.errors import NetError
from shoal.node.driver.offers import Offers
from shoal.node.driver.ordered import OrderedEffects
from shoal.node.driver.parts import PartDesk, PartReports
from shoal.node.driver.sources import find_sources, homes_of
from shoal.node.driver.tasks import TaskSet
from shoal.node.errors import NodeStoppedError
from shoal.node.events import (
    ConnectionOpened,
    ConversationEvent,
    FileLost,
    Lagged,
    PresenceChanged,
    TransferChanged,
)
from shoal.swarm import FileOffer
from shoal.swarm import effects as swarm_fx
from shoal.transfer import (
    HELD_FOLDER,
    RECORDS_SIZE_MAX,
    SCHEME,
    WANTED_NAME,
    FileRequest,
    HeldFile,
    TransferConfig,
    TransferEngine,
    parse_name,
    safe_name,
    unpack_held,
    unpack_wanted,
)
from shoal.transfer import effects as fx
from shoal.transfer.driver import check_copy, read_copy, remove_copy, take_stamp
from shoal.transfer.errors import FileChangedError, FileMissingError, TransferError

if TYPE_CHECKING:
    import os
    from collections.abc import Awaitable, Callable, Sequence

    from shoal.core import AccountId, CommitId, ConversationId, DeviceId
    from shoal.net.driver import Channel
    from shoal.node.config import FilesSettings
    from shoal.node.driver.account import Account
    from shoal.node.driver.bus import EventBus, Subscription
    from shoal.node.driver.conversations import Message
    from shoal.transfer import Transfer, WantedFile
    from shoal.transfer.effects import Effect

_log = logging.getLogger(__name__)

FOLDER: Final = "files"
THREADS_MAX: Final = 4  # ours: hashing and disks; more than the cores help nobody
PIECE: Final = 16 * 65_535  # bytes read at once: whole packets of the largest size
RESERVE: Final = 256 * 1024 * 1024  # bytes, ours: left free by files that nobody asked for
# Seconds between accepting a channel and closing it, ours. Jami handles the accept in a thread of
# its own: a close that overtakes it makes it forget the channel, and a file of few bytes with it.
SETTLE_TIME: Final = 0.5
CLOSE_PATIENCE: Final = 10.0  # seconds, ours: for what came last to be written
_TRANSFER_BITS: Final = 53  # Jami: ids of transfers fit into a double


class ProfileTaker(Protocol):
    """Who takes the channels of this scheme that carry profiles."""

    def accepts(self, account: AccountId, device: DeviceId, name: str) -> bool:
        """Whether a channel is taken."""

    async def serve(self, channel: Channel) -> None:
        """Take a channel, to its end."""


class Files(PartReports):
    """Runs the transfers of an account. `Transfers` is the public face.

    Attributes:
        profiles: who takes profiles, which come on channels of the same scheme.
        settings: what is fetched unasked, and where files go.
        offers: what messages say about files.
        engine: what decides.
    """

    def __init__(
        self, account: Account, folder: Path, bus: EventBus, settings: FilesSettings
    ) -> None:
        self.profiles: ProfileTaker | None = None
        self.settings = settings
        self.offers = Offers(self)
        self.engine: TransferEngine
        self._account = account
        self._folder = folder
        self._bus = bus
        self._loop = asyncio.get_running_loop()
        self._tasks = TaskSet()
        self._working = TaskSet()
        self._threads = ThreadPoolExecutor(THREADS_MAX, thread_name_prefix="shoal-files")
        self._effects = OrderedEffects(self._obey, account.vault.folder.apply, self._tasks)
        self._channels: dict[int, Channel] = {}
        self._fetching: dict[int, CommitId] = {}
        self._numbers = itertools.count(1)
        self._desks: dict[CommitId, PartDesk] = {}
        self._ended: dict[CommitId, list[asyncio.Future[Transfer]]] = {}
        self._unregister: Callable[[], None] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._is_closed = False

    # Life

    async def start(self, *, is_offline: bool = False) -> None:
        """Go on with what was wanted, and serve what we have; offline, only know what that is.

        Raises:
            DecodeError: a file of ours makes no sense.
            AccountFileError: one cannot be read.
        """
        wanted, held = await asyncio.to_thread(self._read_records)
        config = TransferConfig(accept_max=self.settings.accept_max)
        self.engine = TransferEngine(self._account.device_id, config, wanted=wanted, held=held)
        if is_offline:
            return
        self._unregister = self._account.on_channel(SCHEME, self._serve, accept=self._accepts)
        self._tasks.start(self._follow(self._bus.subscribe()))
        for conversation in self._account.talking.engine.sessions:
            self.offers.ready(conversation)
        self.run(self.engine.start)

    async def close(self) -> None:
        """Stop; what is here of files that are coming stays."""
        if self._is_closed:
            return
        self._is_closed = True
        if self._unregister is not None:
            self._unregister()
        if self._timer is not None:
            self._timer.cancel()
        for channel in list(self._channels.values()):
            channel.close()
        await self._effects.drained()
        for desk in self._desks.values():
            desk.order(fx.ClosePart(desk.commit))
        await self._working.close(CLOSE_PATIENCE)
        await self._tasks.close()
        await asyncio.to_thread(self._threads.shutdown)
        for waiters in self._ended.values():
            for waiter in waiters:
                if not waiter.done():
                    waiter.set_exception(NodeStoppedError())

    # For `Transfers` and conversations

    @property
    def account(self) -> Account:
        """Whose files they are."""
        return self._account

    @property
    def now(self) -> float:
        """The time, as the engine has it."""
        return self._loop.time()

    def run(self, command: Callable[[float], Sequence[Effect]]) -> None:
        """Give the engine something, and carry out what follows."""
        self._apply(command(self._loop.time()))

    async def kept(self) -> None:
        """Return once what was commanded is on disk."""
        await self._effects.drained()

    async def in_thread(self, job: Callable[[], Any]) -> Any:
        """Run a job that reads or writes files."""
        if self._is_closed:
            raise NodeStoppedError
        return await self._loop.run_in_executor(self._threads, job)

    def folder_of(self, conversation: ConversationId) -> Path:
        """Return where files of a conversation go unless somebody says otherwise."""
        if self.settings.folder:
            return absolute(self.settings.folder)
        return self._folder / FOLDER / str(conversation)

    async def send(
        self,
        conversation: ConversationId,
        path: Path,
        say: Callable[[FileOffer], Awaitable[Message]],
        *,
        name: str = "",
        reply_to: CommitId | None = None,
        tell: Callable[[int], None] | None = None,
    ) -> Message:
        """Offer a file in a conversation by *say*; it is served from where it is.

        Raises:
            FileMissingError: it is not there.
            FolderError: it cannot be read.
            SwarmError: nothing can be said there.
        """
        path = absolute(path)
        stamp, sha3 = await self.in_thread(partial(take_stamp, path, tell))
        transfer_id = str(SystemEntropy().below(2**_TRANSFER_BITS))
        held = HeldFile(conversation, None, transfer_id, str(path), sha3, stamp)
        self._apply(self.engine.hold(held))  # first: whoever sees the message may ask at once
        await self.kept()
        offer = FileOffer(transfer_id, safe_name(name or path.name), stamp.size, sha3, reply_to)
        try:
            message = await say(offer)
        except BaseException:
            self._apply(self.engine.serving.let_go(held))
            raise
        self._apply(self.engine.offered(held, message.id))
        await self.kept()
        return message

    async def held(self, conversation: ConversationId, commit: CommitId) -> HeldFile | None:
        """Return the file of a message, if it is here and what was offered."""
        held = self.engine.serving.find(conversation, commit)
        if held is None:
            return None
        try:
            found: HeldFile = await self.in_thread(partial(check_copy, held))
        except (FileMissingError, FileChangedError):
            self._apply(self.engine.serving.let_go(held))
            return None
        return found

    async def wait(self, commit: CommitId) -> Transfer:
        """Return once a download is over, or paused.

        Raises:
            NoSuchTransferError: there is none.
            NodeStoppedError: the node stops before that.
        """
        transfer = self.engine.transfer(commit, self.now)
        if transfer.is_over or transfer.state is fx.TransferState.PAUSED:
            return transfer
        if self._is_closed:
            raise NodeStoppedError
        waiter: asyncio.Future[Transfer] = self._loop.create_future()
        waiters = self._ended.setdefault(commit, [])
        waiters.append(waiter)
        try:
            return await waiter
        finally:
            if commit in self._ended:
                waiters.remove(waiter)

    # Effects

    def _apply(self, effects: Sequence[Effect]) -> None:
        if effects:
            self._effects.apply(effects)
        self._arm()

    def _arm(self) -> None:
        """Wake up in time; a timer that is early is left, since waking early is harmless."""
        deadline = self.engine.next_deadline()
        if deadline is None or self._is_closed:
            return
        if self._timer is not None:
            if self._timer.when() <= deadline:
                return
            self._timer.cancel()
        self._timer = self._loop.call_at(deadline, self._wake)

    def _wake(self) -> None:
        self._timer = None
        self.run(self.engine.advance)

    def _obey(self, effect: object) -> None:
        match effect:
            case fx.WritePart(commit) | fx.ResetPart(commit) | fx.CheckPart(commit):
                if (desk := self._desks.get(commit)) is not None:
                    desk.order(effect)
            case fx.OpenPart(commit) | fx.RemovePart(commit):
                self._desk(commit).order(effect)
            case fx.ClosePart(commit):
                if (desk := self._desks.get(commit)) is not None:
                    desk.order(effect)
            case fx.RemoveCopy(held):
                self._threads.submit(remove_copy, held)
            case fx.TransferChanged(transfer):
                self._told(transfer)
            case fx.FileLost(conversation, commit, error):
                _log.warning("! a file can no longer be served: %s", error)
                self._bus.publish(FileLost(self._account.id, conversation, commit, str(error)))
            case _:
                if not self._is_closed:
                    self._obey_outside(effect)

    def _obey_outside(self, effect: object) -> None:
        match effect:
            case fx.FindSources(commit, conversation):
                self._tasks.start(self._find(commit, conversation))
            case fx.OpenChannel(op, device, name):
                self._tasks.start(self._open(op, device, name))
            case fx.CloseChannel(number):
                if (channel := self._channels.get(number)) is not None:
                    channel.close()
            case fx.CheckHeld(number, held, request):
                self._tasks.start(self._check(number, held, request))
            case fx.StreamFile(number, held, start, end):
                self._tasks.start(self._stream(number, held, start, end))
            case _:
                raise AssertionError(effect)

    def _told(self, transfer: Transfer) -> None:
        self._bus.publish(TransferChanged(self._account.id, transfer))
        is_still = transfer.is_over or transfer.state is fx.TransferState.PAUSED
        if is_still and transfer.direction is fx.Direction.DOWN:
            for waiter in self._ended.pop(transfer.id, ()):
                if not waiter.done():
                    waiter.set_result(transfer)

    async def _find(self, commit: CommitId, conversation: ConversationId) -> None:
        devices = await find_sources(self._account, conversation, commit)
        self.run(lambda now: self.engine.sources_found(commit, devices, now))

    # Parts

    def _desk(self, commit: CommitId) -> PartDesk:
        desk = self._desks.get(commit)
        if desk is None:
            desk = self._desks[commit] = PartDesk(
                commit,
                self._threads,
                self,
                own_folder=self._folder,
                reserve=_reserve,
            )
            self._working.start(self._work(desk))
        return desk

    async def _work(self, desk: PartDesk) -> None:
        await asyncio.sleep(0)  # for its first order
        try:
            await desk.run()
        finally:
            if self._desks.get(desk.commit) is desk:
                del self._desks[desk.commit]

    def part_opened(self, commit: CommitId, size: int) -> None:
        """Tell the engine."""
        self.run(lambda now: self.engine.part_opened(commit, size, now))

    def part_failed(self, commit: CommitId, error: TransferError) -> None:
        """Tell the engine."""
        self.run(lambda now: self.engine.part_failed(commit, error, now))

    def part_wrong(self, commit: CommitId) -> None:
        """Tell the engine."""
        self.run(lambda now: self.engine.part_wrong(commit, now))

    def part_checked(self, commit: CommitId, held: HeldFile) -> None:
        """Tell the engine."""
        self.run(lambda now: self.engine.part_checked(commit, held, now))

    # Fetching

    async def _open(self, op: int, device: DeviceId, name: str) -> None:
        try:
            channel = await self._account.connect(device, name, connection_type="")
        except Exception as error:  # noqa: BLE001 - no chain, no answer, …: it is not reachable
            _log.info("x %s: %s", SCHEME, error)
            self.run(lambda now: self.engine.open_failed(op, now))
            return
        number = self._adopt(channel)
        request = parse_name(name)
        assert isinstance(request, FileRequest), "that is what we have asked for"
        try:
            self.run(lambda now: self.engine.channel_opened(op, number, now))
            await self._pump(number, channel, request.file.commit)
        except NetError as error:
            _log.info("x %s: %s", SCHEME, error)
        finally:
            self._drop(number)

    async def _pump(self, number: int, channel: Channel, commit: CommitId) -> None:
        engine, clock = self.engine, self._loop.time
        async for packet in channel:
            effects = engine.receive(number, packet, clock())
            if len(effects) > 1:
                self._apply(effects)
            else:  # most packets: nothing is due any sooner
                self._effects.apply(effects)
            if (desk := self._desks.get(commit)) is not None and desk.is_full:
                await desk.room()

    def _adopt(self, channel: Channel) -> int:
        number = next(self._numbers)
        self._channels[number] = channel
        return number

    def _drop(self, number: int) -> None:
        self._channels.pop(number).close()
        if not self._is_closed:
            self.run(lambda now: self.engine.channel_closed(number, now))

    # Serving

    def _accepts(self, account: AccountId, device: DeviceId, name: str) -> bool:
        try:
            request = parse_name(name)
        except DecodeError:
            return False
        if not isinstance(request, FileRequest):
            return self.profiles is not None and self.profiles.accepts(account, device, name)
        session = self._account.talking.engine.sessions.get(request.conversation)
        if session is None or not session.may_fetch(account):
            return False
        return self.engine.accepts(device, request)

    async def _serve(self, channel: Channel) -> None:
        """Take a channel that a peer opened, to its end."""
        request = parse_name(channel.name)
        if not isinstance(request, FileRequest):
            if self.profiles is not None:
                await self.profiles.serve(channel)
            return
        number, device = self._adopt(channel), channel.peer.device
        try:
            self.run(lambda now: self.engine.accepted(number, device, request, now))
            await channel.wait_closed()
        finally:
            self._drop(number)

    async def _check(self, number: int, held: HeldFile, request: FileRequest) -> None:
        """See that a commit offers a file, and that it is there."""
        try:
            offer = await self.offers.read(request.conversation, request.file.commit)
            if offer.transfer_id != held.transfer_id or offer.sha3_512 != held.sha3_512:
                raise FileChangedError(held.path, "the message offers another one")
            checked: HeldFile = await self.in_thread(partial(check_copy, held))
        except TransferError as error:
            failure = error
            self.run(lambda now: self.engine.serving.held_failed(number, failure, now))
            return
        found = replace(checked, commit=request.file.commit)
        self.run(lambda now: self.engine.serving.held_checked(number, found, now))

    async def _stream(self, number: int, held: HeldFile, start: int, end: int) -> None:
        """Write a file to a channel: one piece is read while the one before is being sent."""
        channel = self._channels.get(number)
        if channel is None:
            return
        settled = self.now + SETTLE_TIME
        pieces = read_copy(Path(held.path), start, end, PIECE)
        reading = self._loop.run_in_executor(self._threads, next, pieces, None)
        try:
            while (piece := await reading) is not None:
                reading = self._loop.run_in_executor(self._threads, next, pieces, None)
                channel.write(piece)
                await channel.drain()
                size = len(piece)
                self.run(partial(self.engine.serving.streamed, number, size))
        except NetError as error:
            _log.info("x %s: %s", SCHEME, error)
        except TransferError as error:
            _log.warning("! a file cannot be read on: %s", error)
        finally:
            with suppress(TransferError):
                await reading
            self._threads.submit(pieces.close)
        with suppress(TimeoutError):
            async with asyncio.timeout_at(settled):
                await channel.wait_closed()  # as soon as all is there, where the peer is ours
        channel.close()

    # What happens elsewhere

    async def _follow(self, subscription: Subscription) -> None:
        """Hear of offers, of deletions, and of devices that come online."""
        own = self._account.id
        with subscription as events:
            async for numbered in events:
                if isinstance(numbered, Lagged):
                    self._look_who_is_there()
                    await self.offers.catch_up()
                    continue
                match numbered.event:
                    case PresenceChanged(account, peer, _, devices) if account == own:
                        self._appeared(peer, devices)
                    case ConnectionOpened(account, peer, device) if account == own:
                        self._appeared(peer, (device,))
                    case ConversationEvent(account, event) if account == own:
                        self._heard(event)
                    case _:
                        pass

    def _heard(self, event: object) -> None:
        match event:
            case swarm_fx.MessagesArrived(conversation, messages):
                self.offers.take(conversation, messages)
            case swarm_fx.ConversationReady(conversation):
                self.offers.ready(conversation)
            case swarm_fx.ConversationGone(conversation):
                self.offers.gone(conversation)
            case _:
                pass

    def _appeared(self, peer: AccountId, devices: Sequence[DeviceId]) -> None:
        wanted = homes_of(self._account, peer, self.engine.conversations())
        for device in devices if wanted else ():
            self.run(partial(self.engine.appeared, device, wanted))

    def _look_who_is_there(self) -> None:
        """Look at who is online: events were lost."""
        engine = self._account.runtime.engine
        for conversation in self.engine.conversations():
            session = self._account.talking.engine.sessions.get(conversation)
            members = () if session is None or session.view is None else session.view.members
            for member in members:
                devices = engine.presences.announced(member)
                self._appeared(member, [each.device for each in devices if each.device])

    # Records

    def _read_records(self) -> tuple[list[WantedFile], list[HeldFile]]:
        wanted = read_file(self._folder / WANTED_NAME, RECORDS_SIZE_MAX) or b""
        held: list[HeldFile] = []
        folder = self._folder / HELD_FOLDER
        for path in sorted(folder.iterdir()) if folder.is_dir() else ():
            if not path.name.startswith("."):
                held += unpack_held(read_file(path, RECORDS_SIZE_MAX) or b"")
        return unpack_wanted(wanted), held


def absolute(path: str | os.PathLike[str]) -> Path:
    """Return a path that a user gave as one that holds wherever the node is."""
    return Path(path).expanduser().absolute()


def _reserve(wanted: WantedFile) -> int:
    """Return how much of the disk a file leaves free: all, if somebody asked for it."""
    return RESERVE if wanted.is_automatic else 0
