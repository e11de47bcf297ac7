"""Histories of any length, written with the production code where who is measured finds them."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING, Final

from shoal.core import ConversationId
from shoal.swarm import (
    INFOS_NAME,
    Conversation,
    ConversationInfo,
    Self,
    Text,
    pack_infos,
    unpack_infos,
)
from shoal.swarm.driver import DiskStore
from tests.peers.histories import git

if TYPE_CHECKING:
    from pathlib import Path

    from shoal.core import AccountId, CommitId
    from shoal.crypto import Identity

WALL_BEGIN: Final = 1_750_000_000  # a day of 2025
SENTENCE: Final = "the quick brown fox jumps over the lazy dog and says hello to all"
SHOWN_WORDS: Final = 8


class UnsyncedStore(DiskStore):
    """A repository whose head reaches the disk once, at the end."""

    def set_head(self, commit: CommitId) -> None:
        """Move the tip in memory."""
        self._head = commit

    def finish(self) -> None:
        """Write everything."""
        assert self._head is not None, "something was said"
        super().set_head(self._head)


def write_history(path: Path, device: Identity, count: int, begin: int = WALL_BEGIN) -> str:
    """Write a group's bare repository in which *device* has said *count* texts; return its id."""
    made, words = path / "made", SENTENCE.split()
    with UnsyncedStore(made) as store:
        conversation = Conversation.create(store, Self(device, "bench"), wall_now=begin)
        for number in range(count):
            start = number % len(words)
            text = " ".join([*words[start:], *words][:SHOWN_WORDS])
            conversation.say(Text(f"{number} {text}"), begin + number)
        store.finish()
    made.rename(path / str(conversation.id))
    return str(conversation.id)


def write_groups(path: Path, device: Identity, count: int) -> list[str]:
    """Write *count* groups in which hardly anything was said; return their ids."""
    return [write_history(path, device, 2, WALL_BEGIN + 100 * n) for n in range(1, count + 1)]


def plant_for_shoal(account: Path, source: Path, owner: AccountId, wall_now: float) -> None:
    """Put a repository into the folder of an account whose node is stopped."""
    shutil.copytree(source, account / "conversations" / source.name)
    _enlist(account / INFOS_NAME, source.name, owner, wall_now)


def plant_for_jamid(account: Path, source: Path, owner: AccountId, wall_now: float) -> None:
    """Put a repository into the folder of an account whose daemon is stopped.

    Jami's repositories have their files beside them.
    """
    target = account / "conversations" / source.name
    target.mkdir(parents=True)
    shutil.copytree(source, target / ".git")
    for command in (("config", "core.bare", "false"), ("reset", "--hard", "-q")):
        git(target, *command)
    _enlist(account / INFOS_NAME, source.name, owner, wall_now)


def _enlist(path: Path, name: str, owner: AccountId, wall_now: float) -> None:
    # 13.7 forgets a conversation without members.

    infos = unpack_infos(path.read_bytes()) if path.exists() else {}
    identifier = ConversationId.from_hex(name)
    infos[identifier] = ConversationInfo(identifier, int(wall_now * 1_000), members=(owner,))
    path.write_bytes(pack_infos(infos))
