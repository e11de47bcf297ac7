"""The fuzzer's targets of the chain: what nodes answer, what strangers send, files of others."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from shoal.chain import abi, rlp, wire
from shoal.chain.addresses import BlockHash, TransactionHash
from shoal.chain.errors import (
    ChainProtocolError,
    InvalidGenesisError,
    InvalidTransactionError,
    RpcError,
)
from shoal.chain.genesis import Genesis
from shoal.chain.intent import Intent
from shoal.chain.registry import Registry, pack_name
from shoal.chain.transaction import decode_transaction
from shoal.chain.values import Call, Log
from shoal.core import DecodeError

if TYPE_CHECKING:
    from collections.abc import Callable

_VECTORS: Final[dict[str, Any]] = json.loads(
    (Path(__file__).parents[1] / "vectors" / "chain" / "ethereum.json").read_text()
)
_REGISTRY: Final = Registry()
_RESERVED: Final = abi.topic("NameReserved(bytes32,bytes20,address,bytes,bytes)")


def item(data: bytes) -> None:
    """RLP that decodes is the only form of its item."""
    try:
        decoded = rlp.decode(data)
    except DecodeError:
        return
    assert rlp.encode(decoded) == data


def transaction(data: bytes) -> None:
    """A transaction that decodes is written as the same bytes."""
    try:
        signed = decode_transaction(data)
    except InvalidTransactionError:
        return
    assert signed.raw == data


def answer(data: bytes) -> None:
    """A node's answer is understood or refused, and what is in it, too."""
    for count in (1, 2):
        try:
            found = wire.decode_answers(data, count)
        except (ChainProtocolError, RpcError):
            continue
        for each in found:
            if isinstance(each, RpcError):
                wire.refusal_of(each)
                continue
            for read in (wire.block_from, wire.receipt_from, wire.log_from, wire.data_from):
                try:
                    read(each)
                except DecodeError:
                    continue


def event(data: bytes) -> None:
    """A log of the registry is an event or refused."""
    topics = (_RESERVED, *(data[start : start + 32].ljust(32, b"\0") for start in (0, 32, 64)))
    zero = bytes(32)
    log = Log(_REGISTRY.address, topics, data[96:], 1, BlockHash(zero), TransactionHash(zero), 0)
    try:
        _REGISTRY.event(log)
    except DecodeError:
        return


def genesis(data: bytes) -> None:
    """A genesis file is read and written the same, or refused."""
    try:
        found = Genesis.parse(data.decode(errors="replace"))
    except InvalidGenesisError:
        return
    assert Genesis.parse(found.to_json()) == found


def intent(data: bytes) -> None:
    """A saved intent is read and written the same, or refused."""
    try:
        found = Intent.decode("a", data)
    except DecodeError:
        return
    assert Intent.decode("a", found.encode()) == found


def _hex(text: str) -> bytes:
    return bytes.fromhex(text.removeprefix("0x"))


def _events() -> list[bytes]:
    words = pack_name("alice") + bytes([1]) * 20 + bytes(12) + bytes(12) + bytes([2]) * 20
    return [words + abi.encode(["bytes", "bytes"], [b"key", b"signature"])]


TARGETS: Final[dict[str, tuple[Callable[[bytes], None], Callable[[], list[bytes]]]]] = {
    "chain-answer": (answer, lambda: [b'{"jsonrpc": "2.0", "id": 0, "result": "0x1"}']),
    "chain-event": (event, _events),
    "chain-genesis": (genesis, lambda: [Genesis(5, 0).to_json().encode()]),
    "chain-intent": (intent, lambda: [Intent("a", Call(None, b"code")).encode()]),
    "chain-rlp": (item, lambda: [_hex(each["data"]) for each in _VECTORS["rlp"]]),
    "chain-transaction": (
        transaction,
        lambda: [_hex(each["raw"]) for each in _VECTORS["transactions"]],
    ),
}
