"""Web Push message encryption, RFC 8291, with the framing of RFC 8188 ("aes128gcm").

salt 16 | record size 4 | key length 1 = 65 | sender's public key 65 | one encrypted record
"""

from __future__ import annotations

from dataclasses import field
from typing import TYPE_CHECKING, Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from shoal.core.records import dataclass
from shoal.crypto.errors import DecryptError, InvalidPushMessageError, UnsupportedKeyError

if TYPE_CHECKING:
    from shoal.crypto.keys import PrivateKey

SALT_LENGTH: Final = 16  # RFC 8188 section 2.1
AUTH_LENGTH: Final = 16  # RFC 8291 section 3.2
POINT_LENGTH: Final = 65  # RFC 8291 section 3.1: uncompressed point on P-256
RECORD_SIZE: Final = 4096  # RFC 8291 section 4: push services need not take more
HEADER_LENGTH: Final = SALT_LENGTH + 4 + 1 + POINT_LENGTH
_TAG_LENGTH: Final = 16
_LAST_RECORD: Final = b"\2"  # RFC 8188 section 2: padding delimiter of the last record
_KEY_INFO: Final = b"WebPush: info\0"  # RFC 8291 section 3.4
_CONTENT_KEY_INFO: Final = b"Content-Encoding: aes128gcm\0"  # RFC 8188 section 2.2
_NONCE_INFO: Final = b"Content-Encoding: nonce\0"  # RFC 8188 section 2.3


@dataclass(frozen=True, slots=True)
class PushSubscription:
    """Whom a push message is for: the public key and the secret of the user agent."""

    point: bytes  # `p256dh`: 65 bytes
    auth: bytes = field(repr=False)  # 16 bytes

    def __post_init__(self) -> None:
        if len(self.point) != POINT_LENGTH or len(self.auth) != AUTH_LENGTH:
            raise InvalidPushMessageError("a subscription has a point of 65 bytes and 16 of secret")


def encrypt_push(
    payload: bytes, subscription: PushSubscription, *, sender: PrivateKey, salt: bytes
) -> bytes:
    """Return the body of a push request.

    Args:
        payload: at most 3,993 bytes for push services that take 4,096 in all.
        subscription: whom it is for.
        sender: a P-256 key made for this message alone.
        salt: 16 random bytes, for this message alone.

    Raises:
        InvalidPushMessageError: the point of *subscription* is not on the curve.
        UnsupportedKeyError: *sender* is no P-256 key.

    Source: OpenDHT crypto.cpp, webPushEncrypt.
    """
    assert len(salt) == SALT_LENGTH
    own_point = _point(sender)
    secret = _exchange(sender, subscription.point)
    key, nonce = _derive(secret, subscription, own_point, salt)
    record = AESGCM(key).encrypt(nonce, payload + _LAST_RECORD, None)
    record_size = max(RECORD_SIZE, len(record))
    return b"".join([salt, record_size.to_bytes(4), bytes([POINT_LENGTH]), own_point, record])


def decrypt_push(message: bytes, receiver: PrivateKey, auth: bytes) -> bytes:
    """Return the payload of *message*, for the user agent with this key and *auth* secret.

    Raises:
        DecryptError: for somebody else, or damaged.
        InvalidPushMessageError: *message* is not one record under a P-256 key.
        UnsupportedKeyError: *receiver* is no P-256 key.
    """
    if len(message) < HEADER_LENGTH + _TAG_LENGTH + 1:
        raise InvalidPushMessageError("a push message cut off", len(message))
    salt, point = message[:SALT_LENGTH], message[HEADER_LENGTH - POINT_LENGTH : HEADER_LENGTH]
    record = message[HEADER_LENGTH:]
    record_size = int.from_bytes(message[SALT_LENGTH : SALT_LENGTH + 4])
    if message[SALT_LENGTH + 4] != POINT_LENGTH or len(record) > record_size:
        raise InvalidPushMessageError("not one record under a P-256 key", SALT_LENGTH)
    own = PushSubscription(_point(receiver), auth)
    key, nonce = _derive(_exchange(receiver, point), own, point, salt)
    try:
        padded = AESGCM(key).decrypt(nonce, record, None)
    except InvalidTag as error:
        raise DecryptError("the tag does not fit: another key or damaged bytes") from error
    payload = padded.rstrip(b"\0")
    if not payload.endswith(_LAST_RECORD):
        raise DecryptError("the padding of the record is wrong")
    return payload[:-1]


def _derive(
    secret: bytes, subscription: PushSubscription, sender_point: bytes, salt: bytes
) -> tuple[bytes, bytes]:
    """Return content key and nonce. RFC 8291 section 3.4."""
    info = _KEY_INFO + subscription.point + sender_point
    material = HKDF(SHA256(), 32, subscription.auth, info).derive(secret)
    key = HKDF(SHA256(), 16, salt, _CONTENT_KEY_INFO).derive(material)
    return key, HKDF(SHA256(), 12, salt, _NONCE_INFO).derive(material)


def _exchange(own: PrivateKey, point: bytes) -> bytes:
    """Return the secret that *own* shares with the holder of *point*."""
    try:
        other = ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), point)
    except ValueError as error:
        raise InvalidPushMessageError("not a point on P-256") from error
    return _p256(own).exchange(ec.ECDH(), other)


def _point(key: PrivateKey) -> bytes:
    """Return the public point of *key*, uncompressed."""
    public = _p256(key).public_key()
    return public.public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)


def _p256(key: PrivateKey) -> ec.EllipticCurvePrivateKey:
    """Return the native key on P-256 that *key* is."""
    native = key.native
    if isinstance(native, ec.EllipticCurvePrivateKey) and isinstance(native.curve, ec.SECP256R1):
        return native
    raise UnsupportedKeyError("Web Push takes keys on P-256 only")
