"""The embedded chain: no other program, one folder, instant blocks.

DIR/genesis.json    how it began; `anvil --init` and other nodes read it too
DIR/faucet.key      the key that has the coins
DIR/chain.sqlite    everything since
DIR/chain.lock      held by the one process that has the chain open

All work is done by one thread, so that the event loop waits neither for the disk nor for the
virtual machine.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TYPE_CHECKING, Final, Self, TypeVar

from shoal.chain.driver.evm import RevmEvm
from shoal.chain.driver.files import (
    MODE_GENESIS,
    load_genesis,
    load_key,
    load_or_create_key,
    write_new,
)
from shoal.chain.driver.store import FILE_NAME, ChainStore
from shoal.chain.errors import (
    ChainClosedError,
    ChainExistsError,
    ChainFileError,
    NonceError,
    RpcError,
)
from shoal.chain.genesis import BASE_FEE_WEI, new_genesis
from shoal.chain.ledger import NOBODY, Ledger
from shoal.chain.registry import GENESIS_ADDRESS
from shoal.chain.transaction import Transaction, hash_of
from shoal.chain.values import Block, Call, ChainHealth, ChainView
from shoal.core.driver import SystemEntropy

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from shoal.chain.addresses import BlockHash, ChainAddress, TransactionHash
    from shoal.chain.backend import Topics
    from shoal.chain.genesis import Genesis
    from shoal.chain.keys import ChainKey
    from shoal.chain.values import Fees, Log, Receipt

_log = logging.getLogger(__name__)
R = TypeVar("R")

GENESIS_NAME: Final = "genesis.json"
FAUCET_NAME: Final = "faucet.key"
GRANT_WEI: Final = 1000 * 10**18  # ours: some seven million registrations
_TRANSFER_GAS: Final = 21_000  # yellow paper, appendix G
_SERVER_ERROR: Final = -32000  # JSON-RPC's "server error", as Ethereum nodes use it


def create_chain(
    folder: Path,
    *,
    chain_id: int | None = None,
    base_fee_wei: int = BASE_FEE_WEI,
    genesis: Genesis | None = None,
) -> Genesis:
    """Begin a new chain in *folder*; from *genesis*, or from one with a faucet of its own.

    Killed at any point it leaves what the next call completes.

    Raises:
        ChainExistsError: there is one.
        ChainFileError: a file cannot be written.
    """
    if (folder / FILE_NAME).exists():
        raise ChainExistsError(f"{folder} holds a chain")
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    except OSError as error:
        raise ChainFileError(f"{folder} cannot be made: {error.strerror}") from error
    path = folder / GENESIS_NAME
    if genesis is None and path.exists():
        genesis = load_genesis(path)  # of an attempt that did not come to its end, or given
    elif genesis is None:
        faucet = load_or_create_key(folder / FAUCET_NAME)
        genesis = new_genesis(
            faucet.address,
            time.time(),
            SystemEntropy(),
            chain_id=chain_id,
            base_fee_wei=base_fee_wei,
        )
    if not path.exists():
        write_new(path, genesis.to_json(), MODE_GENESIS)
    ChainStore.create(folder, genesis).close()
    return genesis


class EmbeddedChain:
    """A chain of one's own; implements `shoal.chain.Chain`.

    `async with EmbeddedChain(folder) as chain` opens it, and makes it where there is none.
    """

    registry_address: ChainAddress = GENESIS_ADDRESS

    def __init__(self, folder: Path, *, create: bool = True) -> None:
        self.folder = folder
        self._creates = create
        self._worker = ThreadPoolExecutor(1, thread_name_prefix="shoal-chain")
        self._store: ChainStore | None = None
        self._ledger: Ledger | None = None
        self._faucet: ChainKey | None = None
        self._moved = asyncio.Event()
        self._is_closed = False

    async def open(self) -> None:
        """Open the files and execute all blocks again.

        Raises:
            ChainMissingError: there is no chain, and none is to be made.
            ChainBusyError: another process has it.
            EvmMissingError: pyrevm is not installed.
            ChainDamagedError, ChainFileError: the files are not as they were left.
        """
        try:
            await self._run(self._open)
        except BaseException:
            await self.close()
            raise

    async def close(self) -> None:
        """Close the files. What was acknowledged is on disk anyway."""
        if self._is_closed:
            return
        self._is_closed = True
        self._moved.set()
        # After whatever the worker is at: a cancelled `open` may still be opening.
        await asyncio.get_running_loop().run_in_executor(self._worker, self._close)
        self._worker.shutdown(wait=False)

    async def __aenter__(self) -> Self:
        await self.open()
        return self

    async def __aexit__(self, *unused: object) -> None:
        await self.close()

    # Reading.

    @property
    def genesis(self) -> Genesis:
        """How the chain began."""
        return self._opened.genesis

    async def chain_id(self) -> int:
        return self._opened.genesis.chain_id

    async def block_number(self) -> int:
        return self._opened.head.number

    async def block(self, number: int) -> Block | None:
        return await self._run(self._block, number)

    async def block_by_hash(self, block_hash: BlockHash) -> Block | None:
        """Return the head of a block."""
        return await self._run(self._block_by_hash, block_hash)

    async def call(
        self, call: Call, *, sender: ChainAddress | None = None, block: int | None = None
    ) -> bytes:
        if block is not None and block < self._opened.head.number:
            raise RpcError("the embedded chain knows its newest state only", _SERVER_ERROR)
        return await self._run(self._opened.call, call, sender or NOBODY)

    async def estimate_gas(self, call: Call, sender: ChainAddress) -> int:
        return await self._run(self._opened.estimate_gas, call, sender)

    async def fees(self) -> Fees:
        return self._opened.fees

    async def balance(self, address: ChainAddress) -> int:
        return await self._run(self._opened.balance, address)

    async def nonce(self, address: ChainAddress) -> int:
        return await self._run(self._opened.nonce, address)

    async def code(self, address: ChainAddress) -> bytes:
        return await self._run(self._opened.code, address)

    async def receipt(self, tx_hash: TransactionHash) -> Receipt | None:
        return await self._run(self._files.receipt, tx_hash)

    async def raw(self, tx_hash: TransactionHash) -> bytes | None:
        """Return a transaction as it was sent."""
        return await self._run(self._files.raw, tx_hash)

    async def raw_in(self, number: int) -> bytes | None:
        """Return the one transaction of a block as it was sent."""
        return await self._run(self._files.raw_in, number)

    async def logs(
        self, address: ChainAddress, from_block: int, to_block: int, topics: Topics = ()
    ) -> list[Log]:
        return await self._run(self._files.logs, (address,), from_block, to_block, topics)

    async def logs_of(
        self,
        addresses: tuple[ChainAddress, ...] | None,
        from_block: int,
        to_block: int,
        topics: Topics,
        limit: int,
    ) -> list[Log]:
        """Return at most *limit* logs of any of these contracts, of all where None."""
        return await self._run(self._files.logs, addresses, from_block, to_block, topics, limit)

    async def view(
        self, sender: ChainAddress, transactions: Sequence[TransactionHash] = ()
    ) -> ChainView:
        return await self._run(self._view, sender, tuple(transactions))

    async def wait_block(self, after: int, patience: float | None = None) -> int:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(patience):
                while self._opened.head.number <= after:
                    await self._moved.wait()
        return self._opened.head.number

    async def health(self) -> ChainHealth:
        where = str(self.folder)
        if self._is_closed or self._ledger is None:
            return ChainHealth("embedded", where, None, None, "the chain is closed")
        ledger = self._ledger
        return ChainHealth("embedded", where, ledger.genesis.chain_id, ledger.head.number)

    # Writing.

    async def send(self, raw: bytes) -> TransactionHash:
        return self._announce(await self._run(self._send, raw))

    async def fund(
        self, address: ChainAddress, at_least_wei: int = GRANT_WEI
    ) -> TransactionHash | None:
        """See that *address* has so much; return the transaction, or None where it has.

        Raises:
            ChainFileError: the faucet's key is not in the chain's folder.
            OutOfFundsError: the faucet is empty.
        """
        sent = await self._run(self._fund, address, at_least_wei)
        return None if sent is None else self._announce(sent)

    async def grant(self, address: ChainAddress, amount_wei: int) -> TransactionHash:
        """Send so much from the faucet.

        Raises:
            ChainFileError: the faucet's key is not in the chain's folder.
            OutOfFundsError: the faucet has less.
        """
        return self._announce(await self._run(self._grant, address, amount_wei))

    async def faucet(self) -> ChainKey:
        """Return the key of the faucet.

        Raises:
            ChainFileError: it is not in the chain's folder.
        """
        return await self._run(self._faucet_key)

    # In the worker's thread.

    def _open(self) -> None:
        if self._creates and not (self.folder / FILE_NAME).exists():
            create_chain(self.folder)
        self._store = store = ChainStore(self.folder)
        genesis = store.genesis
        ledger = Ledger(genesis, RevmEvm(genesis.chain_id, genesis.gas_limit))
        for step in store.steps():
            ledger.replay(step)
        self._ledger = ledger
        _log.info("= chain %d at block %d", genesis.chain_id, ledger.head.number)

    def _close(self) -> None:
        if self._store is not None:
            self._store.close()

    def _block(self, number: int) -> Block | None:
        ledger = self._opened
        if number == ledger.head.number:
            return ledger.head
        genesis = ledger.genesis
        if number == 0:
            return ledger.genesis_block
        found = self._files.block(number)
        if found is None:
            return None
        return Block(number, *found, genesis.gas_limit, genesis.base_fee_wei)

    def _block_by_hash(self, block_hash: BlockHash) -> Block | None:
        if block_hash == self._opened.genesis_block.hash:
            return self._opened.genesis_block
        number = self._files.number_of(block_hash)
        return None if number is None else self._block(number)

    def _view(self, sender: ChainAddress, transactions: tuple[TransactionHash, ...]) -> ChainView:
        ledger = self._opened
        found = {each: self._files.receipt(each) for each in transactions}
        return ChainView(
            chain_id=ledger.genesis.chain_id,
            head=ledger.head.number,
            nonce=ledger.nonce(sender),
            balance_wei=ledger.balance(sender),
            fees=ledger.fees,
            receipts={key: receipt for key, receipt in found.items() if receipt is not None},
        )

    def _send(self, raw: bytes) -> TransactionHash:
        ledger, store = self._opened, self._files
        try:
            made = ledger.send(raw, time.time())
        except NonceError:
            tx_hash = hash_of(raw)
            if store.raw(tx_hash) is None:
                raise
            return tx_hash  # sent before: nothing to do, and nothing wrong
        try:
            store.append(raw, made)
        except ChainFileError:
            self._ledger = None  # ahead of the disk: nothing may be built on it
            raise
        return made.step.tx_hash

    def _fund(self, address: ChainAddress, at_least_wei: int) -> TransactionHash | None:
        balance = self._opened.balance(address)
        if balance >= at_least_wei:
            return None
        return self._grant(address, at_least_wei - balance)

    def _grant(self, address: ChainAddress, amount_wei: int) -> TransactionHash:
        ledger, faucet = self._opened, self._faucet_key()
        to_contract = bool(ledger.code(address))
        call = Call(address, b"", amount_wei)
        gas = ledger.estimate_gas(call, faucet.address) if to_contract else _TRANSFER_GAS
        signed = Transaction(
            chain_id=ledger.genesis.chain_id,
            nonce=ledger.nonce(faucet.address),
            call=call,
            gas_limit=gas,
            fee_wei=ledger.genesis.base_fee_wei,
            priority_fee_wei=0,
        ).sign(faucet)
        return self._send(signed.raw)

    def _faucet_key(self) -> ChainKey:
        if self._faucet is None:
            self._faucet = load_key(self.folder / FAUCET_NAME)
        return self._faucet

    # Between the threads.

    @property
    def _opened(self) -> Ledger:
        if self._is_closed or self._ledger is None:
            raise ChainClosedError
        return self._ledger

    @property
    def _files(self) -> ChainStore:
        if self._is_closed or self._store is None:
            raise ChainClosedError
        return self._store

    def _announce(self, tx_hash: TransactionHash) -> TransactionHash:
        self._moved.set()
        self._moved = asyncio.Event()
        return tx_hash

    async def _run(self, work: Callable[..., R], *arguments: object) -> R:
        if self._is_closed:
            raise ChainClosedError
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._worker, partial(work, *arguments))
