"""A ledger with the registry on it, without signatures: calls of anybody, in tests."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from shoal.chain.abi import revert_reason
from shoal.chain.addresses import BlockHash, ChainAddress, TransactionHash
from shoal.chain.contract import load_contract
from shoal.chain.errors import RevertedError
from shoal.chain.genesis import Genesis, GenesisAccount
from shoal.chain.ledger import Ledger, Step
from shoal.chain.registry import GENESIS_ADDRESS

if TYPE_CHECKING:
    from shoal.chain.values import Call, Receipt

pytest.importorskip("pyrevm", reason="the embedded chain's virtual machine is not installed")

from shoal.chain.driver.evm import RevmEvm

GAS = 2_000_000


class Machine:
    """The state after some calls."""

    def __init__(self) -> None:
        genesis = Genesis(
            chain_id=1337,
            wall_time=1_700_000_000,
            accounts={GENESIS_ADDRESS: GenesisAccount(code=load_contract("Registry").runtime)},
            base_fee_wei=0,
        )
        self.ledger = Ledger(genesis, RevmEvm(genesis.chain_id, genesis.gas_limit))

    @property
    def number(self) -> int:
        """The newest block."""
        return self.ledger.head.number

    def run(self, call: Call, sender: ChainAddress) -> Receipt:
        """Make a block of *call*.

        Raises:
            RevertedError: the contract refuses; the block is there all the same.
        """
        step = Step(
            number=self.number + 1,
            hash=BlockHash(bytes(32)),
            wall_time=1_700_000_000,
            tx_hash=TransactionHash(hashlib.sha256(str(self.number).encode()).digest()),
            sender=sender,
            nonce=self.ledger.nonce(sender),
            call=replace(call),
            gas_limit=GAS,
            gas_price_wei=0,
        )
        made = self.ledger._apply(step)  # noqa: SLF001 - without a signature there is no other way
        if not made.receipt.is_success:
            raise RevertedError(revert_reason(made.output), made.output)
        return made.receipt

    def ask(self, call: Call) -> bytes:
        """Return the answer to *call*."""
        return self.ledger.call(call)
