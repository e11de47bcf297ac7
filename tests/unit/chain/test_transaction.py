"""Transactions: byte for byte those of other libraries; anything else is refused."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shoal.chain import rlp
from shoal.chain.addresses import ChainAddress
from shoal.chain.errors import InvalidTransactionError
from shoal.chain.keys import ChainKey
from shoal.chain.transaction import (
    RAW_SIZE_MAX,
    Transaction,
    contract_address,
    decode_transaction,
    hash_of,
)
from shoal.chain.values import Call
from tests.unit.chain.vectors import ETHEREUM, unhex

KEY = ChainKey(bytes(31) + b"\7")
SMALL = st.integers(0, 2**63)


def transaction_of(fields: dict[str, Any]) -> Transaction:
    """Return what a vector describes."""
    to, priority = fields.get("to"), fields.get("maxPriorityFeePerGas")
    return Transaction(
        chain_id=int(fields["chainId"]),
        nonce=int(fields["nonce"]),
        call=Call(
            None if to is None else ChainAddress.parse(to),
            unhex(fields["data"]),
            int(fields["value"]),
        ),
        gas_limit=int(fields["gas"]),
        fee_wei=int(fields.get("gasPrice") or fields.get("maxFeePerGas", 0)),
        priority_fee_wei=None if priority is None else int(priority),
    )


@pytest.mark.parametrize("vector", ETHEREUM["transactions"], ids=lambda each: each["hash"][:12])
def test_vectors(vector: dict[str, Any]) -> None:
    """Signed and decoded as by others."""
    key, made = ChainKey.parse(vector["key"]), transaction_of(vector["transaction"])
    signed = made.sign(key)

    assert signed.raw == unhex(vector["raw"])
    assert str(signed.hash) == vector["hash"]
    assert decode_transaction(signed.raw) == signed
    assert signed.sender == key.address
    assert hash_of(signed.raw) == signed.hash


@given(SMALL, SMALL, SMALL, SMALL, st.none() | SMALL, st.binary(max_size=200), st.booleans())
def test_round_trip(
    chain_id: int,
    nonce: int,
    gas: int,
    fee: int,
    priority: int | None,
    data: bytes,
    creates: bool,
) -> None:
    """What was signed is decoded, with its sender."""
    call = Call(None if creates else KEY.address, data, fee)
    signed = Transaction(chain_id, nonce, call, gas, fee, priority).sign(KEY)

    assert decode_transaction(signed.raw) == signed


@given(st.binary(max_size=300))
def test_any_bytes_are_a_transaction_or_refused(raw: bytes) -> None:
    """By one typed error."""
    try:
        decode_transaction(raw)
    except InvalidTransactionError:
        return


@given(st.integers(0), st.integers(1, 255))
def test_a_changed_byte_changes_everything(position: int, change: int) -> None:
    """Another transaction, of another sender, or none."""
    signed = Transaction(5, 6, Call(KEY.address, b"data", 7), 21_000, 9, 1).sign(KEY)
    raw = bytearray(signed.raw)
    raw[position % len(raw)] ^= change
    try:
        found = decode_transaction(bytes(raw))
    except InvalidTransactionError:
        return
    assert found.sender != KEY.address
    assert found.raw == bytes(raw)


@pytest.mark.parametrize(
    ("raw", "why"),
    [
        (b"", "0 bytes"),
        (bytes(RAW_SIZE_MAX + 1), "bytes"),
        (b"\x01\xc0", "type 1"),
        (b"\x02\xc0", "12 fields"),
        (b"\x02\x80", "12 fields"),
        (rlp.encode([1, 2, 3, b"", 0, b"", 27, 1, 1]), "chain id"),
        (rlp.encode([1, 2, 3, b"short", 0, b"", 37, 1, 1]), "20 bytes"),
        (rlp.encode([2**64, 2, 3, b"", 0, b"", 37, 1, 1]), "above"),
        (rlp.encode([1, 2, 3, [], 0, b"", 37, 1, 1]), "list"),
        (rlp.encode([1, 2, 3, b"", 0, b"", 37, 0, 1]), "range"),
        (b"\x02" + rlp.encode([1, 1, 1, 1, 1, b"", 1, b"", [[b"", []]], 0, 1, 1]), "access list"),
    ],
    ids=str,
)
def test_what_is_refused(raw: bytes, why: str) -> None:
    """And why."""
    with pytest.raises(InvalidTransactionError, match=why):
        decode_transaction(raw)


def test_costs_and_addresses() -> None:
    """The most that is paid; where a contract will be."""
    made = Transaction(1, 0, Call(KEY.address, b"", 5), 21_000, 10, None)
    sender = ChainAddress.parse("0x6ac7ea33f8831ea9dcc53393aaa88b25a785dbf0")

    assert made.cost_wei == 210_005
    assert str(contract_address(sender, 0)) == "0xcd234A471b72ba2F1Ccf0A70FCABA648a5eeCD8d"
    assert str(contract_address(sender, 1)) == "0x343c43A37D37dfF08AE8C4A11544c718AbB4fCF8"
