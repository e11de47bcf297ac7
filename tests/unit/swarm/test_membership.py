"""Inviting, joining, leaving, banning and unbanning."""

from __future__ import annotations

import pytest

from shoal.swarm.contents import MemberAction, MemberEvent, ProfileUpdate, Text, Vote
from shoal.swarm.errors import NotAMemberError, NotAnAdminError
from shoal.swarm.membership import ban, invite, join, leave, set_profile, unban
from shoal.swarm.roles import Role
from tests.unit.swarm.people import BOB, CAROL, WALL_NOW, add, begin, bring, clone, taken, who

BOBS = who(BOB).account


def test_invited_then_member() -> None:
    """An invitation is a file, joining moves it."""
    alice = begin()
    (event,) = taken(invite(alice, BOBS, WALL_NOW))
    assert event.content == MemberEvent(MemberAction.ADD, BOBS)
    assert alice.members[BOBS] is Role.INVITED
    assert invite(alice, BOBS, WALL_NOW) == []

    bob = clone(alice, BOB)
    join(bob, WALL_NOW)
    assert join(bob, WALL_NOW) == []
    bring(bob, alice)
    assert alice.members[BOBS] is Role.MEMBER


def test_only_the_invited_join() -> None:
    """Somebody who cloned without being invited cannot."""
    with pytest.raises(NotAMemberError):
        join(clone(begin(), BOB), WALL_NOW)


def test_leaving() -> None:
    """A leaver's certificate goes; they may be invited again."""
    alice = begin()
    bob = add(alice, BOB)
    leave(bob, WALL_NOW)
    bring(bob, alice)
    assert BOBS not in alice.members

    invite(alice, BOBS, WALL_NOW)
    bring(alice, bob)
    join(bob, WALL_NOW)
    bring(bob, alice)
    assert alice.members[BOBS] is Role.MEMBER


def test_ban_and_unban() -> None:
    """The one administrator votes and decides; the tree tells all of it."""
    alice = begin()
    bob = add(alice, BOB)
    vote, decision = taken(ban(alice, BOBS, WALL_NOW))
    assert vote.content == Vote(str(BOBS))
    assert decision.content == MemberEvent(MemberAction.BAN, BOBS)
    bring(alice, bob)
    assert alice.members[BOBS] is bob.members[BOBS] is Role.BANNED
    assert not any(path.startswith("votes/") for path in alice.files)

    with pytest.raises(NotAMemberError):
        ban(alice, BOBS, WALL_NOW)
    unban(alice, BOBS, WALL_NOW)
    bring(alice, bob)
    bob.say(Text("thank you"), WALL_NOW)
    assert len(taken(bring(bob, alice))) == 1
    with pytest.raises(NotAMemberError):
        unban(alice, BOBS, WALL_NOW)


def test_an_invitation_is_taken_back() -> None:
    """Somebody who was only invited can be banned, and invited again after an unban."""
    alice = begin()
    invite(alice, BOBS, WALL_NOW)
    ban(alice, BOBS, WALL_NOW)
    assert alice.members[BOBS] is Role.BANNED
    unban(alice, BOBS, WALL_NOW)
    assert alice.members[BOBS] is Role.INVITED


def test_what_takes_an_administrator() -> None:
    """Members neither ban nor give the conversation a profile."""
    alice = begin()
    bob = add(alice, BOB)
    add(alice, CAROL)
    bring(alice, bob)
    for command in (ban, unban):
        with pytest.raises((NotAnAdminError, NotAMemberError)):
            command(bob, who(CAROL).account, WALL_NOW)
    with pytest.raises(NotAnAdminError):
        set_profile(bob, b"BEGIN:VCARD", WALL_NOW)


def test_profile() -> None:
    """The profile is a file, changed by a commit that says so."""
    alice = begin()
    bob = add(alice, BOB)
    (event,) = taken(set_profile(alice, b"BEGIN:VCARD", WALL_NOW))
    assert event.content == ProfileUpdate()
    bring(alice, bob)
    assert bob.read_file("profile.vcf") == b"BEGIN:VCARD"
