"""Tidying a repository: one pack of what the history reaches, and nothing else.

What was refused, what a fetch brought that did not end well, and merges that were given up lie
about unreached, and each fetch leaves a pack. The new pack is whole and synced before anything is
removed, so that a crash leaves too much, never too little. Not to be run while a fetch is under
way: what it has brought so far is not reached yet.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from shoal.core import DecodeError
from shoal.swarm.commits import Commit
from shoal.swarm.driver.index_ledger import IndexLedger
from shoal.swarm.driver.store import unpacked
from shoal.swarm.errors import ObjectMissingError
from shoal.swarm.store import ObjectKind
from shoal.swarm.trees import parse_tree

if TYPE_CHECKING:
    from collections.abc import Iterator

    from shoal.swarm.conversation import Conversation
    from shoal.swarm.driver.store import DiskStore

GARBAGE_MAX: Final = 33_554_432  # ours, in bytes: that much may be refused before it matters
PACKS_MAX: Final = 32  # ours: each lookup may have to ask all of them


def is_untidy(store: DiskStore) -> bool:
    """Whether there are many packs, or much has come since the last time; a quick look."""
    is_much = store.pack_bytes > 2 * store.tidied_bytes + GARBAGE_MAX
    return is_much or store.pack_count > PACKS_MAX


def tidy(conversation: Conversation, store: DiskStore) -> int:
    """Keep what the conversation reaches; return how many objects that are. In its thread.

    Raises:
        RepositoryError: the disk is full or gone; nothing was removed.
        ObjectMissingError: a part of the history is missing; nothing was removed.
    """
    if isinstance(store.ledger, IndexLedger):
        store.ledger.drop_aside(conversation.tips)
    reached = list(_reached(conversation, store))
    reached += sorted(_kept(store) - set(reached))
    store.keep_only(len(reached), (unpacked(name, *store.read(name)) for name in reached))
    return len(reached)


def _reached(conversation: Conversation, store: DiskStore) -> Iterator[bytes]:
    """Yield commits, trees and blobs, each once."""
    seen: set[bytes] = set()
    for commit in conversation.graph.ancestors(*conversation.tips):
        yield commit
        pending = [conversation.graph[commit].tree]
        while pending:
            found = pending.pop()
            if found in seen:
                continue
            seen.add(found)
            yield found
            kind, content = store.read(found)
            if kind is ObjectKind.TREE:
                pending += [name for _, _, name in parse_tree(content)]


def _kept(store: DiskStore) -> set[bytes]:
    """Return what the tips of before reach, as far as it is there: parts of it may be lost."""
    found: set[bytes] = set()
    pending: list[bytes] = list(store.kept)
    while pending:
        name = pending.pop()
        if name in found:
            continue
        try:
            kind, content = store.read(name)
            below: list[bytes] = []
            if kind is ObjectKind.COMMIT:
                commit = Commit.parse(content)
                below = [commit.tree, *commit.parents]
            elif kind is ObjectKind.TREE:
                below = [each for _, _, each in parse_tree(content)]
        except ObjectMissingError:
            continue
        except DecodeError:
            below = []
        found.add(name)
        pending += below
    return found
