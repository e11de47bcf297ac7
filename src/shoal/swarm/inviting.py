"""Notices that lead into conversations: news, invitations, and the wish to be invited.

News of a conversation that we do not know are answered by the wish to be invited to it. Not so of
a group that we left, or of an invitation that we declined: who did not hear of that is not asked.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from shoal.swarm.contents import Mode
from shoal.swarm.notices import CommitNotice, Invitation, InvitationWanted
from shoal.swarm.records import ConversationRequest

if TYPE_CHECKING:
    from collections.abc import Mapping

    from shoal.core import AccountId, ConversationId, DeviceId
    from shoal.swarm.book import ConversationBook
    from shoal.swarm.cloning import Clones
    from shoal.swarm.context import Context
    from shoal.swarm.effects import Effect
    from shoal.swarm.notices import Notice
    from shoal.swarm.session import Session


class Inviting:
    """Takes these notices for all conversations of an account."""

    def __init__(
        self,
        context: Context,
        book: ConversationBook,
        sessions: Mapping[ConversationId, Session],
        clones: Clones,
    ) -> None:
        self._context = context
        self._book = book
        self._sessions = sessions
        self._clones = clones

    def take(
        self,
        account: AccountId,
        device: DeviceId,
        notice: CommitNotice | InvitationWanted | Invitation,
        now: float,
    ) -> list[Effect]:
        """Take a notice of a device."""
        match notice:
            case CommitNotice():
                return self._news(account, device, notice, now)
            case InvitationWanted(conversation):
                return self._wanted(account, device, conversation, now)
            case Invitation():
                return self._invited(account, notice, now)

    def _news(
        self, account: AccountId, device: DeviceId, notice: CommitNotice, now: float
    ) -> list[Effect]:
        # Fetched from who says so, whatever device it names: it could name any that is not there.
        identifier = notice.conversation
        session = self._sessions.get(identifier)
        if session is not None:
            return session.news(account, device, notice.commit, now)
        if self._book.is_in(identifier):
            return self._clones.fetch(None, identifier, [device], now)
        left = self._book.infos.get(identifier)
        if left is not None and left.mode is not Mode.ONE_TO_ONE:
            return []
        if identifier in self._book.requests or identifier in self._book.declined:
            return []
        return self._send(account, device, InvitationWanted(identifier), now)

    def _wanted(
        self, account: AccountId, device: DeviceId, conversation: ConversationId, now: float
    ) -> list[Effect]:
        """Somebody heard of a conversation: if they are in it, they are told what it is."""
        session = self._sessions.get(conversation)
        if session is None or session.view is None or not session.may_fetch(account):
            return []
        if not self._book.is_in(conversation):
            return []
        made_ms = session.invited_ms(account)
        return self._send(
            account, device, Invitation(conversation, session.view.metadata, made_ms), now
        )

    def _invited(self, account: AccountId, invitation: Invitation, now: float) -> list[Effect]:
        now_ms = self._context.wall_ms(now)
        made_ms = min(invitation.wall_received_ms or now_ms, now_ms)  # the same if it comes again
        return self._book.add_request(
            ConversationRequest(invitation.conversation, account, invitation.metadata, made_ms)
        )

    def _send(
        self, account: AccountId, device: DeviceId, notice: Notice, now: float
    ) -> list[Effect]:
        context = self._context
        sent = context.messenger.send(account, device, notice, context.wall_now(now), dial=False)
        return context.own_effects(sent)
