"""AES-GCM and RSA boxes."""

from __future__ import annotations

import pytest
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from hypothesis import given
from hypothesis import strategies as st

from shoal.crypto import sealing
from shoal.crypto.errors import DecryptError, UnsupportedKeyError
from tests.unit.crypto.samples import other_rsa_key, rsa_key, vectors

KEY = bytes(range(32))
IV = bytes(range(12))


def public() -> rsa.RSAPublicKey:
    """Return the native public test key."""
    native = rsa_key().public_key.native
    assert isinstance(native, rsa.RSAPublicKey)
    return native


def private() -> rsa.RSAPrivateKey:
    """Return the native private test key."""
    native = rsa_key().native
    assert isinstance(native, rsa.RSAPrivateKey)
    return native


@pytest.mark.parametrize("length", [16, 24, 32])
def test_every_key_size_opens_what_it_sealed(length: int) -> None:
    """IV, ciphertext and tag, for the three sizes of AES."""
    sealed = sealing.aes_encrypt(b"text", KEY[:length])

    assert len(sealed) == 12 + 4 + 16
    assert sealing.aes_decrypt(sealed, KEY[:length]) == b"text"


@pytest.mark.parametrize("length", [0, 12, 28, 36])
def test_other_key_sizes_are_refused(length: int) -> None:
    """Both ways, with an error of ours."""
    for operate in (sealing.aes_encrypt, sealing.aes_decrypt, sealing.aes_decrypt_legacy):
        with pytest.raises(UnsupportedKeyError):
            operate(bytes(64), bytes(length))


def test_two_boxes_of_one_text_differ() -> None:
    """An IV is drawn for each."""
    assert sealing.aes_encrypt(b"", KEY) != sealing.aes_encrypt(b"", KEY)


@given(st.binary(max_size=80))
def test_any_bytes_open_or_give_an_error(data: bytes) -> None:
    """Random bytes never open."""
    for operate in (sealing.aes_decrypt, sealing.aes_decrypt_legacy):
        with pytest.raises(DecryptError):
            operate(data, KEY)


def test_legacy_blobs_authenticate_their_plaintext() -> None:
    """OpenDHT before 2.4.7 gave the plaintext as associated data; the new form does not open so."""
    legacy = IV + AESGCM(KEY).encrypt(IV, b"old text", b"old text")

    assert sealing.aes_decrypt_legacy(legacy, KEY) == b"old text"
    with pytest.raises(DecryptError):
        sealing.aes_decrypt(legacy, KEY)
    with pytest.raises(DecryptError):
        sealing.aes_decrypt_legacy(sealing.aes_encrypt(b"text", KEY), KEY)


def test_legacy_boxes_open() -> None:
    """Values of nodes before 2.4.7 are hybrid boxes of the old form."""
    block = public().encrypt(KEY, padding.PKCS1v15())
    legacy = block + IV + AESGCM(KEY).encrypt(IV, b"old text", b"old text")
    assert sealing.rsa_open(legacy, private()) == b"old text"


@pytest.mark.parametrize("length", [0, 245])
def test_short_texts_take_one_rsa_block(length: int) -> None:
    """Up to k - 11 bytes."""
    sealed = sealing.rsa_seal(bytes(length), public())

    assert len(sealed) == 256
    assert sealing.rsa_open(sealed, private()) == bytes(length)


def test_longer_texts_take_an_aes_key_in_the_block() -> None:
    """From k - 10 bytes on: the block holds a 32-byte key."""
    sealed = sealing.rsa_seal(bytes(246), public())

    assert len(sealed) == 256 + 12 + 246 + 16
    assert len(private().decrypt(sealed[:256], padding.PKCS1v15())) == 32
    assert sealing.rsa_open(sealed, private()) == bytes(246)


def test_opendht_vector_opens() -> None:
    """A26: RSA block, AES key and plaintext as OpenDHT 2.4.12 made them."""
    packed = bytes.fromhex(vectors()["encrypted_value"])
    sealed = packed[packed.index(b"\xa3dat\xc5") + 7 :]
    key = bytes.fromhex(vectors()["aes_key"])

    assert private().decrypt(sealed[:256], padding.PKCS1v15()) == key
    content = sealing.rsa_open(sealed, private())
    assert content == sealing.aes_decrypt(sealed[256:], key)
    assert content.startswith(b"\x82\xa4body\x86\xa3seq\x00\xa5owner")
    assert b"\xa2to\xc4\x14" + rsa_key().public_key.id in content


def test_what_is_cut_off_does_not_open() -> None:
    """Less than a block, a block and less than a box, a damaged box."""
    sealed = sealing.rsa_seal(bytes(300), public())
    for damaged in (b"", sealed[:255], sealed[:270], sealed[:-1], sealed[:-1] + b"\0"):
        if damaged == sealed:
            continue
        with pytest.raises(DecryptError):
            sealing.rsa_open(damaged, private())


def test_a_block_for_another_key_gives_no_text() -> None:
    """Bad padding is rejected implicitly: random bytes in place of a key, so the box stays shut."""
    sealed = sealing.rsa_seal(b"x" * 300, public())
    native = other_rsa_key().native
    assert isinstance(native, rsa.RSAPrivateKey)

    with pytest.raises(DecryptError):
        sealing.rsa_open(sealed, native)


def test_a_block_with_something_else_than_a_key_is_refused() -> None:
    """Five bytes are no AES key."""
    block = public().encrypt(b"12345", padding.PKCS1v15())
    with pytest.raises(DecryptError, match="no AES key"):
        sealing.rsa_open(block + bytes(40), private())


def test_a_number_above_the_modulus_is_refused() -> None:
    """The library's ValueError becomes ours."""
    with pytest.raises(DecryptError, match="does not open"):
        sealing.rsa_open(b"\xff" * 256, private())
