"""The system's randomness, for drivers to hand to engines."""

from __future__ import annotations

import random
import secrets


class SystemEntropy:
    """`Entropy` from the operating system."""

    def __init__(self) -> None:
        self._random = random.SystemRandom()

    def token_bytes(self, length: int) -> bytes:
        """Return *length* random bytes."""
        return secrets.token_bytes(length)

    def below(self, bound: int) -> int:
        """Return an integer from 0 up to but not including *bound*."""
        return secrets.randbelow(bound)

    def uniform(self, low: float, high: float) -> float:
        """Return a number between *low* and *high*."""
        return self._random.uniform(low, high)
