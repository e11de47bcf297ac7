"""Inboxes: requests in and out, once each, of those whose chain holds, and not too many."""

from __future__ import annotations

from dataclasses import replace

import pytest

from shoal.core import InfoHash, Persist
from shoal.dht import Value
from shoal.identity import TRUST_REQUEST_TYPE as REQUEST_TYPE
from shoal.identity import (
    CertificateStore,
    DeviceSync,
    TreatedIds,
    TrustRequest,
    parse_chain,
)
from shoal.node.account import inbox as module
from shoal.node.account.chains import Chains, check_real
from shoal.node.account.effects import (
    AnnouncedDevice,
    ChainFound,
    ChainMissing,
    DevicesFound,
    DeviceSyncArrived,
    DhtCancel,
    DhtGet,
    DhtListen,
    DhtSeal,
    TrustRequestArrived,
    TrustRequestDone,
    TrustRequestPut,
)
from shoal.node.account.inbox import MESSAGES_BURST, SAVE_AFTER, TRIES_MAX, Inbox, inbox_key
from shoal.node.account.operations import Clock, Operations
from shoal.node.account.presence import Presences
from shoal.node.errors import TooMuchAskedError
from tests.unit.node.people import WALL_NOW, device

ALICE, BOB = device("alice").chain, device("bob").chain
REQUEST = TrustRequest(payload=b"BEGIN:VCARD")


class Box:
    """Alice's inbox; she knows Bob's chain or not."""

    def __init__(self, *, knows_bob: bool = True, read: tuple[int, ...] = ()) -> None:
        self.operations = Operations()
        store = CertificateStore()
        for person in ("bob", "alice") if knows_bob else ():
            store.pin(device(person).credentials.identity.certificate)
            store.pin(device(person, 1).credentials.identity.certificate)
        self.chains = Chains(
            self.operations,
            Clock(WALL_NOW),
            store,
            parse=parse_chain,
            check=check_real,
            check_revocations=lambda _: None,
        )
        self.presences = Presences(self.operations, ALICE.account)
        self.part = Inbox(
            self.operations,
            self.chains,
            self.presences,
            ALICE.account,
            ALICE.short_id,
            TreatedIds(read),
        )
        (listen,) = self.part.start()
        assert isinstance(listen, DhtListen)
        assert listen.key == inbox_key(ALICE.short_id)
        self.op = listen.op

    def hear(self, *values: Value, now: float = 0.0) -> list[object]:
        """Let values come; chains that are known are handed over."""
        return self.settle(self.part.values_found(self.op, values, now))

    def settle(self, effects: list[object]) -> list[object]:
        """Answer what is asked of others at once."""
        out: list[object] = []
        for effect in effects:
            match effect:
                case ChainFound(op, chain) if op in self.part:
                    out += self.settle(self.part.chain_found(op, chain))
                case ChainMissing(op) if op in self.part:
                    out += self.settle(self.part.chain_missing(op))
                case _:
                    out.append(effect)
        return out


def sealed(data: bytes, kind: int = REQUEST_TYPE, value_id: int = 5, sender: bytes = b"") -> Value:
    """Return what Bob puts, as Alice sees it once it is decrypted."""
    return Value(
        data,
        kind,
        value_id,
        owner=sender or BOB.spki,
        recipient=ALICE.short_id,
        signature=b"checked below",
    )


def announced(of: str, number: int = 0) -> AnnouncedDevice:
    """Return a device that is online."""
    chain = device(of, number).chain
    return AnnouncedDevice(chain.short_id, chain.device, chain.spki)


def test_inboxes_are_where_jami_has_them() -> None:
    """By the short id; reference appendix A.2."""
    short_id = InfoHash.from_hex("c82c3032f8b2f82815834429742028cf963f27e1")
    assert inbox_key(short_id).hex() == "ab38c58bf0eeadd46dc57cbd1ea7160072804001"


def test_a_request_is_read_once() -> None:
    """Also after a restart; what was read is kept on disk a moment later."""
    box = Box()
    arrived = box.hear(sealed(REQUEST.pack()))
    assert arrived == [TrustRequestArrived(BOB, REQUEST)]
    assert box.hear(sealed(REQUEST.pack())) == []
    assert box.part.next_deadline() == SAVE_AFTER
    assert box.part.advance(0.5) == []
    (kept,) = box.part.advance(SAVE_AFTER)
    assert kept == Persist("readRequests", TreatedIds([5]).pack())
    assert box.part.next_deadline() is None
    assert Box(read=(5,)).hear(sealed(REQUEST.pack())) == []
    assert len(box.hear(sealed(REQUEST.pack(), value_id=6))) == 1


def test_state_of_own_devices_is_taken_and_no_one_else_s() -> None:
    """As 13.7 sends it beside its sync channel."""
    box = Box()
    sync = DeviceSync(7)
    second = device("alice", 1).chain
    told = box.hear(sealed(sync.pack(), 0, sender=second.spki))
    assert told == [DeviceSyncArrived(second, sync)]
    assert box.hear(sealed(sync.pack(), 0, value_id=8)) == []
    assert box.part.stats.unknown == 1


def test_what_is_no_request_is_counted_or_passed_over() -> None:
    """Junk, other types, values in clear, other listens."""
    box = Box()
    assert box.hear(sealed(b"junk")) == []
    assert box.hear(sealed(b"", 99)) == []
    assert box.hear(replace(sealed(REQUEST.pack()), recipient=None)) == []
    assert box.hear(replace(sealed(REQUEST.pack()), owner=None)) == []
    stats = box.part.stats
    assert (stats.received, stats.undecodable, stats.ignored) == (2, 1, 1)
    assert box.part.values_found(999, (sealed(REQUEST.pack()),), 0.0) == []
    assert box.part.values_expired(box.op, (sealed(REQUEST.pack()),), 0.0) == []


def test_who_proves_nothing_is_dropped() -> None:
    """After several searches at both of its places: a chain that was just put may be missed."""
    box = Box(knows_bob=False)
    effects = box.hear(sealed(REQUEST.pack()))
    for tries in range(1, TRIES_MAX + 1):
        assert box.part.stats.unknown == 0
        gets = [each for each in effects if isinstance(each, DhtGet)]
        assert len(gets) == 2, tries
        end = [e for get in gets for e in box.settle(box.chains.dht_done(get.op, True, 0.0))]
        assert end == []
        effects = box.part.advance(1_000.0 * tries)
    assert not any(isinstance(each, DhtGet) for each in effects)
    assert box.part.stats.unknown == 1


def test_a_flood_of_one_sender_is_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    """And of many, when too many wait."""
    box = Box()
    arrived = [box.hear(sealed(REQUEST.pack(), value_id=n)) for n in range(1, MESSAGES_BURST + 6)]
    assert sum(bool(each) for each in arrived) == MESSAGES_BURST
    assert box.part.stats.limited == 5
    monkeypatch.setattr(module, "WAITING_MAX", 0)
    assert Box().hear(sealed(REQUEST.pack())) == []


def test_each_announced_device_gets_the_request() -> None:
    """Sealed for its key; one that announced none is looked up; the end says how many have it."""
    box = Box()
    (asked,) = box.part.send(1, BOB.account, REQUEST, None, 0.0)
    assert isinstance(asked, DhtGet)
    assert asked.key == InfoHash(BOB.account)
    unnamed = replace(announced("bob", 1), device=None, spki=None)
    (found,) = box.presences.dht_done(asked.op, True, 0.0)
    assert isinstance(found, DevicesFound)
    assert found.op in box.part
    seals = box.settle(box.part.devices_found(found.op, (announced("bob"), unnamed), 0.0))
    first, second = (each for each in seals if isinstance(each, DhtSeal))
    assert {first.spki, second.spki} == {BOB.spki, device("bob", 1).chain.spki}
    assert first.key == inbox_key(BOB.short_id)
    assert TrustRequest.unpack(first.value.data) == REQUEST

    assert box.part.dht_done(first.op, True, 0.0) == [
        TrustRequestPut(1, BOB.account, BOB.short_id, True)
    ]
    put, done = box.part.dht_done(second.op, False, 0.0)
    assert put == TrustRequestPut(1, BOB.account, unnamed.short_id, False)
    assert done == TrustRequestDone(1, BOB.account, 1)
    assert box.part.dht_done(second.op, True, 0.0) == []


def test_nobody_online_ends_at_once() -> None:
    """And a device whose key nobody has is left out."""
    box = Box(knows_bob=False)
    (asked,) = box.part.send(1, BOB.account, REQUEST, None, 0.0)
    assert isinstance(asked, DhtGet)
    (found,) = box.presences.dht_done(asked.op, True, 0.0)
    assert isinstance(found, DevicesFound)
    assert box.part.devices_found(found.op, (), 0.0) == [TrustRequestDone(1, BOB.account, 0)]
    assert box.part.devices_found(found.op, (), 0.0) == []

    (get,) = box.part.send(2, BOB.account, REQUEST, BOB.short_id, 0.0)
    assert isinstance(get, DhtGet)
    end = box.settle(box.chains.dht_done(get.op, True, 0.0))
    assert end == [TrustRequestDone(2, BOB.account, 0)]


def test_one_device_may_be_meant() -> None:
    """That which has just appeared; of which the key is known by its announcement."""
    box = Box()
    (seal,) = box.settle(box.part.send(1, BOB.account, REQUEST, BOB.short_id, 0.0))
    assert isinstance(seal, DhtSeal)
    assert seal.spki == BOB.spki


def test_requests_under_way_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """The rest is sent when devices appear."""
    monkeypatch.setattr(module, "SENDINGS_MAX", 0)
    with pytest.raises(TooMuchAskedError):
        Box().part.send(1, BOB.account, REQUEST, None, 0.0)


def test_stopping_forgets_what_is_under_way() -> None:
    """Late answers find nobody."""
    box = Box(knows_bob=False)
    box.hear(sealed(REQUEST.pack()))
    cancelled = [each.op for each in box.part.stop() if isinstance(each, DhtCancel)]
    assert box.op in cancelled
    assert len(cancelled) == 3
    assert box.part.stop() == []
