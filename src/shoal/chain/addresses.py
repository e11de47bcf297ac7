"""How accounts, transactions and blocks are named on a chain, and the hash that names them."""

from __future__ import annotations

from typing import Final, Self

from shoal.chain.errors import InvalidAddressError
from shoal.core import DecodeError, FixedBytes
from shoal.crypto.secp256k1 import keccak256

__all__ = ["BlockHash", "ChainAddress", "TransactionHash", "keccak256"]

ADDRESS_LENGTH: Final = 20  # Ethereum yellow paper, section 4.1
HASH_LENGTH: Final = 32  # bytes of a Keccak-256 digest
_PUBLIC_KEY_LENGTH: Final = 64  # X ‖ Y of a point of secp256k1


class ChainAddress(FixedBytes):
    """An account or a contract on a chain, 20 bytes; written with EIP-55's checksum."""

    __slots__ = ()
    length = ADDRESS_LENGTH

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read 40 hexadecimal digits, with or without 0x.

        Raises:
            InvalidAddressError: *text* is something else, or in mixed case with a wrong checksum.
        """
        digits = text.removeprefix("0x")
        try:
            address = cls(bytes.fromhex(digits))
        except ValueError:
            raise InvalidAddressError(f"no address: {text[:80]!r}") from None
        except DecodeError as error:
            raise InvalidAddressError(str(error)) from error
        has_case = digits not in (digits.lower(), digits.upper())
        if has_case and str(address) != "0x" + digits:
            raise InvalidAddressError(f"a mistyped address, by its checksum: {text[:80]!r}")
        return address

    @classmethod
    def of_public_key(cls, point: bytes) -> Self:
        """Return the address of the holder of a public key, X ‖ Y in 64 bytes.

        Source: Ethereum yellow paper, appendix F.
        """
        assert len(point) == _PUBLIC_KEY_LENGTH, "an uncompressed point without its prefix"
        return cls(keccak256(point)[-ADDRESS_LENGTH:])

    def __str__(self) -> str:
        digits = self.hex()
        digest = keccak256(digits.encode()).hex()
        pairs = zip(digits, digest, strict=False)
        return "0x" + "".join(d.upper() if h >= "8" else d for d, h in pairs)


class TransactionHash(FixedBytes):
    """Keccak-256 of a signed transaction."""

    __slots__ = ()
    length = HASH_LENGTH

    def __str__(self) -> str:
        return "0x" + self.hex()


class BlockHash(FixedBytes):
    """Keccak-256 of a block's header."""

    __slots__ = ()
    length = HASH_LENGTH

    def __str__(self) -> str:
        return "0x" + self.hex()
