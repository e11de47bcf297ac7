"""A throw-away device: found under its ids, and called."""

from __future__ import annotations

from dataclasses import replace

from shoal.core import Compute, InfoHash
from shoal.crypto import Certificate
from shoal.dht import Value
from shoal.dht.contents import CERTIFICATE, CertificateValue
from shoal.identity.store import CertificateStore
from shoal.net.effects import SendSignal
from shoal.net.signalling import DHT_USER_TYPE, PeerRequest, peer_key
from shoal.node.account.effects import (
    DeliverSignal,
    DhtCancel,
    DhtGet,
    DhtListen,
    DhtPut,
    DhtSeal,
    DhtWithdraw,
    KeepChain,
)
from shoal.node.account.guest import GuestEngine
from shoal.sim import SeededEntropy
from tests.unit.node.people import WALL_NOW, device

OFFER = PeerRequest(7, "ufrag\npwd\n", False)


def guest() -> GuestEngine:
    """Return one."""
    certificate = device("guest").chain.certificate
    assert isinstance(certificate, Certificate)
    return GuestEngine(
        certificate,
        store=CertificateStore(),
        entropy=SeededEntropy(2),
        now=0.0,
        wall_offset=WALL_NOW,
    )


def test_it_publishes_its_chain_and_takes_offers() -> None:
    """Of anybody whose chain holds, once that was found."""
    engine, bob = guest(), device("bob").chain
    started = engine.start(0.0)
    puts = [each for each in started if isinstance(each, DhtPut)]
    listens = {each.key: each.op for each in started if isinstance(each, DhtListen)}
    assert {each.key for each in puts} == {engine.chain.short_id, engine.chain.device.infohash}
    assert not engine.is_published
    engine.dht_done(puts[0].op, True, 0.0)
    assert not engine.is_published, "an old device looks at one of the keys, and only once"
    engine.dht_done(puts[1].op, True, 0.0)
    assert engine.is_published

    sealed = Value(
        OFFER.packed(), id=5, user_type=DHT_USER_TYPE, owner=bob.spki, recipient=InfoHash(bytes(20))
    )
    op = listens[peer_key(engine.chain.device)]
    gets = [e for e in engine.values_found(op, (sealed,), 0.0) if isinstance(e, DhtGet)]
    chain = Value(CertificateValue(bob.certificate.to_pem().encode()).pack(), CERTIFICATE, 1)
    (job,) = engine.values_found(gets[0].op, (chain,), 0.0)
    assert isinstance(job, Compute)
    found = engine.computed(job.id, job.job(), 0.0)
    assert DeliverSignal(OFFER, bob, "dht/long") in found
    assert KeepChain(bob) in found

    (answer,) = engine.send_signal(
        SendSignal(1, bob, replace(OFFER, is_answer=True), "dht/long"), 0.0
    )
    assert isinstance(answer, DhtSeal)
    assert answer.key == peer_key(bob.device)
    stopped = engine.stop(1.0)
    assert {type(each) for each in stopped} == {DhtWithdraw, DhtCancel}


def test_what_nobody_took_is_put_anew() -> None:
    """And offers of those whose chain nobody has are dropped."""
    engine = guest()
    puts = [each for each in engine.start(0.0) if isinstance(each, DhtPut)]
    for put in puts:
        engine.dht_done(put.op, False, 0.0)
    deadline = engine.next_deadline()
    assert deadline is not None
    assert sum(isinstance(each, DhtPut) for each in engine.advance(deadline)) == 2
    assert engine.values_found(999, (), 0.0) == engine.values_expired(999, (), 0.0) == []
    assert engine.dht_done(999, True, 0.0) == engine.computed(999, None, 0.0) == []
