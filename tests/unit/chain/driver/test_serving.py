"""The embedded chain behind JSON-RPC: our own client cannot tell it from a node."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shoal.chain.addresses import TransactionHash
from shoal.chain.config import RpcConfig, TransactionConfig
from shoal.chain.driver import EmbeddedChain, RegistryClient, TransactionSender
from shoal.chain.driver.rpc import RpcChain
from shoal.chain.driver.rpc_server import RpcServer
from shoal.chain.driver.serving import BATCH_MAX, RpcMethods
from shoal.chain.errors import ChainFileError, NonceError, OutOfFundsError, RegistryRefusedError
from shoal.chain.keys import ChainKey
from shoal.chain.registry import GENESIS_ADDRESS, Registry, Reservation
from shoal.chain.transaction import Transaction
from shoal.chain.values import Call
from shoal.core import AccountId

if TYPE_CHECKING:
    from pathlib import Path

pytest.importorskip("pyrevm", reason="the embedded chain's virtual machine is not installed")

KEY, OTHER = ChainKey(bytes(31) + b"\7"), ChainKey(bytes(31) + b"\x09")
FAST = TransactionConfig(confirmations=1, poll_interval=0.02)


def reservation(name: str) -> Reservation:
    """A name for an account of its own."""
    return Reservation(name, AccountId(name.encode().rjust(20, b".")), b"key", b"signature")


async def test_our_client_uses_it_as_any_node(tmp_path: Path) -> None:
    """Register, look up, follow, be refused: over HTTP, in batches; both see the same."""
    async with EmbeddedChain(tmp_path / "chain") as own, RpcServer(own) as server:
        await own.fund(KEY.address)
        url = f"http://127.0.0.1:{server.port}"
        async with (
            RpcChain(url, RpcConfig(attempts=1, poll_interval=0.02)) as chain,
            TransactionSender(chain, KEY, tmp_path / "file", FAST) as sender,
        ):
            registry = RegistryClient(chain, sender=sender)
            await registry.check()
            work = (registry.register(reservation(f"name-{number}")) for number in range(5))
            entries = await asyncio.gather(*work)
            assert await registry.lookup("name-3") == entries[3]
            assert await registry.reverse(entries[3].account) == "name-3"
            with pytest.raises(RegistryRefusedError):
                await registry.register(
                    Reservation("name-3", AccountId(bytes([1]) * 20), b"k", b"s")
                )
            assert await registry.events(0) == await RegistryClient(own).events(0)

            head = await chain.block_number()
            assert [await chain.block(n) for n in range(head + 2)] == [
                await own.block(n) for n in range(head + 2)
            ]
            for entry in entries:
                assert await chain.receipt(entry.tx_hash) == await own.receipt(entry.tx_hash)
            assert await chain.view(KEY.address) == await own.view(KEY.address)
            assert await chain.code(GENESIS_ADDRESS) == await own.code(GENESIS_ADDRESS)
            assert await chain.receipt(TransactionHash(bytes(32))) is None
            await poor_and_wrong(chain)


async def poor_and_wrong(chain: RpcChain) -> None:
    """Refusals are typed on this side as on that."""
    chain_id = await chain.chain_id()
    gift = Call(OTHER.address, b"", 1)
    with pytest.raises(OutOfFundsError):
        await chain.send(Transaction(chain_id, 0, gift, 21_000, 10**9, 0).sign(OTHER).raw)
    with pytest.raises(NonceError):
        await chain.send(Transaction(chain_id, 99, gift, 21_000, 10**9, 0).sign(KEY).raw)
    with pytest.raises(OutOfFundsError):
        await chain.estimate_gas(Call(KEY.address, b"", 1), OTHER.address)


async def test_what_wallets_ask_for_besides(tmp_path: Path) -> None:
    """Whole blocks, transactions, fee history, filters by hash."""
    async with EmbeddedChain(tmp_path) as own, RpcServer(own) as server:
        sent = await own.grant(OTHER.address, 5)
        block = await own.block(1)
        assert block is not None
        async with RpcChain(f"http://127.0.0.1:{server.port}") as chain:
            ask = chain.request
            whole = await ask("eth_getBlockByNumber", "latest", True)
            assert whole["transactions"] == [await ask("eth_getTransactionByHash", str(sent))]
            assert whole["transactions"][0]["value"] == "0x5"
            assert await ask("eth_getBlockByHash", str(block.hash), True) == whole
            assert await ask("eth_getBlockByHash", "0x" + "12" * 32, False) is None
            assert (await ask("eth_getBlockByNumber", "earliest", True))["transactions"] == []
            assert await ask("eth_getTransactionByHash", "0x" + "12" * 32) is None
            history = await ask("eth_feeHistory", "0x5", "latest", [])
            assert history["baseFeePerGas"] == ["0x3b9aca00"] * 3
            assert await ask("net_version") == str(await own.chain_id())
            assert await ask("eth_syncing") is False
            assert await ask("eth_accounts") == []
            assert await ask("eth_getLogs", {"blockHash": str(block.hash)}) == []
            assert await ask("eth_getLogs", {"fromBlock": "0x9", "toBlock": "0x1"}) == []


async def told(methods: RpcMethods, method: str, *params: Any) -> Any:
    """Return the answer to one request."""
    body = json.dumps({"jsonrpc": "2.0", "id": "x", "method": method, "params": params})
    answer = json.loads(await methods.answer(body.encode()))
    assert answer["id"] == "x"
    return answer.get("result", answer.get("error", {}).get("code"))


async def test_what_is_refused(tmp_path: Path) -> None:
    """By JSON-RPC's codes."""
    async with EmbeddedChain(tmp_path) as chain:
        methods = RpcMethods(chain, is_read_only=True)
        await chain.grant(OTHER.address, 5)
        assert await told(methods, "eth_nothing") == -32601
        assert await told(methods, "eth_sendRawTransaction", "0x00") == -32601
        assert await told(methods, "eth_getBalance") == -32602
        assert await told(methods, "eth_getBalance", "0x12") == -32602
        assert await told(methods, "eth_getBalance", str(KEY.address), "0x0") == -32000
        assert await told(methods, "eth_getLogs", []) == -32602
        assert await told(methods, "eth_getLogs", {"topics": [None] * 5}) == -32602
        assert await told(methods, "eth_getLogs", {"blockHash": "0x" + "12" * 32}) == -32000
        release = {"to": str(GENESIS_ADDRESS), "data": "0x" + Registry().release("abc").data.hex()}
        assert await told(methods, "eth_call", release) == 3
        for body, code in ((b"{", -32700), (b"[]", -32600), (b"[1]", -32600), (b"3", -32600)):
            answer = json.loads(await methods.answer(body))
            error = answer[0]["error"] if isinstance(answer, list) else answer["error"]
            assert error["code"] == code
        many = json.dumps([{"id": 1, "method": "eth_chainId"}] * (BATCH_MAX + 1)).encode()
        assert json.loads(await methods.answer(many))["error"]["code"] == -32600


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.text(max_size=12)
    | st.sampled_from(["latest", "0x1", "0x" + "00" * 20, "0x" + "11" * 32]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["address", "topics", "fromBlock", "to", "data", "x"]), inner
        )
    ),
    max_leaves=6,
)


@given(st.data())
@settings(max_examples=15)
def test_any_request_is_answered(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    """Whatever a stranger sends: an answer in JSON."""

    async def play() -> None:
        async with EmbeddedChain(tmp_path_factory.mktemp("chain")) as chain:
            methods = RpcMethods(chain)
            for name in sorted(methods._methods):  # noqa: SLF001 - all of them
                params = data.draw(st.lists(JSON, max_size=3))
                body = json.dumps({"id": 1, "method": name, "params": params}).encode()
                assert "id" in json.loads(await methods.answer(body))
            json.loads(await methods.answer(data.draw(st.binary(max_size=50))))

    asyncio.run(play())


async def test_a_block_far_beyond_any(tmp_path: Path) -> None:
    """No database has a number for it: there is no such block."""
    async with EmbeddedChain(tmp_path) as chain:
        methods = RpcMethods(chain)
        for number in (2**63 - 1, 2**63, 2**200):
            asked = {"id": 1, "method": "eth_getBlockByNumber", "params": [hex(number)]}
            answer = json.loads(await methods.answer(json.dumps(asked).encode()))
            assert answer["result"] is None


async def exchange(port: int, sent: bytes) -> bytes:
    """Send bytes, return all that comes back until the other side closes."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(sent)
    writer.write_eof()
    async with asyncio.timeout(20):
        got = await reader.read()
    writer.close()
    return got


async def test_http(tmp_path: Path) -> None:
    """Other methods, too much, nonsense, a taken port."""
    async with EmbeddedChain(tmp_path) as chain, RpcServer(chain) as server:
        port = server.port
        assert b" 405 " in await exchange(port, b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        preflight = await exchange(port, b"OPTIONS / HTTP/1.1\r\nHost: x\r\n\r\n")
        assert b"content-type" in preflight.lower()
        big = b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 2000000\r\n\r\n" + bytes(2_000_000)
        assert b" 413 " in await exchange(port, big)
        assert await exchange(port, b"nonsense\r\n\r\n") == b""
        assert (
            await exchange(port, b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n{") == b""
        )
        with pytest.raises(ChainFileError, match="listened"):
            await RpcServer(chain, port=port).open()
