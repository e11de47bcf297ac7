"""Whatever anybody puts at the keys that an account listens to: nothing is raised, bounds hold."""

from __future__ import annotations

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from shoal.core import Compute
from shoal.dht import Value
from shoal.identity import DeviceSync, TrustRequest
from shoal.net import PeerRequest
from shoal.node.account import effects as fx
from tests.unit.node.account.world import Person, World
from tests.unit.node.people import device

ALICE, BOB = device("alice").chain, device("bob").chain
OWNERS = [None, b"", b"no key", BOB.spki, ALICE.spki]
CONTENTS = [
    TrustRequest(payload=b"card").pack(),
    DeviceSync(5).pack(),
    PeerRequest(7, "a\nb\n", False).packed(),
    BOB.certificate.to_pem().encode(),
]
VALUES = st.builds(
    Value,
    data=st.binary(max_size=64) | st.sampled_from(CONTENTS),
    type=st.sampled_from([0, 3, 4, 8, 65_535]),
    id=st.integers(1, 2**64 - 1),
    user_type=st.sampled_from(["", "peer_request", "text/plain"]),
    owner=st.sampled_from(OWNERS),
    recipient=st.sampled_from([None, ALICE.short_id, BOB.short_id]),
    signature=st.sampled_from([None, b"signature"]),
)
STEPS = st.lists(
    st.tuples(st.integers(0, 20), st.lists(VALUES, max_size=4), st.booleans(), st.floats(0, 900)),
    max_size=12,
)


def obey(alice: Person, effects: list[object], now: float) -> None:
    """Do the jobs among *effects*, and let every question of the DHT end without an answer."""
    for effect in effects:
        match effect:
            case Compute(number, job):
                obey(alice, alice.engine.computed(number, job(), now), now)
            case fx.DhtGet(op) | fx.DhtPut(op) | fx.DhtSeal(op):
                obey(alice, alice.engine.dht_done(op, False, now), now)
            case fx.DhtListen(op, key):
                alice.listens[op] = key
            case _:
                pass  # for others


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(STEPS)
def test_no_value_is_an_error(steps: list[tuple[int, list[Value], bool, float]]) -> None:
    """And after its deadline an engine has another one, or none."""
    alice = World().add(device("alice"), starts=False)
    now = 0.0
    obey(alice, alice.engine.start(now), now)
    for choice, values, is_new, seconds in steps:
        ops = list(alice.listens)
        op = ops[choice % len(ops)]
        take = alice.engine.values_found if is_new else alice.engine.values_expired
        obey(alice, take(op, tuple(values), now), now)
        now += seconds
        while (deadline := alice.engine.next_deadline()) is not None and deadline <= now:
            obey(alice, alice.engine.advance(deadline), deadline)
            moved = alice.engine.next_deadline()
            assert moved is None or moved > deadline
    assert len(alice.engine.book.requests) <= 1, "one account has asked, if any"


def test_sync_messages_of_strangers_are_not_applied() -> None:
    """Even if they come on a channel that was taken by mistake."""
    world = World()
    alice = world.add(device("alice"))
    message = DeviceSync(5)
    for chain in (BOB, device("mallory").chain):
        arrived = fx.DeviceSyncArrived(chain, message)
        assert alice.engine._settle([arrived], 0.0) == []  # noqa: SLF001 - no other way leads there
