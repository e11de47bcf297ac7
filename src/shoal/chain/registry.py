"""The registry of names as a caller sees it: calls to make, answers and events to read.

`contracts/Registry.vy` has the rules. On the chain a name is one word: its ASCII characters, then
zeros. A record names the block in which the name was taken; the event there has public key and
signature, so that a lookup is one call and one question for logs.

An event `NameReserved` has the topics: its id, name, account (left-aligned), owner; its data are
`bytes public_key, bytes signature`.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final, TypeAlias

from shoal.chain import abi
from shoal.chain.addresses import ChainAddress, keccak256
from shoal.chain.errors import Refusal, RegistryRefusedError, RevertedError
from shoal.chain.values import Call
from shoal.core import AccountId, DecodeError
from shoal.core.records import dataclass

if TYPE_CHECKING:
    from shoal.chain.addresses import TransactionHash
    from shoal.chain.values import Log

VERSION: Final = "shoal names 1"  # of the contract's interface: Registry.vy, version()
NAME_LENGTH_MIN: Final = 3  # JamiNS; jami-accounts-and-connections.md section 6.5
NAME_LENGTH_MAX: Final = 32  # the same
PUBLIC_KEY_MAX: Final = 2048  # bytes; ours, in Registry.vy: DER of RSA-8192 is half of it
SIGNATURE_MAX: Final = 1024  # bytes; the same: RSA-8192
# In genesis files of ours the registry is here: a name for people who look at transactions.
GENESIS_ADDRESS: Final = ChainAddress(b"Shoal.names.registry")

_NAME: Final = re.compile(rf"[a-z0-9_-]{{{NAME_LENGTH_MIN},{NAME_LENGTH_MAX}}}")
_LOOKUP: Final = "lookup(string)"
_REVERSE: Final = "reverse(bytes20)"
_VERSION: Final = "version()"
_RESERVE: Final = "reserve(string,bytes20,bytes,bytes)"
_RESERVE_FOR: Final = "reserveFor(string,bytes20,address,bytes,bytes)"
_TRANSFER: Final = "transfer(string,address)"
_RELEASE: Final = "release(string)"
_RESERVED: Final = abi.topic("NameReserved(bytes32,bytes20,address,bytes,bytes)")
_TRANSFERRED: Final = abi.topic("NameTransferred(bytes32,address)")
_RELEASED: Final = abi.topic("NameReleased(bytes32,bytes20,address)")
_INDEXED: Final = {_RESERVED: 3, _TRANSFERRED: 2, _RELEASED: 3}  # topics beside the first
_REFUSALS: Final = {each.value: each for each in Refusal}


@dataclass(frozen=True, slots=True)
class NameRecord:
    """What the registry's state says of a name.

    Attributes:
        owner: who may transfer or release it.
        block_number: in which it was taken; the event there has key and signature.
        evidence: `evidence_of` that key and signature.
    """

    name: str
    account: AccountId
    owner: ChainAddress
    block_number: int
    evidence: bytes


@dataclass(frozen=True, slots=True)
class Reservation:
    """What someone asks for: a name for an account, and the account's consent.

    Attributes:
        owner: who shall own it; None is whoever pays.
        public_key: of the account; DER, or whatever readers agree on, 1 to 2,048 bytes.
        signature: of the name by that key; 1 to 1,024 bytes. Readers verify it, not the chain.
    """

    name: str
    account: AccountId
    public_key: bytes
    signature: bytes
    owner: ChainAddress | None = None


@dataclass(frozen=True, slots=True)
class NameReserved:
    """Event of the chain: a name was taken for an account."""

    name: str
    account: AccountId
    owner: ChainAddress
    public_key: bytes
    signature: bytes
    block_number: int
    tx_hash: TransactionHash


@dataclass(frozen=True, slots=True)
class NameTransferred:
    """Event of the chain: a name has another owner; its account is the same."""

    name: str
    owner: ChainAddress
    block_number: int
    tx_hash: TransactionHash


@dataclass(frozen=True, slots=True)
class NameReleased:
    """Event of the chain: a name is free, and its account has none."""

    name: str
    account: AccountId
    owner: ChainAddress
    block_number: int
    tx_hash: TransactionHash


RegistryEvent: TypeAlias = NameReserved | NameTransferred | NameReleased


class Registry:
    """The registry at one address: pure, it makes calls and reads what comes back."""

    def __init__(self, address: ChainAddress = GENESIS_ADDRESS) -> None:
        self.address = address

    # Calls that change the chain, to be sent.

    def register(self, reservation: Reservation) -> Call:
        """Return the call that takes a name.

        Raises:
            RegistryRefusedError: the contract would refuse the name, account, owner or evidence.
        """
        self._check(reservation)
        asked, owner = reservation, reservation.owner
        if owner is None:
            data = abi.encode_call(
                _RESERVE, asked.name, asked.account, asked.public_key, asked.signature
            )
        else:
            data = abi.encode_call(
                _RESERVE_FOR, asked.name, asked.account, owner, asked.public_key, asked.signature
            )
        return Call(self.address, data)

    def transfer(self, name: str, owner: ChainAddress) -> Call:
        """Return the call that hands a name to another owner."""
        return Call(self.address, abi.encode_call(_TRANSFER, name, owner))

    def release(self, name: str) -> Call:
        """Return the call that gives a name up."""
        return Call(self.address, abi.encode_call(_RELEASE, name))

    # Questions, and their answers.

    def version(self) -> Call:
        """Return the question what this contract is."""
        return Call(self.address, abi.encode_call(_VERSION))

    def is_version(self, answer: bytes) -> bool:
        """Tell whether the answer to `version` is that of the contract we know."""
        try:
            return abi.decode(["string"], answer) == [VERSION]
        except DecodeError:
            return False

    def lookup(self, name: str) -> Call:
        """Return the question what a name is."""
        return Call(self.address, abi.encode_call(_LOOKUP, name))

    def record(self, name: str, answer: bytes) -> NameRecord | None:
        """Read the answer to `lookup`; None where the name is free.

        Raises:
            DecodeError: this is no such answer.
        """
        owner, account, number, evidence = abi.decode(
            ["address", "bytes20", "uint256", "bytes32"], answer
        )
        assert isinstance(owner, ChainAddress)
        assert isinstance(account, bytes)
        assert isinstance(number, int)
        assert isinstance(evidence, bytes)
        if not any(owner):
            return None
        return NameRecord(name, AccountId(account), owner, number, evidence)

    def reverse(self, account: AccountId) -> Call:
        """Return the question which name an account has."""
        return Call(self.address, abi.encode_call(_REVERSE, account))

    def name(self, answer: bytes) -> str | None:
        """Read the answer to `reverse`; None where the account has no name.

        Raises:
            DecodeError: this is no such answer.
        """
        (word,) = abi.decode(["bytes32"], answer)
        assert isinstance(word, bytes)
        return unpack_name(word) if any(word) else None

    # Events.

    def topics_of(self, name: str) -> tuple[bytes, bytes]:
        """Return the topics by which to find the event that has a name's key and signature."""
        return _RESERVED, pack_name(name)

    def event(self, log: Log) -> RegistryEvent | None:
        """Read a log of the contract; None where it is of another kind or another contract.

        Raises:
            DecodeError: a log of a kind that we know is malformed.
        """
        if log.address != self.address or not log.topics or log.topics[0] not in _INDEXED:
            return None
        kind, *indexed = log.topics
        if len(indexed) != _INDEXED[kind]:
            raise DecodeError(f"an event of the registry with {len(indexed)} indexed fields")
        name, place = unpack_name(indexed[0]), (log.block_number, log.tx_hash)
        if kind == _TRANSFERRED:
            return NameTransferred(name, _owner(indexed[1]), *place)
        account = AccountId(indexed[1][: AccountId.length])
        owner = _owner(indexed[2])
        if kind == _RELEASED:
            return NameReleased(name, account, owner, *place)
        public_key, signature = abi.decode(["bytes", "bytes"], log.data)
        assert isinstance(public_key, bytes)
        assert isinstance(signature, bytes)
        return NameReserved(name, account, owner, public_key, signature, *place)

    def _check(self, asked: Reservation) -> None:
        if not is_name(asked.name):
            raise RegistryRefusedError(Refusal.BAD_NAME)
        if not any(asked.account):
            raise RegistryRefusedError(Refusal.BAD_ACCOUNT)
        if asked.owner is not None and not any(asked.owner):
            raise RegistryRefusedError(Refusal.BAD_OWNER)
        has_key = 0 < len(asked.public_key) <= PUBLIC_KEY_MAX
        if not (has_key and 0 < len(asked.signature) <= SIGNATURE_MAX):
            raise RegistryRefusedError(Refusal.NO_EVIDENCE)


def is_name(text: str) -> bool:
    """Tell whether the contract takes *text* as a name: 3 to 32 characters of a-z, 0-9, - and _."""
    return _NAME.fullmatch(text) is not None


def pack_name(name: str) -> bytes:
    """Return a name as the word that it is on the chain.

    Raises:
        RegistryRefusedError: it is no name.
    """
    if not is_name(name):
        raise RegistryRefusedError(Refusal.BAD_NAME)
    return name.encode("ascii").ljust(abi.WORD, b"\0")


def unpack_name(word: bytes) -> str:
    """Read a name from a word of the chain.

    Raises:
        DecodeError: the word is no name.
    """
    try:
        name = word.rstrip(b"\0").decode("ascii")
    except UnicodeDecodeError:
        name = ""
    if len(word) != abi.WORD or not is_name(name):
        raise DecodeError(f"no name: {word[: abi.WORD].hex()}")
    return name


def evidence_of(public_key: bytes, signature: bytes) -> bytes:
    """Return the digest by which a record is bound to key and signature."""
    return keccak256(keccak256(public_key) + keccak256(signature))


def refusal_of(error: RevertedError) -> RevertedError:
    """Return *error*, as a RegistryRefusedError where the registry's reason is known."""
    refusal = _REFUSALS.get(error.reason)
    return error if refusal is None else RegistryRefusedError(refusal, error.data)


def _owner(word: bytes) -> ChainAddress:
    (owner,) = abi.decode(["address"], word)
    assert isinstance(owner, ChainAddress)
    return owner
