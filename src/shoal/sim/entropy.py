"""Chance from a seed: the same seed and labels give the same draws on every machine and Python.

Only `random()` and `getrandbits()` of Python's Mersenne twister are used, because these two are
promised to stay what they are; everything else is built here.
"""

from __future__ import annotations

import hashlib
import math
from random import Random
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Sequence

_T = TypeVar("_T")


def derive(seed: int, *labels: str | int) -> int:
    """Return a 256-bit seed for the part of a run that *labels* name.

    Parts with different labels draw independently: a node more or one lookup less leaves what
    the others draw unchanged.
    """
    text = "/".join(map(str, (seed, *labels)))
    return int.from_bytes(hashlib.sha256(text.encode()).digest())


class SeededEntropy:
    """`shoal.core.Entropy` from a seed, and the further draws that worlds need."""

    __slots__ = ("_bits", "random")

    def __init__(self, seed: int, *labels: str | int) -> None:
        generator = Random(derive(seed, *labels))
        self._bits = generator.getrandbits
        self.random = generator.random  # 0.0 up to but not including 1.0

    def token_bytes(self, length: int) -> bytes:
        """Return *length* random bytes."""
        return self._bits(8 * length).to_bytes(length) if length else b""

    def below(self, bound: int) -> int:
        """Return an integer from 0 up to but not including *bound*, which is at least 1."""
        bits = bound.bit_length()
        while (drawn := self._bits(bits)) >= bound:
            pass
        return drawn

    def uniform(self, low: float, high: float) -> float:
        """Return a number between *low* and *high*."""
        return low + (high - low) * self.random()

    def exponential(self, mean: float) -> float:
        """Return the wait for the next event of a Poisson process, *mean* on average."""
        return -mean * math.log(1.0 - self.random())

    def normal(self) -> float:
        """Return a draw of the standard normal distribution (Box and Muller, 1958)."""
        radius = math.sqrt(-2.0 * math.log(1.0 - self.random()))
        return radius * math.cos(2.0 * math.pi * self.random())

    def choice(self, options: Sequence[_T]) -> _T:
        """Return one of *options*, which are at least one."""
        return options[self.below(len(options))]

    def sample(self, options: Sequence[_T], count: int) -> list[_T]:
        """Return *count* different places of *options*, or all of them, in random order."""
        pool = list(options)
        count = min(count, len(pool))
        for place in range(count):
            other = place + self.below(len(pool) - place)
            pool[place], pool[other] = pool[other], pool[place]
        return pool[:count]
