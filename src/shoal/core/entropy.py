"""Chance, handed in: engines draw from this and never from the system."""

from __future__ import annotations

from typing import Protocol


class Entropy(Protocol):
    """A source of random numbers: the system's in production, seeded in simulations."""

    def token_bytes(self, length: int) -> bytes:
        """Return *length* random bytes."""
        ...

    def below(self, bound: int) -> int:
        """Return an integer from 0 up to but not including *bound*."""
        ...

    def uniform(self, low: float, high: float) -> float:
        """Return a number between *low* and *high*."""
        ...
