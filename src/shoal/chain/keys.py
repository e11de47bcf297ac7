"""Keys of accounts on a chain: secp256k1, deterministic signatures, senders recovered from them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from shoal.chain.addresses import ChainAddress
from shoal.chain.errors import InvalidChainKeyError, SignerMissingError
from shoal.core import DecodeError
from shoal.core.records import dataclass
from shoal.crypto.secp256k1 import CHAIN_KEY_LENGTH, chain_address, is_chain_key

if TYPE_CHECKING:
    from types import ModuleType

    from shoal.core import Entropy

KEY_LENGTH: Final = CHAIN_KEY_LENGTH
# SEC 2, section 2.4.1: n, the order of the group.
ORDER: Final = 0xFFFFFFFF_FFFFFFFF_FFFFFFFF_FFFFFFFE_BAAEDCE6_AF48A03B_BFD25E8C_D0364141
_SIGNATURE_LENGTH: Final = 64  # r and s
_KEY_TEXT_LENGTH: Final = 2 * KEY_LENGTH  # hex digits


@dataclass(frozen=True, slots=True)
class Signature:
    """A signature from which the signer's key can be recovered.

    Attributes:
        is_odd: of the point's Y, by which it is told from its mirror image.
    """

    r: int
    s: int
    is_odd: bool


class ChainKey:
    """A private key. What is shown of it is its address alone."""

    __slots__ = ("_secret", "address")

    def __init__(self, secret: bytes) -> None:
        """Take the 32 bytes of a key.

        Raises:
            InvalidChainKeyError: they are no key.
        """
        if not is_chain_key(secret):
            raise InvalidChainKeyError(f"no private key of {KEY_LENGTH} bytes")
        self._secret = bytes(secret)
        self.address = ChainAddress(chain_address(secret))

    @classmethod
    def parse(cls, text: str) -> ChainKey:
        """Read 64 hexadecimal digits, with or without 0x.

        Raises:
            InvalidChainKeyError: *text* is something else.
        """
        digits = text.strip().removeprefix("0x")
        try:
            secret = bytes.fromhex(digits)
        except ValueError:
            secret = b""
        if len(digits) != _KEY_TEXT_LENGTH:  # and never show what might be one
            raise InvalidChainKeyError(f"no private key of {_KEY_TEXT_LENGTH} hexadecimal digits")
        return cls(secret)

    @classmethod
    def generate(cls, entropy: Entropy) -> ChainKey:
        """Make a new one."""
        return cls((entropy.below(ORDER - 1) + 1).to_bytes(KEY_LENGTH))

    def export(self) -> str:
        """Return the 64 hexadecimal digits of the secret."""
        return self._secret.hex()

    def sign(self, digest: bytes) -> Signature:
        """Sign a 32-byte digest: always the same signature, always with the lower S.

        Raises:
            SignerMissingError: coincurve is not installed.

        Source: RFC 6979; EIP-2 for S.
        """
        made = _library().PrivateKey(self._secret).sign_recoverable(digest, hasher=None)
        return Signature(
            int.from_bytes(made[:32]), int.from_bytes(made[32:_SIGNATURE_LENGTH]), bool(made[64])
        )

    def __repr__(self) -> str:
        return f"ChainKey({self.address})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, ChainKey) and self._secret == other._secret

    def __hash__(self) -> int:
        return hash(self.address)


def recover(digest: bytes, signature: Signature) -> ChainAddress:
    """Return who signed *digest*.

    Raises:
        DecodeError: nobody did; or S is the higher one, by which a second signature of the same
            message would be valid (EIP-2).
        SignerMissingError: coincurve is not installed.
    """
    if not (0 < signature.r < ORDER and 0 < signature.s <= ORDER // 2):
        raise DecodeError("a signature out of range")
    packed = signature.r.to_bytes(32) + signature.s.to_bytes(32) + bytes([signature.is_odd])
    library = _library()
    try:
        point = library.PublicKey.from_signature_and_message(packed, digest, hasher=None)
    except Exception as error:  # coincurve raises no narrower one
        raise DecodeError("a signature that nobody made") from error
    return ChainAddress.of_public_key(point.format(compressed=False)[1:])


def _library() -> ModuleType:
    try:
        import coincurve  # noqa: PLC0415 - an extra
    except ImportError as error:
        raise SignerMissingError from error
    return coincurve
