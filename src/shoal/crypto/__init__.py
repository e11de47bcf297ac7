"""Keys, certificates and sealed boxes: pure functions over bytes.

Names load on first use, since X.509 takes 25 ms to import and most of a program needs none of it.
`shoal.crypto.driver` keeps identities on disk; `shoal.crypto.testing` has keys for simulations.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from shoal.crypto.certificates import Certificate
    from shoal.crypto.digests import hash_data
    from shoal.crypto.errors import (
        CryptoError,
        DecryptError,
        IdentityError,
        IdentityFileError,
        InvalidCertificateError,
        InvalidKeyError,
        InvalidNameError,
        InvalidOcspError,
        InvalidPushMessageError,
        InvalidRequestError,
        InvalidRevocationListError,
        NotAnAuthorityError,
        OcspError,
        PasswordError,
        UnsupportedKeyError,
    )
    from shoal.crypto.identity import (
        Identity,
        generate_ec_identity,
        generate_identity,
        generate_node_identity,
        self_signed,
    )
    from shoal.crypto.issuing import Profile
    from shoal.crypto.keys import KeyKind, PrivateKey, PublicKey, verify
    from shoal.crypto.ocsp import OcspRequest, OcspStatus, check_response, create_response
    from shoal.crypto.password import decrypt_with_password, encrypt_with_password, stretch
    from shoal.crypto.requests import CertificateRequest
    from shoal.crypto.revocation import RevocationList, first_number, next_number, revoke
    from shoal.crypto.sealing import aes_decrypt, aes_encrypt
    from shoal.crypto.suite import (
        RealSuite,
        Suite,
        SuiteCertificate,
        SuiteIdentity,
        SuitePrivateKey,
        SuitePublicKey,
    )
    from shoal.crypto.trust import ChainProblem, TrustList, complete_chain
    from shoal.crypto.webpush import PushSubscription, decrypt_push, encrypt_push

__all__ = [
    "Certificate",
    "CertificateRequest",
    "ChainProblem",
    "CryptoError",
    "DecryptError",
    "Identity",
    "IdentityError",
    "IdentityFileError",
    "InvalidCertificateError",
    "InvalidKeyError",
    "InvalidNameError",
    "InvalidOcspError",
    "InvalidPushMessageError",
    "InvalidRequestError",
    "InvalidRevocationListError",
    "KeyKind",
    "NotAnAuthorityError",
    "OcspError",
    "OcspRequest",
    "OcspStatus",
    "PasswordError",
    "PrivateKey",
    "Profile",
    "PublicKey",
    "PushSubscription",
    "RealSuite",
    "RevocationList",
    "Suite",
    "SuiteCertificate",
    "SuiteIdentity",
    "SuitePrivateKey",
    "SuitePublicKey",
    "TrustList",
    "UnsupportedKeyError",
    "aes_decrypt",
    "aes_encrypt",
    "check_response",
    "complete_chain",
    "create_response",
    "decrypt_push",
    "decrypt_with_password",
    "encrypt_push",
    "encrypt_with_password",
    "first_number",
    "generate_ec_identity",
    "generate_identity",
    "generate_node_identity",
    "hash_data",
    "next_number",
    "revoke",
    "self_signed",
    "stretch",
    "verify",
]

_MODULES: Final = {
    "certificates": ("Certificate",),
    "digests": ("hash_data",),
    "identity": (
        "Identity",
        "generate_ec_identity",
        "generate_identity",
        "generate_node_identity",
        "self_signed",
    ),
    "issuing": ("Profile",),
    "keys": ("KeyKind", "PrivateKey", "PublicKey", "verify"),
    "ocsp": ("OcspRequest", "OcspStatus", "check_response", "create_response"),
    "password": ("decrypt_with_password", "encrypt_with_password", "stretch"),
    "requests": ("CertificateRequest",),
    "revocation": ("RevocationList", "first_number", "next_number", "revoke"),
    "sealing": ("aes_decrypt", "aes_encrypt"),
    "suite": (
        "RealSuite",
        "Suite",
        "SuiteCertificate",
        "SuiteIdentity",
        "SuitePrivateKey",
        "SuitePublicKey",
    ),
    "trust": ("ChainProblem", "TrustList", "complete_chain"),
    "webpush": ("PushSubscription", "decrypt_push", "encrypt_push"),
}
_HOMES: Final = {name: module for module, names in _MODULES.items() for name in names}


if not TYPE_CHECKING:  # pragma: no branch - a checker would believe that every name is there

    def __getattr__(name: str) -> object:
        """Load *name* from the module that defines it (PEP 562)."""
        if name not in __all__:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        module = importlib.import_module(f"{__name__}.{_HOMES.get(name, 'errors')}")
        value: object = getattr(module, name)
        globals()[name] = value  # found directly from now on
        return value
