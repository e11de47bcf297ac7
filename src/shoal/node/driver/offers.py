"""Offers of files, as messages make them: read, taken without being asked, withdrawn."""

from __future__ import annotations

import logging
import time
from functools import partial
from typing import TYPE_CHECKING, Final

from shoal.core import DecodeError, ShoalError
from shoal.swarm import FileOffer
from shoal.swarm.errors import NoSuchConversationError, ObjectMissingError
from shoal.transfer import FileId, WantedFile, safe_name
from shoal.transfer.errors import InvalidOfferError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from shoal.core import CommitId, ConversationId
    from shoal.node.driver.files import Files
    from shoal.swarm import Conversation, Taken

SEEN_MAX: Final = 64  # ours, of a conversation: more tips than it ever has, oldest first

_log = logging.getLogger(__name__)


class Offers:
    """The offers of an account's conversations."""

    def __init__(self, files: Files) -> None:
        self._files = files
        self._seen: dict[ConversationId, list[CommitId]] = {}  # the newest that were looked at

    async def read(self, conversation: ConversationId, commit: CommitId) -> FileOffer:
        """Return what a message offers.

        Raises:
            InvalidOfferError: no file, or it is not there.
        """
        talking = self._files.account.talking
        session = talking.engine.sessions.get(conversation)
        history = None if session is None else session.conversation
        if history is None:
            raise InvalidOfferError("a conversation that is not here")

        def look() -> object:
            return history.content_of(commit)

        try:
            content = await talking.read(conversation, look)
        except (DecodeError, ObjectMissingError, NoSuchConversationError) as error:
            raise InvalidOfferError(f"no message {commit}") from error
        if not isinstance(content, FileOffer) or content.edited is not None:
            raise InvalidOfferError(f"message {commit} is no file")
        return content

    def wanted(
        self,
        conversation: ConversationId,
        commit: CommitId,
        offer: FileOffer,
        folder: Path,
    ) -> WantedFile:
        """Return what to fetch for an offer, into *folder*.

        Raises:
            InvalidOfferError: it makes no sense.
        """
        try:
            file = FileId.of(commit, offer.transfer_id, offer.display_name)
        except DecodeError as error:
            raise InvalidOfferError(str(error)) from error
        return WantedFile(
            conversation,
            commit,
            file.transfer_id,
            safe_name(offer.display_name),
            file.extension,
            offer.size,
            offer.sha3_512,
            str(folder),
        )

    def ready(self, conversation: ConversationId) -> None:
        """A conversation was opened: what was said before is of earlier runs."""
        session = self._files.account.talking.engine.sessions.get(conversation)
        if session is not None and session.view is not None:
            self._seen.setdefault(conversation, [session.view.head])

    def gone(self, conversation: ConversationId) -> None:
        """We are in a conversation no more."""
        self._seen.pop(conversation, None)
        self._files.run(lambda now: self._files.engine.left(conversation, now))

    async def catch_up(self) -> None:
        """Look what was said, and what we have left: events were lost."""
        talking = self._files.account.talking
        for conversation in self._files.engine.involved() | self._seen.keys():
            if not talking.engine.book.is_in(conversation):
                self.gone(conversation)
        for conversation, session in list(talking.engine.sessions.items()):
            history = session.conversation
            if history is None:
                continue
            look = partial(_since, history, tuple(self._seen.get(conversation, ())))
            try:
                missed = await talking.read(conversation, look)
            except ShoalError as error:  # it is gone by now, its folder cannot be read, …
                _log.warning("! offers of files may be lost: %s", error)
                continue
            self.take(conversation, missed)

    def take(self, conversation: ConversationId, messages: Sequence[Taken]) -> None:
        """Let the engine know what messages offer, or withdraw."""
        for message in messages:
            self._take(conversation, message)
        seen = dict.fromkeys(self._seen.get(conversation, ()))
        for message in messages:
            for parent in message.commit.parents:
                seen.pop(parent, None)
            seen[message.commit.id] = None
        self._seen[conversation] = list(seen)[-SEEN_MAX:]

    def _take(self, conversation: ConversationId, message: Taken) -> None:
        content = message.content
        if not isinstance(content, FileOffer):
            return
        files = self._files
        if content.edited is not None:
            edited = content.edited
            if not content.transfer_id:
                files.run(lambda now: files.engine.deleted(conversation, edited, now))
            return
        commit = message.commit
        try:
            wanted = self.wanted(conversation, commit.id, content, files.folder_of(conversation))
        except InvalidOfferError as error:
            _log.info("x a file is not fetched: %s", error)
            return
        files.run(lambda now: files.engine.offer(wanted, commit.wall_time, time.time(), now))


def _since(history: Conversation, seen: Sequence[CommitId]) -> tuple[Taken, ...]:
    """Look what was said since; in the conversation's thread."""
    return tuple(history.since(seen))
