"""The fuzzer's targets hold for their seeds and for a few mutations: they are ready to run."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.fuzz.targets import TARGETS


@pytest.mark.parametrize("name", sorted(TARGETS))
def test_targets_accept_their_seeds(name: str) -> None:
    """Every seed passes through its target, and there are seeds."""
    target, seeds = TARGETS[name]

    assert seeds()
    for seed in seeds():
        target(seed)


@pytest.mark.parametrize("name", sorted(TARGETS))
@given(data=st.data())
def test_targets_accept_mutations(name: str, data: st.DataObject) -> None:
    """Seeds with a piece replaced, dropped or doubled raise nothing undocumented."""
    target, seeds = TARGETS[name]
    seed = data.draw(st.sampled_from(seeds()))
    start = data.draw(st.integers(0, len(seed)))
    end = data.draw(st.integers(start, min(len(seed), start + 40)))
    piece = data.draw(st.binary(max_size=12) | st.just(seed[start:end] * 2))

    target(seed[:start] + piece + seed[end:])
