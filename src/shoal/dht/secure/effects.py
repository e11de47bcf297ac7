"""Events of the secure layer, beside those that it passes on from its backend."""

from __future__ import annotations

from typing import TYPE_CHECKING

from shoal.core.records import dataclass

if TYPE_CHECKING:
    from shoal.core import InfoHash, ShoalError
    from shoal.crypto.certificates import Certificate


@dataclass(frozen=True, slots=True)
class CertificateFound:
    """Event: the certificate that find_certificate *op* asked for; its `Done` follows."""

    op: int
    certificate: Certificate


@dataclass(frozen=True, slots=True)
class OperationFailed:
    """Event: why *op* fails; a `Done` that isn't ok follows at once."""

    op: int
    error: ShoalError


@dataclass(frozen=True, slots=True)
class IdentityAnnounced:
    """Event: the certificate of key *identity* was put where others look for it, or *ok* is false.

    It stays announced, so a failure may mend itself; it is reported once.
    """

    identity: InfoHash
    ok: bool
