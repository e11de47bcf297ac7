"""What the transaction engine orders and reports; `Persist` is from the core.

A `Persist` names an intent; without data the intent is to be forgotten.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

from shoal.core import Persist
from shoal.core.records import dataclass

if TYPE_CHECKING:
    from shoal.chain.addresses import TransactionHash
    from shoal.chain.errors import ChainError
    from shoal.chain.values import Call, Receipt


@dataclass(frozen=True, slots=True)
class Estimate:
    """Action: ask what gas *call* takes; answer `estimated` or `estimate_failed`."""

    key: str
    call: Call


@dataclass(frozen=True, slots=True)
class Look:
    """Action: look at the chain and for these transactions; answer `looked` or `look_failed`."""

    transactions: tuple[TransactionHash, ...]


@dataclass(frozen=True, slots=True)
class Broadcast:
    """Action: hand in *raw*, after all that were ordered before; answer `broadcast_done`."""

    key: str
    raw: bytes
    tx_hash: TransactionHash


@dataclass(frozen=True, slots=True)
class Mined:
    """Event: the transaction is in a block, which may yet be undone."""

    key: str
    receipt: Receipt


@dataclass(frozen=True, slots=True)
class Confirmed:
    """Event: the transaction succeeded, for good. Ends *key*."""

    key: str
    receipt: Receipt


@dataclass(frozen=True, slots=True)
class Failed:
    """Event: the transaction did nothing, and will not. Ends *key*."""

    key: str
    error: ChainError


@dataclass(frozen=True, slots=True)
class Delayed:
    """Event: *key* goes on, and waits for what *error* says; None for all that is under way."""

    key: str | None
    error: ChainError


Effect: TypeAlias = Persist | Estimate | Look | Broadcast | Mined | Confirmed | Failed | Delayed
