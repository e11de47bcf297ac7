"""What the parts of the secure layer ask of it: effects that never leave the package.

Each carries the op under which the answer comes back as an event of the backend. `Refused` comes
instead where the backend raised.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, TypeAlias

from shoal.core.records import dataclass
from shoal.dht.effects import Done, StatusChanged, ValuesExpired, ValuesFound
from shoal.dht.secure.effects import CertificateFound, OperationFailed

if TYPE_CHECKING:
    from shoal.core import InfoHash
    from shoal.dht.errors import DhtError
    from shoal.dht.query import Where
    from shoal.dht.secure.certificates import KeyName
    from shoal.dht.secure.puts import Preparation
    from shoal.dht.value import Value

Slot: TypeAlias = "tuple[InfoHash, int]"  # key and value id: where one value replaces another


@dataclass(frozen=True, slots=True)
class FetchValues:
    """Order: get the values at *key*, signatures checked unless *is_raw*."""

    op: int
    key: InfoHash
    where: Where
    is_raw: bool


@dataclass(frozen=True, slots=True)
class FindCertificate:
    """Order: find the certificate of *name*."""

    op: int
    name: KeyName


@dataclass(frozen=True, slots=True)
class AnnounceValue:
    """Order: put *value*, which is ready."""

    op: int
    key: InfoHash
    value: Value
    is_permanent: bool


@dataclass(frozen=True, slots=True)
class CancelOperation:
    """Order: forget operation *op*."""

    op: int


@dataclass(frozen=True, slots=True)
class BeginSigning:
    """Order: it is the turn of *preparation*, once all before it is done."""

    preparation: Preparation


@dataclass(frozen=True, slots=True)
class Refused:
    """Event: the backend wouldn't begin *op*."""

    op: int
    error: DhtError


Event: TypeAlias = ValuesFound | ValuesExpired | Done | CertificateFound | OperationFailed | Refused
ROUTED: Final = frozenset(
    {
        *(ValuesFound, ValuesExpired, Done, StatusChanged),
        *(CertificateFound, OperationFailed, Refused),
        *(FetchValues, FindCertificate, AnnounceValue, CancelOperation, BeginSigning),
    }
)  # what the secure layer looks at; everything else goes to the driver as it is
