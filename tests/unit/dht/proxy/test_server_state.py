"""The proxy server's state file, with the one that Debian's server wrote."""

from __future__ import annotations

from pathlib import Path

import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shoal.core import DecodeError, InfoHash
from shoal.dht.proxy import server_state
from shoal.dht.proxy.push import Platform, PushTarget
from shoal.dht.proxy.server_state import SavedPut, SavedSubscription, ServerState
from shoal.dht.value import Value
from tests.unit.dht.proxy.test_wire import TARGETS, TEXTS
from tests.unit.dht.strategies import HASHES, VALUES

VECTOR = Path(__file__).parents[3] / "vectors" / "proxy" / "state-2.4.12.hex"
KEY = InfoHash.from_hex("1123456789abcdef0123456789abcdef01234567")
FOO = InfoHash.of(b"foo")
SECONDS = st.integers(0, 2**33)


def test_of_debians_server() -> None:
    """What dhtnode 2.4.12 wrote: two puts, one of them with a push target; two subscriptions."""
    data = bytes.fromhex("".join(VECTOR.read_text().split()))

    state = server_state.decode(data)

    hello = b"hello"
    android = PushTarget("tok", "c9", "s9", Platform.ANDROID, "tp")
    assert state.puts == (
        SavedPut(FOO, Value(hello, id=10), PushTarget(), 1795311993),
        SavedPut(KEY, Value(hello, id=9), android, 1795311992),
    )
    assert state.subscriptions == (
        SavedSubscription(KEY, PushTarget("tok2", "c1", "s1", Platform.IOS, "tt"), 1795311993),
        SavedSubscription(
            KEY, PushTarget("tok2", "c2", "s2", Platform.NONE, "net.example"), 1795311994
        ),
    )
    assert server_state.decode(server_state.encode(*state)) == state
    assert len(server_state.encode(*state)) == len(data)


PUTS = st.builds(SavedPut, HASHES, VALUES.filter(lambda value: value.id > 0), TARGETS, SECONDS)
SUBSCRIPTIONS = st.builds(SavedSubscription, HASHES, TARGETS, SECONDS)


@given(st.lists(PUTS, max_size=4), st.lists(SUBSCRIPTIONS, max_size=4))
def test_round_trip(puts: list[SavedPut], subscriptions: list[SavedSubscription]) -> None:
    """Entries come back, though not in the order they had; a put's platform goes with its token."""
    state = server_state.decode(server_state.encode(puts, subscriptions))

    unique = {(put.key, put.value.id): put for put in puts}
    assert {(put.key, put.value.id): put.value for put in state.puts} == {
        name: put.value for name, put in unique.items()
    }
    assert {put for put in state.puts if put.target.token} == {
        put for put in unique.values() if put.target.token
    }
    assert sorted(map(repr, state.subscriptions)) == sorted(map(repr, subscriptions))


def test_many_subscriptions_of_one_token() -> None:
    """Arrays beyond 256 entries are read too."""
    saved = [
        SavedSubscription(KEY, PushTarget("token", f"client {i}"), 1_800_000_000)
        for i in range(1000)
    ]

    assert server_state.decode(server_state.encode([], saved)).subscriptions == tuple(saved)


def test_damaged_entries_are_left_out() -> None:
    """An entry that isn't one costs itself only."""
    good = SavedPut(KEY, Value(b"x", id=1), PushTarget(), 1_800_000_000)
    state = msgpack.unpackb(server_state.encode([good], []), strict_map_key=False)
    entry = state["puts"][bytes(KEY)][0][1]
    state["puts"][bytes(KEY)][0] |= {
        2: "text",
        3: {"value": {"id": 3}, "exp": 5},
        4: entry | {"exp": -1},
        5: entry | {"exp": 2**63},
        6: {"value": entry["value"]},
    }
    state["puts"] |= {b"short": [{}], bytes(FOO): "text"}
    state["pushListeners"] = {
        "token": [{bytes(KEY): ["text", {"cid": "c"}, {"cid": "c", "exp": 7, "t": 9}]}],
        "empty": [],
        5: [{}],
    }

    assert server_state.decode(msgpack.packb(state)) == ServerState(
        (good,), (SavedSubscription(KEY, PushTarget("token", "c"), 7),)
    )


@pytest.mark.parametrize("data", [b"", b"\xc1", b"\x90", b"\x81\x90\x90", b"\xdf\xff\xff\xff\xff"])
def test_not_a_state(data: bytes) -> None:
    """What isn't a map is no state."""
    with pytest.raises(DecodeError):
        server_state.decode(data)


@given(st.binary(max_size=200))
def test_any_bytes(data: bytes) -> None:
    """Any bytes are a state or a DecodeError."""
    try:
        state = server_state.decode(data)
    except DecodeError:
        return
    assert isinstance(state, ServerState)


@given(
    st.recursive(
        st.none() | st.integers(-5, 2**63) | TEXTS | st.binary(max_size=20),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(
                st.sampled_from(("value", "exp", "cid", "t", "top", b"k" * 20, 5)), inner
            )
        ),
    )
)
def test_almost_right(item: object) -> None:
    """A map with the right names holds whatever it holds."""
    data = msgpack.packb({"puts": item, "pushListeners": {"token": [item]}})

    assert isinstance(server_state.decode(data), ServerState)
