"""Signatures on certificates, requests and revocation lists, whatever algorithm they name."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Protocol, TypeAlias

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.hashes import SHA256, SHA384, SHA512, HashAlgorithm

if TYPE_CHECKING:
    from shoal.crypto.keys import PublicKey

_Parameters: TypeAlias = padding.PSS | padding.PKCS1v15 | ec.ECDSA | None
# At least 112 bits of security, as GnuTLS' profile "medium", which OpenDHT asks for: no SHA-1.
_STRONG_HASHES: Final = (SHA256, SHA384, SHA512)
_STRONG_RSA_BITS_MIN: Final = 2048  # NIST SP 800-57 part 1, table 2: 112 bits


class Signed(Protocol):
    """What `cryptography` says of the signature on anything that it parsed."""

    @property
    def signature_hash_algorithm(self) -> HashAlgorithm | None:
        """The hash; None for algorithms with one built in."""
        ...

    @property
    def signature_algorithm_parameters(self) -> _Parameters:
        """Padding or scheme."""
        ...


def has_valid_signature(signed: Signed, content: bytes, signature: bytes, key: PublicKey) -> bool:
    """Say whether *signature* over *content* is by *key*, under the algorithm of *signed*.

    *content* comes apart from *signed* because the library may have been shown other bytes than
    were signed; see `shoal.crypto.certificates`. Hashes weaker than SHA-256 are never valid.
    """
    try:
        algorithm, parameters = (
            signed.signature_hash_algorithm,
            signed.signature_algorithm_parameters,
        )
    except (UnsupportedAlgorithm, ValueError):
        return False
    if not isinstance(algorithm, _STRONG_HASHES):
        return False
    native = key.native
    try:
        if isinstance(native, rsa.RSAPublicKey) and isinstance(
            parameters, padding.PKCS1v15 | padding.PSS
        ):
            native.verify(signature, content, parameters, algorithm)
        elif isinstance(native, ec.EllipticCurvePublicKey) and isinstance(parameters, ec.ECDSA):
            native.verify(signature, content, parameters)
        else:
            return False
    except InvalidSignature:
        return False
    return True


def is_strong(key: PublicKey) -> bool:
    """Say whether *key* gives 112 bits of security; every curve that we read does."""
    return not isinstance(key.native, rsa.RSAPublicKey) or key.bits >= _STRONG_RSA_BITS_MIN
