"""The protocol's long timers, measured for real at nodes of every kind at once.

What is measured stands in the summary of the run, and is copied into docs/protocol/interop.md. Case
numbers are those there.
"""

from __future__ import annotations

import itertools
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Final, TypeVar

from tests.peers.peer import Peer, key_of
from tests.peers.pool import DHTNODE, KINDS, OPENDHT, SHOAL, connected
from tests.peers.wire_peer import Arrival, Message, WirePeer, plain_value

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from tests.peers.pool import PeerPool

_T = TypeVar("_T")
_U = TypeVar("_U")

MINUTE: Final = 60.0
KEY: Final = key_of("soak")
RAW_KEY: Final = bytes.fromhex(KEY)


def at_once(work: Callable[[_U], _T], of: Mapping[str, _U]) -> dict[str, _T]:
    """Do the same work for each kind, all at the same time."""
    with ThreadPoolExecutor(len(of)) as threads:
        futures = {kind: threads.submit(work, thing) for kind, thing in of.items()}
        return {kind: future.result() for kind, future in futures.items()}


def joined(pool: PeerPool) -> dict[str, tuple[Peer, WirePeer]]:
    """Start a node of each kind that knows nobody but a bare socket of its own."""
    found: dict[str, tuple[Peer, WirePeer]] = {}
    for kind in KINDS:
        wire = pool.wire()
        peer = pool.start(kind, bootstrap=f"127.0.0.1:{wire.port}")
        connected(peer)
        found[kind] = peer, wire
    return found


def put_alone(wire: WirePeer, to: tuple[str, int], value: Message) -> None:
    """Put a value, which the node acknowledges."""
    assert len(wire.put(to, RAW_KEY, [value])) == 1


def wait_for(
    wire: WirePeer, wanted: Callable[[Arrival], bool], count: int, minutes: float
) -> list[Arrival]:
    """Wait for some datagrams, for minutes."""
    return wire.wait_for(wanted, "datagrams", timeout=minutes * MINUTE, count=count)


def test_tokens_outlive_one_rotation(pool: PeerPool, measured: list[str]) -> None:
    """Case 4: the secret changes every 15 to 45 minutes; the token before still serves."""

    def watch(peer: Peer) -> list[float]:
        wire, to = pool.wire(is_client=True), ("127.0.0.1", peer.port)
        start, tokens = time.monotonic(), [wire.token(to, RAW_KEY)]
        changes: list[float] = []
        while len(changes) < 2:
            time.sleep(5.0)
            token = wire.token(to, RAW_KEY)
            if token == tokens[-1]:
                continue
            changes.append(time.monotonic() - start)
            tokens.append(token)
            old = wire.put(to, RAW_KEY, [plain_value(5, b"x")], token=tokens[-2])
            assert [answer.kind for answer in old] == ["reply"], "the token before serves"
        oldest = wire.put(to, RAW_KEY, [plain_value(5, b"x")], token=tokens[0])
        assert [answer.kind for answer in oldest] == ["error"], "the one before that does not"
        return changes

    peers = {kind: pool.start(kind) for kind in KINDS}
    found = at_once(watch, peers)
    for kind, (first, second) in found.items():
        measured.append(f"{kind}: token changed after {first / 60:.1f} and {second / 60:.1f} min")
        assert second - first < 45.5 * MINUTE
        assert second - first > 14.5 * MINUTE


def test_listens_are_renewed(pool: PeerPool, measured: list[str]) -> None:
    """Case 10: every twenty seconds under the same socket id, for more than ten minutes."""
    nodes = joined(pool)
    for peer, _ in nodes.values():
        peer.listen(KEY)

    def watch(wire: WirePeer) -> list[float]:
        listens = wait_for(wire, lambda a: a.kind == "listen", 32, 12.0)
        assert len({listen.body["sid"] for listen in listens}) == 1
        times = [listen.at for listen in listens]
        return [later - earlier for earlier, later in itertools.pairwise(times)]

    found = at_once(watch, {kind: wire for kind, (_, wire) in nodes.items()})
    for kind, pauses in found.items():
        measured.append(f"{kind}: listens renewed every {min(pauses):.1f} to {max(pauses):.1f} s")
        assert min(pauses) > 15.0
        assert max(pauses) < 31.0


def test_silent_listeners_are_forgotten(pool: PeerPool, measured: list[str]) -> None:
    """Case 10: ten minutes after the last renewal, and up to six more, nothing is sent."""

    def watch(peer: Peer) -> float:
        wire, to = pool.wire(is_client=True), ("127.0.0.1", peer.port)
        token = wire.token(to, RAW_KEY)
        wire.ask(to, "listen", {"ve": 1, "h": RAW_KEY, "token": token, "sid": 77})
        start = time.monotonic()
        for number in range(1, 200):
            mark = wire.mark()
            put_alone(wire, to, plain_value(number, b"x"))
            wire.ping(to)
            if not any(arrival.kind == "update" for arrival in wire.since(mark)):
                return time.monotonic() - start
            time.sleep(6.0)
        raise AssertionError("still told of everything after twenty minutes")

    peers = {kind: pool.start(kind) for kind in KINDS}
    found = at_once(watch, peers)
    for kind, after in found.items():
        measured.append(f"{kind}: a silent listener was forgotten after {after / 60:.1f} min")
        assert 9.9 * MINUTE < after < 16.5 * MINUTE


def test_permanent_values_are_refreshed(pool: PeerPool, measured: list[str]) -> None:
    """Case 17: ten seconds before the ten minutes are over, with a refresh or a put."""
    nodes = joined(pool)

    def watch(pair: tuple[Peer, WirePeer]) -> tuple[str, float]:
        peer, wire = pair
        assert peer.put(KEY, b"lasting", permanent=True).ok
        put = wire.asked("put")[0]
        whole = wire.whole(put.tid, put.source)
        wire.stored[RAW_KEY] = whole.values  # what a storer would have
        (again,) = wire.wait_for(
            lambda a: a.at > put.at + 5.0 and a.kind in {"refresh", "put"},
            "an announcement",
            timeout=11 * MINUTE,
        )
        return again.kind, again.at - put.at

    found = at_once(watch, nodes)
    for kind, (what, after) in found.items():
        measured.append(
            f"{kind}: a permanent value was announced again after {after:.0f} s by {what}"
        )
        assert what == "refresh"
        assert 580.0 < after < 605.0


def test_values_expire(pool: PeerPool, measured: list[str]) -> None:
    """A plain value lives ten minutes, an ICE candidate one; refreshing prolongs."""

    def watch(peer: Peer) -> dict[str, float]:
        wire, to = pool.wire(is_client=True), ("127.0.0.1", peer.port)
        put_alone(wire, to, plain_value(1, b"plain"))
        put_alone(wire, to, plain_value(2, b"kept"))
        put_alone(wire, to, plain_value(3, b"ice", kind=5))
        start, names = time.monotonic(), {1: "plain", 2: "refreshed at 5 min", 3: "ICE"}
        ends: dict[str, float] = {}
        is_refreshed = False
        while len(ends) < len(names):
            time.sleep(1.0)
            if not is_refreshed and time.monotonic() - start > 5 * MINUTE:
                refresh = {"h": RAW_KEY, "vid": 2, "token": wire.token(to, RAW_KEY)}
                is_refreshed = wire.ask(to, "refresh", refresh).header.kind == "reply"
            values = wire.ask(to, "get", {"h": RAW_KEY, "w": []}).values
            gone = names.keys() - {value["id"] for value in values}
            for value_id in gone:
                ends.setdefault(names[value_id], time.monotonic() - start)
        return ends

    peers = {kind: pool.start(kind) for kind in KINDS}
    found = at_once(watch, peers)
    for kind, ends in found.items():
        measured.append(
            f"{kind}: " + ", ".join(f"{name} {after:.0f} s" for name, after in ends.items())
        )
        assert 597 < ends["plain"] < 605
        assert 57 < ends["ICE"] < 65
        assert 895 < ends["refreshed at 5 min"] < 908


def test_bootstrap_rounds_double(pool: PeerPool, measured: list[str]) -> None:
    """Case 19: a silent bootstrap node is pinged at 0, 10, 30, 70, 150 s."""
    wires = {kind: pool.wire(answers=False) for kind in KINDS}
    starts: dict[str, float] = {}
    for kind, wire in wires.items():
        pool.start(kind, bootstrap=f"127.0.0.1:{wire.port}")
        starts[kind] = wait_for(wire, lambda a: a.kind == "ping", 1, 1.0)[0].at

    def rounds(kind: str) -> list[float]:
        wire, start = wires[kind], starts[kind]
        deadline = time.monotonic() + 160.0
        while time.monotonic() < deadline:
            time.sleep(1.0)
        firsts: dict[int, float] = {}
        for arrival in list(wire.arrivals):
            if arrival.kind == "ping":
                firsts.setdefault(arrival.tid, arrival.at - start)
        return sorted(firsts.values())

    found = at_once(rounds, {kind: kind for kind in KINDS})
    for kind, times in found.items():
        measured.append(
            f"{kind}: rounds at " + ", ".join(f"{moment:.0f}" for moment in times) + " s"
        )
        for wanted in (0, 10, 30, 70, 150):
            assert any(abs(moment - wanted) < 3 + wanted / 20 for moment in times), (kind, times)


def test_listen_lasts(pool: PeerPool, measured: list[str]) -> None:
    """Case 10: an hour of listening between all kinds, a value every minute, none missed."""
    first = pool.start(SHOAL)
    peers = {kind: pool.start(kind, bootstrap=first) for kind in KINDS}
    connected(first, *peers.values())
    listens = {kind: peer.listen(KEY) for kind, peer in peers.items()}
    wanted: set[bytes] = set()
    order = [DHTNODE, OPENDHT, SHOAL]
    for minute in range(60):
        data = f"minute-{minute}".encode()
        assert peers[order[minute % 3]].put(KEY, data).ok, minute
        wanted.add(data)
        time.sleep(MINUTE)
    for kind, listening in listens.items():
        heard = [event.value.data for event in listening.heard() if not event.is_expired]
        ended = [event.value.data for event in listening.heard() if event.is_expired]
        measured.append(f"{kind}: heard {len(heard)} values and {len(ended)} ends")
        assert sorted(data for data in heard if data) == sorted(wanted), kind
        assert len(ended) >= 45, kind
