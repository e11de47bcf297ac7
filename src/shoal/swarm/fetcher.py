"""Fetching for one conversation: from one device at a time, until nobody has anything new.

A device that has news while another fetch is under way waits, and is not asked at all if the news
has come from elsewhere by then. What touches the repository runs as jobs in its thread.
"""

from __future__ import annotations

import itertools
import math
from typing import TYPE_CHECKING, Final, Protocol

from shoal.core import DecodeError
from shoal.core.records import dataclass
from shoal.swarm import roles
from shoal.swarm.conversation import Conversation, Taken
from shoal.swarm.effects import ALL_REFUSED, CloseChannel, FetchEnded, WriteChannel
from shoal.swarm.errors import HistoryTooLargeError, InvalidCommitError
from shoal.swarm.fetching import Fetched, FetchEngine, FetchFailed, ObjectsArrived, Send
from shoal.swarm.membership import join
from shoal.swarm.refusals import Refused
from shoal.swarm.roles import Role
from shoal.swarm.view import Outcome, View

if TYPE_CHECKING:
    from collections.abc import Callable, Container

    from shoal.core import AccountId, CommitId, ConversationId, DeviceId
    from shoal.swarm.context import Context
    from shoal.swarm.effects import Effect
    from shoal.swarm.fetching import FetchEffect
    from shoal.swarm.store import GitStore
    from shoal.swarm.view import SessionStats

TIMEOUT: Final = 60.0  # seconds, ours: a minute has to bring something, each further one enough
HASTE: Final = 15.0  # seconds, ours: of silence while somebody no less reliable has news
PROGRESS_MIN: Final = 4_096  # bytes, ours: that is enough
PATIENCE: Final = 300.0  # seconds, ours: of a fetch while others have news; after failures less
FAILURES_MAX: Final = 6  # ours: 2^6 times less
BACKOFF: Final = 10.0  # seconds, ours: after a peer's fault nothing is fetched there; then doubled
SUSPECTS_MAX: Final = 1_024  # ours: devices whose failures are remembered
QUEUE_MAX: Final = 256  # ours: devices that have news while we fetch
HAVES: Final = 256  # libgit2's
_THEIRS: Final = (
    DecodeError,
    InvalidCommitError,
    HistoryTooLargeError,
)  # what a peer is to blame for


class Taker(Protocol):
    """The session that a fetch is for."""

    stats: SessionStats

    @property
    def conversation(self) -> Conversation | None:
        """The conversation, once it was cloned."""
        ...

    @property
    def view(self) -> View | None:
        """How the last job left it."""
        ...

    def knows(self, commit: CommitId) -> bool:
        """Whether we surely have a commit, or surely do not want it."""
        ...

    def has(self, device: DeviceId, head: CommitId) -> None:
        """Take note of what a device has."""
        ...

    def owner(self, device: DeviceId) -> AccountId | None:
        """Return whose device it is, as far as we know."""
        ...

    def took(self, outcome: Outcome, device: DeviceId, head: CommitId, now: float) -> list[Effect]:
        """Take the outcome of a fetch."""
        ...

    def fetches_ended(self, reason: str, now: float) -> list[Effect]:
        """Hear that nothing is left to fetch; *reason* says what was wrong with the last."""
        ...


@dataclass(slots=True, eq=False)
class _Fetch:
    """The fetch under way."""

    device: DeviceId
    engine: FetchEngine
    deadline: float
    started: float
    channel: int | None = None
    bytes_taken: int = 0
    hurry_at: float = math.inf  # when it has to have brought more than
    hurry_from: int = 0  # so many bytes
    minutes: int = 0


class Fetcher:
    """The queue of devices that have news, and the fetch under way."""

    def __init__(
        self, context: Context, identifier: ConversationId, store: GitStore, taker: Taker
    ) -> None:
        self._context = context
        self._id = identifier
        self._store = store
        self._taker = taker
        self._fetch: _Fetch | None = None
        self._queue: dict[DeviceId, CommitId | None] = {}
        self._failures: dict[DeviceId, int] = {}
        self._not_before: dict[DeviceId, float] = {}

    @property
    def is_busy(self) -> bool:
        """Whether a fetch is under way."""
        return self._fetch is not None

    @property
    def channel(self) -> int | None:
        """The channel of the fetch under way."""
        return None if self._fetch is None else self._fetch.channel

    @property
    def deadline(self) -> float | None:
        """When the fetch under way is given up, or another may begin."""
        if self._fetch is not None:
            return min(self._fetch.deadline, self._fetch.hurry_at)
        return min((self._not_before.get(each, 0.0) for each in self._queue), default=None)

    def add(self, device: DeviceId, commit: CommitId | None, now: float) -> list[Effect]:
        """Fetch from a device that has *commit*, or may have something."""
        self._queue[device] = commit
        if len(self._queue) > QUEUE_MAX:
            del self._queue[max(self._queue, key=self._count_failures)]
        self._hurry(now)
        return self._next(now)

    def _hurry(self, now: float) -> None:
        """Give the fetch under way some seconds to go on, if somebody waits who is as reliable."""
        fetch = self._fetch
        if fetch is None or fetch.deadline == math.inf or fetch.hurry_at != math.inf:
            return
        failures = self._count_failures(fetch.device)
        if any(self._count_failures(each) <= failures for each in self._queue):
            fetch.hurry_at, fetch.hurry_from = now + HASTE, fetch.bytes_taken

    def receive(self, data: bytes, now: float) -> list[Effect]:
        """Take what came on the channel."""
        fetch = self._fetch
        if fetch is None:
            return []
        fetch.bytes_taken += len(data)
        return [self._job(fetch, lambda: fetch.engine.receive(data, now))]

    def closed(self, now: float) -> list[Effect]:
        """The channel is gone."""
        fetch = self._fetch
        if fetch is None:
            return []
        return [self._job(fetch, lambda: fetch.engine.receive_eof(now))]

    def advance(self, now: float) -> list[Effect]:
        """Give up a device that says nothing, or next to nothing, or keeps others waiting."""
        fetch = self._fetch
        if fetch is None:
            return self._next(now)
        if fetch.hurry_at <= now:
            if fetch.bytes_taken == fetch.hurry_from:
                self._queue.setdefault(fetch.device, None)  # after the others
                return self._end("it says nothing, and others have news", now)
            fetch.hurry_at = math.inf
            self._hurry(now)
        return self._look(fetch, now) if fetch.deadline <= now else []

    def _look(self, fetch: _Fetch, now: float) -> list[Effect]:
        """See what another minute has brought."""
        fetch.minutes += 1
        if not fetch.bytes_taken:
            was_reached = fetch.channel is not None
            return self._end("the device fell silent", now, is_peers_fault=was_reached)
        if fetch.bytes_taken < (fetch.minutes - 1) * PROGRESS_MIN:
            reason = f"{fetch.bytes_taken} bytes in {fetch.minutes} minutes"
            return self._end(reason, now, is_peers_fault=True)
        patience = PATIENCE / 2 ** self._count_failures(fetch.device)
        if self._queue and self._taker.conversation is not None and now - fetch.started > patience:
            return self._end("it takes too long, and others have news", now)
        fetch.deadline = now + TIMEOUT
        return []

    def forget(self, devices: Container[DeviceId], now: float) -> list[Effect]:
        """Fetch nothing more from these devices: their accounts are out."""
        for device in [each for each in self._queue if each in devices]:
            del self._queue[device]
        fetch = self._fetch
        if fetch is None or fetch.device not in devices or fetch.deadline == math.inf:
            return []
        return self._end("its account is not in the conversation any more", now)

    def stop(self) -> list[Effect]:
        """Fetch no more."""
        fetch, self._fetch = self._fetch, None
        self._queue.clear()
        if fetch is None or fetch.channel is None:
            return []
        return [CloseChannel(fetch.channel)]

    def _next(self, now: float) -> list[Effect]:
        """Ask the next device that has something new."""
        while self._fetch is None:
            ready = [each for each in self._queue if self._not_before.get(each, 0.0) <= now]
            if not ready:
                break
            device = min(ready, key=self._count_failures)
            commit = self._queue.pop(device)
            is_known = commit is not None and self._taker.knows(commit)
            if not is_known and device != self._context.me.device_id:
                return [self._begin(device, now)]
        return []

    def _begin(self, device: DeviceId, now: float) -> Effect:
        engine = FetchEngine(self._id, device, self._store)
        self._fetch = fetch = _Fetch(device, engine, now + TIMEOUT, now)
        self._taker.stats.fetches += 1

        def opened(channel: int, now: float) -> list[Effect]:
            if self._fetch is not fetch:
                return [CloseChannel(channel)]
            fetch.channel, fetch.deadline = channel, now + TIMEOUT
            return [self._job(fetch, lambda: self._ask(engine, now))]

        def refused(was_declined: bool, now: float) -> list[Effect]:
            if self._fetch is not fetch:
                return []
            return self._end("it declined" if was_declined else "it could not be reached", now)

        return self._context.open(device, f"git://{device}/{self._id}", opened, refused)

    def _ask(self, engine: FetchEngine, now: float) -> list[FetchEffect]:
        """Say what we have; in the conversation's thread."""
        conversation = self._taker.conversation
        if conversation is None:
            return engine.fetch((), lambda commit: False, now)
        haves = list(itertools.islice(conversation.line(), HAVES))
        return engine.fetch(haves, conversation.graph.__contains__, now)

    def _job(self, fetch: _Fetch, step: Callable[[], list[FetchEffect]]) -> Effect:
        """Let the fetch go on in the conversation's thread, where its objects are kept."""

        def job() -> list[FetchEffect]:
            effects = step()
            for effect in effects:
                if isinstance(effect, ObjectsArrived):
                    self._store.add_all(effect.objects)
            return effects

        def then(result: object, now: float) -> list[Effect]:
            assert isinstance(result, list)
            found: list[Effect] = []
            for effect in result:
                if self._fetch is fetch:
                    found += self._go_on(fetch, effect, now)
            return found

        return self._context.work(self._id, job, then, self._failed(fetch))

    def _failed(self, fetch: _Fetch) -> Callable[[Exception, float], list[Effect]]:
        def failed(error: Exception, now: float) -> list[Effect]:
            if self._fetch is not fetch:
                return []
            return self._end(str(error), now, is_peers_fault=isinstance(error, _THEIRS))

        return failed

    def _go_on(self, fetch: _Fetch, effect: FetchEffect, now: float) -> list[Effect]:
        match effect:
            case Send(data):
                return [] if fetch.channel is None else [WriteChannel(fetch.channel, data)]
            case Fetched(head, is_new):
                self._taker.has(fetch.device, head)
                return [self._take(fetch, head, now)] if is_new else self._end("", now)
            case FetchFailed(reason, is_peers_fault):
                return self._end(reason, now, is_peers_fault=is_peers_fault)
            case ObjectsArrived():
                return []  # kept already

    def _take(self, fetch: _Fetch, head: CommitId, now: float) -> Effect:
        """Judge what was fetched."""
        fetch.deadline = fetch.hurry_at = math.inf  # the peer has done its part
        wall_now = self._context.wall_now(now)

        def job() -> Outcome:
            conversation = self._taker.conversation
            if conversation is None:
                return self._clone(head, wall_now)
            events = conversation.take(head, wall_now)
            return Outcome(tuple(events), View.of(conversation, self._taker.view))

        def then(result: object, now: float) -> list[Effect]:
            assert isinstance(result, Outcome)
            effects = self._taker.took(result, fetch.device, head, now)
            if any(isinstance(event, Taken) for event in result.events):
                return effects + self._end("", now)
            refused = any(isinstance(event, Refused) for event in result.events)
            reason = ALL_REFUSED if refused else ""
            return effects + self._end(reason, now, is_peers_fault=refused)

        return self._context.work(self._id, job, then, self._failed(fetch))

    def _clone(self, head: CommitId, wall_now: float) -> Outcome:
        """Take a whole history, and join if we are invited; in the conversation's thread."""
        me, before = self._context.me, self._store.head
        if before is not None:  # what was here could not be opened; what we said in it is not lost
            self._store.keep(before)
        conversation, events = Conversation.clone(self._store, me, self._id, head)
        events += conversation.recover(wall_now)
        if roles.role_of(conversation.files, me.account) is Role.INVITED:
            events += join(conversation, wall_now)
        return Outcome(tuple(events), View.of(conversation), conversation)

    def _count_failures(self, device: DeviceId) -> int:
        return self._failures.get(device, 0)

    def _judge(self, device: DeviceId, now: float, *, failed: bool, is_peers_fault: bool) -> None:
        """Whom fetches failed from comes after the others, and has to wait if it was its fault."""
        failures = self._failures.pop(device, 0) + (1 if failed else -1)
        self._not_before.pop(device, None)
        if failures > 0:
            self._failures[device] = min(failures, FAILURES_MAX)
        if is_peers_fault:
            self._not_before[device] = now + BACKOFF * 2 ** (self._failures[device] - 1)
        for suspects in (self._failures, self._not_before):
            if len(suspects) > SUSPECTS_MAX:
                del suspects[next(iter(suspects))]

    def _end(self, reason: str, now: float, *, is_peers_fault: bool = False) -> list[Effect]:
        """Close the channel and go on with the next device."""
        fetch, self._fetch = self._fetch, None
        if fetch is None:
            return []
        effects: list[Effect] = []
        if fetch.channel is not None:
            effects.append(CloseChannel(fetch.channel))
        self._judge(fetch.device, now, failed=bool(reason), is_peers_fault=is_peers_fault)
        if reason:
            self._taker.stats.failed += 1
            member = self._taker.owner(fetch.device)
            told = FetchEnded(self._id, fetch.device, reason, member, is_peers_fault)
            effects.append(told)
        effects += self._next(now)
        return effects if self.is_busy else [*effects, *self._taker.fetches_ended(reason, now)]
