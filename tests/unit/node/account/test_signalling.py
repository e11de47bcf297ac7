"""Offers and answers over the DHT: where they go, whose are taken, how many."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from shoal.dht import Value
from shoal.identity import parse_chain
from shoal.identity.errors import RevokedError
from shoal.identity.store import CertificateStore
from shoal.net.effects import SendSignal
from shoal.net.signalling import DHT_USER_TYPE, PeerRequest, peer_key
from shoal.node.account import signalling as module
from shoal.node.account.chains import Chains, check_real
from shoal.node.account.effects import (
    ChainFound,
    ChainMissing,
    DeliverSignal,
    DhtCancel,
    DhtGet,
    DhtListen,
    DhtSeal,
    FailSignal,
)
from shoal.node.account.operations import Clock, Operations
from shoal.node.account.signalling import (
    LONG_ROUTE,
    REQUESTS_BURST,
    SHORT_ROUTE,
    TRIES_MAX,
    DhtSignalling,
)
from shoal.node.errors import DeviceNotFoundError
from tests.unit.node.people import WALL_NOW, device

if TYPE_CHECKING:
    from shoal.core import InfoHash

ALICE, BOB = device("alice").chain, device("bob").chain
ANSWER_PATIENCE = 30.0  # seconds: dhtnet connectionmanager.cpp, DHT_MSG_TIMEOUT
OFFER = PeerRequest(7, "ufrag\npwd\n", False, "sync")


class Carrier:
    """Alice's signalling, which knows Bob's chain or not."""

    def __init__(self, *, knows_bob: bool = True) -> None:
        self.operations = Operations()
        store = CertificateStore()
        if knows_bob:
            store.pin(device("bob").credentials.identity.certificate)
        self.chains = Chains(
            self.operations,
            Clock(WALL_NOW),
            store,
            parse=parse_chain,
            check=check_real,
            check_revocations=lambda _: None,
        )
        self.part = DhtSignalling(self.operations, self.chains, ALICE.device, ALICE.short_id)
        self.listens = {
            each.key: each.op for each in self.part.start() if isinstance(each, DhtListen)
        }

    def hear(self, key: InfoHash, *values: Value, now: float = 0.0) -> list[object]:
        """Let values come at *key*; chains that are known are handed over."""
        out: list[object] = []
        for effect in self.part.values_found(self.listens[key], values, now):
            if isinstance(effect, ChainFound):
                out += self.part.chain_found(effect.op, effect.chain)
            else:
                out.append(effect)
        return out


def sealed(request: PeerRequest = OFFER) -> Value:
    """Return what Bob puts, as Alice sees it once it is decrypted."""
    return Value(
        request.packed(),
        id=5,
        user_type=DHT_USER_TYPE,
        owner=BOB.spki,
        recipient=ALICE.short_id,
        signature=b"checked below",
    )


def test_both_keys_are_listened_to_and_each_is_a_route() -> None:
    """So the answer goes back the way the offer came."""
    alice = Carrier()
    long, short = peer_key(ALICE.device), peer_key(ALICE.short_id)
    assert set(alice.listens) == {long, short}
    assert alice.hear(long, sealed()) == [DeliverSignal(OFFER, BOB, LONG_ROUTE)]
    assert alice.hear(short, sealed()) == [DeliverSignal(OFFER, BOB, SHORT_ROUTE)]
    assert alice.part.stats.delivered == 2


@pytest.mark.parametrize(
    ("route", "keys"),
    [
        ("", [peer_key(BOB.device), peer_key(BOB.short_id)]),
        ("some other carrier", [peer_key(BOB.device), peer_key(BOB.short_id)]),
        (LONG_ROUTE, [peer_key(BOB.device)]),
        (SHORT_ROUTE, [peer_key(BOB.short_id)]),
    ],
)
def test_offers_go_to_both_keys_and_answers_to_one(route: str, keys: list[InfoHash]) -> None:
    """Sealed for the device, of the type that Jami looks for."""
    alice = Carrier()
    seals = [e for e in alice.part.send(SendSignal(3, BOB, OFFER, route)) if isinstance(e, DhtSeal)]
    assert [each.key for each in seals] == keys
    assert {each.value.user_type for each in seals} == {DHT_USER_TYPE}
    assert {each.spki for each in seals} == {BOB.spki}
    assert PeerRequest.unpack(seals[0].value.data) == OFFER


def test_a_failure_is_told_if_no_key_could_be_written() -> None:
    """One of two is enough."""
    alice = Carrier()
    first, second = (e for e in alice.part.send(SendSignal(3, BOB, OFFER, "")))
    assert isinstance(first, DhtSeal)
    assert isinstance(second, DhtSeal)
    assert alice.part.dht_done(first.op, True, 0.0) == []
    assert alice.part.dht_done(second.op, False, 0.0) == []
    first, second = (e for e in alice.part.send(SendSignal(4, BOB, OFFER, "")))
    assert isinstance(first, DhtSeal)
    assert isinstance(second, DhtSeal)
    assert alice.part.dht_done(first.op, False, 0.0) == []
    (failed,) = alice.part.dht_done(second.op, False, 0.0)
    assert isinstance(failed, FailSignal)
    assert failed.attempt == 4
    assert alice.part.stats.unsent == 1
    assert alice.part.dht_done(second.op, True, 0.0) == []


def test_who_proves_nothing_is_dropped() -> None:
    """After its chain was sought; everything else before."""
    alice = Carrier(knows_bob=False)
    key = peer_key(ALICE.device)
    gets = [e for e in alice.hear(key, sealed()) if isinstance(e, DhtGet)]
    assert len(gets) == 2
    now = 0.0
    for tries in range(1, TRIES_MAX + 1):
        missing: list[object] = []
        for get in gets:
            missing += alice.chains.dht_done(get.op, True, now)
        (end,) = missing
        assert isinstance(end, ChainMissing)
        assert isinstance(end.error, DeviceNotFoundError)
        assert alice.part.chain_missing(end.op, end.error) == []
        assert alice.part.chain_missing(end.op, end.error) == []
        assert alice.part.chain_found(end.op, BOB) == []
        assert alice.part.stats.unknown == (tries == TRIES_MAX)
        deadline = alice.part.next_deadline()
        if deadline is not None:
            assert alice.part.advance(deadline - 0.1) == []
            now = deadline
            gets = [e for e in alice.part.advance(deadline) if isinstance(e, DhtGet)]
    assert alice.part.next_deadline() is None
    assert now < ANSWER_PATIENCE


def test_a_chain_that_does_not_hold_is_not_looked_for_again() -> None:
    """The DHT will not have a better one."""
    alice = Carrier(knows_bob=False)
    key = peer_key(ALICE.device)
    gets = [each for each in alice.hear(key, sealed()) if isinstance(each, DhtGet)]
    ends = [end for get in gets for end in alice.chains.dht_done(get.op, True, 0.0)]
    (end,) = ends
    assert isinstance(end, ChainMissing)
    assert alice.part.chain_missing(end.op, RevokedError("revoked")) == []
    assert alice.part.stats.unknown == 1
    assert alice.part.next_deadline() is None


def test_what_is_no_offer_is_counted_or_passed_over() -> None:
    """Junk, other types, values that nobody signed."""
    alice = Carrier()
    key = peer_key(ALICE.device)
    values = (
        replace(sealed(), data=b"junk"),
        replace(sealed(), user_type="other"),
        replace(sealed(), owner=None),
    )
    assert alice.hear(key, *values) == []
    assert alice.part.stats.undecodable == 1
    assert alice.part.stats.received == 1
    assert alice.part.values_found(999, (sealed(),), 0.0) == []
    assert alice.part.values_expired(999, (sealed(),), 0.0) == []


def test_a_flood_of_one_sender_is_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    """Before anything is computed for it."""
    alice = Carrier()
    key = peer_key(ALICE.device)
    delivered = [alice.hear(key, sealed()) for _ in range(REQUESTS_BURST + 5)]
    assert sum(bool(each) for each in delivered) == REQUESTS_BURST
    assert alice.part.stats.limited == 5

    monkeypatch.setattr(module, "WAITING_MAX", 0)
    assert Carrier().hear(key, sealed()) == []


def test_stopping_forgets_what_waits() -> None:
    """Listens end, searches too."""
    alice = Carrier(knows_bob=False)
    alice.hear(peer_key(ALICE.device), sealed())
    cancelled = [each.op for each in alice.part.stop() if isinstance(each, DhtCancel)]
    assert set(alice.listens.values()) <= set(cancelled)
    assert len(cancelled) == 4
    assert alice.part.stop() == []
