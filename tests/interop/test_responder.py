"""What each kind of node answers to hand-made datagrams: the same cases for the peers and for us.

Case numbers are those of the table in docs/protocol/interop.md.
"""

from __future__ import annotations

import hashlib
import itertools
import os
import time
from typing import TYPE_CHECKING, Any

import msgpack
import pytest

from tests.peers.pool import DHTNODE, KINDS, OPENDHT, SHOAL
from tests.peers.signing import other_signer, vector_signer, with_data
from tests.peers.waiting import until
from tests.peers.wire_peer import (
    Arrival,
    Endpoint,
    Message,
    Whole,
    WirePeer,
    compact_nodes,
    parts_of,
    plain_value,
    value_of_size,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.peers.peer import Peer
    from tests.peers.pool import PeerPool

_keys = itertools.count()


@pytest.fixture(params=KINDS)
def node(request: pytest.FixtureRequest, shared_pool: PeerPool) -> Peer:
    """A lonely node of each kind, started once; tests come in random order."""
    return shared_pool.once(request.param)


@pytest.fixture
def to(node: Peer) -> Endpoint:
    """Where it listens."""
    return ("127.0.0.1", node.port)


@pytest.fixture
def wire(node: Peer, shared_pool: PeerPool) -> Iterator[WirePeer]:
    """A socket in the node's network; a client, since the dead nodes of many tests add up."""
    with WirePeer(network=shared_pool.network, is_client=True) as peer:
        yield peer


@pytest.fixture
def key() -> bytes:
    """A key that no other test uses."""
    return hashlib.sha1(f"responder {next(_keys)}".encode(), usedforsecurity=False).digest()


def get(wire: WirePeer, to: Endpoint, key: bytes, **arguments: object) -> Whole:
    """Get without nodes."""
    return wire.ask(to, "get", {"h": key, **arguments, "w": []})


def held(wire: WirePeer, to: Endpoint, key: bytes) -> dict[int, Any]:
    """Return what the node holds at *key*, by value id."""
    return {value["id"]: value["dat"] for value in get(wire, to, key).values}


def canonical(arrival: Arrival) -> None:
    """Assert that a datagram is written in the shortest form."""
    assert msgpack.packb(arrival.message) == arrival.raw


def error_of(arrival: Arrival) -> int:
    """Return the code of an error."""
    assert arrival.kind == "error", arrival.message
    return int(arrival.message["e"][0])


def put_one(wire: WirePeer, to: Endpoint, key: bytes, value: Message, **more: Any) -> list[Arrival]:
    """Put one value; the node acknowledges it, whatever it thinks of it."""
    answers = wire.put(to, key, [value], **more)
    assert [answer.body["vid"] for answer in answers] == [value["id"]]
    return answers


class TestRequestsAndReplies:
    """Case 1: every reply, its keys in the order of the reference."""

    def envelope(self, node: Peer, wire: WirePeer, reply: Arrival, order: str) -> None:
        """Check the outer map and the order of the reply's body."""
        assert list(reply.message) == ["r", "t", "y", "v", "n"]
        assert list(reply.body) == order.split()
        assert reply.body["id"] == node.node_id
        assert reply.body["sa"] == bytes([127, 0, 0, 1])
        assert reply.message["n"] == wire.network
        assert reply.message["v"] in {"RNG1", "o2"}
        canonical(reply)

    def test_ping(self, node: Peer, wire: WirePeer, to: Endpoint) -> None:
        """A pong says who answers and whom it saw."""
        self.envelope(node, wire, wire.ping(to), "id sa")

    def test_find(self, node: Peer, wire: WirePeer, to: Endpoint, key: bytes) -> None:
        """A find reply has a token, always."""
        reply = wire.ask(to, "find", {"target": key, "w": []}).header
        self.envelope(node, wire, reply, "id sa token")
        assert len(reply.body["token"]) == 32

    def test_get_without_values(self, node: Peer, wire: WirePeer, to: Endpoint, key: bytes) -> None:
        """A get reply without values has a token and no `values`."""
        self.envelope(node, wire, get(wire, to, key).header, "id sa token")

    def test_put_and_get(self, node: Peer, wire: WirePeer, to: Endpoint, key: bytes) -> None:
        """A value comes back as the bytes that were put."""
        value = plain_value(0x1122334455667788, b"hello", user_type="text/plain")
        (stored,) = put_one(wire, to, key, value)
        self.envelope(node, wire, stored, "id vid sa")
        found = get(wire, to, key)
        self.envelope(node, wire, found.header, "id sa token values")
        assert msgpack.packb(found.values) == msgpack.packb([value])

    def test_refresh(self, node: Peer, wire: WirePeer, to: Endpoint, key: bytes) -> None:
        """Acknowledged where the key is known, for unknown value ids too; else 404."""
        token = wire.token(to, key)
        missing = wire.ask(to, "refresh", {"h": key, "vid": 5, "token": token}).header
        assert error_of(missing) == 404
        assert list(missing.message) == ["e", "r", "t", "y", "v", "n"]
        assert missing.message["r"] == {"id": node.node_id}
        put_one(wire, to, key, plain_value(5, b"five"))
        for value_id in (5, 6):
            reply = wire.ask(to, "refresh", {"h": key, "vid": value_id, "token": token}).header
            self.envelope(node, wire, reply, "id vid sa")
            assert reply.body["vid"] == value_id

    def test_listen(self, node: Peer, wire: WirePeer, to: Endpoint, key: bytes) -> None:
        """A listen is acknowledged; since 3.7.4 with a token."""
        reply = listen(wire, to, key, 4242)
        self.envelope(node, wire, reply, "id sa" if node.kind == DHTNODE else "id sa token")

    def test_update(self, node: Peer, wire: WirePeer, to: Endpoint) -> None:
        """An update for a socket nobody opened is acknowledged."""
        arguments = {"sid": 777, "token": bytes(32), "exp": [1]}
        self.envelope(node, wire, wire.ask(to, "update", arguments).header, "id sa")


class TestTolerance:
    """Case 2: what a reader puts up with, and what not."""

    def test_unknown_keys_and_any_order(self, wire: WirePeer, to: Endpoint) -> None:
        """Unknown keys are ignored at both levels, order does not matter."""
        tid = wire.next_tid()
        wire.send(
            {
                "v": "zz", "zz": [1, {}], "y": "q", "n": wire.network, "t": tid, "q": "ping",
                "a": {"future": None, "id": wire.node_id},
            },
            to,
        )  # fmt: skip
        assert wire.whole(tid, to).header.kind == "reply"

    @pytest.mark.parametrize("old", [b"\x01\x02\x03\x04", "\x01\x02\x03\x04"], ids=["bin", "str"])
    def test_four_bytes_as_transaction_id(
        self, wire: WirePeer, to: Endpoint, old: bytes | str
    ) -> None:
        """Old peers send four bytes; the reply echoes the number."""
        _, message = wire.query("ping", {})
        wire.send({**message, "t": old}, to)
        assert wire.whole(0x01020304, to).header.kind == "reply"

    def test_id_as_text_is_refused(self, wire: WirePeer, to: Endpoint) -> None:
        """An id must be a bin of 20 bytes: text, and other lengths, kill the datagram."""
        for bad in ("x" * 20, b"x" * 19, b"x" * 21, list(range(20))):
            assert wire.ask_nothing(to, "ping", {"id": bad}), bad

    def test_blobs_as_text_and_as_array(self, wire: WirePeer, to: Endpoint, key: bytes) -> None:
        """Tokens and contents may be arrays of small integers, contents text."""
        token = list(wire.token(to, key))
        as_array: Message = {"id": 3, "dat": {"body": {"type": 0, "data": [1, 2, 3]}}}
        as_text: Message = {"id": 4, "dat": {"body": {"type": 0, "data": "text"}}}
        arguments = {"h": key, "values": [as_array, as_text], "token": token}
        wire.ask(to, "put", arguments)
        values = held(wire, to, key)
        assert values[3]["body"]["data"] == b"\x01\x02\x03"
        assert values[4]["body"]["data"] == b"text"

    def test_a_bad_value_is_skipped(self, wire: WirePeer, to: Endpoint, key: bytes) -> None:
        """One value that cannot be read does not harm its neighbours."""
        token = wire.token(to, key)
        bad: Message = {"id": 8, "dat": {"body": {"data": b"no type"}}}
        arguments = {"h": key, "values": [bad, plain_value(9, b"nine")], "token": token}
        assert wire.ask(to, "put", arguments).body["vid"] == 9
        assert list(held(wire, to, key)) == [9]

    def test_garbage_is_dropped(self, wire: WirePeer, to: Endpoint) -> None:
        """Nothing that is no query of ours gets an answer."""
        mark = wire.mark()
        for garbage in (b"", b"\xc1", b"\x80", b"\x85\xa1a", b"hello", os.urandom(600)):
            wire.send_raw(garbage, to)
        wire.send({"y": "q", "t": 5, "q": "nonsense", "a": {"id": wire.node_id}}, to)
        wire.send({"y": "x", "t": 5, "q": "ping", "a": {"id": wire.node_id}}, to)
        wire.ping(to)
        assert [arrival.kind for arrival in wire.since(mark) if arrival.kind == "reply"] == [
            "reply"
        ]

    def test_own_and_zero_id_are_dropped(self, node: Peer, wire: WirePeer, to: Endpoint) -> None:
        """A message that claims to come from the node itself, or from nobody."""
        for bad in (node.node_id, bytes(20)):
            assert wire.ask_nothing(to, "ping", {"id": bad})


class TestNetworkId:
    """Case 3."""

    def test_other_networks_are_silent(self, wire: WirePeer, to: Endpoint) -> None:
        """A different network id, and none, get no answer."""
        mark = wire.mark()
        for network in (wire.network + 1, 0):
            _, message = wire.query("ping", {})
            message["n"] = network
            wire.send(message, to)
        _, message = wire.query("ping", {})
        del message["n"]
        wire.send(message, to)
        wire.ping(to)
        assert len([a for a in wire.since(mark) if a.kind == "reply"]) == 1

    @pytest.mark.parametrize("kind", KINDS)
    def test_zero_is_omitted(self, pool: PeerPool, kind: str) -> None:
        """On network 0 the key `n` is absent from replies; with or without it in the query."""
        peer = pool.start(kind, network=0)
        wire = pool.wire(network=0)
        to = ("127.0.0.1", peer.port)
        assert list(wire.ping(to).message) == ["r", "t", "y", "v"]
        tid, message = wire.query("ping", {}, n=0)
        wire.send(message, to)
        assert wire.whole(tid, to).header.kind == "reply"


class TestTokens:
    """Case 4; rotation takes 15 minutes and is a soak test."""

    def test_from_another_port(self, wire: WirePeer, to: Endpoint, key: bytes) -> None:
        """A token is bound to address and port."""
        token = wire.token(to, key)
        with WirePeer(network=wire.network) as other:
            (answer,) = other.put(to, key, [plain_value(5, b"stolen")], token=token)
        assert error_of(answer) == 401
        assert held(wire, to, key) == {}

    @pytest.mark.parametrize("bad", [b"", bytes(31), bytes(32), bytes(64), bytes(65)])
    def test_wrong_tokens(self, wire: WirePeer, to: Endpoint, key: bytes, bad: bytes) -> None:
        """Put, listen and refresh refuse them with 401."""
        (answer,) = wire.put(to, key, [plain_value(5, b"no")], token=bad)
        assert error_of(answer) == 401
        assert error_of(listen(wire, to, key, 5, token=bad)) == 401
        refresh = wire.ask(to, "refresh", {"h": key, "vid": 5, "token": bad}).header
        assert error_of(refresh) == 401

    def test_any_key(self, wire: WirePeer, to: Endpoint, key: bytes) -> None:
        """A token serves for every key."""
        token = wire.token(to, bytes(20)[:-1] + b"\1")
        put_one(wire, to, key, plain_value(5, b"five"), token=token)
        assert list(held(wire, to, key)) == [5]


class TestErrors:
    """Error 203."""

    @pytest.mark.parametrize("name", ["get", "put", "listen"])
    def test_zero_key(self, wire: WirePeer, to: Endpoint, key: bytes, name: str) -> None:
        """The zero key belongs to nobody."""
        arguments: dict[str, Message] = {
            "get": {},
            "put": {"values": [plain_value(5, b"x")]},
            "listen": {"sid": 5, "ve": 1},
        }
        token = wire.token(to, key)
        answer = wire.ask(to, name, {"h": bytes(20), **arguments[name], "token": token}).header
        assert error_of(answer) == 203

    def test_value_id_zero(self, wire: WirePeer, to: Endpoint, key: bytes) -> None:
        """A value needs an id."""
        (answer,) = wire.put(to, key, [plain_value(0, b"x")])
        assert error_of(answer) == 203


class TestParts:
    """Case 7: inline or in parts, in every size."""

    @pytest.mark.parametrize(("size", "is_inline"), [(599, True), (600, False)])
    def test_six_hundred_bytes(
        self, wire: WirePeer, to: Endpoint, key: bytes, size: int, is_inline: bool
    ) -> None:
        """Values of fewer than 600 bytes in all travel inside the reply."""
        value = value_of_size(5, size)
        put_one(wire, to, key, value)
        found = get(wire, to, key)
        assert found.values == [value]
        assert (found.parts == 0) is is_inline

    @pytest.mark.parametrize(("count", "is_inline"), [(49, True), (50, False)])
    def test_fifty_values(
        self, wire: WirePeer, to: Endpoint, key: bytes, count: int, is_inline: bool
    ) -> None:
        """Fewer than fifty values, too; only ciphertexts of one byte are small enough to see it."""
        values: list[Message] = [{"id": number + 1, "dat": b"x"} for number in range(count)]
        wire.put(to, key, values)
        found = get(wire, to, key)
        assert sorted(value["id"] for value in found.values) == list(range(1, count + 1))
        assert (found.parts == 0) is is_inline

    @pytest.mark.parametrize("length", [1, 1240, 1250, 1280, 2560, 3000, 65_536])
    def test_content_of_any_length(
        self, wire: WirePeer, to: Endpoint, key: bytes, length: int
    ) -> None:
        """There and back again, up to the limit."""
        value = plain_value(5, os.urandom(length))
        put_one(wire, to, key, value)
        found = get(wire, to, key)
        assert found.values == [value]

    @pytest.mark.parametrize("size", [1280, 1281, 2560, 2561])
    def test_boundaries_of_parts(self, wire: WirePeer, to: Endpoint, key: bytes, size: int) -> None:
        """Packed sizes around multiples of a part."""
        value = value_of_size(5, size)
        put_one(wire, to, key, value)
        found = get(wire, to, key)
        assert found.values == [value]
        assert found.parts == -(-size // 1280)

    @pytest.mark.parametrize(("value_id", "is_taken"), [(127, True), (128, False), (2**63, False)])
    def test_the_id_counts(
        self, wire: WirePeer, to: Endpoint, key: bytes, value_id: int, is_taken: bool
    ) -> None:
        """64 KiB are taken under an id of one byte only: 65,568 bytes packed is the limit."""
        answers = wire.put(to, key, [plain_value(value_id, bytes(65_536))])
        assert bool(answers) is is_taken
        assert bool(held(wire, to, key)) is is_taken

    def test_too_large_is_never_answered(self, wire: WirePeer, to: Endpoint, key: bytes) -> None:
        """One value above the limit leaves nothing to answer for."""
        assert wire.put(to, key, [plain_value(5, bytes(65_540))]) == []
        assert held(wire, to, key) == {}

    def test_parts_as_the_reference_writes_them(
        self, node: Peer, wire: WirePeer, to: Endpoint, key: bytes
    ) -> None:
        """Keys in order, 1280 bytes each, no user agent."""
        value = value_of_size(5, 3030)
        put_one(wire, to, key, value)
        mark = wire.mark()
        get(wire, to, key)
        parts = [arrival for arrival in wire.since(mark) if arrival.kind == "part"]
        for part, (offset, size) in zip(parts, [(0, 1280), (1280, 1280), (2560, 470)], strict=True):
            assert list(part.message) == ["n", "y", "t", "p"]
            ((index, piece),) = part.message["p"].items()
            assert (index, list(piece)) == (0, ["o", "d"])
            assert (piece["o"], len(piece["d"])) == (offset, size)
            canonical(part)

    def test_out_of_order(self, node: Peer, wire: WirePeer, to: Endpoint, key: bytes) -> None:
        """4.x and we take parts in any order, even before the header; 2.4.12 does not."""
        value = value_of_size(5, 5000)
        tid, message = wire.query("put", {"h": key, "values": [5000], "token": wire.token(to, key)})
        parts = parts_of(tid, [msgpack.packb(value)], network=wire.network)
        wire.send_raw(parts[2], to)
        wire.send(message, to)
        for part in (parts[3], parts[1], parts[1], parts[0]):
            wire.send_raw(part, to)
        wire.ping(to)
        assert held(wire, to, key) == ({} if node.kind == DHTNODE else {5: value["dat"]})

    def test_two_senders_at_once(self, wire: WirePeer, to: Endpoint, key: bytes) -> None:
        """Two interleaved messages under different transaction ids do not mix."""
        with WirePeer(network=wire.network) as other:
            sends = []
            for sender, value_id in ((wire, 5), (other, 6)):
                value = value_of_size(value_id, 4000)
                token = sender.token(to, key)
                tid, message = sender.query(
                    "put",
                    {"h": key, "values": [4000], "token": token},
                    tid=70_000 + value_id,
                )
                parts = parts_of(tid, [msgpack.packb(value)], network=wire.network)
                sends.append([(sender, msgpack.packb(message)), *((sender, p) for p in parts)])
            for step in zip(*sends, strict=True):
                for sender, data in step:
                    sender.send_raw(data, to)
            until(lambda: set(held(wire, to, key)) == {5, 6}, "both values")

    def test_incomplete_is_not_stored(self, wire: WirePeer, to: Endpoint, key: bytes) -> None:
        """A lost part: no answer; the sender's retry, complete, succeeds."""
        value = value_of_size(5, 4000)
        tid, message = wire.query("put", {"h": key, "values": [4000], "token": wire.token(to, key)})
        parts = parts_of(tid, [msgpack.packb(value)], network=wire.network)
        mark = wire.mark()
        wire.send(message, to)
        for part in parts[:-1]:
            wire.send_raw(part, to)
        wire.ping(to)
        assert not [a for a in wire.since(mark) if a.message.get("t") == tid]
        wire.send(message, to)
        for part in parts:
            wire.send_raw(part, to)
        assert wire.whole(tid, to, after=mark).body["vid"] == 5


class TestPut:
    """Cases 8, 12, 13 and 16."""

    def test_one_answer_per_value(self, wire: WirePeer, to: Endpoint, key: bytes) -> None:
        """Three values, three datagrams, one transaction id."""
        answers = wire.put(to, key, [plain_value(number, b"x") for number in (7, 8, 9)])
        assert [answer.body["vid"] for answer in answers] == [7, 8, 9]

    def test_no_value_no_answer(self, wire: WirePeer, to: Endpoint, key: bytes) -> None:
        """An empty list is not answered."""
        assert wire.put(to, key, []) == []

    def test_plain_values_cannot_be_edited(self, wire: WirePeer, to: Endpoint, key: bytes) -> None:
        """Other content under the same id: acknowledged, and ignored."""
        put_one(wire, to, key, plain_value(5, b"first"))
        put_one(wire, to, key, plain_value(5, b"second"))
        assert held(wire, to, key)[5]["body"]["data"] == b"first"

    def test_encrypted_values_cannot_be_edited(
        self, wire: WirePeer, to: Endpoint, key: bytes
    ) -> None:
        """Nor can ciphertext."""
        put_one(wire, to, key, {"id": 5, "dat": b"first cypher"})
        put_one(wire, to, key, {"id": 5, "dat": b"second cypher"})
        put_one(wire, to, key, plain_value(5, b"plain"))
        assert held(wire, to, key) == {5: b"first cypher"}

    def test_service_announcement_is_rewritten(
        self, wire: WirePeer, to: Endpoint, key: bytes
    ) -> None:
        """Type 2: the address becomes the sender's, the port stays, the rest goes."""
        wish = b"\x02\x00" + (5060).to_bytes(2, "big") + bytes([10, 9, 8, 7]) + bytes(8)
        value = plain_value(5, msgpack.packb(wish), kind=2, user_type="gone")
        put_one(wire, to, key, value)
        body = held(wire, to, key)[5]["body"]
        assert body["type"] == 2
        assert "utype" not in body
        address = msgpack.unpackb(body["data"])
        assert address == b"\x02\x00" + (5060).to_bytes(2, "big") + bytes([127, 0, 0, 1]) + bytes(8)

    def test_service_announcement_without_port(
        self, wire: WirePeer, to: Endpoint, key: bytes
    ) -> None:
        """Refused: nothing can be announced on port 0."""
        wish = b"\x02\x00\x00\x00" + bytes([10, 9, 8, 7]) + bytes(8)
        put_one(wire, to, key, plain_value(5, msgpack.packb(wish), kind=2))
        assert held(wire, to, key) == {}

    def test_message_without_service(self, wire: WirePeer, to: Endpoint, key: bytes) -> None:
        """Type 1 with an empty service is refused, with one it is kept."""
        put_one(wire, to, key, plain_value(5, msgpack.packb(["", b"x"]), kind=1))
        put_one(wire, to, key, plain_value(6, msgpack.packb(["chat", b"x"]), kind=1))
        assert list(held(wire, to, key)) == [6]

    def test_created_long_ago(self, wire: WirePeer, to: Endpoint, key: bytes) -> None:
        """A life that ended before it arrived: acknowledged, not kept."""
        put_one(wire, to, key, plain_value(5, b"old"), created=int(time.time()) - 700)
        assert held(wire, to, key) == {}

    def test_created_in_the_future(self, wire: WirePeer, to: Endpoint, key: bytes) -> None:
        """Kept as if created now."""
        put_one(wire, to, key, plain_value(5, b"new"), created=int(time.time()) + 7000)
        assert list(held(wire, to, key)) == [5]

    def test_unknown_type_is_kept(self, wire: WirePeer, to: Endpoint, key: bytes) -> None:
        """As type 0."""
        put_one(wire, to, key, plain_value(5, b"x", kind=40_000))
        assert held(wire, to, key)[5]["body"]["type"] == 40_000

    @pytest.mark.parametrize("kind", KINDS)
    def test_too_far(self, pool: PeerPool, kind: str, key: bytes) -> None:
        """Fourteen good nodes nearer to the key: acknowledged, not kept."""
        peer = pool.start(kind)
        asker = pool.wire()
        target = bytes(byte ^ 0xFF for byte in peer.node_id)
        near = [pool.wire(node_id=target[:-2] + bytes([1, number])) for number in range(14)]
        to = ("127.0.0.1", peer.port)
        for wire in near:
            wire.ping(to)
        peer.get(target.hex())  # asks them all, and whoever answers is good
        assert peer.good_nodes() >= 8
        put_one(asker, to, target, plain_value(5, b"far"))
        put_one(asker, to, peer.node_id, plain_value(5, b"near"))
        assert held(asker, to, target) == {}
        assert list(held(asker, to, peer.node_id)) == [5]


class TestSignedValues:
    """Case 11."""

    def test_good_and_corrupted(self, wire: WirePeer, to: Endpoint, key: bytes) -> None:
        """A signature that does not fit is refused."""
        good = vector_signer().signed(5, b"mine")
        put_one(wire, to, key, good)
        put_one(wire, to, key, with_data({**good, "id": 6}, b"forged"))
        assert held(wire, to, key) == {5: good["dat"]}

    def test_edits_go_by_sequence(self, wire: WirePeer, to: Endpoint, key: bytes) -> None:
        """Lower: refused. Equal with other data: refused. Greater: accepted."""
        signer = vector_signer()

        def now_held_after(seq: int, data: bytes) -> bytes:
            put_one(wire, to, key, signer.signed(5, data, seq=seq))
            content: bytes = held(wire, to, key)[5]["body"]["data"]
            return content

        assert now_held_after(3, b"three") == b"three"
        assert now_held_after(2, b"two") == b"three"
        assert now_held_after(3, b"other") == b"three"
        assert now_held_after(4, b"four") == b"four"

    def test_others_cannot_edit(self, wire: WirePeer, to: Endpoint, key: bytes) -> None:
        """Another owner is refused, however large the sequence number."""
        put_one(wire, to, key, vector_signer().signed(5, b"mine", seq=1))
        put_one(wire, to, key, other_signer().signed(5, b"theirs", seq=9))
        assert held(wire, to, key)[5]["body"]["data"] == b"mine"

    def test_equal_sequence_and_content_refreshes(
        self, wire: WirePeer, to: Endpoint, key: bytes
    ) -> None:
        """The same value again prolongs its life and tells the listeners."""
        value = vector_signer().signed(5, b"mine", seq=1)
        put_one(wire, to, key, value)
        listen(wire, to, key, 99)
        put_one(wire, to, key, value)
        assert updates(wire, 99, count=2)[1].body["re"] == [5]


class TestCertificates:
    """Case 14."""

    def test_at_the_key_id(self, wire: WirePeer, to: Endpoint) -> None:
        """Every generation keeps a certificate at the SHA-1 key id."""
        signer = vector_signer()
        value = signer.certificate_value()
        put_one(wire, to, signer.key_id, value)
        assert list(held(wire, to, signer.key_id)) == [1]

    def test_at_the_long_id(self, node: Peer, wire: WirePeer, to: Endpoint) -> None:
        """4.x and we keep it at SHA-1(long id) too; 2.4.12 refuses silently."""
        signer = vector_signer()
        put_one(wire, to, signer.long_id_key, signer.certificate_value())
        assert list(held(wire, to, signer.long_id_key)) == ([] if node.kind == DHTNODE else [1])

    def test_elsewhere(self, wire: WirePeer, to: Endpoint, key: bytes) -> None:
        """And nowhere else, and nothing that is no certificate."""
        signer = vector_signer()
        put_one(wire, to, key, signer.certificate_value())
        put_one(wire, to, other_signer().key_id, plain_value(2, b"no certificate", kind=8))
        assert held(wire, to, key) == {}
        assert held(wire, to, other_signer().key_id) == {}


class TestQueries:
    """Case 20."""

    @pytest.fixture
    def values(self, wire: WirePeer, to: Endpoint, key: bytes) -> dict[int, Message]:
        """A plain, a typed, a signed and an encrypted value."""
        values = [
            plain_value(1, b"plain", user_type="text/plain"),
            plain_value(2, b"typed", kind=3),
            vector_signer().signed(3, b"signed", seq=7, user_type="text/plain"),
            vector_signer().encrypted(4, b"secret", other_signer()),
        ]
        for value in values:
            put_one(wire, to, key, value)
        return {value["id"]: value for value in values}

    @pytest.mark.parametrize(
        ("field", "wanted", "ids"),
        [
            (1, 2, [2]),
            (1, 99, []),
            (2, 3, [2]),
            (2, 0, [1, 3, 4]),
            (3, vector_signer().key_id, [3]),
            (5, b"text/plain", [1, 3]),
        ],
    )
    def test_where(
        self, wire: WirePeer, to: Endpoint, key: bytes, values: dict[int, Message],
        field: int, wanted: object, ids: list[int],
    ) -> None:  # fmt: skip
        """A filter on each field but the sequence number."""
        query = {"s": [], "w": [{"f": field, "v": wanted}]}
        found = get(wire, to, key, q=query).values
        assert sorted(value["id"] for value in found) == ids
        assert all(value == values[value["id"]] for value in found)

    def test_where_both(
        self, wire: WirePeer, to: Endpoint, key: bytes, values: dict[int, Message]
    ) -> None:
        """Conditions are joined by AND."""
        where = [{"f": 5, "v": b"text/plain"}, {"f": 1, "v": 3}]
        found = get(wire, to, key, q={"s": [], "w": where}).values
        assert [value["id"] for value in found] == [3]

    def test_where_on_sequence_kills_the_datagram(
        self, wire: WirePeer, to: Endpoint, key: bytes
    ) -> None:
        """Field 4 can be neither packed nor parsed."""
        query = {"s": [], "w": [{"f": 4, "v": 7}]}
        assert wire.ask_nothing(to, "get", {"h": key, "q": query, "w": []})

    def test_select_id_and_sequence(
        self, wire: WirePeer, to: Endpoint, key: bytes, values: dict[int, Message]
    ) -> None:
        """`fileds`, the fields sorted and one run per value."""
        body = get(wire, to, key, q={"s": [4, 1], "w": []}).body
        assert "values" not in body
        assert body["fileds"]["f"] == [1, 4]
        flat = body["fileds"]["v"]
        rows = {flat[at]: flat[at + 1] for at in range(0, len(flat), 2)}
        assert rows == {1: 0, 2: 0, 3: 7, 4: 0}

    def test_select_all_columns(
        self, wire: WirePeer, to: Endpoint, key: bytes, values: dict[int, Message]
    ) -> None:
        """The owner column holds the whole public key, or twenty zeros."""
        body = get(wire, to, key, q={"s": [1, 2, 3, 4, 5], "w": []}).body
        assert body["fileds"]["f"] == [1, 2, 3, 4, 5]
        flat = body["fileds"]["v"]
        rows = {flat[at]: flat[at : at + 5] for at in range(0, len(flat), 5)}
        assert rows[1] == [1, 0, bytes(20), 0, "text/plain"]
        assert rows[2] == [2, 3, bytes(20), 0, ""]
        assert rows[3] == [3, 0, vector_signer().spki, 7, "text/plain"]
        assert rows[4] == [4, 0, bytes(20), 0, ""]

    def test_select_where(
        self, wire: WirePeer, to: Endpoint, key: bytes, values: dict[int, Message]
    ) -> None:
        """Both together, and nothing found."""
        query = {"s": [1], "w": [{"f": 2, "v": 3}]}
        assert get(wire, to, key, q=query).body["fileds"] == {"f": [1], "v": [2]}
        query = {"s": [1], "w": [{"f": 2, "v": 99}]}
        nothing = get(wire, to, key, q=query).body
        assert not nothing.get("values")
        assert not nothing.get("fileds", {}).get("v")


def listen(
    wire: WirePeer,
    to: Endpoint,
    key: bytes,
    sid: int,
    *,
    token: bytes | None = None,
    version: int = 1,
    **more: object,
) -> Arrival:
    """Subscribe; return the answer."""
    token = wire.token(to, key) if token is None else token
    arguments: Message = {"ve": version} if version else {}
    arguments |= {"h": key, "token": token, "sid": sid, **more}
    return wire.ask(to, "listen", arguments).header


def updates(wire: WirePeer, sid: int, count: int = 1) -> list[Arrival]:
    """Wait for update queries to *sid*."""
    return wire.wait_for(
        lambda a: a.kind == "update" and a.body["sid"] == sid,
        f"{count} updates of {sid}",
        count=count,
    )


class TestListen:
    """Cases 9 and 10."""

    def test_values_at_once_then_changes(
        self, node: Peer, wire: WirePeer, to: Endpoint, key: bytes
    ) -> None:
        """What is there comes before the ack, then additions, refreshes and an edit."""
        signer = vector_signer()
        put_one(wire, to, key, plain_value(5, b"five"))
        mark = wire.mark()
        listen(wire, to, key, 4242)
        first, ack = [a for a in wire.since(mark) if a.kind in {"update", "reply"}][-2:]
        assert (first.kind, ack.kind) == ("update", "reply")
        assert list(first.message) == ["a", "q", "t", "y", "v", "n"]
        assert list(first.body) == ["id", "ve", "h", "sid", "values", "token"]
        assert first.body["ve"] == 1
        assert first.body["h"] == key
        assert first.body["values"] == [plain_value(5, b"five")]
        canonical(first)

        put_one(wire, to, key, signer.signed(6, b"six", seq=1))
        put_one(wire, to, key, signer.signed(6, b"edited", seq=2))
        put_one(wire, to, key, plain_value(5, b"five"))
        wire.ask(to, "refresh", {"h": key, "vid": 6, "token": wire.token(to, key)})
        _, added, edited, again, refreshed = updates(wire, 4242, count=5)
        assert whole_values(wire, added)[0]["dat"]["body"]["data"] == b"six"
        assert whole_values(wire, edited)[0]["dat"]["body"]["data"] == b"edited"
        assert again.body["re"] == [5]
        assert list(again.message) == ["a", "y", "v", "n", "q", "t"]
        assert list(again.body) == ["id", "sid", "token", "re"]
        canonical(again)
        assert refreshed.body["re"] == [6]

    def test_expiry(self, wire: WirePeer, to: Endpoint, key: bytes) -> None:
        """A value whose life ends is announced with `exp`."""
        listen(wire, to, key, 4242)
        put_one(wire, to, key, plain_value(8, b"brief"), created=int(time.time()) - 598)
        _, expired = updates(wire, 4242, count=2)
        assert list(expired.message) == ["a", "y", "v", "n", "q", "t"]
        assert list(expired.body) == ["id", "sid", "token", "exp"]
        assert expired.body["exp"] == [8]
        assert held(wire, to, key) == {}

    def test_where_is_for_values_only(self, wire: WirePeer, to: Endpoint, key: bytes) -> None:
        """Values are filtered, refreshes and expirations are not."""
        listen(wire, to, key, 4242, q={"s": [], "w": [{"f": 1, "v": 5}]})
        put_one(wire, to, key, plain_value(6, b"six"))
        put_one(wire, to, key, plain_value(5, b"five"))
        put_one(wire, to, key, plain_value(6, b"six"))
        value, refreshed = updates(wire, 4242, count=2)
        assert [found["id"] for found in value.body["values"]] == [5]
        assert refreshed.body["re"] == [6]

    def test_select_is_ignored(self, wire: WirePeer, to: Endpoint, key: bytes) -> None:
        """A listener always gets whole values."""
        listen(wire, to, key, 4242, q={"s": [1], "w": []})
        put_one(wire, to, key, plain_value(5, b"five"))
        assert updates(wire, 4242)[0].body["values"] == [plain_value(5, b"five")]

    def test_renewing_resends_nothing(self, wire: WirePeer, to: Endpoint, key: bytes) -> None:
        """The same socket id again only renews; another one is another subscription."""
        put_one(wire, to, key, plain_value(5, b"five"))
        listen(wire, to, key, 4242)
        listen(wire, to, key, 4242)
        listen(wire, to, key, 4243)
        updates(wire, 4243)
        wire.ping(to)
        assert len([a for a in wire.arrivals if a.kind == "update" and a.body["sid"] == 4242]) == 1

    def test_update_token_is_good(self, wire: WirePeer, to: Endpoint, key: bytes) -> None:
        """The token in an update is the one for this listener."""
        listen(wire, to, key, 4242)
        put_one(wire, to, key, plain_value(5, b"five"))
        assert updates(wire, 4242)[0].body["token"] == wire.token(to, key)

    def test_unanswered_update_is_repeated(self, wire: WirePeer, to: Endpoint, key: bytes) -> None:
        """Updates are requests: repeated after a second, the same bytes."""
        wire.mute.add("update")
        listen(wire, to, key, 4242)
        put_one(wire, to, key, plain_value(5, b"five"))
        first, second = updates(wire, 4242, count=2)
        assert first.raw == second.raw
        assert 0.9 < second.at - first.at < 1.6

    def test_large_value(self, wire: WirePeer, to: Endpoint, key: bytes) -> None:
        """An update may come in parts too."""
        value = plain_value(5, os.urandom(20_000))
        listen(wire, to, key, 4242)
        put_one(wire, to, key, value)
        assert whole_values(wire, updates(wire, 4242)[0]) == [value]

    def test_many_values_are_split(
        self, node: Peer, wire: WirePeer, to: Endpoint, key: bytes
    ) -> None:
        """Since 2.5.0 a first batch is cut when 56 KiB are reached."""
        values = [plain_value(number, os.urandom(20_000)) for number in range(1, 6)]
        for value in values:
            put_one(wire, to, key, value)
        listen(wire, to, key, 4242)
        count = 1 if node.kind == DHTNODE else 2
        batches = [whole_values(wire, update) for update in updates(wire, 4242, count=count)]
        assert sorted(v["id"] for batch in batches for v in batch) == [1, 2, 3, 4, 5]
        if count == 2:
            assert len(batches[0]) == 3

    def test_legacy_form(self, wire: WirePeer, to: Endpoint, key: bytes) -> None:
        """Without `ve`: values as replies under the socket id, refreshes as `u`."""
        put_one(wire, to, key, plain_value(6, b"six"))
        mark = wire.mark()
        listen(wire, to, key, 777, version=0)
        (values,) = wire.wait_for(
            lambda a: a.kind == "reply" and a.tid == 777, "values", after=mark
        )
        assert list(values.body)[:2] == ["id", "sa"]
        assert list(values.body)[-2:] == ["token", "values"]
        assert values.body["values"] == [plain_value(6, b"six")]
        put_one(wire, to, key, plain_value(6, b"six"))
        (notice,) = wire.wait_for(lambda a: a.kind == "notice", "a notice", after=mark)
        assert list(notice.message) == ["u", "y", "v", "n", "t"]
        assert list(notice.body) == ["id", "token", "re"]
        assert (notice.message["y"], notice.tid, notice.body["re"]) == ("r", 777, [6])
        canonical(notice)


def whole_values(wire: WirePeer, update: Arrival) -> list[Message]:
    """Return the values of an update, parts included."""
    return wire.whole(update.tid, update.source).values


class TestWant:
    """Case 6."""

    @pytest.mark.parametrize("kind", KINDS)
    def test_families(self, pool: PeerPool, kind: str, key: bytes) -> None:
        """Which node lists come for which `w`, over either family."""
        peer = pool.start(kind)
        wire4, other4 = pool.wire(), pool.wire()
        wire6, other6 = pool.wire(host="::1"), pool.wire(host="::1")
        over4, over6 = ("127.0.0.1", peer.port), ("::1", peer.port6)
        for wire, to in ((wire4, over4), (other4, over4), (wire6, over6), (other6, over6)):
            wire.ping(to)
        peer.get(key.hex())  # asks all, and whoever answers is good
        assert peer.good_nodes() == 4

        def lists(wire: WirePeer, to: Endpoint, want: list[int] | None) -> list[str]:
            more = {} if want is None else {"w": want}
            body = wire.ask(to, "get", {"h": key, **more}).body
            assert "token" in body
            return [name for name in ("n4", "n6") if name in body]

        assert lists(wire4, over4, None) == ["n4"]
        assert lists(wire6, over6, None) == ["n6"]
        assert lists(wire4, over4, [2]) == ["n4"]
        assert lists(wire4, over4, [10]) == ["n6"]
        assert lists(wire4, over4, [2, 10]) == ["n4", "n6"]
        assert lists(wire4, over4, []) == []
        assert lists(wire4, over4, [30]) == (["n6"] if kind == SHOAL else [])
        body = wire4.ask(over4, "find", {"target": key, "w": [2]}).body
        entries = {body["n4"][at : at + 26] for at in range(0, len(body["n4"]), 26)}
        assert compact_nodes([(other4.node_id, "127.0.0.1", other4.port)]) in entries
        # the reference tells the asker about itself; we leave that out
        assert len(entries) == (1 if kind == SHOAL else 2)


class TestAmplification:
    """Ours: a get that would be answered by very many datagrams gets the ids instead."""

    def test_large_answers_are_paged(self, pool: PeerPool, key: bytes) -> None:
        """Whoever forges the source address of a get cannot have megabytes sent there."""
        peer = pool.start(SHOAL)
        wire, to = pool.wire(is_client=True), ("127.0.0.1", peer.port)
        for number in range(1, 11):
            put_one(wire, to, key, plain_value(number, bytes(20_000)))
        body = get(wire, to, key).body
        assert "values" not in body
        assert body["fileds"] == {"f": [1], "v": list(range(1, 11))}
        one = get(wire, to, key, q={"s": [], "w": [{"f": 1, "v": 4}]})
        assert one.values == [plain_value(4, bytes(20_000))]


class TestQuota:
    """Case 22: whoever uses most loses the value that would expire first."""

    def test_two_senders(self, pool: PeerPool, key: bytes) -> None:
        """One address fills the storage; what another one put before stays."""
        peer = pool.start(SHOAL, extra={"config": {"storage_limit": 200_000}})
        to = ("127.0.0.1", peer.port)
        modest = pool.wire(host="127.0.0.2", is_client=True)
        greedy = pool.wire(host="127.0.0.3", is_client=True)
        put_one(modest, to, key, plain_value(1, bytes(20_000)))
        for number in range(2, 14):
            put_one(greedy, to, key, plain_value(number, bytes(20_000)))
        rows = get(modest, to, key, q={"s": [1], "w": []}).body["fileds"]["v"]
        ids = sorted(rows)
        assert ids == [1, *range(14 - len(ids) + 1, 14)]
        assert len(ids) == 9


class TestRateLimit:
    """Case 21."""

    @pytest.mark.parametrize("kind", KINDS)
    def test_one_address(self, pool: PeerPool, kind: str) -> None:
        """1,024 requests in a second from one address are answered, the rest is not."""
        peer = pool.start(kind, is_unlimited=False)
        wire = pool.wire()
        to = ("127.0.0.1", peer.port)
        start = time.monotonic()
        for batch in range(15):
            for _ in range(100):
                wire.send(wire.query("ping", {})[1], to)
            # not faster than the node reads: what is dropped by a full socket proves nothing
            until(lambda: len(wire.arrivals) >= min(1020, 100 * (batch + 1)), "pongs")  # noqa: B023
        assert time.monotonic() - start < 1.0, "too slow to reach the limit"
        until(lambda: len(wire.arrivals) >= 1020, "pongs")
        answered = len([arrival for arrival in wire.arrivals if arrival.kind == "reply"])
        assert 1000 <= answered <= 1024


assert OPENDHT in KINDS
