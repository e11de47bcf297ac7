"""Requests that wait."""

from __future__ import annotations

from dataclasses import replace

from shoal.core import Persist
from shoal.identity.contact import StoredRequest
from shoal.identity.effects import RequestReceived, RequestRemoved
from shoal.identity.waiting import DECLINED_MAX, WaitingRequests
from shoal.identity.wire.contacts import REQUESTS_MAX, pack_requests
from tests.unit.identity.samples import CONVERSATIONS, account_id

BOB = account_id(1)
REQUEST = StoredRequest(b"key", CONVERSATIONS[0], 5000, b"card", 100)


def test_the_newest_request_of_an_account_waits() -> None:
    """By when it was issued, where both say so; one that says nothing new is counted."""
    waiting = WaitingRequests()
    assert waiting.received(BOB, REQUEST) == [
        Persist("incomingTrustRequests", pack_requests({BOB: REQUEST})),
        RequestReceived(BOB, REQUEST),
    ]

    older = replace(REQUEST, invited_ms=99, payload=b"older")
    newer = replace(REQUEST, invited_ms=101, payload=b"newer")
    assert waiting.received(BOB, replace(REQUEST, spki=b"other device")) == []
    assert waiting.received(BOB, older) == []
    assert waiting.stats.repeated == 2
    assert waiting.received(BOB, newer)[-1] == RequestReceived(BOB, newer)
    assert waiting.items == {BOB: newer}


def test_what_was_declined_is_known_again() -> None:
    """By when it was issued; where that is unknown, somebody asks anew."""
    waiting = WaitingRequests({BOB: REQUEST})
    assert waiting.decline(BOB, 6000)[-1] == RequestRemoved(BOB)
    assert waiting.received(BOB, replace(REQUEST, received_ms=10**12)) == []
    assert waiting.received(BOB, replace(REQUEST, invited_ms=101)) != []

    waiting.decline(BOB, 6000)
    undated = replace(REQUEST, invited_ms=0)
    assert waiting.received(BOB, undated)[-1] == RequestReceived(BOB, undated)


def test_strangers_cannot_push_out_what_waits() -> None:
    """When the list is full the next one is not taken; one that waits may still change."""
    crowd = {account_id(n + 1): replace(REQUEST, invited_ms=n) for n in range(REQUESTS_MAX)}
    waiting = WaitingRequests(crowd)

    assert waiting.received(account_id(9999), REQUEST) == []
    assert waiting.stats.over_limit == 1
    assert waiting.received(BOB, replace(REQUEST, payload=b"new")) != []


def test_what_came_here_is_better_than_what_is_told() -> None:
    """Other devices send no payload."""
    waiting = WaitingRequests({BOB: REQUEST})

    assert waiting.synced(BOB, REQUEST) == []
    waiting.decline(BOB, 6000)
    assert waiting.synced(BOB, REQUEST) == [], "declined later than it was received"
    assert waiting.synced(BOB, replace(REQUEST, received_ms=6001)) != []


def test_dropping_and_forgetting() -> None:
    """The oldest that were declined may be shown again."""
    waiting = WaitingRequests({BOB: REQUEST})
    waiting.decline(BOB, 6000)
    for number in range(2, DECLINED_MAX + 2):
        waiting.items[account_id(number)] = REQUEST
        waiting.decline(account_id(number), 6000)

    assert waiting.drop(BOB) == []
    assert waiting.received(BOB, REQUEST) != []
    assert waiting.received(account_id(2), REQUEST) == []
