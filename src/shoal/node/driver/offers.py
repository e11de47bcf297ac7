"""Offers of files, as messages make them: read, taken without being asked, withdrawn."""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING

from shoal.core import DecodeError
from shoal.swarm import FileOffer
from shoal.swarm.errors import NoSuchConversationError, ObjectMissingError
from shoal.transfer import FileId, WantedFile, safe_name
from shoal.transfer.errors import InvalidOfferError

if TYPE_CHECKING:
    from pathlib import Path

    from shoal.core import CommitId, ConversationId
    from shoal.node.driver.files import Files
    from shoal.swarm import Taken

_log = logging.getLogger(__name__)


class Offers:
    """The offers of an account's conversations."""

    def __init__(self, files: Files) -> None:
        self._files = files

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

    def take(self, conversation: ConversationId, message: Taken) -> None:
        """Let the engine know what a message offers, or withdraws."""
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
