"""The system's randomness, for drivers to hand to engines."""

from __future__ import annotations

import random
import secrets
from typing import Final

_SYSTEM: Final = random.SystemRandom()  # one for all: each would weigh 2.5 kB and hold no state


class SystemEntropy:
    """`Entropy` from the operating system."""

    def token_bytes(self, length: int) -> bytes:
        """Return *length* random bytes."""
        return secrets.token_bytes(length)

    def below(self, bound: int) -> int:
        """Return an integer from 0 up to but not including *bound*."""
        return secrets.randbelow(bound)

    def uniform(self, low: float, high: float) -> float:
        """Return a number between *low* and *high*."""
        return _SYSTEM.uniform(low, high)
