"""Which of two records of a contact holds, when two devices of an account disagree.

Two rules, for the two generations of Jami. Both are joins here: devices that tell each other all
they know end up with the same, in whatever order they hear it. Where the reference keeps its own
side on a tie, which may differ between devices, the tie is broken by what the records say.

Source: Jami contact_list.cpp, updateContact (13.7), and its successor of 2026; reference 4.4.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from shoal.identity.contact import SECOND, Contact

if TYPE_CHECKING:
    from collections.abc import Callable

    Merge = Callable[[Contact, Contact], Contact]


def merge_current(ours: Contact, theirs: Contact) -> Contact:
    """Return the record with the later change, as a whole.

    Of two that changed at the same moment: a removal before an addition, a block before a removal;
    of two additions the union.
    """
    if stamp(ours) != stamp(theirs):
        return max(ours, theirs, key=stamp)
    if not (ours.is_active and theirs.is_active):
        return max(ours, theirs, key=_weight)
    return Contact(
        ours.added_ms,
        max(ours.removed_ms, theirs.removed_ms),
        ours.confirmed or theirs.confirmed,
        ours.banned or theirs.banned,
        max(ours.conversation_id, theirs.conversation_id),
    )


def merge_13_7(ours: Contact, theirs: Contact) -> Contact:
    """Return later addition with its conversation, later removal with its block; confirmed sticks.

    On ties: any conversation before none, a block before none.
    """
    added = max((ours.added_ms, ours.conversation_id), (theirs.added_ms, theirs.conversation_id))
    removed = max((ours.removed_ms, ours.banned), (theirs.removed_ms, theirs.banned))
    return Contact(added[0], removed[0], ours.confirmed or theirs.confirmed, removed[1], added[1])


def refine(theirs: Contact, ours: Contact) -> Contact:
    """Return what 13.7 tells, which is in whole seconds, with the milliseconds that we know.

    The same moment would otherwise look like an earlier one, and a removal within the second of
    the addition, which 13.7 takes for a removal, like no removal at all.
    """
    added_ms = _same_moment(theirs.added_ms, ours.added_ms)
    removed_ms = _same_moment(theirs.removed_ms, ours.removed_ms)
    if not theirs.is_active:
        removed_ms = max(removed_ms, added_ms)
    return replace(theirs, added_ms=added_ms, removed_ms=removed_ms)


def stamp(contact: Contact) -> int:
    """Return when *contact* last changed, in milliseconds."""
    return max(contact.added_ms, contact.removed_ms)


def _same_moment(seconds_ms: int, precise_ms: int) -> int:
    """Return *precise_ms* if it lies within the second that *seconds_ms* is the start of."""
    return precise_ms if precise_ms // SECOND * SECOND == seconds_ms else seconds_ms


def _weight(contact: Contact) -> tuple[bool, bool, bool, int, int, str]:
    """Return what decides between two records of the same moment, of which one is no addition."""
    return (
        not contact.is_active,
        contact.banned,
        contact.confirmed,
        contact.added_ms,
        contact.removed_ms,
        contact.conversation_id,
    )
