"""The text of candidates: Jami's, round trips, and any text at all."""

from __future__ import annotations

from typing import Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shoal.core import Address, DecodeError
from shoal.net.ice.candidates import (
    REMOTE_CANDIDATES_MAX,
    Candidate,
    CandidateType,
    IceDescription,
    TcpType,
    Transport,
    foundation,
    priority,
)

# What a 13.7 wrote (reference 5.4).
SAMPLE: Final = """\
5ac87e74
25e685ff248bb72e127eef70
Ha4e0003 1 TCP 2130706431 10.78.0.3 42817 typ host tcptype passive
Ha4e0003 1 TCP 2130706175 10.78.0.3 9 typ host tcptype active
Sa4e0003 1 TCP 1694498303 10.78.0.3 9 typ srflx tcptype active
Ra4e0001 1 TCP 16777215 10.78.0.1 51005 typ relay tcptype passive
"""


def test_sample_of_jami() -> None:
    """Read, and written as it was."""
    description = IceDescription.parse(SAMPLE)

    assert (description.ufrag, description.pwd) == ("5ac87e74", "25e685ff248bb72e127eef70")
    assert description.candidates[3] == Candidate(
        "Ra4e0001",
        1,
        Transport.TCP,
        16777215,
        Address.parse("10.78.0.1", 51005),
        CandidateType.RELAY,
        TcpType.PASSIVE,
    )
    assert description.to_text() == SAMPLE
    assert IceDescription.parse(SAMPLE.encode()) == description


def test_numbers_of_the_sample() -> None:
    """Priorities and foundations are computed as 13.7 does."""
    ip = Address.parse("10.78.0.3", 0).ip
    assert priority(CandidateType.HOST, 65_535) == 2_130_706_431
    assert priority(CandidateType.HOST, 65_534) == 2_130_706_175
    assert priority(CandidateType.SRFLX, 65_533) == 1_694_498_303
    assert priority(CandidateType.RELAY, 65_535) == 16_777_215
    assert priority(CandidateType.PRFLX, 65_535) == 0x6EFFFFFF
    assert priority(CandidateType.PRFLX, 65_534) == 0x6EFFFEFF
    assert foundation(CandidateType.HOST, ip) == "Ha4e0003"
    assert foundation(CandidateType.SRFLX, ip) == "Sa4e0003"
    assert len(foundation(CandidateType.RELAY, bytes(15) + b"\x09")) <= 9


def test_lines_that_are_left_out() -> None:
    """Empty, malformed and unknown lines are skipped, other line ends are taken."""
    text = (
        "\nufrag\r\n\npwd\r\n"
        "H1 1 TCP 1 10.0.0.1 5 typ host tcptype passive\r\n"
        "H1 1 TCP 1 10.0.0.1 5 typ host tcptype passive\r\n"  # twice
        "H1 1 UDP 1 10.0.0.1 5 typ host\n"
        "H1 1 TCP 1 2001:db8::1 5 typ srflx raddr 10.0.0.1 rport 9 tcptype so\n"
        "H1 1 TCP 1 10.0.0.1 5 typ host\n"  # no tcptype
        "H1 1 TCP 1 10.0.0.1 5 typ magic tcptype passive\n"
        "H1 1 TCP 1 10.0.0.1 0 typ host tcptype passive\n"
        "H1 0 TCP 1 10.0.0.1 5 typ host tcptype passive\n"
        "H1 1 SCTP 1 10.0.0.1 5 typ host\n"
        "H1 1 TCP 99999999999 10.0.0.1 5 typ host tcptype passive\n"
        "H1 1 TCP x 10.0.0.1 5 typ host tcptype passive\n"
        "H1 1 TCP 1 example.org 5 typ host tcptype passive\n"
        "H1 1 TCP 1 10.0.0.1 5 typ host tcptype\n"
        f"{'F' * 32} 1 TCP 1 10.0.0.1 5 typ host tcptype passive\n"
        "nonsense\n"
    )
    found = IceDescription.parse(text)

    assert [each.transport for each in found.candidates] == [
        Transport.TCP,
        Transport.UDP,
        Transport.TCP,
    ]
    assert found.candidates[1].tcp_type is None
    assert found.candidates[2].tcp_type is TcpType.SIMULTANEOUS


def test_no_more_than_jami_keeps() -> None:
    """The rest of a long list is left out."""
    lines = [f"H1 1 UDP 1 10.0.0.1 {port} typ host" for port in range(1, 100)]
    found = IceDescription.parse("\n".join(["u", "p", *lines]))
    assert len(found.candidates) == REMOTE_CANDIDATES_MAX


@pytest.mark.parametrize(
    "text", ["", "only\n", "a b\nc\n", "a:b\nc\n", "ü\nc\n", "u" * 300 + "\np\n", "x" * 20_000]
)
def test_no_credentials(text: str) -> None:
    """Without ufrag and pwd nothing can be checked."""
    with pytest.raises(DecodeError):
        IceDescription.parse(text)


@given(st.binary(max_size=300) | st.text(max_size=300))
def test_any_text(text: bytes | str) -> None:
    """Any text is a description or a DecodeError, and what was read is written the same."""
    try:
        description = IceDescription.parse(text)
    except DecodeError:
        return
    assert IceDescription.parse(description.to_text()) == description


FIELDS: Final = st.sampled_from(
    ["H1", "1", "TCP", "UDP", "7", "10.0.0.1", "::1", "9", "typ", "host", "tcptype", "so", "-1", ""]
)


@given(st.lists(FIELDS, max_size=12).map(" ".join))
def test_any_line(line: str) -> None:
    """The same for one line, of words that nearly fit."""
    try:
        candidate = Candidate.parse(line)
    except DecodeError:
        return
    assert Candidate.parse(candidate.to_text()) == candidate
