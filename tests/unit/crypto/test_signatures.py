"""Signatures over certificates and lists, by the algorithm that they name."""

from __future__ import annotations

import pytest
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.hashes import (
    MD5,
    SHA1,
    SHA256,
    SHA384,
    SHA512,
    HashAlgorithm,
)

from shoal.crypto.keys import PrivateKey
from shoal.crypto.signatures import has_valid_signature, is_strong
from tests.unit.crypto.samples import rsa_key, weak_rsa_key

CURVE = PrivateKey.generate_ec()


class Named:
    """Something signed that names its algorithm."""

    def __init__(
        self,
        algorithm: HashAlgorithm | None,
        parameters: padding.PSS | padding.PKCS1v15 | ec.ECDSA | None,
    ) -> None:
        self.signature_hash_algorithm = algorithm
        self.signature_algorithm_parameters = parameters


class Unreadable:
    """Something signed with an algorithm that the library does not know."""

    signature_algorithm_parameters = None

    @property
    def signature_hash_algorithm(self) -> HashAlgorithm | None:
        """Raise as the library does."""
        raise UnsupportedAlgorithm("x")


def pss(algorithm: HashAlgorithm) -> padding.PSS:
    """Return PSS padding."""
    return padding.PSS(padding.MGF1(algorithm), algorithm.digest_size)


@pytest.mark.parametrize("algorithm", [SHA256(), SHA384(), SHA512()])
def test_strong_signatures_are_valid(algorithm: HashAlgorithm) -> None:
    """RSA in both paddings and ECDSA."""
    native, curve = rsa_key().native, CURVE.native
    assert isinstance(native, rsa.RSAPrivateKey)
    assert isinstance(curve, ec.EllipticCurvePrivateKey)
    for parameters in (padding.PKCS1v15(), pss(algorithm)):
        signature = native.sign(b"data", parameters, algorithm)
        named = Named(algorithm, parameters)
        assert has_valid_signature(named, b"data", signature, rsa_key().public_key)
        assert not has_valid_signature(named, b"other", signature, rsa_key().public_key)
        assert not has_valid_signature(named, b"data", signature, CURVE.public_key)
    signature = curve.sign(b"data", ec.ECDSA(algorithm))
    named = Named(algorithm, ec.ECDSA(algorithm))
    assert has_valid_signature(named, b"data", signature, CURVE.public_key)
    assert not has_valid_signature(named, b"other", signature, CURVE.public_key)
    assert not has_valid_signature(named, b"data", signature, rsa_key().public_key)


@pytest.mark.parametrize("algorithm", [SHA1(), MD5()])  # noqa: S303 - which are to be refused
def test_weak_hashes_are_never_valid(algorithm: HashAlgorithm) -> None:
    """However right the signature is."""
    native = rsa_key().native
    assert isinstance(native, rsa.RSAPrivateKey)
    signature = native.sign(b"data", padding.PKCS1v15(), algorithm)
    named = Named(algorithm, padding.PKCS1v15())
    assert not has_valid_signature(named, b"data", signature, rsa_key().public_key)


def test_unknown_algorithms_are_never_valid() -> None:
    """Neither those without a hash nor those without a name."""
    for named in (Named(None, None), Unreadable()):
        assert not has_valid_signature(named, b"data", bytes(256), rsa_key().public_key)


def test_strength_is_112_bits() -> None:
    """RSA from 2048 bits, and every curve."""
    assert is_strong(rsa_key().public_key)
    assert is_strong(CURVE.public_key)
    assert not is_strong(weak_rsa_key().public_key)
