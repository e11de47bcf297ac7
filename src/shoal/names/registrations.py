"""Registrations on their way to the chain: promised once, carried out once, answered truly.

    request -> verified -> intent in the journal -> handed to the chain -> on the chain -> answered
                                  |                        |
                               WAITING                    SENT

An intent is written to the journal before anything is sent, so a crash at any point leaves either
nothing, or an intent that is taken up at the next start. The contract gives a name once and to one
account, so that taking it up twice does no harm. Clients wait for the end, for a while; then they
are told that it goes on, and learn the end when they ask again.

What is done stays in the journal for a while: should the chain reorganise, and lose what clients
were told is done, it is brought there again.

A name on its way is decided before others may have it: whoever else wants it, or whatever else the
account wants, waits for that decision and is then judged by it.
"""

from __future__ import annotations

import heapq
from collections import OrderedDict, deque
from dataclasses import field, replace
from typing import TYPE_CHECKING, Final, Protocol

from shoal.core.records import dataclass
from shoal.names import answers
from shoal.names.effects import DropIntent, Intent, IntentState, KeepIntent, Reply, Reserve

if TYPE_CHECKING:
    from collections.abc import Iterable

    from shoal.core import AccountId
    from shoal.names.config import NameServerConfig
    from shoal.names.effects import Effect, IndexedName, IndexStatus, Response
    from shoal.names.record import NameRecord

SENT_MAX: Final = 64  # ours: registrations that the chain works on at a time
WAITERS_MAX: Final = 16  # ours: clients that wait for one name; more are told to ask again
WAITING_LIFE: Final = 7 * 24 * 3600.0  # seconds; ours: for what the chain never saw
RETRY_FIRST: Final = 1.0  # seconds; ours: after the chain failed, doubled each time
RETRY_MAX: Final = 30.0  # seconds; ours
DONE_KEPT_MAX: Final = 256  # ours: registrations kept for a reorganisation of the chain
CHAIN_AWAY: Final = "the chain cannot be reached"
REFUSALS_KEPT_MAX: Final = 1024  # ours: for those who ask how it went


class NameIndex(Protocol):
    """What the chain says, as far as it was read."""

    def find(self, name: str) -> IndexedName | None:
        """Return who has a name, valid or not."""
        ...

    def name_of(self, account: AccountId) -> str | None:
        """Return the name of an account: one that is proven, or else any that blocks others."""
        ...

    def status(self) -> IndexStatus:
        """Return how far the index is."""
        ...


@dataclass(slots=True)
class RegistrationStats:
    """What happened to registrations.

    Attributes:
        accepted: intents written to the journal.
        resumed: intents found in the journal at the start.
        registered: names that the chain took.
        refused: intents that the chain refused for good.
        delayed: attempts that the chain could not take at the time.
        expired: intents given up because the chain was away too long.
        superseded: intents given up because the account asked for another name.
        repeated: names that the chain lost in a reorganisation, and that were sent again.
        lost: names that it then gave to others.
    """

    accepted: int = 0
    resumed: int = 0
    registered: int = 0
    refused: int = 0
    delayed: int = 0
    expired: int = 0
    superseded: int = 0
    repeated: int = 0
    lost: int = 0


@dataclass(frozen=True, slots=True)
class _Waiter:
    """A client whose answer is due."""

    request: int
    record: NameRecord
    deadline: float


@dataclass(slots=True)
class _Entry:
    intent: Intent
    waiters: list[_Waiter] = field(default_factory=list)
    is_with_chain: bool = False
    retry_at: float | None = None
    retry_wait: float = RETRY_FIRST

    @property
    def record(self) -> NameRecord:
        return self.intent.record

    @property
    def is_sent(self) -> bool:
        return self.intent.state is IntentState.SENT


class RegistrationEngine:
    """Carries registrations to the chain and tells clients the end."""

    def __init__(
        self, config: NameServerConfig, index: NameIndex, intents: Iterable[Intent] = ()
    ) -> None:
        """Take up what the journal has.

        Args:
            config: patience and limits.
            index: what the chain says; it must know a name before `reserved` is called for it.
            intents: from the journal, oldest first.
        """
        self.stats = RegistrationStats()
        self._config = config
        self._index = index
        self._entries: dict[str, _Entry] = {}
        self._by_account: dict[AccountId, str] = {}
        self._sent = 0
        self._unsent: deque[str] = deque()  # names in the order of their coming; some are gone
        self._alarms: list[tuple[float, str]] = []  # when names want attention; some are gone
        self._done: OrderedDict[str, Intent] = OrderedDict()
        self._refusals: OrderedDict[str, str] = OrderedDict()
        self._is_chain_up = False
        for intent in intents:
            if intent.state is IntentState.DONE:
                self._done[intent.record.name] = intent
                continue
            self._add(_Entry(intent))
            self.stats.resumed += 1

    def __len__(self) -> int:
        return len(self._entries)

    def judge(self, record: NameRecord) -> Response | None:
        """Return the answer if it is certain already: from the index alone."""
        found = self._index.find(record.name)
        if found is None:
            name = self._index.name_of(record.account)
            return None if name is None else answers.named(name)
        if found.account != record.account or not found.is_valid:
            return answers.taken(found.account)
        if record.owner is not None and found.owner != record.owner:
            return answers.other_owner(found.account, found.owner)
        return answers.SUCCESS

    def is_known(self, record: NameRecord) -> bool:
        """Tell whether this very registration is under way, so that asking again costs nothing."""
        entry = self._entries.get(record.name)
        return entry is not None and _is_same(entry.record, record)

    def register(
        self, request: int, record: NameRecord, now: float, wall_now: float
    ) -> list[Effect]:
        """Register *record*, which is verified and has an owner; one Reply follows."""
        if (answer := self.judge(record)) is not None:
            return [Reply(request, answer)]
        waiter = _Waiter(request, record, now + self._config.answer_patience)
        given_up: list[Effect] = []
        while (before := self._before(record)) is not None:
            if not _is_superseded(before, record):
                return [*given_up, *self._wait(before, waiter)]
            given_up += self._give_up(before, "the account asked for something else since")
            self.stats.superseded += 1
        if len(self._entries) >= self._config.limits.pending:
            busy = answers.busy("too many registrations wait for the chain", RETRY_MAX)
            return [*given_up, Reply(request, busy)]
        self.stats.accepted += 1
        entry = _Entry(Intent(record, IntentState.WAITING, wall_now))
        self._add(entry)
        self._refusals.pop(record.name, None)
        effects = self._send_queued(wall_now)
        if not entry.is_sent:
            effects.append(KeepIntent(entry.intent))
        # Only now: after a crash in between the account has both wishes rather than none.
        effects += [each for each in given_up if each != DropIntent(record.name)]
        return [*effects, *self._wait(entry, waiter)]

    # What the chain says

    def chain_up(self, now: float, wall_now: float) -> list[Effect]:
        """Take note that the chain answers: take up what an earlier run sent, send what waits."""
        self._is_chain_up = True
        again = [each for each in self._entries.values() if each.is_sent and not each.is_with_chain]
        return [*(self._reserve(each) for each in again), *self._send_queued(wall_now)]

    def reorganised(self, now: float, wall_now: float) -> list[Effect]:
        """Take note that blocks went away, and the index with them: look what became of names."""
        effects: list[Effect] = []
        for name, intent in list(self._done.items()):
            answer = self.judge(intent.record)
            if answer == answers.SUCCESS:
                continue
            del self._done[name]
            if answer is None and self._before(intent.record) is None:
                self.stats.repeated += 1
                entry = _Entry(replace(intent, state=IntentState.SENT))
                self._add(entry)
                effects.append(KeepIntent(entry.intent))
                effects += [self._reserve(entry)] if self._is_chain_up else []
            else:
                self.stats.lost += 1
                effects.append(DropIntent(name))
        return effects

    def chain_down(self, now: float) -> list[Effect]:
        """Take note that the chain does not answer: tell those who wait for it."""
        self._is_chain_up = False
        return [each for entry in self._entries.values() for each in _excuse_all(entry, CHAIN_AWAY)]

    def reserved(self, name: str, now: float, wall_now: float) -> list[Effect]:
        """Take note that the chain has the record, and the index too."""
        return self._decided(name, "", now, wall_now)

    def refused(self, name: str, reason: str, now: float, wall_now: float) -> list[Effect]:
        """Take note that the chain will never take the record, for a *reason* that it gave."""
        return self._decided(name, reason, now, wall_now)

    def delayed(self, name: str, problem: str, now: float) -> list[Effect]:
        """Take note that the chain could not take the record this time: it is tried again."""
        entry = self._entries.get(name)
        if entry is None:
            return []
        self.stats.delayed += 1
        entry.is_with_chain = False
        entry.retry_at = now + entry.retry_wait
        entry.retry_wait = min(2 * entry.retry_wait, RETRY_MAX)
        heapq.heappush(self._alarms, (entry.retry_at, name))
        return _excuse_all(entry, problem)

    def not_kept(self, name: str) -> list[Effect]:
        """Take note that the journal cannot be written: nothing was promised, nothing sent."""
        entry = self._entries.get(name)
        if entry is None:
            return []
        self._remove(entry)
        problem = "the server cannot write to its disk"
        return [Reply(each.request, answers.busy(problem, RETRY_MAX)) for each in entry.waiters]

    # Time

    def next_deadline(self) -> float | None:
        """When `advance` next has work."""
        return self._alarms[0][0] if self._alarms else None

    def advance(self, now: float) -> list[Effect]:
        """Excuse the chain to those who waited long enough; try again what failed."""
        effects: list[Effect] = []
        while self._alarms and self._alarms[0][0] <= now:
            entry = self._entries.get(heapq.heappop(self._alarms)[1])
            if entry is None:
                continue
            late = [each for each in entry.waiters if each.deadline <= now]
            entry.waiters = [each for each in entry.waiters if each.deadline > now]
            effects += [
                _excuse(entry, each, "the chain is slow", answers.RETRY_PENDING) for each in late
            ]
            if entry.retry_at is not None and entry.retry_at <= now and self._is_chain_up:
                effects.append(self._reserve(entry))
        return effects

    def progress(self, name: str) -> tuple[str, str]:
        """Return the state of a registration that is under way or was refused lately, and why."""
        entry = self._entries.get(name)
        if entry is not None:
            return "pending", entry.intent.state.value
        return ("refused", self._refusals[name]) if name in self._refusals else ("", "")

    # Parts

    def _before(self, record: NameRecord) -> _Entry | None:
        """Return what must be decided first: about the name, or about the account."""
        name = record.name if record.name in self._entries else self._by_account.get(record.account)
        return None if name is None else self._entries[name]

    def _add(self, entry: _Entry) -> None:
        name = entry.record.name
        self._entries[name] = entry
        self._by_account[entry.record.account] = name
        if entry.is_sent:
            self._sent += 1
        else:
            self._unsent.append(name)

    def _remove(self, entry: _Entry) -> None:
        name = entry.record.name
        del self._entries[name]
        if self._by_account.get(entry.record.account) == name:
            del self._by_account[entry.record.account]
        if entry.is_sent:
            self._sent -= 1
        else:
            self._unsent.remove(name)

    def _give_up(self, entry: _Entry, reason: str) -> list[Effect]:
        """Forget an intent that the chain has never seen."""
        assert not entry.is_sent, "what was sent may come to be"
        self._remove(entry)
        return [
            DropIntent(entry.record.name),
            *(Reply(each.request, answers.busy(reason, RETRY_FIRST)) for each in entry.waiters),
        ]

    def _wait(self, entry: _Entry, waiter: _Waiter) -> list[Effect]:
        """Let a client wait for a decision, unless it would wait too long."""
        if not self._is_chain_up:
            return [_excuse(entry, waiter, CHAIN_AWAY, answers.RETRY_CHAIN_AWAY)]
        if len(entry.waiters) >= WAITERS_MAX:
            many = "many wait for this registration"
            return [_excuse(entry, waiter, many, answers.RETRY_PENDING)]
        entry.waiters.append(waiter)
        heapq.heappush(self._alarms, (waiter.deadline, entry.record.name))
        return []

    def _decided(self, name: str, reason: str, now: float, wall_now: float) -> list[Effect]:
        entry = self._entries.get(name)
        if entry is None:
            return []
        self._remove(entry)
        if reason:
            self.stats.refused += 1
            self._refusals[name] = reason
            if len(self._refusals) > REFUSALS_KEPT_MAX:
                self._refusals.popitem(last=False)
        else:
            self.stats.registered += 1
        effects: list[Effect] = []
        for waiter in entry.waiters:
            answer = self.judge(waiter.record)
            if answer is None and reason and _is_same(waiter.record, entry.record):
                answer = answers.refused(reason)
            if answer is not None:
                effects.append(Reply(waiter.request, answer))
            else:  # it waited for somebody else's registration, which came to nothing
                effects += self.register(waiter.request, waiter.record, now, wall_now)
        if reason and name not in self._entries:
            effects.append(DropIntent(name))
        elif not reason:
            effects += self._keep_done(entry.intent)
        return [*effects, *self._send_queued(wall_now)]

    def _keep_done(self, intent: Intent) -> list[Effect]:
        name = intent.record.name
        self._done[name] = done = replace(intent, state=IntentState.DONE)
        effects: list[Effect] = [KeepIntent(done)]
        if len(self._done) > DONE_KEPT_MAX:
            effects.append(DropIntent(self._done.popitem(last=False)[0]))
        return effects

    def _send_queued(self, wall_now: float) -> list[Effect]:
        """Hand to the chain what waits, as far as it takes more; give up what is outdated."""
        effects: list[Effect] = []
        while self._is_chain_up and self._sent < SENT_MAX and self._unsent:
            entry = self._entries[self._unsent[0]]
            if wall_now - entry.intent.wall_created > WAITING_LIFE:
                self.stats.expired += 1
                effects += self._give_up(entry, "the chain was away too long")
                continue
            self._unsent.popleft()
            self._sent += 1
            entry.intent = replace(entry.intent, state=IntentState.SENT)
            effects += [KeepIntent(entry.intent), self._reserve(entry)]
        return effects

    def _reserve(self, entry: _Entry) -> Reserve:
        entry.is_with_chain, entry.retry_at = True, None
        return Reserve(entry.record)


def _is_same(one: NameRecord, other: NameRecord) -> bool:
    """Tell whether both are the same wish; key and signature follow from the account."""
    return (one.name, one.account, one.owner) == (other.name, other.account, other.owner)


def _is_superseded(entry: _Entry, record: NameRecord) -> bool:
    """Tell whether *entry* is an older, different wish of the same account that may be given up."""
    is_own = entry.record.account == record.account
    return is_own and not entry.is_sent and not _is_same(entry.record, record)


def _excuse_all(entry: _Entry, problem: str) -> list[Effect]:
    waiters, entry.waiters = entry.waiters, []
    return [_excuse(entry, each, problem, answers.RETRY_CHAIN_AWAY) for each in waiters]


def _excuse(entry: _Entry, waiter: _Waiter, problem: str, retry_after: int) -> Reply:
    """Tell a client to ask again; whether its own request is kept is part of the truth."""
    if _is_same(entry.record, waiter.record):
        return Reply(waiter.request, answers.pending(problem, retry_after))
    another = f"{problem}; an earlier registration must be decided first"
    return Reply(waiter.request, answers.busy(another, retry_after))
