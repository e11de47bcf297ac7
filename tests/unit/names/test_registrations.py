"""Registrations on their way: promised before they are sent, sent once, answered truly."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from shoal.names import NameRecord, NameServerConfig, NameServerLimits
from shoal.names import registrations as module
from shoal.names.effects import (
    DropIntent,
    Effect,
    Intent,
    IntentState,
    KeepIntent,
    Reply,
    Reserve,
)
from shoal.names.registrations import RegistrationEngine
from tests.unit.names.memory_index import MemoryIndex
from tests.unit.names.people import forged, owner_of, record_of

if TYPE_CHECKING:
    import pytest

WALL = 1.7e9
ALICE, BOB = record_of("alice"), record_of("bob")
BOB_AS_ALICE = record_of("bob", "alice")
ALICE_AS_CAROL = record_of("alice", "carol")
CONFIG = NameServerConfig(answer_patience=20.0, limits=NameServerLimits(pending=3))


def engine_of(index: MemoryIndex, *intents: Intent, is_up: bool = True) -> RegistrationEngine:
    """Return an engine whose chain answers, or not."""
    engine = RegistrationEngine(CONFIG, index, intents)
    if is_up:
        engine.chain_up(0.0, WALL)
    return engine


def kept(record: NameRecord, state: str = "sent") -> KeepIntent:
    """Return the order to keep a record's intent."""
    return KeepIntent(Intent(record, IntentState(state), WALL))


def told(effect: Effect) -> tuple[int, int, dict[str, Any]]:
    """Return which request was answered, with what status and body."""
    assert isinstance(effect, Reply)
    return effect.request, effect.response.status, json.loads(effect.response.body)


def test_one_registration() -> None:
    """Kept, sent, on the chain, answered."""
    index = MemoryIndex()
    engine = engine_of(index)

    assert engine.register(1, ALICE, 0.0, WALL) == [kept(ALICE), Reserve(ALICE)]
    assert engine.progress("alice") == ("pending", "sent")
    assert engine.is_known(ALICE)
    assert not engine.is_known(BOB_AS_ALICE)
    index.put(ALICE)
    reply, done = engine.reserved("alice", 1.0, WALL)
    assert told(reply) == (1, 200, {"success": True})
    assert done == kept(ALICE, "done")
    assert len(engine) == 0
    assert engine.reserved("alice", 1.0, WALL) == []
    assert engine.stats.registered == engine.stats.accepted == 1


def test_repeating_is_harmless() -> None:
    """While it is under way a repetition waits for the same end; afterwards it succeeds at once."""
    index = MemoryIndex()
    engine = engine_of(index)
    engine.register(1, ALICE, 0.0, WALL)

    assert engine.register(2, ALICE, 0.5, WALL) == []
    index.put(ALICE)
    replies = engine.reserved("alice", 1.0, WALL)
    assert [told(each)[:2] for each in replies[:2]] == [(1, 200), (2, 200)]
    (again,) = engine.register(3, ALICE, 2.0, WALL)
    assert told(again)[:2] == (3, 200)
    assert engine.stats.accepted == 1


def test_what_the_index_decides() -> None:
    """Taken, another owner, another name of the account, and a record that proves nothing."""
    index = MemoryIndex(ALICE, forged(BOB, signature=b"x"))
    engine = engine_of(index)
    other_owner = ALICE.with_owner(owner_of("bob"))

    for record, status, code in (
        (BOB_AS_ALICE, 403, "taken"),
        (other_owner, 403, "taken"),
        (ALICE_AS_CAROL, 403, "named"),
        (BOB, 403, "taken"),  # somebody wrote nonsense about bob on the chain
        (record_of("bob", "bobby"), 403, "named"),
    ):
        (reply,) = engine.register(1, record, 0.0, WALL)
        assert told(reply)[1] == status
        assert told(reply)[2]["code"] == code
        assert told(reply)[2]["success"] is False
    assert len(engine) == 0


def test_two_want_one_name() -> None:
    """The second waits for the decision about the first, and is told the truth."""
    index = MemoryIndex()
    engine = engine_of(index)
    engine.register(1, ALICE, 0.0, WALL)

    assert engine.register(2, BOB_AS_ALICE, 0.1, WALL) == []
    index.put(ALICE)
    first, second, *_ = engine.reserved("alice", 1.0, WALL)
    assert told(first)[:2] == (1, 200)
    assert told(second)[:2] == (2, 403)


def test_the_second_gets_what_the_first_could_not() -> None:
    """The chain refuses the first, whose account has a name that the index had not seen."""
    index = MemoryIndex()
    engine = engine_of(index)
    engine.register(1, ALICE, 0.0, WALL)
    engine.register(2, BOB_AS_ALICE, 0.1, WALL)
    index.put(ALICE_AS_CAROL)

    reply, *rest = engine.refused("alice", "account has a name", 1.0, WALL)
    assert told(reply)[:2] == (1, 403)
    assert told(reply)[2]["name"] == "carol"
    assert rest == [kept(BOB_AS_ALICE), Reserve(BOB_AS_ALICE)]
    index.put(BOB_AS_ALICE)
    assert told(engine.reserved("alice", 2.0, WALL)[0])[:2] == (2, 200)


def test_the_chain_refuses() -> None:
    """For a reason that the index does not show: in the chain's words, and nothing is kept."""
    engine = engine_of(MemoryIndex())
    engine.register(1, ALICE, 0.0, WALL)

    reply, drop = engine.refused("alice", "bad owner", 1.0, WALL)
    assert told(reply)[1] == 403
    assert "bad owner" in told(reply)[2]["error"]
    assert drop == DropIntent("alice")
    assert engine.progress("alice") == ("refused", "bad owner")
    engine.register(2, ALICE, 2.0, WALL)
    assert engine.progress("alice")[0] == "pending"
    assert engine.refused("nobody", "x", 1.0, WALL) == []


def test_the_chain_is_away() -> None:
    """The request is kept, the client told so; once the chain is back it is sent."""
    index = MemoryIndex()
    engine = engine_of(index, is_up=False)

    keep, reply = engine.register(1, ALICE, 0.0, WALL)
    assert keep == kept(ALICE, "waiting")
    assert told(reply)[:2] == (1, 503)
    assert told(reply)[2]["code"] == "pending"
    (again,) = engine.register(2, ALICE, 1.0, WALL)
    assert told(again)[1] == 503
    (other,) = engine.register(3, BOB_AS_ALICE, 1.0, WALL)
    assert told(other)[2]["code"] == "busy"  # theirs is not kept
    assert engine.chain_up(5.0, WALL) == [kept(ALICE), Reserve(ALICE)]
    index.put(ALICE)
    assert engine.reserved("alice", 6.0, WALL) == [kept(ALICE, "done")]


def test_the_chain_goes_away_midway() -> None:
    """Who waits is told at once; what was sent is neither lost nor sent twice."""
    engine = engine_of(MemoryIndex())
    engine.register(1, ALICE, 0.0, WALL)

    (reply,) = engine.chain_down(1.0)
    assert told(reply)[:2] == (1, 503)
    assert engine.chain_up(2.0, WALL) == []  # it is with the chain still
    assert engine.delayed("alice", "x", 3.0) == []
    assert engine.next_deadline() == 4.0
    assert engine.advance(4.0) == [Reserve(ALICE)]
    assert engine.delayed("alice", "x", 4.0) == []
    assert engine.chain_down(4.5) == []
    assert engine.advance(6.0) == []  # nobody to send to
    assert engine.chain_up(7.0, WALL) == [Reserve(ALICE)]


def test_delays_are_told_and_grow() -> None:
    """Whoever waits is told why; attempts come ever less often."""
    engine = engine_of(MemoryIndex())
    engine.register(1, ALICE, 0.0, WALL)

    (reply,) = engine.delayed("alice", "no money", 0.0)
    assert told(reply)[1] == 503
    assert "no money" in told(reply)[2]["error"]
    now, waits = 0.0, list[float]()
    while len(waits) < 8:
        due = engine.next_deadline()
        assert due is not None
        if engine.advance(due) != [Reserve(ALICE)]:
            continue  # the moment at which the client's patience would have ended
        waits.append(due - now)
        now = due
        engine.delayed("alice", "no money", now)
    assert waits == [1.0, 2.0, 4.0, 8.0, 16.0, 30.0, 30.0, 30.0]
    assert engine.delayed("nobody", "x", 0.0) == []


def test_patience_ends() -> None:
    """After twenty seconds the client is told to ask again, and it goes on."""
    engine = engine_of(MemoryIndex())
    engine.register(1, ALICE, 0.0, WALL)
    engine.register(2, ALICE, 5.0, WALL)

    assert engine.next_deadline() == 20.0
    (reply,) = engine.advance(20.0)
    assert told(reply)[:2] == (1, 503)
    assert told(reply)[2]["code"] == "pending"
    assert engine.next_deadline() == 25.0
    (reply,) = engine.advance(25.0)
    assert told(reply)[0] == 2
    assert engine.next_deadline() is None
    assert engine.is_known(ALICE)


def test_alarms_of_what_is_over_are_harmless() -> None:
    """Patience and retries of a registration that has ended wake nobody."""
    index = MemoryIndex()
    engine = engine_of(index)
    engine.register(1, ALICE, 0.0, WALL)
    index.put(ALICE)
    engine.reserved("alice", 1.0, WALL)

    assert engine.next_deadline() == 20.0
    assert engine.advance(20.0) == []
    assert engine.next_deadline() is None


def test_after_a_crash() -> None:
    """What was sent is taken up; what waited is sent; what was done is remembered."""
    done = kept(record_of("carol"), "done").intent
    intents = [kept(ALICE).intent, kept(BOB, "waiting").intent, done]
    index = MemoryIndex(record_of("carol"))
    engine = RegistrationEngine(CONFIG, index, intents)

    assert engine.stats.resumed == 2
    assert engine.chain_up(0.0, WALL) == [Reserve(ALICE), kept(BOB), Reserve(BOB)]
    index.put(ALICE)
    assert engine.reserved("alice", 1.0, WALL) == [kept(ALICE, "done")]


def test_another_name_while_nothing_was_sent() -> None:
    """An account may change its mind as long as the chain is away."""
    engine = engine_of(MemoryIndex(), is_up=False)
    engine.register(1, ALICE, 0.0, WALL)

    keep, drop, reply = engine.register(2, ALICE_AS_CAROL, 1.0, WALL)
    assert (drop, keep) == (DropIntent("alice"), kept(ALICE_AS_CAROL, "waiting"))
    assert told(reply)[:2] == (2, 503)
    assert engine.progress("alice") == ("", "")
    assert engine.stats.superseded == 1


def test_another_name_after_it_was_sent() -> None:
    """Then the first is decided before the second is judged."""
    index = MemoryIndex()
    engine = engine_of(index)
    engine.register(1, ALICE, 0.0, WALL)

    assert engine.register(2, ALICE_AS_CAROL, 1.0, WALL) == []
    index.put(ALICE)
    first, second, *_ = engine.reserved("alice", 2.0, WALL)
    assert told(first)[:2] == (1, 200)
    assert told(second)[:2] == (2, 403)
    assert told(second)[2]["name"] == "alice"


def test_another_owner_while_it_is_under_way() -> None:
    """No success for an owner that the record does not have."""
    index = MemoryIndex()
    engine = engine_of(index)
    engine.register(1, ALICE, 0.0, WALL)

    assert engine.register(2, ALICE.with_owner(owner_of("bob")), 1.0, WALL) == []
    index.put(ALICE)
    first, second, *_ = engine.reserved("alice", 2.0, WALL)
    assert (told(first)[1], told(second)[1]) == (200, 403)


def test_too_many_are_refused() -> None:
    """Beyond the bound nothing is promised."""
    engine = engine_of(MemoryIndex())
    for number, name in enumerate(("aaa", "bbb", "ccc")):
        engine.register(number, record_of(name), 0.0, WALL)

    (reply,) = engine.register(9, ALICE, 0.0, WALL)
    assert told(reply)[:2] == (9, 503)
    assert told(reply)[2]["code"] == "busy"
    assert len(engine) == 3


def test_too_many_wait_for_one_name() -> None:
    """The rest is told to ask again."""
    engine = engine_of(MemoryIndex())

    effects = [engine.register(n, ALICE, 0.0, WALL) for n in range(module.WAITERS_MAX + 1)]
    (reply,) = effects[-1]
    assert told(reply)[1] == 503


def test_the_chain_works_on_so_many(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is beyond waits in the journal, in order."""
    monkeypatch.setattr(module, "SENT_MAX", 1)
    index = MemoryIndex()
    engine = engine_of(index)

    assert engine.register(1, ALICE, 0.0, WALL) == [kept(ALICE), Reserve(ALICE)]
    assert engine.register(2, BOB, 0.0, WALL) == [kept(BOB, "waiting")]
    index.put(ALICE)
    assert engine.reserved("alice", 1.0, WALL)[1:] == [
        kept(ALICE, "done"),
        kept(BOB),
        Reserve(BOB),
    ]


def test_what_the_chain_never_saw_is_given_up_at_last() -> None:
    """After a week without a chain; until then it is kept."""
    engine = engine_of(MemoryIndex(), is_up=False)
    engine.register(1, ALICE, 0.0, WALL)
    engine.register(2, BOB, 0.0, WALL + module.WAITING_LIFE)

    later = WALL + module.WAITING_LIFE + 1
    assert engine.chain_up(9.0, later) == [
        DropIntent("alice"),
        KeepIntent(Intent(BOB, IntentState.SENT, WALL + module.WAITING_LIFE)),
        Reserve(BOB),
    ]
    assert engine.stats.expired == 1


def test_a_reorganisation_takes_a_name_away() -> None:
    """What clients were told is done is brought to the chain again, unless others were faster."""
    index = MemoryIndex(ALICE, BOB)
    engine = engine_of(index, kept(ALICE, "done").intent, kept(BOB, "done").intent)

    assert engine.reorganised(0.0, WALL) == []
    index.names.clear()
    index.put(record_of("carol", "bob"))
    assert engine.reorganised(1.0, WALL) == [kept(ALICE), Reserve(ALICE), DropIntent("bob")]
    assert (engine.stats.repeated, engine.stats.lost) == (1, 1)


def test_what_is_done_is_kept_for_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    """The journal is bounded."""
    monkeypatch.setattr(module, "DONE_KEPT_MAX", 1)
    index = MemoryIndex()
    engine = engine_of(index, kept(BOB, "done").intent)
    engine.register(1, ALICE, 0.0, WALL)
    index.put(ALICE)

    assert engine.reserved("alice", 1.0, WALL)[1:] == [kept(ALICE, "done"), DropIntent("bob")]


def test_the_journal_fails() -> None:
    """Nothing was promised and nothing sent: the client may try again."""
    engine = engine_of(MemoryIndex())
    engine.register(1, ALICE, 0.0, WALL)

    (reply,) = engine.not_kept("alice")
    assert told(reply)[1] == 503
    assert told(reply)[2]["code"] == "busy"
    assert len(engine) == 0
    assert engine.not_kept("alice") == []


def test_refusals_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Those who ask how it went learn about the latest."""
    monkeypatch.setattr(module, "REFUSALS_KEPT_MAX", 1)
    engine = engine_of(MemoryIndex())
    for record in (ALICE, BOB):
        engine.register(1, record, 0.0, WALL)
        engine.refused(record.name, "why not", 0.0, WALL)

    assert engine.progress("alice") == ("", "")
    assert engine.progress("bob") == ("refused", "why not")


PEOPLE = ("ann", "ben", "cat")
NAMES = ("one", "two", "three")
RECORDS = [record_of(person, name) for person in PEOPLE for name in NAMES]


class World(RuleBasedStateMachine):
    """A server, its journal and a chain, with crashes and outages between any two steps.

    The chain is what the contract is: a name and an account once each. Effects are carried out as
    the driver does: those behind a journal entry only once it is written, which may never happen.
    """

    def __init__(self) -> None:
        super().__init__()
        self.chain: dict[str, NameRecord] = {}
        self.index = MemoryIndex()
        self.journal: dict[str, Intent] = {}
        self.ordered: list[NameRecord] = []  # reservations that the chain works on
        self.asked: dict[int, NameRecord] = {}
        self.answered: set[int] = set()
        self.promised: set[NameRecord] = set()  # of which a client was told that it is done
        self.kept: set[NameRecord] = set()  # of which a client was told that it is kept
        self.now = 0.0
        self.count = 0
        self.is_up = True
        self.restart()

    def restart(self) -> None:
        """Begin anew with what is on disk."""
        intents = sorted(self.journal.values(), key=lambda each: each.wall_created)
        config = replace(CONFIG, limits=NameServerLimits(pending=50))
        self.engine = RegistrationEngine(config, self.index, intents)
        self.ordered = []
        if self.is_up:
            self.play(self.engine.chain_up(self.now, self.wall))

    @property
    def wall(self) -> float:
        """The time of day."""
        return WALL + self.now

    def play(self, effects: list[Effect], until: int | None = None) -> None:
        """Carry out effects in order; a crash may come after *until* of them."""
        for effect in effects[:until]:
            match effect:
                case KeepIntent(intent):
                    self.journal[intent.record.name] = intent
                case DropIntent(name):
                    self.journal.pop(name, None)
                case Reserve(record):
                    assert self.journal[record.name].state is IntentState.SENT
                    self.ordered.append(record)
                case Reply(request, response):
                    self.reply(request, response.status, json.loads(response.body))
                case _:
                    raise AssertionError(effect)
        if until is not None:
            self.restart()

    def reply(self, request: int, status: int, body: dict[str, Any]) -> None:
        """Check that what the client is told is true."""
        assert request not in self.answered
        self.answered.add(request)
        record, on_chain = self.asked[request], self.chain.get(self.asked[request].name)
        if status == 200:
            assert on_chain == record
            self.promised.add(record)
        elif status == 403:
            named = [each for each in self.chain.values() if each.account == record.account]
            assert on_chain not in {None, record} or named not in ([], [record])
        elif body["code"] == "pending":
            self.kept.add(record)
            self.kept -= {each for each in self.kept if _rivals(each, record)}
        else:
            assert status == 503

    @rule(record=st.sampled_from(RECORDS), crash=st.none() | st.integers(0, 3))
    def register(self, record: NameRecord, crash: int | None) -> None:
        """A client asks; the server may be killed after any of the effects."""
        self.count += 1
        self.asked[self.count] = record
        self.now += 0.1
        self.play(self.engine.register(self.count, record, self.now, self.wall), crash)

    @precondition(lambda self: self.ordered and self.is_up)
    @rule(data=st.data(), crash=st.none() | st.integers(0, 3), is_told=st.booleans())
    def mine(self, data: st.DataObject, crash: int | None, is_told: bool) -> None:
        """The chain decides one; the news may get lost in a crash."""
        record = self.ordered.pop(data.draw(st.integers(0, len(self.ordered) - 1)))
        others = {each.account for each in self.chain.values() if each != record}
        if record.name not in self.chain and record.account not in others:
            self.chain[record.name] = record
            self.index.put(record)
        if not is_told:
            self.restart()
        elif self.chain.get(record.name) == record:
            self.play(self.engine.reserved(record.name, self.now, self.wall), crash)
        else:
            self.play(self.engine.refused(record.name, "no", self.now, self.wall), crash)

    @precondition(lambda self: self.ordered)
    @rule(data=st.data())
    def delay(self, data: st.DataObject) -> None:
        """The chain has no time."""
        record = self.ordered.pop(data.draw(st.integers(0, len(self.ordered) - 1)))
        self.play(self.engine.delayed(record.name, "busy", self.now))

    @rule(crash=st.none() | st.integers(0, 3))
    def toggle(self, crash: int | None) -> None:
        """The chain goes away or comes back."""
        self.is_up = not self.is_up
        if self.is_up:
            self.play(self.engine.chain_up(self.now, self.wall), crash)
        else:
            self.play(self.engine.chain_down(self.now), crash)

    @rule(seconds=st.sampled_from([0.5, 5.0, 40.0]), crash=st.none() | st.integers(0, 3))
    def wait(self, seconds: float, crash: int | None) -> None:
        """Time passes."""
        self.now += seconds
        self.play(self.engine.advance(self.now), crash)
        deadline = self.engine.next_deadline()
        assert deadline is None or deadline > self.now

    @rule()
    def kill(self) -> None:
        """The server is killed between two steps."""
        self.restart()

    @invariant()
    def what_was_promised_is_there(self) -> None:
        """Nobody was told of a success that is none."""
        for record in self.promised:
            assert self.chain[record.name] == record

    @invariant()
    def what_is_kept_is_not_lost(self) -> None:
        """What a client was told is kept is in the journal, or decided, or outdated."""
        for record in self.kept:
            accounts = {each.account for each in self.chain.values()}
            is_decided = record.name in self.chain or record.account in accounts
            wishes = [each.record for each in self.journal.values()]
            has_newer = any(_rivals(each, record) for each in wishes)
            assert is_decided or has_newer or record in wishes

    def teardown(self) -> None:
        """In the end everything that was kept is decided, and everybody is answered."""
        self.is_up = True
        self.restart()
        for _ in range(100):
            self.play(self.engine.advance(self.now))
            if not self.ordered:
                break
            record = self.ordered.pop(0)
            others = {each.account for each in self.chain.values() if each != record}
            if record.name not in self.chain and record.account not in others:
                self.chain[record.name] = record
                self.index.put(record)
            if self.chain.get(record.name) == record:
                self.play(self.engine.reserved(record.name, self.now, self.wall))
            else:
                self.play(self.engine.refused(record.name, "no", self.now, self.wall))
        assert len(self.engine) == 0
        for record in self.kept:
            accounts = {each.account for each in self.chain.values()}
            assert record.name in self.chain or record.account in accounts


def _rivals(one: NameRecord, other: NameRecord) -> bool:
    """Tell whether an account changed its mind from one to the other."""
    return one.account == other.account and one != other


TestWorld = World.TestCase
TestWorld.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
