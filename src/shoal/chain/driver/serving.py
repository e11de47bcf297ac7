"""What the embedded chain answers to JSON-RPC: it looks like any node to those who ask."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any, Final

from shoal.chain import wire
from shoal.chain.addresses import BlockHash, ChainAddress, TransactionHash
from shoal.chain.errors import ChainError, RpcError
from shoal.chain.transaction import decode_transaction
from shoal.core import DecodeError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from shoal.chain.backend import Topics
    from shoal.chain.driver.embedded import EmbeddedChain
    from shoal.chain.values import Block
    from shoal.chain.wire import Json

BATCH_MAX: Final = 100  # requests; ours
LOGS_MAX: Final = 10_000  # in one answer; what hosted nodes allow
HISTORY_MAX: Final = 1024  # blocks of eth_feeHistory; go-ethereum eth/gasprice
_NEWEST: Final = frozenset({"latest", "pending", "safe", "finalized"})
_NUMBER_MAX: Final = 2**63 - 1  # SQLite's largest; no chain has such a block


class RpcMethods:
    """The methods, over one chain. With *is_read_only* nobody can send transactions."""

    def __init__(self, chain: EmbeddedChain, *, is_read_only: bool = False) -> None:
        self._chain = chain
        self._methods: dict[str, Callable[..., Awaitable[Json]]] = {
            "eth_accounts": self._none,
            "eth_blockNumber": self._block_number,
            "eth_call": self._call,
            "eth_chainId": self._chain_id,
            "eth_estimateGas": self._estimate,
            "eth_feeHistory": self._fee_history,
            "eth_gasPrice": self._gas_price,
            "eth_getBalance": self._balance,
            "eth_getBlockByHash": self._block_by_hash,
            "eth_getBlockByNumber": self._block_by_number,
            "eth_getCode": self._code,
            "eth_getLogs": self._logs,
            "eth_getTransactionByHash": self._transaction,
            "eth_getTransactionCount": self._nonce,
            "eth_getTransactionReceipt": self._receipt,
            "eth_maxPriorityFeePerGas": self._priority,
            "eth_syncing": self._no,
            "net_version": self._net_version,
            "web3_clientVersion": self._version,
        }
        if not is_read_only:
            self._methods["eth_sendRawTransaction"] = self._send

    async def answer(self, body: bytes) -> bytes:
        """Return the answer to a request, or to a batch of them. Never raises."""
        try:
            content = json.loads(body)
        except (ValueError, RecursionError):
            error = RpcError("no JSON", wire.PARSE_ERROR)
            return json.dumps(wire.answer_json(None, error)).encode()
        if not isinstance(content, list):
            return json.dumps(await self._one(content)).encode()
        if not 0 < len(content) <= BATCH_MAX:
            error = RpcError(f"a batch has 1 to {BATCH_MAX} requests", wire.INVALID_REQUEST)
            return json.dumps(wire.answer_json(None, error)).encode()
        return json.dumps([await self._one(each) for each in content]).encode()

    async def _one(self, content: Json) -> Json:
        id_ = content.get("id") if isinstance(content, dict) else None
        try:
            asked = wire.decode_asked(content)
            method = self._methods.get(asked.method)
            if method is None:
                raise RpcError(f"no method {asked.method[:80]}", wire.UNKNOWN_METHOD)
            return wire.answer_json(id_, await method(*asked.params))
        except (DecodeError, TypeError, ValueError) as error:
            text = f"wrong parameters: {error}"[:200]
            return wire.answer_json(id_, RpcError(text, wire.INVALID_PARAMS))
        except ChainError as error:
            return wire.answer_json(id_, wire.error_of(error))

    # What does not depend on anything.

    async def _none(self) -> Json:
        return []

    async def _no(self) -> Json:
        return False

    async def _version(self) -> Json:
        return "shoal/embedded"

    # The chain.

    async def _chain_id(self) -> Json:
        return wire.quantity(await self._chain.chain_id())

    async def _net_version(self) -> Json:
        return str(await self._chain.chain_id())

    async def _block_number(self) -> Json:
        return wire.quantity(await self._chain.block_number())

    async def _gas_price(self) -> Json:
        fees = await self._chain.fees()
        return wire.quantity((fees.base_wei or 0) + fees.priority_wei)

    async def _priority(self) -> Json:
        return wire.quantity((await self._chain.fees()).priority_wei)

    async def _fee_history(self, count: Json, newest: Json, _rewards: Json = None) -> Json:
        blocks = wire.quantity_from(count) if isinstance(count, str) else int(count)
        last = await self._number(newest)
        blocks = min(max(blocks, 1), HISTORY_MAX, last + 1)
        base = wire.quantity(self._chain.genesis.base_fee_wei)
        return {
            "oldestBlock": wire.quantity(last - blocks + 1),
            "baseFeePerGas": [base] * (blocks + 1),
            "gasUsedRatio": [0.0] * blocks,
        }

    async def _block_by_number(self, tag: Json, whole: Json = False) -> Json:
        return await self._show(await self._chain.block(await self._number(tag)), whole)

    async def _block_by_hash(self, name: Json, whole: Json = False) -> Json:
        found = await self._chain.block_by_hash(BlockHash(wire.data_from(name)))
        return await self._show(found, whole)

    async def _show(self, block: Block | None, whole: Json) -> Json:
        if block is None:
            return None
        raw = await self._chain.raw_in(block.number)
        if raw is None:
            return wire.block_json(block, ())
        signed = decode_transaction(raw)
        shown = wire.block_json(block, [signed.hash])
        return shown | {"transactions": [wire.transaction_json(signed, block)]} if whole else shown

    # Accounts and contracts.

    async def _balance(self, address: Json, tag: Json = "latest") -> Json:
        await self._newest(tag)
        return wire.quantity(await self._chain.balance(wire.address_from(address)))

    async def _nonce(self, address: Json, tag: Json = "latest") -> Json:
        await self._newest(tag)
        return wire.quantity(await self._chain.nonce(wire.address_from(address)))

    async def _code(self, address: Json, tag: Json = "latest") -> Json:
        await self._newest(tag)
        return wire.data(await self._chain.code(wire.address_from(address)))

    async def _call(self, content: Json, tag: Json = "latest") -> Json:
        call, sender = wire.call_from(content)
        number = await self._number(tag)
        return wire.data(await self._chain.call(call, sender=sender, block=number))

    async def _estimate(self, content: Json, tag: Json = "latest") -> Json:
        call, sender = wire.call_from(content)
        await self._newest(tag)
        nobody = ChainAddress(bytes(ChainAddress.length))
        return wire.quantity(await self._chain.estimate_gas(call, sender or nobody))

    # Transactions and logs.

    async def _send(self, raw: Json) -> Json:
        return wire.data(await self._chain.send(wire.data_from(raw)))

    async def _receipt(self, name: Json) -> Json:
        tx_hash = TransactionHash(wire.data_from(name))
        receipt, raw = await asyncio.gather(self._chain.receipt(tx_hash), self._chain.raw(tx_hash))
        if receipt is None or raw is None:
            return None
        signed = decode_transaction(raw)
        return wire.receipt_json(receipt, signed.sender, signed.transaction.call.to)

    async def _transaction(self, name: Json) -> Json:
        tx_hash = TransactionHash(wire.data_from(name))
        receipt, raw = await asyncio.gather(self._chain.receipt(tx_hash), self._chain.raw(tx_hash))
        if receipt is None or raw is None:
            return None
        return wire.transaction_json(
            decode_transaction(raw), await self._chain.block(receipt.block_number)
        )

    async def _logs(self, wanted: Json) -> Json:
        if not isinstance(wanted, dict):
            raise DecodeError("no filter")
        start, end = await self._range(wanted)
        address = wanted.get("address")
        names = address if isinstance(address, list) else [] if address is None else [address]
        addresses = tuple(wire.address_from(each) for each in names)
        topics = _topics(wanted.get("topics"))
        if end < start:
            return []
        logs = await self._chain.logs_of(addresses or None, start, end, topics, LOGS_MAX + 1)
        if len(logs) > LOGS_MAX:
            raise RpcError(f"more than {LOGS_MAX} logs: ask for fewer blocks", wire.SERVER_ERROR)
        return [wire.log_json(each) for each in logs]

    async def _range(self, wanted: dict[str, Any]) -> tuple[int, int]:
        name = wanted.get("blockHash")
        if name is None:
            tags = wanted.get("fromBlock", "latest"), wanted.get("toBlock", "latest")
            return await self._number(tags[0]), await self._number(tags[1])
        block = await self._chain.block_by_hash(BlockHash(wire.data_from(name)))
        if block is None:
            raise RpcError("unknown block", wire.SERVER_ERROR)
        return block.number, block.number

    async def _number(self, tag: Json) -> int:
        if tag == "earliest":
            return 0
        if tag is None or tag in _NEWEST:
            return await self._chain.block_number()
        return min(wire.quantity_from(tag), _NUMBER_MAX)

    async def _newest(self, tag: Json) -> None:
        if await self._number(tag) < await self._chain.block_number():
            raise RpcError("this node knows its newest state only", wire.SERVER_ERROR)


def _topics(content: Json) -> Topics:
    """Read the topics of a filter: per position a value, several, or null for any."""
    if content is None:
        return ()
    if not isinstance(content, list) or len(content) > wire.TOPICS_MAX:
        raise DecodeError("no topics")
    found: list[bytes | list[bytes] | None] = []
    for each in content:
        if isinstance(each, list):
            found.append([wire.data_from(one) for one in each] or None)
        else:
            found.append(None if each is None else wire.data_from(each))
    return found
