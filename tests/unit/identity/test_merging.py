"""Both rules of merging are joins: devices agree, whatever the order in which they hear."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given

from shoal.identity.contact import Contact
from shoal.identity.merging import merge_13_7, merge_current, refine, stamp
from tests.unit.identity.samples import CONVERSATIONS
from tests.unit.identity.strategies import contacts

RULES = pytest.mark.parametrize("rule", [merge_current, merge_13_7])
ONE, TWO = CONVERSATIONS[:2]


@RULES
@given(ours=contacts, theirs=contacts, third=contacts)
def test_merging_is_a_join(rule, ours: Contact, theirs: Contact, third: Contact) -> None:  # type: ignore[no-untyped-def]
    """Commutative, associative, idempotent."""
    assert rule(ours, theirs) == rule(theirs, ours)
    assert rule(rule(ours, theirs), third) == rule(ours, rule(theirs, third))
    assert rule(ours, ours) == ours
    assert rule(rule(ours, theirs), theirs) == rule(ours, theirs)


@given(contacts, contacts)
def test_both_rules_agree_on_who_is_in_the_book(ours: Contact, theirs: Contact) -> None:
    """As long as no two things happened in the same moment."""
    if stamp(ours) == stamp(theirs) or any(it.added_ms == it.removed_ms for it in (ours, theirs)):
        return
    if ours.added_ms == theirs.removed_ms or theirs.added_ms == ours.removed_ms:
        return
    current, old = merge_current(ours, theirs), merge_13_7(ours, theirs)

    assert current.is_active == old.is_active
    if ours.removed_ms != theirs.removed_ms:
        assert current.is_banned == old.is_banned


def test_the_later_change_wins_as_a_whole() -> None:
    """As Jami does since 2026."""
    added = Contact(5000, 0, confirmed=True, conversation_id=ONE)
    removed = Contact(5000, 6000, banned=True, conversation_id=ONE)
    again = Contact(7000, 6000, conversation_id=TWO)

    assert merge_current(added, removed) == removed
    assert merge_current(removed, again) == again
    assert merge_current(again, added) == again


def test_of_two_additions_at_once_the_union() -> None:
    """Same moment, both active: what either knows is known."""
    ours, theirs = Contact(5000, 0, confirmed=True), Contact(5000, 0, conversation_id=TWO)

    assert merge_current(ours, theirs) == Contact(5000, 0, True, False, TWO)


def test_a_removal_before_an_addition_of_the_same_moment() -> None:
    """And a block before a removal: rather closed than open."""
    added, removed = Contact(5000, 0), Contact(0, 5000)

    assert merge_current(added, removed) == removed
    assert merge_current(removed, replace(removed, banned=True)).is_banned


def test_13_7_merges_field_by_field() -> None:
    """Later addition with its conversation, later removal with its block; confirmed sticks."""
    ours = Contact(9000, 4000, banned=False, conversation_id=ONE)
    theirs = Contact(5000, 6000, confirmed=True, banned=True, conversation_id=TWO)

    assert merge_13_7(ours, theirs) == Contact(9000, 6000, True, True, ONE)
    assert merge_13_7(Contact(5000), Contact(5000, conversation_id=TWO)).conversation_id == TWO


def test_what_13_7_tells_is_refined_by_what_we_know() -> None:
    """Milliseconds of the same moments; a removal in the second of the addition is one."""
    ours = Contact(5300, 0, conversation_id=ONE)

    assert refine(Contact(5000, 0, conversation_id=ONE), ours) == ours
    assert refine(Contact(5000, 5000), ours) == Contact(5300, 5300)
    assert refine(Contact(6000, 5000), ours) == Contact(6000, 5000)
    assert refine(Contact(4000, 7000), Contact(4999, 7001)) == Contact(4999, 7001)
