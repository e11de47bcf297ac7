"""Targets of the fuzzer: vCards, marks, preferences, and what is kept of profiles."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, TypeVar

from shoal.core import AccountId, CommitId, ConversationId, DecodeError, DeviceId
from shoal.node.account.profiles import ProfileState, Summary
from shoal.swarm.marks import (
    Marks,
    pack_all_marks,
    pack_marks,
    unpack_all_marks,
    unpack_marks,
)
from shoal.swarm.preferences import (
    Preferences,
    pack_all_preferences,
    pack_preferences,
    unpack_all_preferences,
    unpack_preferences,
)
from shoal.swarm.vcards import VCard, read_vcard, write_group, write_person

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")

REEF: Final = ConversationId(bytes(20))
CARD: Final = VCard("Ada", "of the reef", b"\x89PNG\r\n\x1a\n and so on", (("KIND", "x"),))
MARKS: Final = {AccountId(bytes(20)): Marks(CommitId(bytes(20)), 5, CommitId(bytes(20)), 6)}
WANTED: Final = Preferences({"color": "#e5ae43", "ignoreNotifications": "true"}, 7)


def vcard(data: bytes) -> None:
    """A vCard is read, and can be written both ways; or it is refused."""
    try:
        card = read_vcard(data)
    except DecodeError:
        return
    read_vcard(write_person(card))
    read_vcard(write_group(card))


def states(data: bytes) -> None:
    """What unpacks packs to something that unpacks to the same."""
    same(data, unpack_marks, pack_marks)
    same(data, unpack_all_marks, pack_all_marks)
    same(data, unpack_preferences, pack_preferences)
    same(data, unpack_all_preferences, pack_all_preferences)
    same(data, ProfileState.unpack, ProfileState.pack)


def same(data: bytes, unpack: Callable[[bytes], T], pack: Callable[[T], bytes]) -> None:
    """What unpacks packs to something that unpacks to the same."""
    try:
        found = unpack(data)
    except DecodeError:
        return
    assert unpack(pack(found)) == found


def known_states() -> list[bytes]:
    """Return one of each."""
    people = {AccountId(bytes(20)): Summary("Ada", True, bytes(64))}
    kept = ProfileState(7, {DeviceId(bytes(32)): bytes(64)}, {}, people)
    return [
        pack_marks(MARKS),
        pack_all_marks({REEF: MARKS}),
        pack_preferences(WANTED),
        pack_all_preferences({REEF: WANTED}),
        kept.pack(),
    ]


TARGETS: Final[dict[str, tuple[Callable[[bytes], None], Callable[[], list[bytes]]]]] = {
    "vcard": (vcard, lambda: [write_person(CARD), write_group(CARD)]),
    "conversation-states": (states, known_states),
}
