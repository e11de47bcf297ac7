"""Which conversations an account is in, and to which it is invited."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

from shoal.core import Persist
from shoal.swarm.effects import ConversationGone, RequestArrived, RequestGone
from shoal.swarm.records import (
    REQUESTS_BYTES_MAX,
    REQUESTS_MAX,
    REQUESTS_PER_SENDER,
    ConversationInfo,
    pack_infos,
    pack_requests,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from shoal.core import ConversationId
    from shoal.swarm.effects import Effect
    from shoal.swarm.records import ConversationRequest

INFOS_NAME: Final = "convInfo"  # Jami's names of the files
REQUESTS_NAME: Final = "convRequests"


class ConversationBook:
    """Records of conversations and invitations; what changes is to be kept.

    Attributes:
        infos: conversations that we are in, or have left.
        requests: invitations that wait for an answer.
        declined: invitations that we said no to, here or on another device of ours.
    """

    def __init__(
        self,
        infos: Mapping[ConversationId, ConversationInfo],
        requests: Mapping[ConversationId, ConversationRequest],
    ) -> None:
        self.infos = dict(infos)
        self.requests = {key: each for key, each in requests.items() if not each.declined_ms}
        self.declined = {key: each for key, each in requests.items() if each.declined_ms}

    def is_in(self, conversation: ConversationId) -> bool:
        """Whether we are in a conversation."""
        info = self.infos.get(conversation)
        return info is not None and not info.is_removed

    def add(self, info: ConversationInfo) -> list[Effect]:
        """Be in a conversation."""
        self.infos[info.id] = info
        return [self._keep_infos()]

    def leave(self, conversation: ConversationId, now_ms: int) -> list[Effect]:
        """Be out of a conversation; others may still fetch that we are."""
        info = self.infos[conversation]
        removed = max(now_ms, info.created_ms + 1)
        self.infos[conversation] = replace(info, removed_ms=removed)
        return [self._keep_infos(), ConversationGone(conversation)]

    def erase(self, conversation: ConversationId, now_ms: int) -> list[Effect]:
        """Note that nothing is left of a conversation that we are out of."""
        info = self.infos[conversation]
        self.infos[conversation] = replace(info, erased_ms=max(now_ms, info.removed_ms))
        return [self._keep_infos()]

    def is_to_be_erased(self, conversation: ConversationId) -> bool:
        """Whether we are out of it, and it is still here for others to hear so."""
        info = self.infos.get(conversation)
        return info is not None and info.is_removed and not info.is_erased

    def merge(self, theirs: ConversationInfo) -> list[Effect]:
        """Add what another device of ours knows; nothing if it knows nothing new."""
        ours = self.infos.get(theirs.id)
        merged = theirs if ours is None else ours.merged_with(theirs)
        if merged == ours:
            return []
        was_in = self.is_in(theirs.id)
        self.infos[theirs.id] = merged
        effects: list[Effect] = [self._keep_infos()]
        if was_in and merged.is_removed:
            effects.append(ConversationGone(theirs.id))
        return effects if merged.is_removed else effects + self.drop_request(theirs.id)

    def add_request(self, request: ConversationRequest) -> list[Effect]:
        """Take an invitation, unless we are in or have it, or there are too many.

        One that we declined counts again only when it is made anew.
        """
        identifier = request.conversation
        is_known = identifier in self.requests or self.is_in(identifier)
        if is_known or len(self.requests) >= REQUESTS_MAX:
            return []
        by_sender = [key for key, each in self.requests.items() if each.sender == request.sender]
        declined = self.declined.get(identifier)
        if declined is not None and request.received_ms <= declined.declined_ms:
            return []
        self.declined.pop(identifier, None)
        effects: list[Effect] = []
        if len(by_sender) >= REQUESTS_PER_SENDER:
            del self.requests[by_sender[0]]
            effects.append(RequestGone(by_sender[0]))
        room = REQUESTS_BYTES_MAX - sum(each.size for each in self.requests.values())
        self.requests[identifier] = request if request.size <= room else request.trimmed()
        return [self._keep_requests(), *effects, RequestArrived(self.requests[identifier])]

    def decline(self, conversation: ConversationId, now_ms: int) -> list[Effect]:
        """Say no to an invitation, if there is one."""
        request = self.requests.get(conversation)
        if request is None:
            return []
        return self._decline(replace(request, declined_ms=max(now_ms, request.received_ms)))

    def drop_request(self, conversation: ConversationId) -> list[Effect]:
        """Let an invitation go, if there is one: it was accepted."""
        known = (self.requests.pop(conversation, None), self.declined.pop(conversation, None))
        if known == (None, None):
            return []
        return [self._keep_requests(), RequestGone(conversation)]

    def merge_request(self, theirs: ConversationRequest) -> list[Effect]:
        """Take what another device of ours knows of an invitation: it came, or was declined."""
        identifier = theirs.conversation
        if not theirs.declined_ms:
            return self.add_request(theirs)
        waiting, known = self.requests.get(identifier), self.declined.get(identifier)
        if self.is_in(identifier):
            return []
        if waiting is not None and waiting.received_ms > theirs.declined_ms:
            return []
        if known is not None and known.declined_ms >= theirs.declined_ms:
            return []
        return self._decline(theirs)

    def _decline(self, request: ConversationRequest) -> list[Effect]:
        identifier = request.conversation
        was_waiting = self.requests.pop(identifier, None) is not None
        self.declined.pop(identifier, None)
        self.declined[identifier] = request.trimmed()  # there may be many, and nobody looks at them
        while len(self.declined) > REQUESTS_MAX:
            del self.declined[next(iter(self.declined))]
        kept = self._keep_requests()
        return [kept, RequestGone(identifier)] if was_waiting else [kept]

    def _keep_infos(self) -> Persist:
        return Persist(INFOS_NAME, pack_infos(self.infos))

    def _keep_requests(self) -> Persist:
        return Persist(REQUESTS_NAME, pack_requests(self.declined | self.requests))
