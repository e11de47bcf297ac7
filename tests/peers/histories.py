"""Repositories of conversations, Shoal's and Jami's, as stock git and our codecs see them."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

from shoal.swarm import MemoryStore, ObjectKind
from shoal.swarm.commits import Commit
from shoal.swarm.contents import (
    Edit,
    Merge,
    read_content,
    read_fields,
    write_content,
    write_fields,
)
from shoal.swarm.store import object_id
from shoal.swarm.trees import TreeReader, write_tree

if TYPE_CHECKING:
    from pathlib import Path


def git(repository: Path, *arguments: str, typed: bytes = b"") -> bytes:
    """Run stock git on a repository, ours or a peer's; return what it says."""
    done = subprocess.run(  # noqa: S603 - our own words
        ["git", "-c", "safe.directory=*", "-C", str(repository), *arguments],  # noqa: S607 - whichever
        input=typed,
        capture_output=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr.decode(errors="replace")
    return done.stdout


def check_by_git(repository: Path) -> int:
    """Assert that stock git finds nothing wrong with a repository; return how many commits it has.

    A peer may fetch at the same time: what is there is complete, dangling objects are none of
    git's complaints.
    """
    complaints = git(repository, "fsck", "--strict", "--full", "--no-dangling")
    assert complaints == b"", complaints.decode(errors="replace")
    return len(git(repository, "log", "--format=%H", "main").splitlines())


def line(repository: Path) -> list[str]:
    """Return the ids of all commits but merges in the order of reading, oldest first."""
    shown = git(repository, "log", "--date-order", "--no-merges", "--format=%H", "main")
    return shown.decode().split()[::-1]


def check_encoded_anew(repository: Path) -> int:
    """Assert that our codecs make a repository's own bytes out of it; return how many commits.

    Commits, their trees and their messages are read and written again. Of messages, edits by Jami
    of 2026 have a type that we read and do not write: their fields are written again.
    """
    store = read_objects(repository)
    trees = TreeReader(store)
    commits = [
        Commit.parse(raw) for kind, raw in store.objects.values() if kind is ObjectKind.COMMIT
    ]
    for commit in commits:
        assert commit.encode() == commit.raw
        assert write_tree(MemoryStore(), dict(trees.read(commit.tree))) == commit.tree
        content = read_content(commit)
        if isinstance(content, Merge):
            continue
        assert write_fields(read_fields(commit.message)) == commit.message
        if not (isinstance(content, Edit) and b'"type":"text/plain"' in commit.message):
            assert write_content(content) == commit.message
    return len(commits)


def read_objects(repository: Path) -> MemoryStore:
    """Return all that the main branch reaches."""
    store = MemoryStore()
    listed = git(repository, "rev-list", "--objects", "main").splitlines()
    names = b"".join(each.split()[0] + b"\n" for each in listed)
    answer = git(repository, "cat-file", "--batch", typed=names)
    while answer:
        head, _, rest = answer.partition(b"\n")
        name, kind, size = head.decode().split()
        content, answer = rest[: int(size)], rest[int(size) + 1 :]
        assert object_id(ObjectKind(kind), content).hex() == name
        store.add(ObjectKind(kind), content)
    return store
