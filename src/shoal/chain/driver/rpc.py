"""Any Ethereum node, by JSON-RPC over HTTP."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Any, Final, Self, TypeVar
from urllib.parse import urlsplit

import httpx2

from shoal.chain import wire
from shoal.chain.addresses import TransactionHash
from shoal.chain.config import RpcConfig
from shoal.chain.errors import (
    ChainClosedError,
    ChainError,
    ChainProtocolError,
    ChainUnreachableError,
    RpcError,
)
from shoal.chain.transaction import hash_of
from shoal.chain.values import ChainHealth, ChainView, Fees
from shoal.core import DecodeError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from shoal.chain.addresses import ChainAddress
    from shoal.chain.backend import Topics
    from shoal.chain.values import Block, Call, Log, Receipt
    from shoal.chain.wire import Json

_log = logging.getLogger(__name__)
R = TypeVar("R")

PRIORITY_FEE_WEI: Final = 10**9  # ours: 1 gwei, where a node does not advise
_BUSY: Final = frozenset({408, 425, 429, 500, 502, 503, 504})  # HTTP statuses that pass
_OK: Final = 200
_REFUSALS: Final = frozenset({400, 413, 422})  # statuses with which some nodes answer errors
_VIEW_FIXED: Final = 6  # requests of a view beside the receipts


class RpcChain:
    """The chain that a node serves; implements `shoal.chain.Chain`."""

    registry_address: ChainAddress | None = None

    def __init__(self, url: str, config: RpcConfig = RpcConfig()) -> None:  # noqa: B008 - frozen
        """Prepare to ask the node at *url*; nothing is sent yet.

        Raises:
            ChainProtocolError: *url* is no HTTP URL.
        """
        parts = urlsplit(url)
        if parts.scheme not in {"http", "https"} or not parts.hostname:
            raise ChainProtocolError("a chain's URL is http://HOST[:PORT] or https://HOST")
        # Paths and queries of such URLs often are passwords: they are never shown.
        self.where = f"{parts.scheme}://{parts.hostname}" + (f":{parts.port}" * bool(parts.port))
        self._url = url
        self._config = config
        self._chain_id: int | None = None
        self._has_batches = True
        self._client: httpx2.AsyncClient | None = httpx2.AsyncClient(
            timeout=config.timeout, headers={"Content-Type": "application/json"}
        )

    async def close(self) -> None:
        client, self._client = self._client, None
        if client is not None:
            await client.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *unused: object) -> None:
        await self.close()

    # What a chain shows.

    async def chain_id(self) -> int:
        return await self._ask(wire.quantity_from, "eth_chainId")

    async def block_number(self) -> int:
        return await self._ask(wire.quantity_from, "eth_blockNumber")

    async def block(self, number: int) -> Block | None:
        return await self._ask(wire.block_from, "eth_getBlockByNumber", hex(number), False)

    async def call(
        self, call: Call, *, sender: ChainAddress | None = None, block: int | None = None
    ) -> bytes:
        tag = wire.LATEST if block is None else hex(block)
        return await self._ask(wire.data_from, "eth_call", wire.call_json(call, sender), tag)

    async def estimate_gas(self, call: Call, sender: ChainAddress) -> int:
        content = wire.call_json(call, sender)
        return await self._ask(wire.quantity_from, "eth_estimateGas", content)

    async def fees(self) -> Fees:
        latest = wire.Request("eth_getBlockByNumber", (wire.LATEST, False))
        answers = await self._batch([latest, *_FEE_QUESTIONS])
        return _fees(*answers)

    async def balance(self, address: ChainAddress) -> int:
        return await self._ask(
            wire.quantity_from, "eth_getBalance", wire.data(address), wire.LATEST
        )

    async def nonce(self, address: ChainAddress) -> int:
        return await self._ask(
            wire.quantity_from, "eth_getTransactionCount", wire.data(address), wire.LATEST
        )

    async def code(self, address: ChainAddress) -> bytes:
        return await self._ask(wire.data_from, "eth_getCode", wire.data(address), wire.LATEST)

    async def receipt(self, tx_hash: TransactionHash) -> Receipt | None:
        return await self._ask(wire.receipt_from, "eth_getTransactionReceipt", wire.data(tx_hash))

    async def logs(
        self, address: ChainAddress, from_block: int, to_block: int, topics: Topics = ()
    ) -> list[Log]:
        found: list[Log] = []
        start, step = from_block, self._config.logs_step
        while start <= to_block:
            end = min(start + step - 1, to_block)
            try:
                found += await self._logs(address, start, end, topics)
            except RpcError:
                if step == 1:
                    raise
                step = max(step // 2, 1)  # too many blocks, or too many logs in them
                continue
            start = end + 1
        return sorted(found, key=lambda log: (log.block_number, log.index))

    async def view(
        self, sender: ChainAddress, transactions: Sequence[TransactionHash] = ()
    ) -> ChainView:
        # The nonce is read before the receipts: the engine relies on that.
        account = (wire.data(sender), wire.LATEST)
        questions = [
            wire.Request("eth_chainId"),
            wire.Request("eth_getTransactionCount", account),
            wire.Request("eth_getBalance", account),
            wire.Request("eth_getBlockByNumber", (wire.LATEST, False)),
            *_FEE_QUESTIONS,
        ]
        questions += [
            wire.Request("eth_getTransactionReceipt", (wire.data(each),)) for each in transactions
        ]
        chain_id, nonce, balance, latest, *more = await self._batch(questions)
        receipts = [_read(wire.receipt_from, each) for each in more[len(_FEE_QUESTIONS) :]]
        block = _read(wire.block_from, latest)
        if block is None:
            raise ChainProtocolError("the node shows no newest block")
        return ChainView(
            chain_id=_read(wire.quantity_from, chain_id),
            head=block.number,
            nonce=_read(wire.quantity_from, nonce),
            balance_wei=_read(wire.quantity_from, balance),
            fees=_fees(latest, *more[: len(_FEE_QUESTIONS)]),
            receipts={each.tx_hash: each for each in receipts if each is not None},
        )

    async def wait_block(self, after: int, patience: float | None = None) -> int:
        loop = asyncio.get_running_loop()
        end = None if patience is None else loop.time() + patience
        while (number := await self.block_number()) <= after:
            pause = self._config.poll_interval
            if end is not None:
                pause = min(pause, end - loop.time())
                if pause <= 0:
                    break
            await asyncio.sleep(pause)
        return number

    async def health(self) -> ChainHealth:
        try:
            chain_id, head = await self.chain_id(), await self.block_number()
        except ChainError as error:
            return ChainHealth("rpc", self.where, self._chain_id, None, str(error))
        return ChainHealth("rpc", self.where, chain_id, head)

    async def send(self, raw: bytes) -> TransactionHash:
        try:
            answer = await self.request("eth_sendRawTransaction", wire.data(raw))
        except RpcError as error:
            if wire.is_known(error):
                return hash_of(raw)
            raise wire.refusal_of(error) from error
        return TransactionHash(_read(wire.data_from, answer))

    # Questions of any kind.

    async def request(self, method: str, *params: Json) -> Json:
        """Ask one question; return the answer as it is.

        Raises:
            RpcError: the node refuses.
            ChainUnreachableError, ChainProtocolError: there is no answer, or none of its kind.
        """
        (answer,) = await self._post([wire.Request(method, params)])
        if isinstance(answer, RpcError):
            raise answer
        return answer

    async def _ask(self, read: Callable[[Json], R], method: str, *params: Json) -> R:
        try:
            answer = await self.request(method, *params)
        except RpcError as error:
            raise wire.refusal_of(error) from error
        return _read(read, answer)

    async def _logs(self, address: ChainAddress, start: int, end: int, topics: Topics) -> list[Log]:
        wanted: dict[str, Any] = {
            "address": wire.data(address),
            "fromBlock": hex(start),
            "toBlock": hex(end),
        }
        if topics:
            wanted["topics"] = [_topic_json(each) for each in topics]
        answer = await self.request("eth_getLogs", wanted)
        if not isinstance(answer, list):
            raise ChainProtocolError("the node's logs are no list")
        return [_read(wire.log_from, each) for each in answer]

    async def _batch(self, questions: list[wire.Request]) -> list[Json | RpcError]:
        """Ask all at once; one by one where the node does not take batches."""
        answers: list[Json | RpcError] = []
        if self._has_batches:
            size = self._config.batch_max
            try:
                for start in range(0, len(questions), size):
                    answers += await self._post(questions[start : start + size])
            except RpcError as error:
                _log.info("= %s takes no batches: %s", self.where, error)
                self._has_batches = False
            else:
                return answers
        return [(await self._post([question]))[0] for question in questions]

    async def _post(self, questions: list[wire.Request]) -> list[Json | RpcError]:
        body, wait = wire.encode_requests(questions), self._config.retry_wait
        attempt = 0
        while True:
            attempt += 1
            try:
                return wire.decode_answers(await self._exchange(body), len(questions))
            except ChainUnreachableError:
                if attempt >= self._config.attempts:
                    raise
            await asyncio.sleep(wait)
            wait *= 2

    async def _exchange(self, body: bytes) -> bytes:
        """Post once; whatever passes by itself is a ChainUnreachableError."""
        if self._client is None:
            raise ChainClosedError
        try:
            async with self._client.stream("POST", self._url, content=body) as answer:
                if answer.status_code in _BUSY:
                    raise ChainUnreachableError(f"{self.where} answers {answer.status_code}")
                if answer.status_code != _OK and answer.status_code not in _REFUSALS:
                    raise ChainProtocolError(f"{self.where} answers {answer.status_code}")
                content = bytearray()
                async for chunk in answer.aiter_bytes():
                    content += chunk
                    if len(content) > self._config.answer_max:
                        raise ChainProtocolError(f"{self.where} answers without end")
        except httpx2.HTTPError as error:
            raise ChainUnreachableError(
                f"{self.where} cannot be reached: {type(error).__name__} {error}".rstrip()
            ) from error
        return bytes(content)


_FEE_QUESTIONS: Final = (
    wire.Request("eth_gasPrice"),
    wire.Request("eth_maxPriorityFeePerGas"),
)


def _fees(latest: Json | RpcError, price: Json | RpcError, priority: Json | RpcError) -> Fees:
    block = _read(wire.block_from, latest)
    if block is None or block.base_fee_wei is None:
        return Fees(None, _read(wire.quantity_from, price))
    if isinstance(priority, RpcError):  # a method that not all nodes have
        return Fees(block.base_fee_wei, PRIORITY_FEE_WEI)
    return Fees(block.base_fee_wei, _read(wire.quantity_from, priority))


def _read(read: Callable[[Json], R], answer: Json | RpcError) -> R:
    if isinstance(answer, RpcError):
        raise wire.refusal_of(answer) from answer
    try:
        return read(answer)
    except DecodeError as error:
        raise ChainProtocolError(f"the node answers nonsense: {error}") from error


def _topic_json(topic: bytes | Sequence[bytes] | None) -> Json:
    if topic is None:
        return None
    return wire.data(topic) if isinstance(topic, bytes) else [wire.data(each) for each in topic]
