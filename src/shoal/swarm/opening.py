"""Conversations that begin here, or are here already: begun, and read from disk when we start."""

from __future__ import annotations

from typing import TYPE_CHECKING

from shoal.core import ConversationId, DecodeError, ShoalError
from shoal.swarm.conversation import Conversation
from shoal.swarm.effects import ConversationDamaged, Done
from shoal.swarm.records import ConversationInfo
from shoal.swarm.session import Session
from shoal.swarm.view import Outcome, View

if TYPE_CHECKING:
    from collections.abc import Callable

    from shoal.core import AccountId
    from shoal.swarm.book import ConversationBook
    from shoal.swarm.cloning import Clones
    from shoal.swarm.contents import Mode
    from shoal.swarm.context import Context
    from shoal.swarm.effects import Effect
    from shoal.swarm.store import GitStore


class Opening:
    """Adds to the sessions of an account what begins or is opened."""

    def __init__(
        self,
        context: Context,
        book: ConversationBook,
        sessions: dict[ConversationId, Session],
        clones: Clones,
        open_store: Callable[[ConversationId | None], GitStore],
        watch: Callable[[], list[Effect]],
        erase: Callable[[ConversationId, float], list[Effect]],
    ) -> None:
        """Add to *sessions*; *watch* is called when other people matter than before.

        *erase* lets go of what nobody need have any more.
        """
        self._context = context
        self._book = book
        self._sessions = sessions
        self._clones = clones
        self._open_store = open_store
        self._watch = watch
        self._erase = erase

    def create(self, op: int, now: float, mode: Mode, other: AccountId | None) -> list[Effect]:
        """Begin a conversation; `Done` gives its id."""
        me, wall_now = self._context.me, self._context.wall_begin(now)

        def job() -> Outcome:
            store = self._open_store(None)
            conversation = Conversation.create(
                store, me, wall_now=wall_now, mode=mode, invited=other
            )
            first = next(conversation.messages())
            return Outcome((first,), View.of(conversation), conversation)

        def then(result: object, now: float) -> list[Effect]:
            assert isinstance(result, Outcome)
            assert result.conversation is not None
            identifier = result.conversation.id
            members = (me.account,) if other is None else (me.account, other)
            info = ConversationInfo(
                identifier, self._context.wall_ms(now), members=members, mode=mode
            )
            added = self._book.add(info)
            return [*added, *self._adopt(identifier, result, now), Done(op, identifier)]

        # It has no id before its first commit: until then it has a thread of its own.
        thread = ConversationId(self._context.entropy.token_bytes(len(me.account)))
        return [self._context.work(thread, job, then, self._context.fail(op))]

    def load(self, info: ConversationInfo, now: float) -> list[Effect]:
        """Open a conversation that is on disk; one that is not is cloned when somebody appears."""
        me, wall_now = self._context.me, self._context.wall_now(now)

        def job() -> Outcome | None:
            store = self._open_store(info.id)
            if store.head is None:
                return None
            conversation = Conversation.load(store, me)
            if conversation.id != info.id:
                raise DecodeError(f"it holds conversation {conversation.id}")
            recovered = conversation.recover(wall_now)  # a crash cut a clone short
            return Outcome(tuple(recovered), View.of(conversation), conversation)

        def then(result: object, now: float) -> list[Effect]:
            if result is not None:
                assert isinstance(result, Outcome)
                effects = self._adopt(info.id, result, now)
                session = self._sessions[info.id]
                if not self._book.is_in(info.id) and session.role(me.account) is not None:
                    # Left on another device of ours: by our history nobody could hear of it.
                    return [*self._clones.release(info.id), *self._erase(info.id, now)]
                return [*effects, *self._clones.release(info.id), *self._compare(info.id, now)]
            released = self._clones.release(info.id)
            if not self._book.is_in(info.id):
                return released + self._erase(info.id, now)
            return [*released, *self._fetch_again(info, now)]

        def failed(error: Exception, now: float) -> list[Effect]:
            if not self._book.is_in(info.id):
                return self._clones.release(info.id)
            is_known = isinstance(error, ShoalError | OSError)
            reason = str(error) if is_known else f"{type(error).__name__}: {error}"
            self._clones.damaged[info.id] = reason
            released = self._clones.release(info.id)
            told = ConversationDamaged(info.id, reason)
            return [told, *released, *self._fetch_again(info, now)]

        # What others tell of it meanwhile must not make us clone over it.
        self._clones.hold(info.id)
        return [self._context.work(info.id, job, then, failed)]

    def _fetch_again(self, info: ConversationInfo, now: float) -> list[Effect]:
        own = self._context.me.account
        source = next((each for each in info.members if each != own), own)
        return self._clones.await_source(info.id, source, now)

    def _adopt(self, identifier: ConversationId, result: Outcome, now: float) -> list[Effect]:
        assert result.conversation is not None
        session = Session(self._context, identifier, result.conversation.store)
        self._sessions[identifier] = session
        return [*session.adopt(result, now), *self._watch()]

    def _compare(self, identifier: ConversationId, now: float) -> list[Effect]:
        """Ask those who could have spoken to us while it was being opened."""
        session, messenger = self._sessions[identifier], self._context.messenger
        effects: list[Effect] = []
        for account, device in messenger.devices():
            dialect = messenger.dialect(device)
            if dialect is not None:
                effects += session.line_opened(account, device, dialect, now)
        return effects
