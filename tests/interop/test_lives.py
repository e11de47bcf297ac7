"""Nodes that die and come back, nodes of other networks, and what a state file brings along."""

from __future__ import annotations

import itertools
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import msgpack
import pytest

from tests.peers.peer import Peer, is_heard, key_of, shown
from tests.peers.pool import KINDS, OPENDHT, SHOAL, PeerPool, connected, need
from tests.peers.waiting import until

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.peers.wire_peer import WirePeer

KEY = key_of("lives")
RAW_KEY = bytes.fromhex(KEY)


def stored_at(wire: WirePeer, peer: Peer, key: bytes = RAW_KEY) -> Callable[[], bool]:
    """Return a look for `until`: does *peer* itself hold something at *key*?"""

    def look() -> bool:
        whole = wire.ask(("127.0.0.1", peer.port), "get", {"h": key, "w": []})
        return bool(whole.values)

    return look


@pytest.mark.parametrize("survivor", KINDS)
def test_values_survive_their_putter(pool: PeerPool, survivor: str) -> None:
    """Who put a value may die: the others hold it, and those who come later find it."""
    need(*KINDS)
    first = pool.start(survivor)
    putters = [pool.start(kind, bootstrap=first) for kind in KINDS]
    connected(first, *putters)
    for putter in putters:
        assert putter.put(KEY, putter.process.name.encode()).ok
    for putter in putters:
        putter.kill()
    names = sorted(putter.process.name.encode() for putter in putters)
    for kind in KINDS:
        late = pool.start(kind, bootstrap=first)
        connected(late)
        assert shown(late.get(KEY, timeout=40.0)) == names, kind


@pytest.mark.parametrize("kind", KINDS)
def test_permanent_values_reach_newcomers(pool: PeerPool, kind: str) -> None:
    """A permanent value is put on nodes that join later; a cancelled one is not."""
    first = pool.start(SHOAL)
    putter = pool.start(kind, bootstrap=first)
    connected(first, putter)
    assert putter.put(KEY, b"lasting", permanent=True).ok
    gone = putter.put(key_of("gone"), b"gone", permanent=True)
    assert gone.ok
    putter.cancel_put(key_of("gone"), gone.id)
    wire = pool.wire(is_client=True)
    newcomers = [pool.start(other, bootstrap=first) for other in KINDS]
    for newcomer in newcomers:
        connected(newcomer)
        newcomer.get(KEY)
        until(stored_at(wire, newcomer), f"the value at {newcomer.process.name}", 25.0)
        assert not stored_at(wire, newcomer, bytes.fromhex(key_of("gone")))()


@pytest.mark.parametrize("kind", KINDS)
def test_listeners_hear_again_after_a_restart(pool: PeerPool, kind: str) -> None:
    """A storer dies and another comes: the listener's subscription follows."""
    first = pool.start(kind)
    listener = pool.start(SHOAL, bootstrap=first)
    connected(listener)
    listening = listener.listen(KEY)
    assert first.put(KEY, b"one").ok
    until(is_heard(listening, b"one"), "the first value")
    second = pool.start(kind, bootstrap=first)
    until(lambda: knows_both(second), "the second node knows both")
    first.kill()
    listener.get(KEY, timeout=40.0)
    assert second.put(KEY, b"two", timeout=40.0).ok
    until(is_heard(listening, b"two"), "the second value", 40.0)


def knows_both(peer: Peer) -> bool:
    """Make a peer ask around; return whether it counts two good nodes then."""
    peer.get(key_of("around"))
    return peer.good_nodes() >= 2


@pytest.mark.parametrize("kind", KINDS)
def test_state_file(pool: PeerPool, tmp_path: Path, kind: str) -> None:
    """Same id and port after a restart, and no need of a bootstrap node."""
    first = pool.start(SHOAL)
    others = [pool.start(other, bootstrap=first) for other in KINDS]
    connected(first, *others)
    path = str(tmp_path / "state")
    node = pool.start(kind, bootstrap=first, state_path=path)
    connected(node)
    node.get(KEY)
    assert node.put(KEY, b"kept").ok
    before = node.node_id, node.port
    node.close()
    again = pool.start(kind, state_path=path)
    assert (again.node_id, again.port) == before
    connected(again)
    assert shown(again.get(KEY)) == [b"kept"]


@pytest.mark.parametrize(("writer", "reader"), list(itertools.permutations(KINDS, 2)))
def test_state_file_of_another_kind(
    pool: PeerPool, tmp_path: Path, writer: str, reader: str
) -> None:
    """Case 23: each kind starts from what each other kind saved, and finds the network by it."""
    other = pool.start(OPENDHT if OPENDHT not in {writer, reader} else SHOAL)
    path = tmp_path / "state"
    node = pool.start(writer, bootstrap=other, state_path=str(path))
    connected(node)
    node.get(KEY)
    assert node.put(KEY, b"kept").ok
    node.close()
    saved = msgpack.unpackb(path.read_bytes(), strict_map_key=False)
    assert saved["id"] == node.node_id
    assert [entry["id"] for entry in saved["nodes"]] == [other.node_id]
    assert [key for key, _ in saved["values"]] == [RAW_KEY]
    heir = pool.start(reader, state_path=str(path))
    assert heir.node_id == node.node_id
    connected(heir)
    assert shown(heir.get(KEY)) == [b"kept"]
    other.kill()


@pytest.mark.parametrize(
    ("first", "second"), [pair for pair in itertools.product(KINDS, KINDS) if SHOAL in pair]
)
def test_over_ipv6(pool: PeerPool, first: str, second: str) -> None:
    """Joined by an IPv6 address, put by one, got by the other, and the other way round."""
    one = pool.start(first)
    two = pool.start(second, bootstrap=f"[::1]:{one.port6}")
    connected(two, one)
    assert two.put(key_of("there"), b"over six").ok
    assert shown(one.get(key_of("there"))) == [b"over six"]
    assert one.put(key_of("back"), b"over six too").ok
    assert shown(two.get(key_of("back"))) == [b"over six too"]
    wire = pool.wire(host="::1", is_client=True)

    def named() -> bytes:
        found = wire.ask(("::1", one.port6), "find", {"target": two.node_id, "w": [2, 10]})
        nodes: bytes = found.body.get("n6", b"")
        return nodes

    until(lambda: two.node_id in named(), "the node in a list of IPv6 nodes")


@pytest.mark.parametrize("kind", KINDS)
def test_client_mode(pool: PeerPool, kind: str) -> None:
    """A client uses the network; others neither list it nor store anything with it."""
    first = pool.start(kind)
    client = pool.start(SHOAL, bootstrap=first, extra={"config": {"is_client": True}})
    connected(client)
    assert client.put(KEY, b"by a client").ok
    wire = pool.wire(is_client=True)
    body = wire.ask(("127.0.0.1", first.port), "find", {"target": client.node_id}).body
    assert "n4" not in body
    late = pool.start(SHOAL, bootstrap=first)
    connected(late)
    assert shown(late.get(KEY)) == [b"by a client"]
    other_key = key_of("not for clients")
    assert late.put(other_key, b"x").ok
    assert stored_at(wire, first, bytes.fromhex(other_key))()
    assert not stored_at(wire, client, bytes.fromhex(other_key))()


def test_network_id_separates(pool: PeerPool) -> None:
    """Nodes of one network that are told of another's nodes neither join nor find anything."""
    strangers = {kind: pool.start(kind) for kind in KINDS}
    pairs = [pair for pair in itertools.product(KINDS, KINDS) if SHOAL in pair]
    askers = [
        pool.start(asker, bootstrap=strangers[asked], network=pool.network + 1)
        for asker, asked in pairs
    ]
    for stranger in strangers.values():
        stranger.put(KEY, b"theirs")
    with ThreadPoolExecutor(len(askers)) as threads:  # each gives up after some seconds
        found = list(threads.map(lambda asker: asker.get(KEY), askers))
        known = list(threads.map(lambda asker: asker.good_nodes(), askers))
    assert found == [[] for _ in pairs]
    assert known == [0 for _ in pairs]
    assert [stranger.good_nodes() for stranger in strangers.values()] == [0, 0, 0]
