"""Web Push messages."""

from __future__ import annotations

import base64

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from hypothesis import given
from hypothesis import strategies as st

from shoal.crypto import webpush
from shoal.crypto.errors import DecryptError, InvalidPushMessageError, UnsupportedKeyError
from shoal.crypto.keys import PrivateKey
from shoal.crypto.webpush import PushSubscription, decrypt_push, encrypt_push
from tests.unit.crypto.samples import rsa_key, vectors


def decoded(name: str) -> bytes:
    """Return one field of the RFC's example."""
    return base64.urlsafe_b64decode(vectors("rfc8291")[name] + "==")


def private(name: str) -> PrivateKey:
    """Return one of the two private keys of the RFC's example."""
    return PrivateKey(ec.derive_private_key(int.from_bytes(decoded(name)), ec.SECP256R1()))


RECEIVER = private("receiver_private")
SUBSCRIPTION = PushSubscription(decoded("receiver_public"), decoded("auth"))
SALT = decoded("salt")
PLAINTEXT = vectors("rfc8291")["plaintext"].encode()


def test_example_of_the_rfc() -> None:
    """RFC 8291 section 5, byte for byte and back."""
    body = encrypt_push(PLAINTEXT, SUBSCRIPTION, sender=private("sender_private"), salt=SALT)

    assert body == decoded("body")
    assert decrypt_push(body, RECEIVER, SUBSCRIPTION.auth) == PLAINTEXT


@pytest.mark.parametrize("length", [0, 1, 3993, 12_305])
def test_lengths(length: int) -> None:
    """One record, however long; the record size grows with it, as the reference's does."""
    payload = b"b" * length
    body = encrypt_push(payload, SUBSCRIPTION, sender=PrivateKey.generate_ec(256), salt=SALT)

    assert len(body) == 16 + 4 + 1 + 65 + length + 1 + 16
    assert int.from_bytes(body[16:20]) == max(4096, length + 17)
    assert (body[20], body[21]) == (65, 4)
    assert decrypt_push(body, RECEIVER, SUBSCRIPTION.auth) == payload


def test_padding_is_taken_off() -> None:
    """Senders may add zeros after the delimiter."""
    body = decoded("body")
    header, point = body[:86], body[21:86]
    secret = webpush._exchange(RECEIVER, point)  # noqa: SLF001 - to seal another padding
    key, nonce = webpush._derive(secret, SUBSCRIPTION, point, SALT)  # noqa: SLF001

    padded = header + AESGCM(key).encrypt(nonce, b"text\2\0\0\0", None)
    assert decrypt_push(padded, RECEIVER, SUBSCRIPTION.auth) == b"text"
    for wrong in (b"text\1", b"\0\0\0"):
        with pytest.raises(DecryptError, match="padding"):
            decrypt_push(
                header + AESGCM(key).encrypt(nonce, wrong, None), RECEIVER, SUBSCRIPTION.auth
            )


def test_others_cannot_read() -> None:
    """Another secret, another key, damage."""
    body = decoded("body")
    with pytest.raises(DecryptError):
        decrypt_push(body, RECEIVER, bytes(16))
    with pytest.raises(DecryptError):
        decrypt_push(body, private("sender_private"), SUBSCRIPTION.auth)
    with pytest.raises(DecryptError):
        decrypt_push(body[:-1] + bytes([body[-1] ^ 1]), RECEIVER, SUBSCRIPTION.auth)


@pytest.mark.parametrize(
    "message",
    [
        b"",
        decoded("body")[:102],
        decoded("body")[:20] + b"\x40" + decoded("body")[21:],  # key length 64
        decoded("body")[:16] + b"\0\0\0\x20" + decoded("body")[20:],  # two records
        decoded("body")[:21] + b"\4" + bytes(64) + decoded("body")[86:],  # not on the curve
    ],
)
def test_malformed_messages_are_refused(message: bytes) -> None:
    """Cut off, another framing, another curve."""
    with pytest.raises(InvalidPushMessageError):
        decrypt_push(message, RECEIVER, SUBSCRIPTION.auth)


@pytest.mark.parametrize(("point", "auth"), [(64, 16), (65, 15)])
def test_subscriptions_have_fixed_lengths(point: int, auth: int) -> None:
    """65 bytes of point, 16 of secret."""
    with pytest.raises(InvalidPushMessageError):
        PushSubscription(bytes(point), bytes(auth))


def test_point_must_be_on_the_curve() -> None:
    """What a user agent registers is checked when it is used; the secret does not print."""
    wrong = PushSubscription(b"\4" + bytes(64), bytes(16))
    with pytest.raises(InvalidPushMessageError, match="P-256"):
        encrypt_push(b"", wrong, sender=RECEIVER, salt=SALT)
    assert "auth" not in repr(wrong)


@pytest.mark.parametrize("key", [rsa_key(), PrivateKey.generate_ec(384)], ids=["RSA", "P-384"])
def test_keys_are_on_p256(key: PrivateKey) -> None:
    """Both sides."""
    with pytest.raises(UnsupportedKeyError):
        encrypt_push(b"", SUBSCRIPTION, sender=key, salt=SALT)
    with pytest.raises(UnsupportedKeyError):
        decrypt_push(decoded("body"), key, SUBSCRIPTION.auth)


@given(st.binary(max_size=150))
def test_any_bytes_give_a_payload_or_an_error(message: bytes) -> None:
    """Reading is total."""
    with pytest.raises((InvalidPushMessageError, DecryptError)):
        decrypt_push(message, RECEIVER, SUBSCRIPTION.auth)
