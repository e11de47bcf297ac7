"""The virtual machine of the embedded chain: revm, through pyrevm."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

from shoal.chain.addresses import ChainAddress
from shoal.chain.errors import EvmMissingError, InvalidTransactionError
from shoal.chain.evm import Outcome, RawLog
from shoal.chain.values import Call

if TYPE_CHECKING:
    from types import ModuleType

    from shoal.chain.evm import Moment
    from shoal.chain.genesis import GenesisAccount

RULES: Final = "CANCUN"  # as the genesis says
_NOBODY: Final = ChainAddress(bytes(ChainAddress.length))
_CODE_GAS: Final = 10_000_000  # ours: logs 24,576 bytes, the most that EIP-170 lets a contract have
_REVERT: Final = re.compile(r"Revert \{ gas_used: (\d+), output: 0x([0-9a-f]*) \}")
_HALT: Final = re.compile(r"Halt \{ reason: (.*), gas_used: (\d+) \}")


class RevmEvm:
    """`Evm` by pyrevm. Every call is bracketed by a snapshot, without which it underflows."""

    def __init__(self, chain_id: int, gas_limit: int) -> None:
        """Make an empty state.

        Raises:
            EvmMissingError: pyrevm is not installed.
        """
        self._library = library = _load()
        env = library.Env(cfg=library.CfgEnv(chain_id=chain_id))
        self._evm = library.EVM(env=env, spec_id=RULES, gas_limit=gas_limit)
        self._moment: Moment | None = None

    def put_account(self, address: ChainAddress, account: GenesisAccount) -> None:
        code = account.code or None
        info = self._library.AccountInfo(
            balance=account.balance_wei, nonce=account.nonce, code=code
        )
        self._evm.insert_account_info(_hex(address), info)
        for key, value in account.storage:
            self._evm.insert_account_storage(_hex(address), key, value)

    def balance(self, address: ChainAddress) -> int:
        found: int = self._evm.get_balance(_hex(address))
        return found

    def set_balance(self, address: ChainAddress, balance_wei: int) -> None:
        self._evm.set_balance(_hex(address), balance_wei)

    def code(self, address: ChainAddress) -> bytes:
        # revm pads the code that it keeps; only the machine itself says how long it is.
        outcome = self._run(_NOBODY, Call(None, _log_code_of(address)), _CODE_GAS, keeps=False)
        assert outcome.is_success, "copying code fails for want of gas alone"
        return outcome.logs[0].data

    def execute(
        self, moment: Moment, sender: ChainAddress, nonce: int, call: Call, gas: int
    ) -> Outcome:
        self._set_moment(moment)
        if call.to is None:  # a contract's address is made of the nonce, which revm must know
            info = self._library.AccountInfo(balance=self.balance(sender), nonce=nonce)
            self._evm.insert_account_info(_hex(sender), info)
        return self._run(sender, call, gas, keeps=True)

    def simulate(self, moment: Moment, sender: ChainAddress, call: Call, gas: int) -> Outcome:
        self._set_moment(moment)
        return self._run(sender, call, gas, keeps=False)

    def _run(self, sender: ChainAddress, call: Call, gas: int, *, keeps: bool) -> Outcome:
        evm = self._evm
        evm.reset_transient_storage()
        before = evm.snapshot()
        contract, output = None, b""
        try:
            if call.to is None:
                made = evm.deploy(_hex(sender), call.data, value=call.value_wei, gas=gas)
                contract = ChainAddress.parse(made)
            else:
                output = evm.message_call(
                    _hex(sender), _hex(call.to), call.data, value=call.value_wei, gas=gas
                )
        except RuntimeError as error:
            evm.revert(before)
            return _failure(str(error))
        result = evm.result
        outcome = Outcome(
            is_success=True,
            gas_used=result.gas_used,
            output=bytes(output),
            logs=tuple(_log(each) for each in result.logs),
            contract=contract,
        )
        if keeps:
            evm.commit()
        else:
            evm.revert(before)
        return outcome

    def _set_moment(self, moment: Moment) -> None:
        if moment == self._moment:
            return
        self._moment = moment
        # No base fee here: revm would refuse calls that offer none. The ledger takes the fees.
        block = self._library.BlockEnv(
            number=moment.number, timestamp=moment.wall_time, gas_limit=moment.gas_limit, basefee=0
        )
        self._evm.set_block_env(block)


def _failure(text: str) -> Outcome:
    """Read how revm says that an execution failed."""
    if found := _REVERT.search(text):
        return Outcome(is_success=False, gas_used=int(found[1]), output=bytes.fromhex(found[2]))
    if found := _HALT.search(text):
        return Outcome(is_success=False, gas_used=int(found[2]), problem=found[1])
    raise InvalidTransactionError(f"the virtual machine refuses: {text[:200]}")


def _log_code_of(address: ChainAddress) -> bytes:
    """Return code that, while it creates a contract, logs the code of *address*."""
    push = b"\x73" + address  # PUSH20
    size_then_copy = push + b"\x3b\x80\x5f\x5f" + push + b"\x3c"  # EXTCODESIZE … EXTCODECOPY
    return size_then_copy + b"\x5f\xa0\x5f\x5f\xf3"  # LOG0, then return nothing


def _log(log: Any) -> RawLog:
    topics, data = log.data
    return RawLog(
        ChainAddress(bytes.fromhex(log.address[2:])), tuple(map(bytes, topics)), bytes(data)
    )


def _hex(address: ChainAddress) -> str:
    return "0x" + address.hex()


def _load() -> ModuleType:
    try:
        import pyrevm  # noqa: PLC0415 - an extra
    except ImportError as error:
        raise EvmMissingError from error
    found: ModuleType = pyrevm
    return found
