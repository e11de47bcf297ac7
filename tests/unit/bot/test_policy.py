"""Whom a bot accepts."""

from __future__ import annotations

from shoal.bot.policy import everyone, nobody, only
from shoal.core import AccountId

ALICE, BOB = AccountId(bytes([1]) * 20), AccountId(bytes([2]) * 20)


def test_policies() -> None:
    """Everyone, nobody, some."""
    assert everyone(ALICE)
    assert not nobody(ALICE)
    assert only(f"jami:{ALICE}")(ALICE)
    assert not only(ALICE)(BOB)
