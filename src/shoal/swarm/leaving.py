"""Conversations that we left and still have, so that the others hear of it.

Who fetches from us has heard that we left. One who has heard may be banned by now, or lose what it
has: so we let go only when every member has heard from ourselves, or after a week. Of a
conversation of two nobody hears from us that we left it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from shoal.swarm.contents import Mode

if TYPE_CHECKING:
    from collections.abc import Mapping

    from shoal.core import AccountId, ConversationId
    from shoal.swarm.book import ConversationBook
    from shoal.swarm.records import ConversationInfo
    from shoal.swarm.session import Session

KEPT_MS: Final = 604_800_000  # ours, a week: who was away for longer hears it from others


class Farewells:
    """Who has heard that we left."""

    def __init__(self, own: AccountId) -> None:
        self._own = own
        self._heard: dict[ConversationId, set[AccountId]] = {}
        self._fresh: dict[ConversationId, None] = {}  # heard by somebody since we last looked

    def heard(self, conversation: ConversationId, account: AccountId) -> None:
        """A device of *account* has fetched a conversation in which we are no member."""
        self._heard.setdefault(conversation, set()).add(account)
        self._fresh[conversation] = None

    def ended(
        self, book: ConversationBook, sessions: Mapping[ConversationId, Session]
    ) -> list[ConversationId]:
        """Return those that every member has heard of, once each."""
        found: list[ConversationId] = []
        fresh, self._fresh = self._fresh, {}
        for conversation in fresh:
            session = sessions.get(conversation)
            if session is None or session.view is None or not book.is_to_be_erased(conversation):
                continue
            roles = session.view.members
            members = {account for account, role in roles.items() if role.is_inside}
            if members - {self._own} <= self._heard[conversation]:
                del self._heard[conversation]
                found.append(conversation)
        return found

    @staticmethod
    def is_over(info: ConversationInfo, now_ms: int) -> bool:
        """Whether a conversation that was left need not be kept: long ago, or one of two."""
        is_long_ago = info.removed_ms + KEPT_MS < now_ms
        return info.is_removed and (is_long_ago or info.mode is Mode.ONE_TO_ONE)
