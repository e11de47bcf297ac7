"""Errors of the chain. Each docstring is what people are shown: what happened, and what to do.

ChainError
├── ChainUnreachableError      no answer from the node of the chain
├── ChainProtocolError         the node answered what no Ethereum node answers
├── RpcError                   the node refused a request, with a code
├── WrongChainError            the node serves another chain than before
├── TransactionError           a transaction that cannot be made or is not accepted
│   ├── OutOfFundsError        the account cannot pay
│   ├── RevertedError          the contract refused
│   │   └── RegistryRefusedError  the registry of names refused, and why
│   ├── NonceError             the transaction's number is not the account's next
│   ├── UnderpricedError       the fee is below what the chain takes
│   └── InvalidTransactionError   a transaction that no chain of this kind takes
├── TooManyTransactionsError   a bound on transactions under way is reached
├── ChainClosedError           the chain was closed during the operation
├── ChainExistsError           a chain is there already
├── ChainMissingError          there is no chain at this place
├── ChainBusyError             another process has the chain's files
├── ChainDamagedError          the chain's files do not replay to what they say
├── ChainFileError             a file of the chain that cannot be read or written
├── EvmMissingError            the embedded chain's virtual machine is not installed
├── SignerMissingError         the library that signs transactions is not installed
├── NotDeployedError           no registry at this address
└── (and DecodeError)          bytes that do not follow their format:
    ├── InvalidAddressError    addresses on a chain
    ├── InvalidChainKeyError   private keys
    └── InvalidGenesisError    genesis files
"""

from __future__ import annotations

import enum

from shoal.core import DecodeError, ShoalError


class ChainError(ShoalError):
    """Base of the chain errors."""


class ChainUnreachableError(ChainError):
    """The chain does not answer. Is its node running, and the URL right? Try again later."""


class ChainProtocolError(ChainError):
    """The URL answers, but not as a node of an Ethereum chain does. Check it."""


class RpcError(ChainError):
    """The chain's node refused the request.

    Attributes:
        code: of JSON-RPC.
        data: what came with it: revert data, where a contract refused.
    """

    def __init__(self, message: str, code: int, data: bytes = b"") -> None:
        super().__init__(message)
        self.code = code
        self.data = data


class WrongChainError(ChainError):
    """The node serves another chain than the one expected. Check the URL; start afresh if meant.

    Attributes:
        expected: chain id that was known before.
        found: chain id that the node names.
    """

    def __init__(self, expected: int, found: int) -> None:
        super().__init__(f"the node serves chain {found}, not {expected}")
        self.expected = expected
        self.found = found


class TransactionError(ChainError):
    """Base of errors about one transaction."""


class OutOfFundsError(TransactionError):
    """The account that pays has too little on the chain. Send it some, then try again.

    Attributes:
        needed_wei: what the transaction may cost, 0 where unknown.
        balance_wei: what the account has, 0 where unknown.
    """

    def __init__(self, message: str = "", *, needed_wei: int = 0, balance_wei: int = 0) -> None:
        super().__init__(message or f"needs {needed_wei} wei and has {balance_wei}")
        self.needed_wei = needed_wei
        self.balance_wei = balance_wei


class RevertedError(TransactionError):
    """The contract refused the transaction.

    Attributes:
        reason: in the contract's words; empty where it gave none.
        data: what it returned.
    """

    def __init__(self, reason: str = "", data: bytes = b"") -> None:
        super().__init__(reason or "the contract refused without a reason")
        self.reason = reason
        self.data = data


class Refusal(enum.Enum):
    """Why the registry refuses; the value is the reason that the contract gives."""

    NAME_TAKEN = "name taken"
    ACCOUNT_HAS_NAME = "account has a name"
    BAD_NAME = "bad name"
    BAD_ACCOUNT = "bad account"
    BAD_OWNER = "bad owner"
    NO_EVIDENCE = "no evidence"
    NO_SUCH_NAME = "no such name"
    NOT_OWNER = "not the owner"


class RegistryRefusedError(RevertedError):
    """The registry of names refused: the name is taken or malformed, or the account has one.

    Attributes:
        refusal: why.
    """

    def __init__(self, refusal: Refusal, data: bytes = b"") -> None:
        super().__init__(refusal.value, data)
        self.refusal = refusal


class NonceError(TransactionError):
    """The transaction's number is not the account's next: another program may use the key too.

    Attributes:
        expected: the account's next, where known.
    """

    def __init__(self, message: str, expected: int | None = None) -> None:
        super().__init__(message)
        self.expected = expected


class UnderpricedError(TransactionError):
    """The fee is below what the chain takes now. Offer more, or wait until it is cheaper."""


class InvalidTransactionError(TransactionError):
    """No chain takes this transaction: it is malformed, for another chain, or beyond its limits."""


class TooManyTransactionsError(ChainError):
    """Too many transactions wait for the chain. Wait for some to end, then try again."""


class ChainClosedError(ChainError):
    """The chain was closed before the operation ended."""


class ChainExistsError(ChainError):
    """There is a chain here already, and it is kept. Choose another folder for a new one."""


class ChainMissingError(ChainError):
    """There is no chain here. Make one with `shoal chain init`."""


class ChainBusyError(ChainError):
    """Another process has opened this chain. Stop it, or reach the chain through its URL."""


class ChainDamagedError(ChainError):
    """The chain's file does not replay to the state it records. Restore it from a copy."""


class ChainFileError(ChainError):
    """A file of the chain cannot be read or written. Check its path, permissions and the disk."""


class EvmMissingError(ChainError):
    """The embedded chain needs pyrevm, which is not installed. Run `pip install 'shoal[chain]'`.

    pyrevm has wheels for CPython 3.11 and 3.12. Elsewhere name a real node with --chain URL.
    """


class SignerMissingError(ChainError):
    """Signing transactions needs coincurve. Run `pip install 'shoal[chain]'`.

    coincurve has wheels for CPython 3.11 to 3.13.
    """


class NotDeployedError(ChainError):
    """There is no registry of names at this address. Deploy one with `shoal chain deploy`."""


class InvalidAddressError(ChainError, DecodeError):
    """This is no address on a chain: 40 hexadecimal digits, with or without 0x."""


class InvalidChainKeyError(ChainError, DecodeError):
    """This is no private key for a chain: 64 hexadecimal digits."""


class InvalidGenesisError(ChainError, DecodeError):
    """This is no genesis file that can be used here. Make one with `shoal chain init`."""
