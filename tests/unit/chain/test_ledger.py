"""The embedded chain's rules."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shoal.chain.addresses import ChainAddress
from shoal.chain.contract import load_contract
from shoal.chain.errors import (
    ChainDamagedError,
    InvalidTransactionError,
    NonceError,
    OutOfFundsError,
    RevertedError,
    TransactionError,
    UnderpricedError,
)
from shoal.chain.genesis import Genesis, GenesisAccount
from shoal.chain.keys import ChainKey
from shoal.chain.ledger import CREATION_SIZE_MAX, Ledger, Made
from shoal.chain.registry import GENESIS_ADDRESS, Registry, Reservation
from shoal.chain.transaction import Transaction, contract_address
from shoal.chain.values import Call
from shoal.core import AccountId

pytest.importorskip("pyrevm", reason="the embedded chain's virtual machine is not installed")

from shoal.chain.driver.evm import RevmEvm

KEY, OTHER = ChainKey(bytes(31) + b"\7"), ChainKey(bytes(31) + b"\x09")
RICH = 10**18
GENESIS = Genesis(
    chain_id=1337,
    wall_time=1_700_000_000,
    accounts={
        GENESIS_ADDRESS: GenesisAccount(code=load_contract("Registry").runtime, nonce=1),
        KEY.address: GenesisAccount(balance_wei=RICH),
    },
    base_fee_wei=1000,
)
REGISTRY = Registry()
TRANSFER = Transaction(1337, 0, Call(OTHER.address, b"", 5), 21_000, 1000, 0)
NOW = 1_700_000_100.5


def ledger(genesis: Genesis = GENESIS) -> Ledger:
    """A new chain."""
    return Ledger(genesis, RevmEvm(genesis.chain_id, genesis.gas_limit))


def registration(number: int) -> Call:
    """Takes a name."""
    account = AccountId((number + 1).to_bytes(20))
    return REGISTRY.register(Reservation(f"name-{number}", account, b"key", b"signature"))


def test_a_transfer_makes_a_block() -> None:
    """Value and fee go; the nonce rises; the block names its parent."""
    chain = ledger()
    made = chain.send(TRANSFER.sign(KEY).raw, NOW)

    assert (chain.balance(OTHER.address), chain.nonce(KEY.address)) == (5, 1)
    assert chain.balance(KEY.address) == RICH - 5 - 21_000 * 1000
    assert (made.block.number, made.block.parent_hash) == (1, chain.genesis_block.hash)
    assert (made.block.wall_time, chain.head) == (int(NOW), made.block)
    assert (made.receipt.is_success, made.receipt.gas_used) == (True, 21_000)
    assert made.receipt.gas_price_wei == 1000


@pytest.mark.parametrize(
    ("change", "error"),
    [
        ({"chain_id": 1}, InvalidTransactionError),
        ({"nonce": 1}, NonceError),
        ({"fee_wei": 999}, UnderpricedError),
        ({"priority_fee_wei": 1001}, InvalidTransactionError),
        ({"gas_limit": 20_999}, InvalidTransactionError),
        ({"gas_limit": 30_000_001}, InvalidTransactionError),
        ({"call": Call(OTHER.address, b"", RICH)}, OutOfFundsError),
        ({"call": Call(None, bytes(CREATION_SIZE_MAX + 1))}, InvalidTransactionError),
    ],
    ids=range(8),
)
def test_what_is_not_taken_changes_nothing(
    change: dict[str, object], error: type[TransactionError]
) -> None:
    """And is told apart."""
    chain = ledger()
    with pytest.raises(error):
        chain.send(replace(TRANSFER, **change).sign(KEY).raw, NOW)  # type: ignore[arg-type]

    assert chain.head == chain.genesis_block
    assert (chain.balance(KEY.address), chain.nonce(KEY.address)) == (RICH, 0)
    chain.send(TRANSFER.sign(KEY).raw, NOW)


def test_the_same_transaction_is_taken_once() -> None:
    """Its nonce is used."""
    chain = ledger()
    raw = TRANSFER.sign(KEY).raw
    chain.send(raw, NOW)
    with pytest.raises(NonceError) as refused:
        chain.send(raw, NOW)
    assert refused.value.expected == 1


def test_legacy_and_free_transactions() -> None:
    """A gas price instead of fees; and on a chain without base fee nothing at all."""
    chain = ledger()
    chain.send(replace(TRANSFER, priority_fee_wei=None, fee_wei=2000).sign(KEY).raw, NOW)
    assert chain.balance(KEY.address) == RICH - 5 - 21_000 * 2000
    free = ledger(replace(GENESIS, base_fee_wei=0))
    call = Call(GENESIS_ADDRESS, registration(0).data)
    free.send(Transaction(1337, 0, call, 300_000, 0, 0).sign(OTHER).raw, NOW)
    assert free.balance(OTHER.address) == 0


def test_a_contract_is_created() -> None:
    """At the address that sender and nonce say."""
    chain = ledger()
    code = Call(None, load_contract("Registry").bytecode)
    gas = chain.estimate_gas(code, KEY.address)
    made = chain.send(Transaction(1337, 0, code, gas, 1000, 0).sign(KEY).raw, NOW)
    address = contract_address(KEY.address, 0)

    assert made.receipt.contract == address
    assert chain.code(address) == load_contract("Registry").runtime
    assert chain.nonce(address) == 1
    assert Registry(address).is_version(chain.call(Registry(address).version()))


def test_a_refused_call_costs_its_gas_and_does_nothing() -> None:
    """The block is there, the receipt says so, no logs."""
    chain = ledger()
    for nonce in range(2):
        raw = Transaction(1337, nonce, registration(1), 300_000, 1000, 0).sign(KEY).raw
        made = chain.send(raw, NOW)
    assert not made.receipt.is_success
    assert made.receipt.logs == ()
    assert 21_000 < made.receipt.gas_used < 100_000
    with pytest.raises(RevertedError, match="name taken"):
        chain.call(registration(1), KEY.address)
    with pytest.raises(RevertedError, match="name taken"):
        chain.estimate_gas(registration(1), KEY.address)


def test_too_little_gas_costs_all_of_it() -> None:
    """And changes nothing else."""
    chain = ledger()
    raw = Transaction(1337, 0, registration(1), 60_000, 1000, 0).sign(KEY).raw
    made = chain.send(raw, NOW)

    assert (made.receipt.is_success, made.receipt.gas_used) == (False, 60_000)
    assert chain.balance(KEY.address) == RICH - 60_000 * 1000
    with pytest.raises(RevertedError, match="OutOfGas"):
        chain.call(registration(1), KEY.address, 60_000)


def test_estimates_suffice_and_are_close() -> None:
    """With the estimate it succeeds; with a thirtieth less it does not."""
    chain = ledger()
    for call in (registration(5), Call(OTHER.address, b"", 7)):
        gas = chain.estimate_gas(call, KEY.address)
        assert chain._suffices(call, KEY.address, gas)  # noqa: SLF001
        assert not chain._suffices(call, KEY.address, gas - gas // 30)  # noqa: SLF001
    with pytest.raises(OutOfFundsError):
        chain.estimate_gas(Call(KEY.address, b"", 1), OTHER.address)


def test_calls_change_nothing() -> None:
    """Not even what gas later costs."""
    chains = ledger(), ledger()
    for _ in range(3):
        chains[0].call(registration(3), KEY.address)
        chains[0].estimate_gas(registration(3), KEY.address)
    raw = Transaction(1337, 0, registration(3), 300_000, 1000, 0).sign(KEY).raw
    made = [chain.send(raw, NOW) for chain in chains]

    assert made[0] == made[1]


def test_time_never_runs_backwards() -> None:
    """Whatever the clock does."""
    chain = ledger()
    first = chain.send(TRANSFER.sign(KEY).raw, NOW)
    second = chain.send(replace(TRANSFER, nonce=1).sign(KEY).raw, NOW - 1000)

    assert second.block.wall_time == first.block.wall_time


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(50_000, 300_000)), max_size=8))
@settings(max_examples=25)
def test_a_replay_leads_to_the_same(script: list[tuple[int, int]]) -> None:
    """Successes, refusals and failures, executed again: the same hashes, balances, answers."""
    chain, steps = ledger(), list[Made]()
    for nonce, (number, gas) in enumerate(script):
        raw = Transaction(1337, nonce, registration(number), gas, 1000, 0).sign(KEY).raw
        steps.append(chain.send(raw, NOW + nonce))
    again = ledger()
    for made in steps:
        again.replay(made.step)

    assert again.head == chain.head
    assert again.balance(KEY.address) == chain.balance(KEY.address)
    assert again.nonce(KEY.address) == len(script)


def test_a_replay_that_differs_is_noticed() -> None:
    """Anything changed on disk: another state."""
    chain = ledger()
    step = chain.send(TRANSFER.sign(KEY).raw, NOW).step
    damages = [
        replace(step, call=Call(OTHER.address, b"", 6), gas_limit=20_000),
        replace(step, wall_time=step.wall_time + 1),
        replace(step, number=2),
        replace(step, nonce=1),
    ]
    for damaged in damages:
        with pytest.raises(ChainDamagedError):
            ledger().replay(damaged)


@given(st.binary(max_size=200))
@settings(max_examples=30)
def test_any_bytes_are_taken_or_refused(raw: bytes) -> None:
    """By a TransactionError."""
    with pytest.raises(TransactionError):
        ledger().send(raw, NOW)


def test_addresses_without_code_have_none() -> None:
    """Neither new ones nor people's."""
    chain = ledger()
    chain.send(TRANSFER.sign(KEY).raw, NOW)

    assert chain.code(ChainAddress(bytes([8]) * 20)) == chain.code(KEY.address) == b""
