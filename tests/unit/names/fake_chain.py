"""A chain in memory with a registry on it, which can go away, reorganise and lie."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
from typing import TYPE_CHECKING

from shoal.chain import (
    Block,
    BlockHash,
    Call,
    ChainAddress,
    ChainHealth,
    ChainView,
    Fees,
    Log,
    Receipt,
    Registry,
    TransactionHash,
    abi,
)
from shoal.chain.errors import (
    ChainUnreachableError,
    Refusal,
    RegistryRefusedError,
    RpcError,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from shoal.core import AccountId
    from shoal.names import NameRecord

RESERVED = abi.topic("NameReserved(bytes32,bytes20,address,bytes,bytes)")
TRANSFERRED = abi.topic("NameTransferred(bytes32,address)")
RELEASED = abi.topic("NameReleased(bytes32,bytes20,address)")
OTHER = abi.topic("SomethingElse()")
Topics = tuple[tuple[bytes, ...], bytes]  # topics and data


def _word(data: bytes) -> bytes:
    return data.ljust(32, b"\0")


def reserved(record: NameRecord) -> Topics:
    """Return the event of a reservation."""
    assert record.owner is not None
    data = abi.encode(["bytes", "bytes"], [record.public_key, record.signature])
    owner = bytes(record.owner).rjust(32, b"\0")
    return (RESERVED, _word(record.name.encode()), _word(record.account), owner), data


def transferred(name: str, owner: ChainAddress) -> Topics:
    """Return the event of a transfer."""
    return (TRANSFERRED, _word(name.encode()), bytes(owner).rjust(32, b"\0")), b""


def released(name: str, account: AccountId, owner: ChainAddress) -> Topics:
    """Return the event of a release."""
    words = _word(name.encode()), _word(account), bytes(owner).rjust(32, b"\0")
    return (RELEASED, *words), b""


class FakeChain:
    """Implements `shoal.chain.Chain` and, for servers, `Registrar`."""

    def __init__(self) -> None:
        self.registry = Registry()
        self.branch = b""
        self.id = 77
        self.version = abi.encode(["string"], ["shoal names 1"])
        self.blocks: list[tuple[BlockHash, list[Topics]]] = []
        self.logs_max = 10_000  # blocks that one question for logs may span
        self.is_up = True
        self.questions = 0
        self.reservations = 0
        self.payer = ChainAddress(b"the server's account")
        self.is_slow = asyncio.Event()  # set, it takes reservations and never ends them
        self._moved = asyncio.Event()
        self.mine()

    def mine(self, *events: Topics) -> int:
        """Add a block; return its number."""
        seed = self.branch + b"%d" % len(self.blocks)
        self.blocks.append((BlockHash(hashlib.sha256(seed).digest()), list(events)))
        self._move()
        return len(self.blocks) - 1

    def reorganise(self, keep: int, branch: bytes = b"other") -> None:
        """Forget all blocks but the first *keep*; later ones will have other hashes."""
        del self.blocks[keep:]
        self.branch += branch
        self._move()

    def go_away(self) -> None:
        """Answer nothing from now on."""
        self.is_up = False
        self._move()

    def come_back(self) -> None:
        """Answer again."""
        self.is_up = True
        self._move()

    def has(self, record: NameRecord) -> bool:
        """Tell whether a reservation is in a block."""
        return any(reserved(record) in events for _, events in self.blocks)

    # Registrar

    async def reserve(self, record: NameRecord) -> None:
        """Do what the contract does, in a block of its own."""
        self._ask()
        self.reservations += 1
        if self.is_slow.is_set():
            await asyncio.Event().wait()
        for _, events in self.blocks:
            for (_, *words), _ in events:
                if words[0] == _word(record.name.encode()):
                    raise RegistryRefusedError(Refusal.NAME_TAKEN)
                if words[1] == _word(record.account):
                    raise RegistryRefusedError(Refusal.ACCOUNT_HAS_NAME)
        self.mine(reserved(record))

    # Chain

    async def chain_id(self) -> int:
        """Return the chain's id."""
        self._ask()
        return self.id

    async def block_number(self) -> int:
        """Return the newest block's number."""
        self._ask()
        return len(self.blocks) - 1

    async def block(self, number: int) -> Block | None:
        """Return a block."""
        self._ask()
        if not 0 <= number < len(self.blocks):
            return None
        return Block(number, self.blocks[number][0], BlockHash(bytes(32)), 0, 0, None)

    async def call(
        self, call: Call, *, sender: ChainAddress | None = None, block: int | None = None
    ) -> bytes:
        """Say which contract this is."""
        self._ask()
        return self.version

    async def logs(
        self, address: ChainAddress, from_block: int, to_block: int, topics: object = ()
    ) -> list[Log]:
        """Return events."""
        self._ask()
        if to_block - from_block >= self.logs_max:
            raise RpcError("too many results", -32005)
        return [
            Log(
                self.registry.address,
                words,
                data,
                number,
                self.blocks[number][0],
                TransactionHash(bytes(32)),
                index,
            )
            for number in range(from_block, min(to_block, len(self.blocks) - 1) + 1)
            for index, (words, data) in enumerate(self.blocks[number][1])
        ]

    async def wait_block(self, after: int, patience: float | None = None) -> int:
        """Wait for a newer block, or for anything to happen."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(patience):
                while self.is_up and len(self.blocks) - 1 <= after:
                    moved = self._moved
                    await moved.wait()
                    break
        self._ask()
        return len(self.blocks) - 1

    async def estimate_gas(self, call: Call, sender: ChainAddress) -> int:
        """Nobody asks."""
        raise NotImplementedError

    async def fees(self) -> Fees:
        """Nobody asks."""
        raise NotImplementedError

    async def balance(self, address: ChainAddress) -> int:
        """Return what everybody has: two and a half coins."""
        self._ask()
        return 25 * 10**17

    async def nonce(self, address: ChainAddress) -> int:
        """Nobody asks."""
        raise NotImplementedError

    async def code(self, address: ChainAddress) -> bytes:
        """Nobody asks."""
        raise NotImplementedError

    async def send(self, raw: bytes) -> TransactionHash:
        """Nobody asks."""
        raise NotImplementedError

    async def receipt(self, tx_hash: TransactionHash) -> Receipt | None:
        """Nobody asks."""
        raise NotImplementedError

    async def view(
        self, sender: ChainAddress, transactions: Sequence[TransactionHash] = ()
    ) -> ChainView:
        """Nobody asks."""
        raise NotImplementedError

    async def health(self) -> ChainHealth:
        """Nobody asks."""
        raise NotImplementedError

    async def close(self) -> None:
        """Nothing is held."""

    def _ask(self) -> None:
        self.questions += 1
        if not self.is_up:
            raise ChainUnreachableError("the fake chain is away")

    def _move(self) -> None:
        self._moved.set()
        self._moved = asyncio.Event()
