"""Settings of the network."""

from __future__ import annotations

import pytest

from shoal.sim import Conditions
from shoal.sim.errors import ScenarioError


@pytest.mark.parametrize(
    "wrong",
    [
        {"loss": -0.1},
        {"duplication": 1.1},
        {"reordering": float("nan")},
        {"unreachable_notices": 2.0},
        {"loss": 0.5, "duplication": 0.4, "reordering": 0.2},
        {"jitter": -1.0},
        {"reordering_delay": -1.0},
        {"lan_delay": float("nan")},
    ],
)
def test_impossible_conditions_are_refused(wrong: dict[str, float]) -> None:
    """Probabilities are 0 to 1 and add up to at most 1; times are not negative."""
    with pytest.raises(ScenarioError, match=next(iter(wrong))):
        Conditions(**wrong)  # type: ignore[arg-type]


def test_possible_ones_are_not() -> None:
    """Everything may go wrong at once."""
    assert Conditions(loss=0.5, duplication=0.25, reordering=0.25).loss == 0.5
