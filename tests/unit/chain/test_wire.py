"""JSON-RPC: what nodes answer is read strictly, and what ours shows is read back."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shoal.chain import abi, wire
from shoal.chain.addresses import BlockHash, ChainAddress, TransactionHash
from shoal.chain.errors import (
    ChainProtocolError,
    InvalidTransactionError,
    NonceError,
    OutOfFundsError,
    RevertedError,
    RpcError,
    UnderpricedError,
)
from shoal.chain.values import Block, Call, Receipt
from shoal.core import DecodeError
from tests.unit.chain.strategies import addresses, hashes, logs

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3)
    ),
    max_leaves=8,
)
BLOCKS = st.builds(
    Block,
    st.integers(0, 2**40),
    hashes.map(BlockHash),
    hashes.map(BlockHash),
    st.integers(0, 2**40),
    st.integers(0, 2**40),
    st.none() | st.integers(0, 2**70),
)
RECEIPTS = st.builds(
    Receipt,
    hashes.map(TransactionHash),
    st.integers(0, 2**40),
    hashes.map(BlockHash),
    st.booleans(),
    st.integers(0, 2**40),
    st.integers(0, 2**70),
    st.none() | addresses,
    st.lists(logs, max_size=2).map(tuple),
)


@given(BLOCKS)
def test_blocks(block: Block) -> None:
    """Shown and read back."""
    assert wire.block_from(json.loads(json.dumps(wire.block_json(block, ())))) == block


@given(RECEIPTS)
def test_receipts(receipt: Receipt) -> None:
    """With their logs."""
    shown = wire.receipt_json(receipt, ChainAddress(bytes(20)), None)
    assert wire.receipt_from(json.loads(json.dumps(shown))) == receipt


@given(JSON)
def test_any_json_is_read_or_refused(content: Any) -> None:
    """By DecodeError alone."""
    for read in (
        *(wire.quantity_from, wire.data_from, wire.address_from, wire.log_from),
        *(wire.block_from, wire.receipt_from),
    ):
        try:
            read(content)
        except DecodeError:
            continue


@given(st.binary(max_size=100) | JSON.map(lambda each: json.dumps(each).encode()))
def test_any_answer_is_read_or_refused(body: bytes) -> None:
    """One or several were asked."""
    for count in (1, 2):
        try:
            wire.decode_answers(body, count)
        except (ChainProtocolError, RpcError):
            continue


@pytest.mark.parametrize("field", ["number", "hash", "parentHash", "timestamp", "gasLimit"])
def test_a_block_without_a_field_is_none(field: str) -> None:
    """All are needed."""
    content = wire.block_json(Block(1, BlockHash(bytes(32)), BlockHash(bytes(32)), 1, 1, 1), ())
    del content[field]
    with pytest.raises(DecodeError):
        wire.block_from(content)


def test_what_is_not_there() -> None:
    """Null: no block, no receipt yet."""
    assert wire.block_from(None) is None
    assert wire.receipt_from(None) is None
    assert wire.receipt_from({"blockHash": None}) is None


def test_requests_and_answers() -> None:
    """One alone, several as a list; answers in any order."""
    one = json.loads(wire.encode_requests([wire.Request("eth_chainId")]))
    assert one == {"jsonrpc": "2.0", "id": 0, "method": "eth_chainId", "params": []}
    two = json.loads(wire.encode_requests([wire.Request("a"), wire.Request("b", (1,))]))
    assert [each["id"] for each in two] == [0, 1]
    failed = {"id": 0, "error": {"code": -5, "message": "no"}}
    first, second = wire.decode_answers(json.dumps([{"id": 1, "result": 7}, failed]).encode(), 2)
    assert isinstance(first, RpcError)
    assert (first.code, str(first), second) == (-5, "no", 7)
    assert wire.decode_answers(b'{"id": 0, "result": null}', 1) == [None]


def test_a_batch_refused_as_a_whole() -> None:
    """Is told from an answer."""
    with pytest.raises(RpcError, match="no batches"):
        wire.decode_answers(b'{"error": {"code": -1, "message": "no batches"}}', 2)
    for body in (b"[]", b'[{"id": 0, "result": 1}]', b'[{"id": 0}, {"id": 1}]', b"{}"):
        with pytest.raises(ChainProtocolError):
            wire.decode_answers(body, 2)


@pytest.mark.parametrize(
    ("message", "kind"),
    [
        ("insufficient funds for gas * price + value", OutOfFundsError),
        ("Insufficient funds for gas * price + value", OutOfFundsError),
        ("nonce too low: next nonce 5, tx nonce 4", NonceError),
        ("replacement transaction underpriced", UnderpricedError),
        ("max fee per gas less than block base fee", UnderpricedError),
        ("invalid chain id for signer", InvalidTransactionError),
        ("intrinsic gas too low", InvalidTransactionError),
        ("execution reverted: name taken", RevertedError),
        ("something new", RpcError),
    ],
)
def test_refusals_are_understood(message: str, kind: type[Exception]) -> None:
    """The words of several nodes."""
    assert type(wire.refusal_of(RpcError(message, -32000))) is kind


def test_reasons_come_from_data_or_words() -> None:
    """Whichever a node gives."""
    data = wire.data(abi.encode_reason("name taken"))
    for answer in (
        {"code": 3, "message": "execution reverted", "data": data},
        {"code": -32000, "message": "reverted", "data": {"data": data}},
        {"code": 3, "message": "execution reverted: name taken", "data": "?"},
    ):
        (error,) = wire.decode_answers(json.dumps({"id": 0, "error": answer}).encode(), 1)
        assert isinstance(error, RpcError)
        found = wire.refusal_of(error)
        assert isinstance(found, RevertedError)
        assert found.reason == "name taken"


def test_known_transactions_are_no_error() -> None:
    """As nodes say it."""
    for message in ("already known", "transaction already imported", "AlreadyKnown"):
        assert wire.is_known(RpcError(message, -32000))
    assert not wire.is_known(RpcError("nonce too low", -32000))
    odd = wire.decode_answers(b'{"id": 0, "error": "text"}', 1)[0]
    assert isinstance(odd, RpcError)


def test_calls() -> None:
    """What eth_call takes."""
    to = ChainAddress(bytes([1]) * 20)
    assert wire.call_json(Call(None, b"\1"), None) == {"data": "0x01"}
    assert wire.call_json(Call(to, b"", 5), to) == {
        "data": "0x",
        "to": "0x" + "01" * 20,
        "value": "0x5",
        "from": "0x" + "01" * 20,
    }
