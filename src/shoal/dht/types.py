"""Value types: how long values live, who may store them, and who may change them.

| id | name | life | secure | store | edit, if not signed |
| --- | --- | --- | --- | --- | --- |
| 0 | user data | 10 min | yes | size at most 64 KiB | never |
| 1 | DHT message | 5 min | yes | a service is named, if it parses | never |
| 2 | IP service announcement | 15 min | no | rewritten to the sender's address | never |
| 3 | IM message | 5 min | yes | size | never |
| 4 | trust request | 7 days | yes | size | never |
| 5 | ICE candidates | 1 min | yes | size | never |
| 8 | certificate | 7 days | no | key is one of its key's ids | same public key |

Types not listed behave as type 0. In a secure type, signed values follow other rules: one is
stored if its signature holds, and edited by one that the same owner signed with a greater sequence
number.

Source: OpenDHT default_types.cpp; securedht.cpp, secureType and CERTIFICATE_TYPE.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, TypeAlias

from shoal import crypto
from shoal.core import Address, DecodeError, InfoHash, PublicKeyId
from shoal.core.records import dataclass
from shoal.dht.contents import (
    CERTIFICATE,
    DHT_MESSAGE,
    ICE_CANDIDATES,
    IM_MESSAGE,
    IP_SERVICE_ANNOUNCEMENT,
    TRUST_REQUEST,
    USER_DATA,
    CertificateValue,
    DhtMessage,
    IceCandidates,
    ImMessage,
    ImStatus,
    IpServiceAnnouncement,
    TrustRequest,
)
from shoal.dht.value import VALUE_SIZE_MAX, Value

__all__ = [
    "CERTIFICATE",
    "DHT_MESSAGE",
    "ICE_CANDIDATES",
    "IM_MESSAGE",
    "IP_SERVICE_ANNOUNCEMENT",
    "LIFE_DEFAULT",
    "TRUST_REQUEST",
    "USER_DATA",
    "CertificateIds",
    "CertificateValue",
    "DhtMessage",
    "EditPolicy",
    "IceCandidates",
    "ImMessage",
    "ImStatus",
    "IpServiceAnnouncement",
    "StorePolicy",
    "TrustRequest",
    "TypeRegistry",
    "ValueType",
    "read_certificate_ids",
    "refuse_edit",
    "store_if_small",
    "verify_value",
]

StorePolicy: TypeAlias = Callable[[InfoHash, Value, Address], Value | None]
"""Takes key, value and sender; returns the value to store, maybe rewritten, or None to refuse."""
EditPolicy: TypeAlias = Callable[[InfoHash, Value, Value, Address], bool]
"""Takes key, stored value, new value and sender."""
CertificateIds: TypeAlias = tuple[InfoHash, PublicKeyId, bytes]
"""Of a certificate's public key: key id, long id, SubjectPublicKeyInfo DER."""

MINUTE: Final = 60.0
WEEK: Final = 7 * 24 * 60 * MINUTE
LIFE_DEFAULT: Final = 10 * MINUTE  # OpenDHT value.h: DEFAULT_VALUE_EXPIRATION
TYPES_MAX: Final = 65_536  # all that a value can name


def store_if_small(key: InfoHash, value: Value, sender: Address) -> Value | None:
    """Store what has at most 64 KiB.

    Source: OpenDHT value.cpp, ValueType::DEFAULT_STORE_POLICY.
    """
    return value if value.size <= VALUE_SIZE_MAX else None


def refuse_edit(key: InfoHash, old: Value, new: Value, sender: Address) -> bool:
    """Leave values as they are until they expire.

    Source: OpenDHT value.h, ValueType::DEFAULT_EDIT_POLICY.
    """
    return False


@dataclass(frozen=True, slots=True)
class ValueType:
    """One kind of value.

    Attributes:
        id: its number, 0 to 65535.
        name: what people call it.
        life: seconds a value is kept after it was put or refreshed.
        accept: decides on new values.
        edit: decides on changes.
    """

    id: int
    name: str
    life: float = LIFE_DEFAULT
    accept: StorePolicy = store_if_small
    edit: EditPolicy = refuse_edit


def verify_value(value: Value) -> bool:
    """Whether the signature of *value* is its owner's over its body."""
    if value.owner is None or not value.signature:
        return False
    return crypto.verify(value.owner, value.body(), value.signature)


def read_certificate_ids(chain: bytes) -> CertificateIds:
    """Return the ids of the first certificate in *chain*, PEM or DER.

    Raises:
        DecodeError: there is no certificate.
    """
    try:
        public_key = crypto.Certificate.parse(chain).public_key
    except crypto.CryptoError as error:
        raise DecodeError(f"no certificate: {error}") from error
    return public_key.id, public_key.long_id, public_key.spki


class TypeRegistry:
    """The value types that a node knows, and the rules that follow from them.

    Args:
        verify: says whether the signature of a signed value holds.
        certificate_ids: reads a certificate; raises DecodeError for what is none.
    """

    def __init__(
        self,
        verify: Callable[[Value], bool] = verify_value,
        certificate_ids: Callable[[bytes], CertificateIds] = read_certificate_ids,
    ) -> None:
        self._verify = verify
        self._certificate_ids = certificate_ids
        self._types = dict(_TYPES)
        self._insecure = {IP_SERVICE_ANNOUNCEMENT, CERTIFICATE}
        self._user_data = _TYPES[USER_DATA]
        self._types[CERTIFICATE] = ValueType(
            CERTIFICATE, "certificate", WEEK, self._accept_certificate, self._may_edit_certificate
        )

    def register(self, type_: ValueType, *, is_secure: bool = True) -> None:
        """Add *type_*, or replace the type of its number.

        In a secure type its policies are asked about unsigned values only.
        """
        self._types[type_.id] = type_
        if is_secure:
            self._insecure.discard(type_.id)
        else:
            self._insecure.add(type_.id)

    def type_of(self, number: int) -> ValueType:
        """Return the type of this number; user data if it is unknown."""
        return self._types.get(number, self._user_data)

    def life(self, number: int) -> float:
        """Return for how many seconds values of type *number* are kept."""
        return self.type_of(number).life

    def is_authentic(self, value: Value) -> bool:
        """Whether *value* is signed by the owner that it names."""
        return self._verify(value)

    def accept(self, key: InfoHash, value: Value, sender: Address) -> Value | None:
        """Return what to store for the new *value*, or None to refuse it."""
        if value.is_signed and value.type not in self._insecure:
            return value if self._verify(value) else None
        return self.type_of(value.type).accept(key, value, sender)

    def may_edit(self, key: InfoHash, old: Value, new: Value, sender: Address) -> bool:
        """Whether *new*, of the same id but different content, may replace the stored *old*."""
        if not old.is_signed or old.type in self._insecure:
            return self.type_of(old.type).edit(key, old, new, sender)
        # A new value may carry no owner at all: that is no edit by the same one.
        if not new.is_signed or new.owner != old.owner or new.seq < old.seq:
            return False
        if new.seq == old.seq and new.body() != old.body():
            return False
        return self._verify(new)

    def _accept_certificate(self, key: InfoHash, value: Value, sender: Address) -> Value | None:
        """Store a certificate where its key's ids say: both generations look in their own place.

        Source: OpenDHT securedht.cpp, CERTIFICATE_TYPE; the short id is 2.4's, SHA-1 of the long
        id is that of 4.x.
        """
        try:
            key_id, long_id, _ = self._certificate_ids(CertificateValue.unpack(value.data).chain)
        except DecodeError:
            return None
        return value if key in (key_id, long_id.infohash) else None

    def _may_edit_certificate(self, key: InfoHash, old: Value, new: Value, sender: Address) -> bool:
        """Replace a certificate by another one of the same public key."""
        try:
            _, _, old_spki = self._certificate_ids(CertificateValue.unpack(old.data).chain)
            _, _, new_spki = self._certificate_ids(CertificateValue.unpack(new.data).chain)
        except DecodeError:
            return False
        return old_spki == new_spki


def _accept_message(key: InfoHash, value: Value, sender: Address) -> Value | None:
    """Refuse a message to no service; what does not parse is not ours to judge.

    Source: OpenDHT default_types.cpp, DhtMessage::storePolicy.
    """
    try:
        is_addressed = bool(DhtMessage.unpack(value.data).service)
    except DecodeError:
        is_addressed = True
    return store_if_small(key, value, sender) if is_addressed else None


def _accept_announcement(key: InfoHash, value: Value, sender: Address) -> Value | None:
    """Store the sender's own address with the announced port, and nothing else.

    Source: OpenDHT default_types.cpp, IpServiceAnnouncement::storePolicy.
    """
    try:
        announced = IpServiceAnnouncement.unpack(value.data)
    except DecodeError:
        return None
    if not announced.addr.port:
        return None
    seen = IpServiceAnnouncement(Address(sender.ip, announced.addr.port))
    return Value(seen.pack(), IP_SERVICE_ANNOUNCEMENT, value.id)


# OpenDHT's own types, but for certificates: those ask the registry who can read them.
_TYPES: Final = {
    type_.id: type_
    for type_ in (
        ValueType(USER_DATA, "user data"),
        ValueType(DHT_MESSAGE, "DHT message", 5 * MINUTE, _accept_message),
        ValueType(
            IP_SERVICE_ANNOUNCEMENT, "IP service announcement", 15 * MINUTE, _accept_announcement
        ),
        ValueType(IM_MESSAGE, "IM message", 5 * MINUTE),
        ValueType(TRUST_REQUEST, "trust request", WEEK),
        ValueType(ICE_CANDIDATES, "ICE candidates", MINUTE),
    )
}
