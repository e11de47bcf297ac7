"""Targets for the DHT's codecs beyond datagrams: queries, contents, parts, JSON values."""

from __future__ import annotations

import contextlib
import json
from typing import TYPE_CHECKING, Final

from shoal.core import Address, DecodeError, InfoHash
from shoal.dht import contents, wire
from shoal.dht.packing import unpack
from shoal.dht.parts import HELD_MAX, LIFE_MAX, Assembler
from shoal.dht.query import FieldTable, Query
from shoal.dht.value import Value
from shoal.dht.value_json import value_from_json, value_to_json

if TYPE_CHECKING:
    from collections.abc import Callable

_ADDR: Final = Address(b"\x7f\0\0\1", 4222)
_ME: Final = InfoHash(bytes(20))
_LENGTHS: Final = 2  # bytes before each datagram of the parts target: its length


def packed_query(data: bytes) -> None:
    """A query reads and packs to the same query; a table to the same table."""
    with contextlib.suppress(DecodeError):
        query = Query.unpack(data)
        assert Query.unpack(query.pack()) == query
    with contextlib.suppress(DecodeError):
        table = FieldTable.from_object(unpack(data))
        table.rows()
        assert FieldTable.from_object(unpack(table.pack())) == table


def content(data: bytes) -> None:
    """The content of each type reads and packs to the same content."""
    for codec in (
        contents.DhtMessage,
        contents.IpServiceAnnouncement,
        contents.ImMessage,
        contents.TrustRequest,
        contents.IceCandidates,
        contents.CertificateValue,
    ):
        with contextlib.suppress(DecodeError):
            read = codec.unpack(data)
            assert codec.unpack(read.pack()) == read


def parts(data: bytes) -> None:
    """Headers and parts in any order stay within their room, and are gone ten seconds later."""
    assembler = Assembler()
    now = 0.0
    while data:
        length = int.from_bytes(data[:_LENGTHS]) % 2048
        datagram, data = data[_LENGTHS : _LENGTHS + length], data[_LENGTHS + length :]
        now += 0.1
        try:
            message = wire.decode(datagram).message
        except DecodeError:
            continue
        match message:
            case wire.Part():
                assembler.add(message, _ADDR, now)
            case wire.Put() | wire.Update() | wire.Reply() if message.sizes is not None:
                whole = assembler.open(message, _ADDR, now)
                assert whole is None or whole.sizes is None
            case _:
                pass  # complete in itself
        assembler.advance(now)
        assert 0 <= assembler.held <= HELD_MAX
    assembler.advance(now + LIFE_MAX)
    assert (len(assembler), assembler.held, assembler.next_deadline()) == (0, 0, None)


def json_value(data: bytes) -> None:
    """JSON reads as a value that writes to JSON of the same value."""
    try:
        form = json.loads(data)
    except (ValueError, RecursionError):
        return
    with contextlib.suppress(DecodeError):
        value = value_from_json(form)
        assert value_from_json(json.loads(json.dumps(value_to_json(value)))) == value


def parted_put() -> bytes:
    """Return a put in parts, each datagram under its length."""
    values = (Value(b"a" * 1500, id=1), Value(b"b" * 20, id=2))
    datagrams = wire.encode(wire.Put(7, _ME, _ME, values, None, b"t" * 32))
    return b"".join(len(datagram).to_bytes(_LENGTHS) + datagram for datagram in datagrams)


TARGETS: Final[dict[str, tuple[Callable[[bytes], None], Callable[[], list[bytes]]]]] = {
    "content": (
        content,
        lambda: [
            contents.DhtMessage("service", b"data").pack(),
            contents.IpServiceAnnouncement(_ADDR).pack(),
            contents.ImMessage(1, "text", 2, 3, "text/plain", {"a": "b"}).pack(),
            contents.TrustRequest("service", "conversation", b"payload", confirm=True).pack(),
            contents.IceCandidates(5, b"candidates").pack(),
            contents.CertificateValue(b"-----BEGIN CERTIFICATE-----").pack(),
        ],
    ),
    "json-value": (
        json_value,
        lambda: [json.dumps(value_to_json(Value(b"x", 1, 2, "t", priority=3))).encode()],
    ),
    "packed-query": (
        packed_query,
        lambda: [
            Query.parse('SELECT id,seq WHERE value_type=3,user_type="t"').pack(),
            FieldTable.of(Query.parse("SELECT id,owner_pk").select, [Value(id=9)]).pack(),
        ],
    ),
    "parts": (parts, lambda: [parted_put()]),
}
