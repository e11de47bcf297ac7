"""The state file: both generations of OpenDHT are read, the later form is written."""

from __future__ import annotations

import math
from contextlib import suppress

import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shoal.core import Address, DecodeError, InfoHash
from shoal.dht import state
from shoal.dht.state import (
    NodeState,
    SavedValue,
    decode_ports,
    decode_state,
    encode_ports,
    encode_state,
    pack_sockaddr,
    unpack_sockaddr,
)
from shoal.dht.value import Value

NODE_ID = InfoHash.of(b"node")
KEY = InfoHash.of(b"key")
V4 = Address.parse("192.0.2.1", 4222)
V6 = Address.parse("2001:db8::1", 4223)
VALUE = Value(data=b"content", id=7, user_type="text/plain")
NOW, WALL_NOW = 1_000.0, 1_700_000_000.0


def decoded(data: bytes) -> NodeState:
    """Read at the fixed moment of these tests."""
    return decode_state(data, NOW, WALL_NOW)


def file_with(*entries: object) -> bytes:
    """Return a state file whose one key holds these value entries."""
    blob = msgpack.packb(list(entries))
    packed: bytes = msgpack.packb({"v": 1, "id": NODE_ID, "nodes": [], "values": [[KEY, blob]]})
    return packed


@pytest.mark.parametrize(
    ("addr", "raw"),
    [
        (V4, "0200107ec0000201" + "00" * 8),
        (V6, "0a00107f0000000020010db8000000000000000000000001" + "00" * 4),
    ],
)
def test_socket_addresses_are_those_of_linux(addr: Address, raw: str) -> None:
    """`sockaddr_in` and `sockaddr_in6`, byte for byte."""
    assert pack_sockaddr(addr).hex() == raw
    assert unpack_sockaddr(bytes.fromhex(raw)) == addr


def test_socket_addresses_of_other_systems_are_read() -> None:
    """Apple's have a length first and 30 for IPv6; Windows has 23. A mapped address is IPv4."""
    assert unpack_sockaddr(b"\x10\x02" + pack_sockaddr(V4)[2:]) == V4
    assert unpack_sockaddr(b"\x1c\x1e" + pack_sockaddr(V6)[2:]) == V6
    assert unpack_sockaddr(b"\x17\x00" + pack_sockaddr(V6)[2:]) == V6
    mapped = pack_sockaddr(Address(bytes(10) + b"\xff\xff" + V4.ip, 4222))
    assert unpack_sockaddr(mapped) == V4


@given(st.binary(max_size=40))
def test_any_socket_address_is_read_or_refused(data: bytes) -> None:
    """Nothing else than DecodeError comes out."""
    with suppress(DecodeError):
        assert isinstance(unpack_sockaddr(data), Address)


def test_what_is_written_is_read_again() -> None:
    """Nodes of both families, our own values and those of others."""
    values = (
        SavedValue(KEY, VALUE, WALL_NOW - 100, WALL_NOW + 500, V4),
        SavedValue(KEY, Value(data=b"own", id=8), WALL_NOW - 5, WALL_NOW + 9, None),
        SavedValue(NODE_ID, VALUE, WALL_NOW - 3, WALL_NOW + 7, V6),
    )
    nodes = ((NODE_ID, V4), (KEY, V6))

    read = decoded(encode_state(NODE_ID, nodes, values))

    assert read == NodeState(NODE_ID, nodes, values, skipped=0)


def test_the_order_of_keys_is_what_the_reference_needs() -> None:
    """In a node entry, `id` precedes `addr`; the value keeps its canonical bytes."""
    written = encode_state(NODE_ID, [(KEY, V4)], [SavedValue(KEY, VALUE, 0.0, math.inf, None)])

    unpacked = msgpack.unpackb(written)
    assert list(unpacked) == ["v", "id", "nodes", "values"]
    assert list(unpacked["nodes"][0]) == ["id", "addr"]
    assert VALUE.packed() in unpacked["values"][0][1]


def test_values_of_opendht_2_count_from_the_monotonic_clock() -> None:
    """Their age is known within one boot; a time of another boot counts as now."""
    value = msgpack.unpackb(VALUE.packed())

    read = decoded(file_with([990_000_000_000, value], [9_000_000_000_000, value]))

    assert [v.created_wall for v in read.values] == [WALL_NOW - 10, WALL_NOW]
    assert [v.expiry_wall for v in read.values] == [math.inf, math.inf]


def test_values_of_opendht_4_carry_dates() -> None:
    """A creation in the future is clamped; an expiry before it is an overflowed `never`."""
    value = msgpack.unpackb(VALUE.packed())
    past, future = msgpack.Timestamp(int(WALL_NOW) - 9), msgpack.Timestamp(int(WALL_NOW) + 9)
    storer = pack_sockaddr(V4)

    read = decoded(
        file_with([past, value, storer, future], [future, value, b"", past], [past, value])
    )

    assert [(v.created_wall, v.expiry_wall, v.storer) for v in read.values] == [
        (WALL_NOW - 9, WALL_NOW + 9, V4),
        (WALL_NOW, math.inf, None),
        (WALL_NOW - 9, math.inf, None),
    ]


def test_bad_entries_are_skipped_and_counted() -> None:
    """One broken entry must not cost the rest of the file."""
    good = msgpack.unpackb(encode_state(NODE_ID, [(KEY, V4)], []))
    good["nodes"] += [3, {"id": b"short", "addr": b""}, {"id": KEY}, {"id": KEY, "addr": b"?"}]
    blob = msgpack.packb([7, [1, {}], ["x", {}]])
    good["values"] = [[KEY, blob], [KEY], [b"short", blob], [KEY, b"\xc1"], [KEY, b"\x01"], 5]

    read = decoded(msgpack.packb(good))

    assert read.nodes == ((KEY, V4),)
    assert read.values == ()
    assert read.skipped == 4 + 3 + 5


def test_a_file_without_an_id_gives_none() -> None:
    """Older exports have none; zeros are none as well."""
    assert decoded(msgpack.packb({})) == NodeState(None)
    assert decoded(msgpack.packb({"id": bytes(20)})).node_id is None


@pytest.mark.parametrize(
    "content",
    [[], 7, {"v": 2}, {"id": b"short"}, {"id": "text"}, {"nodes": 1}, {"values": {}}],
)
def test_what_is_no_state_is_refused(content: object) -> None:
    """The caller puts the file aside."""
    with pytest.raises(DecodeError):
        decoded(msgpack.packb(content))


def test_an_oversize_state_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever is in it."""
    monkeypatch.setattr(state, "STATE_SIZE_MAX", 10)
    with pytest.raises(DecodeError, match="larger"):
        decoded(encode_state(NODE_ID, [], []))


@given(st.binary(max_size=200))
def test_any_bytes_give_a_state_or_an_error(data: bytes) -> None:
    """Disks fail too."""
    for content in (data, file_with(data), b"\x81\xa5nodes" + data, b"\x81\xa6values" + data):
        with suppress(DecodeError):
            assert isinstance(decoded(content), NodeState)


def test_the_port_file_is_two_lines() -> None:
    """IPv4 first; an absent second line is no port."""
    assert encode_ports(4222, 0) == b"4222\n0\n"
    assert decode_ports(b"4222\n4223\n") == (4222, 4223)
    assert decode_ports(b"4222") == (4222, 0)


@pytest.mark.parametrize("data", [b"", b"x", b"70000", b"1 2 3", b"-1\n2"])
def test_a_bad_port_file_is_refused(data: bytes) -> None:
    """The caller then takes any port."""
    with pytest.raises(DecodeError):
        decode_ports(data)
