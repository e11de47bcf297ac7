"""Writing: inline or in parts, in whose envelope, and what is left out.

That writers and readers agree, and agree with OpenDHT, is shown in `test_wire.py`.
"""

from __future__ import annotations

from typing import Any, get_args

import msgpack
import pytest
from hypothesis import given

from shoal.core import InfoHash
from shoal.dht import wire, wire_write
from shoal.dht.query import Condition, Field, Query
from shoal.dht.value import Value
from shoal.dht.wire_write import WRITERS, prepare_envelope
from tests.unit.dht import strategies, vectors

ME = InfoHash.of(b"me")
KEY = InfoHash.of(b"key")


def test_every_message_has_its_writer() -> None:
    """Under its own type."""
    kinds = (*get_args(wire.Request), wire.Reply, wire.Error, wire.Notification, wire.Part)
    assert set(WRITERS) == set(kinds)


@pytest.mark.parametrize("vector", vectors.DATAGRAMS, ids=vectors.NAMES)
def test_messages_are_written_as_opendht_wrote_them(vector: dict[str, Any]) -> None:
    """From the fields of a vector come its bytes."""
    envelope = prepare_envelope(vector["network"], vector["is_client"], vector["agent"])
    message = vectors.message(vector)
    assert WRITERS[type(message)](message, envelope) == [bytes.fromhex(vector["hex"])]


@given(strategies.MESSAGES)
def test_what_is_written_is_canonical(message: wire.Message) -> None:
    """A general packer makes the same bytes of the same object."""
    for data in WRITERS[type(message)](message, prepare_envelope(1, is_client=True, agent="o2")):
        item = msgpack.unpackb(data, strict_map_key=False, unicode_errors="surrogateescape")
        assert msgpack.packb(item, unicode_errors="surrogateescape") == data


@pytest.mark.parametrize("count", [0, 15, 16, 100])
def test_parts_of_many_pieces(count: int) -> None:
    """Nobody sends them; readers take them."""
    part = wire.Part(7, tuple(wire.Piece(place, 0, b"x") for place in range(count)))
    (data,) = wire.encode(part)
    assert wire.decode(data).message == part


@pytest.mark.parametrize(("network", "is_client"), [(0, False), (7, False), (0, True), (7, True)])
def test_envelopes_count_their_entries(network: int, is_client: bool) -> None:
    """`n` and `s` are left out when they say nothing."""
    (data,) = WRITERS[wire.Ping](wire.Ping(1, ME), prepare_envelope(network, is_client, "o2"))
    expected: dict[str, object] = {"a": {"id": bytes(ME)}, "q": "ping", "t": 1, "y": "q", "v": "o2"}
    if network:
        expected["n"] = network
    if is_client:
        expected["s"] = True
    assert msgpack.unpackb(data) == expected
    assert list(msgpack.unpackb(data)) == list(expected)


def test_a_value_too_large_for_the_header_follows_in_parts() -> None:
    """Vector A20: a header with the size, then 1280 bytes per datagram, in order."""
    vector = vectors.VALUES["A20"]
    value = Value(b"x" * 3000, id=1)
    assert len(value.packed()) == vector["sizes"][0]

    header, *parts = wire.encode(
        wire.Reply(vector["tid"], ME, b"\x7f\0\0\1", b"", b"", b"t" * 32, (value,), None, None),
        agent=vector["agent"],
    )

    assert header.endswith(bytes.fromhex(vector["header_tail"]))
    for part, head, offset, length in zip(
        parts, vector["part_heads"], vector["part_offsets"], vector["part_lengths"], strict=True
    ):
        assert part.startswith(bytes.fromhex(head))
        piece = wire.Piece(0, offset, value.packed()[offset : offset + length])
        assert wire.decode(part).message == wire.Part(vector["tid"], (piece,))
    decoded = wire.decode(header).message
    assert isinstance(decoded, wire.Reply)
    assert (decoded.sizes, decoded.values) == ((3030,), ())
    assert wire.encode(decoded, agent=vector["agent"]) == [header]


def test_a_mixed_header_is_written_with_an_empty_size() -> None:
    """Nobody writes those; writing one back does not fail."""
    message = wire.Put(7, ME, KEY, (), None, b"t", sizes=(5, -1))
    (data,) = wire.encode(message)
    assert wire.decode(data).message == message._replace(sizes=(5, 0))


def sized(length: int) -> Value:
    """Return a value whose packed form has *length* bytes, 30 to 255."""
    bare = len(Value(id=1).packed())
    return Value(b"x" * (length - bare), id=1)


@pytest.mark.parametrize(
    ("lengths", "is_inline"),
    [
        ((200, 200, 199), True),
        ((200, 200, 200), False),
        ((30,) * 18 + (59,), True),
        ((30,) * 20, False),
    ],
    ids=["599", "600", "599 of many", "600 of many"],
)
def test_values_go_inline_below_600_bytes(lengths: tuple[int, ...], is_inline: bool) -> None:
    """The sum of the packed lengths counts."""
    values = tuple(map(sized, lengths))
    assert sum(len(value.packed()) for value in values) == sum(lengths)
    header, *parts = wire.encode(wire.Put(7, ME, KEY, values, None, b"t"))
    assert (not parts) is is_inline
    decoded = wire.decode(header).message
    assert isinstance(decoded, wire.Put)
    assert decoded.values == (values if is_inline else ())
    assert decoded.sizes == (None if is_inline else lengths)


@pytest.mark.parametrize(("count", "is_inline"), [(49, True), (50, False)])
def test_fewer_than_50_values_go_inline(
    count: int, is_inline: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However small: 50 values of at least 12 bytes make 600, so the other limit is lifted here."""
    monkeypatch.setattr(wire_write, "INLINE_SIZE", 10_000)
    parts = wire.encode(wire.Put(7, ME, KEY, (Value(id=1),) * count, None, b"t"))[1:]
    assert len(parts) == (0 if is_inline else count)


def test_parts_carry_the_envelope_and_number_their_values() -> None:
    """Network and client flag come first in a part."""
    values = (Value(b"a" * 1300, id=1), Value(b"b", id=2))
    header, *parts = wire.encode(
        wire.Update(9, ME, 4, b"t", KEY, values, 5, (), (), 1), network=3, is_client=True
    )
    decoded = wire.decode(header).message
    assert isinstance(decoded, wire.Update)
    assert decoded.sizes == tuple(len(value.packed()) for value in values)
    assert all(part.startswith(b"\x85\xa1n\x03\xa1s\xc3\xa1y\xa1p\xa1t\x09") for part in parts)
    places = [
        (piece.place, piece.offset)
        for part in parts
        for piece in wire.decode(part).message.pieces  # type: ignore[union-attr]
    ]
    assert places == [(0, 0), (0, 1280), (1, 0)]


def test_a_query_that_says_nothing_is_not_sent() -> None:
    """Nor is a condition on the sequence number, which would kill the datagram."""
    plain = wire.Get(7, ME, KEY, None, None)
    listen = wire.Listen(7, ME, KEY, b"t", 5, None, 1)
    for empty in (Query(), Query(where=(Condition(Field.SEQ, 3),))):
        assert wire.encode(plain._replace(query=empty)) == wire.encode(plain)
        assert wire.encode(listen._replace(query=empty)) == wire.encode(listen)


def test_a_refresh() -> None:
    """No capture has one: key, value id and token, in this order."""
    (data,) = wire.encode(wire.Refresh(7, ME, KEY, 300, b"t" * 32))
    assert msgpack.unpackb(data) == {
        "a": {"id": bytes(ME), "h": bytes(KEY), "vid": 300, "token": b"t" * 32},
        "q": "refresh",
        "t": 7,
        "y": "q",
        "v": "o2",
    }
    assert list(msgpack.unpackb(data)["a"]) == ["id", "h", "vid", "token"]
