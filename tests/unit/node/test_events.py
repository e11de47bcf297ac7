"""What a node tells its users."""

from __future__ import annotations

import dataclasses

import pytest

from shoal.node import events


@pytest.mark.parametrize("kind", events.EVENTS, ids=lambda each: str(each.__name__))
def test_every_event_says_whose_it_is_and_what_it_means(kind: type) -> None:
    """An account, and a sentence."""
    assert dataclasses.is_dataclass(kind)
    assert dataclasses.fields(kind)[0].name == "account"
    assert (kind.__doc__ or "").strip()
