"""Which conversations there are: ours, those we left, and invitations; two devices agree."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from shoal.core import AccountId, ConversationId, Persist
from shoal.swarm import book as module
from shoal.swarm.book import ConversationBook
from shoal.swarm.effects import ConversationGone, RequestArrived, RequestGone
from shoal.swarm.records import (
    REQUESTS_BYTES_MAX,
    REQUESTS_PER_SENDER,
    ConversationInfo,
    ConversationRequest,
)

if TYPE_CHECKING:
    import pytest

ONE, OTHER = ConversationId(bytes(20)), ConversationId(bytes([1]) * 20)
INFO = ConversationInfo(ONE, 1_000)
REQUEST = ConversationRequest(OTHER, AccountId(bytes(20)), received_ms=1_000)


def make() -> ConversationBook:
    """A book without entries."""
    return ConversationBook({}, {})


def events(effects: list[object]) -> list[object]:
    """What is told, without what is written."""
    return [effect for effect in effects if not isinstance(effect, Persist)]


def test_a_life() -> None:
    """In it, out of it, erased; each change is kept."""
    book = make()
    assert isinstance(book.add(INFO)[0], Persist)
    assert book.is_in(ONE)
    assert events([*book.leave(ONE, 500)]) == [ConversationGone(ONE)]
    assert not book.is_in(ONE)
    assert book.is_to_be_erased(ONE)
    book.erase(ONE, 2_000)
    assert not book.is_to_be_erased(ONE)
    assert not book.is_to_be_erased(OTHER)


def test_invitations() -> None:
    """Taken once, not to where we are, and not without end."""
    book = make()
    assert events([*book.add_request(REQUEST)]) == [RequestArrived(REQUEST)]
    assert book.add_request(REQUEST) == []
    assert events([*book.drop_request(OTHER)]) == [RequestGone(OTHER)]
    assert book.drop_request(OTHER) == []
    book.add(INFO)
    assert book.add_request(replace(REQUEST, conversation=ONE)) == []


def test_too_many_invitations(monkeypatch: pytest.MonkeyPatch) -> None:
    """What strangers send has a bound."""
    monkeypatch.setattr(module, "REQUESTS_MAX", 1)
    book = make()
    book.add_request(REQUEST)
    assert book.add_request(replace(REQUEST, conversation=ONE)) == []


def test_another_device_joins_and_leaves() -> None:
    """What it has we have; what it left we left; its answer to an invitation is ours."""
    book = make()
    book.add_request(REQUEST)
    accepted = ConversationInfo(OTHER, 2_000)
    assert events([*book.merge(accepted)]) == [RequestGone(OTHER)]
    assert book.merge(accepted) == []
    left = replace(accepted, removed_ms=3_000)
    assert events([*book.merge(left)]) == [ConversationGone(OTHER)]
    assert events([*book.merge(replace(left, removed_ms=4_000))]) == []


def test_another_device_hears_and_declines() -> None:
    """An invitation that it has heard of is ours, too, until it is declined there."""
    book = make()
    assert events([*book.merge_request(REQUEST)]) == [RequestArrived(REQUEST)]
    early = replace(REQUEST, declined_ms=500)
    assert book.merge_request(early) == []
    declined = replace(REQUEST, declined_ms=2_000)
    assert events([*book.merge_request(declined)]) == [RequestGone(OTHER)]
    assert book.merge_request(declined) == []


def test_one_flooder_keeps_nobody_out() -> None:
    """Its own oldest go; others' stay and come in; the file stays small, without its pictures."""
    book, honest = make(), ConversationRequest(OTHER, AccountId(b"h" * 20), received_ms=1_000)
    book.add_request(honest)
    flooder, picture = AccountId(b"f" * 20), (("avatar", "x" * 600_000), ("title", "t"))
    for number in range(5 * REQUESTS_PER_SENDER):
        identifier = ConversationId((number + 1).to_bytes(20))
        found = book.add_request(ConversationRequest(identifier, flooder, picture, 1_000))
    assert any(isinstance(effect, RequestGone) for effect in found)

    assert len(book.requests) == REQUESTS_PER_SENDER + 1
    assert book.requests[OTHER] == honest
    assert sum(each.size for each in book.requests.values()) <= REQUESTS_BYTES_MAX
    assert dict(book.requests[identifier].metadata)["title"] == "t"


def test_what_was_declined_is_kept_without_pictures() -> None:
    """Declined here or elsewhere: however many there are, the file can be read again."""
    book, picture = make(), (("avatar", "x" * 100_000), ("title", "t"))
    book.add_request(replace(REQUEST, metadata=picture))
    book.decline(OTHER, 2_000)
    book.merge_request(replace(REQUEST, conversation=ONE, metadata=picture, declined_ms=2_000))

    assert [each.metadata for each in book.declined.values()] == [(("title", "t"),)] * 2
    assert book.declined[OTHER].declined_ms == 2_000
