"""What people ask the index: what is new, what was said, and how messages are now."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from shoal.core import AccountId, CommitId, ConversationId
from shoal.core.records import dataclass
from shoal.swarm.contents import read_message
from shoal.swarm.driver.index_ledger import BLOCK, Kind, told
from shoal.swarm.errors import ObjectMissingError
from shoal.swarm.words import question_of

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterable

    from shoal.swarm.contents import Content
    from shoal.swarm.driver.index import Index
    from shoal.swarm.driver.index_ledger import IndexLedger

_PLACE_MAX: Final = 2**62  # above all
_SAID: Final = "id, standing, wall_time, kind, target, body, said"


@dataclass(frozen=True, slots=True)
class Hit:
    """A message that was found.

    Attributes:
        conversation: where.
        id: the id of its commit.
        author: the account that said it.
        wall_time: seconds since 1970, by the author's clock.
        text: what it says now, edits applied.
    """

    conversation: ConversationId
    id: CommitId
    author: AccountId
    wall_time: int
    text: str


class Said(NamedTuple):
    """A message as it was said.

    Attributes:
        id: the id of its commit.
        author: the account that said it.
        wall_time: seconds since 1970, by the author's clock.
        content: what it says.
        is_verified: whether the author is proved by a signature.
    """

    id: CommitId
    author: AccountId
    wall_time: int
    content: Content
    is_verified: bool


@dataclass(frozen=True, slots=True)
class Reaction:
    """Somebody's reaction to a message.

    Attributes:
        id: the id of its commit.
    """

    author: AccountId
    emoji: str
    id: CommitId


@dataclass(frozen=True, slots=True)
class Shown:
    """How a message is now.

    Attributes:
        id: the id of its commit.
        text: what it says; empty if it was deleted.
        is_edited: whether that is not what it said first.
        reactions: reactions to it, the first one first.
    """

    id: CommitId
    text: str
    is_edited: bool
    reactions: tuple[Reaction, ...] = ()

    @property
    def is_deleted(self) -> bool:
        """Whether it was taken back."""
        return self.is_edited and not self.text


def search(
    index: Index, text: str, count: int, conversation: ConversationId | None = None
) -> tuple[Hit, ...]:
    """Return the latest *count* messages that have all words of *text*, the newest first.

    Raises:
        RepositoryError: the index cannot be read.
    """
    question = question_of(text)
    if not question:
        return ()
    return index.attempt(lambda: _search(index, question, count, conversation))


def _search(
    index: Index, question: str, count: int, conversation: ConversationId | None
) -> tuple[Hit, ...]:
    with index.reading() as database:
        rows = database.execute(
            "SELECT conversation.id, node.id, standing, wall_time, shown FROM words"
            " JOIN node ON node.number = words.rowid"
            " JOIN conversation ON conversation.number = node.conversation"
            " WHERE words MATCH ? AND place IS NOT NULL AND (?2 IS NULL OR conversation.id = ?2)"
            " ORDER BY wall_time DESC, node.id LIMIT ?3",
            (question, conversation, count),
        ).fetchall()
        return tuple(
            Hit(
                *(ConversationId(where), CommitId(name), index.standing(standing).account),
                *(wall_time, shown),
            )
            for where, name, standing, wall_time, shown in rows
        )


def unread(ledger: IndexLedger, index: Index, own: AccountId, displayed: CommitId | None) -> int:
    """Return how many messages of others come after *displayed*, and after our own last one.

    Edits, reactions, what happened to members, and messages that were taken back do not count.
    """
    seen = ledger.place(displayed) if displayed is not None else None

    def question(database: sqlite3.Connection) -> int:
        ours = f"SELECT number FROM standing WHERE account = x'{own.hex()}'"  # noqa: S608 - hex
        spoken = (int(Kind.MESSAGE), int(Kind.EDIT), int(Kind.REACTION))
        row = database.execute(
            "SELECT place FROM node WHERE conversation = ? AND place > ? AND kind IN (?, ?, ?)"  # noqa: S608 - our own SQL
            f" AND standing IN ({ours}) ORDER BY place DESC LIMIT 1",
            (ledger.number, seen or 0, *spoken),
        ).fetchone()
        (found,) = database.execute(
            "SELECT count(*) FROM node WHERE conversation = ? AND place > ? AND kind = ?"  # noqa: S608 - our own SQL
            f" AND standing NOT IN ({ours}) AND (shown <> '' OR body = '')",
            (ledger.number, (seen or 0) if row is None else row[0], int(Kind.MESSAGE)),
        ).fetchone()
        return int(found)

    return ledger.ask(question)


def latest(
    ledger: IndexLedger, index: Index, count: int, before: CommitId | None = None
) -> list[Said] | None:
    """Return the latest *count* messages, edits and reactions, or those before one; newest first.

    None if *before* is not in the conversation.
    """
    place = _PLACE_MAX if before is None else ledger.place(before)
    if place is None:
        return None
    found: list[Said] = []
    while place is not None and len(found) < count:
        size = min(BLOCK, count - len(found))
        part = ledger.ask(partial(_older_said, ledger, index, place, size))
        found += [said for _, said in part]
        place = part[-1][0] if part else None
    return found


def _older_said(
    ledger: IndexLedger, index: Index, top: int, count: int, database: sqlite3.Connection
) -> list[tuple[int, Said]]:
    """Return what was said before a place in the line, the newest first, and where each is."""
    rows = database.execute(
        f"SELECT {_SAID}, place FROM node WHERE conversation = ? AND place < ? AND kind <> ?"  # noqa: S608 - our own SQL
        " ORDER BY place DESC LIMIT ?",
        (ledger.number, top, int(Kind.MERGE), count),
    )
    return [(place, _said(index, *row)) for *row, place in rows]


def _said(
    index: Index,
    name: bytes,
    standing: int,
    wall_time: int,
    kind: int,
    target: bytes | None,
    body: str,
    message: bytes | None,
) -> Said:
    by = index.standing(standing)
    if message is not None:
        content: Content | None = read_message(message)
    else:
        content = told(Kind(kind), None if target is None else CommitId(target), body)
    assert content is not None, "what is not told of has its message kept"
    return Said(CommitId(name), by.account, wall_time, content, by.is_verified)


def page(ledger: IndexLedger, count: int, before: CommitId | None = None) -> list[CommitId] | None:
    """Return what people see one below the other, the newest first: no merges, edits, reactions.

    None if *before* is not in the conversation.
    """
    top = _PLACE_MAX if before is None else ledger.place(before)
    return None if top is None else _older(ledger, top, count)


def page_after(ledger: IndexLedger, count: int, message: CommitId) -> list[CommitId] | None:
    """Return what people see below a message, the oldest first; None if it is not there."""
    place = ledger.place(message)
    return None if place is None else _newer(ledger, place, count)


def page_around(ledger: IndexLedger, count: int, message: CommitId) -> list[CommitId] | None:
    """Return what people see above and below a message, and itself, the oldest first.

    None if it is not in the conversation.
    """
    place = ledger.place(message)
    if place is None:
        return None
    newer = _newer(ledger, place, count // 2)
    return _older(ledger, place + 1, count - len(newer))[::-1] + newer


def _older(ledger: IndexLedger, top: int, count: int) -> list[CommitId]:
    return _seen(ledger, "place < ? ORDER BY place DESC", top, count)


def _newer(ledger: IndexLedger, place: int, count: int) -> list[CommitId]:
    return _seen(ledger, "place > ? ORDER BY place", place, count)


def _seen(ledger: IndexLedger, where: str, place: int, count: int) -> list[CommitId]:
    rows = ledger.ask(
        lambda database: database.execute(
            f"SELECT id FROM node WHERE conversation = ? AND kind IN (?, ?) AND {where} LIMIT ?",  # noqa: S608 - our own SQL
            (ledger.number, int(Kind.MESSAGE), int(Kind.EVENT), place, count),
        ).fetchall()
    )
    return [CommitId(name) for (name,) in rows]


def said_after(ledger: IndexLedger, count: int, place: int) -> list[tuple[int, CommitId]]:
    """Return all that was said after a place in the line, the oldest first, and where each is."""
    rows = ledger.ask(
        lambda database: database.execute(
            "SELECT place, id FROM node WHERE conversation = ? AND place > ? AND kind <> ?"
            " ORDER BY place LIMIT ?",
            (ledger.number, place, int(Kind.MERGE), count),
        ).fetchall()
    )
    return [(at, CommitId(name)) for at, name in rows]


def seen(
    ledger: IndexLedger, index: Index, messages: Iterable[CommitId]
) -> list[tuple[Said, Shown]]:
    """Return messages as they were said, and as they are now.

    Raises:
        ObjectMissingError: one is not there.
    """

    def question(database: sqlite3.Connection) -> list[tuple[Said, Shown]]:
        number = ledger.number
        return [
            (_one_said(database, number, index, each), _shown(database, number, index, each))
            for each in messages
        ]

    return ledger.ask(question)


def _one_said(database: sqlite3.Connection, number: int, index: Index, message: CommitId) -> Said:
    row = database.execute(
        f"SELECT {_SAID} FROM node WHERE conversation = ? AND id = ?",  # noqa: S608 - our own SQL
        (number, message),
    ).fetchone()
    if row is None:
        raise ObjectMissingError(message)
    return _said(index, *row)


def shown(ledger: IndexLedger, index: Index, messages: Iterable[CommitId]) -> dict[CommitId, Shown]:
    """Return how messages are now."""

    def question(database: sqlite3.Connection) -> dict[CommitId, Shown]:
        return {each: _shown(database, ledger.number, index, each) for each in messages}

    return ledger.ask(question)


def _shown(database: sqlite3.Connection, number: int, index: Index, message: CommitId) -> Shown:
    row: tuple[Any, ...] | None = database.execute(
        "SELECT body, shown FROM node WHERE conversation = ? AND id = ?", (number, message)
    ).fetchone()
    body, now = ("", None) if row is None else row
    text = body if now is None else now
    reactions = database.execute(
        "SELECT standing, shown, id FROM node WHERE conversation = ? AND target = ? AND kind = ?"
        " AND place IS NOT NULL AND shown <> '' ORDER BY place",
        (number, message, int(Kind.REACTION)),
    ).fetchall()
    return Shown(
        message,
        text,
        text != body,
        tuple(
            Reaction(index.standing(by).account, emoji, CommitId(name))
            for by, emoji, name in reactions
        ),
    )
