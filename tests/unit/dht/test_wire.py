"""Datagrams: captured ones byte for byte, any message there and back, any bytes without harm."""

from __future__ import annotations

from typing import Any

import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shoal.core import Address, DecodeError, InfoHash
from shoal.core.ids import ZERO_HASH
from shoal.dht import wire
from shoal.dht.query import Field
from shoal.dht.value import PACKED_SIZE_MAX, Value
from tests.unit.dht import strategies, vectors

ME = InfoHash.of(b"me")
KEY = InfoHash.of(b"key")


def packed(message: dict[Any, Any] | list[int]) -> bytes:
    """Return *message* as a datagram, whatever it says."""
    data: bytes = msgpack.packb(message)
    return data


def query(name: str, **arguments: object) -> bytes:
    """Return a query from ME."""
    return packed({"a": {"id": bytes(ME), **arguments}, "q": name, "t": 7, "y": "q", "v": "o2"})


def reply(**body: object) -> bytes:
    """Return a reply from ME."""
    return packed({"r": {"id": bytes(ME), **body}, "t": 7, "y": "r", "v": "o2"})


@pytest.mark.parametrize("vector", vectors.DATAGRAMS, ids=vectors.NAMES)
def test_a_captured_datagram_decodes_and_encodes_to_the_same_bytes(vector: dict[str, Any]) -> None:
    """What OpenDHT wrote is understood, and written by us exactly so."""
    data = bytes.fromhex(vector["hex"])

    decoded = wire.decode(data)

    assert decoded == wire.Datagram(
        vectors.message(vector),
        vector["network"],
        vector["is_client"],
        vector["agent"],
    )
    assert type(decoded.message).__name__ == vector["kind"]
    assert wire.encode(
        decoded.message,
        network=decoded.network,
        is_client=decoded.is_client,
        agent=decoded.agent,
    ) == [data]


@given(
    message=strategies.MESSAGES,
    network=strategies.UINT32,
    is_client=st.booleans(),
    agent=strategies.TEXTS,
)
def test_every_message_survives_the_wire(
    message: wire.Message, network: int, is_client: bool, agent: str
) -> None:
    """What is written is read back, envelope included."""
    first = wire.encode(message, network=network, is_client=is_client, agent=agent)[0]

    decoded = wire.decode(first)

    if isinstance(message, wire.Part):  # a part carries no agent
        assert decoded == wire.Datagram(message, network, is_client, "")
    elif getattr(decoded.message, "sizes", None) is None:
        assert decoded == wire.Datagram(message, network, is_client, agent)
        assert type(decoded.message) is type(message)
    # Whatever a general packer makes of the same object, it is the same bytes.
    assert (
        msgpack.packb(
            msgpack.unpackb(first, strict_map_key=False, unicode_errors="surrogateescape"),
            unicode_errors="surrogateescape",
        )
        == first
    )


@given(st.binary(max_size=300))
def test_any_bytes_give_a_message_or_a_decode_error(data: bytes) -> None:
    """No input raises anything else."""
    try:
        decoded = wire.decode(data)
    except DecodeError:
        return
    assert wire.encode(decoded.message)


_ODD = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 2**64 - 1) | st.binary(max_size=21) | st.text(),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from(["id", "dat", "body", "f", "v", "s", "w", "o", "d"])
            | st.integers(0, 3),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)
_KEYS = ["id", "h", "target", "w", "q", "token", "values", "fileds", "vid", "c", "sid", "ve", "re",
         "exp", "n4", "n6", "sa"]  # fmt: skip


@given(
    top=st.dictionaries(st.sampled_from(["e", "p", "t", "v", "n", "s", "y"]), _ODD, max_size=2),
    body=st.dictionaries(st.sampled_from(_KEYS), _ODD, max_size=5),
    name=st.sampled_from(["ping", "find", "get", "put", "refresh", "listen", "update"]),
    place=st.sampled_from(["a", "r", "u"]),
)
def test_odd_types_anywhere_give_a_message_or_a_decode_error(
    top: dict[str, object], body: dict[str, object], name: str, place: str
) -> None:
    """A map with the right keys and wrong contents does no harm either."""
    body.setdefault("id", bytes(ME))
    try:
        decoded = wire.decode(packed({place: body, "q": name, **top}))
    except DecodeError:
        return
    assert wire.encode(decoded.message)


@given(st.data())
def test_a_damaged_datagram_gives_a_message_or_a_decode_error(data: st.DataObject) -> None:
    """Captured datagrams with some bytes replaced, inserted or cut out do no harm."""
    damaged = bytearray(vectors.datagram(data.draw(st.sampled_from(vectors.NAMES))))
    for _ in range(data.draw(st.integers(1, 4))):
        start = data.draw(st.integers(0, len(damaged)))
        damaged[start : start + data.draw(st.integers(0, 3))] = data.draw(st.binary(max_size=3))
    try:
        decoded = wire.decode(bytes(damaged))
    except DecodeError:
        return
    assert wire.encode(decoded.message)


# ---- tolerance -----------------------------------------------------------------------------------


def test_unknown_keys_odd_keys_and_trailing_bytes_are_ignored() -> None:
    """At every level: text keys we do not know, and keys that are not text."""
    top = {
        "zz": [1, {"deep": None}],
        5: 6,
        b"a": 1,
        "y": "q",
        "t": 7,
        "q": "find",
        "a": {9: 9, "new": {}, "target": bytes(KEY), "id": bytes(ME)},
    }
    assert wire.decode(packed(top) + b"\xc1\xff").message == wire.Find(7, ME, KEY, None)


def test_keys_that_cannot_be_dict_keys_are_skipped() -> None:
    """A map or an array may be a msgpack key."""
    five_entries = query("ping")[1:]
    data = b"\x87" + b"\x81\xa1a\x01\x02" + b"\x91\x01\x03" + five_entries
    assert wire.decode(data).message == wire.Ping(7, ME)


@pytest.mark.parametrize(
    "tid", [b"\0\0\1\2", "\0\0\1\2", [0, 0, 1, 2], 258], ids=["bin", "str", "array", "uint"]
)
def test_old_forms_of_a_transaction_id(tid: object) -> None:
    """Four bytes in any form a blob may have are read big-endian."""
    ping = packed({"a": {"id": bytes(ME)}, "q": "ping", "t": tid, "y": "q"})
    assert wire.decode(ping).message == wire.Ping(258, ME)
    listen = query("listen", h=bytes(KEY), sid=tid, token=b"t")
    assert wire.decode(listen).message == wire.Listen(7, ME, KEY, b"t", 258, None, 0)


@pytest.mark.parametrize("tid", [-1, 2**32, b"abc", True, 1.5, None, {}, [1, 2, 3, 400]], ids=repr)
def test_bad_transaction_ids_are_refused(tid: object) -> None:
    """Neither uint32 nor four bytes."""
    with pytest.raises(DecodeError):
        wire.decode(packed({"a": {"id": bytes(ME)}, "q": "ping", "t": tid}))


@pytest.mark.parametrize("token", [b"ab", "ab", [97, 98]], ids=["bin", "str", "array"])
def test_blobs_may_be_bin_text_or_arrays(token: object) -> None:
    """As old peers write them."""
    value = {"id": 1, "dat": {"body": {"type": 0, "data": token}}}
    put = wire.decode(query("put", h=bytes(KEY), token=token, values=[value])).message
    assert put == wire.Put(7, ME, KEY, (Value(b"ab", id=1),), None, b"ab")
    answer = wire.decode(reply(n4=token, n6=token, token=token)).message
    assert answer == wire.Reply(7, ME, None, b"ab", b"ab", b"ab", (), None, None)
    part = packed({"y": "p", "t": 7, "p": {0: {"o": 3, "d": token}, 1: {"o": 4}, 2: {"d": b"x"}}})
    assert wire.decode(part).message == wire.Part(7, (wire.Piece(0, 3, b"ab"),))


def test_text_need_not_be_utf_8() -> None:
    """Foreign bytes survive a round trip, as signatures may cover them."""
    data = vectors.datagram("A12").replace(b"text/plain", b"te\xff\xfe/\x80lain")
    decoded = wire.decode(data)
    assert wire.encode(decoded.message, agent=decoded.agent) == [data]


@pytest.mark.parametrize(
    "data",
    [
        packed({"a": {"id": str(ME)[:20]}, "q": "ping", "t": 7}),
        packed({"a": {"id": bytes(19)}, "q": "ping", "t": 7}),
        packed({"a": {}, "q": "ping", "t": 7}),
        packed({"a": [], "q": "ping", "t": 7}),
        packed({"q": "ping", "t": 7}),
        packed({"a": {"id": bytes(ME)}, "q": "pong", "t": 7}),
        packed({"a": {"id": bytes(ME)}, "q": 3, "t": 7}),
        packed({"a": {"id": bytes(ME)}, "q": "ping", "t": 7, "y": "r"}),
        packed({"a": {"id": bytes(ME)}, "q": "ping", "t": 7, "n": -1}),
        packed({"a": {"id": bytes(ME)}, "q": "ping", "t": 7, "n": 2**32}),
        packed({"a": {"id": bytes(ME)}, "q": "ping", "t": 7, "s": 1}),
        packed([1, 2]),
        b"",
        query("find", target=b"short"),
        query("find", w=2),
        query("get", h="k" * 20),
        query("get", q=1),
        query("get", q={"s": [], "w": [{"f": 4, "v": 1}]}),
        query("put", values=3),
        query("put", c=-1),
        query("put", c=2**63),
        query("put", token=5),
        query("refresh", vid="1"),
        query("refresh", vid=-1),
        query("listen", ve=2**31),
        query("update", re=[-1]),
        query("update", exp="1"),
        query("update", re=[True]),
        reply(sa="\x7f\0\0\1"),
        reply(sa=[127, 0, 0, 1]),
        reply(sa=None),
        reply(token=None),
        reply(n4=4),
        reply(fileds={}),
        packed({"r": 1, "t": 7}),
        packed({"r": {}, "t": 7}),
        packed({"e": [], "r": {"id": bytes(ME)}, "t": 7}),
        packed({"e": "no", "t": 7}),
        packed({"e": [2**16], "t": 7}),
        packed({"e": [401], "r": 5, "t": 7}),
        packed({"u": 3, "t": 7}),
        packed({"p": 3, "t": 7}),
        packed({"p": {0: 3}, "t": 7}),
        packed({"p": {"0": {"o": 0, "d": b"x"}}, "t": 7}),
        packed({"p": {0: {"o": -1, "d": b"x"}}, "t": 7}),
        packed({"p": {0: {"o": 1, "d": 4}}, "t": 7}),
    ],
)
def test_what_makes_a_whole_message_unreadable(data: bytes) -> None:
    """Each of these is dropped by OpenDHT 4 as well."""
    with pytest.raises(DecodeError):
        wire.decode(data)


def test_precedence_of_message_kinds() -> None:
    """Error before reply before part before notification before query; `a` is the first body."""
    body = {"id": bytes(ME)}
    everything = {"a": body, "q": "ping", "u": {}, "p": {}, "r": {}, "e": [401, "x"], "t": 7}
    kinds = []
    for key in ("e", "r", "p", "u", "q"):
        kinds.append(type(wire.decode(packed(everything)).message))
        del everything[key]
    assert kinds == [wire.Error, wire.Reply, wire.Part, wire.Notification, wire.Ping]


def test_what_is_missing_takes_its_default() -> None:
    """A request without a key has the zero key, which its receiver refuses by an error."""
    assert wire.decode(query("find")).message == wire.Find(7, ME, ZERO_HASH, None)
    empty = wire.decode(query("get", h=bytes(KEY), q={"s": [], "w": []})).message
    assert empty == wire.Get(7, ME, KEY, None, None)
    assert wire.decode(query("get")).message == wire.Get(7, ME, ZERO_HASH, None, None)
    assert wire.decode(query("put")).message == wire.Put(7, ME, ZERO_HASH, (), None, b"")
    assert wire.decode(query("refresh")).message == wire.Refresh(7, ME, ZERO_HASH, 0, b"")
    assert wire.decode(query("update")).message == wire.Update(
        7, ME, 0, b"", None, (), None, (), (), 0
    )
    assert wire.decode(packed({"r": {"id": bytes(ME)}, "v": 5})) == (
        wire.Reply(0, ME, None, b"", b"", None, (), None, None),
        0,
        False,
        "",
    )
    assert wire.decode(packed({"e": [404], "t": 1})).message == wire.Error(1, None, 404, "")
    assert wire.decode(packed({"e": [404, 5], "t": 1})).message == wire.Error(1, None, 404, "")


def test_odd_reported_addresses_are_no_vote() -> None:
    """Lengths other than 4 and 16 are ignored."""
    answer = wire.decode(reply(sa=b"12345")).message
    assert isinstance(answer, wire.Reply)
    assert answer.seen_ip is None


def test_wanted_families_we_do_not_know_are_passed_on() -> None:
    """Their receiver judges the numbers; other types are skipped."""
    for want, expected in (([], ()), ([2, 10], (2, 10)), ([30, "x", True], (30,))):
        find = wire.decode(query("find", target=bytes(KEY), w=want)).message
        assert find == wire.Find(7, ME, KEY, expected)


def test_values_win_over_fields() -> None:
    """When a reply has both."""
    table = {"f": [1], "v": [5]}
    both = wire.decode(reply(values=[], fileds=table)).message
    assert isinstance(both, wire.Reply)
    assert both.fields is None
    alone = wire.decode(reply(fileds=table)).message
    assert isinstance(alone, wire.Reply)
    assert alone.fields == ((Field.ID,), ((5,),))


def test_a_value_that_cannot_be_read_is_left_out() -> None:
    """The others of the list stay."""
    good = {"id": 2, "dat": b"cypher"}
    put = wire.decode(query("put", values=[{"id": 1}, good, -3, None])).message
    assert isinstance(put, wire.Put)
    assert put.values == (Value(id=2, cypher=b"cypher"),)
    assert put.sizes is None


def test_sizes_above_the_limit_keep_their_places() -> None:
    """The parts of later values keep their numbers; without any other, nothing will come."""
    too_large = PACKED_SIZE_MAX + 1
    put = wire.decode(query("put", values=[too_large, 700, {"id": 2, "dat": b"c"}])).message
    assert isinstance(put, wire.Put)
    assert put.sizes == (too_large, 700, -1)
    assert put.values == (Value(id=2, cypher=b"c"),)
    hopeless = wire.decode(query("put", values=[too_large])).message
    assert isinstance(hopeless, wire.Put)
    assert (hopeless.sizes, hopeless.values) == (None, ())


# ---- bounds --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "data",
    [
        b"\x91" * 60_000,
        b"\xdc\x00\xff" * 20_000,
        b"\xdd\x00\x00\xff\xff" * 13_000,
        b"\x81\xa1a" * 20_000,
        b"\x81\x90" * 20_000,
        b"\xdf\xff\xff\xff\xff",
        b"\xdb\xff\xff\xff\xff",
        b"\xc9\xff\xff\xff\xff\x01",
        b"\x81\xa1a\xc7\x0c\xff" + b"\xff" * 12,
    ],
)
def test_declared_lengths_and_depths_that_lie_are_refused(data: bytes) -> None:
    """Deep nesting and huge lengths are neither recursed into nor reserved for."""
    with pytest.raises(DecodeError):
        wire.decode(data)


def test_long_arrays_that_are_there_are_read() -> None:
    """More elements than the quick reader takes: sizes, ids, blobs as integers."""
    ids = tuple(range(1000))
    update = wire.Update(7, ME, 1, b"t", None, (), None, ids, ids, 0)
    assert wire.decode(wire.encode(update)[0]).message == update
    put = wire.decode(query("put", token=[5] * 300)).message
    assert isinstance(put, wire.Put)
    assert put.token == b"\x05" * 300


# ---- compact nodes -------------------------------------------------------------------------------


@given(
    size=st.sampled_from([4, 16]),
    data=st.data(),
)
def test_compact_nodes_survive(size: int, data: st.DataObject) -> None:
    """Ids, addresses and ports, any number of them."""
    ips = st.binary(min_size=size, max_size=size)
    entry = st.tuples(strategies.HASHES, st.builds(Address, ips, strategies.UINT16))
    nodes = data.draw(st.lists(entry, max_size=10))
    compact = wire.compact_nodes(nodes)
    assert len(compact) == len(nodes) * (22 + size)
    assert wire.parse_compact(compact, size) == nodes


def test_the_captured_nodes() -> None:
    """`n6` of vector A5: a node at port 47009 of ::1."""
    answer = wire.decode(vectors.datagram("A5")).message
    assert isinstance(answer, wire.Reply)
    ((node_id, addr),) = wire.parse_compact(answer.nodes6, 16)
    assert isinstance(node_id, InfoHash)
    assert (str(node_id), addr) == (
        "0758e312ccd42dc84dc134d9632c5895c586d2f5",
        Address.parse("::1", 47009),
    )


def test_compact_nodes_of_a_broken_length_are_refused() -> None:
    """One byte more or less than whole entries."""
    for length in (25, 27, 1):
        with pytest.raises(DecodeError):
            wire.parse_compact(bytes(length), 4)
    with pytest.raises(DecodeError):
        wire.parse_compact(bytes(26), 16)
