"""How a chain begins: its id, who has coins, and the registry of names at its fixed address.

The file is go-ethereum's genesis format, which anvil (`--init`), geth, besu and others read. The
embedded chain starts from the same file. Of the fields that such files may have, ours uses

config.chainId   what transactions carry, 1 to 2^53 - 1, so that JavaScript can count so far
timestamp        of block 0
gasLimit         of every block
baseFeePerGas    of block 0; on the embedded chain of every block
alloc            address: balance, code, nonce, storage

and the rest says: all rules up to Cancun from the beginning, as pyrevm and anvil know them.
"""

from __future__ import annotations

import json
from dataclasses import field
from typing import TYPE_CHECKING, Any, Final

from shoal.chain.addresses import ChainAddress
from shoal.chain.contract import load_contract
from shoal.chain.errors import InvalidAddressError, InvalidGenesisError
from shoal.chain.registry import GENESIS_ADDRESS
from shoal.core.records import dataclass

if TYPE_CHECKING:
    from shoal.core import Entropy

CHAIN_ID_MAX: Final = 2**53 - 1  # ours: what JSON numbers carry safely
GAS_LIMIT: Final = 30_000_000  # Ethereum's for most of its life
BASE_FEE_WEI: Final = 1_000_000_000  # ours: 1 gwei, a usual figure
FAUCET_WEI: Final = 10**9 * 10**18  # ours: a thousand million coins
GENESIS_SIZE_MAX: Final = 8 * 1024 * 1024  # bytes; ours
ACCOUNTS_MAX: Final = 10_000  # ours
_WORD_MAX: Final = 2**256 - 1  # yellow paper: balances are words
_FORKS: Final = (
    *("homestead", "eip150", "eip155", "eip158", "byzantium", "constantinople", "petersburg"),
    *("istanbul", "muirGlacier", "berlin", "london", "arrowGlacier", "grayGlacier"),
)


@dataclass(frozen=True, slots=True)
class GenesisAccount:
    """What an account has in the beginning."""

    balance_wei: int = 0
    code: bytes = b""
    nonce: int = 0
    storage: tuple[tuple[int, int], ...] = ()


@dataclass(frozen=True, slots=True)
class Genesis:
    """The beginning of a chain."""

    chain_id: int
    wall_time: int
    accounts: dict[ChainAddress, GenesisAccount] = field(default_factory=dict)
    gas_limit: int = GAS_LIMIT
    base_fee_wei: int = BASE_FEE_WEI

    def to_json(self) -> str:
        """Return the text of the file; the same genesis has always the same text."""
        config: dict[str, object] = {"chainId": self.chain_id}
        config |= {f"{fork}Block": 0 for fork in _FORKS}
        config |= {"shanghaiTime": 0, "cancunTime": 0, "terminalTotalDifficulty": 0}
        content = {
            "config": config,
            "nonce": "0x0",
            "timestamp": hex(self.wall_time),
            "extraData": "0x",
            "gasLimit": hex(self.gas_limit),
            "difficulty": "0x0",
            "mixHash": "0x" + bytes(32).hex(),
            "coinbase": "0x" + bytes(20).hex(),
            "baseFeePerGas": hex(self.base_fee_wei),
            "alloc": {
                address.hex(): _account_json(self.accounts[address])
                for address in sorted(self.accounts)
            },
        }
        return json.dumps(content, indent=1) + "\n"

    @classmethod
    def parse(cls, text: str) -> Genesis:
        """Read such a file, also one that another tool wrote.

        Raises:
            InvalidGenesisError: it is none, or has values that make no chain.
        """
        if len(text) > GENESIS_SIZE_MAX:
            raise InvalidGenesisError(f"more than {GENESIS_SIZE_MAX} characters")
        try:
            content = json.loads(text)
            alloc = content["alloc"]
            if len(alloc) > ACCOUNTS_MAX:
                raise InvalidGenesisError(f"more than {ACCOUNTS_MAX} accounts")
            made = cls(
                chain_id=_number(content["config"]["chainId"], CHAIN_ID_MAX),
                wall_time=_number(content.get("timestamp", 0), CHAIN_ID_MAX),
                accounts={ChainAddress.parse(key): _account(value) for key, value in alloc.items()},
                gas_limit=_number(content.get("gasLimit", GAS_LIMIT), CHAIN_ID_MAX),
                base_fee_wei=_number(content.get("baseFeePerGas", BASE_FEE_WEI), CHAIN_ID_MAX),
            )
        except (KeyError, TypeError, AttributeError, ValueError, RecursionError) as error:
            raise InvalidGenesisError(f"no genesis: {type(error).__name__} {error}") from error
        except InvalidAddressError as error:
            raise InvalidGenesisError(str(error)) from error
        if made.chain_id == 0:
            raise InvalidGenesisError("chain id 0")
        return made


def new_genesis(
    faucet: ChainAddress,
    wall_now: float,
    entropy: Entropy,
    *,
    chain_id: int | None = None,
    base_fee_wei: int = BASE_FEE_WEI,
) -> Genesis:
    """Return the beginning of a new chain: the registry is there, and *faucet* has the coins.

    The chain id is drawn from 31 bits unless given, so that transactions of one chain are none on
    another.
    """
    drawn = entropy.below(2**31 - 1024) + 1024  # the low ones belong to known chains
    return Genesis(
        chain_id=drawn if chain_id is None else chain_id,
        wall_time=int(wall_now),
        accounts={
            GENESIS_ADDRESS: GenesisAccount(code=load_contract("Registry").runtime, nonce=1),
            faucet: GenesisAccount(balance_wei=FAUCET_WEI),
        },
        base_fee_wei=base_fee_wei,
    )


def _account_json(account: GenesisAccount) -> dict[str, object]:
    content: dict[str, object] = {"balance": hex(account.balance_wei)}
    if account.nonce:
        content["nonce"] = hex(account.nonce)
    if account.code:
        content["code"] = "0x" + account.code.hex()
    if account.storage:
        content["storage"] = {f"0x{key:064x}": f"0x{value:064x}" for key, value in account.storage}
    return content


def _account(content: dict[str, Any]) -> GenesisAccount:
    storage = content.get("storage", {})
    return GenesisAccount(
        balance_wei=_number(content.get("balance", 0), _WORD_MAX),
        code=bytes.fromhex(content.get("code", "0x").removeprefix("0x")),
        nonce=_number(content.get("nonce", 0), CHAIN_ID_MAX),
        storage=tuple(
            (_number(key, _WORD_MAX), _number(value, _WORD_MAX)) for key, value in storage.items()
        ),
    )


def _number(value: object, most: int) -> int:
    """Read a number that files write as 12, "12" or "0xc"."""
    if isinstance(value, str):
        value = int(value, 16 if value.startswith("0x") else 10)
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= most:
        raise ValueError(f"{str(value)[:80]} is no number from 0 to {most}")
    return value
