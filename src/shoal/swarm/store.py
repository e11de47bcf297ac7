"""Where git objects and the head of a conversation are kept: the interface, and one in memory.

On disk it is an ordinary git repository, worked by a driver in a thread of its own; simulations
use the one here.
"""

from __future__ import annotations

import enum
import hashlib
from typing import TYPE_CHECKING, Protocol

from shoal.core import CommitId
from shoal.swarm.errors import ObjectMissingError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from shoal.swarm.ledger import Ledger


class ObjectKind(enum.Enum):
    """Kinds of git objects, by the names that git hashes them with."""

    COMMIT = "commit"
    TREE = "tree"
    BLOB = "blob"


def object_id(kind: ObjectKind, content: bytes) -> bytes:
    """Return the id that git gives an object, 20 bytes."""
    head = f"{kind.value} {len(content)}\0".encode()
    return hashlib.sha1(head + content, usedforsecurity=False).digest()


class GitStore(Protocol):
    """What engines need of a repository."""

    @property
    def ledger(self) -> Ledger | None:
        """Where it is kept what was judged; None if that is nowhere but in memory."""
        ...

    def read(self, object_id: bytes) -> tuple[ObjectKind, bytes]:
        """Return kind and content of an object.

        Raises:
            ObjectMissingError: it is not there.
        """
        ...

    def contains(self, object_id: bytes) -> bool:
        """Say whether an object is there."""
        ...

    def add(self, kind: ObjectKind, content: bytes) -> bytes:
        """Keep an object; return its id."""
        ...

    def add_all(self, objects: Iterable[tuple[ObjectKind, bytes]]) -> None:
        """Keep many objects at once."""
        ...

    @property
    def head(self) -> CommitId | None:
        """The tip of the main branch; None in an empty repository."""
        ...

    def set_head(self, commit: CommitId) -> None:
        """Move the tip; when this returns it is safe, with all that it reaches."""
        ...

    @property
    def kept(self) -> tuple[CommitId, ...]:
        """Tips of before that are not to be lost, whether or not the tip reaches them."""
        ...

    def keep(self, commit: CommitId) -> None:
        """Keep a tip, and what it reaches, wherever the head moves; safe when this returns."""
        ...

    def release(self, commit: CommitId) -> None:
        """Keep a tip no longer for its own sake."""
        ...


class MemoryStore:
    """A repository in memory."""

    def __init__(self, ledger: Ledger | None = None) -> None:
        self.ledger = ledger
        self.objects: dict[bytes, tuple[ObjectKind, bytes]] = {}
        self._head: CommitId | None = None
        self._kept: dict[CommitId, None] = {}

    def read(self, object_id: bytes) -> tuple[ObjectKind, bytes]:
        """Return kind and content of an object."""
        try:
            return self.objects[object_id]
        except KeyError as error:
            raise ObjectMissingError(object_id) from error

    def contains(self, object_id: bytes) -> bool:
        """Say whether an object is there."""
        return object_id in self.objects

    def add(self, kind: ObjectKind, content: bytes) -> bytes:
        """Keep an object; return its id."""
        found = object_id(kind, content)
        self.objects[found] = (kind, content)
        return found

    def add_all(self, objects: Iterable[tuple[ObjectKind, bytes]]) -> None:
        """Keep many objects at once."""
        for kind, content in objects:
            self.add(kind, content)

    @property
    def head(self) -> CommitId | None:
        """The tip of the main branch."""
        return self._head

    def set_head(self, commit: CommitId) -> None:
        """Move the tip."""
        self._head = CommitId(commit)

    @property
    def kept(self) -> tuple[CommitId, ...]:
        """Tips of before that are not to be lost."""
        return tuple(self._kept)

    def keep(self, commit: CommitId) -> None:
        """Keep a tip wherever the head moves."""
        self._kept[CommitId(commit)] = None

    def release(self, commit: CommitId) -> None:
        """Keep a tip no longer for its own sake."""
        self._kept.pop(commit, None)
