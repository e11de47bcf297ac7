"""Encryption under passwords."""

from __future__ import annotations

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from shoal.crypto import password
from shoal.crypto.errors import DecryptError
from shoal.crypto.sealing import aes_decrypt, aes_encrypt
from tests.unit.crypto.samples import vectors


@pytest.fixture(scope="module")
def stretched() -> bytes:
    """Return the key of the reference's password and salt: a second of work, so done once."""
    return password.stretch(
        vectors()["stretched.password"], bytes.fromhex(vectors()["stretched.salt"]), 32
    )


@pytest.fixture
def cheap(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make stretching cheap where its strength is not what is tested."""
    monkeypatch.setattr(password, "_ITERATIONS", 1)
    monkeypatch.setattr(password, "_MEMORY_KIB", 8)


def test_stretched_key_is_jamis(stretched: bytes) -> None:
    """The key that Jami derives for an archive, and the archive that it seals with it."""
    assert stretched.hex() == vectors()["stretched.key"]
    sealed = aes_encrypt(
        bytes.fromhex(vectors()["stretched.plaintext"]),
        stretched,
        bytes.fromhex(vectors()["stretched.iv"]),
    )
    assert (bytes.fromhex(vectors()["stretched.salt"]) + sealed).hex() == vectors()[
        "stretched.blob"
    ]


def test_opendht_vector_opens() -> None:
    """A22: made by OpenDHT."""
    blob = bytes.fromhex(vectors()["password.blob"])
    plaintext = password.decrypt_with_password(blob, vectors()["password.password"])
    assert plaintext.decode() == vectors()["password.plaintext"]


@pytest.mark.usefixtures("cheap")
def test_default_length_is_64() -> None:
    """The default of the generic function hashes with SHA-512, shorter ones with other hashes."""
    whole = password.stretch("pass", bytes(16))
    short = password.stretch("pass", bytes(16), 20)

    assert (len(whole), len(short)) == (64, 20)
    assert whole[:20] != short


@pytest.mark.usefixtures("cheap")
@pytest.mark.parametrize("length", [0, 2, 131_085])
def test_what_was_sealed_opens(length: int) -> None:
    """With the right password only; each time under another salt."""
    blob = password.encrypt_with_password(bytes(length), "päss")

    assert len(blob) == 16 + 12 + length + 16
    assert password.decrypt_with_password(blob, "päss") == bytes(length)
    assert blob[:16] != password.encrypt_with_password(b"", "päss")[:16]
    with pytest.raises(DecryptError):
        password.decrypt_with_password(blob, "pass")


@pytest.mark.usefixtures("cheap")
def test_a_given_salt_is_used() -> None:
    """The blob begins with it, and its key opens the rest."""
    salt = bytes(range(16))
    blob = password.encrypt_with_password(b"text", "pass", salt)

    assert blob[:16] == salt
    assert aes_decrypt(blob[16:], password.stretch("pass", salt, 32)) == b"text"


@pytest.mark.usefixtures("cheap")
def test_blobs_from_before_opendht_2_4_7_open() -> None:
    """Their tag covers the plaintext too."""
    salt, iv = bytes(16), bytes(12)
    key = password.stretch("pass", salt, 32)
    blob = salt + iv + AESGCM(key).encrypt(iv, b"old", b"old")

    assert password.decrypt_with_password(blob, "pass") == b"old"


@pytest.mark.parametrize("length", [0, 16])
def test_what_is_too_short_is_refused(length: int) -> None:
    """Before any work is done."""
    with pytest.raises(DecryptError, match="too few"):
        password.decrypt_with_password(bytes(length), "pass")


@pytest.mark.usefixtures("cheap")
def test_a_salt_alone_is_refused() -> None:
    """A salt and one byte are no blob."""
    with pytest.raises(DecryptError, match="too few"):
        password.decrypt_with_password(bytes(17), "pass")
