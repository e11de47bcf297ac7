"""What each kind of node asks of others: captured by a bare socket that plays the only other node.

Case numbers are those of the table in docs/protocol/interop.md.
"""

from __future__ import annotations

import contextlib
import os
import threading
from typing import TYPE_CHECKING, Any

import msgpack
import pytest

from tests.peers.peer import key_of
from tests.peers.pool import DHTNODE, KINDS, OPENDHT, SHOAL, connected
from tests.peers.signing import Recipient, other_signer, vector_signer, with_data
from tests.peers.waiting import until
from tests.peers.wire_peer import TOKEN, Arrival, Message, WirePeer, plain_value

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.peers.peer import Peer
    from tests.peers.pool import PeerPool

KEY = key_of("initiator")
RAW_KEY = bytes.fromhex(KEY)

pytestmark = pytest.mark.parametrize("kind", KINDS)


@pytest.fixture
def wire(pool: PeerPool) -> WirePeer:
    """The only other node."""
    return pool.wire()


def started(pool: PeerPool, kind: str, wire: WirePeer, **wishes: Any) -> Peer:
    """Start a node that knows only *wire*, and wait until it counts it as good."""
    node = pool.start(kind, bootstrap=f"127.0.0.1:{wire.port}", **wishes)
    connected(node)
    return node


def in_order(query: Arrival, arguments: str, *, top: str = "a q t y v n") -> None:
    """Assert the keys' order and the canonical form of a query."""
    assert list(query.message) == top.split()
    assert list(query.body) == arguments.split()
    assert query.message["y"] == "q"
    assert msgpack.packb(query.message) == query.raw


def in_background(act: Callable[[], object]) -> threading.Thread:
    """Run a blocking operation whose datagrams are watched."""

    def quietly() -> None:
        with contextlib.suppress(AssertionError, TimeoutError, OSError):
            act()  # it may outlive the peer: what is looked at is on the wire

    thread = threading.Thread(target=quietly, daemon=True)
    thread.start()
    return thread


def gets(wire: WirePeer) -> list[Arrival]:
    """Return the gets of the test's key."""
    return [a for a in wire.arrivals if a.kind == "get" and a.body["h"] == RAW_KEY]


def test_joining(pool: PeerPool, wire: WirePeer, kind: str) -> None:
    """Case 1: a ping to the bootstrap node, then finds; every key in its place."""
    node = started(pool, kind, wire)
    in_order(wire.asked("ping")[0], "id")
    assert wire.asked("ping")[0].body["id"] == node.node_id
    find = wire.asked("find")[0]
    in_order(find, "id target w" if "w" in find.body else "id target")
    assert set(find.body.get("w", [])) <= {2, 10}


def test_get_is_paginated(pool: PeerPool, wire: WirePeer, kind: str) -> None:
    """Case 20: ids first, then each value by its id; we ask for whole values while they are few."""
    node = started(pool, kind, wire)
    plain = plain_value(5, b"five")
    secret: Message = {"id": 6, "dat": b"not for you"}
    signed = vector_signer().signed(7, b"seven")
    wire.stored[RAW_KEY] = [plain, secret, signed]
    found = node.get(KEY)
    assert {value.id: value.data for value in found if not value.is_encrypted} == {
        5: b"five",
        7: b"seven",
    }
    if kind == SHOAL:
        (query,) = gets(wire)
        in_order(query, "id h w" if "w" in query.body else "id h")
        return
    first, *rest = gets(wire)
    in_order(first, "id h q" if "w" not in first.body else "id h q w")
    assert first.body["q"] == {"s": [1], "w": []}
    assert list(first.body["q"]) == ["s", "w"]
    wheres = [query.body["q"] for query in rest if query.body["q"]["w"]]
    assert all(q["s"] == [] and list(q["w"][0]) == ["f", "v"] for q in wheres)
    assert sorted(q["w"][0]["v"] for q in wheres) == [5, 6, 7]


def test_put(pool: PeerPool, wire: WirePeer, kind: str) -> None:
    """Case 1: value, token of the node, no creation time for a value created now."""
    node = started(pool, kind, wire)
    assert node.put(KEY, b"hello", user_type="text/plain").ok
    put = wire.asked("put")[0]
    in_order(put, "id h values c token" if "c" in put.body else "id h values token")
    assert put.body["token"] == TOKEN
    (value,) = put.body["values"]
    assert list(value) == ["id", "dat"]
    assert value["dat"] == {"body": {"type": 0, "data": b"hello", "utype": "text/plain"}}
    assert list(value["dat"]["body"]) == ["type", "data", "utype"]


@pytest.mark.parametrize("length", [10_000, 65_536])
def test_large_put(pool: PeerPool, wire: WirePeer, kind: str, length: int) -> None:
    """Case 7: a header with the size, then the parts in order.

    The largest value fits only under a small id: packed it takes 65,568 bytes, the most that a
    node reads.
    """
    node = started(pool, kind, wire)
    data = os.urandom(length)
    assert node.put(KEY, data, value_id=5).ok
    put = wire.asked("put")[0]
    whole = wire.whole(put.tid, put.source)
    assert [value["dat"]["body"]["data"] for value in whole.values] == [data]
    parts = [a for a in wire.arrivals if a.kind == "part" and a.tid == put.tid]
    offsets = [part.message["p"][0]["o"] for part in parts]
    assert offsets == list(range(0, put.body["values"][0], 1280))
    assert all(list(part.message) == ["n", "y", "t", "p"] for part in parts)


def test_listen(pool: PeerPool, wire: WirePeer, kind: str) -> None:
    """Cases 1 and 9: the subscription, and what a listener makes of notices."""
    node = started(pool, kind, wire)
    listening = node.listen(KEY)
    query = wire.asked("listen")[0]
    in_order(query, "id ve h token sid q" if "q" in query.body else "id ve h token sid")
    assert (query.body["ve"], query.body["h"], query.body["token"]) == (1, RAW_KEY, TOKEN)

    def update(**more: object) -> None:
        arguments: Message = {"ve": 1, "h": RAW_KEY} if "values" in more else {}
        arguments |= {"sid": query.body["sid"], "token": TOKEN, **more}
        assert wire.ask(query.source, "update", arguments).header.kind == "reply"

    update(values=[plain_value(5, b"five"), vector_signer().signed(6, b"six", seq=1)])
    until(lambda: len(listening.heard()) == 2, "two values")
    update(re=[5, 99])  # 99 was never seen here
    update(exp=[5, 98])
    until(lambda: listening.heard()[2:], "an expiration")
    (expired,) = listening.heard()[2:]
    assert (expired.value.id, expired.is_expired) == (5, True)
    update(values=[vector_signer().signed(6, b"edited", seq=2)])
    update(exp=[6])
    until(lambda: any(e.is_expired and e.value.id == 6 for e in listening.heard()), "the end of 6")
    edits = [e for e in listening.heard() if e.value.data == b"edited" and not e.is_expired]
    # 2.4.12 misses an edit by a node that had already reported the id
    assert len(edits) == (0 if kind == DHTNODE else 1)


def test_forged_values_are_dropped(pool: PeerPool, wire: WirePeer, kind: str) -> None:
    """Case 11: get and listen verify before they pass a value up."""
    node = started(pool, kind, wire)
    good = vector_signer().signed(5, b"good")
    wire.stored[RAW_KEY] = [good, with_data({**good, "id": 6}, b"forged")]
    assert [value.data for value in node.get(KEY)] == [b"good"]
    listening = node.listen(key_of("other"))
    query = wire.asked("listen")[0]
    values = [with_data({**good, "id": 7}, b"forged"), {**good, "id": 8}]
    arguments: Message = {"ve": 1, "h": query.body["h"], "sid": query.body["sid"]}
    wire.ask(query.source, "update", {**arguments, "values": values, "token": TOKEN})
    until(listening.heard, "the good value")
    assert [event.value.id for event in listening.heard()] == [8]


def test_decryption(pool: PeerPool, wire: WirePeer, kind: str) -> None:
    """Case 15: what is for the node is decrypted, what is for others is not shown in clear."""
    node = started(pool, kind, wire, has_identity=True)
    pem: str = until(lambda: published_certificate(wire), "the certificate", 10.0)
    to = Recipient.of(pem)
    mine = vector_signer()
    for_node = {
        "id": 5,
        "dat": to.sealed(msgpack.packb(mine.signed(5, b"yours", to=to.key_id)["dat"])),
    }
    for_other = mine.encrypted(6, b"theirs", other_signer())
    stolen = {
        "id": 7,
        "dat": to.sealed(msgpack.packb(mine.signed(7, b"moved", to=mine.key_id)["dat"])),
    }
    unsigned = {"id": 8, "dat": to.sealed(msgpack.packb(plain_value(8, b"unsigned")["dat"]))}
    wire.stored[RAW_KEY] = [for_node, for_other, stolen, unsigned]
    found = [value for value in node.get(KEY) if not value.is_encrypted]
    assert [(value.id, value.data) for value in found] == [(5, b"yours")]


def test_certificate_is_published(pool: PeerPool, wire: WirePeer, kind: str) -> None:
    """Case 14: 2.4.12 at the key id, 4.x at SHA-1(long id), we at both."""
    started(pool, kind, wire, has_identity=True)
    pem: str = until(lambda: published_certificate(wire), "the certificate", 10.0)
    to = Recipient.of(pem)
    wanted = {DHTNODE: {to.key_id}, OPENDHT: {to.long_id_key}}.get(
        kind, {to.key_id, to.long_id_key}
    )
    until(lambda: wanted <= {a.body["h"] for a in wire.arrivals if a.kind == "put"}, "all places")
    assert {a.body["h"] for a in wire.arrivals if a.kind == "put"} == wanted


def test_permanent_put(pool: PeerPool, wire: WirePeer, kind: str) -> None:
    """Case 17: a probe for id and sequence, then a put without creation time."""
    node = started(pool, kind, wire)
    assert node.put(KEY, b"lasting", permanent=True).ok
    put = wire.asked("put")[0]
    in_order(put, "id h values token")
    probe = next(query for query in gets(wire) if query.body["q"]["s"] == [1, 4])
    assert probe.at < put.at


@pytest.mark.parametrize("is_forgotten", [False, True])
def test_permanent_put_of_a_known_value(
    pool: PeerPool, wire: WirePeer, kind: str, is_forgotten: bool
) -> None:
    """Case 17: refreshed where the probe finds it; put again after a 404."""
    node = started(pool, kind, wire)
    wire.stored[RAW_KEY] = [plain_value(5, b"lasting")]
    if is_forgotten:
        wire.mute.add("refresh")
    done = in_background(lambda: node.put(KEY, b"lasting", value_id=5, permanent=True))
    refresh = wire.asked("refresh")[0]
    in_order(refresh, "id h vid token")
    assert (refresh.body["vid"], refresh.body["token"]) == (5, TOKEN)
    if is_forgotten:
        answer: Message = {"e": [404, "unknown storage"], "r": {"id": wire.node_id}}
        answer |= {"t": refresh.tid, "y": "e", "v": "o2", "n": wire.network}
        wire.send(answer, refresh.source)
        wire.asked("put")
    done.join(10.0)
    assert not done.is_alive()
    assert bool([a for a in wire.arrivals if a.kind == "put"]) is is_forgotten


def test_wrong_token_leads_to_a_new_one(pool: PeerPool, wire: WirePeer, kind: str) -> None:
    """Error 401 on a put: the token is dropped, asked for again, and the put repeated."""
    node = started(pool, kind, wire)
    wire.mute.add("put")
    done = in_background(lambda: node.put(KEY, b"hello"))
    first = wire.asked("put")[0]
    mark = wire.mark()
    wire.mute.discard("put")
    answer: Message = {"e": [401, "wrong token"], "r": {"id": wire.node_id}}
    wire.send(answer | {"t": first.tid, "y": "e", "v": "o2", "n": wire.network}, first.source)
    wire.asked("put", after=mark, timeout=5.0)
    asked_again = [a.kind for a in wire.since(mark) if a.kind in {"get", "find", "put"}]
    assert asked_again[0] in {"get", "find"}
    done.join(10.0)
    assert not done.is_alive()


def test_tokenless_reply(pool: PeerPool, wire: WirePeer, kind: str) -> None:
    """Case 5: a find or get reply without token ends the acquaintance, until restart."""
    node = started(pool, kind, wire)
    wire.mute |= {"find", "get"}
    in_background(lambda: node.get(KEY))
    until(lambda: gets(wire), "a get")
    wire.reply(gets(wire)[0], {"id": wire.node_id, "sa": bytes([127, 0, 0, 1])})
    until(lambda: not answers_pings(wire, ("127.0.0.1", node.port)), "silence", 5.0)


def answers_pings(wire: WirePeer, to: tuple[str, int]) -> bool:
    """Whether a ping from *wire* is answered at once."""
    try:
        wire.ask(to, "ping", timeout=0.3)
    except AssertionError:
        return False
    return True


def published_certificate(wire: WirePeer) -> str | None:
    """Return the PEM chain of the first put of type 8, once it is complete."""
    for arrival in list(wire.arrivals):
        if arrival.kind != "put":
            continue
        try:
            (value,) = wire.whole(arrival.tid, arrival.source, timeout=1.0).values
        except AssertionError:
            continue
        body = value["dat"]["body"]
        if body["type"] == 8:
            assert value["id"] == 1
            return str(msgpack.unpackb(body["data"]).decode())
    return None
