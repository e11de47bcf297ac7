"""Who leaves keeps the conversation until everybody has heard so."""

from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING

from shoal.core import ConversationId
from shoal.swarm.book import ConversationBook
from shoal.swarm.leaving import KEPT_MS, Farewells
from shoal.swarm.records import ConversationInfo
from shoal.swarm.roles import Role
from tests.unit.swarm.people import ALICE, BOB, CAROL, DAVE, who

if TYPE_CHECKING:
    from collections.abc import Mapping

    from shoal.swarm.session import Session

GROUP = ConversationId(b"g" * 20)
LEFT = ConversationInfo(GROUP, created_ms=1, removed_ms=2)
A, B, C, D = (who(name).account for name in (ALICE, BOB, CAROL, DAVE))
SESSIONS: Mapping[ConversationId, Session] = {
    GROUP: SimpleNamespace(  # type: ignore[dict-item]
        view=SimpleNamespace(members={B: Role.ADMIN, C: Role.MEMBER, D: Role.BANNED})
    )
}


def test_all_members_have_to_hear() -> None:
    """One is not enough, a banned one least of all; the last one ends it, once."""
    farewells, book = Farewells(A), ConversationBook({GROUP: LEFT}, {})
    for account in (D, B):
        farewells.heard(GROUP, account)
        assert farewells.ended(book, SESSIONS) == []
    farewells.heard(GROUP, C)

    assert farewells.ended(book, SESSIONS) == [GROUP]
    assert farewells.ended(book, SESSIONS) == []


def test_only_what_was_left_ends() -> None:
    """A fetch of a conversation that we are in, or that is gone, says nothing."""
    farewells = Farewells(A)
    for book in (
        ConversationBook({GROUP: ConversationInfo(GROUP, created_ms=1)}, {}),
        ConversationBook({}, {}),
    ):
        farewells.heard(GROUP, B)
        farewells.heard(GROUP, C)
        assert farewells.ended(book, SESSIONS) == []


def test_after_a_week_it_is_over() -> None:
    """Whoever has not asked by then hears it from others."""
    assert not Farewells.is_over(LEFT, LEFT.removed_ms + KEPT_MS)
    assert Farewells.is_over(LEFT, LEFT.removed_ms + KEPT_MS + 1)
    assert not Farewells.is_over(ConversationInfo(GROUP, created_ms=1), 2 * KEPT_MS)
