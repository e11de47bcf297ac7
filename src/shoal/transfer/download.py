"""One file on its way to us: from whoever has it, one device after the other.

Theory of operation. A part of the file is on disk; every source is asked for what is missing, and
what comes is appended. A source that declines, fails, stops, stalls or crawls is left for the next:

    QUEUED ─► OPENING ─► SEARCHING ─► CONNECTING ◄─► RUNNING ─► CHECKING ─► DONE
                 ▲                        │ nobody left           │ wrong
                 └──────── WAITING ◄──────┘                       └──► CONNECTING, or FAILED

If what came is wrong and it came from one source, that source is asked no more. If it came from
several, any of them may have lied: the part is thrown away, and from then on it may only grow from
one and the same source. So one liar costs the honest ones at most one more download each.

A source that is slow to answer does not hold up the others: after some seconds the next is asked
besides, and the first that answers is taken. Positions from 2^32 on cannot be named on the wire: a
part that is larger is continued from the last position that can, and what it has is passed over.
"""

from __future__ import annotations

import enum
from collections import deque
from dataclasses import replace
from typing import TYPE_CHECKING

from shoal.transfer.channel_wire import START_END, FileRequest, write_name
from shoal.transfer.effects import (
    CheckPart,
    CloseChannel,
    ClosePart,
    Direction,
    FindSources,
    OpenChannel,
    OpenPart,
    RemovePart,
    ResetPart,
    Transfer,
    TransferChanged,
    TransferState,
    WritePart,
)
from shoal.transfer.errors import TransferCanceledError, WrongContentError
from shoal.transfer.progress import Meter

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from shoal.core import CommitId, DeviceId
    from shoal.transfer.config import TransferConfig
    from shoal.transfer.effects import Effect
    from shoal.transfer.errors import TransferError
    from shoal.transfer.records import WantedFile


class _Stage(enum.Enum):
    QUEUED = TransferState.QUEUED
    OPENING = 1  # looking at what is here of it
    SEARCHING = 2  # the host looks for devices
    CONNECTING = TransferState.CONNECTING
    RUNNING = TransferState.RUNNING
    CHECKING = TransferState.CHECKING
    WAITING = TransferState.WAITING
    PAUSED = TransferState.PAUSED
    DONE = TransferState.DONE
    FAILED = TransferState.FAILED
    CANCELED = TransferState.CANCELED


_STATES = {stage: stage.value for stage in _Stage if isinstance(stage.value, TransferState)}
_AT_WORK = {
    *(_Stage.OPENING, _Stage.SEARCHING, _Stage.CONNECTING, _Stage.RUNNING, _Stage.CHECKING),
}


class Download:
    """One file that we want. Only `TransferEngine` uses it."""

    def __init__(
        self,
        wanted: WantedFile,
        own_device: DeviceId,
        config: TransferConfig,
        new_op: Callable[[], int],
    ) -> None:
        self.wanted = wanted
        self.done = 0
        self.channel: int | None = None
        self.path = ""
        self.error: TransferError | None = None
        self._own_device = own_device
        self._config = config
        self._new_op = new_op
        self._stage = _Stage.PAUSED if wanted.is_paused else _Stage.QUEUED
        self._meter = Meter()
        self._hints: list[DeviceId] = []
        self._queue: deque[DeviceId] = deque()
        self._opening: dict[int, tuple[DeviceId, int, float]] = {}  # device, start, deadline
        self._source: DeviceId | None = None
        self._skip = 0  # bytes to come that we have already
        self._came = 0  # bytes that came from this source
        self._returns: dict[DeviceId, int] = {}
        self._contributors: set[DeviceId | None] = set()  # None: what an earlier run has fetched
        self._liars: set[DeviceId] = set()
        self._is_strict = False
        self.is_being_checked = False  # over a pause, too: what was begun ends
        self._wrong = 0
        self._waits = 0
        self._deadline: float | None = None
        self._slow_at = 0.0
        self._slow_from = 0
        self._told_at: float | None = None

    # --- What it is ---------------------------------------------------------------------------

    @property
    def commit(self) -> CommitId:
        """The message that offers it."""
        return self.wanted.commit

    @property
    def state(self) -> TransferState:
        """Where it is, as its user sees it."""
        return _STATES.get(self._stage, TransferState.CONNECTING)

    @property
    def is_queued(self) -> bool:
        """Whether it waits for its turn."""
        return self._stage is _Stage.QUEUED

    @property
    def is_at_work(self) -> bool:
        """Whether it takes one of the turns."""
        return self._stage in _AT_WORK

    @property
    def is_over(self) -> bool:
        """Whether nothing more happens."""
        return self._stage in {_Stage.DONE, _Stage.FAILED, _Stage.CANCELED}

    def transfer(self, now: float) -> Transfer:
        """Describe it."""
        rate = self._meter.rate(now) if self._stage is _Stage.RUNNING else 0.0
        left = self._meter.time_left(self.wanted.size - self.done, now) if rate else None
        return Transfer(
            id=self.commit,
            conversation=self.wanted.conversation,
            direction=Direction.DOWN,
            device=self._source,
            state=self.state,
            name=self.wanted.name,
            size=self.wanted.size,
            done=self.done,
            rate=rate,
            time_left=left,
            path=self.path,
            error=self.error,
        )

    def ops(self) -> Iterable[int]:
        """Name the channels that are being opened."""
        return tuple(self._opening)

    # --- Commands -----------------------------------------------------------------------------

    def start(self, now: float) -> list[Effect]:
        """It is its turn."""
        self._stage = _Stage.OPENING
        self._deadline = None
        self.error = None
        return [OpenPart(self.commit, self.wanted), self._tell(now)]

    def pause(self, now: float) -> list[Effect]:
        """Stop, and keep what is here."""
        was_open = self.is_at_work
        effects = self._hang_up()
        self._stage = _Stage.PAUSED
        self._deadline = None
        self.wanted = replace(self.wanted, is_paused=True)
        closing: list[Effect] = [ClosePart(self.commit)] if was_open else []
        return [*effects, *closing, self._tell(now)]

    def resume(self, now: float) -> list[Effect]:
        """Go on, as soon as it is its turn."""
        if self.is_at_work or self.is_queued:
            return []
        self.wanted = replace(self.wanted, is_paused=False, is_automatic=False)
        self._stage = _Stage.QUEUED
        self._deadline = None
        self._wrong = self._waits = 0
        self._liars.clear()
        self.error = None
        return [self._tell(now)]

    def cancel(self, now: float) -> list[Effect]:
        """Stop, and throw away what is here."""
        effects = self._hang_up()
        self._stage = _Stage.CANCELED
        self._deadline = None
        self.error = TransferCanceledError()
        return [*effects, RemovePart(self.commit, self.wanted), self._tell(now)]

    def appeared(self, device: DeviceId, now: float) -> list[Effect]:
        """A device of a member is online now."""
        if device in self._liars or device == self._own_device:
            return []
        if self._stage is _Stage.WAITING:
            self._hints = [device]
            self._stage = _Stage.QUEUED
            self._deadline = None
            return [self._tell(now)]
        known = {each[0] for each in self._opening.values()} | {*self._queue, self._source}
        if self._stage is _Stage.CONNECTING and device not in known:
            self._queue.append(device)
            return self._ask_on(now)
        return []

    # --- The part -----------------------------------------------------------------------------

    def part_opened(self, size: int, now: float) -> list[Effect]:
        """So much of it is here already."""
        if self._stage is not _Stage.OPENING:
            return []
        effects: list[Effect] = []
        if size > self.wanted.size:
            effects.append(ResetPart(self.commit))
            size = 0
        self.done = size
        self._contributors = {None} if size else set()
        if size == self.wanted.size:
            return [*effects, *self._check(now)]
        self._stage = _Stage.SEARCHING
        self._deadline = now + self._config.open_timeout
        return [*effects, FindSources(self.commit, self.wanted.conversation)]

    def part_failed(self, error: TransferError, now: float) -> list[Effect]:
        """The disk does not take it."""
        self.is_being_checked = False
        if not self.is_at_work:
            return []
        return self._fail(error, now)

    def part_checked(self, path: str, now: float) -> list[Effect]:
        """It is what was offered, and has its name, also if it was to pause meanwhile."""
        if not self.is_being_checked:
            return []
        self.is_being_checked = False
        is_begun_again = self.is_at_work and self._stage is not _Stage.CHECKING
        effects = self._hang_up()
        if is_begun_again:
            effects.append(RemovePart(self.commit, self.wanted))
        self._stage = _Stage.DONE
        self._deadline = None
        self.done = self.wanted.size
        self.path = path
        self.error = None
        return [*effects, self._tell(now)]

    def part_wrong(self, now: float) -> list[Effect]:
        """It is not what was offered, and was thrown away."""
        self.is_being_checked = False
        if self._stage is not _Stage.CHECKING:
            return []
        suspects = [each for each in self._contributors if each is not None]
        if len(self._contributors) == 1:
            self._liars.update(suspects)
        self._contributors.clear()
        self._is_strict = True
        self.done = 0
        self._wrong += 1
        self._returns.clear()
        for device in sorted(suspects):
            if device not in self._liars and device not in self._queue:
                self._queue.append(device)
        if self._wrong > self._config.wrong_max:
            return self._fail(WrongContentError(self.wanted.name), now)
        if not self._queue and not self._liars:  # it was all of an earlier run
            self._stage = _Stage.SEARCHING
            self._deadline = now + self._config.open_timeout
            return [FindSources(self.commit, self.wanted.conversation)]
        return self._ask_on(now)

    # --- Sources ------------------------------------------------------------------------------

    def sources_found(self, devices: Iterable[DeviceId], now: float) -> list[Effect]:
        """These devices are online, best first."""
        if self._stage is not _Stage.SEARCHING:
            return []
        found = dict.fromkeys((*self._hints, *devices))
        self._hints = []
        usable = [each for each in found if each not in self._liars and each != self._own_device]
        self._queue = deque(usable[: self._config.sources_max])
        self._returns.clear()
        return self._ask_on(now)

    def channel_opened(self, op: int, channel: int, now: float) -> list[Effect]:
        """A source accepts."""
        device, start, _ = self._opening.pop(op)
        is_usable = self._stage is _Stage.CONNECTING and start <= self.done
        if not is_usable or (start and not self._may_continue(device)):
            self._queue.append(device)
            return [CloseChannel(channel), *self._ask_on(now)]
        effects: list[Effect] = []
        if self.done and not self._may_continue(device):
            effects.append(ResetPart(self.commit))
            self.done = 0
            self._contributors.clear()
        self._stage = _Stage.RUNNING
        self.channel, self._source = channel, device
        self._skip = self.done - start
        self._came = 0
        self._meter.reset()
        self._deadline = now + self._config.stall_timeout
        self._slow_at, self._slow_from = now + self._config.slow_after, 0
        return [*effects, self._tell(now)]

    def open_failed(self, op: int, now: float) -> list[Effect]:
        """A source declines, or cannot be reached."""
        del self._opening[op]
        return self._ask_on(now)

    def receive(self, data: bytes, now: float) -> list[Effect]:
        """Take what a source sends; what is more than the file has is left out."""
        size = len(data)
        self._came += size
        self._deadline = now + self._config.stall_timeout
        if self._skip:
            passed = min(self._skip, size)
            self._skip -= passed
            data = data[passed:]
            size -= passed
            if not size:
                return []
        missing = self.wanted.size - self.done
        if size > missing:
            data = data[:missing]
            size = missing
        if not self._contributors or self._source not in self._contributors:
            self._contributors.add(self._source)
        self.done += size
        self._meter.add(size, now)
        effects: list[Effect] = [WritePart(self.commit, data)]
        if self.done == self.wanted.size:
            return [*effects, *self._check(now)]
        if self._told_at is None or now - self._told_at >= self._config.progress_interval:
            effects.append(self._tell(now))
        return effects

    def channel_closed(self, now: float) -> list[Effect]:
        """The source has stopped."""
        return self._leave_source(now)

    # --- Time ---------------------------------------------------------------------------------

    def next_deadline(self) -> float | None:
        """When something has waited long enough."""
        moments = [each[2] for each in self._opening.values()]
        if self._deadline is not None:
            moments.append(self._deadline)
        if self._stage is _Stage.RUNNING and self._queue:
            moments.append(self._slow_at)
        return min(moments, default=None)

    def advance(self, now: float) -> list[Effect]:
        """Do what is due."""
        late = [op for op, each in self._opening.items() if each[2] <= now]
        effects: list[Effect] = []
        for op in late:
            del self._opening[op]
        if late:
            effects += self._ask_on(now)
        if self._stage is _Stage.RUNNING and self._queue and self._slow_at <= now:
            effects += self._look_at_speed(now)
        if self._deadline is None or self._deadline > now:
            return effects
        self._deadline = None
        match self._stage:
            case _Stage.RUNNING:  # stalled
                effects += self._leave_source(now)
            case _Stage.CONNECTING:
                effects += self._ask_next(now)
            case _Stage.SEARCHING:
                effects += self._wait(now)
            case _Stage.WAITING:
                self._stage = _Stage.QUEUED
                effects.append(self._tell(now))
            case _:
                pass
        return effects

    # --- Inside -------------------------------------------------------------------------------

    def _may_continue(self, device: DeviceId) -> bool:
        """Whether a source may add to what is here."""
        return not self._is_strict or self._contributors <= {device}

    def _ask_on(self, now: float) -> list[Effect]:
        """Ask the next source, after a while if somebody is being asked; wait if nobody is left."""
        if self._stage not in {_Stage.SEARCHING, _Stage.CONNECTING, _Stage.CHECKING}:
            return []
        self._stage = _Stage.CONNECTING
        self.channel = self._source = None
        if not self._opening:
            return self._ask_next(now)
        if self._may_ask_more:
            due = now + self._config.stagger
            self._deadline = due if self._deadline is None else min(self._deadline, due)
        else:
            self._deadline = None
        return []

    @property
    def _may_ask_more(self) -> bool:
        """Whether there is a next source, and it may be asked besides those that are."""
        return bool(self._queue) and len(self._opening) < self._config.opening_max

    def _ask_next(self, now: float) -> list[Effect]:
        if not self._queue:
            if self._opening:
                return []
            if self._wrong and self._liars:
                return self._fail(WrongContentError(self.wanted.name), now)
            return self._wait(now)
        device = self._queue.popleft()
        start = min(self.done, START_END - 1) if self._may_continue(device) else 0
        op = self._new_op()
        self._opening[op] = (device, start, now + self._config.open_timeout)
        self._deadline = now + self._config.stagger if self._may_ask_more else None
        request = FileRequest(self.wanted.conversation, self._own_device, self.wanted.file, start)
        return [OpenChannel(op, device, write_name(request))]

    def _leave_source(self, now: float) -> list[Effect]:
        """Go on to the next source; one that gave something may be asked again."""
        device, came = self._source, self._came
        effects: list[Effect] = [] if self.channel is None else [CloseChannel(self.channel)]
        self.channel = self._source = None
        self._stage = _Stage.CONNECTING
        if device is not None and came:
            returns = self._returns[device] = self._returns.get(device, 0) + 1
            if returns <= self._config.returns_max:
                self._queue.append(device)
        return [*effects, *self._ask_on(now), self._tell(now)]

    def _look_at_speed(self, now: float) -> list[Effect]:
        """Leave a source that crawls, as long as there are others."""
        came = self._came - self._slow_from
        if came < self._config.slow_rate * self._config.slow_after:
            return self._leave_source(now)
        self._slow_at, self._slow_from = now + self._config.slow_after, self._came
        return []

    def _check(self, now: float) -> list[Effect]:
        effects = self._hang_up()
        self._stage = _Stage.CHECKING
        self.is_being_checked = True
        self._deadline = None
        return [*effects, CheckPart(self.commit), self._tell(now)]

    def _wait(self, now: float) -> list[Effect]:
        """Nobody has it: look again later, or when somebody comes online."""
        config = self._config
        self._stage = _Stage.WAITING
        self._deadline = now + min(config.retry_first * 2.0**self._waits, config.retry_max)
        self._waits = min(self._waits + 1, 16)
        self._source = None
        return [ClosePart(self.commit), self._tell(now)]

    def _fail(self, error: TransferError, now: float) -> list[Effect]:
        effects = self._hang_up()
        self._stage = _Stage.FAILED
        self._deadline = None
        self.error = error
        return [*effects, ClosePart(self.commit), self._tell(now)]

    def _hang_up(self) -> list[Effect]:
        """Want nothing from anybody."""
        effects: list[Effect] = [] if self.channel is None else [CloseChannel(self.channel)]
        self.channel = None
        self._opening.clear()
        return effects

    def _tell(self, now: float) -> TransferChanged:
        self._told_at = now
        return TransferChanged(self.transfer(now))
