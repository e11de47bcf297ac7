"""An account's list of revoked devices, as it lies in the DHT.

A plain value at the key that equals the account id, kept alive by every device of the account. Its
data: msgpack bin of the X.509 list in DER.

Source: Jami account_manager.cpp, startSync and forEachDevice; reference section 3.4.
"""

from __future__ import annotations

from shoal.core import DecodeError
from shoal.crypto import InvalidRevocationListError, RevocationList
from shoal.dht import packing


def pack_revocations(revocations: RevocationList) -> bytes:
    """Return the data of the value."""
    return packing.pack_bin(revocations.der)


def unpack_revocations(data: bytes) -> RevocationList:
    """Read the data of the value; whether the account made the list is still to be asked.

    Raises:
        DecodeError: it is no list.
    """
    der = packing.unpack(data)
    if type(der) is not bytes:
        raise DecodeError("a revocation list that is not a bin")
    try:
        return RevocationList.parse(der)
    except InvalidRevocationListError as error:
        raise DecodeError(str(error)) from error
