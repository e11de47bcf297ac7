"""The files `contacts` and `incomingTrustRequests`: maps from account (bin of 20) to records.

Source: Jami contact_list.cpp, saveContacts and saveTrustRequests; reference sections 1.8 and A.5.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgpack

from shoal.core import AccountId, DecodeError
from shoal.dht import packing
from shoal.identity.contact import Contact, StoredRequest

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import TypeVar

    T = TypeVar("T")

CONTACTS_MAX: Final = 20_000  # ours: 3 MB on disk
REQUESTS_MAX: Final = 256  # ours: at 64 kB each, 16 MB; the newest beyond it are not kept
FILE_SIZE_MAX: Final = 32 * 1024 * 1024  # ours: twice what either file can become


def pack_contacts(contacts: Mapping[AccountId, Contact]) -> bytes:
    """Return the content of the file `contacts`."""
    packed: bytes = msgpack.packb({bytes(it): each.to_map() for it, each in contacts.items()})
    return packed


def unpack_contacts(data: bytes) -> dict[AccountId, Contact]:
    """Read the file `contacts`.

    Raises:
        DecodeError: it is none, or has more than 20,000 of them.
    """
    return read_account_map(unpack_file(data), Contact.from_map, CONTACTS_MAX)


def pack_requests(requests: Mapping[AccountId, StoredRequest]) -> bytes:
    """Return the content of the file `incomingTrustRequests`."""
    packed: bytes = msgpack.packb({bytes(it): each.to_map() for it, each in requests.items()})
    return packed


def unpack_requests(data: bytes) -> dict[AccountId, StoredRequest]:
    """Read the file `incomingTrustRequests`.

    Raises:
        DecodeError: it is none, or has more requests than are kept.
    """
    return read_account_map(unpack_file(data), StoredRequest.from_map, REQUESTS_MAX)


def read_account_map(
    item: object, read: Callable[[object], T], count_max: int
) -> dict[AccountId, T]:
    """Read a map from accounts to what *read* reads.

    Raises:
        DecodeError: *item* is none, or has more than *count_max* entries.
    """
    if type(item) is not dict:
        raise DecodeError("not a map of accounts")
    if len(item) > count_max:
        raise DecodeError(f"{len(item)} accounts; {count_max} at most")
    return {AccountId(packing.read_hash(key)): read(value) for key, value in item.items()}


def unpack_file(data: bytes) -> object:
    """Return the one msgpack object that a file of ours is.

    Raises:
        DecodeError: it is none, has bytes after it, or is too large.
    """
    if len(data) > FILE_SIZE_MAX:
        raise DecodeError(f"{len(data)} bytes; {FILE_SIZE_MAX} at most")
    return unpack_exactly(data)


def unpack_exactly(data: bytes) -> object:
    """Return the msgpack object that *data* is, from the first byte to the last.

    Raises:
        DecodeError: it is none, or there are bytes after it.
    """
    unpacker = msgpack.Unpacker(max_buffer_size=len(data) or 1)
    try:
        unpacker.feed(data)
        unpacker.skip()  # no declared length may reserve memory that no bytes stand behind
        result: object = msgpack.unpackb(data, strict_map_key=False, unicode_errors="replace")
    except (ValueError, TypeError, OverflowError, RecursionError, msgpack.UnpackException) as error:
        raise DecodeError(f"not msgpack: {str(error)[:80] or type(error).__name__}") from error
    return result
