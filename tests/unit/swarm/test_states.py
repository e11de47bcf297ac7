"""Marks, preferences and typing of all conversations: what is kept, told, and when."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from shoal.core import AccountId, ConversationId, Persist
from shoal.identity import Forget
from shoal.sim.entropy import SeededEntropy
from shoal.swarm.commits import Commit
from shoal.swarm.context import Context
from shoal.swarm.effects import (
    Composing,
    PreferencesChanged,
    StatusChanged,
    TellOwnDevices,
    Work,
)
from shoal.swarm.errors import InvalidPreferenceError
from shoal.swarm.marks import Marks, unpack_all_marks, unpack_marks
from shoal.swarm.notices import ComposingNotice, DisplayedNotice
from shoal.swarm.preferences import Preferences, unpack_all_preferences, unpack_preferences
from shoal.swarm.roles import Role
from shoal.swarm.states import (
    COMPOSING_AGAIN,
    COMPOSING_TIME,
    GIVEN_TIME,
    SETTLE_TIME,
    WAITING_MAX,
    MarkKind,
    States,
    StoredState,
)
from tests.unit.swarm.people import WALL_NOW, who
from tests.unit.swarm.test_marks import commit_id, graph_of

if TYPE_CHECKING:
    from shoal.core import CommitId
    from shoal.swarm.effects import Effect
    from shoal.swarm.history import Graph

REEF = ConversationId(b"r" * 20)
ALICE, BOB, STRANGER = who("alice"), AccountId(b"b" * 20), AccountId(b"s" * 20)
A, B, C, D, ELSEWHERE = map(commit_id, "abcdz")


class FakeConversation:
    """Its graph is all that matters here."""

    def __init__(self, graph: Graph) -> None:
        self.graph = graph


class FakeSession:
    """A conversation of alice and bob: a, then b, then c."""

    id = REEF

    def __init__(self) -> None:
        self.known: set[CommitId] = {A, B, C}
        self.conversation = FakeConversation(graph_of({"a": "", "b": "a", "c": "b"}))

    def role(self, account: AccountId) -> Role | None:
        """Who is in it."""
        return Role.MEMBER if account in (ALICE.account, BOB) else None

    def knows(self, commit: CommitId) -> bool:
        """What came while we run."""
        return commit in self.known


class Reef:
    """The states of alice's device, and what they say."""

    def __init__(self, stored: dict[ConversationId, StoredState] | None = None) -> None:
        self.context = Context(ALICE, SeededEntropy(1), WALL_NOW, None)  # type: ignore[arg-type]
        self.told: list[object] = []
        self.states = States(self.context, stored or {}, self._broadcast)
        self.session: Any = FakeSession()

    def _broadcast(self, session: object, notice: object, now: float) -> list[Effect]:
        self.told.append(notice)
        return []

    def done(self, effects: list[Effect], now: float = 0.0) -> list[Effect]:
        """Run the jobs among *effects*, and those that follow; return the rest."""
        rest: list[Effect] = []
        for effect in effects:
            if isinstance(effect, Work):
                then = self.context.waiting.pop(effect.op).then
                rest += self.done(then(effect.job(), now), now)
            else:
                rest.append(effect)
        return rest

    def heard(self, kind: MarkKind, commit: CommitId, now: float = 0.0) -> list[Effect]:
        """Bob has come so far."""
        return self.done(self.states.heard(self.session, BOB, kind, commit, now), now)


@pytest.fixture
def reef() -> Reef:
    """Nothing is known yet."""
    return Reef()


def test_marks_move_forward_only(reef: Reef) -> None:
    """Whatever the order in which they are heard of."""
    (event,) = reef.heard(MarkKind.FETCHED, B)
    assert event == StatusChanged(REEF, BOB, B, None)
    assert reef.heard(MarkKind.FETCHED, B) == []
    assert reef.heard(MarkKind.FETCHED, A) == []
    assert reef.heard(MarkKind.FETCHED, C) == [StatusChanged(REEF, BOB, C, None)]
    assert reef.states.marks(REEF) == {BOB: Marks(C, int(WALL_NOW))}


def test_what_is_displayed_is_kept_before_it_is_told(reef: Reef) -> None:
    """What is fetched, half a second later; others devices hear of both at once."""
    kept, event = reef.heard(MarkKind.DISPLAYED, A)
    assert isinstance(kept, Persist)
    assert kept.name == f"conversation_data/{REEF}/status"
    assert unpack_marks(kept.data) == {BOB: Marks(displayed=A, wall_displayed=int(WALL_NOW))}
    assert event == StatusChanged(REEF, BOB, None, A)

    reef.heard(MarkKind.FETCHED, B, 0.1)
    assert reef.states.next_deadline() == SETTLE_TIME
    assert reef.states.advance(0.1) == []
    kept, told = reef.states.advance(SETTLE_TIME)
    assert isinstance(kept, Persist)
    assert isinstance(told, TellOwnDevices)
    assert unpack_marks(kept.data) == unpack_all_marks(told.statuses)[REEF]
    assert unpack_all_preferences(told.preferences) == {}
    assert reef.states.next_deadline() is None
    assert reef.states.settle() == []


def test_a_mark_at_a_commit_that_has_not_come(reef: Reef) -> None:
    """It waits for it; one at a commit that never comes says nothing for ever."""
    reef.heard(MarkKind.DISPLAYED, A)
    assert reef.heard(MarkKind.DISPLAYED, D) == []
    assert reef.done(reef.states.has(reef.session, BOB, D, 0.0)) == []
    assert reef.states.marks(REEF)[BOB].displayed == A

    graph = reef.session.conversation.graph
    (new,) = (Commit(D, bytes(20), (C,), "", ALICE.device_id, 9, b"", None, b""),)
    graph.add(new)
    reef.session.known.add(D)
    events = reef.done(reef.states.taken(reef.session, [], 1.0))
    assert StatusChanged(REEF, BOB, D, D) in events

    late = Reef({REEF: StoredState({BOB: Marks(ELSEWHERE, 5)})})
    assert late.heard(MarkKind.FETCHED, A) == [StatusChanged(REEF, BOB, A, None)]


def test_what_waits_is_limited(reef: Reef) -> None:
    """The oldest is dropped."""
    for number in range(WAITING_MAX + 5):
        account = AccountId(number.to_bytes(20))
        reef.states.has(reef.session, account, D, 0.0)
    reef.session.known.add(D)
    assert len(reef.states.taken(reef.session, [], 0.0)) == WAITING_MAX


def test_before_it_is_cloned(reef: Reef) -> None:
    """A first mark is taken as it is; a second has to wait for the history."""
    reef.session.conversation = None
    assert reef.heard(MarkKind.FETCHED, ELSEWHERE) != []
    assert reef.heard(MarkKind.FETCHED, A) == []


def test_another_device_of_ours(reef: Reef) -> None:
    """With the history the graph decides, without it the time."""
    theirs = {BOB: Marks(B, 10, A, 20)}
    assert reef.states.synced(REEF, theirs, None, 0.0) != []
    assert reef.states.synced(REEF, theirs, None, 0.0) == []
    assert reef.states.synced(REEF, {BOB: Marks(C, 5)}, None, 0.0) == []
    events = reef.done(reef.states.synced(REEF, {BOB: Marks(C, 5)}, reef.session, 0.0))
    assert events == [StatusChanged(REEF, BOB, C, A)]
    assert reef.states.last_displayed(REEF) is None
    reef.states.synced(REEF, {ALICE.account: Marks(displayed=C, wall_displayed=1)}, None, 0.0)
    assert reef.states.last_displayed(REEF) == C
    packed = reef.states.packed()
    assert unpack_all_marks(packed.statuses) == {REEF: dict(reef.states.marks(REEF))}

    reef.states.settle()
    assert reef.states.given(REEF, ALICE.device_id, 0.0) == []
    assert reef.states.given(REEF, ALICE.device_id, 5.0) == []
    assert reef.states.given(ConversationId(bytes(20)), ALICE.device_id, 5.0) == []
    assert reef.states.next_deadline() == GIVEN_TIME
    assert reef.states.advance(GIVEN_TIME) == [packed]
    assert reef.states.next_deadline() is None


def test_preferences(reef: Reef) -> None:
    """On disk before it is told; of two devices the one that changed last is right."""
    kept, changed, told = reef.states.prefer(REEF, {"color": "#123456"}, 0.0)
    wanted = Preferences({"color": "#123456"}, int(WALL_NOW))
    assert isinstance(kept, Persist)
    assert kept.name == f"conversation_data/{REEF}/preferences"
    assert unpack_preferences(kept.data) == wanted == reef.states.preferences(REEF)
    assert changed == PreferencesChanged(REEF, wanted)
    assert isinstance(told, TellOwnDevices)
    assert unpack_all_preferences(told.preferences) == {REEF: wanted}

    assert reef.states.preferences_synced(REEF, Preferences({}, int(WALL_NOW))) == []
    newer = Preferences({"color": "#fff"}, int(WALL_NOW) + 1)
    _, changed = reef.states.preferences_synced(REEF, newer)
    assert changed == PreferencesChanged(REEF, newer)
    with pytest.raises(InvalidPreferenceError):
        reef.states.prefer(REEF, {"": "x"}, 0.0)
    assert unpack_all_preferences(reef.states.packed().preferences) == {REEF: newer}


def test_others_type(reef: Reef) -> None:
    """Told once, over after twelve seconds or with a word; strangers and we ourselves count not."""
    types = ComposingNotice(REEF, is_active=True)
    started = [Composing(REEF, BOB, is_active=True)]
    over = [Composing(REEF, BOB, is_active=False)]
    assert reef.states.noticed(reef.session, STRANGER, types, 0.0) == []
    assert reef.states.noticed(reef.session, STRANGER, DisplayedNotice(REEF, A), 0.0) == []
    assert reef.states.noticed(reef.session, ALICE.account, types, 0.0) == []
    assert reef.states.noticed(reef.session, BOB, types, 0.0) == started
    assert reef.states.noticed(reef.session, BOB, types, 5.0) == []
    assert reef.states.composing(REEF) == (BOB,)
    assert reef.states.next_deadline() == 5.0 + COMPOSING_TIME
    assert reef.states.advance(5.0 + COMPOSING_TIME) == over
    assert reef.states.composing(REEF) == ()
    reef.states.noticed(reef.session, BOB, types, 20.0)
    idle = ComposingNotice(REEF, is_active=False)
    assert reef.states.noticed(reef.session, BOB, idle, 21.0) == over
    assert reef.states.noticed(reef.session, BOB, idle, 21.0) == []


def test_we_type(reef: Reef) -> None:
    """Others hear of it, again while it goes on, and of its end even if nobody says so."""
    active, idle = ComposingNotice(REEF, is_active=True), ComposingNotice(REEF, is_active=False)
    reef.states.set_typing(reef.session, 0.0, is_active=True)
    reef.states.set_typing(reef.session, 1.0, is_active=True)
    assert reef.told == [active]
    reef.states.set_typing(reef.session, COMPOSING_AGAIN, is_active=True)
    assert reef.told == [active, active]
    assert reef.states.next_deadline() == COMPOSING_AGAIN + COMPOSING_TIME
    reef.states.advance(COMPOSING_AGAIN + COMPOSING_TIME)
    assert reef.told[2:] == [idle]
    reef.states.set_typing(reef.session, 30.0, is_active=False)
    assert reef.told[3:] == []


def test_nothing_is_left(reef: Reef) -> None:
    """Of a conversation that we left."""
    assert reef.states.forget(REEF) == []
    reef.heard(MarkKind.FETCHED, B)
    reef.states.noticed(reef.session, BOB, ComposingNotice(REEF, is_active=True), 0.0)
    reef.states.has(reef.session, BOB, D, 0.0)
    reef.states.given(REEF, ALICE.device_id, 0.0)
    reef.states.set_typing(reef.session, 0.0, is_active=True)
    folder = f"conversation_data/{REEF}"
    assert reef.states.forget(REEF) == [
        Forget(f"{folder}/status"),
        Forget(f"{folder}/preferences"),
    ]
    assert reef.states.advance(100.0) == []
    assert reef.states.next_deadline() is None
    assert reef.states.marks(REEF) == {}
    assert reef.states.preferences(REEF) == Preferences()


def test_what_was_under_way_when_we_left(reef: Reef) -> None:
    """Comparing two commits ends after the conversation is forgotten: nothing comes back."""
    reef.heard(MarkKind.DISPLAYED, A)
    for commit in (B, D):
        work = reef.states.heard(reef.session, BOB, MarkKind.DISPLAYED, commit, 0.0)
        assert isinstance(work[0], Work)
        reef.states.forget(REEF)
        assert reef.done(work) == []
        assert reef.states.marks(REEF) == {}
        reef.heard(MarkKind.DISPLAYED, A)
