"""Messages: what all of them have in common."""

from __future__ import annotations

from typing import get_args

import pytest

from shoal.dht import messages

KINDS = (*get_args(messages.Request), messages.Reply, messages.Error, messages.Notification)


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_messages_begin_with_transaction_and_sender(kind: type) -> None:
    """So that a receiver need not know the kind to find whom it deals with."""
    assert kind._fields[:2] == ("tid", "sender")  # type: ignore[attr-defined]


def test_parts_carry_no_sender() -> None:
    """Only the transaction, and the address they come from, say whose they are."""
    assert messages.Part._fields == ("tid", "pieces")


def test_values_may_be_announced_by_size() -> None:
    """In the messages that carry values; usually they are not."""
    for kind in (messages.Put, messages.Update, messages.Reply):
        assert kind._field_defaults == {"sizes": None}
