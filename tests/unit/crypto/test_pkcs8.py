"""Private keys under a password."""

from __future__ import annotations

from cryptography.hazmat.primitives.serialization import load_der_private_key

from shoal.crypto import der, pem
from shoal.crypto.keys import PrivateKey
from shoal.crypto.pkcs8 import ROUNDS, encrypt_private_key
from tests.unit.crypto.samples import DHTNODE, rsa_key


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
