"""The embedded chain on disk: it keeps what it acknowledged, however its process ends."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sqlite3
import stat
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shoal.chain.driver import EmbeddedChain, create_chain, load_key
from shoal.chain.driver.store import ChainStore
from shoal.chain.errors import (
    ChainBusyError,
    ChainClosedError,
    ChainDamagedError,
    ChainExistsError,
    ChainFileError,
    ChainMissingError,
    NonceError,
    RpcError,
)
from shoal.chain.genesis import FAUCET_WEI
from shoal.chain.keys import ChainKey
from shoal.chain.registry import GENESIS_ADDRESS, Registry, Reservation
from shoal.chain.transaction import Transaction
from shoal.chain.values import Call
from shoal.core import AccountId

pytest.importorskip("pyrevm", reason="the embedded chain's virtual machine is not installed")

KEY, OTHER = ChainKey(bytes(31) + b"\7"), ChainKey(bytes(31) + b"\x09")
REGISTRY = Registry()


async def registered(chain: EmbeddedChain, number: int, nonce: int) -> bytes:
    """Return a signed transaction that takes a name."""
    account = AccountId((number + 1).to_bytes(20))
    call = REGISTRY.register(Reservation(f"name-{number}", account, b"key", b"signature"))
    chain_id = await chain.chain_id()
    return Transaction(chain_id, nonce, call, 300_000, 10**9, 0).sign(KEY).raw


async def test_it_is_made_kept_and_opened_again(tmp_path: Path) -> None:
    """Blocks, receipts, logs, state, balances."""
    async with EmbeddedChain(tmp_path / "chain") as chain:
        await chain.fund(KEY.address)
        assert await chain.fund(KEY.address) is None
        sent = [await chain.send(await registered(chain, n, n)) for n in range(3)]
        receipts = [await chain.receipt(each) for each in sent]
        head, blocks = await chain.block_number(), [await chain.block(n) for n in range(5)]
        logs = await chain.logs(GENESIS_ADDRESS, 0, head)
        balance = await chain.balance(KEY.address)
    async with EmbeddedChain(tmp_path / "chain", create=False) as chain:
        assert await chain.block_number() == head == 4
        assert [await chain.receipt(each) for each in sent] == receipts
        assert [await chain.block(n) for n in range(5)] == blocks
        assert await chain.logs(GENESIS_ADDRESS, 0, head) == logs
        assert len(logs) == 3
        assert await chain.balance(KEY.address) == balance
        assert await chain.nonce(KEY.address) == 3
        record = REGISTRY.record("name-1", await chain.call(REGISTRY.lookup("name-1")))
        assert record is not None
        assert record.block_number == 3
        assert blocks[3] is not None
        assert await chain.block_by_hash(blocks[3].hash) == blocks[3]
        assert await chain.raw(sent[0]) == await chain.raw_in(2)
        with pytest.raises(RpcError, match="newest"):
            await chain.call(REGISTRY.version(), block=1)


async def test_logs_are_narrowed(tmp_path: Path) -> None:
    """By contract, blocks and topics."""
    async with EmbeddedChain(tmp_path) as chain:
        await chain.fund(KEY.address)
        for number in range(3):
            await chain.send(await registered(chain, number, number))
        kind, word = REGISTRY.topics_of("name-1")

        async def found(*arguments: object) -> int:
            return len(await chain.logs(*arguments))  # type: ignore[arg-type]

        assert await found(GENESIS_ADDRESS, 0, 9, (kind, word)) == 1
        assert (
            await found(GENESIS_ADDRESS, 0, 9, (None, [word, REGISTRY.topics_of("name-2")[1]])) == 2
        )
        assert await found(GENESIS_ADDRESS, 3, 3) == 1
        assert await found(KEY.address, 0, 9) == 0
        assert len(await chain.logs_of(None, 0, 9, (), 2)) == 2


async def test_sending_the_same_again_is_fine(tmp_path: Path) -> None:
    """Another transaction with a used number is not."""
    async with EmbeddedChain(tmp_path) as chain:
        await chain.fund(KEY.address)
        raw = await registered(chain, 0, 0)
        assert await chain.send(raw) == await chain.send(raw)
        with pytest.raises(NonceError):
            await chain.send(await registered(chain, 1, 0))


async def test_waiting_for_a_block(tmp_path: Path) -> None:
    """A sender wakes who waits; patience ends."""
    async with EmbeddedChain(tmp_path) as chain:
        assert await chain.wait_block(0, patience=0.01) == 0
        async with asyncio.TaskGroup() as tasks:
            waiting = tasks.create_task(chain.wait_block(0))
            await chain.fund(KEY.address)
        assert waiting.result() == 1
    with pytest.raises(ChainClosedError):
        await chain.block_number()
    assert not (await chain.health()).is_ok


async def test_the_faucet(tmp_path: Path) -> None:
    """Has all the coins, and its key is for its owner alone."""
    async with EmbeddedChain(tmp_path) as chain:
        faucet = await chain.faucet()
        assert await chain.balance(faucet.address) == FAUCET_WEI
        await chain.grant(OTHER.address, 12)
        assert await chain.balance(OTHER.address) == 12
        health = await chain.health()
        assert (health.is_ok, health.kind, health.head) == (True, "embedded", 1)
    for name in ("faucet.key", "chain.sqlite", "chain.lock"):
        assert stat.S_IMODE((tmp_path / name).stat().st_mode) == 0o600
    (tmp_path / "faucet.key").unlink()
    async with EmbeddedChain(tmp_path) as chain:
        with pytest.raises(ChainFileError):
            await chain.fund(KEY.address)


async def test_one_process_has_it(tmp_path: Path) -> None:
    """A second is told so, and a closed one is free again."""
    async with EmbeddedChain(tmp_path):
        with pytest.raises(ChainBusyError):
            await EmbeddedChain(tmp_path).open()
    async with EmbeddedChain(tmp_path):
        pass


async def test_what_cannot_be_opened(tmp_path: Path) -> None:
    """Nothing there; not ours; of another format."""
    with pytest.raises(ChainMissingError):
        await EmbeddedChain(tmp_path, create=False).open()
    (tmp_path / "chain.sqlite").write_bytes(b"no database at all" * 100)
    with pytest.raises(ChainDamagedError):
        await EmbeddedChain(tmp_path).open()
    with pytest.raises(ChainExistsError):
        create_chain(tmp_path)
    with pytest.raises(ChainFileError):
        create_chain(Path("/proc/nothing/here"))


async def test_a_changed_file_is_noticed(tmp_path: Path) -> None:
    """Replay leads elsewhere than the file says."""
    async with EmbeddedChain(tmp_path) as chain:
        await chain.grant(OTHER.address, 12)
    with sqlite3.connect(tmp_path / "chain.sqlite") as db:
        db.execute("UPDATE blocks SET value = '13', gas_limit = 20000")
    db.close()
    with pytest.raises(ChainDamagedError):
        await EmbeddedChain(tmp_path).open()


async def test_a_disk_that_fails_stops_the_chain(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing is built on a block that is not on disk; the next start is without it."""
    async with EmbeddedChain(tmp_path) as chain:
        await chain.grant(OTHER.address, 12)

        def full(*_: object) -> None:
            raise ChainFileError("disk full")

        monkeypatch.setattr(ChainStore, "append", full)
        with pytest.raises(ChainFileError, match="disk full"):
            await chain.grant(OTHER.address, 12)
        with pytest.raises(ChainClosedError):
            await chain.balance(OTHER.address)
        monkeypatch.undo()
    async with EmbeddedChain(tmp_path) as chain:
        assert await chain.balance(OTHER.address) == 12


@pytest.mark.parametrize("stop", ["faucet.key", "genesis.json", "nothing"])
async def test_a_half_made_chain_is_completed(tmp_path: Path, stop: str) -> None:
    """Killed between any two files: the next start goes on with those that are there."""
    create_chain(tmp_path, chain_id=4242)
    (tmp_path / "chain.sqlite").unlink()
    if stop == "faucet.key":
        (tmp_path / "genesis.json").unlink()
    before = load_key(tmp_path / "faucet.key")
    async with EmbeddedChain(tmp_path) as chain:
        assert await chain.balance(before.address) == FAUCET_WEI
        assert (await chain.chain_id() == 4242) == (stop != "faucet.key")
        assert json.loads((tmp_path / "genesis.json").read_text())["config"]["chainId"] == (
            await chain.chain_id()
        )


WORKER = """
import asyncio, sys
from pathlib import Path
from shoal.chain.driver import EmbeddedChain
from shoal.chain import ChainAddress

async def main():
    async with EmbeddedChain(Path(sys.argv[1])) as chain:
        print("open", await chain.block_number(), flush=True)
        number = 0
        while True:
            await chain.grant(ChainAddress(bytes([9]) * 20), 1)
            number += 1
            print(number, flush=True)

asyncio.run(main())
"""


@pytest.mark.timeout(300)
@given(st.lists(st.integers(0, 12), min_size=1, max_size=3))
@settings(max_examples=4)
def test_kill_9_at_any_time(tmp_path_factory: pytest.TempPathFactory, lives: list[int]) -> None:
    """What was acknowledged is there, at most one more, and the chain goes on; life after life."""
    folder, acknowledged, there = tmp_path_factory.mktemp("chain"), 0, 0
    for life in lives:
        child = subprocess.Popen(  # noqa: S603 - our own text
            [sys.executable, "-c", WORKER, str(folder)], stdout=subprocess.PIPE, text=True
        )
        with child:
            assert child.stdout is not None
            opened = child.stdout.readline().split()
            there = int(opened[1])
            assert acknowledged <= there <= acknowledged + 64  # a pipe's worth may be unread
            acknowledged = there
            for _ in range(life):
                acknowledged = there + int(child.stdout.readline())
            os.kill(child.pid, signal.SIGKILL)
            rest = child.stdout.read().split()
            acknowledged = there + int(rest[-1]) if rest else acknowledged

    async def look() -> tuple[int, int]:
        async with EmbeddedChain(folder) as chain:
            from shoal.chain import ChainAddress  # noqa: PLC0415

            return await chain.block_number(), await chain.balance(ChainAddress(bytes([9]) * 20))

    head, balance = asyncio.run(look())
    assert acknowledged <= head <= acknowledged + 1
    assert balance == head


async def test_steps_are_what_was_sent(tmp_path: Path) -> None:
    """What a replay takes is read without reading the transactions again."""
    async with EmbeddedChain(tmp_path) as chain:
        for _ in range(3):
            await chain.grant(OTHER.address, 1)
    store = ChainStore(tmp_path)
    try:
        steps = list(store.steps())
        assert [step.number for step in steps] == [1, 2, 3]
        assert [step.call for step in steps] == [Call(OTHER.address, b"", 1)] * 3
    finally:
        store.close()


async def test_an_opening_that_is_given_up_lets_go(tmp_path: Path) -> None:
    """Cancelled in the middle: the lock is free again."""
    async with EmbeddedChain(tmp_path):
        pass
    for _ in range(3):
        opening = asyncio.ensure_future(EmbeddedChain(tmp_path).open())
        await asyncio.sleep(0)
        opening.cancel()
        with pytest.raises(asyncio.CancelledError):
            await opening
        async with EmbeddedChain(tmp_path):
            pass
