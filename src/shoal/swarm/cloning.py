"""Conversations that we are in and do not have yet: fetched whole, from whoever is online first."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from shoal.swarm.effects import Done, Failed
from shoal.swarm.errors import CloneFailedError, ConversationDamagedError
from shoal.swarm.session import Session

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from shoal.core import AccountId, ConversationId, DeviceId
    from shoal.swarm.context import Context
    from shoal.swarm.effects import Effect
    from shoal.swarm.errors import SwarmError
    from shoal.swarm.store import GitStore


class Clones:
    """What is to be cloned, from whom, and who waits for it.

    Attributes:
        sources: the account whose devices have a conversation that we lack; ours may, too.
        damaged: conversations that are here and cannot be opened, and why.
    """

    def __init__(
        self,
        context: Context,
        sessions: dict[ConversationId, Session],
        open_store: Callable[[ConversationId | None], GitStore],
        watch: Callable[[], list[Effect]],
    ) -> None:
        """Add to *sessions*; *watch* is called when other people matter than before."""
        self.sources: dict[ConversationId, AccountId] = {}
        self.damaged: dict[ConversationId, str] = {}
        self._context = context
        self._sessions = sessions
        self._open_store = open_store
        self._watch = watch
        self._opening: set[ConversationId] = set()  # whose repository is being opened
        self._asked: dict[ConversationId, list[int]] = {}  # commands that wait

    def fetch(
        self, op: int | None, identifier: ConversationId, devices: Sequence[DeviceId], now: float
    ) -> list[Effect]:
        """Clone from the first of *devices* that gives it to us; *op* hears how it went."""
        if op is not None:
            self._asked.setdefault(identifier, []).append(op)
        session = self._sessions.get(identifier)
        if session is not None:
            is_here = session.is_ready
            return self._ended(identifier, None) if is_here else session.offered_by(devices, now)
        if identifier in self._opening:
            return []
        self._opening.add(identifier)

        def opened(store: object, now: float) -> list[Effect]:
            self._opening.discard(identifier)
            # What jobs give is an object to the context; this one gave what `open_store` gives.
            session = Session(self._context, identifier, store)  # type: ignore[arg-type]
            self._sessions[identifier] = session
            return session.clone(devices, ended, now)

        def ended(error: SwarmError | None, now: float) -> list[Effect]:
            if error is not None:
                self._sessions.pop(identifier, None)
            else:
                self.sources.pop(identifier, None)
                self.damaged.pop(identifier, None)
            return [*self._watch(), *self._ended(identifier, error)]

        def failed(error: Exception, now: float) -> list[Effect]:
            self._opening.discard(identifier)
            return self._ended(identifier, CloneFailedError(str(error)))

        open_store = partial(self._open_store, identifier)
        return [self._context.work(identifier, open_store, opened, failed)]

    def hold(self, identifier: ConversationId) -> None:
        """Clone nothing over a conversation that is here, and is being opened."""
        self._opening.add(identifier)

    def release(self, identifier: ConversationId) -> list[Effect]:
        """It is open, or could not be opened: whoever asked for it meanwhile has it or not."""
        self._opening.discard(identifier)
        if identifier in self._sessions:
            return self._ended(identifier, None)
        if (reason := self.damaged.get(identifier)) is not None:
            return self._ended(identifier, ConversationDamagedError(reason))
        return self._ended(identifier, CloneFailedError("it is not here"))

    def await_source(
        self, identifier: ConversationId, source: AccountId, now: float
    ) -> list[Effect]:
        """Fetch a conversation from the devices of *source* or ours, now or when they appear."""
        self.sources[identifier] = source
        accounts = dict.fromkeys((source, self._context.me.account))
        devices = [each for who in accounts for each in sorted(self._context.online.get(who, ()))]
        fetching = self.fetch(None, identifier, devices, now) if devices else []
        return [*self._watch(), *fetching]

    def forget(self, identifier: ConversationId) -> None:
        """Nobody is asked for it any more: we are out of it."""
        self.sources.pop(identifier, None)
        self.damaged.pop(identifier, None)

    def online(self, account: AccountId, device: DeviceId, now: float) -> list[Effect]:
        """A device can be reached: fetch from it what it may have and we lack."""
        effects: list[Effect] = []
        for identifier, source in list(self.sources.items()):
            if account in (source, self._context.me.account):
                effects += self.fetch(None, identifier, [device], now)
        return effects

    def _ended(self, identifier: ConversationId, error: SwarmError | None) -> list[Effect]:
        """Tell those who asked how it went."""
        asked = self._asked.pop(identifier, ())
        return [Done(op, identifier) if error is None else Failed(op, error) for op in asked]
