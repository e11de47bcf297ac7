"""Which certificate chains to believe.

A chain is believed when it leads to a certificate that we trust, each link is signed by a
certificate authority, all dates include now, and nothing in it was revoked. All that is wrong is
reported, not only the first, because callers forgive some: an unknown signer is fine from a
stranger, a revoked certificate is not.
"""

from __future__ import annotations

import enum
import itertools
from typing import TYPE_CHECKING, Final

from shoal.crypto.certificates import CHAIN_LENGTH_MAX, Certificate
from shoal.crypto.errors import InvalidCertificateError
from shoal.crypto.signatures import is_strong

if TYPE_CHECKING:
    from collections.abc import Callable

    from shoal.crypto.revocation import RevocationList

REVOKED_MAX: Final = 65_536  # ours: serial numbers kept per issuer, 5 MiB


class ChainProblem(enum.Flag):
    """What is wrong with a chain; false when nothing is. Source: gnutls_certificate_status_t."""

    SIGNER_UNKNOWN = enum.auto()  # it leads to nobody whom we trust
    SIGNATURE_WRONG = enum.auto()  # a signature is not by the issuer's key, or has a weak hash
    ISSUER_NOT_CA = enum.auto()  # an issuer may not sign certificates
    PATH_TOO_LONG = enum.auto()  # more authorities than one of them allows
    NOT_YET_VALID = enum.auto()
    EXPIRED = enum.auto()
    REVOKED = enum.auto()
    KEY_WEAK = enum.auto()  # an RSA key of less than 2048 bits
    EXTENSION_UNKNOWN = enum.auto()  # a critical extension that we do not know


NO_PROBLEM: Final = ChainProblem(0)


class TrustList:
    """Trusted certificates, and what their holders have revoked.

    Filled by our own side alone; it holds what it is given. Not thread-safe.
    """

    def __init__(self) -> None:
        self._trusted: dict[bytes, Certificate] = {}  # by DER
        self._by_subject: dict[bytes, dict[bytes, Certificate]] = {}
        self._revoked: dict[bytes, set[bytes]] = {}  # serial numbers by the issuer's SPKI

    def add(self, certificate: Certificate, *, with_issuers: bool = True) -> None:
        """Trust *certificate* and, as OpenDHT does, the issuers that come with it.

        Source: OpenDHT crypto.cpp, TrustList::add.
        """
        for added in certificate.chain() if with_issuers else (certificate,):
            self._trusted[added.der] = added
            self._by_subject.setdefault(added.subject, {})[added.der] = added

    def remove(self, certificate: Certificate, *, with_issuers: bool = False) -> None:
        """Trust *certificate* no longer; what it revoked stays revoked."""
        for removed in certificate.chain() if with_issuers else (certificate,):
            if self._trusted.pop(removed.der, None) is not None:
                namesakes = self._by_subject[removed.subject]
                del namesakes[removed.der]
                if not namesakes:
                    del self._by_subject[removed.subject]

    def add_revocation_list(self, revocations: RevocationList) -> bool:
        """Revoke what *revocations* names; say whether a trusted certificate signed it.

        Serial numbers are only ever added, so lists may come in any order, and from several
        devices of one account. A list that would bring an issuer above 65,536 is not taken.
        """
        for issuer in self._by_subject.get(revocations.issuer, {}).values():
            if not revocations.is_signed_by(issuer):
                continue
            known = self._revoked.setdefault(issuer.public_key.spki, set())
            if len(known | revocations.serials) > REVOKED_MAX:
                return False
            known |= revocations.serials
            return True
        return False

    def verify(self, certificate: Certificate, wall_now: float) -> ChainProblem:
        """Return all that is wrong with *certificate* and its chain at *wall_now*.

        Source: OpenDHT crypto.cpp, TrustList::verify (GnuTLS, profile "medium"). Unlike there, a
        revocation counts on the whole chain, also above the first trusted certificate.
        """
        chain = list(certificate.chain())
        signer = self._signer_of(chain[-1])
        problems = self._check_revocations(chain if signer is None else [*chain, signer])
        anchor = next((n for n, link in enumerate(chain) if link.der in self._trusted), None)
        if anchor is not None:
            return problems | _check_path(chain[: anchor + 1], wall_now)
        if signer is None:
            return problems | ChainProblem.SIGNER_UNKNOWN | _check_path(chain, wall_now)
        # A self-signed end whose key we trust under another certificate gives way to that one.
        path = chain[:-1] if _is_renewal(chain[-1], signer) else chain
        return problems | _check_path([*path, signer], wall_now)

    def _signer_of(self, certificate: Certificate) -> Certificate | None:
        """Return a trusted certificate that signed this one."""
        for candidate in self._by_subject.get(certificate.issuer_subject, {}).values():
            if certificate.is_signed_by(candidate.public_key):
                return candidate
        return None

    def _check_revocations(self, chain: list[Certificate]) -> ChainProblem:
        """Say whether any link of *chain* was revoked by the next."""
        for link, issuer in itertools.pairwise(chain):
            if link.serial in self._revoked.get(issuer.public_key.spki, ()):
                return ChainProblem.REVOKED
        return NO_PROBLEM


def complete_chain(
    certificate: Certificate, find: Callable[[Certificate], Certificate | None]
) -> Certificate:
    """Return *certificate* with the issuers that *find* knows, up to a self-issued one.

    *find* is given a certificate without issuer. Stops where it finds nothing, at 16 certificates,
    and where a certificate would come up again.

    Raises:
        InvalidCertificateError: *find* gave one with another name than the issuer's.
    """
    chain = list(certificate.chain())
    seen = {link.der for link in chain}
    while len(chain) < CHAIN_LENGTH_MAX and not chain[-1].is_self_issued:
        issuer = find(chain[-1])
        if issuer is None or issuer.der in seen:
            break
        if issuer.subject != chain[-1].issuer_subject:
            raise InvalidCertificateError("the certificate found is not the issuer's")
        seen.add(issuer.der)
        chain.append(issuer)
    result = chain.pop().with_issuer(None)
    while chain:
        result = chain.pop().with_issuer(result)
    return result


def _is_renewal(end: Certificate, signer: Certificate) -> bool:
    """Say whether *signer* is another certificate of the key that signed itself in *end*."""
    return end.is_self_issued and end.public_key == signer.public_key


def _check_path(path: list[Certificate], wall_now: float) -> ChainProblem:
    """Return what is wrong with *path*, leaf first, apart from trust and revocation."""
    problems = NO_PROBLEM
    for link in path:
        if not is_strong(link.public_key):
            problems |= ChainProblem.KEY_WEAK
        # RFC 5280 section 4.2: "A certificate-using system MUST reject the certificate if it
        # encounters a critical extension it does not recognize".
        if link.has_unknown_critical:
            problems |= ChainProblem.EXTENSION_UNKNOWN
        if wall_now < link.wall_not_before:
            problems |= ChainProblem.NOT_YET_VALID
        if wall_now > link.wall_not_after:
            problems |= ChainProblem.EXPIRED
    for depth, (link, issuer) in enumerate(itertools.pairwise(path)):
        if not link.is_signed_by(issuer.public_key):
            problems |= ChainProblem.SIGNATURE_WRONG
        if not issuer.is_ca:
            problems |= ChainProblem.ISSUER_NOT_CA
        # RFC 5280 section 4.2.1.9: "the maximum number of non-self-issued intermediate
        # certificates that may follow this certificate in a valid certification path".
        below = sum(not between.is_self_issued for between in path[1 : depth + 1])
        if issuer.path_length is not None and below > issuer.path_length:
            problems |= ChainProblem.PATH_TOO_LONG
    return problems
