"""The DHT engine keeps the promises of an engine."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import settings
from hypothesis import strategies as st

from shoal.core import Address, Entropy, Family, InfoHash, SendDatagram
from shoal.dht import DhtConfig, DhtEngine, Query, Value, wire
from shoal.dht.effects import (
    Done,
    PublicAddressChanged,
    ResolveHost,
    RowsFound,
    StatusChanged,
    ValuesExpired,
    ValuesFound,
)
from tests import engine_laws
from tests.engine_laws import Case

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

KEYS = [InfoHash.of(bytes([number])) for number in range(3)]
STORAGE_LIMIT = 4000
FOREIGN = InfoHash.of(b"somebody")


def make(entropy: Entropy) -> DhtEngine:
    """An engine with little room."""
    config = DhtConfig(families=(Family.IPV4,), storage_limit=STORAGE_LIMIT, storage_keys_max=8)
    return DhtEngine(config, entropy, 0.0, wall_offset=1.7e9)


def start(engine: DhtEngine, addrs: Sequence[Address], now: float) -> Sequence[object]:
    """Know a name for all three."""
    return engine.bootstrap([("all", 1)], now)


def answer(engine: DhtEngine, effect: object, now: float) -> Sequence[object]:
    """Resolve the name."""
    if isinstance(effect, ResolveHost):
        return engine.resolved(effect.host, effect.port, list(engine_laws.ADDRESSES), now)
    return ()


def get(engine: DhtEngine, op: int, addrs: Sequence[Address], now: float) -> Sequence[object]:
    """Look for whole values."""
    return engine.get(op, KEYS[op % 3], now)


def query(engine: DhtEngine, op: int, addrs: Sequence[Address], now: float) -> Sequence[object]:
    """Look for fields."""
    return engine.query(op, KEYS[op % 3], Query.parse("SELECT id,seq"), now)


def put(engine: DhtEngine, op: int, addrs: Sequence[Address], now: float) -> Sequence[object]:
    """Put a value, now and then a large one."""
    data = bytes(3000) if op % 7 == 0 else b"data %d" % op
    return engine.put(op, KEYS[op % 3], Value(data=data, id=1 + op), now)


def keep(engine: DhtEngine, op: int, addrs: Sequence[Address], now: float) -> Sequence[object]:
    """Put a value for good: its first success or failure is reported once."""
    return engine.put(op, KEYS[op % 3], Value(data=b"kept", id=1 + op), now, permanent=True)


def ping(engine: DhtEngine, op: int, addrs: Sequence[Address], now: float) -> Sequence[object]:
    """Ping one of the three."""
    return engine.ping(op, addrs[op % 3], now)


def listen(engine: DhtEngine, op: int, addrs: Sequence[Address], now: float) -> Sequence[object]:
    """Follow a key."""
    return engine.listen(op, KEYS[op % 3], now)


def reconnect(engine: DhtEngine, op: int, addrs: Sequence[Address], now: float) -> Sequence[object]:
    """Doubt everything known."""
    return engine.connectivity_changed(now)


def give_up(engine: DhtEngine, op: int, addrs: Sequence[Address], now: float) -> Sequence[object]:
    """Hear from the system that somebody cannot be reached."""
    return engine.send_failed(addrs[op % 3], now)


def messages() -> st.SearchStrategy[bytes]:
    """Well-formed requests and replies from a node that nobody asked."""
    tid, key = st.integers(0, 2**32 - 1), st.sampled_from(KEYS)
    token = st.binary(max_size=40)
    values = st.lists(
        st.builds(_value, st.integers(1, 2**64 - 1), st.binary(max_size=900)), max_size=3
    )
    built = st.one_of(
        st.builds(wire.Ping, tid, st.just(FOREIGN)),
        st.builds(wire.Find, tid, st.just(FOREIGN), key, st.none() | st.just((2, 10))),
        st.builds(wire.Get, tid, st.just(FOREIGN), key, st.none(), st.none()),
        st.builds(wire.Put, tid, st.just(FOREIGN), key, values.map(tuple), st.none(), token),
        st.builds(wire.Refresh, tid, st.just(FOREIGN), key, st.integers(1, 40), token),
        st.builds(
            wire.Listen, tid, st.just(FOREIGN), key, token, tid, st.none(), st.sampled_from((0, 1))
        ),
        st.builds(_reply, tid, st.binary(max_size=200), token, values.map(tuple)),
    )
    return built.flatmap(lambda message: st.sampled_from(wire.encode(message)))


def _value(value_id: int, data: bytes) -> Value:
    return Value(id=value_id, data=data)


def _reply(tid: int, nodes: bytes, token: bytes, values: tuple[Value, ...]) -> wire.Reply:
    whole = nodes[: len(nodes) // 26 * 26]
    return wire.Reply(tid, FOREIGN, b"\x7f\x00\x00\x01", whole, b"", token, values, None, None)


def sizes(engine: DhtEngine) -> dict[str, tuple[int, int]]:
    """What others can make grow."""
    own = sum(stored.value.size for stored in engine.storage if stored.storer is None)
    _, stored = engine.storage_size()
    counts = engine.node_stats(Family.IPV4, 0.0)
    assert counts is not None
    return {
        "stored for others": (stored - own, STORAGE_LIMIT),
        "searches": (len(engine.searches(Family.IPV4)), 200),
        "nodes known": (counts.cache_size, 2000),
    }


def ended(effect: object) -> int | None:
    """The operation that Done ends."""
    return effect.op if isinstance(effect, Done) else None


DHT = Case(
    make=make,
    commands=(get, query, put, keep, ping),
    lasting=(listen, reconnect, give_up),
    datagrams=messages(),
    effects=(
        SendDatagram,
        ValuesFound,
        ValuesExpired,
        RowsFound,
        Done,
        StatusChanged,
        PublicAddressChanged,
        ResolveHost,
    ),
    sizes=sizes,
    mistakes=(
        lambda engine, now: engine.put(-1, KEYS[0], Value(data=bytes(70_000), id=1), now),
        lambda engine, now: engine.put(-1, KEYS[0], Value(data=b"no id"), now),
    ),
    ended=ended,
    start=start,
    answer=answer,
    patience=300.0,
    settings=settings(max_examples=25, deadline=None),
)


@pytest.mark.parametrize("law", engine_laws.LAWS, ids=lambda law: law.__name__)
def test_laws(law: Callable[[object], None]) -> None:
    """The engine of the DHT, in networks of three and among strangers."""
    law(DHT)


def test_the_scripts_reach_deep() -> None:
    """What the laws play is real traffic: nodes connect, put, and find what was put."""
    player = engine_laws.Player(DHT)
    player.play([engine_laws.Wait(1.0), *[engine_laws.Converse(60)] * 8])
    for choice in (2, 0, 1):
        player.play([engine_laws.Command(choice, choice), *[engine_laws.Converse(60)] * 4])
    kinds = {type(effect) for _, effects in player.transcript for effect in effects}
    assert {StatusChanged, Done} <= kinds
