"""Who did what, and why it was not taken: in the log, once, in one line."""

from __future__ import annotations

import logging

import pytest

from shoal.core import AccountId, CommitId, ConversationId, DeviceId
from shoal.node.driver.refusals import KNOWN_MAX, LOGGED_MAX, RefusalLog
from shoal.swarm.effects import ALL_REFUSED, REFUSED_BEFORE, FetchEnded, MessagesRefused
from shoal.swarm.refusals import Refused

GROUP, MALLORY = ConversationId(b"g" * 20), AccountId(b"m" * 20)
PHONE, LAPTOP = DeviceId(b"p" * 32), DeviceId(b"l" * 32)


def commit(number: int) -> CommitId:
    """A commit, by number."""
    return CommitId(number.to_bytes(20))


@pytest.fixture
def lines(caplog: pytest.LogCaptureFixture) -> pytest.LogCaptureFixture:
    """What is in the log."""
    caplog.set_level(logging.INFO)
    return caplog


def warnings(lines: pytest.LogCaptureFixture) -> list[str]:
    """The warnings so far, which are forgotten."""
    found = [each.getMessage() for each in lines.records if each.levelno == logging.WARNING]
    lines.clear()
    return found


def test_commits_that_are_refused(lines: pytest.LogCaptureFixture) -> None:
    """Member, device, commit and rule; not again for the same commit, but for another reason."""
    log, rule = RefusalLog(), "its signature is not by its author"
    event = MessagesRefused(GROUP, PHONE, (Refused(commit(1), rule),), MALLORY)
    log.tell(event)
    (line,) = warnings(lines)
    assert all(str(each) in line for each in (GROUP, MALLORY, PHONE, commit(1), rule))

    again = MessagesRefused(GROUP, LAPTOP, (Refused(commit(1), REFUSED_BEFORE),), MALLORY)
    for each in (event, again, event):
        log.tell(each)
    assert warnings(lines) == []
    log.tell(MessagesRefused(GROUP, PHONE, (Refused(commit(1), "no git object"),), None))
    (line,) = warnings(lines)
    assert "nobody known" in line


def test_floods_are_counted(lines: pytest.LogCaptureFixture) -> None:
    """One fetch brings some lines, and how many there would be more; what is known is bounded."""
    log = RefusalLog()
    many = tuple(Refused(commit(number), "why") for number in range(KNOWN_MAX + 1))
    log.tell(MessagesRefused(GROUP, PHONE, many, MALLORY))
    found = warnings(lines)
    assert len(found) == LOGGED_MAX + 1
    assert str(len(many) - LOGGED_MAX) in found[-1]
    log.tell(MessagesRefused(GROUP, PHONE, many[-9:], MALLORY))
    assert warnings(lines) == []
    log.tell(MessagesRefused(GROUP, PHONE, many[:1], MALLORY))  # forgotten
    assert len(warnings(lines)) == 1


def test_fetches_that_fail(lines: pytest.LogCaptureFixture) -> None:
    """What no honest device does is a warning, the first time; the rest is news of the network."""
    log = RefusalLog()
    bad = FetchEnded(GROUP, PHONE, "neither ACK nor NAK", MALLORY, is_peers_fault=True)
    for _ in range(3):
        log.tell(bad)
    log.tell(FetchEnded(GROUP, PHONE, "it could not be reached", MALLORY))
    log.tell(FetchEnded(GROUP, PHONE, ALL_REFUSED, MALLORY, is_peers_fault=True))
    assert len(lines.records) == 5
    (line,) = warnings(lines)
    assert all(str(each) in line for each in (GROUP, MALLORY, PHONE, "neither ACK nor NAK"))


def test_a_line_stays_a_line(lines: pytest.LogCaptureFixture) -> None:
    """Words that a peer chose forge no other lines, and are not endless."""
    log = RefusalLog()
    reason = "the peer refuses: \n! forged \x1b[2J" + "x" * 10_000
    log.tell(FetchEnded(GROUP, PHONE, reason, MALLORY, is_peers_fault=True))
    (line,) = warnings(lines)
    assert line.isprintable()
    assert len(line) < 600
