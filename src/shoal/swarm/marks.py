"""How far members have come in a conversation: what their devices have, what they have seen.

On disk and between one's own devices in Jami's shape, msgpack:

    conversation_data/ID/status    map account -> {fetched, fetched_ts, read, read_ts}
    `ms` of a sync message         map conversation -> such a map

All values are texts; times are seconds. What is missing or makes no sense is as if it were not
there. Source: Jami's conversation.cpp, messagesStatus_.
"""

from __future__ import annotations

import enum
from typing import TYPE_CHECKING, Final

import msgpack

from shoal.core import AccountId, CommitId, ConversationId, DecodeError
from shoal.core.records import dataclass

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from shoal.swarm.history import Graph

MARKS_SIZE_MAX: Final = 16_777_216  # bytes, ours: of one packed map
MEMBERS_MAX: Final = 10_000  # ours: of one conversation
CONVERSATIONS_MAX: Final = 100_000  # ours: of one sync message
_SECONDS_MAX: Final = 2**43  # beyond it is not a time


class MessageStatus(enum.Enum):
    """How far a message has come, as far as is known here."""

    SENDING = "sending"  # nobody else has it
    SENT = "sent"  # somebody else has it, and passes it on
    DELIVERED = "delivered"  # a device of this member has it
    DISPLAYED = "displayed"  # this member has seen it


_RANKS: Final = {status: rank for rank, status in enumerate(MessageStatus)}


@dataclass(frozen=True, slots=True)
class Marks:
    """How far one member has come, and since when, in seconds since 1970."""

    fetched: CommitId | None = None
    wall_fetched: int = 0
    displayed: CommitId | None = None
    wall_displayed: int = 0

    def to_map(self) -> dict[str, str]:
        """Return the map of texts that Jami has; what is not known is left out."""
        found: dict[str, str] = {}
        if self.fetched is not None:
            found |= {"fetched": str(self.fetched), "fetched_ts": str(self.wall_fetched)}
        if self.displayed is not None:
            found |= {"read": str(self.displayed), "read_ts": str(self.wall_displayed)}
        return found

    @classmethod
    def from_map(cls, found: object) -> Marks:
        """Read a map; what makes no sense in it is left out."""
        fields = found if isinstance(found, dict) else {}
        fetched, displayed = _commit(fields.get("fetched")), _commit(fields.get("read"))
        return cls(
            fetched,
            0 if fetched is None else _seconds(fields.get("fetched_ts")),
            displayed,
            0 if displayed is None else _seconds(fields.get("read_ts")),
        )


def pack_marks(marks: Mapping[AccountId, Marks]) -> bytes:
    """Return the marks of one conversation as its file has them."""
    packed: bytes = msgpack.packb(_texts(marks))
    return packed


def unpack_marks(data: bytes) -> dict[AccountId, Marks]:
    """Read what `pack_marks` or Jami wrote.

    Raises:
        DecodeError: it is no map, or too large.
    """
    return _accounts(_unpack(data, MEMBERS_MAX))


def pack_all_marks(found: Mapping[ConversationId, Mapping[AccountId, Marks]]) -> bytes:
    """Return the marks of several conversations, as own devices tell each other."""
    packed: bytes = msgpack.packb({str(key): _texts(marks) for key, marks in found.items()})
    return packed


def unpack_all_marks(data: bytes) -> dict[ConversationId, dict[AccountId, Marks]]:
    """Read what `pack_all_marks` or Jami wrote.

    Raises:
        DecodeError: it is no map, or too large.
    """
    found: dict[ConversationId, dict[AccountId, Marks]] = {}
    for key, value in _unpack(data, CONVERSATIONS_MAX).items():
        try:
            identifier = ConversationId.from_hex(key if isinstance(key, str) else "")
        except DecodeError:
            continue
        if isinstance(value, dict):
            found[identifier] = _accounts(value)
    return found


def statuses_of(
    graph: Graph,
    head: CommitId,
    messages: Iterable[CommitId],
    marks: Mapping[AccountId, Marks],
) -> dict[CommitId, dict[AccountId, MessageStatus]]:
    """Return how far *messages* of the history below *head* have come with each of *marks*.

    A member has what their mark is at and all that came before it; the line that people read does
    not count here, because a mark says nothing of what was said beside it.
    """
    wanted = list(messages)
    lacking = _Lacking(graph, head)
    found: dict[CommitId, dict[AccountId, MessageStatus]] = {}
    for message in wanted:
        statuses: dict[AccountId, MessageStatus] = {}
        for account, each in marks.items():
            if message not in lacking.after(each.displayed):
                statuses[account] = MessageStatus.DISPLAYED
            elif message not in lacking.after(each.fetched):
                statuses[account] = MessageStatus.DELIVERED
        is_out = bool(statuses)
        rest = MessageStatus.SENT if is_out else MessageStatus.SENDING
        found[message] = {account: statuses.get(account, rest) for account in marks}
    return found


def least(statuses: Iterable[MessageStatus]) -> MessageStatus:
    """Return the status of a message as a whole: that of whom it has come least far with."""
    return min(statuses, key=_RANKS.__getitem__, default=MessageStatus.SENDING)


class _Lacking:
    """What somebody does not have whose mark is at a commit; looked up once per commit."""

    def __init__(self, graph: Graph, head: CommitId) -> None:
        self._graph = graph
        self._head = head
        self._found: dict[CommitId, set[CommitId]] = {}

    def after(self, mark: CommitId | None) -> set[CommitId] | _Everything:
        """Return what comes after *mark*; everything, if it is nowhere."""
        if mark is None or mark not in self._graph:
            return _EVERYTHING
        found = self._found.get(mark)
        if found is None:
            found = self._found[mark] = self._graph.since(self._head, (mark,))
        return found


class _Everything:
    def __contains__(self, commit: CommitId) -> bool:
        return True


_EVERYTHING: Final = _Everything()


def _texts(marks: Mapping[AccountId, Marks]) -> dict[str, dict[str, str]]:
    return {str(account): each.to_map() for account, each in marks.items()}


def _unpack(data: bytes, count_max: int) -> dict[object, object]:
    if len(data) > MARKS_SIZE_MAX:
        raise DecodeError(f"statuses of {len(data)} bytes; {MARKS_SIZE_MAX} at most")
    try:
        found = msgpack.unpackb(data, strict_map_key=False)
    except (ValueError, TypeError, msgpack.UnpackException, RecursionError) as error:
        raise DecodeError("statuses that are not msgpack") from error
    if not isinstance(found, dict) or len(found) > count_max:
        raise DecodeError("statuses that are no map of a sensible size")
    return found


def _accounts(found: Mapping[object, object]) -> dict[AccountId, Marks]:
    marks: dict[AccountId, Marks] = {}
    for key, value in list(found.items())[:MEMBERS_MAX]:
        try:
            account = AccountId.from_hex(key if isinstance(key, str) else "")
        except DecodeError:
            continue
        each = Marks.from_map(value)
        if each != Marks():
            marks[account] = each
    return marks


def _commit(found: object) -> CommitId | None:
    try:
        return CommitId.from_hex(found) if isinstance(found, str) else None
    except DecodeError:
        return None


def _seconds(found: object) -> int:
    if not isinstance(found, str) or not found.isascii() or not found.isdigit():
        return 0
    value = int(found) if len(found) <= 13 else _SECONDS_MAX  # noqa: PLR2004 - digits of the limit
    return value if value < _SECONDS_MAX else 0
