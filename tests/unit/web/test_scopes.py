"""Scopes: each method takes one, and a token permits no more than it says."""

from __future__ import annotations

import pytest

from shoal.node.driver.api.registry import METHODS, load
from shoal.web.errors import ScopeMissingError, UnknownScopeError
from shoal.web.scopes import (
    FILE_PARAMETERS,
    check_permitted,
    check_scopes,
    known_scopes,
    offered,
    scope_of,
    scopes_of,
)

ALICE, BOB = "aa" * 20, "bb" * 20


def test_every_method_that_is_offered_takes_a_scope() -> None:
    """And every scope can be granted."""
    known = known_scopes()
    for each in offered():
        assert scope_of(each.name) in known
    assert {"accounts:write", "contacts:read", "conversations:write", "nodes:read"} <= set(known)
    assert scope_of("connect") == "connections:write"


def test_methods_that_name_files_of_this_machine_are_not_offered() -> None:
    """A page or a program with a token has no business choosing files."""
    load()
    names = {each.name for each in offered()}
    assert "account.export" not in names
    assert "account.show" in names
    for each in METHODS:
        if FILE_PARAMETERS & {it.name for it in each.parameters}:
            assert each.name not in names


def test_what_changes_something_is_not_taken_for_reading() -> None:
    """The verbs that read are listed; all others write."""
    for name in ("account.remove", "conversation.send", "contact.add", "device.revoke", "connect"):
        assert scope_of(name).endswith(":write")
    assert scope_of("conversation.unreact") == "conversations:write"
    for name in ("account.list", "conversation.messages", "node.events", "name.lookup"):
        assert scope_of(name).endswith(":read")


def test_what_happens_in_conversations_is_told_to_those_who_may_read_them() -> None:
    """All events of a node have texts in them: the node's own scope is not enough."""
    with pytest.raises(ScopeMissingError, match="conversations:read"):
        check_permitted(["nodes:read", "contacts:read"], "", "node.events", {})
    with pytest.raises(ScopeMissingError, match="nodes:read"):
        check_permitted(["conversations:read", "contacts:read"], "", "node.events", {})
    check_permitted(["nodes:read", "conversations:read", "contacts:read"], "", "node.events", {})
    for params in ({"account": ALICE}, {"account": ALICE, "conversation": ""}):
        with pytest.raises(ScopeMissingError, match="contacts:read"):
            check_permitted(["conversations:read"], "", "conversation.events", params)
    one = {"account": ALICE, "conversation": "ab" * 20}  # tells of no contacts
    check_permitted(["conversations:read"], "", "conversation.events", one)
    assert all(set(scopes_of(each.name)) <= set(known_scopes()) for each in offered())


def test_scopes_are_checked_when_granted() -> None:
    """A misspelled one would permit nothing, silently."""
    assert check_scopes(["contacts:read", "*", "contacts:read"]) == ("*", "contacts:read")
    with pytest.raises(UnknownScopeError, match="contact:read"):
        check_scopes(["contact:read"])


def test_a_token_permits_what_it_says() -> None:
    """By scope, and by account."""
    check_permitted(["*"], "", "account.remove", {})
    check_permitted([], "", "node.methods", {})
    check_permitted(["contacts:read"], "", "contact.list", {"account": ALICE})
    for name in ("contact.add", "account.list"):
        with pytest.raises(ScopeMissingError, match=name):
            check_permitted(["contacts:read"], "", name, {"account": ALICE})
    check_permitted(["*"], ALICE, "contact.list", {"account": ALICE})
    for params in ({"account": BOB}, {}, {"account": ALICE[:8]}):
        with pytest.raises(ScopeMissingError, match=ALICE):
            check_permitted(["*"], ALICE, "contact.list", params)
