"""Linking a device by PIN, as 13.7 does: the archive lies in the DHT for ten minutes.

    salt    PIN in upper case | lower-case hex of (Unix time // 1200)
    key     SHA-256(argon2i(account password, salt)), about a second and 64 MiB
    where   SHA-1(key)
    value   IV 12 | AES-256-GCM(zlib(archive's JSON)) | tag 16; plain, unsigned, of type 0

The clocks of both devices have to agree to within twenty minutes: who looks tries the current
twenty minutes and the ones before. Without a password the PIN's 41 bits are the only secret of
what anybody can fetch and keep; so give the account a password first.

Source: Jami archive_account_manager.cpp, addDevice and loadFromDHT; reference section 2.3.
"""

from __future__ import annotations

import re
import zlib
from dataclasses import field
from typing import TYPE_CHECKING, Final

from shoal.core import InfoHash
from shoal.core.records import dataclass
from shoal.crypto import DecryptError, aes_decrypt, aes_encrypt, stretch
from shoal.dht import Value
from shoal.identity.archive import ARCHIVE_SIZE_MAX, Archive
from shoal.identity.errors import ArchiveTooLargeError, InvalidPinError, UnreadableArchiveError

if TYPE_CHECKING:
    from shoal.core import Entropy

PIN_LENGTH: Final = 8  # Jami archive_account_manager.cpp, generatePIN
PIN_LIFE: Final = 600.0  # seconds; OpenDHT value.h: nodes keep a value for ten minutes
SEED_INTERVAL: Final = 1200  # seconds; Jami archive_account_manager.cpp: EXPORT_KEY_RENEWAL_TIME
VALUE_SIZE_MAX: Final = 65_536  # OpenDHT value.h: MAX_VALUE_SIZE
_ALPHABET: Final = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"
_PIN: Final = re.compile(r"[0-9A-Z]{8}")
_KEY_LENGTH: Final = 32


@dataclass(frozen=True, slots=True)
class PinPlace:
    """Where an archive lies under a PIN, and the key that opens it."""

    key: bytes = field(repr=False)

    @property
    def infohash(self) -> InfoHash:
        """The DHT key of the value."""
        return InfoHash.of(self.key)


def draw_pin(entropy: Entropy) -> str:
    """Return a new PIN in upper case; people are shown it in lower case."""
    return "".join(_ALPHABET[entropy.below(len(_ALPHABET))] for _ in range(PIN_LENGTH))


def parse_pin(text: str) -> str:
    """Return the PIN that somebody typed, in upper case.

    Raises:
        InvalidPinError: *text* is none.
    """
    pin = "".join(text.split()).upper()
    if _PIN.fullmatch(pin) is None:
        raise InvalidPinError(f"a PIN has {PIN_LENGTH} letters and digits")
    return pin


def pin_seed(wall_now: float) -> int:
    """Return the number of the twenty minutes that *wall_now* is in."""
    return int(wall_now) // SEED_INTERVAL


def pin_seeds(wall_now: float) -> tuple[int, int]:
    """Return the seeds under which a PIN may have been made that is still good."""
    return pin_seed(wall_now), pin_seed(wall_now) - 1


def find_place(pin: str, password: str, pin_seed: int) -> PinPlace:
    """Return where the archive lies: a second of work.

    Raises:
        InvalidPinError: *pin* is none.
    """
    salt = f"{parse_pin(pin)}{pin_seed:x}".encode()
    return PinPlace(stretch(password, salt, _KEY_LENGTH))


def seal_archive(archive: Archive, place: PinPlace) -> Value:
    """Return the value to put at `place.infohash`.

    Raises:
        ArchiveTooLargeError: the account does not fit; export it to a file.
    """
    sealed = aes_encrypt(zlib.compress(archive.to_json().encode(), 9), place.key)
    if len(sealed) > VALUE_SIZE_MAX:
        raise ArchiveTooLargeError(len(sealed), VALUE_SIZE_MAX)
    return Value(sealed)


def open_archive(value: Value, place: PinPlace) -> Archive | None:
    """Return the account in a value that was found at `place.infohash`; None in anything else.

    Anybody may put values there, so what does not open is not ours.

    Raises:
        UnreadableArchiveError: it opens, and is no archive.
    """
    try:
        packed = aes_decrypt(value.data, place.key)
    except DecryptError:
        return None
    decompressor = zlib.decompressobj()
    try:
        text = decompressor.decompress(packed, ARCHIVE_SIZE_MAX)
    except zlib.error as error:
        raise UnreadableArchiveError("the account under the PIN cannot be decompressed") from error
    if not decompressor.eof:
        raise UnreadableArchiveError("the account under the PIN is cut off or too large")
    return Archive.from_json(text)
