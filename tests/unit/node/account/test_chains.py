"""Chains: known, found at either place, checked, refused, bounded."""

from __future__ import annotations

import pytest

from shoal.core import Compute, InfoHash, ShoalError
from shoal.dht import Value
from shoal.dht.contents import CERTIFICATE, CertificateValue
from shoal.identity import DeviceChain, parse_chain
from shoal.identity.errors import ExpiredError, RevokedError, WrongAccountError
from shoal.identity.store import CertificateStore
from shoal.node.account import chains as module
from shoal.node.account.chains import MISSING_KEPT, Chains, DeviceName, check_real
from shoal.node.account.effects import ChainFound, ChainMissing, DhtCancel, DhtGet, KeepChain
from shoal.node.account.operations import Clock, Operations
from shoal.node.errors import DeviceNotFoundError, TooMuchAskedError
from tests.unit.node.people import WALL_NOW, device

ALICE = device("alice").chain
NAME = DeviceName(ALICE.device, ALICE.short_id)
YEARS = 11 * 365 * 86_400.0


class World:
    """Chains, and what is revoked."""

    def __init__(self) -> None:
        self.operations = Operations()
        self.store = CertificateStore()
        self.revoked: set[bytes] = set()
        self.chains = Chains(
            self.operations,
            Clock(WALL_NOW),
            self.store,
            parse=parse_chain,
            check=check_real,
            check_revocations=self._check,
        )

    def _check(self, chain: DeviceChain) -> None:
        if chain.device in self.revoked:
            raise RevokedError("revoked")


def value(of: DeviceChain) -> Value:
    """Return what publishes a chain."""
    return Value(CertificateValue(of.certificate.to_pem().encode()).pack(), CERTIFICATE, 1)


def run(world: World, effects: list[object], now: float = 0.0) -> list[object]:
    """Do the jobs among *effects*; return the rest, and what comes of them."""
    out: list[object] = []
    for effect in effects:
        if isinstance(effect, Compute):
            assert world.operations.end_job(effect.id) is world.chains
            out += run(world, world.chains.computed(effect.id, effect.job(), now), now)
        else:
            out.append(effect)
    return out


@pytest.fixture
def world() -> World:
    """An empty one."""
    return World()


def test_it_is_sought_at_both_places(world: World) -> None:
    """The first that holds ends the search; then it is known, by each of its ids."""
    long, short = world.chains.find(9, NAME, 0.0)
    assert isinstance(long, DhtGet)
    assert isinstance(short, DhtGet)
    assert (long.key, short.key, long.is_raw) == (ALICE.device.infohash, ALICE.short_id, True)

    found = run(world, world.chains.values_found(short.op, (value(ALICE),), 0.0))

    assert found == [
        KeepChain(ALICE),
        DhtCancel(long.op),
        DhtCancel(short.op),
        ChainFound(9, ALICE),
    ]
    for name in (NAME, DeviceName(ALICE.device), DeviceName(short_id=ALICE.short_id)):
        assert world.chains.find(10, name, 1.0) == [ChainFound(10, ALICE)]
        assert world.chains.known(name, 1.0) == ALICE
    assert world.chains.values_found(long.op, (value(ALICE),), 0.0) == []
    assert world.chains.dht_done(long.op, True, 0.0) == []


def test_all_who_ask_share_a_search(world: World) -> None:
    """Who gives up is not answered; the last one ends it."""
    (get,) = world.chains.find(1, DeviceName(ALICE.device), 0.0)
    assert isinstance(get, DhtGet)
    assert world.chains.find(2, DeviceName(ALICE.device), 0.0) == []
    assert world.chains.cancel(1) == []
    assert world.chains.cancel(1) == []
    found = run(world, world.chains.values_found(get.op, (value(ALICE),), 0.0))
    assert found[-1] == ChainFound(2, ALICE)

    (other,) = world.chains.find(3, DeviceName(device("bob").chain.device), 0.0)
    assert isinstance(other, DhtGet)
    assert world.chains.cancel(3) == [DhtCancel(other.op)]


def test_what_others_put_there_is_passed_over(world: World) -> None:
    """Junk, chains of other devices, values of other types; up to a bound."""
    (get,) = world.chains.find(1, DeviceName(ALICE.device), 0.0)
    assert isinstance(get, DhtGet)
    junk = [Value(b"%d" % n, CERTIFICATE, n + 1) for n in range(module.CANDIDATES_MAX - 1)]
    values = (*junk, value(device("bob").chain), Value(b"other type", 0, 99))
    assert run(world, world.chains.values_found(get.op, values, 0.0)) == []
    assert world.chains.values_found(get.op, (value(ALICE),), 0.0) == [], "as many as are tried"
    (missing,) = world.chains.dht_done(get.op, True, 0.0)

    assert isinstance(missing, ChainMissing)
    assert isinstance(missing.error, DeviceNotFoundError)


def test_who_is_missing_is_not_sought_again_at_once(world: World) -> None:
    """For a few seconds; then once more."""
    (get,) = world.chains.find(1, DeviceName(ALICE.device), 0.0)
    assert isinstance(get, DhtGet)
    world.chains.dht_done(get.op, True, 0.0)
    (missing,) = world.chains.find(2, DeviceName(ALICE.device), MISSING_KEPT - 0.1)
    assert isinstance(missing, ChainMissing)
    (again,) = world.chains.find(3, DeviceName(ALICE.device), MISSING_KEPT)
    assert isinstance(again, DhtGet)


def test_a_chain_that_does_not_hold_is_not_shown(world: World) -> None:
    """Wrong account, revoked, expired: each with its own error."""
    bob = device("bob").chain.account
    wrong = DeviceName(ALICE.device, account=bob)
    (get,) = world.chains.find(1, wrong, 0.0)
    assert isinstance(get, DhtGet)
    run(world, world.chains.values_found(get.op, (value(ALICE),), 0.0))
    (missing,) = world.chains.dht_done(get.op, True, 0.0)
    assert isinstance(missing, ChainMissing)
    assert isinstance(missing.error, WrongAccountError)

    world.revoked.add(ALICE.device)
    (get,) = world.chains.find(2, DeviceName(ALICE.device), 0.0)
    assert isinstance(get, DhtGet)
    run(world, world.chains.values_found(get.op, (value(ALICE),), 0.0))
    (missing,) = world.chains.dht_done(get.op, True, 0.0)
    assert isinstance(missing, ChainMissing)
    assert isinstance(missing.error, RevokedError)


def test_what_is_known_is_checked_anew(world: World) -> None:
    """A chain that has expired, or was revoked, since: the DHT may have a renewed one."""
    assert world.chains.learn(ALICE.certificate, 0.0) == [KeepChain(ALICE)]
    assert world.chains.learn(ALICE.certificate, 0.0) == []
    world.revoked.add(ALICE.device)
    gets = world.chains.find(1, NAME, 0.0)
    assert all(isinstance(each, DhtGet) for each in gets)
    assert world.chains.known(NAME, 0.0) is None
    with pytest.raises(RevokedError):
        world.chains.learn(ALICE.certificate, 0.0)
    world.revoked.clear()
    with pytest.raises(ExpiredError):
        world.chains.learn(ALICE.certificate, YEARS)


def test_the_store_is_asked_first(world: World) -> None:
    """What is on disk needs no network."""
    world.store.pin(device("bob").credentials.identity.certificate)
    found = world.chains.find(1, DeviceName(device("bob").chain.device), 0.0)
    assert found == [ChainFound(1, device("bob").chain)]


def test_a_job_that_fails_ends_the_search(world: World) -> None:
    """As one that found nothing."""
    (get,) = world.chains.find(1, DeviceName(ALICE.device), 0.0)
    assert isinstance(get, DhtGet)
    (job,) = world.chains.values_found(get.op, (value(ALICE),), 0.0)
    assert isinstance(job, Compute)
    assert world.chains.dht_done(get.op, True, 0.0) == [], "a job is still under way"
    (missing,) = world.chains.computed(job.id, ShoalError("no room"), 0.0)
    assert isinstance(missing, ChainMissing)
    assert str(missing.error) == "no room"
    assert world.chains.computed(job.id, ValueError("late"), 0.0) == []


def test_searches_and_waiters_are_bounded(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """A flood of strangers is refused, not queued."""
    monkeypatch.setattr(module, "SEARCHES_MAX", 1)
    monkeypatch.setattr(module, "WAITERS_MAX", 2)
    name, other = DeviceName(ALICE.device), DeviceName(device("bob").chain.device)
    world.chains.find(1, name, 0.0)
    world.chains.find(2, name, 0.0)
    with pytest.raises(TooMuchAskedError):
        world.chains.find(3, name, 0.0)
    with pytest.raises(TooMuchAskedError):
        world.chains.find(4, other, 0.0)


def test_memory_is_bounded(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of chains, the one unused for longest goes; of the missing, the oldest."""
    monkeypatch.setattr(module, "KNOWN_MAX", 1)
    monkeypatch.setattr(module, "MISSING_MAX", 1)
    world.chains.learn(ALICE.certificate, 0.0)
    world.chains.learn(device("bob").chain.certificate, 0.0)
    assert len(world.chains) == 1
    assert world.chains.known(NAME, 0.0) is None
    for number in range(3):
        nobody = DeviceName(short_id=InfoHash(bytes([number]) * 20))
        (get,) = world.chains.find(number, nobody, 0.0)
        assert isinstance(get, DhtGet)
        world.chains.dht_done(get.op, True, 0.0)
    assert isinstance(
        world.chains.find(8, DeviceName(short_id=InfoHash(bytes(20))), 0.0)[0], DhtGet
    )
