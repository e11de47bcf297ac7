"""The embedded chain's rules: which transaction is taken, what it costs, what block it makes.

One operator's chain: every transaction that is valid makes a block at once, which is final. There
is no consensus, and block hashes are not Ethereum's, whose headers have roots of state. Ours are

genesis  SHA-256 of the text of the genesis file
block    SHA-256 of: parent hash, transaction hash, number, wall time, whether it succeeded, gas
         used; for each log: address, count of topics, size of data, topics, data. All numbers
         have 8 bytes

so that a block names all that was before it, and a replay that differs anywhere is noticed. Fees
are as EIP-1559 has them with a base fee that stays the same; what is paid is burned. A transaction
is taken if

- its chain id is ours, and its sender is recovered from the signature, with the lower S (EIP-2)
- its nonce is the sender's next
- it offers the base fee, and no more priority than it offers in all
- its gas limit is within a block's and covers its beginning (21,000 and the data)
- the sender has value and gas limit × what is paid per unit

The ledger keeps blocks and transactions nowhere: it hands out each block with all that replaying
it takes, and the driver writes that down before anybody learns of it.
"""

from __future__ import annotations

import hashlib
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from shoal.chain.abi import revert_reason
from shoal.chain.addresses import BlockHash, ChainAddress, TransactionHash
from shoal.chain.errors import (
    ChainDamagedError,
    InvalidTransactionError,
    NonceError,
    OutOfFundsError,
    RevertedError,
    UnderpricedError,
)
from shoal.chain.evm import Moment
from shoal.chain.transaction import decode_transaction
from shoal.chain.values import Block, Call, Fees, Log, Receipt
from shoal.core.records import dataclass

if TYPE_CHECKING:
    from shoal.chain.evm import Evm, Outcome
    from shoal.chain.genesis import Genesis

CREATION_SIZE_MAX: Final = 49_152  # bytes of code that creates a contract; EIP-3860
NOBODY: Final = ChainAddress(bytes(ChainAddress.length))
_GAS_STEP: Final = 64  # ours: estimates are this close; EIP-150 keeps one part in 64 back


@dataclass(frozen=True, slots=True)
class Step:
    """One transaction as it was executed: all that a replay takes but the signature.

    Attributes:
        hash: of the block that it made.
    """

    number: int
    hash: BlockHash
    wall_time: int
    tx_hash: TransactionHash
    sender: ChainAddress
    nonce: int
    call: Call
    gas_limit: int
    gas_price_wei: int


@dataclass(frozen=True, slots=True)
class Made:
    """A block that was made: what to write down."""

    step: Step
    block: Block
    receipt: Receipt
    output: bytes


class Ledger:
    """The state of the embedded chain, in memory: built from a genesis, step by step."""

    def __init__(self, genesis: Genesis, evm: Evm) -> None:
        self.genesis = genesis
        self._evm = evm
        self._nonces = {address: account.nonce for address, account in genesis.accounts.items()}
        for address, account in genesis.accounts.items():
            evm.put_account(address, account)
        self.genesis_block = self.head = self._block(
            0,
            BlockHash(hashlib.sha256(genesis.to_json().encode()).digest()),
            BlockHash(bytes(32)),
            genesis.wall_time,
        )

    @property
    def fees(self) -> Fees:
        """What gas costs."""
        return Fees(base_wei=self.genesis.base_fee_wei, priority_wei=0)

    def nonce(self, address: ChainAddress) -> int:
        """Return the number of an account's next transaction."""
        return self._nonces.get(address, 0)

    def balance(self, address: ChainAddress) -> int:
        """Return what an account has, in wei."""
        return self._evm.balance(address)

    def code(self, address: ChainAddress) -> bytes:
        """Return a contract's code."""
        return self._evm.code(address)

    def send(self, raw: bytes, wall_now: float) -> Made:
        """Take a signed transaction and make a block of it.

        Raises:
            TransactionError: it is not taken, and nothing has changed.
        """
        signed = decode_transaction(raw)
        made, sender = signed.transaction, signed.sender
        if made.chain_id != self.genesis.chain_id:
            raise InvalidTransactionError(
                f"a transaction for chain {made.chain_id}, not {self.genesis.chain_id}"
            )
        expected = self.nonce(sender)
        if made.nonce != expected:
            word = "low" if made.nonce < expected else "high"
            raise NonceError(f"nonce too {word}: next is {expected}, not {made.nonce}", expected)
        base = self.genesis.base_fee_wei
        priority = made.fee_wei if made.priority_fee_wei is None else made.priority_fee_wei
        if priority > made.fee_wei:
            raise InvalidTransactionError("a priority fee above the whole fee")
        if made.fee_wei < base:
            raise UnderpricedError(f"offers {made.fee_wei} wei per gas, and {base} are needed")
        self._check_size(made.call, made.gas_limit)
        balance = self.balance(sender)
        if balance < made.cost_wei:
            raise OutOfFundsError(needed_wei=made.cost_wei, balance_wei=balance)
        step = Step(
            number=self.head.number + 1,
            hash=BlockHash(bytes(32)),  # known when it is executed
            wall_time=max(int(wall_now), self.head.wall_time),
            tx_hash=signed.hash,
            sender=sender,
            nonce=made.nonce,
            call=made.call,
            gas_limit=made.gas_limit,
            gas_price_wei=min(made.fee_wei, base + priority),
        )
        return self._apply(step)

    def replay(self, step: Step) -> None:
        """Execute again what was executed before.

        Raises:
            ChainDamagedError: it leads to another block than it did.
        """
        if step.number != self.head.number + 1 or step.nonce != self.nonce(step.sender):
            raise ChainDamagedError(f"block {step.number} does not follow {self.head.number}")
        try:
            self._execute(step)
        except InvalidTransactionError as error:
            raise ChainDamagedError(f"block {step.number}: {error}") from error
        if self.head.hash != step.hash:
            raise ChainDamagedError(f"block {step.number} replays to another state")

    def call(self, call: Call, sender: ChainAddress = NOBODY, gas: int | None = None) -> bytes:
        """Run *call* and forget what it changed.

        Raises:
            RevertedError: the contract refuses, or the gas is not enough.
        """
        outcome = self._simulate(call, sender, gas or self.genesis.gas_limit)
        if not outcome.is_success:
            raise _refusal(outcome)
        return outcome.output

    def estimate_gas(self, call: Call, sender: ChainAddress) -> int:
        """Return a gas limit with which *call* succeeds, at most a 64th above the least one.

        Raises:
            RevertedError: the contract refuses.
            OutOfFundsError: the sender does not have what is to go along.
        """
        balance = self.balance(sender)
        if balance < call.value_wei:
            raise OutOfFundsError(needed_wei=call.value_wei, balance_wei=balance)
        most = self.genesis.gas_limit
        outcome = self._simulate(call, sender, most)
        if not outcome.is_success:
            raise _refusal(outcome)
        least, enough = outcome.gas_used - 1, most
        attempt = least + least // _GAS_STEP  # most calls are done with this
        while enough - least > max(1, least // _GAS_STEP):
            if least < attempt < enough and self._suffices(call, sender, attempt):
                enough = attempt
            else:
                least = max(least, min(attempt, enough - 1))
            attempt = (least + enough) // 2
        return enough

    def _suffices(self, call: Call, sender: ChainAddress, gas: int) -> bool:
        try:
            return self._simulate(call, sender, gas).is_success
        except InvalidTransactionError:
            return False

    def _simulate(self, call: Call, sender: ChainAddress, gas: int) -> Outcome:
        moment = self._moment(self.head.number + 1, self.head.wall_time)
        return self._evm.simulate(moment, sender, call, min(gas, self.genesis.gas_limit))

    def _apply(self, step: Step) -> Made:
        outcome = self._execute(step)
        block, price = self.head, step.gas_price_wei
        receipt = Receipt(
            tx_hash=step.tx_hash,
            block_number=step.number,
            block_hash=block.hash,
            is_success=outcome.is_success,
            gas_used=outcome.gas_used,
            gas_price_wei=price,
            contract=outcome.contract,
            logs=tuple(
                Log(raw.address, raw.topics, raw.data, step.number, block.hash, step.tx_hash, index)
                for index, raw in enumerate(outcome.logs)
            ),
        )
        return Made(replace(step, hash=block.hash), block, receipt, outcome.output)

    def _execute(self, step: Step) -> Outcome:
        """Execute, take the fee, raise the nonce, and move the head."""
        evm, sender, price = self._evm, step.sender, step.gas_price_wei
        before = evm.balance(sender)
        evm.set_balance(sender, before - step.gas_limit * price)
        moment = self._moment(step.number, step.wall_time)
        try:
            outcome = evm.execute(moment, sender, step.nonce, step.call, step.gas_limit)
        except InvalidTransactionError:
            evm.set_balance(sender, before)
            raise
        unused = step.gas_limit - outcome.gas_used
        evm.set_balance(sender, evm.balance(sender) + unused * price)
        self._nonces[sender] = step.nonce + 1
        if outcome.contract is not None:
            self._nonces[outcome.contract] = 1  # EIP-161
        block_hash = self._hash(step, outcome)
        self.head = self._block(step.number, block_hash, self.head.hash, step.wall_time)
        return outcome

    def _hash(self, step: Step, outcome: Outcome) -> BlockHash:
        head = (step.number, step.wall_time, outcome.is_success, outcome.gas_used)
        parts = [self.head.hash, step.tx_hash, *(each.to_bytes(8) for each in head)]
        for log in outcome.logs:
            sizes = (len(log.topics), len(log.data))
            parts += [log.address, *(each.to_bytes(8) for each in sizes), *log.topics, log.data]
        return BlockHash(hashlib.sha256(b"".join(parts)).digest())

    def _block(self, number: int, hash_: BlockHash, parent: BlockHash, wall_time: int) -> Block:
        genesis = self.genesis
        return Block(number, hash_, parent, wall_time, genesis.gas_limit, genesis.base_fee_wei)

    def _moment(self, number: int, wall_time: int) -> Moment:
        return Moment(number, wall_time, self.genesis.gas_limit, self.genesis.base_fee_wei)

    def _check_size(self, call: Call, gas_limit: int) -> None:
        if gas_limit > self.genesis.gas_limit:
            raise InvalidTransactionError(f"more gas than the {self.genesis.gas_limit} of a block")
        if call.to is None and len(call.data) > CREATION_SIZE_MAX:
            raise InvalidTransactionError(f"more than {CREATION_SIZE_MAX} bytes of code")


def _refusal(outcome: Outcome) -> RevertedError:
    return RevertedError(revert_reason(outcome.output) or outcome.problem, outcome.output)
