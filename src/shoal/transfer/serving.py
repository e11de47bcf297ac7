"""Files on their way from us to those who fetch them.

A file belongs to the message that offers it, and to nothing else: whoever offers another one under
the same transfer id has a file of their own. A request is taken if the file is one that we had when
we last looked and the device takes no more than its share. That it is still there and still what
was offered is seen before the first byte goes out; where it is not, the channel is closed without
one, and the file is served no more.
"""

from __future__ import annotations

from dataclasses import field, replace
from pathlib import PurePath
from typing import TYPE_CHECKING

from shoal.core import Persist
from shoal.core.records import dataclass
from shoal.transfer.effects import (
    CheckHeld,
    CloseChannel,
    Direction,
    FileLost,
    RemoveCopy,
    StreamFile,
    Transfer,
    TransferChanged,
    TransferState,
)
from shoal.transfer.errors import FolderError
from shoal.transfer.progress import Meter
from shoal.transfer.records import HELD_FOLDER, HELD_MAX, pack_held

if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import TypeAlias

    from shoal.core import CommitId, ConversationId, DeviceId
    from shoal.transfer.channel_wire import FileRequest
    from shoal.transfer.config import TransferConfig
    from shoal.transfer.effects import Effect
    from shoal.transfer.errors import TransferError
    from shoal.transfer.records import HeldFile

    _Key: TypeAlias = tuple[CommitId | None, str]  # the message that offers it, and its id there


@dataclass(slots=True)
class ServingStats:
    """Counters; each field says what one increment means."""

    declined: int = 0  # a request was declined: no such file, or too many at once
    served: int = 0  # a file, or the part asked for, was sent
    broken: int = 0  # the peer stopped, or stalled, before the end
    lost: int = 0  # a file that we had was not there, or another one


@dataclass(slots=True)
class _Upload:
    channel: int
    device: DeviceId
    request: FileRequest
    held: HeldFile
    size: int
    start: int = 0
    sent: int = 0
    is_streaming: bool = False
    state: TransferState = TransferState.CHECKING
    deadline: float | None = None
    told_at: float = 0.0
    meter: Meter = field(default_factory=Meter)


class Serving:
    """What we have, and who fetches it."""

    def __init__(
        self, own_device: DeviceId, held: Iterable[HeldFile], config: TransferConfig
    ) -> None:
        self.stats = ServingStats()
        self._own_device = own_device
        self._config = config
        self._held: dict[ConversationId, dict[_Key, HeldFile]] = {}
        for each in held:
            self._held.setdefault(each.conversation, {})[_key(each)] = each
        self._uploads: dict[int, _Upload] = {}

    # --- What we have -------------------------------------------------------------------------

    def find(self, conversation: ConversationId, commit: CommitId) -> HeldFile | None:
        """Return the file that a message offers, if we have it."""
        files = self._held.get(conversation, {}).values()
        return next((each for each in files if each.commit == commit), None)

    def has(self, conversation: ConversationId, commit: CommitId, transfer_id: str) -> bool:
        """Whether we have the file of a message, which may be just being written."""
        return self._look_up(conversation, commit, transfer_id) is not None

    def held(self) -> list[HeldFile]:
        """Return all that we have."""
        return [each for files in self._held.values() for each in files.values()]

    def hold(self, held: HeldFile) -> list[Effect]:
        """Have a file; of too many in one conversation the oldest is served no more."""
        files = self._held.setdefault(held.conversation, {})
        files.pop(_key(held), None)
        files[_key(held)] = held
        while len(files) > HELD_MAX:
            del files[next(iter(files))]
        return [self._keep(held.conversation)]

    def offered(self, held: HeldFile, commit: CommitId) -> list[Effect]:
        """The message that offers a file is written: from now on the file is that one's."""
        self._held.get(held.conversation, {}).pop(_key(held), None)
        return self.hold(replace(held, commit=commit))

    def let_go(self, held: HeldFile) -> list[Effect]:
        """Have a file no more, unless what is known of it has changed meanwhile."""
        files = self._held.get(held.conversation, {})
        if files.get(_key(held)) != held:
            return []
        del files[_key(held)]
        return [self._keep(held.conversation)]

    def delete(self, conversation: ConversationId, commit: CommitId, now: float) -> list[Effect]:
        """A message was deleted: so is our copy of its file."""
        held = self.find(conversation, commit)
        if held is None:
            return []
        effects = self.cancel(commit, now)
        removal: list[Effect] = [RemoveCopy(held)] if held.is_copy else []
        return [*effects, *self.let_go(held), *removal]

    def forget(self, conversation: ConversationId, now: float) -> list[Effect]:
        """We are not in a conversation any more: serve nothing of it; files stay where they are."""
        effects: list[Effect] = []
        for upload in list(self._uploads.values()):
            if upload.request.conversation == conversation:
                effects += self._end(upload, TransferState.CANCELED, now)
        if self._held.pop(conversation, None) is not None:
            effects.append(self._keep(conversation))
        return effects

    # --- Requests -----------------------------------------------------------------------------

    def accepts(self, device: DeviceId, request: FileRequest) -> bool:
        """Whether a member's device may fetch what it asks for."""
        is_taken = self._wanted(device, request) is not None
        self.stats.declined += not is_taken
        return is_taken

    def accepted(
        self, channel: int, device: DeviceId, request: FileRequest, now: float
    ) -> list[Effect]:
        """A channel that `accepts` took is open."""
        held = self._wanted(device, request)
        if held is None:  # it was taken with many others
            self.stats.declined += 1
            return [CloseChannel(channel)]
        self._uploads[channel] = _Upload(channel, device, request, held, held.stamp.size)
        return [CheckHeld(channel, held, request)]

    def held_checked(self, channel: int, held: HeldFile, now: float) -> list[Effect]:
        """The file is there, and is what was offered."""
        known = None
        if held.commit is not None:
            known = self._look_up(held.conversation, held.commit, held.transfer_id)
        effects = [] if known is None or known == held else self.hold(held)
        upload = self._uploads.get(channel)
        if upload is None:
            return effects
        size, request = held.stamp.size, upload.request
        upload.held = held
        upload.start = min(request.start, size)
        upload.size = max(upload.start, min(request.end, size) if request.end else size)
        upload.state = TransferState.RUNNING
        upload.deadline = now + self._config.upload_stall
        upload.is_streaming = True
        stream = StreamFile(channel, held, upload.start, upload.size)
        return [*effects, stream, self._tell(upload, now)]

    def held_failed(self, channel: int, error: TransferError, now: float) -> list[Effect]:
        """The file is gone, or another one; or nobody can tell, and then we still have it."""
        upload = self._uploads.pop(channel, None)
        if upload is None:
            return []
        held = upload.held
        # While its message is being written the peer chooses the commit, and proves nothing by it.
        if held.commit is None or isinstance(error, FolderError):
            return [CloseChannel(channel)]
        self.stats.lost += 1
        lost = FileLost(held.conversation, held.commit, error)
        return [CloseChannel(channel), *self.let_go(held), lost]

    def streamed(self, channel: int, size: int, now: float) -> list[Effect]:
        """So much more was sent."""
        upload = self._uploads.get(channel)
        if upload is None:
            return []
        upload.sent += size
        upload.meter.add(size, now)
        upload.deadline = now + self._config.upload_stall
        if upload.start + upload.sent >= upload.size:
            return []  # `channel_closed` follows
        if now - upload.told_at < self._config.progress_interval:
            return []
        return [self._tell(upload, now)]

    def channel_closed(self, channel: int, now: float) -> list[Effect]:
        """All was sent, or the peer wants no more."""
        upload = self._uploads.pop(channel, None)
        if upload is None or not upload.is_streaming:
            return []
        is_whole = upload.start + upload.sent >= upload.size
        self.stats.served += is_whole
        self.stats.broken += not is_whole
        upload.state = TransferState.DONE if is_whole else TransferState.CANCELED
        return [self._tell(upload, now)]

    def cancel(self, commit: CommitId, now: float) -> list[Effect]:
        """Stop sending a file to anybody."""
        effects: list[Effect] = []
        for upload in list(self._uploads.values()):
            if upload.held.commit == commit:
                effects += self._end(upload, TransferState.CANCELED, now)
        return effects

    # --- What goes on -------------------------------------------------------------------------

    def has_channel(self, channel: int) -> bool:
        """Whether a channel is one of ours."""
        return channel in self._uploads

    def transfers(self, now: float) -> list[Transfer]:
        """Describe what is being sent."""
        return [self._transfer(each, now) for each in self._uploads.values()]

    def next_deadline(self) -> float | None:
        """When somebody has taken nothing for too long."""
        moments = [each.deadline for each in self._uploads.values() if each.deadline is not None]
        return min(moments, default=None)

    def advance(self, now: float) -> list[Effect]:
        """Give up on those who take nothing."""
        effects: list[Effect] = []
        for upload in list(self._uploads.values()):
            if upload.deadline is not None and upload.deadline <= now:
                self.stats.broken += 1
                effects += self._end(upload, TransferState.CANCELED, now)
        return effects

    # --- Inside -------------------------------------------------------------------------------

    def _look_up(
        self, conversation: ConversationId, commit: CommitId, transfer_id: str
    ) -> HeldFile | None:
        """Return the file of a message, or one whose message is just being written."""
        files = self._held.get(conversation, {})
        return files.get((commit, transfer_id)) or files.get((None, transfer_id))

    def _wanted(self, device: DeviceId, request: FileRequest) -> HeldFile | None:
        """Return what a device may fetch."""
        if request.device == self._own_device:
            return None  # Jami declines these, too: the name has to hold the opener's id
        file = request.file
        held = self._look_up(request.conversation, file.commit, file.transfer_id)
        if held is None:
            return None
        own = sum(each.device == device for each in self._uploads.values())
        is_busy = len(self._uploads) >= self._config.uploads_max
        return None if is_busy or own >= self._config.uploads_per_device else held

    def _end(self, upload: _Upload, state: TransferState, now: float) -> list[Effect]:
        del self._uploads[upload.channel]
        upload.state = state
        telling: list[Effect] = [self._tell(upload, now)] if upload.is_streaming else []
        return [CloseChannel(upload.channel), *telling]

    def _keep(self, conversation: ConversationId) -> Persist:
        files = self._held.get(conversation, {}).values()
        return Persist(f"{HELD_FOLDER}/{conversation}", pack_held(files))

    def _tell(self, upload: _Upload, now: float) -> TransferChanged:
        upload.told_at = now
        return TransferChanged(self._transfer(upload, now))

    def _transfer(self, upload: _Upload, now: float) -> Transfer:
        left = upload.size - upload.start - upload.sent
        return Transfer(
            upload.request.file.commit,
            upload.request.conversation,
            Direction.UP,
            upload.device,
            upload.state,
            PurePath(upload.held.path).name,
            upload.held.stamp.size,
            upload.start + upload.sent,
            upload.meter.rate(now),
            upload.meter.time_left(left, now),
            upload.held.path,
            None,
        )


def _key(held: HeldFile) -> _Key:
    return held.commit, held.transfer_id
