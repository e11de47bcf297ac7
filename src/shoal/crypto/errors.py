"""Errors of the crypto package.

CryptoError                         base, under ShoalError
├── DecryptError                    a ciphertext does not open
├── PasswordError                   a password is missing or wrong
├── UnsupportedKeyError             a key of a kind or size that we do not use
├── IdentityError                   a key and a certificate that do not belong together
├── NotAnAuthorityError             a certificate that may not sign others
├── IdentityFileError               a file of an identity that cannot be read or written
├── InvalidNameError                a name that no certificate can carry
├── OcspError                       an OCSP answer that proves nothing
└── (and DecodeError)               bytes that do not follow their format:
    ├── InvalidKeyError             keys
    ├── InvalidCertificateError     certificates and chains
    ├── InvalidRequestError         certificate signing requests
    ├── InvalidRevocationListError  revocation lists
    ├── InvalidOcspError            OCSP requests and responses
    └── InvalidPushMessageError     Web Push messages and subscriptions
"""

from __future__ import annotations

from shoal.core import DecodeError, ShoalError


class CryptoError(ShoalError):
    """Base of the crypto errors."""


class DecryptError(CryptoError):
    """The data cannot be decrypted: another key, another password, or damaged bytes."""


class PasswordError(CryptoError):
    """The key file is encrypted and the password is missing or wrong. Give the right one."""


class UnsupportedKeyError(CryptoError):
    """This kind or size of key cannot be used here. Use an RSA key of 2048 to 8192 bits."""


class IdentityError(CryptoError):
    """The certificate is not for this private key. Give the files that were saved together."""


class IdentityFileError(CryptoError):
    """A file of the identity cannot be read or written. Check its path and permissions."""


class NotAnAuthorityError(CryptoError):
    """The issuing certificate is no certificate authority. Sign with one that is."""


class InvalidNameError(CryptoError):
    """A certificate cannot carry this name. Give one of 1 to 64 bytes."""


class OcspError(CryptoError):
    """The OCSP answer says nothing about this certificate. Ask again, or another responder."""


class InvalidKeyError(CryptoError, DecodeError):
    """These bytes are not a key in PEM or DER."""


class InvalidCertificateError(CryptoError, DecodeError):
    """These bytes are not a certificate, or not a chain of them in order."""


class InvalidRequestError(CryptoError, DecodeError):
    """These bytes are not a certificate signing request, or its signature is wrong."""


class InvalidRevocationListError(CryptoError, DecodeError):
    """These bytes are not a certificate revocation list."""


class InvalidOcspError(CryptoError, DecodeError):
    """These bytes are not an OCSP request or response."""


class InvalidPushMessageError(CryptoError, DecodeError):
    """These bytes are not a Web Push message or subscription."""
