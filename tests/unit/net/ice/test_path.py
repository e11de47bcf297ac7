"""What kind of path a pair is."""

from __future__ import annotations

import pytest

from shoal.net.ice.candidates import Candidate
from shoal.net.ice.path import IcePath, PathKind


@pytest.mark.parametrize(
    ("local", "remote", "expected"),
    [
        ("10.0.0.1 9 typ host", "10.0.0.2 99 typ host", PathKind.LAN),
        ("10.0.0.1 9 typ host", "44.1.2.3 99 typ srflx", PathKind.DIRECT),
        ("44.1.2.4 9 typ host", "44.1.2.3 99 typ prflx", PathKind.DIRECT),
        ("10.0.0.1 9 typ host", "10.0.0.9 99 typ relay", PathKind.RELAYED),
        ("44.1.2.4 9 typ relay", "44.1.2.3 99 typ prflx", PathKind.RELAYED),
    ],
)
def test_kinds(local: str, remote: str, expected: PathKind) -> None:
    """By the addresses, and by whether a relay is one of them."""
    path = IcePath(
        1,
        Candidate.parse(f"L 1 TCP 1 {local} tcptype active"),
        Candidate.parse(f"R 1 TCP 1 {remote} tcptype passive"),
        0.1,
        is_incoming=False,
        steps=(),
        pairs=(),
    )
    assert path.kind is expected
