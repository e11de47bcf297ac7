"""Chance from a seed."""

from __future__ import annotations

import statistics
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shoal.sim import SeededEntropy, derive

if TYPE_CHECKING:
    from shoal.core import Entropy


def test_draws_never_change_between_versions() -> None:
    """Kept seeds must replay the same run for ever: these values are pinned."""
    entropy: Entropy = SeededEntropy(1, "node", 7)
    assert entropy.token_bytes(4).hex() == "5bd10f8c"
    assert [entropy.below(10) for _ in range(8)] == [9, 9, 3, 4, 1, 9, 5, 0]
    assert entropy.uniform(1.0, 2.0) == 1.7960154867139186


def test_labels_are_independent_streams() -> None:
    """Another label or seed, another stream; the same, the same."""
    assert derive(1, "a", 2) == derive(1, "a", 2)
    assert len({derive(1, "a", 2), derive(1, "a", 3), derive(2, "a", 2), derive(1, "b", 2)}) == 4


@given(st.integers(0), st.integers(1, 2**80))
def test_below_is_below(seed: int, bound: int) -> None:
    """From 0 up to the bound."""
    assert 0 <= SeededEntropy(seed).below(bound) < bound


@given(st.integers(0), st.integers(0, 64))
def test_token_bytes_have_their_length(seed: int, length: int) -> None:
    """Even none."""
    assert len(SeededEntropy(seed).token_bytes(length)) == length


@given(st.integers(0), st.lists(st.integers()), st.integers(0, 20))
def test_samples_are_distinct_places(seed: int, options: list[int], count: int) -> None:
    """A sample is a part of the options, without repeating one."""
    drawn = SeededEntropy(seed).sample(list(enumerate(options)), count)
    assert len(drawn) == len(set(drawn)) == min(count, len(options))
    assert set(drawn) <= set(enumerate(options))


def test_distributions_have_their_moments() -> None:
    """Exponential: mean as asked. Normal: 0 and 1. Choice: even."""
    entropy = SeededEntropy(2)
    assert statistics.mean(entropy.exponential(3.0) for _ in range(20_000)) == pytest.approx(
        3, rel=0.03
    )
    normal = [entropy.normal() for _ in range(20_000)]
    assert statistics.mean(normal) == pytest.approx(0, abs=0.03)
    assert statistics.stdev(normal) == pytest.approx(1, rel=0.03)
    picks = [entropy.choice("abc") for _ in range(9000)]
    assert all(abs(picks.count(letter) - 3000) < 250 for letter in "abc")
