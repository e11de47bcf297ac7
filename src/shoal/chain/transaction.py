"""Transactions as they travel: legacy with a chain id (EIP-155), and with a fee market (EIP-1559).

legacy    rlp([nonce, gas price, gas limit, to, value, data, v, r, s]), v = 35 + 2 chain id + odd;
          signed over keccak256(rlp([nonce, …, data, chain id, 0, 0]))
EIP-1559  02 ‖ rlp([chain id, nonce, priority fee, fee, gas limit, to, value, data, access list,
          is odd, r, s]); signed over keccak256(02 ‖ rlp([chain id, …, access list]))

`to` is empty where a contract is created. The hash is keccak256 of the whole.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from shoal.chain import rlp
from shoal.chain.addresses import ChainAddress, TransactionHash, keccak256
from shoal.chain.errors import InvalidTransactionError
from shoal.chain.keys import Signature, recover
from shoal.chain.values import Call
from shoal.core import DecodeError
from shoal.core.records import dataclass

if TYPE_CHECKING:
    from shoal.chain.keys import ChainKey
    from shoal.chain.rlp import Item

RAW_SIZE_MAX: Final = 131_072  # bytes; go-ethereum core/txpool/legacypool: txMaxSize
NONCE_MAX: Final = 2**64 - 2  # EIP-2681
_TYPE_FEE_MARKET: Final = 2  # EIP-1559
_LIST_FIRST: Final = 0xC0  # EIP-2718: a legacy transaction begins with a list
_V_BASE: Final = 35  # EIP-155
_WORD_MAX: Final = 2**256 - 1  # yellow paper: values and fees are words
_FEE_MARKET_FIELDS: Final = 12  # EIP-1559
_LEGACY_FIELDS: Final = 9  # yellow paper, section 4.2


@dataclass(frozen=True, slots=True)
class Transaction:
    """What is signed.

    Attributes:
        fee_wei: per unit of gas at most, what is burned included; on old chains the gas price.
        priority_fee_wei: of it for whoever makes the block; None makes a legacy transaction.
    """

    chain_id: int
    nonce: int
    call: Call
    gas_limit: int
    fee_wei: int
    priority_fee_wei: int | None

    @property
    def cost_wei(self) -> int:
        """What the sender must have: the value, and all the gas at the highest fee."""
        return self.call.value_wei + self.gas_limit * self.fee_wei

    def sign(self, key: ChainKey) -> SignedTransaction:
        """Sign it.

        Raises:
            SignerMissingError: coincurve is not installed.
        """
        return SignedTransaction(self, key.sign(_digest(self)), key.address)


@dataclass(frozen=True, slots=True)
class SignedTransaction:
    """A transaction and who signed it."""

    transaction: Transaction
    signature: Signature
    sender: ChainAddress

    @property
    def raw(self) -> bytes:
        """The bytes that are sent."""
        made, mark = self.transaction, self.signature
        if made.priority_fee_wei is None:
            v = _V_BASE + 2 * made.chain_id + mark.is_odd
            return rlp.encode([*_legacy_fields(made), v, mark.r, mark.s])
        fields = [*_fee_market_fields(made), int(mark.is_odd), mark.r, mark.s]
        return bytes([_TYPE_FEE_MARKET]) + rlp.encode(fields)

    @property
    def hash(self) -> TransactionHash:
        """What the transaction is known by."""
        return hash_of(self.raw)


def hash_of(raw: bytes) -> TransactionHash:
    """Return what a signed transaction is known by."""
    return TransactionHash(keccak256(raw))


def contract_address(sender: ChainAddress, nonce: int) -> ChainAddress:
    """Return the address of a contract that *sender* creates by its transaction *nonce*."""
    return ChainAddress(keccak256(rlp.encode([bytes(sender), nonce]))[-ChainAddress.length :])


def decode_transaction(raw: bytes) -> SignedTransaction:
    """Read a signed transaction and find who signed it.

    Raises:
        InvalidTransactionError: it is malformed, of another type, without a chain id, or signed
            by nobody.
    """
    if not raw or len(raw) > RAW_SIZE_MAX:
        raise InvalidTransactionError(f"a transaction of {len(raw)} bytes")
    try:
        if raw[0] == _TYPE_FEE_MARKET:
            made, mark = _decode_fee_market(rlp.decode(raw[1:]))
        elif raw[0] >= _LIST_FIRST:
            made, mark = _decode_legacy(rlp.decode(raw))
        else:
            raise InvalidTransactionError(f"a transaction of type {raw[0]}")
        return SignedTransaction(made, mark, recover(_digest(made), mark))
    except DecodeError as error:
        raise InvalidTransactionError(f"a malformed transaction: {error}") from error


def _digest(made: Transaction) -> bytes:
    if made.priority_fee_wei is None:
        return keccak256(rlp.encode([*_legacy_fields(made), made.chain_id, 0, 0]))
    return keccak256(bytes([_TYPE_FEE_MARKET]) + rlp.encode(_fee_market_fields(made)))


def _legacy_fields(made: Transaction) -> list[object]:
    call = made.call
    to = b"" if call.to is None else bytes(call.to)
    return [made.nonce, made.fee_wei, made.gas_limit, to, call.value_wei, call.data]


def _fee_market_fields(made: Transaction) -> list[object]:
    call = made.call
    to = b"" if call.to is None else bytes(call.to)
    fees: list[object] = [made.chain_id, made.nonce, made.priority_fee_wei, made.fee_wei]
    return [*fees, made.gas_limit, to, call.value_wei, call.data, []]


def _decode_legacy(item: Item) -> tuple[Transaction, Signature]:
    nonce, price, gas, to, value, data, v, r, s = _fields(item, _LEGACY_FIELDS)
    mark = rlp.to_int(v) - _V_BASE
    if mark < 0:
        raise DecodeError("no chain id (EIP-155)")
    made = Transaction(
        chain_id=mark // 2,
        nonce=_number(nonce, NONCE_MAX),
        call=_call(to, value, data),
        gas_limit=_number(gas, NONCE_MAX),
        fee_wei=_number(price, _WORD_MAX),
        priority_fee_wei=None,
    )
    return made, Signature(rlp.to_int(r), rlp.to_int(s), is_odd=bool(mark % 2))


def _decode_fee_market(item: Item) -> tuple[Transaction, Signature]:
    fields = _fields(item, _FEE_MARKET_FIELDS)
    chain_id, nonce, priority, fee, gas, to, value, data, accesses, parity, r, s = fields
    if accesses != []:
        raise DecodeError("an access list, which is not supported here")
    made = Transaction(
        chain_id=_number(chain_id, _WORD_MAX),
        nonce=_number(nonce, NONCE_MAX),
        call=_call(to, value, data),
        gas_limit=_number(gas, NONCE_MAX),
        fee_wei=_number(fee, _WORD_MAX),
        priority_fee_wei=_number(priority, _WORD_MAX),
    )
    return made, Signature(rlp.to_int(r), rlp.to_int(s), is_odd=bool(_number(parity, 1)))


def _fields(item: Item, count: int) -> list[Item]:
    if isinstance(item, bytes) or len(item) != count:
        raise DecodeError(f"not a list of {count} fields")
    return item


def _call(to: Item, value: Item, data: Item) -> Call:
    if not isinstance(to, bytes) or not isinstance(data, bytes):
        raise DecodeError("a list where bytes belong")
    return Call(ChainAddress(to) if to else None, data, _number(value, _WORD_MAX))


def _number(item: Item, most: int) -> int:
    number = rlp.to_int(item)
    if number > most:
        raise DecodeError(f"a number above {most}")
    return number
