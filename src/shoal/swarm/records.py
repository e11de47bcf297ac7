"""What an account keeps about its conversations, in Jami's shapes: on disk and between devices.

    convInfo       map id -> {id, created, removed, erased, members, lastDisplayed, mode, …Ms}
    convRequests   map id -> {from, conversationId, metadatas, received, declined, …Ms}

Times are seconds; the keys that end in Ms, of 2026, are preferred where they are. Readers take any
map: what is missing or makes no sense is as if it were not there. Source: Jami's conversation
module, ConvInfo and ConversationRequest.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final, TypeVar

import msgpack

from shoal.core import AccountId, CommitId, ConversationId, DecodeError
from shoal.core.records import dataclass
from shoal.swarm.contents import Mode

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

R = TypeVar("R")

RECORDS_SIZE_MAX: Final = 67_108_864  # bytes, ours: of a file
RECORDS_MAX: Final = 100_000  # ours: conversations of one account
REQUESTS_MAX: Final = 1_024  # ours: invitations that wait for an answer
REQUESTS_PER_SENDER: Final = 16  # ours: of these, by one account; its oldest go first
REQUESTS_BYTES_MAX: Final = 4_194_304  # ours: of all that wait; beyond it they have no pictures
TRIMMED_SIZE_MAX: Final = 1_024  # ours, in bytes of UTF-8: a field of those
MEMBERS_MAX: Final = 10_000  # ours: of one record
METADATA_SIZE_MAX: Final = 131_072  # ours: of one invitation, a picture included
FIELDS_MAX: Final = 16  # ours: of one invitation; Jami's have title, description, picture, mode
_SECOND: Final = 1_000
_TIME_MAX: Final = 2**53  # milliseconds; beyond it is not a time


@dataclass(frozen=True, slots=True)
class ConversationInfo:
    """That there is a conversation, since when, and whether we left it."""

    id: ConversationId
    created_ms: int
    removed_ms: int = 0
    erased_ms: int = 0
    members: tuple[AccountId, ...] = ()
    last_displayed: CommitId | None = None
    mode: Mode = Mode.INVITES_ONLY

    @property
    def is_removed(self) -> bool:
        """Whether we are no longer in it. Adding it again makes `created_ms` newer."""
        return self.removed_ms >= self.created_ms and self.removed_ms > 0

    @property
    def is_erased(self) -> bool:
        """Whether nothing is left of it here since we left it."""
        return self.is_removed and self.erased_ms >= self.removed_ms

    def to_map(self) -> dict[str, object]:
        """Return the record as both generations read it."""
        return {
            "id": str(self.id),
            "created": self.created_ms // _SECOND,
            "removed": self.removed_ms // _SECOND,
            "erased": self.erased_ms // _SECOND,
            "members": [str(member) for member in self.members],
            "lastDisplayed": str(self.last_displayed or ""),
            "mode": int(self.mode),
            "createdMs": self.created_ms,
            "removedMs": self.removed_ms,
            "erasedMs": self.erased_ms,
        }

    @classmethod
    def from_map(cls, found: object) -> ConversationInfo:
        """Read a record.

        Raises:
            DecodeError: it is none.
        """
        fields = _map(found)
        members = fields.get("members")
        return cls(
            ConversationId.from_hex(_text(fields, "id")),
            _time(fields, "created"),
            _time(fields, "removed"),
            _time(fields, "erased"),
            _accounts(members if isinstance(members, list) else []),
            _commit(fields.get("lastDisplayed")),
            _mode(fields.get("mode")),
        )

    def merged_with(self, other: ConversationInfo) -> ConversationInfo:
        """Return what two devices know together; what is left of it here, they do not know."""
        return replace(
            self,
            created_ms=max(self.created_ms, other.created_ms),
            removed_ms=max(self.removed_ms, other.removed_ms),
            members=self.members or other.members,
            last_displayed=self.last_displayed or other.last_displayed,
        )


@dataclass(frozen=True, slots=True)
class ConversationRequest:
    """An invitation that waits, or that was declined."""

    conversation: ConversationId
    sender: AccountId
    metadata: tuple[tuple[str, str], ...] = ()
    received_ms: int = 0
    declined_ms: int = 0

    @property
    def mode(self) -> Mode:
        """What kind of conversation it is to; of two where nothing is said."""
        return _mode(dict(self.metadata).get("mode", "0"))

    @property
    def title(self) -> str:
        """The conversation's title, or the inviter's name."""
        return dict(self.metadata).get("title", "")

    def trimmed(self) -> ConversationRequest:
        """Return what is kept of it where many wait: names, not pictures."""
        kept = [each for each in self.metadata if sum(map(_size, each)) <= TRIMMED_SIZE_MAX]
        return replace(self, metadata=tuple(kept[:FIELDS_MAX]))

    @property
    def size(self) -> int:
        """How many bytes its description has."""
        return sum(_size(key) + _size(value) for key, value in self.metadata)

    def to_map(self) -> dict[str, object]:
        """Return the record as both generations read it."""
        return {
            "conversationId": str(self.conversation),
            "from": str(self.sender),
            "metadatas": dict(self.metadata),
            "received": self.received_ms // _SECOND,
            "declined": self.declined_ms // _SECOND,
            "receivedMs": self.received_ms,
            "declinedMs": self.declined_ms,
        }

    @classmethod
    def from_map(cls, found: object) -> ConversationRequest:
        """Read a record.

        Raises:
            DecodeError: it is none, or too large.
        """
        fields = _map(found)
        described = fields.get("metadatas")
        metadata = tuple(
            sorted(
                (key, value)
                for key, value in (described if isinstance(described, dict) else {}).items()
                if isinstance(key, str) and isinstance(value, str)
            )
        )
        if sum(len(key) + len(value) for key, value in metadata) > METADATA_SIZE_MAX:
            raise DecodeError(f"an invitation of more than {METADATA_SIZE_MAX} characters")
        return cls(
            ConversationId.from_hex(_text(fields, "conversationId")),
            AccountId.from_hex(_text(fields, "from")),
            metadata,
            _time(fields, "received"),
            _time(fields, "declined"),
        )


def _size(text: str) -> int:
    return len(text.encode(errors="replace"))


def pack_infos(infos: Mapping[ConversationId, ConversationInfo]) -> bytes:
    """Return `convInfo`."""
    return _pack({str(key): info.to_map() for key, info in infos.items()})


def unpack_infos(data: bytes) -> dict[ConversationId, ConversationInfo]:
    """Read `convInfo`; entries that make no sense are left out.

    Raises:
        DecodeError: it is no map, or too large.
    """
    found = [_readable(ConversationInfo.from_map, each) for each in _unpack(data)]
    return {info.id: info for info in found if info is not None}


def pack_requests(requests: Mapping[ConversationId, ConversationRequest]) -> bytes:
    """Return `convRequests`."""
    return _pack({str(key): request.to_map() for key, request in requests.items()})


def unpack_requests(data: bytes) -> dict[ConversationId, ConversationRequest]:
    """Read `convRequests`; entries that make no sense are left out.

    Raises:
        DecodeError: it is no map, or too large.
    """
    found = [_readable(ConversationRequest.from_map, each) for each in _unpack(data)]
    return {request.conversation: request for request in found if request is not None}


def _pack(found: dict[str, dict[str, object]]) -> bytes:
    packed: bytes = msgpack.packb(found)
    return packed


def _unpack(data: bytes) -> list[object]:
    if len(data) > RECORDS_SIZE_MAX:
        raise DecodeError(f"records of {len(data)} bytes; {RECORDS_SIZE_MAX} at most")
    try:
        found = msgpack.unpackb(data, strict_map_key=False)
    except (ValueError, TypeError, msgpack.UnpackException, RecursionError) as error:
        raise DecodeError("records that are not msgpack") from error
    if not isinstance(found, dict) or len(found) > RECORDS_MAX:
        raise DecodeError("records that are no map of a sensible size")
    return list(found.values())


def _readable(read: Callable[[object], R], found: object) -> R | None:
    try:
        return read(found)
    except DecodeError:
        return None


def _map(found: object) -> Mapping[str, object]:
    if not isinstance(found, dict):
        raise DecodeError("a record that is no map")
    return found


def _text(fields: Mapping[str, object], key: str) -> str:
    value = fields.get(key)
    if not isinstance(value, str):
        raise DecodeError(f"a record without {key}")
    return value


def _time(fields: Mapping[str, object], key: str) -> int:
    """Return a time in milliseconds; 0 where there is none that makes sense."""
    for name, unit in ((key + "Ms", 1), (key, _SECOND)):
        value = fields.get(name)
        if isinstance(value, int) and not isinstance(value, bool) and 0 < value * unit < _TIME_MAX:
            return value * unit
    return 0


def _accounts(found: list[object]) -> tuple[AccountId, ...]:
    """Read members, written as ids or, of old, as maps with a `uri`."""
    texts = [each.get("uri") if isinstance(each, dict) else each for each in found[:MEMBERS_MAX]]
    accounts: list[AccountId] = []
    for text in texts:
        try:
            accounts.append(AccountId.from_hex(text if isinstance(text, str) else ""))
        except DecodeError:
            continue
    return tuple(accounts)


def _commit(found: object) -> CommitId | None:
    try:
        return CommitId.from_hex(found) if isinstance(found, str) and found else None
    except DecodeError:
        return None


def _mode(found: object) -> Mode:
    try:
        return Mode(int(found)) if isinstance(found, int | str) else Mode.INVITES_ONLY
    except ValueError:
        return Mode.INVITES_ONLY
