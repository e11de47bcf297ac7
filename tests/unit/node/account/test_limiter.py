"""How often a sender may cause work."""

from __future__ import annotations

from shoal.core import InfoHash
from shoal.node.account.limiter import SenderLimiter


def test_a_sender_is_let_through_so_often() -> None:
    """A burst, then as the tokens come; others have their own."""
    limiter: SenderLimiter[InfoHash] = SenderLimiter(2, 0.5, 2)
    alice, bob, carol = (InfoHash(bytes([n]) * 20) for n in range(3))
    assert [limiter.allows(alice, 0.0) for _ in range(3)] == [True, True, False]
    assert limiter.allows(bob, 0.0)
    assert not limiter.allows(alice, 1.9)
    assert limiter.allows(alice, 2.1)
    assert limiter.allows(carol, 3.0)
    assert len(limiter) == 2, "who was not heard of for longest is forgotten"
