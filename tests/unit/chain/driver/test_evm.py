"""The virtual machine: what it needs, and how it says what went wrong."""

from __future__ import annotations

import builtins
from typing import Any

import pytest

from shoal.chain.addresses import ChainAddress
from shoal.chain.driver.evm import RevmEvm
from shoal.chain.errors import EvmMissingError, InvalidTransactionError
from shoal.chain.evm import Moment
from shoal.chain.genesis import GenesisAccount
from shoal.chain.values import Call

SENDER, CONTRACT = ChainAddress(bytes([1]) * 20), ChainAddress(bytes([2]) * 20)
MOMENT = Moment(number=5, wall_time=1000, gas_limit=30_000_000, base_fee_wei=7)


def machine(code: str = "") -> RevmEvm:
    """A state with a contract of this code."""
    pytest.importorskip("pyrevm", reason="the embedded chain's virtual machine is not installed")
    evm = RevmEvm(1337, 30_000_000)
    evm.put_account(SENDER, GenesisAccount(balance_wei=10**18))
    evm.put_account(CONTRACT, GenesisAccount(code=bytes.fromhex(code), storage=((3, 9),)))
    return evm


@pytest.mark.parametrize(
    ("opcode", "value"), [("46", 1337), ("43", 5), ("42", 1000), ("45", 30_000_000)], ids=str
)
def test_code_sees_the_block(opcode: str, value: int) -> None:
    """CHAINID, NUMBER, TIMESTAMP, GASLIMIT are those of the chain."""
    evm = machine(opcode + "5f5260205ff3")  # store it in memory, return 32 bytes
    outcome = evm.simulate(MOMENT, SENDER, Call(CONTRACT), 100_000)

    assert int.from_bytes(outcome.output) == value


def test_storage_of_the_genesis() -> None:
    """SLOAD finds it; the code is as long as it is."""
    code = "60035460005260205ff3"
    evm = machine(code)

    assert int.from_bytes(evm.simulate(MOMENT, SENDER, Call(CONTRACT), 100_000).output) == 9
    assert evm.code(CONTRACT).hex() == code
    assert evm.code(SENDER) == b""


def test_failures_are_told_apart() -> None:
    """Refused, halted, and what cannot even begin."""
    refused = machine("5f5ffd").execute(MOMENT, SENDER, 0, Call(CONTRACT), 100_000)
    halted = machine("fe").execute(MOMENT, SENDER, 0, Call(CONTRACT), 100_000)

    assert (refused.is_success, refused.problem) == (False, "")
    assert halted.gas_used == 100_000
    assert halted.problem
    with pytest.raises(InvalidTransactionError):
        machine().execute(MOMENT, SENDER, 0, Call(CONTRACT), 20_000)


def test_without_the_machine_one_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """What to install, and where it can be."""
    real = builtins.__import__

    def without(name: str, *rest: Any) -> Any:
        if name == "pyrevm":
            raise ImportError(name)
        return real(name, *rest)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(EvmMissingError):
        RevmEvm(1, 30_000_000)
    assert "CPython 3.11 and 3.12" in (EvmMissingError.__doc__ or "")
