"""Pairs: priorities, and which addresses of a peer are contacted at all."""

from __future__ import annotations

from dataclasses import replace

import pytest

from shoal.core import Address
from shoal.net.ice.candidates import Candidate
from shoal.net.ice.pair import Pair, PairState, is_same_machine, is_usable, pair_priority
from shoal.net.ice.path import Outcome

HIGH = Candidate.parse("H1 1 TCP 200 10.0.0.1 9 typ host tcptype active")
LOW = Candidate.parse("R1 1 TCP 100 192.0.2.1 99 typ relay tcptype passive")


def test_both_sides_rank_pairs_alike() -> None:
    """RFC 8445 6.1.2.3: 2^32 times the lesser, twice the greater, and who is greater."""
    ours = pair_priority(HIGH, LOW, is_controlling=True)
    theirs = pair_priority(LOW, HIGH, is_controlling=False)

    assert ours == theirs == 100 * 2**32 + 2 * 200 + 1
    assert pair_priority(HIGH, LOW, is_controlling=False) == ours - 1


def test_a_report_tells_the_story() -> None:
    """The latest outcome, its detail and its time since the start."""
    pair = Pair(HIGH, LOW, 1, created=5.0)
    assert pair.report(5.5).elapsed == 0.0
    pair.note(Outcome.REFUSED, 6.0, "connection refused")

    report = pair.report(5.5)

    assert (report.outcome, report.detail, report.elapsed) == (
        Outcome.REFUSED,
        "connection refused",
        0.5,
    )


def test_what_is_unfinished() -> None:
    """An idle pair is the peer's affair, a failed one nobody's."""
    pair = Pair(HIGH, LOW, 1, created=0.0)
    unfinished = [state for state in PairState if replace(pair, state=state).is_unfinished]
    assert unfinished == [PairState.WAITING, PairState.CONNECTING, PairState.CHECKING]


@pytest.mark.parametrize(
    ("host", "port", "expected"),
    [
        ("10.0.0.1", 80, True),
        ("10.0.0.1", 0, False),
        ("0.0.0.0", 80, False),  # noqa: S104 - refused
        ("224.0.0.1", 80, False),
        ("255.255.255.255", 80, False),
        ("2001:db8::1", 80, True),
        ("ff02::1", 80, False),
        ("::", 80, False),
    ],
)
def test_usable_addresses(host: str, port: int, expected: bool) -> None:
    """A peer cannot make us send to nobody or to everybody."""
    assert is_usable(Address.parse(host, port)) is expected


def test_loopback() -> None:
    """Loopback addresses are paired with their like only."""
    assert is_same_machine(bytes([127, 0, 0, 1]))
    assert is_same_machine(bytes(15) + b"\x01")
    assert not is_same_machine(bytes([10, 0, 0, 1]))
