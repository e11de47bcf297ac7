"""The part of `Conversation` about how it stands.

Who has and has seen what, who types, what it looks like, and what its user wants of it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from shoal.swarm import (
    COLOUR,
    IGNORE_NOTIFICATIONS,
    Marks,
    MessageStatus,
    Role,
    least,
    membership,
    read_card,
    statuses_of,
    write_group,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from shoal.core import AccountId, CommitId, ConversationId
    from shoal.node.driver.talking import Talking
    from shoal.swarm import Conversation as History
    from shoal.swarm import Event, Preferences, VCard


class ConversationState:
    """What is known of a conversation beside what was said in it."""

    id: ConversationId
    _talking: Talking

    # What it looks like

    @property
    def title(self) -> str:
        """The title that its members gave it; "" if there is none, as in those of two."""
        session = self._talking.engine.sessions.get(self.id)
        return "" if session is None or session.view is None else session.view.title

    @property
    def description(self) -> str:
        """What its members wrote about it, or ""."""
        session = self._talking.engine.sessions.get(self.id)
        return "" if session is None or session.view is None else session.view.description

    @property
    def has_picture(self) -> bool:
        """Whether its members gave it a picture; `profile` gives it."""
        session = self._talking.engine.sessions.get(self.id)
        return session is not None and session.view is not None and session.view.has_picture

    async def profile(self) -> VCard:
        """Return title, description and picture.

        Raises:
            NoSuchConversationError: we are not in it any more.
        """
        history = await self._talking.history(self.id)
        card: VCard = await self._talking.read(self.id, lambda: read_card(history))
        return card

    async def set_profile(
        self,
        *,
        title: str | None = None,
        description: str | None = None,
        picture: bytes | None = None,
    ) -> None:
        """Give it another title, description or picture; b"" takes the picture away.

        Raises:
            NotAnAdminError: only administrators may.
            InvalidProfileError: something is too long, or the picture is none.
        """
        await self._talking.wait_ready(self.id)
        engine = self._talking.engine

        def change(history: History, wall_now: float) -> list[Event]:
            card = read_card(history)
            changed = card.changed(name=title, description=description, picture=picture)
            return membership.set_profile(history, write_group(changed), wall_now)

        await self._talking.ask(lambda op, now: engine.change(op, self.id, change, now))

    # Who has come how far

    @property
    def last_displayed(self) -> CommitId | None:
        """The message up to which we have seen it, here or on another device of ours."""
        return self._talking.engine.states.last_displayed(self.id)

    @property
    def displayed(self) -> dict[AccountId, CommitId]:
        """The message up to which each member has seen it, where that is known."""
        marks = self._talking.engine.states.marks(self.id)
        return {who: each.displayed for who, each in marks.items() if each.displayed is not None}

    @property
    def composing(self) -> tuple[AccountId, ...]:
        """Who is typing."""
        return self._talking.engine.states.composing(self.id)

    async def statuses(
        self, messages: Iterable[CommitId]
    ) -> dict[CommitId, dict[AccountId, MessageStatus]]:
        """Return how far messages have come with each member but ourselves.

        Raises:
            NoSuchConversationError: we are not in it any more.
            ObjectMissingError: there is no such message.
        """
        history = await self._talking.history(self.id)
        engine, wanted = self._talking.engine, tuple(messages)
        view = engine.sessions[self.id].view
        assert view is not None, "it is ready"
        known = engine.states.marks(self.id)
        others = {
            who: known.get(who, Marks())
            for who, role in view.members.items()
            if who != self._talking.own and role is not Role.BANNED
        }
        graph, head = history.graph, view.head

        def look() -> dict[CommitId, dict[AccountId, MessageStatus]]:
            for message in wanted:
                graph[message]  # that it is there
            return statuses_of(graph, head, wanted, others)

        found: dict[CommitId, dict[AccountId, MessageStatus]] = await self._talking.read(
            self.id, look
        )
        return found

    async def status_of(self, message: CommitId) -> dict[AccountId, MessageStatus]:
        """Return how far a message has come with each member but ourselves.

        Raises:
            NoSuchConversationError: we are not in it any more.
            ObjectMissingError: there is no such message.
        """
        return (await self.statuses([message]))[message]

    # What its user wants

    @property
    def preferences(self) -> Preferences:
        """Its colour, whether it is muted, and what other programs keep there."""
        return self._talking.engine.states.preferences(self.id)

    async def set_preferences(
        self,
        *,
        colour: str | None = None,
        is_muted: bool | None = None,
        others: Mapping[str, str | None] | None = None,
    ) -> None:
        """Change preferences, on all devices of the account; what is None stays, "" goes.

        Raises:
            NoSuchConversationError: we are not in it.
            InvalidPreferenceError: a key or a value is too long, or there are too many.
        """
        changes: dict[str, str | None] = dict(others or {})
        if colour is not None:
            changes[COLOUR] = colour or None
        if is_muted is not None:
            changes[IGNORE_NOTIFICATIONS] = "true" if is_muted else "false"
        engine = self._talking.engine
        await self._talking.ask(lambda op, now: engine.prefer(op, self.id, changes, now))


def status_as_whole(statuses: Mapping[AccountId, MessageStatus]) -> MessageStatus:
    """Return the status of a message as a whole: that of whom it has come least far with."""
    return least(statuses.values())
