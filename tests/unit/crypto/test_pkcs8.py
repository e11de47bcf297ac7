"""Private keys under a password."""

from __future__ import annotations

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_der_private_key,
)
from hypothesis import given
from hypothesis import strategies as st

from shoal.crypto import der, pem
from shoal.crypto.errors import InvalidKeyError, PasswordError
from shoal.crypto.keys import PrivateKey
from shoal.crypto.pkcs8 import ROUNDS, encrypt_private_key, mend_private_key
from tests.unit.crypto.samples import DHTNODE, rsa_key

CURVES: dict[int, ec.EllipticCurve] = {
    256: ec.SECP256R1(),
    384: ec.SECP384R1(),
    521: ec.SECP521R1(),
}


def parameters(encrypted: bytes) -> list[bytes]:
    """Return identifiers and rounds, in order; no salts and no IVs."""
    found = list[bytes]()

    def walk(element: der.Element) -> None:
        if element.tag == der.SEQUENCE:
            for child in element.children():
                walk(child)
        elif element.tag in (der.OBJECT_IDENTIFIER, der.INTEGER):
            found.append(element.content)

    walk(der.parse(encrypted))
    return found


def test_library_opens_what_we_sealed() -> None:
    """With the password; each time under another salt."""
    plain = rsa_key().export_der()
    sealed = encrypt_private_key(plain, "päss")

    assert load_der_private_key(sealed, "päss".encode()).key_size == 2048  # type: ignore[union-attr]
    assert sealed != encrypt_private_key(plain, "päss")


def test_form_is_that_of_gnutls() -> None:
    """The same algorithms and rounds as in a key file of dhtnode."""
    (theirs,) = pem.blocks((DHTNODE / "secret.pem").read_bytes(), "ENCRYPTED PRIVATE KEY", 1)
    ours = PrivateKey.generate_ec().export_der("pass")

    assert parameters(ours) == parameters(theirs)
    assert ROUNDS.to_bytes(3) in parameters(ours)


def with_scalar(key_info: bytes, scalar: bytes) -> bytes:
    """Return an elliptic-curve key with another scalar."""
    version, algorithm, wrapped = der.parse(key_info).children()
    inner_version, _, *rest = der.parse(wrapped.content).children()
    key = der.encode(
        der.SEQUENCE,
        inner_version.encoded,
        der.encode(der.OCTET_STRING, scalar),
        *(part.encoded for part in rest),
    )
    return der.encode(
        der.SEQUENCE, version.encoded, algorithm.encoded, der.encode(der.OCTET_STRING, key)
    )


@pytest.mark.parametrize("password", [None, "pass"])
@pytest.mark.parametrize("bits", [256, 384, 521])
def test_scalars_of_gnutls_are_mended(bits: int, password: str | None) -> None:
    """A zero too many or too few in front; plain and encrypted, DER and PEM."""
    length = (bits + 7) // 8
    native = ec.derive_private_key(5 << 8 * (length - 3), CURVES[bits])
    key = PrivateKey(native)
    scalar = native.private_numbers().private_value.to_bytes(length)
    for written in (b"\0" + scalar, scalar.lstrip(b"\0")):
        odd = with_scalar(key.export_der(), written)
        if password:
            odd = encrypt_private_key(odd, password)
        label = "ENCRYPTED PRIVATE KEY" if password else "PRIVATE KEY"
        assert PrivateKey.load(odd, password) == key
        assert PrivateKey.load(pem.encode(label, odd).encode(), password) == key
        if password:
            for wrong in (None, "wrong"):
                with pytest.raises(PasswordError):
                    PrivateKey.load(odd, wrong)


def test_a_wrong_password_is_called_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each time: once in 256 times what it decrypts to has a padding that looks right."""
    monkeypatch.setattr("shoal.crypto.pkcs8.ROUNDS", 1)
    plain = PrivateKey.generate_ec().export_der()
    for _ in range(1500):
        with pytest.raises(PasswordError):
            PrivateKey.load(encrypt_private_key(plain, "pass"), "wrong")


def test_what_is_not_to_be_mended_is_left() -> None:
    """RSA keys, other curves, scalars that are too large, and what is no key."""
    curve = PrivateKey.generate_ec().export_der()
    secp256k1 = ec.generate_private_key(ec.SECP256K1()).private_bytes(
        Encoding.DER, PrivateFormat.PKCS8, NoEncryption()
    )
    other = with_scalar(curve, b"\1" + bytes(48))
    for key_info in (rsa_key().export_der(), secp256k1, other, b"", b"\x30\x00"):
        assert mend_private_key(key_info, None) is None
    with pytest.raises(InvalidKeyError):
        PrivateKey.load(other)


@pytest.mark.parametrize(
    ("part", "replacement"),
    [
        ("06082a864886f70d02090500", "06082a864886f70d02070500"),  # HMAC-SHA-1
        ("02030927c0", "0203ffffff"),  # negative; as unsigned, too many rounds
    ],
)
def test_other_encryptions_are_not_mended(part: str, replacement: str) -> None:
    """Only what GnuTLS and we write; and no hours of work."""
    sealed = encrypt_private_key(PrivateKey.generate_ec().export_der(), "pass")
    assert mend_private_key(sealed, "pass") is not None
    changed = sealed.replace(bytes.fromhex(part), bytes.fromhex(replacement))
    assert changed != sealed
    assert mend_private_key(changed, "pass") is None


@given(st.binary(max_size=80))
def test_any_bytes_are_mended_or_left(data: bytes) -> None:
    """Reading is total."""
    assert mend_private_key(data, None) is None
    assert mend_private_key(data, "pass") is None
