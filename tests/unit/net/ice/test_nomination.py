"""When which pair is nominated, and when a side gives up."""

from __future__ import annotations

from math import inf
from typing import Final

import pytest

from shoal.net.ice.candidates import Candidate
from shoal.net.ice.nomination import Nomination, Patience, next_nomination, patience
from shoal.net.ice.pair import Pair, PairState
from shoal.net.transactions import Transaction

HOST: Final = Candidate.parse("H1 1 TCP 200 10.0.0.1 9 typ host tcptype active")
PEER: Final = Candidate.parse("H2 1 TCP 100 10.0.0.2 99 typ host tcptype passive")
RELAY: Final = Candidate.parse("R1 1 TCP 50 192.0.2.1 99 typ relay tcptype passive")


def pair(state: PairState, priority: int = 1, *, remote: Candidate = PEER, **more: object) -> Pair:
    """Return a pair in some state."""
    return Pair(HOST, remote, priority, 0.0, state=state, **more)  # type: ignore[arg-type]


def test_nothing_to_nominate() -> None:
    """Before the first success, and while a nomination is under way."""
    assert next_nomination([], may_be_direct=True) is None
    assert next_nomination([pair(PairState.CHECKING)], may_be_direct=True) is None
    under_way = pair(PairState.SUCCEEDED, nominates=True)
    other = pair(PairState.SUCCEEDED, 9)
    assert next_nomination([under_way, other], may_be_direct=True) is None


def test_the_best_possible_pair_does_not_wait() -> None:
    """Nothing better may come: at once."""
    best = pair(PairState.SUCCEEDED, 9, succeeded=3.0)
    pairs = [pair(PairState.CHECKING, 5), best, pair(PairState.FAILED, 10)]
    assert next_nomination(pairs, may_be_direct=True) == Nomination(-inf, best)


@pytest.mark.parametrize("state", [PairState.WAITING, PairState.CONNECTING, PairState.CHECKING])
def test_a_better_pair_gets_a_chance(state: PairState) -> None:
    """Two round trips and a little, at most 400 ms after the first success."""
    first = pair(PairState.SUCCEEDED, 2, succeeded=1.0, rtt=0.1)
    later = pair(PairState.SUCCEEDED, 3, succeeded=1.2, rtt=0.02)
    better = pair(state, 9)
    found = next_nomination([first, later, better], may_be_direct=True)
    assert found is not None
    assert found.pair is later
    assert found.moment == pytest.approx(1.0 + 0.05 + 0.04)
    slow = pair(PairState.SUCCEEDED, 2, succeeded=1.0, rtt=2.0)
    assert next_nomination([slow, better], may_be_direct=True) == Nomination(1.4, slow)


def test_what_is_out_of_reach_is_not_waited_for() -> None:
    """A private address of another network may be better by its number, but hardly succeeds."""
    best = pair(PairState.SUCCEEDED, 2, succeeded=1.0)
    far = Candidate.parse("H3 1 TCP 300 192.168.1.1 99 typ host tcptype passive")
    hopeless = pair(PairState.CONNECTING, 9, remote=far)
    assert next_nomination([best, hopeless], may_be_direct=True) == Nomination(-inf, best)


def test_a_relay_waits_for_something_direct() -> None:
    """Even if nothing of ours is left: the peer may still connect. Unless all must be relayed."""
    relayed = pair(PairState.SUCCEEDED, succeeded=1.0, remote=RELAY)
    assert next_nomination([relayed], may_be_direct=True) == Nomination(1.2, relayed)
    assert next_nomination([relayed], may_be_direct=False) == Nomination(-inf, relayed)


def test_patience() -> None:
    """Ten seconds for the peer to connect or to nominate; none of either while we are busy."""
    incoming = Patience(15.0, is_for_nomination=False)
    busy = Patience(inf, is_for_nomination=False)
    for role in (True, False):
        assert patience([], 5.0, is_controlling=role) == incoming
        assert patience([pair(PairState.FAILED)], 5.0, is_controlling=role) == incoming
        assert patience([pair(PairState.IDLE)], 5.0, is_controlling=role) == incoming
        assert patience([pair(PairState.CHECKING)], 5.0, is_controlling=role) == busy
        checked = pair(PairState.IDLE, transaction=Transaction(b"", b"", 0.0))
        assert patience([checked], 5.0, is_controlling=role) == busy
    done = [pair(PairState.SUCCEEDED, succeeded=6.0), pair(PairState.SUCCEEDED, succeeded=7.0)]
    assert patience(done, 5.0, is_controlling=False) == Patience(17.0, is_for_nomination=True)
    assert patience(done, 5.0, is_controlling=True).moment == inf


def test_a_nominated_pair_is_waited_for() -> None:
    """The peer has chosen; only the answer to our own check is missing."""
    done = pair(PairState.SUCCEEDED, succeeded=6.0)
    nominated = pair(PairState.CHECKING, is_nominated_by_peer=True)
    assert patience([done, nominated], 5.0, is_controlling=False).moment == inf
