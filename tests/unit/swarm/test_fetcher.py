"""Whom we fetch from, and when: one at a time, the reliable first, and nobody for ever."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from shoal.core import AccountId, CommitId, DecodeError, DeviceId
from shoal.sim.entropy import SeededEntropy
from shoal.swarm import MemoryStore
from shoal.swarm.context import Context
from shoal.swarm.effects import CloseChannel, FetchEnded, OpenChannel, Work, WriteChannel
from shoal.swarm.errors import HistoryTooLargeError, InvalidCommitError, RepositoryError
from shoal.swarm.fetcher import BACKOFF, HASTE, PATIENCE, PROGRESS_MIN, QUEUE_MAX, TIMEOUT, Fetcher
from shoal.swarm.messenger import Messenger
from shoal.swarm.pkt_line import encode
from shoal.swarm.view import SessionStats
from tests.unit.swarm.people import ALICE, WALL_NOW, begin, who

if TYPE_CHECKING:
    from collections.abc import Iterable

    from shoal.swarm.conversation import Conversation
    from shoal.swarm.effects import Effect
    from shoal.swarm.view import Outcome

GROUP = begin()
NEWS = CommitId(b"n" * 20)


def device(number: int) -> DeviceId:
    """A device, by number."""
    return DeviceId(number.to_bytes(32))


class Taker:
    """A session of which only this is needed."""

    def __init__(self, conversation: Conversation | None) -> None:
        self.stats = SessionStats()
        self.conversation = conversation
        self.view = None
        self.known: set[CommitId] = set()
        self.ended: list[str] = []

    def knows(self, commit: CommitId) -> bool:
        """Say what the test has put in."""
        return commit in self.known

    def has(self, device: DeviceId, head: CommitId) -> None:
        """Nothing depends on it here."""

    def owner(self, device: DeviceId) -> AccountId | None:
        """All are alice's."""
        return who(ALICE).account

    def took(self, outcome: Outcome, device: DeviceId, head: CommitId, now: float) -> list[Effect]:
        """Nothing follows."""
        return []

    def fetches_ended(self, reason: str, now: float) -> list[Effect]:
        """Note it."""
        self.ended.append(reason)
        return []


class Bench:
    """A fetcher whose jobs run at once."""

    def __init__(self, conversation: Conversation | None = GROUP) -> None:
        me, entropy = who(ALICE), SeededEntropy(1)
        messenger = Messenger(me.account, me.device_id, entropy, lambda: 0)
        self.context = Context(me, entropy, WALL_NOW, messenger)
        self.taker = Taker(conversation)
        self.fetcher = Fetcher(self.context, GROUP.id, MemoryStore(), self.taker)

    def run(self, effects: Iterable[Effect], now: float) -> list[Effect]:
        """Run jobs; return the other effects."""
        found: list[Effect] = []
        for effect in effects:
            if isinstance(effect, Work):
                then = self.context.waiting.pop(effect.op)
                found += self.run(then.then(effect.job(), now), now)
            else:
                found.append(effect)
        return found

    def open(self, effects: list[Effect], now: float, channel: int = 1) -> list[Effect]:
        """Open the one channel that is asked for."""
        (asked,) = [effect for effect in effects if isinstance(effect, OpenChannel)]
        return self.run(self.context.channels.pop(asked.op).opened(channel, now), now)


def asked(effects: Iterable[Effect]) -> list[str]:
    """The first device numbers that channels are opened to."""
    return [effect.name for effect in effects if isinstance(effect, OpenChannel)]


def reasons(effects: Iterable[Effect]) -> list[str]:
    """Why fetches ended."""
    return [effect.reason for effect in effects if isinstance(effect, FetchEnded)]


def test_one_at_a_time_and_not_what_is_known() -> None:
    """The second waits; by its turn its news is known, so that it is not asked at all."""
    bench = Bench()
    first = bench.fetcher.add(device(1), NEWS, 0.0)
    assert asked(first) == [f"git://{device(1)}/{GROUP.id}"]
    assert bench.fetcher.add(device(2), NEWS, 0.0) == []
    bench.taker.known.add(NEWS)
    (waiting,) = bench.context.channels.values()

    ended = waiting.failed(False, 1.0)
    assert asked(ended) == []
    assert reasons(ended) == ["it could not be reached"]
    assert bench.taker.ended == ["it could not be reached"]


def test_silence_ends_a_fetch() -> None:
    """After a minute without a byte; the channel is closed, and nothing is fetched there soon."""
    bench = Bench()
    request = bench.open(bench.fetcher.add(device(1), NEWS, 0.0), 0.0)
    assert [type(each) for each in request] == [WriteChannel]
    assert bench.fetcher.deadline == TIMEOUT
    assert bench.fetcher.advance(TIMEOUT - 1) == []

    ended = bench.fetcher.advance(TIMEOUT)
    assert CloseChannel(1) in ended
    assert reasons(ended) == ["the device fell silent"]
    assert bench.fetcher.add(device(1), NEWS, TIMEOUT) == []
    assert bench.fetcher.deadline == TIMEOUT + BACKOFF
    assert len(asked(bench.fetcher.advance(TIMEOUT + BACKOFF))) == 1


def test_silence_ends_sooner_when_others_wait() -> None:
    """Somebody no less reliable has news: some seconds, then it is their turn; then again."""
    bench = Bench()
    bench.open(bench.fetcher.add(device(1), NEWS, 0.0), 0.0)
    bench.fetcher.add(device(2), NEWS, 20.0)
    assert bench.fetcher.deadline == 20.0 + HASTE
    ended = bench.fetcher.advance(20.0 + HASTE)
    assert reasons(ended) == ["it says nothing, and others have news"]
    assert asked(ended) == [f"git://{device(2)}/{GROUP.id}"]
    (waiting,) = bench.context.channels.values()
    ended = waiting.failed(True, 40.0)
    assert asked(ended) == [f"git://{device(1)}/{GROUP.id}"]


def test_drops_are_not_enough() -> None:
    """A byte a minute keeps nobody waiting for ever."""
    bench = Bench()
    bench.open(bench.fetcher.add(device(1), NEWS, 0.0), 0.0)
    now, ended = 0.0, list[str]()
    while not ended:
        now += TIMEOUT
        bench.run(bench.fetcher.receive(b"0", now - 1), now - 1)
        ended = reasons(bench.fetcher.advance(now))
        assert now < 3 * TIMEOUT
    assert ended == ["2 bytes in 2 minutes"]


def test_who_takes_long_makes_room_for_others() -> None:
    """A fetch that goes on and on ends when somebody else has news, not before."""
    bench = Bench()
    bench.open(bench.fetcher.add(device(1), NEWS, 0.0), 0.0)
    line, now = encode(b"%040d refs/other\n" % 0), 0.0
    while now < 2 * PATIENCE:
        now += TIMEOUT
        for _ in range(PROGRESS_MIN // len(line) + 1):
            assert bench.run(bench.fetcher.receive(line, now - 1), now - 1) == []
        assert bench.fetcher.advance(now) == []
    bench.fetcher.add(device(2), NEWS, now)
    for _ in range(5):
        now += TIMEOUT / 6
        bench.run(bench.fetcher.receive(line, now), now)
        assert bench.fetcher.advance(now) == []

    ended = bench.fetcher.advance(now + TIMEOUT / 6)
    assert reasons(ended) == ["it takes too long, and others have news"]
    assert asked(ended) == [f"git://{device(2)}/{GROUP.id}"]


def test_nonsense_is_told_and_the_next_is_asked() -> None:
    """The reliable come first, and a liar waits longer each time."""
    bench = Bench()
    now, pauses = 0.0, list[float]()
    effects = bench.fetcher.add(device(1), NEWS, now)
    for _ in range(3):
        bench.open(effects, now)
        ended = bench.run(bench.fetcher.receive(b"nonsense", now), now)
        assert "pkt-line" in reasons(ended)[0]
        bench.fetcher.add(device(1), NEWS, now)
        deadline = bench.fetcher.deadline
        assert deadline is not None
        pauses.append(deadline - now)
        now = deadline
        effects = bench.fetcher.advance(now)
    assert pauses == [BACKOFF, 2 * BACKOFF, 4 * BACKOFF]


@pytest.mark.parametrize(
    ("error", "is_theirs"),
    [
        (InvalidCommitError(NEWS, "it is not of this conversation"), True),
        (DecodeError("not a commit"), True),
        (HistoryTooLargeError("commits", 1), True),
        (RepositoryError(Path("r"), "No space left"), False),
    ],
)
def test_whose_fault_a_failed_job_is(error: Exception, is_theirs: bool) -> None:
    """Who gives what no honest device gives has to wait; our own disk is not their fault."""
    bench = Bench()
    bench.open(bench.fetcher.add(device(1), NEWS, 0.0), 0.0)
    (work,) = bench.fetcher.receive(b"0008NAK\n", 0.0)
    assert isinstance(work, Work)
    ended = bench.context.waiting.pop(work.op).failed(error, 0.0)

    (told,) = [each for each in ended if isinstance(each, FetchEnded)]
    assert told == FetchEnded(GROUP.id, device(1), str(error), who(ALICE).account, is_theirs)
    assert bool(asked(bench.fetcher.add(device(1), NEWS, 0.0))) is not is_theirs


def test_a_full_queue_drops_the_least_reliable() -> None:
    """However many devices have news, it stays bounded, and the one that failed goes first."""
    bench = Bench()
    bench.open(bench.fetcher.add(device(1), NEWS, 0.0), 0.0)
    bench.run(bench.fetcher.receive(b"nonsense", 0.0), 0.0)
    bench.open(bench.fetcher.add(device(2), NEWS, 0.0), 0.0)
    for number in (1, *range(10, 10 + QUEUE_MAX)):
        bench.fetcher.add(device(number), NEWS, 0.0)
    bench.taker.known.add(NEWS)
    bench.fetcher.add(device(1), CommitId(b"m" * 20), 0.0)
    bench.fetcher.add(device(9), CommitId(b"m" * 20), 0.0)

    ended = bench.run(bench.fetcher.receive(b"nonsense", 1.0), 1.0)
    assert asked(ended) == [f"git://{device(9)}/{GROUP.id}"]


def test_who_is_out_is_not_fetched_from() -> None:
    """The fetch under way ends, and what waits is dropped."""
    bench = Bench()
    bench.open(bench.fetcher.add(device(1), NEWS, 0.0), 0.0)
    bench.fetcher.add(device(2), NEWS, 0.0)
    bench.fetcher.add(device(3), NEWS, 0.0)

    ended = bench.fetcher.forget({device(1), device(2)}, 1.0)
    assert CloseChannel(1) in ended
    assert asked(ended) == [f"git://{device(3)}/{GROUP.id}"]


def test_stopped() -> None:
    """The channel is closed, and what comes late is nobody's."""
    bench = Bench()
    bench.open(bench.fetcher.add(device(1), NEWS, 0.0), 0.0)

    assert bench.fetcher.stop() == [CloseChannel(1)]
    assert bench.fetcher.receive(b"late", 1.0) == []
    assert bench.fetcher.closed(1.0) == []
    assert bench.fetcher.deadline is None
