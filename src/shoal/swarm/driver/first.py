"""The repository of a conversation that has no name yet: its first commit gives it one."""

from __future__ import annotations

from typing import TYPE_CHECKING

from shoal.core import CommitId, ConversationId
from shoal.swarm.store import MemoryStore

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from shoal.swarm.driver.store import DiskStore
    from shoal.swarm.ledger import Ledger
    from shoal.swarm.store import GitStore, ObjectKind


class FirstStore:
    """In memory until the head is set for the first time, then on disk under the head's name."""

    def __init__(self, place: Callable[[ConversationId], DiskStore]) -> None:
        self._memory = MemoryStore()
        self._place = place
        self._disk: DiskStore | None = None

    @property
    def _store(self) -> GitStore:
        return self._memory if self._disk is None else self._disk

    @property
    def ledger(self) -> Ledger | None:
        """Where it is kept what was judged."""
        return self._store.ledger

    def read(self, object_id: bytes) -> tuple[ObjectKind, bytes]:
        """Return kind and content of an object."""
        return self._store.read(object_id)

    def contains(self, object_id: bytes) -> bool:
        """Say whether an object is there."""
        return self._store.contains(object_id)

    def add(self, kind: ObjectKind, content: bytes) -> bytes:
        """Keep an object."""
        return self._store.add(kind, content)

    def add_all(self, objects: Iterable[tuple[ObjectKind, bytes]]) -> None:
        """Keep many objects."""
        self._store.add_all(objects)

    @property
    def head(self) -> CommitId | None:
        """The tip of the main branch."""
        return self._store.head

    def set_head(self, commit: CommitId) -> None:
        """Move the tip; the first time, to disk."""
        if self._disk is None:
            disk = self._place(ConversationId(commit))
            disk.add_all(self._memory.objects.values())
            disk.set_head(commit)
            self._disk = disk
        else:
            self._disk.set_head(commit)

    @property
    def kept(self) -> tuple[CommitId, ...]:
        """Tips of before that are not to be lost."""
        return self._store.kept

    def keep(self, commit: CommitId) -> None:
        """Keep a tip wherever the head moves."""
        self._store.keep(commit)

    def release(self, commit: CommitId) -> None:
        """Keep a tip no longer for its own sake."""
        self._store.release(commit)
