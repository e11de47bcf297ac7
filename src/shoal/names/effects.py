"""What goes into the name server's engine and what it wants done: requests, answers, orders."""

from __future__ import annotations

import enum
from typing import TYPE_CHECKING, TypeAlias

from shoal.core.records import dataclass

if TYPE_CHECKING:
    from shoal.core import AccountId
    from shoal.names.record import NameRecord
    from shoal.names.routes import PageName


@dataclass(frozen=True, slots=True)
class Request:
    """One HTTP request, read completely.

    Attributes:
        method: as it came.
        target: as it came: path and query, percent-encoded.
        body: empty for most.
        client: who asks, for limits: see `client_of`.
    """

    method: str
    target: str
    body: bytes
    client: str


@dataclass(frozen=True, slots=True)
class Response:
    """One HTTP answer.

    Attributes:
        status: of HTTP; see `shoal.names.routes` for what Jami makes of it.
        retry_after: whole seconds to wait before asking again; None says nothing.
        allowed: methods, for status 405.
    """

    status: int
    body: bytes
    content_type: str = "application/json"
    retry_after: int | None = None
    allowed: tuple[str, ...] = ()


class IntentState(enum.Enum):
    """How far a registration is that the server has promised to carry out."""

    WAITING = "waiting"  # nothing has left for the chain, so it may still be given up
    SENT = "sent"  # a transaction is on the chain, or may come to be
    DONE = "done"  # the chain has it; kept for a while, in case that the chain loses it again


@dataclass(frozen=True, slots=True)
class Intent:
    """A registration that the server has promised to carry out.

    Attributes:
        record: what will be on the chain, owner included; verified.
        state: how far it is.
        wall_created: when it was promised, in seconds since 1970.
    """

    record: NameRecord
    state: IntentState
    wall_created: float


# Actions


@dataclass(frozen=True, slots=True)
class Reply:
    """Action: answer the request with this id."""

    request: int
    response: Response


@dataclass(frozen=True, slots=True)
class ReplyPage:
    """Action: answer with a page that only the driver can write: it knows the process."""

    request: int
    page: PageName


@dataclass(frozen=True, slots=True)
class KeepIntent:
    """Action: write the intent to the journal, replacing what it had about the name.

    No later effect runs before it is on disk.
    """

    intent: Intent


@dataclass(frozen=True, slots=True)
class DropIntent:
    """Action: take what the journal has about this name out of it."""

    name: str


@dataclass(frozen=True, slots=True)
class Reserve:
    """Action: bring this record to the chain.

    Exactly one of `reserved`, `refused`, `delayed` of the `RegistrationEngine` follows. It may be
    ordered again, after a crash too: a record that the chain has already counts as reserved.
    """

    record: NameRecord


Effect: TypeAlias = Reply | ReplyPage | KeepIntent | DropIntent | Reserve


@dataclass(frozen=True, slots=True)
class IndexStatus:
    """How far the index is.

    Attributes:
        names: that can be looked up.
        block: up to which the chain was read; -1 before the first.
        head: of the chain when it was last seen.
        chain_id: of the chain; None before it was first seen.
        registry: address of the contract; None before it was first seen.
        is_complete: whether it has once read all that the chain had; before, "not found" would be
            a guess.
        is_chain_up: whether the last attempt to read the chain succeeded.
        reorganisations: how often blocks that had been read went away.
        ignored: records on the chain that prove nothing, and so are not served.
    """

    names: int = 0
    block: int = -1
    head: int = -1
    chain_id: int | None = None
    registry: str | None = None
    is_complete: bool = False
    is_chain_up: bool = False
    reorganisations: int = 0
    ignored: int = 0


@dataclass(frozen=True, slots=True)
class IndexedName:
    """What the index has about a name.

    Attributes:
        answer: to a lookup, ready to send.
        is_valid: whether key and signature prove it; what proves nothing is taken, yet not served.
    """

    name: str
    account: AccountId
    owner: bytes
    answer: bytes
    is_valid: bool
