"""What the ledger of the embedded chain needs of a virtual machine."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from shoal.core.records import dataclass

if TYPE_CHECKING:
    from shoal.chain.addresses import ChainAddress
    from shoal.chain.genesis import GenesisAccount
    from shoal.chain.values import Call


@dataclass(frozen=True, slots=True)
class RawLog:
    """An event of a contract, before it has a place in a block."""

    address: ChainAddress
    topics: tuple[bytes, ...]
    data: bytes


@dataclass(frozen=True, slots=True)
class Outcome:
    """How an execution went.

    Attributes:
        output: what was returned; where the contract refused, why.
        problem: why it stopped otherwise, such as `OutOfGas`; empty where it did not.
    """

    is_success: bool
    gas_used: int
    output: bytes = b""
    logs: tuple[RawLog, ...] = ()
    contract: ChainAddress | None = None
    problem: str = ""


@dataclass(frozen=True, slots=True)
class Moment:
    """The block that an execution believes to be in."""

    number: int
    wall_time: int
    gas_limit: int
    base_fee_wei: int


class Evm(Protocol):
    """State, and code that runs on it. Signatures, nonces and fees are the ledger's affair."""

    def put_account(self, address: ChainAddress, account: GenesisAccount) -> None:
        """Set an account, as the genesis has it."""
        ...

    def balance(self, address: ChainAddress) -> int:
        """Return what an account has."""
        ...

    def set_balance(self, address: ChainAddress, balance_wei: int) -> None:
        """Set what an account has."""
        ...

    def code(self, address: ChainAddress) -> bytes:
        """Return the code of a contract; empty for other accounts."""
        ...

    def execute(
        self, moment: Moment, sender: ChainAddress, nonce: int, call: Call, gas: int
    ) -> Outcome:
        """Run *call*; where it fails, leave the state as it was.

        Raises:
            InvalidTransactionError: it cannot even begin, such as with too little gas.
        """
        ...

    def simulate(self, moment: Moment, sender: ChainAddress, call: Call, gas: int) -> Outcome:
        """Run *call* and forget what it changed.

        Raises:
            InvalidTransactionError: it cannot even begin.
        """
        ...
