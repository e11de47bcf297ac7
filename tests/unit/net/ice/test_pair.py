"""Pairs: priorities, and which addresses of a peer are contacted at all."""

from __future__ import annotations

from dataclasses import replace

import pytest

from shoal.core import Address
from shoal.net.ice.candidates import Candidate
from shoal.net.ice.pair import (
    Pair,
    PairState,
    is_same_machine,
    is_usable,
    is_within_reach,
    pair_priority,
)
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


@pytest.mark.parametrize(
    ("ours", "theirs", "expected"),
    [
        ("192.168.1.2", "192.168.1.3", True),
        ("192.168.1.2", "192.168.7.3", False),
        ("10.1.2.3", "10.1.7.3", True),
        ("192.168.1.2", "10.0.0.3", False),
        ("192.168.1.2", "44.1.2.3", True),
        ("44.1.2.4", "10.0.0.3", False),
        ("fd00:1:2:3::1", "fd00:1:2:4::1", True),
        ("fd00:1:2:3::1", "fd00:1:3::1", False),
        ("2001:470::1", "2a00:1450::1", True),
    ],
)
def test_what_is_within_reach(ours: str, theirs: str, expected: bool) -> None:
    """Public addresses are, and private ones that begin as ours do."""
    assert is_within_reach(Address.parse(ours, 0).ip, Address.parse(theirs, 0).ip) is expected


def test_loopback() -> None:
    """Loopback addresses are paired with their like only."""
    assert is_same_machine(bytes([127, 0, 0, 1]))
    assert is_same_machine(bytes(15) + b"\x01")
    assert not is_same_machine(bytes([10, 0, 0, 1]))
