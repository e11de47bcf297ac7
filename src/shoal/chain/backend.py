"""What Shoal asks of a chain: one interface for the embedded one and for any Ethereum node."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Sequence

    from shoal.chain.addresses import ChainAddress, TransactionHash
    from shoal.chain.values import (
        Block,
        Call,
        ChainHealth,
        ChainView,
        Fees,
        Log,
        Receipt,
    )

    Topics = Sequence[bytes | Sequence[bytes] | None]


class Chain(Protocol):
    """A chain that can be read and sent to. All methods may raise `ChainError`.

    `ChainUnreachableError` means "ask again later"; nothing else does.
    """

    async def chain_id(self) -> int:
        """Return the number that transactions for this chain carry."""
        ...

    async def block_number(self) -> int:
        """Return the number of the newest block."""
        ...

    async def block(self, number: int) -> Block | None:
        """Return the head of a block, or None if there is none yet."""
        ...

    async def call(
        self, call: Call, *, sender: ChainAddress | None = None, block: int | None = None
    ) -> bytes:
        """Run *call* without sending it, on the newest state or that after *block*.

        Raises:
            RevertedError: the contract refuses.
        """
        ...

    async def estimate_gas(self, call: Call, sender: ChainAddress) -> int:
        """Return how much gas *call* takes.

        Raises:
            RevertedError: the contract would refuse.
            OutOfFundsError: *sender* cannot pay.
        """
        ...

    async def fees(self) -> Fees:
        """Return what gas costs now."""
        ...

    async def balance(self, address: ChainAddress) -> int:
        """Return what an account has, in wei."""
        ...

    async def nonce(self, address: ChainAddress) -> int:
        """Return the number of transactions of *address* that are in blocks."""
        ...

    async def code(self, address: ChainAddress) -> bytes:
        """Return the code of a contract; empty for other accounts."""
        ...

    async def send(self, raw: bytes) -> TransactionHash:
        """Hand in a signed transaction; sending the same one again is fine.

        Raises:
            TransactionError: the chain does not take it.
        """
        ...

    async def receipt(self, tx_hash: TransactionHash) -> Receipt | None:
        """Return how a transaction went, or None while it is in no block."""
        ...

    async def logs(
        self, address: ChainAddress, from_block: int, to_block: int, topics: Topics = ()
    ) -> list[Log]:
        """Return events of a contract in the blocks given, both included, in order.

        *topics* narrows them by position: a value, one of several, or None for any.
        """
        ...

    async def view(
        self, sender: ChainAddress, transactions: Sequence[TransactionHash] = ()
    ) -> ChainView:
        """Return all that sending takes in one look."""
        ...

    async def wait_block(self, after: int, patience: float | None = None) -> int:
        """Return the newest block's number: above *after*, unless *patience* seconds pass first."""
        ...

    async def health(self) -> ChainHealth:
        """Return whether the chain answers. Never raises."""
        ...

    async def close(self) -> None:
        """Let go of connections and files."""
        ...
