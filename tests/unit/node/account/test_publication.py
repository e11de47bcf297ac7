"""What a device publishes, in which order, and again where nobody took it."""

from __future__ import annotations

import pytest

from shoal.core import InfoHash
from shoal.dht import Value
from shoal.node.account.effects import DhtPut, DhtWithdraw, Published
from shoal.node.account.operations import Operations
from shoal.node.account.publication import RETRY_FIRST, RETRY_MAX, Publication
from shoal.sim import SeededEntropy
from tests.unit.node.people import device

ACCOUNT = InfoHash(device("alice").chain.account)
ANNOUNCEMENT = Value(b"here", owner=b"key", signature=b"signed")


@pytest.fixture
def publication() -> Publication:
    """Of a device that wants to be announced."""
    return Publication(
        Operations(),
        SeededEntropy(1),
        device("alice").chain.certificate,
        account=ACCOUNT,
        announcement=ANNOUNCEMENT,
    )


def puts(effects: list[object]) -> list[DhtPut]:
    """The puts among *effects*."""
    return [each for each in effects if isinstance(each, DhtPut)]


def test_the_announcement_waits_for_the_chain(publication: Publication) -> None:
    """One of its two places is enough if nobody takes the other; it gets an id of its own."""
    first, second = puts(publication.start(0.0))
    assert {first.key, second.key} == {
        device("alice").chain.short_id,
        device("alice").chain.device.infohash,
    }
    assert publication.dht_done(first.op, False, 0.0) == []
    assert not publication.is_chain_out
    (announced,) = puts(publication.dht_done(second.op, True, 0.0))
    assert publication.is_chain_out
    assert announced.key == ACCOUNT
    assert announced.is_permanent
    assert announced.value.id
    assert not publication.is_announced
    assert publication.dht_done(announced.op, True, 0.0) == [Published(True)]
    assert publication.is_announced
    assert publication.dht_done(announced.op, True, 0.0) == [], "it was told already"


def test_the_announcement_waits_for_both_places(publication: Publication) -> None:
    """Either generation of Jami asks at one of them, and not again."""
    first, second = puts(publication.start(0.0))
    assert publication.dht_done(second.op, True, 0.0) == []
    assert not publication.is_chain_out
    (announced,) = puts(publication.dht_done(first.op, True, 0.0))
    assert announced.key == ACCOUNT


def test_what_nobody_took_is_put_anew_with_growing_waits(publication: Publication) -> None:
    """And at once when the network is back."""
    first, second = puts(publication.start(0.0))
    publication.dht_done(first.op, True, 0.0)
    publication.dht_done(second.op, False, 0.0)
    wait, now = RETRY_FIRST, 0.0
    for _ in range(8):
        assert publication.next_deadline() == now + wait
        assert publication.advance(now + wait - 0.1) == []
        now += wait
        withdrawn, again = publication.advance(now)
        assert withdrawn == DhtWithdraw(second.key, 1)
        assert isinstance(again, DhtPut)
        publication.dht_done(again.op, False, now)
        wait = min(2 * wait, RETRY_MAX)
    (last,) = puts(publication.connected())
    publication.dht_done(last.op, True, now)
    assert publication.next_deadline() is None
    assert publication.connected() == []


def test_being_hidden_and_shown_again(publication: Publication) -> None:
    """Withdrawing needs no answer; each announcement has another id."""
    first, second = puts(publication.start(0.0))
    publication.dht_done(first.op, True, 0.0)
    (announced,) = puts(publication.dht_done(second.op, True, 0.0))
    publication.dht_done(announced.op, True, 0.0)

    assert publication.announce(None) == [
        DhtWithdraw(ACCOUNT, announced.value.id),
        Published(False),
    ]
    (again,) = puts(publication.announce(ANNOUNCEMENT))
    assert again.value.id != announced.value.id


def test_a_newer_list_takes_the_place_of_the_older(publication: Publication) -> None:
    """Before the chain is there it waits; it is urgent, and plain."""
    assert publication.revoke(b"der-1") == []
    first, second = puts(publication.start(0.0))
    publication.dht_done(first.op, True, 0.0)
    listed = puts(publication.dht_done(second.op, True, 0.0))[-1]
    assert (listed.key, listed.value.data, listed.value.priority) == (ACCOUNT, b"\xc4\x05der-1", 1)

    withdrawn, newer = publication.revoke(b"der-2")

    assert withdrawn == DhtWithdraw(ACCOUNT, listed.value.id)
    assert isinstance(newer, DhtPut)
    assert newer.value.id != listed.value.id


def test_stopping_withdraws_everything(publication: Publication) -> None:
    """Late answers find nobody."""
    first, second = puts(publication.start(0.0))
    publication.dht_done(first.op, True, 0.0)
    (announced,) = puts(publication.dht_done(second.op, True, 0.0))

    withdrawn = publication.stop()

    keys = {each.key for each in withdrawn if isinstance(each, DhtWithdraw)}
    assert keys == {first.key, second.key, ACCOUNT}
    assert publication.dht_done(announced.op, True, 0.0) == []
    assert publication.values_found(1, (), 0.0) == publication.values_expired(1, (), 0.0) == []


def test_a_guest_publishes_its_chain_alone() -> None:
    """It has no account to be announced for."""
    guest = Publication(Operations(), SeededEntropy(1), device("bob").chain.certificate)
    first, second = puts(guest.start(0.0))
    assert guest.dht_done(first.op, True, 0.0) == guest.dht_done(second.op, True, 0.0) == []
    assert guest.is_chain_out
