"""What a chain shows to those who read it: blocks, receipts, logs, fees, its health."""

from __future__ import annotations

from typing import TYPE_CHECKING

from shoal.core.records import dataclass

if TYPE_CHECKING:
    from shoal.chain.addresses import BlockHash, ChainAddress, TransactionHash


@dataclass(frozen=True, slots=True)
class Call:
    """What a transaction asks for.

    Attributes:
        to: the contract or account; None creates a contract from *data*.
        data: ABI-encoded, or code.
        value_wei: how much of the chain's coin goes along.
    """

    to: ChainAddress | None
    data: bytes = b""
    value_wei: int = 0


@dataclass(frozen=True, slots=True)
class Block:
    """The head of a block.

    Attributes:
        wall_time: in seconds since 1970.
        base_fee_wei: per unit of gas; None on chains from before EIP-1559.
    """

    number: int
    hash: BlockHash
    parent_hash: BlockHash
    wall_time: int
    gas_limit: int
    base_fee_wei: int | None


@dataclass(frozen=True, slots=True)
class Log:
    """An event of a contract.

    Attributes:
        index: of the log in its block: order events by (block_number, index).
    """

    address: ChainAddress
    topics: tuple[bytes, ...]
    data: bytes
    block_number: int
    block_hash: BlockHash
    tx_hash: TransactionHash
    index: int


@dataclass(frozen=True, slots=True)
class Receipt:
    """How a transaction went, in which block."""

    tx_hash: TransactionHash
    block_number: int
    block_hash: BlockHash
    is_success: bool
    gas_used: int
    gas_price_wei: int
    contract: ChainAddress | None = None
    logs: tuple[Log, ...] = ()


@dataclass(frozen=True, slots=True)
class Fees:
    """What gas costs now, per unit.

    Attributes:
        base_wei: what is burned, by EIP-1559; None on chains that know a gas price alone.
        priority_wei: what goes to whoever makes the block; on old chains the gas price.
    """

    base_wei: int | None
    priority_wei: int


@dataclass(frozen=True, slots=True)
class ChainView:
    """What a chain showed at one moment to one who sends transactions.

    Attributes:
        nonce: transactions of the account in blocks: the number of its next.
        receipts: those of the asked transactions that are in blocks.
    """

    chain_id: int
    head: int
    nonce: int
    balance_wei: int
    fees: Fees
    receipts: dict[TransactionHash, Receipt]


@dataclass(frozen=True, slots=True)
class ChainHealth:
    """Whether a chain answers.

    Attributes:
        kind: `embedded` or `rpc`.
        where: the folder or the URL, without secrets.
        problem: what is wrong, in words; None when all is well.
    """

    kind: str
    where: str
    chain_id: int | None
    head: int | None
    problem: str | None = None

    @property
    def is_ok(self) -> bool:
        """Whether the chain answers."""
        return self.problem is None
