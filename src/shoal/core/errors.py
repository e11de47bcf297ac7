"""Errors of every package.

ShoalError
├── DecodeError          bytes from a peer or a file do not follow their format
└── (one base per package: DhtError, CryptoError, …)
"""


class ShoalError(Exception):
    """Base of all errors that Shoal raises on purpose."""


class DecodeError(ShoalError):
    """These bytes do not follow their format.

    Attributes:
        offset: byte at which reading failed, where known.
    """

    def __init__(self, message: str, offset: int | None = None) -> None:
        super().__init__(message if offset is None else f"{message} (at byte {offset})")
        self.offset = offset
