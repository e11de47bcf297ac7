"""Identifiers: bytes of a fixed length that cannot be mistaken for one another."""

from __future__ import annotations

import hashlib
from typing import Final, Self

from shoal.core.errors import DecodeError

INFO_HASH_LENGTH: Final = 20  # OpenDHT infohash.h: HASH_LEN
PUBLIC_KEY_ID_LENGTH: Final = 32  # OpenDHT infohash.h: PkId
COMMIT_ID_LENGTH: Final = 20  # git: SHA-1


class FixedBytes(bytes):
    """Immutable bytes of one length; hashes and compares at the speed of bytes."""

    __slots__ = ()
    length: int

    def __new__(cls, value: bytes) -> Self:
        """Take exactly `length` bytes.

        Raises:
            DecodeError: *value* has another length.
        """
        if len(value) != cls.length:
            raise DecodeError(f"{cls.__name__} takes {cls.length} bytes, not {len(value)}")
        return bytes.__new__(cls, value)

    @classmethod
    def from_hex(cls, text: str) -> Self:
        """Read hexadecimal digits.

        Raises:
            DecodeError: *text* is not that many hexadecimal digits.
        """
        try:
            return cls(bytes.fromhex(text))
        except ValueError as error:
            raise DecodeError(f"not a hexadecimal {cls.__name__}: {text[:80]!r}") from error

    def __str__(self) -> str:
        return self.hex()

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.hex()})"


class InfoHash(FixedBytes):
    """A 160-bit place in the DHT's id space: a node id, the key of a value, a key id."""

    __slots__ = ()
    length = INFO_HASH_LENGTH

    @classmethod
    def of(cls, data: bytes) -> InfoHash:
        """Return the SHA-1 of *data*."""
        return cls(hashlib.sha1(data, usedforsecurity=False).digest())

    @classmethod
    def from_text(cls, text: str) -> InfoHash:
        """Return the key that OpenDHT's tools understand by *text*.

        At least 40 leading hex digits are the key itself; anything else is hashed.

        Source: OpenDHT infohash.h, Hash(string_view) and tools_common.h.
        """
        head = text[: 2 * INFO_HASH_LENGTH]
        if len(head) == 2 * INFO_HASH_LENGTH and all(c in "0123456789abcdefABCDEF" for c in head):
            return cls.from_hex(head)
        return cls.of(text.encode())

    def distance(self, other: bytes) -> int:
        """Return the XOR distance to *other*, 0 to 2^160 - 1."""
        return int.from_bytes(self) ^ int.from_bytes(other)

    def common_bits(self, other: bytes) -> int:
        """Return how many leading bits equal those of *other*, 0 to 160."""
        return 8 * INFO_HASH_LENGTH - self.distance(other).bit_length()


class PublicKeyId(FixedBytes):
    """The long id of a public key: SHA-256 of its SubjectPublicKeyInfo DER."""

    __slots__ = ()
    length = PUBLIC_KEY_ID_LENGTH

    @property
    def infohash(self) -> InfoHash:
        """Where values about this key live in the DHT: SHA-1 of the 32 bytes."""
        return InfoHash.of(self)


class AccountId(InfoHash):
    """The id of an account: SHA-1 of its key's SubjectPublicKeyInfo DER. People exchange it."""

    __slots__ = ()


class DeviceId(PublicKeyId):
    """The id of a device: SHA-256 of its key's SubjectPublicKeyInfo DER."""

    __slots__ = ()


class CommitId(FixedBytes):
    """The id of a git commit, which is the id of a message in a conversation: its SHA-1."""

    __slots__ = ()
    length = COMMIT_ID_LENGTH


class ConversationId(CommitId):
    """The id of a conversation: that of its first commit."""

    __slots__ = ()


ZERO_HASH: Final = InfoHash(bytes(INFO_HASH_LENGTH))
