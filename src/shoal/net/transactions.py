"""STUN requests and when they are repeated (RFC 8489 section 6.2.1, as Jami counts).

Repeated over TCP too: that is what Jami's library does, and a TURN server may lose the first
bytes of a fresh connection.
"""

from __future__ import annotations

from math import inf
from typing import Final

RTO: Final = 0.5  # seconds before the first repetition, then doubled; reference 5.6
SENDS_MAX: Final = 7  # reference 5.6
LAST_WAIT: Final = 8.0  # seconds after the last sending: RFC 8489's Rm of 16 times the RTO


class Transaction:
    """One request under way: its bytes, and when to send them again."""

    __slots__ = ("_sends_max", "_wait", "data", "deadline", "first_sent", "id", "sends")

    def __init__(self, id: bytes, data: bytes, now: float, sends_max: int = SENDS_MAX) -> None:  # noqa: A002 - STUN's word
        self.id = id
        self.data = data
        self.first_sent = now
        self.sends = 1
        self.deadline = now + RTO
        self._wait = RTO
        self._sends_max = sends_max

    def advance(self, now: float) -> bool:
        """Tell whether to send `data` again; after the last wait the deadline is infinity."""
        if now < self.deadline:
            return False
        if self.sends >= self._sends_max:
            self.deadline = inf
            return False
        self.sends += 1
        self._wait *= 2
        last = self.sends == self._sends_max
        self.deadline = now + (LAST_WAIT if last else self._wait)
        return True

    @property
    def is_expired(self) -> bool:
        """Whether nobody answered any of the sendings."""
        return self.deadline == inf

    def rtt(self, now: float) -> float | None:
        """Return the round trip; None if it was sent more than once and nobody knows of which."""
        return now - self.first_sent if self.sends == 1 else None
