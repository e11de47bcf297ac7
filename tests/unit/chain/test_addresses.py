"""Addresses are written and read as everywhere else."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shoal.chain.addresses import BlockHash, ChainAddress, TransactionHash, keccak256
from shoal.chain.errors import InvalidAddressError
from tests.unit.chain.vectors import ETHEREUM, unhex

ADDRESS = ChainAddress(bytes(range(20)))


@pytest.mark.parametrize("vector", ETHEREUM["addresses"])
def test_checksums_are_those_of_others(vector: dict[str, str]) -> None:
    """EIP-55, written and read."""
    address = ChainAddress(bytes.fromhex(vector["bytes"]))

    assert str(address) == vector["text"]
    assert ChainAddress.parse(vector["text"]) == address
    assert ChainAddress.parse(vector["bytes"]) == address


@pytest.mark.parametrize("vector", ETHEREUM["keccak"])
def test_keccak_is_that_of_others(vector: dict[str, str]) -> None:
    """The hash before it became SHA-3."""
    assert keccak256(unhex(vector["data"])) == unhex(vector["digest"])


@given(st.binary(min_size=20, max_size=20))
def test_text_leads_back(content: bytes) -> None:
    """What is written is read again, in each case."""
    address = ChainAddress(content)

    for text in (str(address), str(address).lower(), content.hex(), content.hex().upper()):
        assert ChainAddress.parse(text) == address


def test_a_typing_error_is_noticed() -> None:
    """Mixed case is a checksum."""
    text = "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed"
    assert str(ChainAddress.parse(text)) == text
    with pytest.raises(InvalidAddressError, match="mistyped"):
        ChainAddress.parse(text.replace("F3E", "f3E"))


@given(st.text(max_size=50))
def test_any_text_is_an_address_or_refused(text: str) -> None:
    """By one typed error."""
    try:
        address = ChainAddress.parse(text)
    except InvalidAddressError:
        return
    assert address.hex() == text.removeprefix("0x").lower().strip()


def test_hashes_show_their_prefix() -> None:
    """As in every block explorer."""
    assert str(TransactionHash(bytes(32))) == str(BlockHash(bytes(32))) == "0x" + "00" * 32
