"""`account.transfers`: files that are being fetched and sent."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from shoal.core import CommitId
from shoal.node.driver.files import absolute
from shoal.transfer.effects import Direction, Transfer, TransferState

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Sequence

    from shoal.core import ConversationId
    from shoal.node.driver.files import Files
    from shoal.transfer.effects import Effect


class Transfers:
    """The transfers of an account. A download is named by the message that offers its file.

    Each change is a `TransferChanged` among the node's events; one that goes on tells so a few
    times a second.
    """

    def __init__(self, files: Files) -> None:
        self._files = files

    def list(self) -> tuple[Transfer, ...]:
        """Return what was fetched lately, what is being fetched, and what is being sent."""
        return tuple(self._files.engine.transfers(self._files.now))

    def __getitem__(self, message: CommitId | str) -> Transfer:
        """Return how a download stands.

        Raises:
            NoSuchTransferError: nothing is, or was, fetched under this id.
        """
        return self._files.engine.transfer(_id(message), self._files.now)

    async def download(
        self,
        conversation: ConversationId,
        message: CommitId | str,
        *,
        folder: str | os.PathLike[str] | None = None,
    ) -> Transfer:
        """Begin to fetch a file, or go on with it; one that is here already is done at once.

        It is fetched from whoever has it, now or as soon as they come online, and survives a
        restart. `wait` waits for its end.

        Raises:
            InvalidOfferError: the message offers no file that can be fetched.
            TooManyTransfersError: too many wait.
        """
        files, commit = self._files, _id(message)
        offer = await files.offers.read(conversation, commit)
        place = files.folder_of(conversation)
        if folder is not None:
            place = absolute(folder)
        wanted = files.offers.wanted(conversation, commit, offer, place)
        held = await files.held(conversation, commit)
        if held is not None:
            return Transfer(
                id=commit,
                conversation=conversation,
                direction=Direction.DOWN,
                device=None,
                state=TransferState.DONE,
                name=Path(held.path).name,
                size=offer.size,
                done=offer.size,
                rate=0.0,
                time_left=None,
                path=held.path,
                error=None,
            )
        files.run(lambda now: files.engine.download(wanted, now))
        await files.kept()
        return self[commit]

    async def wait(self, message: CommitId | str) -> Transfer:
        """Return a download once it is over, or paused.

        Raises:
            NoSuchTransferError: nothing is, or was, fetched under this id.
            TransferError: it failed, or was canceled.
        """
        transfer = await self._files.wait(_id(message))
        if transfer.error is not None and transfer.is_over:
            raise transfer.error
        return transfer

    async def pause(self, message: CommitId | str) -> Transfer:
        """Stop a download, and keep what is here.

        Raises:
            NoSuchTransferError: nothing is fetched under this id.
        """
        await self._command(self._files.engine.pause, message)
        return self[message]

    async def resume(self, message: CommitId | str) -> Transfer:
        """Go on with a download that was paused, waits, or failed.

        Raises:
            NoSuchTransferError: nothing is fetched under this id.
        """
        await self._command(self._files.engine.resume, message)
        return self[message]

    async def cancel(self, message: CommitId | str) -> None:
        """Stop a download and delete what is here; or stop sending the file, to everybody.

        Raises:
            NoSuchTransferError: nothing goes on under this id.
        """
        await self._command(self._files.engine.cancel, message)

    async def path(self, conversation: ConversationId, message: CommitId | str) -> Path | None:
        """Return where the file of a message is, if it is here and what was offered."""
        held = await self._files.held(conversation, _id(message))
        return None if held is None else Path(held.path)

    async def _command(
        self, command: Callable[[CommitId, float], Sequence[Effect]], message: CommitId | str
    ) -> None:
        """Give a command about a message's file; what it changes is on disk when this returns."""
        self._files.run(partial(command, _id(message)))
        await self._files.kept()


def _id(message: CommitId | str) -> CommitId:
    return CommitId.from_hex(message) if isinstance(message, str) else message
