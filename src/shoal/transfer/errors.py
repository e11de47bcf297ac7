"""What goes wrong with files.

TransferError
├── InvalidOfferError      the message offers no file that can be fetched
├── NoSuchTransferError    nothing is, or was, transferred under this id
├── TooManyTransfersError  too many files wait already
├── WrongContentError      what came is not what was offered
├── TransferCanceledError  it was canceled, here or because the file was deleted
└── PathError              a file or a folder of ours is in the way
    ├── FileMissingError       the file to send, or the copy to serve, is not there
    ├── FileChangedError       it is there, but it is not what was offered
    ├── DiskFullError          there is no room for it
    └── FolderError            its folder or file cannot be written or read
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from shoal.core import ShoalError

if TYPE_CHECKING:
    from pathlib import Path


class TransferError(ShoalError):
    """Base of the errors of files."""


class InvalidOfferError(TransferError):
    """The message offers no file that can be fetched: it is none, was deleted, or makes no sense.

    Look at the message: `shoal conversation log`.
    """


class NoSuchTransferError(TransferError):
    """Nothing is transferred under this id. `shoal file list` shows what is."""


class TooManyTransfersError(TransferError):
    """Too many files wait to be fetched. Cancel some, or wait for them."""


class TransferCanceledError(TransferError):
    """The transfer was canceled, or the file was deleted by who had sent it."""


class WrongContentError(TransferError):
    """What came is not what was offered: its SHA3-512 is another. It was thrown away.

    Fetch it again when other members are online.
    """


class PathError(TransferError):
    """Base of the errors about one file or folder.

    Attributes:
        path: which one.
    """

    def __init__(self, path: Path | str, reason: str = "") -> None:
        super().__init__(f"{path}: {reason}" if reason else str(path))
        self.path = str(path)


class FileMissingError(PathError):
    """The file is not there. Files that were sent must stay where they are to be fetched.

    Attributes:
        path: which one.
    """


class FileChangedError(PathError):
    """The file is not what was offered any more: it was changed or damaged. Send it again.

    Attributes:
        path: which one.
    """


class DiskFullError(PathError):
    """There is no room on the disk. Make some, then resume: what came is kept.

    Attributes:
        path: what was being written.
    """


class FolderError(PathError):
    """The file or its folder cannot be read or written. Look at its permissions.

    Attributes:
        path: which one.
    """
