"""Filters, and what they are combined to."""

from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING, cast

from shoal.bot.filters import anything, contains, in_group, is_reply, matches, said_by
from shoal.core import AccountId

if TYPE_CHECKING:
    from shoal.bot import Message

ALICE = AccountId(bytes([1]) * 20)


def said(text: str, **fields: object) -> Message:
    """Something that was said by alice."""
    known = {"text": text, "author": ALICE, "is_group": False, "reply_to": None, **fields}
    return cast("Message", SimpleNamespace(**known))


def test_filters() -> None:
    """Each asks one question."""
    assert anything(said(""))
    assert contains("TEA")(said("green tea"))
    assert not contains("tea")(said("coffee"))
    assert matches(r"^\d+$")(said("42"))
    assert not matches(r"^\d+$")(said("42 fish"))
    assert said_by(f"jami:{ALICE}")(said(""))
    assert not said_by(AccountId(bytes(20)))(said(""))
    assert in_group(said("", is_group=True))
    assert not is_reply(said(""))
    assert is_reply(said("", reply_to=object()))


def test_combinations() -> None:
    """And, or, not."""
    fits = (contains("tea") | contains("coffee")) & ~in_group

    assert fits(said("coffee"))
    assert not fits(said("water"))
    assert not fits(said("tea", is_group=True))
