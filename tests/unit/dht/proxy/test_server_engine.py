"""What outlives a request to the proxy server."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shoal.core import InfoHash, Persist
from shoal.dht.errors import TooManyOperationsError
from shoal.dht.proxy import server_state
from shoal.dht.proxy.config import ProxyLimits, ProxyServerConfig
from shoal.dht.proxy.effects import (
    Announce,
    SendPush,
    ServerEffect,
    StartListen,
    StopListen,
    Withdraw,
)
from shoal.dht.proxy.permanent_puts import OPERATION_LIFE, OPERATION_MARGIN
from shoal.dht.proxy.push import Platform, PushTarget
from shoal.dht.proxy.server_engine import SAVE_WAIT, ProxyServerEngine
from shoal.dht.proxy.subscriptions import GATHER_MAX
from shoal.dht.value import Value
from shoal.sim import SeededEntropy

KEY = InfoHash.of(b"key")
OTHER = InfoHash.of(b"other")
WALL = 1_800_000_000.0
CONFIG = ProxyServerConfig(push_gateway="http://gorush", bundle_id="net.example")
NOBODY = PushTarget()
ANDROID = PushTarget("token", "client", "session", Platform.ANDROID)
VECTOR = Path(__file__).parents[3] / "vectors" / "proxy" / "state-2.4.12.hex"


def make(config: ProxyServerConfig = CONFIG, state: bytes | None = None) -> ProxyServerEngine:
    """Return an engine at time 0, which is WALL on the clock on the wall."""
    return ProxyServerEngine(
        config,
        SeededEntropy(0),
        0.0,
        wall_offset=WALL,
        seal=lambda point, secret, payload: b"sealed " + payload,
        state=state,
    )


def limited(**limits: int) -> ProxyServerEngine:
    """Return an engine that grants little."""
    return make(ProxyServerConfig(limits=ProxyLimits(**limits)))


def run(engine: ProxyServerEngine, until: float) -> list[tuple[float, ServerEffect]]:
    """Advance from deadline to deadline; return what happens and when, less the writes."""
    seen: list[tuple[float, ServerEffect]] = []
    while (deadline := engine.next_deadline()) is not None and deadline <= until:
        seen += [
            (deadline, effect)
            for effect in engine.advance(deadline)
            if not isinstance(effect, Persist)
        ]
    return seen


def data_of(effect: ServerEffect) -> dict[str, Any]:
    """Return the data of a notification through gorush."""
    assert isinstance(effect, SendPush)
    (notification,) = json.loads(effect.body)["notifications"]
    data = notification["data"]
    assert isinstance(data, dict)
    return data


# Permanent puts.


def test_permanent_put_lives_a_day() -> None:
    """It is kept for 24 hours from its last put, then withdrawn."""
    engine = make()
    value = Value(b"x", id=5)

    assert engine.put_permanent(KEY, value, NOBODY, "client", 0.0) == (value, False)
    assert engine.put_permanent(KEY, value, NOBODY, "client", 3600.0) == (value, False)

    assert run(engine, 2 * OPERATION_LIFE) == [(3600.0 + OPERATION_LIFE, Withdraw(KEY, 5))]
    assert not engine.has_put(KEY, 5)
    assert engine.counts()["totalPermanentPuts"] == 0


def test_permanent_put_asks_for_renewal() -> None:
    """Two hours before its end a notification names key, value and session."""
    engine = make()
    engine.put_permanent(KEY, Value(b"x", id=5), ANDROID, "client", 0.0)

    (when, notice), (_, end) = run(engine, OPERATION_LIFE)

    assert when == OPERATION_LIFE - OPERATION_MARGIN
    assert data_of(notice) == {"s": "session", "timeout": str(KEY), "to": "client", "vid": "5"}
    assert end == Withdraw(KEY, 5)


def test_equal_content_without_id_refreshes() -> None:
    """The same content of the same client, put without an id, is the value that is there."""
    engine = make()
    first, is_there = engine.put_permanent(KEY, Value(b"x"), ANDROID, "client", 0.0)
    assert first.id != 0
    assert not is_there

    again = engine.put_permanent(KEY, Value(b"x"), ANDROID, "client", 100.0)
    of_another = engine.put_permanent(KEY, Value(b"x"), NOBODY, "client", 100.0)
    elsewhere = engine.put_permanent(OTHER, Value(b"x"), ANDROID, "client", 100.0)
    changed = engine.put_permanent(KEY, Value(b"y"), ANDROID, "client", 100.0)

    assert again == (first, True)
    for value, known in (of_another, elsewhere, changed):
        assert not known
        assert value.id != first.id
    withdrawn = [effect for _, effect in run(engine, OPERATION_LIFE + 99.0)]
    assert Withdraw(KEY, first.id) not in withdrawn


def test_renewal_in_a_new_session() -> None:
    """The notice goes to the session that put last."""
    engine = make()
    engine.put_permanent(KEY, Value(b"x", id=5), ANDROID, "client", 0.0)
    engine.put_permanent(
        KEY, Value(b"x", id=5), PushTarget("token", "client", "later"), "client", 60.0
    )

    (_, notice), _ = run(engine, 60.0 + OPERATION_LIFE)

    assert data_of(notice)["s"] == "later"


def test_edit_of_a_permanent_put() -> None:
    """The same id with other content replaces the value."""
    engine = make()
    engine.put_permanent(KEY, Value(b"x", id=5), NOBODY, "client", 0.0)
    engine.put_permanent(KEY, Value(b"edited", id=5), NOBODY, "client", 0.0)

    (write,) = engine.close(1.0)
    assert isinstance(write, Persist)
    assert [put.value.data for put in server_state.decode(write.data).puts] == [b"edited"]


def test_puts_are_bounded() -> None:
    """By number per client, by number in all, by bytes; what ends makes room."""
    engine = limited(puts_per_client=1, puts=2, puts_size=100)
    engine.put_permanent(KEY, Value(b"x", id=1), NOBODY, "a", 0.0)
    engine.put_permanent(KEY, Value(b"x", id=2), NOBODY, "b", 0.0)
    for client in ("a", "c"):
        with pytest.raises(TooManyOperationsError):
            engine.put_permanent(KEY, Value(b"x", id=3), NOBODY, client, 0.0)
    with pytest.raises(TooManyOperationsError):
        engine.put_permanent(KEY, Value(bytes(200), id=1), NOBODY, "a", 0.0)

    run(engine, OPERATION_LIFE)

    with pytest.raises(TooManyOperationsError):
        engine.put_permanent(KEY, Value(bytes(101), id=3), NOBODY, "a", OPERATION_LIFE)
    engine.put_permanent(KEY, Value(bytes(100), id=3), NOBODY, "a", OPERATION_LIFE)


# Push subscriptions.


def test_subscription_notifies() -> None:
    """Values that come together are one notification, soon; then those that go."""
    engine = make()
    is_new, (start,) = engine.subscribe(KEY, ANDROID, "client", 0.0)
    assert is_new
    assert isinstance(start, StartListen)

    for number in (1, 2):
        assert engine.values_changed(start.id, [Value(id=number)], 1.0, is_expired=False) == []
    (_, found), *rest = run(engine, 2.0)
    assert rest == []
    engine.values_changed(start.id, [Value(id=1)], 3.0, is_expired=True)
    ((_, gone),) = run(engine, 4.0)

    assert data_of(found)["ids"] == "1,2"
    assert data_of(found)["t"] == int((WALL + 1.1) * 1000)
    assert data_of(gone)["exp"] == "1"
    counts = engine.counts()
    assert counts["androidPush"] == {"highPriorityCount": 1, "normalPriorityCount": 1}
    assert counts["pushListenersCount"] == 1


def test_comings_and_goings_stay_apart() -> None:
    """A notification says that values came, or that they went."""
    engine = make()
    _, (start,) = engine.subscribe(KEY, ANDROID, "client", 0.0)
    assert isinstance(start, StartListen)
    engine.values_changed(start.id, [Value(id=1)], 1.0, is_expired=False)

    (found,) = engine.values_changed(start.id, [Value(id=2)], 1.0, is_expired=True)
    ((_, gone),) = run(engine, 2.0)

    assert "exp" not in data_of(found)
    assert data_of(gone)["exp"] == "2"


def test_notifications_stay_small() -> None:
    """Many values are several notifications."""
    engine = make()
    _, (start,) = engine.subscribe(KEY, ANDROID, "client", 0.0)
    assert isinstance(start, StartListen)
    values = [Value(id=number) for number in range(1, 2 * GATHER_MAX + 2)]

    pushes = engine.values_changed(start.id, values, 1.0, is_expired=False)
    pushes += [effect for _, effect in run(engine, 2.0)]

    assert [len(data_of(push)["ids"].split(",")) for push in pushes] == [GATHER_MAX, GATHER_MAX, 1]


def test_subscription_is_renewed() -> None:
    """Subscribing again is no second subscription, and its day begins anew in a new session."""
    engine = make()
    engine.subscribe(KEY, ANDROID, "client", 0.0)
    later = PushTarget("token", "client", "later", Platform.IOS)

    assert engine.subscribe(KEY, later, "client", 3600.0) == (False, [])

    (noticed, notice), (ended, end) = run(engine, 2 * OPERATION_LIFE)
    assert noticed == 3600.0 + OPERATION_LIFE - OPERATION_MARGIN
    assert data_of(notice) == {"s": "later", "timeout": str(KEY), "to": "client"}
    assert ended == 3600.0 + OPERATION_LIFE
    assert end == StopListen(1)


def test_unsubscribe() -> None:
    """It ends one client's subscription to one key, and is harmless elsewhere."""
    engine = make()
    engine.subscribe(KEY, ANDROID, "client", 0.0)
    engine.subscribe(OTHER, ANDROID, "client", 0.0)
    engine.subscribe(KEY, PushTarget("token", "second", platform=Platform.ANDROID), "client", 0.0)
    engine.values_changed(1, [Value(id=1)], 0.0, is_expired=False)

    assert engine.unsubscribe(KEY, PushTarget("token", "client"), 1.0) == [StopListen(1)]
    assert engine.unsubscribe(KEY, PushTarget("token", "client"), 1.0) == []
    assert engine.unsubscribe(KEY, PushTarget("stranger", "client"), 1.0) == []
    assert engine.values_changed(1, [Value(id=1)], 1.0, is_expired=False) == []
    assert run(engine, 60.0) == []


def test_subscriptions_are_bounded() -> None:
    """Per client and in all; what ends makes room."""
    engine = limited(subscriptions_per_client=1, subscriptions=2)
    engine.subscribe(KEY, PushTarget("a"), "a", 0.0)
    engine.subscribe(KEY, PushTarget("b"), "b", 0.0)
    for client in ("a", "c"):
        with pytest.raises(TooManyOperationsError):
            engine.subscribe(OTHER, PushTarget(client), client, 0.0)

    engine.unsubscribe(KEY, PushTarget("a"), 0.0)

    engine.subscribe(OTHER, PushTarget("c"), "c", 0.0)


def test_ping_push() -> None:
    """A pong goes where notifications would go."""
    (pong,) = make().ping_push(ANDROID, 0.0)

    assert data_of(pong) == {"pong": True, "to": "client"}


@pytest.mark.parametrize(
    ("config", "target"),
    [
        (ProxyServerConfig(), ANDROID),
        (
            ProxyServerConfig(is_unified_push=False),
            PushTarget("https://x", platform=Platform.UNIFIED_PUSH),
        ),
        (ProxyServerConfig(), PushTarget("https://x", "", "", Platform.UNIFIED_PUSH, "!|!")),
    ],
)
def test_unsendable(config: ProxyServerConfig, target: PushTarget) -> None:
    """Without a way, nothing is sent, and that is counted."""
    engine = make(config)

    assert engine.ping_push(target, 0.0) == []
    assert engine.counters()["pushes_unsendable"] == 1


def test_unified_push_needs_no_gateway() -> None:
    """The endpoint is the client's own; the topic of the gateway's application isn't its key."""
    engine = make(ProxyServerConfig(bundle_id="net.example"))
    target = PushTarget("https://push.example/x", "client", "s", Platform.UNIFIED_PUSH)

    (push,) = engine.ping_push(target, 0.0)

    assert isinstance(push, SendPush)
    assert push.url == "https://push.example/x"


# State.


def test_writes_follow_changes() -> None:
    """Changes are written once, soon after the first of them; without any, nothing is."""
    engine = make()
    assert engine.next_deadline() is None
    engine.put_permanent(KEY, Value(b"x", id=1), NOBODY, "client", 1.0)
    engine.put_permanent(KEY, Value(b"x", id=2), NOBODY, "client", 2.0)

    assert engine.next_deadline() == 1.0 + SAVE_WAIT
    (write,) = engine.advance(1.0 + SAVE_WAIT)

    assert isinstance(write, Persist)
    assert len(server_state.decode(write.data).puts) == 2
    assert engine.advance(1.0 + SAVE_WAIT) == []


def test_restart() -> None:
    """A new engine takes up what the old one wrote, with the time that is left."""
    old = make()
    old.put_permanent(KEY, Value(b"x", id=5), ANDROID, "client", 0.0)
    old.subscribe(OTHER, ANDROID, "client", 0.0)
    (write,) = old.close(1.0)
    assert isinstance(write, Persist)

    new = make(state=write.data)

    assert new.start() == [Announce(KEY, Value(b"x", id=5)), StartListen(1, OTHER)]
    assert new.start() == []
    assert new.subscribe(OTHER, ANDROID, "client", 0.0) == (False, [])
    assert (OPERATION_LIFE, Withdraw(KEY, 5)) in run(new, OPERATION_LIFE)


def test_restart_from_debians_state() -> None:
    """What dhtnode 2.4.12 wrote is taken up while its day lasts, and not after it."""
    data = bytes.fromhex("".join(VECTOR.read_text().split()))
    wall_written = 1795311992 - OPERATION_LIFE

    def restarted(later: float) -> int:
        engine = ProxyServerEngine(
            CONFIG,
            SeededEntropy(0),
            0.0,
            wall_offset=wall_written + later,
            seal=lambda *_: b"",
            state=data,
        )
        return len(engine.start())

    assert restarted(0.0) == 4
    assert restarted(OPERATION_LIFE + 0.5) == 3
    assert restarted(2 * OPERATION_LIFE) == 0


def test_a_clock_set_back_keeps_nothing_for_ever() -> None:
    """No entry lives longer than a day from the restart."""
    old = make()
    old.put_permanent(KEY, Value(b"x", id=5), NOBODY, "client", 0.0)
    (write,) = old.close(1.0)
    assert isinstance(write, Persist)

    new = ProxyServerEngine(
        CONFIG,
        SeededEntropy(0),
        0.0,
        wall_offset=WALL - 1e8,
        seal=lambda *_: b"",
        state=write.data,
    )

    assert (OPERATION_LIFE, Withdraw(KEY, 5)) in run(new, OPERATION_LIFE)


def test_restart_within_limits() -> None:
    """A state with more than the limits allow is cut, and nothing is counted twice."""
    old = make()
    for number in range(1, 6):
        old.put_permanent(KEY, Value(bytes(10), id=number), NOBODY, "client", 0.0)
        old.subscribe(KEY, PushTarget(f"token {number}"), "client", 0.0)
    (write,) = old.close(1.0)
    assert isinstance(write, Persist)
    limits = ProxyLimits(puts=3, subscriptions=2)

    new = make(ProxyServerConfig(limits=limits), write.data)
    small = make(ProxyServerConfig(limits=ProxyLimits(puts_size=25)), write.data)

    assert len(new.start()) == 5
    assert len([e for e in small.start() if isinstance(e, Announce)]) == 2


def test_damaged_state_starts_afresh() -> None:
    """It is counted, and no reason not to serve."""
    engine = make(state=b"\xc1 damaged")

    assert engine.start() == []
    assert engine.stats.state_damaged == 1


CLIENTS = st.sampled_from(("a", "b"))
KEYS = st.sampled_from((KEY, OTHER))
TARGETS = st.sampled_from((NOBODY, ANDROID, PushTarget("two", "x", "s", Platform.IOS)))


@given(
    st.lists(
        st.tuples(
            st.sampled_from(("put", "subscribe", "unsubscribe", "values", "wait")),
            KEYS,
            TARGETS,
            CLIENTS,
            st.integers(0, 3),
        ),
        max_size=30,
    )
)
def test_deadlines_move_and_quotas_hold(
    script: list[tuple[str, InfoHash, PushTarget, str, int]],
) -> None:
    """Whatever happens, no deadline stays, bounds hold, and after two days all is given back."""
    limits = ProxyLimits(puts=3, puts_per_client=2, subscriptions=3, subscriptions_per_client=2)
    engine = make(ProxyServerConfig(push_gateway="http://gorush", limits=limits))
    now = 0.0
    for verb, key, target, client, number in script:
        try:
            if verb == "put":
                engine.put_permanent(key, Value(b"x", id=number), target, client, now)
            elif verb == "subscribe" and target.token:
                engine.subscribe(key, target, client, now)
            elif verb == "unsubscribe":
                engine.unsubscribe(key, target, now)
            elif verb == "values":
                engine.values_changed(number, [Value(id=1)], now, is_expired=number == 1)
        except TooManyOperationsError:
            pass
        if verb == "wait":
            now += 10_000.0 * number
            while (deadline := engine.next_deadline()) is not None and deadline <= now:
                engine.advance(deadline)
                later = engine.next_deadline()
                assert later is None or later > deadline
                assert engine.advance(deadline) == []
        assert engine.counts()["totalPermanentPuts"] in range(4)
        assert engine.counts()["pushListenersCount"] in range(3)

    run(engine, now + 3 * OPERATION_LIFE)
    assert engine.next_deadline() is None
    puts, subscriptions = engine._puts, engine._subscriptions  # noqa: SLF001 - nothing is left
    assert puts.numbers.used == puts.sizes.used == subscriptions.numbers.used == 0
