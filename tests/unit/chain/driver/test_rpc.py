"""Asking a node: faults of the network and of nodes."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest

from shoal.chain.addresses import ChainAddress, TransactionHash
from shoal.chain.config import RpcConfig
from shoal.chain.driver import EmbeddedChain, open_chain
from shoal.chain.driver.rpc import RpcChain
from shoal.chain.errors import (
    ChainClosedError,
    ChainMissingError,
    ChainProtocolError,
    ChainUnreachableError,
    NonceError,
    RpcError,
)
from shoal.chain.transaction import hash_of
from shoal.chain.values import Fees
from tests.unit.chain.driver.fake_node import FakeNode, RpcRefusal

CONFIG = RpcConfig(attempts=3, retry_wait=0.001, poll_interval=0.001, logs_step=100)
WHO = ChainAddress(bytes([1]) * 20)
BLOCK = {
    "number": "0x5",
    "hash": "0x" + "11" * 32,
    "parentHash": "0x" + "22" * 32,
    "timestamp": "0x6",
    "gasLimit": "0x7",
    "baseFeePerGas": "0x64",
}
ANSWERS: dict[str, Any] = {
    "eth_chainId": "0x539",
    "eth_blockNumber": "0x5",
    "eth_getTransactionCount": "0x3",
    "eth_getBalance": "0x10",
    "eth_getBlockByNumber": BLOCK,
    "eth_gasPrice": "0x65",
    "eth_maxPriorityFeePerGas": "0x9",
    "eth_getTransactionReceipt": None,
    "eth_getCode": "0x6001",
}


def answer(method: str, params: list[Any]) -> Any:
    """What a usual node says."""
    return ANSWERS[method]


async def test_a_view_is_one_request() -> None:
    """With the nonce asked before the receipts."""
    async with FakeNode(answer) as node, RpcChain(node.url, CONFIG) as chain:
        view = await chain.view(WHO, [TransactionHash(bytes(32))])

        assert (view.chain_id, view.head, view.nonce, view.balance_wei) == (1337, 5, 3, 16)
        assert view.fees == Fees(100, 9)
        (asked,) = node.bodies
        methods = [each["method"] for each in asked]
        assert methods.index("eth_getTransactionCount") < methods.index("eth_getTransactionReceipt")


async def test_a_node_without_batches_is_asked_one_by_one() -> None:
    """And remembered as such."""
    async with FakeNode(answer) as node, RpcChain(node.url, CONFIG) as chain:
        node.takes_batches = False
        assert await chain.fees() == Fees(100, 9)
        node.bodies.clear()
        assert await chain.fees() == Fees(100, 9)
        assert not any(isinstance(each, list) for each in node.bodies)


async def test_fees_of_other_nodes() -> None:
    """Without advice about priority, and without base fees."""

    def plain(method: str, params: list[Any]) -> Any:
        if method == "eth_maxPriorityFeePerGas":
            raise RpcRefusal("unknown method")
        return answer(method, params)

    def old(method: str, params: list[Any]) -> Any:
        is_block = method == "eth_getBlockByNumber"
        return BLOCK | {"baseFeePerGas": None} if is_block else plain(method, params)

    async with FakeNode(plain) as node, RpcChain(node.url, CONFIG) as chain:
        assert await chain.fees() == Fees(100, 10**9)
    async with FakeNode(old) as node, RpcChain(node.url, CONFIG) as chain:
        assert await chain.fees() == Fees(None, 101)


async def test_what_passes_is_tried_again() -> None:
    """A busy node, a connection that breaks: three attempts, then it is unreachable."""
    async with FakeNode(answer) as node, RpcChain(node.url, CONFIG) as chain:
        node.refusals = [503, None]
        assert await chain.block_number() == 5
        node.refusals = [429, None, 502]
        with pytest.raises(ChainUnreachableError):
            await chain.block_number()
        assert len(node.bodies) == 6


async def test_what_does_not_pass_is_said_at_once() -> None:
    """Another kind of server; nonsense; and no secret of the URL in any error."""
    async with FakeNode(answer) as node, RpcChain(node.url, CONFIG) as chain:
        node.refusals = [404]
        with pytest.raises(ChainProtocolError) as refused:
            await chain.block_number()
        assert "secret" not in str(refused.value)
        assert "secret" not in chain.where
        assert len(node.bodies) == 1
    async with FakeNode(lambda *_: "nonsense") as node, RpcChain(node.url, CONFIG) as chain:
        with pytest.raises(ChainProtocolError, match="nonsense"):
            await chain.block_number()
        health = await chain.health()
        assert not health.is_ok
        with pytest.raises(ChainProtocolError):
            await chain.view(WHO)
    small = RpcConfig(attempts=1, answer_max=5)
    async with FakeNode(answer) as node, RpcChain(node.url, small) as chain:
        with pytest.raises(ChainProtocolError, match="without end"):
            await chain.block_number()


async def test_logs_are_asked_in_steps_that_a_node_bears() -> None:
    """Halved on each refusal, down to one block."""
    ranges: list[tuple[int, int]] = []

    def logs(method: str, params: list[Any]) -> Any:
        start, end = (int(params[0][key], 16) for key in ("fromBlock", "toBlock"))
        if end - start >= 40:
            raise RpcRefusal("block range too large")
        ranges.append((start, end))
        return []

    async with FakeNode(logs) as node, RpcChain(node.url, CONFIG) as chain:
        assert await chain.logs(WHO, 0, 99, (bytes(32), None, [bytes(32)])) == []
        assert ranges[0][0] == 0
        assert ranges[-1][1] == 99
        assert all(b[0] == a[1] + 1 for a, b in pairwise(ranges))

    def never(method: str, params: list[Any]) -> Any:
        raise RpcRefusal("no logs here")

    async with FakeNode(never) as node, RpcChain(node.url, CONFIG) as chain:
        with pytest.raises(RpcError, match="no logs"):
            await chain.logs(WHO, 0, 3)


async def test_sending_again_is_fine() -> None:
    """A node that has it already says so; other refusals are typed."""
    says = ["already known"]

    def refuse(method: str, params: list[Any]) -> Any:
        raise RpcRefusal(says[0])

    async with FakeNode(refuse) as node, RpcChain(node.url, CONFIG) as chain:
        assert await chain.send(b"raw") == hash_of(b"raw")
        says[0] = "nonce too low"
        with pytest.raises(NonceError):
            await chain.send(b"raw")


async def test_waiting_for_a_block() -> None:
    """Until there is one, or patience ends."""
    numbers = iter(["0x5", "0x5", "0x6"])

    def count(method: str, params: list[Any]) -> Any:
        return next(numbers, "0x6")

    async with FakeNode(count) as node, RpcChain(node.url, CONFIG) as chain:
        assert await chain.wait_block(5) == 6
        assert await chain.wait_block(6, patience=0.01) == 6


async def test_single_questions() -> None:
    """Read as what they are."""
    async with FakeNode(answer) as node, RpcChain(node.url, CONFIG) as chain:
        assert await chain.chain_id() == 1337
        assert await chain.nonce(WHO) == 3
        assert await chain.balance(WHO) == 16
        assert await chain.code(WHO) == b"\x60\1"
        assert await chain.receipt(TransactionHash(bytes(32))) is None
        block = await chain.block(5)
        assert block is not None
        assert block.number == 5
        assert (await chain.health()).is_ok
    with pytest.raises(ChainClosedError):
        await chain.chain_id()


async def test_what_is_no_chain() -> None:
    """URLs of other kinds, and nothing named."""
    for url in ("ftp://host", "host:8545", "http://"):
        with pytest.raises(ChainProtocolError):
            RpcChain(url)
    with pytest.raises(ChainMissingError):
        await open_chain("embedded")
    opened = await open_chain("http://127.0.0.1:1")
    assert isinstance(opened, RpcChain)
    assert not isinstance(opened, EmbeddedChain)
    await opened.close()
