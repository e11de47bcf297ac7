"""JSON-RPC as Ethereum nodes speak it: requests, answers, and what is in them; both directions.

request   {"jsonrpc": "2.0", "id": number, "method": text, "params": [...]}
answer    {"jsonrpc": "2.0", "id": the same, "result": any}
          {"jsonrpc": "2.0", "id": the same, "error": error}
error     {"code": number, "message": text, "data": any}
batch     a list of either

quantity  "0x" and hexadecimal digits without leading zeros
data      "0x" and two hexadecimal digits per byte

Source: jsonrpc.org/specification; github.com/ethereum/execution-apis.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from shoal.chain.abi import revert_reason
from shoal.chain.addresses import BlockHash, ChainAddress, TransactionHash
from shoal.chain.errors import (
    ChainError,
    ChainProtocolError,
    InvalidTransactionError,
    NonceError,
    OutOfFundsError,
    RevertedError,
    RpcError,
    UnderpricedError,
)
from shoal.chain.values import Block, Call, Log, Receipt
from shoal.core import DecodeError
from shoal.core.records import dataclass

if TYPE_CHECKING:
    from collections.abc import Sequence

    from shoal.chain.transaction import SignedTransaction

Json: TypeAlias = Any  # what json.loads returns

LATEST: Final = "latest"
REVERTED: Final = 3  # code of a contract's refusal; go-ethereum rpc/errors.go and others since
SERVER_ERROR: Final = -32000  # EIP-1474: invalid input
PARSE_ERROR: Final = -32700  # the specification of JSON-RPC, section 5.1, as the next three
INVALID_REQUEST: Final = -32600
UNKNOWN_METHOD: Final = -32601
INVALID_PARAMS: Final = -32602
QUANTITY_LENGTH_MAX: Final = 66  # characters of 256 bits
TOPICS_MAX: Final = 4  # yellow paper: LOG0 to LOG4
_MESSAGE_MAX: Final = 500  # characters of what a node says
_QUANTITY_DIGITS: Final = frozenset("0123456789abcdefABCDEF")
# What nodes say when they refuse a transaction: go-ethereum core/txpool/errors.go, reth, anvil,
# nethermind, besu; in lower case.
_ALREADY_KNOWN: Final = (
    *("already known", "already imported", "known transaction", "alreadyknown", "already exists"),
)
_REFUSALS: Final[tuple[tuple[type[ChainError], tuple[str, ...]], ...]] = (
    (OutOfFundsError, ("insufficient funds", "insufficient balance", "insufficientfunds")),
    (NonceError, ("nonce too low", "nonce too high", "nonce gap", "nonce is too", "oldnonce")),
    (
        UnderpricedError,
        (
            "underpriced",
            "less than block base fee",
            "fee too low",
            "feetoolow",
            "gas price too low",
        ),
    ),
    (
        InvalidTransactionError,
        (
            *("invalid chain id", "chain id", "chainid", "invalid sender", "intrinsic gas"),
            *("exceeds block gas limit", "gas limit", "oversized", "rlp", "invalid signature"),
            *("max initcode", "tip higher", "priority fee", "type not supported"),
        ),
    ),
)


@dataclass(frozen=True, slots=True)
class Request:
    """One question to a node."""

    method: str
    params: tuple[Json, ...] = ()


# Requests and their answers.


def encode_requests(requests: Sequence[Request]) -> bytes:
    """Return the body that asks *requests*; the ids are their positions."""
    content = [
        {"jsonrpc": "2.0", "id": number, "method": each.method, "params": list(each.params)}
        for number, each in enumerate(requests)
    ]
    return json.dumps(content[0] if len(content) == 1 else content).encode()


def decode_answers(body: bytes, count: int) -> list[Json | RpcError]:
    """Return the answers in the order of the questions.

    Raises:
        ChainProtocolError: *body* is not *count* answers.
        RpcError: the node refused the request as a whole.
    """
    try:
        content = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise ChainProtocolError(f"no JSON: {body[:80]!r}") from error
    answers = content if isinstance(content, list) else [content]
    if count != 1 and isinstance(content, dict) and "error" in content:
        raise _rpc_error(content["error"])
    found: dict[int, Json | RpcError] = {}
    for answer in answers:
        if not isinstance(answer, dict) or not ("result" in answer or answer.get("error")):
            raise ChainProtocolError(f"no answer of JSON-RPC: {str(answer)[:80]}")
        number = 0 if count == 1 else answer.get("id")
        if isinstance(number, int):
            failed = answer.get("error")
            found[number] = _rpc_error(failed) if failed else answer["result"]
    if set(found) != set(range(count)):
        raise ChainProtocolError(f"{len(found)} answers to {count} questions")
    return [found[number] for number in range(count)]


def refusal_of(error: RpcError) -> ChainError:
    """Return what a node's refusal means; *error* itself where it is none that we know."""
    words = str(error).lower()
    if error.code == REVERTED or "revert" in words:
        reason = revert_reason(error.data) or _reason_in(str(error))
        return RevertedError(reason, error.data)
    for kind, marks in _REFUSALS:
        if any(mark in words for mark in marks):
            return kind(str(error))
    return error


def is_known(error: RpcError) -> bool:
    """Tell whether a node refuses a transaction because it has it."""
    return any(mark in str(error).lower() for mark in _ALREADY_KNOWN)


def _rpc_error(content: Json) -> RpcError:
    if not isinstance(content, dict):
        return RpcError(str(content)[:_MESSAGE_MAX], SERVER_ERROR)
    code, data = content.get("code"), content.get("data")
    if isinstance(data, dict):  # hardhat's way
        data = data.get("data")
    try:
        returned = data_from(data) if isinstance(data, str) else b""
    except DecodeError:
        returned = b""
    message = str(content.get("message", "no message"))[:_MESSAGE_MAX]
    return RpcError(message, code if isinstance(code, int) else SERVER_ERROR, returned)


def _reason_in(message: str) -> str:
    """Return the reason that a node put into its message: "execution reverted: REASON"."""
    return message.partition(":")[2].strip()


# What is in them.


def quantity(number: int) -> str:
    """Return a number as a quantity."""
    return hex(number)


def data(content: bytes) -> str:
    """Return bytes as data."""
    return "0x" + content.hex()


def quantity_from(value: Json) -> int:
    """Read a quantity.

    Raises:
        DecodeError: *value* is none.
    """
    if isinstance(value, str) and len(value) <= QUANTITY_LENGTH_MAX:
        prefix, digits = value[:2], value[2:]
        if prefix == "0x" and digits and set(digits) <= _QUANTITY_DIGITS:
            return int(digits, 16)
    raise DecodeError(f"no quantity: {str(value)[:80]}")


def data_from(value: Json) -> bytes:
    """Read data.

    Raises:
        DecodeError: *value* is none.
    """
    if isinstance(value, str) and value.startswith("0x") and value.isascii():
        try:
            return bytes.fromhex(value[2:])
        except ValueError:
            pass
    raise DecodeError(f"no data: {str(value)[:80]}")


def address_from(value: Json) -> ChainAddress:
    """Read an address.

    Raises:
        DecodeError: *value* is none.
    """
    return ChainAddress(data_from(value))


def call_json(call: Call, sender: ChainAddress | None) -> dict[str, str]:
    """Return a call as `eth_call` takes it."""
    content = {"data": data(call.data)}
    if call.to is not None:
        content["to"] = data(call.to)
    if call.value_wei:
        content["value"] = quantity(call.value_wei)
    if sender is not None:
        content["from"] = data(sender)
    return content


def block_from(content: Json) -> Block | None:
    """Read a block; None where there is none.

    Raises:
        DecodeError: *content* is none.
    """
    if content is None:
        return None
    fields = _object(content)
    base = fields.get("baseFeePerGas")
    return Block(
        number=quantity_from(fields.get("number")),
        hash=BlockHash(data_from(fields.get("hash"))),
        parent_hash=BlockHash(data_from(fields.get("parentHash"))),
        wall_time=quantity_from(fields.get("timestamp")),
        gas_limit=quantity_from(fields.get("gasLimit")),
        base_fee_wei=None if base is None else quantity_from(base),
    )


def block_json(block: Block, transactions: Sequence[TransactionHash]) -> dict[str, Json]:
    """Return a block as nodes show it; what our chain does not have is zero."""
    zero = bytes(32)
    content: dict[str, Json] = {
        "number": quantity(block.number),
        "hash": data(block.hash),
        "parentHash": data(block.parent_hash),
        "timestamp": quantity(block.wall_time),
        "gasLimit": quantity(block.gas_limit),
        "gasUsed": quantity(0),
        "transactions": [data(each) for each in transactions],
        "uncles": [],
        "miner": data(bytes(20)),
        "nonce": data(bytes(8)),
        "difficulty": quantity(0),
        "totalDifficulty": quantity(0),
        "size": quantity(0),
        "extraData": "0x",
        "logsBloom": data(bytes(256)),
    }
    roots = ("stateRoot", "transactionsRoot", "receiptsRoot", "sha3Uncles", "mixHash")
    content |= dict.fromkeys(roots, data(zero))
    if block.base_fee_wei is not None:
        content["baseFeePerGas"] = quantity(block.base_fee_wei)
    return content


def log_from(content: Json) -> Log:
    """Read a log that is in a block.

    Raises:
        DecodeError: *content* is none.
    """
    fields = _object(content)
    topics = fields.get("topics")
    if not isinstance(topics, list) or len(topics) > TOPICS_MAX:
        raise DecodeError("no topics")
    return Log(
        address=address_from(fields.get("address")),
        topics=tuple(data_from(each) for each in topics),
        data=data_from(fields.get("data")),
        block_number=quantity_from(fields.get("blockNumber")),
        block_hash=BlockHash(data_from(fields.get("blockHash"))),
        tx_hash=TransactionHash(data_from(fields.get("transactionHash"))),
        index=quantity_from(fields.get("logIndex")),
    )


def log_json(log: Log) -> dict[str, Json]:
    """Return a log as nodes show it."""
    return {
        "address": data(log.address),
        "topics": [data(each) for each in log.topics],
        "data": data(log.data),
        "blockNumber": quantity(log.block_number),
        "blockHash": data(log.block_hash),
        "transactionHash": data(log.tx_hash),
        "transactionIndex": quantity(0),
        "logIndex": quantity(log.index),
        "removed": False,
    }


def receipt_from(content: Json) -> Receipt | None:
    """Read a receipt; None where the transaction is in no block.

    Raises:
        DecodeError: *content* is none.
    """
    if content is None or _object(content).get("blockHash") is None:
        return None
    fields, logs = _object(content), content.get("logs")
    if not isinstance(logs, list):
        raise DecodeError("a receipt without logs")
    contract = fields.get("contractAddress")
    return Receipt(
        tx_hash=TransactionHash(data_from(fields.get("transactionHash"))),
        block_number=quantity_from(fields.get("blockNumber")),
        block_hash=BlockHash(data_from(fields.get("blockHash"))),
        is_success=quantity_from(fields.get("status")) == 1,
        gas_used=quantity_from(fields.get("gasUsed")),
        gas_price_wei=quantity_from(fields.get("effectiveGasPrice", "0x0")),
        contract=None if contract is None else address_from(contract),
        logs=tuple(log_from(each) for each in logs),
    )


def receipt_json(
    receipt: Receipt, sender: ChainAddress, to: ChainAddress | None
) -> dict[str, Json]:
    """Return a receipt as nodes show it."""
    return {
        "transactionHash": data(receipt.tx_hash),
        "transactionIndex": quantity(0),
        "blockNumber": quantity(receipt.block_number),
        "blockHash": data(receipt.block_hash),
        "status": quantity(receipt.is_success),
        "gasUsed": quantity(receipt.gas_used),
        "cumulativeGasUsed": quantity(receipt.gas_used),
        "effectiveGasPrice": quantity(receipt.gas_price_wei),
        "contractAddress": None if receipt.contract is None else data(receipt.contract),
        "from": data(sender),
        "to": None if to is None else data(to),
        "type": quantity(2),
        "logs": [log_json(each) for each in receipt.logs],
        "logsBloom": data(bytes(256)),
    }


def _object(content: Json) -> dict[str, Json]:
    if not isinstance(content, dict):
        raise DecodeError(f"no object: {str(content)[:80]}")
    return content


def transaction_json(signed: SignedTransaction, block: Block | None) -> dict[str, Json]:
    """Return a transaction as nodes show it."""
    made, mark = signed.transaction, signed.signature
    is_legacy = made.priority_fee_wei is None
    content: dict[str, Json] = {
        "hash": data(signed.hash),
        "type": quantity(0 if is_legacy else 2),
        "chainId": quantity(made.chain_id),
        "nonce": quantity(made.nonce),
        "from": data(signed.sender),
        "to": None if made.call.to is None else data(made.call.to),
        "value": quantity(made.call.value_wei),
        "input": data(made.call.data),
        "gas": quantity(made.gas_limit),
        "gasPrice": quantity(made.fee_wei),
        "r": quantity(mark.r),
        "s": quantity(mark.s),
        "v": quantity(int(mark.is_odd)),
        "yParity": quantity(int(mark.is_odd)),
        "accessList": [],
        "blockNumber": None if block is None else quantity(block.number),
        "blockHash": None if block is None else data(block.hash),
        "transactionIndex": None if block is None else quantity(0),
    }
    if made.priority_fee_wei is not None:
        content["maxFeePerGas"] = quantity(made.fee_wei)
        content["maxPriorityFeePerGas"] = quantity(made.priority_fee_wei)
    return content


# What a node of ours is asked.


@dataclass(frozen=True, slots=True)
class Asked:
    """One request that came in: its id as it was, to be sent back."""

    id: Json
    method: str
    params: list[Json]


def decode_asked(content: Json) -> Asked:
    """Read one request.

    Raises:
        RpcError: it is none.
    """
    if isinstance(content, dict):
        method, params = content.get("method"), content.get("params", [])
        if isinstance(method, str) and isinstance(params, list):
            return Asked(content.get("id"), method, params)
    raise RpcError("no request of JSON-RPC", INVALID_REQUEST)


def answer_json(id_: Json, result: Json | RpcError) -> dict[str, Json]:
    """Return the answer to a request."""
    content: dict[str, Json] = {"jsonrpc": "2.0", "id": id_}
    if isinstance(result, RpcError):
        error: dict[str, Json] = {"code": result.code, "message": str(result)}
        if result.data:
            error["data"] = data(result.data)
        return content | {"error": error}
    return content | {"result": result}


def call_from(content: Json) -> tuple[Call, ChainAddress | None]:
    """Read a call as `eth_call` takes it, and who makes it.

    Raises:
        DecodeError: *content* is none.
    """
    fields = _object(content)
    to, value = fields.get("to"), fields.get("value")
    sender = fields.get("from")
    sent = fields.get("input", fields.get("data", "0x"))  # clients use either name
    call = Call(
        to=None if to is None else address_from(to),
        data=data_from(sent),
        value_wei=0 if value is None else quantity_from(value),
    )
    return call, None if sender is None else address_from(sender)


def error_of(error: ChainError) -> RpcError:
    """Return how a node says *error*."""
    if isinstance(error, RpcError):
        return error
    if isinstance(error, RevertedError):
        reason = f": {error.reason}" if error.reason else ""
        return RpcError(f"execution reverted{reason}", REVERTED, error.data)
    if isinstance(error, OutOfFundsError):
        return RpcError(f"insufficient funds for gas * price + value: {error}", SERVER_ERROR)
    if isinstance(error, UnderpricedError):
        return RpcError(f"transaction underpriced: {error}", SERVER_ERROR)
    return RpcError(str(error) or type(error).__name__, SERVER_ERROR)
