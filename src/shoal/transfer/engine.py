"""All files of an account's conversations on one device: fetched, and served.

Theory of operation. The host tells which devices are online, opens channels, and keeps files; all
of it is asked for by effects, which it carries out in order. A file is named by the message that
offers it. Files that are wanted and files that can be served survive in `Persist` records; what is
here of a file that is still coming is on disk, so that an interrupted download goes on from there.

Source: Jami's data_transfer.cpp, conversation.cpp (downloadFile, onFileChannelRequest).
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

from shoal.core import Persist
from shoal.core.records import dataclass
from shoal.transfer.channel_wire import is_sha3
from shoal.transfer.config import TransferConfig
from shoal.transfer.download import Download
from shoal.transfer.effects import CloseChannel, RemoveCopy
from shoal.transfer.errors import (
    InvalidOfferError,
    NoSuchTransferError,
    TooManyTransfersError,
    TransferError,
)
from shoal.transfer.records import WANTED_NAME, pack_wanted
from shoal.transfer.serving import Serving

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from shoal.core import CommitId, ConversationId, DeviceId
    from shoal.transfer.channel_wire import FileRequest
    from shoal.transfer.effects import Effect, Transfer
    from shoal.transfer.records import HeldFile, WantedFile

PAST_MAX: Final = 256  # ours: transfers that are over and can still be listed


@dataclass(slots=True)
class TransferStats:
    """Counters; each field says what one increment means."""

    begun: int = 0  # a file was wanted
    fetched: int = 0  # a file came whole
    passed_over: int = 0  # a file that nobody asked for made no sense, or too many waited
    wrong: int = 0  # what came was not what was offered
    bytes_received: int = 0  # a byte came on a channel of a download


class TransferEngine:
    """Downloads, and what is served.

    Args:
        own_device: this device.
        config: limits and times.
        wanted: what earlier runs wanted.
        held: what they had.
    """

    def __init__(
        self,
        own_device: DeviceId,
        config: TransferConfig | None = None,
        *,
        wanted: Iterable[WantedFile] = (),
        held: Iterable[HeldFile] = (),
    ) -> None:
        self.stats = TransferStats()
        self.config = config or TransferConfig()
        self._own_device = own_device
        self._ops = 0
        self._opening: dict[int, CommitId] = {}
        self._channels: dict[int, Download] = {}
        self._past: dict[CommitId, Transfer] = {}
        self._unwanted: set[CommitId] = set()  # canceled while they were being checked
        self.serving = Serving(own_device, held, self.config)
        self._downloads = {each.commit: self._new_download(each) for each in wanted}

    def start(self, now: float) -> list[Effect]:
        """Go on with what earlier runs wanted."""
        return self._start_queued(now)

    # --- Commands -----------------------------------------------------------------------------

    def download(self, wanted: WantedFile, now: float) -> list[Effect]:
        """Fetch a file; one that is wanted already goes on, one that failed is tried again.

        Raises:
            InvalidOfferError: it cannot be fetched.
            TooManyTransfersError: too many wait.
        """
        check_offer(wanted)
        known = self._downloads.get(wanted.commit)
        if known is not None:
            return [] if wanted.is_automatic else self.resume(wanted.commit, now)
        automatic = sum(each.wanted.is_automatic for each in self._downloads.values())
        if len(self._downloads) >= self.config.waiting_max or (
            wanted.is_automatic and automatic >= self.config.accept_waiting_max
        ):
            raise TooManyTransfersError
        self.stats.begun += 1
        self._past.pop(wanted.commit, None)
        self._downloads[wanted.commit] = self._new_download(wanted)
        return [self._keep_wanted(), *self._start_queued(now)]

    def offer(
        self, wanted: WantedFile, wall_offered: float, wall_now: float, now: float
    ) -> list[Effect]:
        """A message of *wall_offered* offers a file: fetch it unasked, if it is small and new.

        Not if we have it, or if it came or was given up before; what cannot be fetched is counted.
        """
        config, commit = self.config, wanted.commit
        is_small = bool(config.accept_max) and wanted.size <= config.accept_max
        is_new = wall_now - wall_offered <= config.accept_age_max
        is_known = commit in self._past or commit in self._downloads
        is_here = self.serving.has(wanted.conversation, commit, wanted.transfer_id)
        if not is_small or not is_new or is_known or is_here:
            return []
        try:
            return self.download(replace(wanted, is_automatic=True), now)
        except TransferError:  # a peer's, not our caller's mistake
            self.stats.passed_over += 1
            return []

    def pause(self, commit: CommitId, now: float) -> list[Effect]:
        """Stop fetching, and keep what is here.

        Raises:
            NoSuchTransferError: nothing is fetched under this id.
        """
        effects = self._taken(self._find(commit).pause(now))
        return [*effects, self._keep_wanted(), *self._start_queued(now)]

    def resume(self, commit: CommitId, now: float) -> list[Effect]:
        """Go on with what was paused, waits or failed.

        Raises:
            NoSuchTransferError: nothing is fetched under this id.
        """
        effects = self._find(commit).resume(now)
        return [*effects, self._keep_wanted(), *self._start_queued(now)]

    def cancel(self, commit: CommitId, now: float) -> list[Effect]:
        """Stop fetching and throw away what is here; or stop sending, to all who fetch.

        Raises:
            NoSuchTransferError: nothing goes on under this id.
        """
        sending = self.serving.cancel(commit, now)
        download = self._downloads.get(commit)
        if download is None:
            if not sending:
                raise NoSuchTransferError(str(commit))
            return sending
        if download.is_being_checked:
            self._unwanted.add(commit)
        effects = self._taken(download.cancel(now))
        return [*sending, *self._end(download, effects, now)]

    def hold(self, held: HeldFile) -> list[Effect]:
        """Serve a file from now on; without a commit, the one that will offer it is not known yet.

        Once it is, `offered` follows.
        """
        return self.serving.hold(held)

    def offered(self, held: HeldFile, commit: CommitId) -> list[Effect]:
        """The message that offers a file which is held without one is *commit*."""
        return self.serving.offered(held, commit)

    def deleted(self, conversation: ConversationId, commit: CommitId, now: float) -> list[Effect]:
        """A message with a file was deleted: neither fetch nor serve nor keep it."""
        effects = self.serving.delete(conversation, commit, now)
        if commit in self._downloads:
            effects += self.cancel(commit, now)
        return effects

    def left(self, conversation: ConversationId, now: float) -> list[Effect]:
        """We are in a conversation no more."""
        effects = self.serving.forget(conversation, now)
        for download in list(self._downloads.values()):
            if download.wanted.conversation == conversation:
                effects += self.cancel(download.commit, now)
        return effects

    # --- What there is ------------------------------------------------------------------------

    def transfers(self, now: float) -> list[Transfer]:
        """Describe what is over, then what is fetched, then what is sent."""
        current = [each.transfer(now) for each in self._downloads.values()]
        return [*self._past.values(), *current, *self.serving.transfers(now)]

    def transfer(self, commit: CommitId, now: float) -> Transfer:
        """Describe a download.

        Raises:
            NoSuchTransferError: nothing is, or was, fetched under this id.
        """
        if (past := self._past.get(commit)) is not None:
            return past
        return self._find(commit).transfer(now)

    def is_wanted(self, commit: CommitId) -> bool:
        """Whether a file is being fetched, waits for that, or is paused."""
        return commit in self._downloads

    def conversations(self) -> set[ConversationId]:
        """Name the conversations of which something is wanted: whose members' devices matter."""
        return {each.wanted.conversation for each in self._downloads.values() if not each.is_over}

    def involved(self) -> set[ConversationId]:
        """Name the conversations of which something is wanted or served."""
        return self.conversations() | {each.conversation for each in self.serving.held()}

    # --- Sources ------------------------------------------------------------------------------

    def appeared(
        self, device: DeviceId, conversations: Iterable[ConversationId], now: float
    ) -> list[Effect]:
        """A device of a member of these conversations is online now."""
        wanted = set(conversations)
        effects: list[Effect] = []
        for download in list(self._downloads.values()):
            if download.wanted.conversation in wanted:
                effects += self._taken(download.appeared(device, now))
        return [*effects, *self._start_queued(now)]

    def sources_found(
        self, commit: CommitId, devices: Iterable[DeviceId], now: float
    ) -> list[Effect]:
        """These devices of members are online, best first."""
        return self._give(commit, lambda download: download.sources_found(devices, now), now)

    def channel_opened(self, op: int, channel: int, now: float) -> list[Effect]:
        """A channel that we asked for is open."""
        commit = self._opening.pop(op, None)
        download = None if commit is None else self._downloads.get(commit)
        if download is None or op not in download.ops():
            return [CloseChannel(channel)]
        effects = download.channel_opened(op, channel, now)
        if download.channel == channel:
            self._channels[channel] = download
        return self._after(download, effects, now)

    def open_failed(self, op: int, now: float) -> list[Effect]:
        """A channel that we asked for was declined, or cannot be opened."""
        commit = self._opening.pop(op, None)
        download = None if commit is None else self._downloads.get(commit)
        if download is None or op not in download.ops():
            return []
        return self._after(download, download.open_failed(op, now), now)

    # --- Channels -----------------------------------------------------------------------------

    def receive(self, channel: int, data: bytes, now: float) -> list[Effect]:
        """Take what came on a channel; those who fetch have nothing to say."""
        download = self._channels.get(channel)
        if download is None:
            return []
        self.stats.bytes_received += len(data)
        effects = download.receive(data, now)
        return effects if len(effects) == 1 else self._after(download, effects, now)

    def channel_closed(self, channel: int, now: float) -> list[Effect]:
        """A channel is gone."""
        download = self._channels.pop(channel, None)
        if download is None:
            return self.serving.channel_closed(channel, now)
        download.channel = None
        return self._after(download, download.channel_closed(now), now)

    def accepts(self, device: DeviceId, request: FileRequest) -> bool:
        """Whether a device of a member, as the host has made sure, may fetch what it asks for."""
        return self.serving.accepts(device, request)

    def accepted(
        self, channel: int, device: DeviceId, request: FileRequest, now: float
    ) -> list[Effect]:
        """A channel that `accepts` took is open."""
        return self.serving.accepted(channel, device, request, now)

    # --- Disk ---------------------------------------------------------------------------------

    def part_opened(self, commit: CommitId, size: int, now: float) -> list[Effect]:
        """So much of a file is here."""
        return self._give(commit, lambda download: download.part_opened(size, now), now)

    def part_failed(self, commit: CommitId, error: TransferError, now: float) -> list[Effect]:
        """A part cannot be read, written or named."""
        if commit in self._unwanted:
            self._unwanted.remove(commit)
            return []
        return self._give(commit, lambda download: download.part_failed(error, now), now)

    def part_wrong(self, commit: CommitId, now: float) -> list[Effect]:
        """What came is not what was offered; its part is empty again."""
        self._unwanted.discard(commit)
        self.stats.wrong += 1
        return self._give(commit, lambda download: download.part_wrong(now), now)

    def part_checked(self, commit: CommitId, held: HeldFile, now: float) -> list[Effect]:
        """What came is what was offered: it is ours, and served from now on.

        It is thrown away if it was canceled while it was being named.
        """
        if commit in self._unwanted:
            self._unwanted.remove(commit)
            return [RemoveCopy(held)]
        download = self._downloads.get(commit)
        if download is None:
            return []
        effects = download.part_checked(held.path, now)
        if not effects:
            return []
        self._taken(effects)
        self.stats.fetched += 1
        return [*self.serving.hold(held), *self._end(download, effects, now)]

    # --- Time ---------------------------------------------------------------------------------

    def next_deadline(self) -> float | None:
        """When something has waited long enough."""
        moments = [each.next_deadline() for each in self._downloads.values()]
        moments.append(self.serving.next_deadline())
        return min((each for each in moments if each is not None), default=None)

    def advance(self, now: float) -> list[Effect]:
        """Do what is due."""
        effects = self.serving.advance(now)
        for download in list(self._downloads.values()):
            deadline = download.next_deadline()
            if deadline is not None and deadline <= now:
                effects += self._taken(download.advance(now))
        return [*effects, *self._start_queued(now)]

    # --- Inside -------------------------------------------------------------------------------

    def _new_download(self, wanted: WantedFile) -> Download:
        return Download(wanted, self._own_device, self.config, lambda: self._new_op(wanted.commit))

    def _new_op(self, commit: CommitId) -> int:
        self._ops += 1
        self._opening[self._ops] = commit
        return self._ops

    def _find(self, commit: CommitId) -> Download:
        download = self._downloads.get(commit)
        if download is None:
            raise NoSuchTransferError(str(commit))
        return download

    def _give(
        self, commit: CommitId, command: Callable[[Download], list[Effect]], now: float
    ) -> list[Effect]:
        download = self._downloads.get(commit)
        return [] if download is None else self._after(download, command(download), now)

    def _after(self, download: Download, effects: list[Effect], now: float) -> list[Effect]:
        """Let others have their turn, where this one has ended its own."""
        return [*self._taken(effects), *([] if download.is_at_work else self._start_queued(now))]

    def _taken(self, effects: list[Effect]) -> list[Effect]:
        """Forget the channels that are being closed."""
        for effect in effects:
            if isinstance(effect, CloseChannel):
                self._channels.pop(effect.channel, None)
        return effects

    def _end(self, download: Download, effects: list[Effect], now: float) -> list[Effect]:
        """Want a file no more; it can be listed for a while."""
        del self._downloads[download.commit]
        self._past[download.commit] = download.transfer(now)
        while len(self._past) > PAST_MAX:
            del self._past[next(iter(self._past))]
        return [self._keep_wanted(), *effects, *self._start_queued(now)]

    def _start_queued(self, now: float) -> list[Effect]:
        """Give turns to those that wait for one, in their order."""
        free = self.config.downloads_max - sum(each.is_at_work for each in self._downloads.values())
        effects: list[Effect] = []
        for download in list(self._downloads.values()):
            if free <= 0:
                break
            if download.is_queued:
                effects += download.start(now)
                free -= 1
        return effects

    def _keep_wanted(self) -> Persist:
        return Persist(WANTED_NAME, pack_wanted(each.wanted for each in self._downloads.values()))


def check_offer(wanted: WantedFile) -> None:
    """Refuse what cannot be fetched.

    Raises:
        InvalidOfferError: its hash or its size is none.
    """
    if not is_sha3(wanted.sha3_512):
        raise InvalidOfferError("without a SHA3-512")
    if not 0 <= wanted.size < 2**63:
        raise InvalidOfferError(f"of {wanted.size} bytes")
