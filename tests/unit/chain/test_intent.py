"""What a crash leaves of a transaction."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shoal.chain.addresses import ChainAddress
from shoal.chain.intent import INTENT_SIZE_MAX, Form, Intent
from shoal.chain.keys import ChainKey
from shoal.chain.transaction import Transaction
from shoal.chain.values import Call
from shoal.core import DecodeError

KEY = ChainKey(bytes(31) + b"\7")
CALLS = st.builds(
    Call,
    st.none() | st.binary(min_size=20, max_size=20).map(ChainAddress),
    st.binary(max_size=100),
    st.integers(0, 2**256 - 1),
)


def form(call: Call, nonce: int, fee: int) -> Form:
    """One signed form."""
    signed = Transaction(1, nonce, call, 21_000, fee, 0).sign(KEY)
    return Form(signed.raw, signed.hash, fee, 0)


@given(CALLS, st.integers(0, 2**60), st.lists(st.integers(0, 2**90), max_size=3, unique=True))
def test_round_trip(call: Call, nonce: int, fees: list[int]) -> None:
    """Wanted, or signed in several forms."""
    forms = [form(call, nonce, fee) for fee in fees]
    intent = Intent("a", call, 21_000 if forms else None, nonce if forms else None, forms)

    assert Intent.decode("a", intent.encode()) == intent


@given(st.binary(max_size=300))
def test_any_bytes_are_an_intent_or_refused(data: bytes) -> None:
    """By DecodeError."""
    try:
        Intent.decode("a", data)
    except DecodeError:
        return


@pytest.mark.parametrize(
    "change",
    [
        {"version": 2},
        {"to": "12"},
        {"to": 5},
        {"data": None},
        {"value": "-1"},
        {"gas": True},
        {"nonce": 1},
        {"raws": ["00"]},
        {"raws": "x"},
        {"nonce": "1"},
    ],
    ids=str,
)
def test_damage_is_refused(change: dict[str, object]) -> None:
    """Half an intent is none."""
    content = json.loads(Intent("a", Call(None, b"code")).encode())
    with pytest.raises(DecodeError):
        Intent.decode("a", json.dumps(content | change).encode())


def test_size_is_bounded() -> None:
    """Four mebibytes."""
    with pytest.raises(DecodeError, match="more than"):
        Intent.decode("a", bytes(INTENT_SIZE_MAX + 1))
