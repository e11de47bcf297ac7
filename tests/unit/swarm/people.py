"""People with accounts and devices, for tests of conversations."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Final

from shoal.core import CommitId
from shoal.crypto import Identity, Profile, self_signed
from shoal.sim.entropy import SeededEntropy
from shoal.swarm import Conversation, MemoryStore
from shoal.swarm.contents import Mode
from shoal.swarm.conversation import Self, Taken
from shoal.swarm.membership import invite, join
from tests.unit.swarm.keys import seeded_key

if TYPE_CHECKING:
    from shoal.swarm.conversation import Event

WALL_NOW: Final = 1_800_000_000.0
ALICE, BOB, CAROL, DAVE, MALLORY = "alice", "bob", "carol", "dave", "mallory"


@cache
def account(name: str) -> Identity:
    """An account under a CA of its own."""
    entropy = SeededEntropy(0, name)
    authority = seeded_key(f"{name}'s authority")
    ca = self_signed(authority, "Jami CA", entropy=entropy, wall_now=WALL_NOW)
    key = seeded_key(name)
    return ca.issue(key, "Jami", entropy=entropy, wall_now=WALL_NOW, profile=Profile.AUTHORITY)


def device(name: str, number: int = 0) -> Identity:
    """A device of the account *name*."""
    return _device(name, number)


@cache
def _device(name: str, number: int) -> Identity:
    return account(name).issue(
        seeded_key(f"{name} {number}"),
        "Jami device",
        entropy=SeededEntropy(number + 1, name),
        wall_now=WALL_NOW,
        profile=Profile.BARE,
    )


def who(name: str, number: int = 0) -> Self:
    """How a device takes part."""
    return Self(device(name, number), name)


def begin(name: str = ALICE, mode: Mode = Mode.INVITES_ONLY) -> Conversation:
    """A conversation that *name* has just begun."""
    return Conversation.create(MemoryStore(), who(name), wall_now=WALL_NOW, mode=mode)


def copy_objects(source: Conversation, target: MemoryStore) -> None:
    """Give *target* all objects of *source*, as a pack would."""
    target.add_all(source.store.objects.values())  # type: ignore[attr-defined]


def bring(source: Conversation, target: Conversation, wall_now: float = WALL_NOW) -> list[Event]:
    """Let *target* fetch from *source*."""
    copy_objects(source, target.store)  # type: ignore[arg-type]
    return target.take(source.head, wall_now)


def clone(source: Conversation, name: str, number: int = 0) -> Conversation:
    """Clone *source* to a device of *name*."""
    store = MemoryStore()
    copy_objects(source, store)
    return Conversation.clone(store, who(name, number), source.id, source.head)[0]


def add(source: Conversation, name: str) -> Conversation:
    """Invite *name*, who joins; both sides have it afterwards."""
    invite(source, who(name).account, WALL_NOW)
    joined = clone(source, name)
    join(joined, WALL_NOW)
    bring(joined, source)
    return joined


def said(conversation: Conversation) -> list[CommitId]:
    """The messages in the order in which people read them."""
    return [CommitId(taken.commit.id) for taken in conversation.messages()][::-1]


def taken(events: list[Event]) -> list[Taken]:
    """Those events that are messages."""
    return [event for event in events if isinstance(event, Taken)]
