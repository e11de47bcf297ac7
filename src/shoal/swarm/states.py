"""What changes beside the histories: who has and has seen what, who types, what the user wants.

Theory of operation. A mark says how far a member has come. It moves forward only: whether a commit
is newer than the one where a mark is, the graph says, in the conversation's thread. What somebody
has is learnt from what they fetch, from what they tell, and from what they say themselves; what
they have seen, from their notices alone. A mark at a commit that has not come yet waits for it.

What members have seen is on disk when it is told; what they have, half a second later, since it is
learnt anew by every fetch. Our other devices hear of both in one message for several.

Typing ends by itself after twelve seconds, and with each message of who typed.
"""

from __future__ import annotations

import enum
from dataclasses import field, replace
from typing import TYPE_CHECKING, Final

from shoal.core import Persist
from shoal.core.records import dataclass
from shoal.identity import Forget
from shoal.swarm.effects import Composing, PreferencesChanged, StatusChanged, TellOwnDevices
from shoal.swarm.marks import Marks, pack_all_marks, pack_marks
from shoal.swarm.notices import ComposingNotice
from shoal.swarm.preferences import Preferences, pack_all_preferences, pack_preferences

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from shoal.core import AccountId, CommitId, ConversationId, DeviceId
    from shoal.swarm.context import Context
    from shoal.swarm.conversation import Taken
    from shoal.swarm.effects import Effect
    from shoal.swarm.history import Graph
    from shoal.swarm.notices import DisplayedNotice, Notice
    from shoal.swarm.session import Session

STATES_FOLDER: Final = "conversation_data"  # Jami's names
STATUS_FILE: Final = "status"
PREFERENCES_FILE: Final = "preferences"
COMPOSING_TIME: Final = 12.0  # Jami: seconds after which nobody types any more
COMPOSING_AGAIN: Final = 5.0  # ours: seconds after which others hear again that we type
GIVEN_TIME: Final = 10.0  # ours: seconds that a device of ours may take to open what it fetched
SETTLE_TIME: Final = 0.5  # ours: seconds that changes are gathered for
WAITING_MAX: Final = 4_096  # ours: marks at commits that have not come yet


class MarkKind(enum.Enum):
    """What a mark is about."""

    FETCHED = "fetched"
    DISPLAYED = "displayed"

    def of(self, marks: Marks) -> CommitId | None:
        """Where it is."""
        return marks.fetched if self is MarkKind.FETCHED else marks.displayed

    def moved(self, marks: Marks, commit: CommitId, wall_seconds: int) -> Marks:
        """Return *marks* with it elsewhere."""
        if self is MarkKind.FETCHED:
            return replace(marks, fetched=commit, wall_fetched=wall_seconds)
        return replace(marks, displayed=commit, wall_displayed=wall_seconds)


class _Order(enum.Enum):
    NEWER = enum.auto()
    OLDER = enum.auto()
    UNKNOWN = enum.auto()


@dataclass(slots=True)
class _Typing:
    """When we last told that we type, and until when we do."""

    told: float
    until: float


@dataclass(slots=True)
class StoredState:
    """What is kept of one conversation."""

    marks: dict[AccountId, Marks] = field(default_factory=dict)
    preferences: Preferences = field(default_factory=Preferences)


class States:
    """The states of all conversations of an account."""

    def __init__(
        self,
        context: Context,
        stored: Mapping[ConversationId, StoredState],
        broadcast: Callable[[Session, Notice, float], list[Effect]],
    ) -> None:
        """Go on with what is *stored*; *broadcast* tells the members who are connected."""
        self._context = context
        self._stored = dict(stored)
        self._broadcast = broadcast
        self._typing: dict[ConversationId, dict[AccountId, float]] = {}
        self._own_typing: dict[ConversationId, tuple[Session, _Typing]] = {}
        self._waiting: dict[tuple[ConversationId, AccountId, MarkKind], CommitId] = {}
        self._unkept: set[ConversationId] = set()
        self._untold: dict[ConversationId, set[AccountId]] = {}
        self._given: set[tuple[ConversationId, DeviceId]] = set()
        self._tell_again: dict[ConversationId, float] = {}
        self._settle_at: float | None = None

    # --- What is known ------------------------------------------------------------------------

    def marks(self, conversation: ConversationId) -> Mapping[AccountId, Marks]:
        """Return how far members have come; who is not there has nothing yet."""
        stored = self._stored.get(conversation)
        return {} if stored is None else stored.marks

    def preferences(self, conversation: ConversationId) -> Preferences:
        """Return what the user wants of a conversation."""
        stored = self._stored.get(conversation)
        return Preferences() if stored is None else stored.preferences

    def composing(self, conversation: ConversationId) -> tuple[AccountId, ...]:
        """Return who types."""
        return tuple(self._typing.get(conversation, ()))

    def last_displayed(self, conversation: ConversationId) -> CommitId | None:
        """Return up to where we have seen it, on any device of ours."""
        return self.marks(conversation).get(self._context.me.account, Marks()).displayed

    def packed(self) -> TellOwnDevices:
        """Return everything, as a new device of ours is told."""
        return TellOwnDevices(
            pack_all_preferences(
                {
                    key: each.preferences
                    for key, each in self._stored.items()
                    if each.preferences.wall_modified
                }
            ),
            pack_all_marks({key: each.marks for key, each in self._stored.items() if each.marks}),
        )

    def noticed(
        self,
        session: Session,
        account: AccountId,
        notice: DisplayedNotice | ComposingNotice,
        now: float,
    ) -> list[Effect]:
        """Take what a member tells of themselves; others are not heard."""
        if session.role(account) is None:
            return []
        if isinstance(notice, ComposingNotice):
            return self._types(session, account, now, is_active=notice.is_active)
        return self.heard(session, account, MarkKind.DISPLAYED, notice.commit, now)

    # --- Marks --------------------------------------------------------------------------------

    def has(
        self, session: Session, account: AccountId, commit: CommitId, now: float
    ) -> list[Effect]:
        """A member's device has *commit*; news wait until they have come."""
        if session.knows(commit):
            return self.heard(session, account, MarkKind.FETCHED, commit, now)
        if self.marks(session.id).get(account, Marks()).fetched != commit:
            self._wait(session.id, account, MarkKind.FETCHED, commit)
        return []

    def heard(
        self,
        session: Session,
        account: AccountId,
        kind: MarkKind,
        commit: CommitId,
        now: float,
        *,
        wall_seconds: int | None = None,
    ) -> list[Effect]:
        """Move a mark of a member to *commit*, if that is newer than where it is."""
        identifier, conversation = session.id, session.conversation
        if wall_seconds is None:
            wall_seconds = int(self._context.wall_now(now))
        current = kind.of(self.marks(identifier).get(account, Marks()))
        if current == commit:
            return []
        if conversation is None or current is None:
            if conversation is None and current is not None:
                return []
            return self._move(identifier, account, kind, commit, wall_seconds, now)
        graph, before = conversation.graph, current

        def then(result: object, now: float) -> list[Effect]:
            if identifier not in self._stored:
                return []  # it was left meanwhile, and nothing of it is kept
            if result is _Order.UNKNOWN:
                self._wait(identifier, account, kind, commit)
            if result is not _Order.NEWER:
                return []
            if kind.of(self.marks(identifier).get(account, Marks())) != before:
                return self.heard(session, account, kind, commit, now, wall_seconds=wall_seconds)
            return self._move(identifier, account, kind, commit, wall_seconds, now)

        job = _Comparison(graph, before, commit)
        return [self._context.work(identifier, job, then, lambda error, now: [])]

    def taken(self, session: Session, messages: Iterable[Taken], now: float) -> list[Effect]:
        """Commits have come: who made one has what it stands on, and types no more."""
        newest: dict[AccountId, CommitId] = {}
        for message in messages:
            if message.standing.is_verified:
                newest[message.standing.account] = message.commit.id
        effects: list[Effect] = []
        own = self._context.me.account
        for account, commit in newest.items():
            kind = MarkKind.DISPLAYED if account == own else MarkKind.FETCHED
            effects += self.heard(session, account, kind, commit, now)
            effects += self._typing_ended(session.id, account)
        if own in newest:
            effects += self._stop_typing(session.id, now)
        for key, commit in list(self._waiting.items()):
            if key[0] == session.id and session.knows(commit):
                del self._waiting[key]
                effects += self.heard(session, key[1], key[2], commit, now)
        return effects

    def synced(
        self,
        conversation: ConversationId,
        marks: Mapping[AccountId, Marks],
        session: Session | None,
        now: float,
    ) -> list[Effect]:
        """Take what another device of ours knows of the marks in a conversation."""
        effects: list[Effect] = []
        for account, theirs in marks.items():
            for kind, seconds in (
                (MarkKind.FETCHED, theirs.wall_fetched),
                (MarkKind.DISPLAYED, theirs.wall_displayed),
            ):
                commit = kind.of(theirs)
                if commit is None:
                    continue
                if session is not None:
                    effects += self.heard(session, account, kind, commit, now, wall_seconds=seconds)
                    continue
                ours = self.marks(conversation).get(account, Marks())
                known = (
                    (ours.wall_fetched if kind is MarkKind.FETCHED else ours.wall_displayed)
                    if kind.of(ours) is not None
                    else -1
                )
                if seconds > known:
                    effects += self._move(conversation, account, kind, commit, seconds, now)
        return effects

    def given(self, conversation: ConversationId, device: DeviceId, now: float) -> list[Effect]:
        """A device of ours fetched a conversation: soon it can keep what is known about it."""
        if conversation in self._stored and (conversation, device) not in self._given:
            self._given.add((conversation, device))
            self._tell_again[conversation] = now + GIVEN_TIME
        return []

    def _told_again(self, conversation: ConversationId) -> list[Effect]:
        del self._tell_again[conversation]
        stored = self._stored.get(conversation, StoredState())
        wanted = stored.preferences
        return [
            TellOwnDevices(
                pack_all_preferences({conversation: wanted} if wanted.wall_modified else {}),
                pack_all_marks({conversation: stored.marks} if stored.marks else {}),
            )
        ]

    def _move(
        self,
        conversation: ConversationId,
        account: AccountId,
        kind: MarkKind,
        commit: CommitId,
        wall_seconds: int,
        now: float,
    ) -> list[Effect]:
        stored = self._stored.setdefault(conversation, StoredState())
        marks = kind.moved(stored.marks.get(account, Marks()), commit, wall_seconds)
        stored.marks[account] = marks
        self._waiting.pop((conversation, account, kind), None)
        self._untold.setdefault(conversation, set()).add(account)
        self._settle(now)
        event = StatusChanged(conversation, account, marks.fetched, marks.displayed)
        if kind is MarkKind.DISPLAYED:
            self._unkept.discard(conversation)
            return [self._keep_marks(conversation), event]
        self._unkept.add(conversation)
        return [event]

    def _wait(
        self, conversation: ConversationId, account: AccountId, kind: MarkKind, commit: CommitId
    ) -> None:
        self._waiting[conversation, account, kind] = commit
        if len(self._waiting) > WAITING_MAX:
            del self._waiting[next(iter(self._waiting))]

    # --- Preferences --------------------------------------------------------------------------

    def prefer(
        self, conversation: ConversationId, changes: Mapping[str, str | None], now: float
    ) -> list[Effect]:
        """Change what the user wants of a conversation; our other devices hear of it.

        Raises:
            InvalidPreferenceError: a key or a value is too long, or there are too many.
        """
        wanted = self.preferences(conversation).changed(changes, self._context.wall_now(now))
        told = TellOwnDevices(pack_all_preferences({conversation: wanted}), pack_all_marks({}))
        return [*self._prefer(conversation, wanted), told]

    def preferences_synced(self, conversation: ConversationId, theirs: Preferences) -> list[Effect]:
        """Take what another device of ours wants, if that is newer."""
        if theirs.wall_modified <= self.preferences(conversation).wall_modified:
            return []
        return self._prefer(conversation, theirs)

    def _prefer(self, conversation: ConversationId, wanted: Preferences) -> list[Effect]:
        self._stored.setdefault(conversation, StoredState()).preferences = wanted
        name = f"{STATES_FOLDER}/{conversation}/{PREFERENCES_FILE}"
        return [
            Persist(name, pack_preferences(wanted)),
            PreferencesChanged(conversation, wanted),
        ]

    # --- Typing -------------------------------------------------------------------------------

    def _types(
        self, session: Session, account: AccountId, now: float, *, is_active: bool
    ) -> list[Effect]:
        """A member types, or has stopped."""
        if account == self._context.me.account:
            return []
        if not is_active:
            return self._typing_ended(session.id, account)
        typing = self._typing.setdefault(session.id, {})
        is_new = account not in typing
        typing[account] = now + COMPOSING_TIME
        return [Composing(session.id, account, is_active=True)] if is_new else []

    def set_typing(self, session: Session, now: float, *, is_active: bool) -> list[Effect]:
        """We type, or have stopped; others hear of it, and again while it goes on."""
        if not is_active:
            return self._stop_typing(session.id, now)
        _, ours = self._own_typing.get(session.id, (session, None))
        if ours is not None and now - ours.told < COMPOSING_AGAIN:
            ours.until = now + COMPOSING_TIME
            return []
        self._own_typing[session.id] = (session, _Typing(now, now + COMPOSING_TIME))
        return self._broadcast(session, ComposingNotice(session.id, is_active=True), now)

    def _stop_typing(self, conversation: ConversationId, now: float) -> list[Effect]:
        session, _ = self._own_typing.pop(conversation, (None, None))
        if session is None:
            return []
        return self._broadcast(session, ComposingNotice(conversation, is_active=False), now)

    def _typing_ended(self, conversation: ConversationId, account: AccountId) -> list[Effect]:
        typing = self._typing.get(conversation, {})
        if typing.pop(account, None) is None:
            return []
        if not typing:
            del self._typing[conversation]
        return [Composing(conversation, account, is_active=False)]

    # --- Time ---------------------------------------------------------------------------------

    def next_deadline(self) -> float | None:
        """When something is to be kept or told, or somebody types no more."""
        moments = [moment for typing in self._typing.values() for moment in typing.values()]
        moments += [ours.until for _, ours in self._own_typing.values()]
        moments += self._tell_again.values()
        if self._settle_at is not None:
            moments.append(self._settle_at)
        return min(moments, default=None)

    def advance(self, now: float) -> list[Effect]:
        """Do what is due."""
        effects: list[Effect] = []
        for conversation, typing in list(self._typing.items()):
            for account, until in list(typing.items()):
                if until <= now:
                    effects += self._typing_ended(conversation, account)
        for conversation, (_, ours) in list(self._own_typing.items()):
            if ours.until <= now:
                effects += self._stop_typing(conversation, now)
        for conversation, moment in list(self._tell_again.items()):
            if moment <= now:
                effects += self._told_again(conversation)
        if self._settle_at is not None and self._settle_at <= now:
            effects += self.settle()
        return effects

    def settle(self) -> list[Effect]:
        """Keep and tell what waits for it; the host does so before it stops."""
        self._settle_at = None
        effects: list[Effect] = [
            self._keep_marks(conversation) for conversation in sorted(self._unkept)
        ]
        self._unkept.clear()
        untold = {
            conversation: {
                account: marks
                for account, marks in self.marks(conversation).items()
                if account in accounts
            }
            for conversation, accounts in self._untold.items()
        }
        self._untold.clear()
        if untold:
            effects.append(TellOwnDevices(pack_all_preferences({}), pack_all_marks(untold)))
        return effects

    def forget(self, conversation: ConversationId) -> list[Effect]:
        """Keep nothing of a conversation any longer."""
        self._typing.pop(conversation, None)
        self._own_typing.pop(conversation, None)
        self._untold.pop(conversation, None)
        self._tell_again.pop(conversation, None)
        self._unkept.discard(conversation)
        for key in [key for key in self._waiting if key[0] == conversation]:
            del self._waiting[key]
        self._given = {each for each in self._given if each[0] != conversation}
        if self._stored.pop(conversation, None) is None:
            return []
        folder = f"{STATES_FOLDER}/{conversation}"
        return [Forget(f"{folder}/{STATUS_FILE}"), Forget(f"{folder}/{PREFERENCES_FILE}")]

    def _settle(self, now: float) -> None:
        if self._settle_at is None:
            self._settle_at = now + SETTLE_TIME

    def _keep_marks(self, conversation: ConversationId) -> Persist:
        name = f"{STATES_FOLDER}/{conversation}/{STATUS_FILE}"
        return Persist(name, pack_marks(self.marks(conversation)))


@dataclass(frozen=True, slots=True)
class _Comparison:
    """Job: whether a commit is newer than the one where a mark is."""

    graph: Graph
    current: CommitId
    commit: CommitId

    def __call__(self) -> _Order:
        """Look at the graph, in the conversation's thread."""
        if self.commit not in self.graph:
            return _Order.UNKNOWN
        if self.current not in self.graph:
            return _Order.NEWER
        is_older = self.graph.is_ancestor(self.commit, self.current)
        return _Order.OLDER if is_older else _Order.NEWER
