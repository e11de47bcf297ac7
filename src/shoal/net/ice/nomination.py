"""When the controlling side nominates which pair, and when either side gives up (reference 5.6)."""

from __future__ import annotations

from math import inf
from typing import TYPE_CHECKING, Final, NamedTuple

from shoal.net.ice.candidates import CandidateType
from shoal.net.ice.pair import PairState

if TYPE_CHECKING:
    from collections.abc import Iterable

    from shoal.net.ice.pair import Pair

NOMINATION_DELAY: Final = 0.4  # seconds after the first success; reference 5.6
RELAY_DELAY: Final = 0.2  # seconds, ours: a direct path needs fewer round trips than a relayed one
HEAD_START: Final = 0.05  # seconds, ours: what a better direct pair gets beside two round trips
NOMINATION_WAIT: Final = 10.0  # seconds of the controlled side; reference 5.6
INCOMING_WAIT: Final = 10.0  # seconds for the peer's connections; reference 5.6


class Nomination(NamedTuple):
    """Nominate *pair* at *moment*."""

    moment: float
    pair: Pair


class Patience(NamedTuple):
    """Give up at *moment*, for want of a nomination or of any path."""

    moment: float
    is_for_nomination: bool


def next_nomination(pairs: Iterable[Pair], *, may_be_direct: bool) -> Nomination | None:
    """Return which pair of one component the controlling side shall nominate, and when.

    Args:
        pairs: of that component.
        may_be_direct: whether a path without a relay is possible at all: then a relayed one waits
            for one, even if nothing of ours is left to try, as the peer may connect.

    Returns:
        None while nothing has succeeded, or a nomination is under way.
    """
    pairs = list(pairs)
    succeeded = [pair for pair in pairs if pair.state is PairState.SUCCEEDED]
    if not succeeded or any(pair.nominates for pair in succeeded):
        return None
    best = max(succeeded, key=lambda pair: pair.priority)
    first = min(pair.succeeded for pair in succeeded)
    if may_be_direct and CandidateType.RELAY in {best.local.type, best.remote.type}:
        return Nomination(first + RELAY_DELAY, best)
    better = [pair for pair in pairs if pair.is_unfinished and pair.priority > best.priority]
    if any(pair.is_likely for pair in better):
        return Nomination(first + min(NOMINATION_DELAY, HEAD_START + 2 * best.rtt), best)
    return Nomination(-inf, best)


def patience(pairs: Iterable[Pair], started: float, *, is_controlling: bool) -> Patience:
    """Return when to give up one component with these *pairs*; the time limit holds besides."""
    last_success, is_busy = -inf, False
    for pair in pairs:
        if pair.state is PairState.SUCCEEDED:
            last_success = max(last_success, pair.succeeded)
        elif pair.is_nominated_by_peer and pair.is_unfinished:
            return Patience(inf, is_for_nomination=False)  # only our own check is missing
        is_busy = is_busy or pair.is_unfinished or pair.transaction is not None
    if last_success > -inf:
        return Patience(inf if is_controlling else last_success + NOMINATION_WAIT, True)
    return Patience(inf if is_busy else started + INCOMING_WAIT, False)
