"""Addresses of Ethereum's keys."""

from __future__ import annotations

import pytest

from shoal.crypto.errors import InvalidKeyError
from shoal.crypto.secp256k1 import chain_address, is_chain_key, keccak256

_ORDER = 0xFFFFFFFF_FFFFFFFF_FFFFFFFF_FFFFFFFE_BAAEDCE6_AF48A03B_BFD25E8C_D0364141


def test_keccak_is_not_sha3() -> None:
    """The digest of nothing, which everybody who has used Ethereum has seen."""
    empty = "c5d2460186f7233c927e7db2dcc703c0e500b653ca82273b7bfad8045d85a470"

    assert keccak256(b"").hex() == empty


@pytest.mark.parametrize(
    ("key", "address"),
    [
        # The first two accounts of every development chain ("test test ... junk").
        (
            "ac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80",
            "f39fd6e51aad88f6f4ce6ab8827279cfffb92266",
        ),
        (
            "59c6995e998f97a5a0044966f0945389dc9e86dae88c7a8412f4603b6b78690d",
            "70997970c51812dc3a010c7d01b50e0d17dc79c8",
        ),
    ],
)
def test_known_addresses(key: str, address: str) -> None:
    """The last 20 bytes of the hash of the point."""
    assert chain_address(bytes.fromhex(key)).hex() == address


@pytest.mark.parametrize("key", [bytes(32), _ORDER.to_bytes(32), b"\1" * 31, b""])
def test_what_is_no_key(key: bytes) -> None:
    """Zero, the order itself, other lengths."""
    assert not is_chain_key(key)
    with pytest.raises(InvalidKeyError):
        chain_address(key)
