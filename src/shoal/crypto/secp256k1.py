"""The curve of Ethereum's keys, as far as accounts need it: 32 bytes of key to 20 of address.

    address = last 20 bytes of Keccak-256(x 32 | y 32)

Keccak as it was before it became SHA-3: the padding differs.
"""

from __future__ import annotations

from typing import Final

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from shoal.crypto.errors import InvalidKeyError

CHAIN_KEY_LENGTH: Final = 32  # SEC 2 section 2.4.1: the order has 256 bits
CHAIN_ADDRESS_LENGTH: Final = 20  # Ethereum yellow paper, appendix F
_ORDER: Final = 0xFFFFFFFF_FFFFFFFF_FFFFFFFF_FFFFFFFE_BAAEDCE6_AF48A03B_BFD25E8C_D0364141  # SEC 2


def keccak256(data: bytes) -> bytes:
    """Return the Keccak-256 of *data*, 32 bytes."""
    from Crypto.Hash import keccak  # noqa: PLC0415 - brings a parser of C; most nodes never ask

    return keccak.new(data=data, digest_bits=256).digest()


def is_chain_key(key: bytes) -> bool:
    """Say whether *key* is a private key of the curve: almost all 32 bytes are."""
    return len(key) == CHAIN_KEY_LENGTH and 0 < int.from_bytes(key) < _ORDER


def chain_address(key: bytes) -> bytes:
    """Return the 20 bytes of address that belong to the private *key*.

    Raises:
        InvalidKeyError: *key* is none.
    """
    if not is_chain_key(key):
        raise InvalidKeyError("not a private key of secp256k1")
    public_key = ec.derive_private_key(int.from_bytes(key), ec.SECP256K1()).public_key()
    point = public_key.public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
    return keccak256(point[1:])[-CHAIN_ADDRESS_LENGTH:]
