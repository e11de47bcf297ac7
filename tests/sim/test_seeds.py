"""Seeds that ever failed are replayed, and a few that never did."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.sim.worlds import WORLDS

SEEDS = Path(__file__).with_name("seeds.txt")


def kept_seeds() -> list[tuple[str, int]]:
    """Read seeds.txt: one world and one seed per line, then why."""
    lines = [line.partition("#")[0].split(maxsplit=2) for line in SEEDS.read_text().splitlines()]
    return [(line[0], int(line[1])) for line in lines if line]


@pytest.mark.parametrize(("world", "seed"), kept_seeds())
def test_kept_seeds(world: str, seed: int) -> None:
    """What failed once does not fail again."""
    WORLDS[world](seed)


# Fifty devices take half a minute: once is enough.
@pytest.mark.parametrize(
    ("world", "seed"),
    [(world, seed) for world in WORLDS for seed in (1, 2) if (world, seed) != ("crowds", 2)],
)
def test_fixed_seeds(world: str, seed: int) -> None:
    """Each world holds for seeds that everybody plays."""
    WORLDS[world](seed)
