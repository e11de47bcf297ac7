"""One conversation in the index: what was judged, the line, and the messages as they are now."""

from __future__ import annotations

import enum
import logging
import sqlite3
from functools import partial
from typing import TYPE_CHECKING, Any, Final, TypeVar

from shoal.core import CommitId
from shoal.swarm.contents import Call, Edit, FileOffer, Merge, Text, Unknown
from shoal.swarm.driver.index import ATTEMPTS, SEARCHED, commit_ids, drop
from shoal.swarm.errors import ObjectMissingError, RepositoryError
from shoal.swarm.history import Graph, Node
from shoal.swarm.ledger import Judged
from shoal.swarm.order import first_line, moved

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from shoal.core import ConversationId
    from shoal.swarm.contents import Content
    from shoal.swarm.driver.index import Index
    from shoal.swarm.ledger import Fresh
    from shoal.swarm.order import Change
    from shoal.swarm.store import GitStore

R = TypeVar("R")

_log = logging.getLogger(__name__)

BLOCK: Final = 256  # ours: commits read at once by a walk, those before the one asked for
NEAR: Final = 8  # ours: commits read with one that was looked up
CACHED_MAX: Final = 2_048  # ours: commits in memory, of each conversation


class Kind(enum.IntEnum):
    """What a commit is to those who read."""

    MERGE = 0
    MESSAGE = SEARCHED
    EDIT = 2
    REACTION = 3
    EVENT = 4  # about members, votes, the profile


class IndexLedger:
    """`Ledger` in the index. Used in the conversation's thread, and for questions in any."""

    def __init__(
        self,
        index: Index,
        conversation: ConversationId,
        store: GitStore,
        rebuild: Callable[[], object],
    ) -> None:
        """*rebuild* opens the conversation once more, when the index was lost while it was open."""
        self.conversation = conversation
        self._index = index
        self._store = store
        self._rebuild = rebuild
        self._cache: dict[CommitId, Judged] = {}
        self._number = 0
        self._head: CommitId | None = None
        self._generation = -1
        self._lowest = 0  # the place from which blocks were read down
        self._is_attached = False

    @property
    def head(self) -> CommitId | None:
        """The tip that the ledger is about; None while it is empty."""
        self._sync()
        return self._head

    @property
    def is_lost(self) -> bool:
        """Whether the index does not have the conversation, or does not have it yet."""
        return self._generation != self._index.generation or self._head is None

    @property
    def first(self) -> CommitId:
        """The first commit of the conversation."""
        return CommitId(self.conversation)

    def find(self, commit: CommitId) -> Judged | None:
        """Return what was found about a commit; None if it was not taken."""
        if self.head is None:
            return None
        found = self._cache.get(commit)
        if found is None:
            self.ask(lambda database: self._fetch(database, commit))
            found = self._cache.get(commit)
        return found

    def line(self, start: CommitId | None = None) -> Iterator[CommitId] | None:
        """Return the one line from *start* or the head on, newest first, with merges."""
        place = self.place(start or self.head)
        return None if place is None else self._from(place)

    def place(self, commit: CommitId | None) -> int | None:
        """Return where a commit is in the line, counted from the oldest; None if it is not."""
        row = self.ask(
            lambda database: database.execute(
                "SELECT place FROM node WHERE conversation = ? AND id = ?", (self._number, commit)
            ).fetchone()
        )
        return None if row is None else row[0]

    def advance(self, head: CommitId, fresh: Sequence[Fresh]) -> bool:
        """Take note of new commits and of the tip; say whether they are kept."""
        self._sync()
        if head == self._head and not fresh:
            return True
        try:
            graph = Graph(self._node)
            for each in fresh:
                graph.add(each.commit)
            with self._index.writing() as database:
                is_there = self._generation == self._index.generation
                if is_there:
                    self._write(database, head, graph, fresh)
            self._head = head if is_there else self._head
        except sqlite3.Error as error:
            _log.warning("%s: %s", self._index.path, error)
            self._cache.clear()
        except ObjectMissingError:  # it does not have what the conversation stands on
            self.rebuild()
        self._sync()  # if it was lost, all is judged once more, with what is new
        return self._head == head

    def drop_aside(self, tips: Iterable[CommitId]) -> None:
        """Let go of what is not in the line, but for what *tips* reach.

        Raises:
            RepositoryError: the index cannot be written.
        """
        head = self.head
        if head is None:
            return
        graph = Graph(self._node)
        kept: set[CommitId] = set()
        for tip in tips:
            kept |= graph.since(tip, (head,))

        def write() -> None:
            with self._index.writing() as database:
                if self.is_lost:
                    return  # with all that was to be let go
                for (name,) in database.execute(
                    "SELECT id FROM node WHERE conversation = ? AND place IS NULL", (self._number,)
                ).fetchall():
                    if name not in kept:
                        which = "place IS NULL AND id = ?"
                        drop(database, self._number, which=which, values=(name,))

        self._index.attempt(write)
        self._cache.clear()

    def forget(self) -> None:
        """Be empty: the next opening of the conversation judges all again.

        Raises:
            RepositoryError: the index cannot be written.
        """
        self._index.forget(self.conversation)
        self._attach()

    def rebuild(self) -> None:
        """Judge all again, and keep what comes out."""
        self.forget()
        self._rebuild()

    def ask(self, question: Callable[[sqlite3.Connection], R]) -> R:
        """Look something up.

        Raises:
            RepositoryError: the index cannot be read.
        """
        failure: sqlite3.Error | None = None
        for _ in range(ATTEMPTS):
            self._sync()
            try:
                with self._index.reading() as database:
                    if self._generation == self._index.generation:  # not lost as it was opened
                        return question(database)
            except sqlite3.Error as error:
                failure = error
        raise RepositoryError(self._index.path, str(failure)) from failure

    @property
    def number(self) -> int:
        """By which the index knows the conversation."""
        return self._number

    # --- Opening ------------------------------------------------------------------------------

    def _sync(self) -> None:
        """See whether the index was lost since it was last used."""
        if self._generation == self._index.generation:
            return
        was_open, self._is_attached = self._is_attached, True
        self._attach()
        if was_open and self._head is None:
            self._rebuild()

    def _attach(self) -> None:
        """Find the conversation in the index, as far as its repository has it, or put it there.

        Raises:
            RepositoryError: the index cannot be written.
        """
        self._cache.clear()
        self._head = None
        failure: sqlite3.Error | None = None
        for _ in range(ATTEMPTS):
            self._generation = self._index.generation
            try:
                with self._index.writing() as database:
                    self._head = self._entered(database)
            except sqlite3.Error as error:
                failure = error
            else:
                self._generation = self._index.generation  # opening it may have lost it
                return
        raise RepositoryError(self._index.path, str(failure)) from failure

    def _entered(self, database: sqlite3.Connection) -> CommitId | None:
        """Return what the index knows as the head, once only what holds is left in it."""
        self._number, head = _entry(database, self.conversation)
        if head is not None and not self._store.contains(head):
            drop(database, self._number)
            head = None
        elif head is not None:
            drop(database, self._number, which="place IS NULL")
        _set_head(database, self._number, head)
        return head

    # --- Reading ------------------------------------------------------------------------------

    def _node(self, commit: CommitId) -> Node | None:
        found = self.find(commit)
        return None if found is None else found.node

    def _fetch(self, database: sqlite3.Connection, commit: CommitId) -> None:
        """Read a commit into memory, and its neighbours, which are asked for next."""
        row = database.execute(
            "SELECT place FROM node WHERE conversation = ? AND id = ?", (self._number, commit)
        ).fetchone()
        if row is None:
            return
        if len(self._cache) > CACHED_MAX:
            self._cache.clear()
        which: str = "id = ?"
        values: tuple[object, ...] = (commit,)
        if row[0] is not None:
            is_next = self._lowest - NEAR <= row[0] <= self._lowest
            # Who walks reads on, who looks something up does not.
            count = BLOCK if is_next else NEAR
            which, values = "place BETWEEN ? AND ?", (row[0] - count, row[0])
            self._lowest = row[0] - count
        for name, parents, wall_time, tree, generation, standing in database.execute(
            "SELECT id, parents, wall_time, tree, generation, standing FROM node"  # noqa: S608 - our own SQL
            f" WHERE conversation = ? AND {which}",
            (self._number, *values),
        ).fetchall():
            self._cache[CommitId(name)] = Judged(
                Node(commit_ids(parents), wall_time, tree, generation),
                self._index.standing(standing),
            )

    def _from(self, place: int) -> Iterator[CommitId]:
        below: int | None = place + 1
        while below is not None:
            rows = self.ask(partial(self._block, below=below))
            yield from (CommitId(name) for _, name in rows)
            below = rows[-1][0] if rows else None

    def _block(self, database: sqlite3.Connection, *, below: int | None) -> list[tuple[int, bytes]]:
        return database.execute(
            f"SELECT place, id FROM node WHERE conversation = ? AND place < ?"  # noqa: S608 - our own SQL
            f" ORDER BY place DESC LIMIT {BLOCK}",
            (self._number, below),
        ).fetchall()

    # --- Writing ------------------------------------------------------------------------------

    def _write(
        self, database: sqlite3.Connection, head: CommitId, graph: Graph, fresh: Sequence[Fresh]
    ) -> None:
        """Bring the tables up to *head*."""

        def children_of(commit: CommitId) -> int:
            row = self._row(database, commit, "children")
            return 0 if row is None else int(row[0])

        if self._head is None:
            change, base = first_line(graph, head), 0
        else:
            line = self._from_top(database)
            change = moved(graph, self._head, head, line, children_of)
            below = None if change.below is None else self._row(database, change.below, "place")
            base = 0 if below is None else int(below[0])
        for commit in change.lost:
            self._update(database, commit, "place = NULL, children = 0")
        new = {each.commit.id for each in fresh if self._row(database, each.commit.id) is None}
        places = {commit: base + n for n, commit in enumerate(reversed(change.line), 1)}
        for commit, place in places.items():
            if commit not in new:
                self._update(database, commit, "place = ?", place)
        for commit, count in change.children.items():
            if commit not in new:
                self._update(database, commit, "children = ?", count)
        self._insert(
            database, graph, [each for each in fresh if each.commit.id in new], places, change
        )
        targets = {target for each in fresh if (target := describe(each.content)[1]) is not None}
        targets |= self._edited(database, {*change.lost, *change.line} - new)
        for target in targets:
            self._show(database, target)
        _set_head(database, self._number, head)

    def _from_top(self, database: sqlite3.Connection) -> Iterator[CommitId]:
        rows = database.execute(
            "SELECT id FROM node WHERE conversation = ? AND place IS NOT NULL ORDER BY place DESC",
            (self._number,),
        )
        return (CommitId(name) for (name,) in rows)

    def _row(
        self, database: sqlite3.Connection, commit: CommitId, columns: str = "number"
    ) -> tuple[Any, ...] | None:
        row: tuple[Any, ...] | None = database.execute(
            f"SELECT {columns} FROM node WHERE conversation = ? AND id = ?",  # noqa: S608 - our own SQL
            (self._number, commit),
        ).fetchone()
        return row

    def _update(
        self, database: sqlite3.Connection, commit: CommitId, changes: str, *values: object
    ) -> None:
        database.execute(
            f"UPDATE node SET {changes} WHERE conversation = ? AND id = ?",  # noqa: S608 - our own SQL
            (*values, self._number, commit),
        )

    def _insert(
        self,
        database: sqlite3.Connection,
        graph: Graph,
        fresh: Iterable[Fresh],
        places: dict[CommitId, int],
        change: Change,
    ) -> None:
        for commit, content, standing in fresh:
            kind, target, body = describe(content)
            shown = body if kind in (Kind.MESSAGE, Kind.REACTION) else None
            is_told = content == told(kind, target, body)
            made = database.execute(
                "INSERT INTO node (conversation, id, place, parents, wall_time, tree,"
                " generation, children, standing, kind, target, body, shown, said)"
                " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                (
                    *(self._number, commit.id, places.get(commit.id), b"".join(commit.parents)),
                    *(commit.wall_time, commit.tree, graph[commit.id].generation),
                    *(change.children.get(commit.id, 0),),
                    *(self._index.number_of(standing), int(kind), target, body, shown),
                    *(None if is_told else commit.message,),
                ),
            )
            if kind is Kind.MESSAGE and body:
                _find_by(database, made.lastrowid, body)

    def _edited(self, database: sqlite3.Connection, commits: set[CommitId]) -> set[CommitId]:
        """Return the messages that these commits edit: the order of edits may be another now."""
        found: set[CommitId] = set()
        for commit in commits:
            row = self._row(database, commit, "target, kind")
            if row is not None and row[1] == Kind.EDIT:
                found.add(CommitId(row[0]))
        return found

    def _show(self, database: sqlite3.Connection, message: CommitId) -> None:
        """Apply the latest edit of a message; forged ones are none."""
        row = self._row(database, message, "number, kind, standing, body, shown")
        if row is None or row[1] not in (Kind.MESSAGE, Kind.REACTION):
            return
        number, kind, standing, body, before = row
        is_proved = self._index.standing(standing).is_verified
        shown = body
        for edit, by in database.execute(
            "SELECT body, standing FROM node WHERE conversation = ? AND target = ? AND kind = ?"
            " AND place IS NOT NULL ORDER BY place DESC",
            (self._number, message, int(Kind.EDIT)),
        ):
            if self._index.standing(by).is_verified or not is_proved:
                shown = edit
                break
        if shown == before:
            return
        database.execute("UPDATE node SET shown = ? WHERE number = ?", (shown, number))
        if kind == Kind.MESSAGE:
            if before:
                database.execute(
                    "INSERT INTO words (words, rowid, text) VALUES ('delete', ?, words_of(?))",
                    (number, before),
                )
            if shown:
                _find_by(database, number, shown)


def describe(  # noqa: PLR0911 - one arm per content
    content: Content,
) -> tuple[Kind, CommitId | None, str]:
    """Return what a commit is, what it is about, and its text."""
    match content:
        case Merge():
            return Kind.MERGE, None, ""
        case Text(body, _, None):
            return Kind.MESSAGE, None, body
        case Text(body, _, react_to):
            return Kind.REACTION, react_to, body
        case Edit(edited, body):
            return Kind.EDIT, edited, body
        case FileOffer(edited=None):
            return Kind.MESSAGE, None, content.display_name
        case FileOffer(edited=edited):
            return Kind.EDIT, edited, ""  # the file was deleted
        case Call() | Unknown():
            return Kind.MESSAGE, None, ""
        case _:
            return Kind.EVENT, None, ""


def told(kind: Kind, target: CommitId | None, body: str) -> Content | None:
    """Return the content that `describe` tells all of; None where there is none."""
    match kind, target:
        case Kind.MERGE, None:
            return Merge()
        case Kind.MESSAGE, None:
            return Text(body)
        case Kind.REACTION, CommitId():
            return Text(body, react_to=target)
        case Kind.EDIT, CommitId():
            return Edit(target, body)
        case _:
            return None


def _find_by(database: sqlite3.Connection, number: int | None, text: str) -> None:
    database.execute("INSERT INTO words (rowid, text) VALUES (?, words_of(?))", (number, text))


def _entry(
    database: sqlite3.Connection, conversation: ConversationId
) -> tuple[int, CommitId | None]:
    """Return number and head of a conversation, which is added if it is not there."""
    database.execute("INSERT OR IGNORE INTO conversation (id) VALUES (?)", (conversation,))
    number, head = database.execute(
        "SELECT number, head FROM conversation WHERE id = ?", (conversation,)
    ).fetchone()
    return int(number), None if head is None else CommitId(head)


def _set_head(database: sqlite3.Connection, number: int, head: CommitId | None) -> None:
    database.execute("UPDATE conversation SET head = ? WHERE number = ?", (head, number))
