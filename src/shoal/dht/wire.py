"""Datagrams of the DHT: bytes to messages and back.

One datagram is one msgpack map. Its keys, in the order written:

| message | keys | body |
| --- | --- | --- |
| query | `a q t y v [n] [s]` | `a`, below |
| update of refreshed or expired ids | `a y v [n] [s] q t` | `a`: `id sid token [re] [exp]` |
| reply | `r t y v [n] [s]` | `r`: `id [vid] sa [n4] [n6] [token] [values or fileds]` |
| error | `e r t y v [n] [s]` | `e`: code, text; `r`: `id` |
| legacy notification | `u y v [n] [s] t` | `u`: `id token [re] [exp]` |
| part | `[n] [s] y t p` | `p`: value index to `o` offset, `d` up to 1280 bytes |

| query | `a` |
| --- | --- |
| `ping` | `id` |
| `find` | `id target [w]` |
| `get` | `id h [q] [w]` |
| `put` | `id h values [c] token` |
| `refresh` | `id h vid token` |
| `listen` | `id ve h token sid [q]` |
| `update` | `id ve h sid values [c] token` |

Readers take keys in any order, skip what they do not know, and never see more than `DecodeError`.
Writers concatenate prepared bytes: each packet of the node passes here.

Source: OpenDHT network_engine.cpp and parsed_message.h.
"""

from __future__ import annotations

import struct
from functools import lru_cache
from typing import TYPE_CHECKING, Final, NamedTuple, TypeAlias

from shoal.core import Address, DecodeError, InfoHash
from shoal.core.ids import ZERO_HASH
from shoal.dht.packing import (
    UINT16_MAX,
    UINT32_MAX,
    UINT64_MAX,
    pack_array_header,
    pack_bin,
    pack_text,
    pack_uint,
    read_blob,
    read_hash,
    read_uint,
    unpack,
)
from shoal.dht.query import FieldTable, Query
from shoal.dht.value import PACKED_SIZE_MAX, Value

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

AGENT: Final = "o2"  # what OpenDHT has written since 2.6.0; informative, never a condition
INLINE_COUNT: Final = 50  # OpenDHT network_engine.h: fewer values than this may go inline,
INLINE_SIZE: Final = 600  # and fewer packed bytes than this
PART_SIZE: Final = 1280  # OpenDHT network_engine.h: MTU
_TIME_MAX: Final = 2**63 - 1
_VERSION_MAX: Final = 2**31 - 1
_ID_SIZE: Final = InfoHash.length
_IPV4_SIZE: Final = 4
_IPV6_SIZE: Final = 16


class Ping(NamedTuple):
    """Are you there?"""

    tid: int
    sender: InfoHash


class Find(NamedTuple):
    """Which nodes are closest to *target*? *want* holds raw family numbers, None if absent."""

    tid: int
    sender: InfoHash
    target: InfoHash
    want: tuple[int, ...] | None


class Get(NamedTuple):
    """Which values, and which close nodes, do you have for *key*?"""

    tid: int
    sender: InfoHash
    key: InfoHash
    query: Query | None
    want: tuple[int, ...] | None


class Put(NamedTuple):
    """Store *values* under *key*; *created* in Unix seconds, None for now."""

    tid: int
    sender: InfoHash
    key: InfoHash
    values: tuple[Value, ...]
    created: int | None
    token: bytes
    sizes: tuple[int, ...] | None = None


class Refresh(NamedTuple):
    """Begin the life of value *value_id* of *key* anew."""

    tid: int
    sender: InfoHash
    key: InfoHash
    value_id: int
    token: bytes


class Listen(NamedTuple):
    """Tell me about changes to *key*, in updates that carry *socket_id*."""

    tid: int
    sender: InfoHash
    key: InfoHash
    token: bytes
    socket_id: int
    query: Query | None
    version: int


class Update(NamedTuple):
    """What happened to a key listened to: values, or ids of refreshed or expired ones."""

    tid: int
    sender: InfoHash
    socket_id: int
    token: bytes
    key: InfoHash | None
    values: tuple[Value, ...]
    created: int | None
    refreshed: tuple[int, ...]
    expired: tuple[int, ...]
    version: int
    sizes: tuple[int, ...] | None = None


class Reply(NamedTuple):
    """Answer to any query, and values for a legacy listener (then *tid* is its socket id).

    *seen_ip* is the packed address of whom is answered, *nodes4* and *nodes6* compact nodes.
    """

    tid: int
    sender: InfoHash
    seen_ip: bytes | None
    nodes4: bytes
    nodes6: bytes
    token: bytes | None
    values: tuple[Value, ...]
    fields: FieldTable | None
    value_id: int | None
    sizes: tuple[int, ...] | None = None


class Error(NamedTuple):
    """Refusal of a query."""

    tid: int
    sender: InfoHash | None
    code: int
    text: str


class Notification(NamedTuple):
    """Refreshed and expired ids for a legacy listener; *tid* is its socket id."""

    tid: int
    sender: InfoHash
    token: bytes
    refreshed: tuple[int, ...]
    expired: tuple[int, ...]


class Piece(NamedTuple):
    """Some bytes of the packed value number *place* of a message."""

    place: int
    offset: int
    data: bytes


class Part(NamedTuple):
    """Pieces of the values of the message with the same *tid* from the same address."""

    tid: int
    pieces: tuple[Piece, ...]


Request: TypeAlias = Ping | Find | Get | Put | Refresh | Listen | Update
Message: TypeAlias = Request | Reply | Error | Notification | Part


class Datagram(NamedTuple):
    """A message in its envelope: network id, whether the sender is a client, its user agent."""

    message: Message
    network: int
    is_client: bool
    agent: str


def decode(data: bytes) -> Datagram:
    """Read one datagram.

    A `values` list that holds sizes gives `values=()` and *sizes*: the announced size per index,
    -1 where a value stood inline. Values that cannot be read are left out. The key of a request
    that lacks one is `ZERO_HASH`, which its receiver answers with an error.

    Raises:
        DecodeError: *data* is not a message. Nothing else is ever raised.
    """
    top = unpack(data)
    if type(top) is not dict:
        raise DecodeError("a datagram that is not a map")
    tid = top.get("t", 0)
    if type(tid) is not int or not 0 <= tid <= UINT32_MAX:
        tid = _read_tid(tid)
    message: Message
    if "e" in top:
        message = _read_error(tid, top)
    elif "r" in top:
        message = _read_reply(tid, top["a"] if "a" in top else top["r"])
    elif "p" in top:
        message = _read_part(tid, top["p"])
    elif "u" in top:
        message = _read_notification(tid, top["a"] if "a" in top else top["u"])
    else:
        if top.get("y", "q") != "q":
            raise DecodeError("neither query, reply, error nor part")
        name = top.get("q")
        read = _READERS.get(name) if type(name) is str else None
        if read is None:
            raise DecodeError("an unknown query")
        body = top.get("a")
        if type(body) is not dict:
            raise DecodeError("a query without a map of arguments")
        message = read(tid, read_hash(body.get("id")), body)
    agent = top.get("v", "")
    return _new(
        Datagram,
        (
            message,
            read_uint(top["n"], UINT32_MAX) if "n" in top else 0,
            _read_flag(top["s"]) if "s" in top else False,
            agent if type(agent) is str else "",
        ),
    )


def encode(
    message: Message, *, network: int = 0, is_client: bool = False, agent: str = AGENT
) -> list[bytes]:
    """Write *message*: one datagram, then one per part if its values do not fit inline.

    Fewer than 50 values of fewer than 600 packed bytes go inline. With *sizes* set, the message
    is written as the header it came from, without parts.
    """
    return _WRITERS[type(message)](message, _envelope(network, is_client, agent))


def compact_nodes(entries: Iterable[tuple[InfoHash, Address]]) -> bytes:
    """Return nodes as `n4` or `n6` hold them: id 20, address 4 or 16, port 2, big-endian."""
    return b"".join([node_id + addr.ip + _PORTS(addr.port) for node_id, addr in entries])


def parse_compact(nodes: bytes, ip_length: int) -> list[tuple[InfoHash, Address]]:
    """Read compact nodes whose addresses have *ip_length* bytes, 4 or 16.

    Raises:
        DecodeError: *nodes* does not divide into entries.
    """
    layout = _NODE_LAYOUTS[ip_length]
    if len(nodes) % layout.size:
        raise DecodeError(f"{len(nodes)} bytes of nodes of {layout.size} bytes")
    return [
        (_new_bytes(InfoHash, node_id), _new(Address, (ip, port)))
        for node_id, ip, port in layout.iter_unpack(nodes)
    ]


_new: Final = tuple.__new__  # skips the Python-level __new__ of NamedTuples, half their cost
_new_bytes: Final = bytes.__new__  # for bytes whose length is known to be right
_PORTS: Final = struct.Struct(">H").pack
_NODE_LAYOUTS: Final = {
    _IPV4_SIZE: struct.Struct(">20s4sH"),
    _IPV6_SIZE: struct.Struct(">20s16sH"),
}

# ---- reading ------------------------------------------------------------------------------------


def _read_tid(item: object) -> int:
    """Read a transaction id in one of its old forms: 4 bytes, big-endian."""
    if type(item) is not int:
        packed = read_blob(item)
        if len(packed) == 4:  # noqa: PLR2004 - bytes of a uint32
            return int.from_bytes(packed)
    raise DecodeError("a transaction id that is neither a uint32 nor 4 bytes")


def _read_flag(item: object) -> bool:
    """Read a msgpack boolean."""
    if type(item) is not bool:
        raise DecodeError("a flag that is not a boolean")
    return item


def _read_want(item: object) -> tuple[int, ...] | None:
    """Read wanted families; numbers that mean nothing to us stay for the receiver to judge."""
    if item is None:
        return None
    if type(item) is not list:
        raise DecodeError("wanted families that are not an array")
    return tuple([number for number in item if type(number) is int])


def _read_ids(item: object) -> tuple[int, ...]:
    """Read an array of value ids."""
    if type(item) is not list:
        raise DecodeError("value ids that are not an array")
    for number in item:
        if type(number) is not int or not 0 <= number <= UINT64_MAX:
            raise DecodeError("a value id that is not a uint64")
    return tuple(item)


def _read_values(item: object) -> tuple[tuple[Value, ...], tuple[int, ...] | None]:
    """Read values, or the sizes of values that come in parts."""
    if type(item) is not list:
        raise DecodeError("values that are not an array")
    values: list[Value] = []
    sizes: list[int] = []
    is_announced = False
    for entry in item:
        if type(entry) is int and entry >= 0:
            sizes.append(entry)
            # "Sizes above 65,536 + 32 are skipped"; if nothing else is there, nothing will come.
            is_announced = is_announced or entry <= PACKED_SIZE_MAX
            continue
        sizes.append(-1)
        try:
            values.append(Value.from_object(entry))
        except DecodeError:
            continue
    return tuple(values), tuple(sizes) if is_announced else None


def _read_created(body: dict[str, object]) -> int | None:
    """Read a creation time in Unix seconds."""
    return read_uint(body["c"], _TIME_MAX) if "c" in body else None


def _read_key(body: dict[str, object]) -> InfoHash:
    """Read the key of a request, `ZERO_HASH` if it has none."""
    return read_hash(body["h"]) if "h" in body else ZERO_HASH


def _read_query(body: dict[str, object]) -> Query | None:
    """Read the query of a request; an empty one counts as none."""
    if "q" not in body:
        return None
    query = Query.from_object(body["q"])
    return query if query.select or query.where else None


def _read_token(body: dict[str, object]) -> bytes:
    """Read a write token, empty if there is none."""
    token = body.get("token", b"")
    return token if type(token) is bytes else read_blob(token)


def _read_ping(tid: int, sender: InfoHash, body: dict[str, object]) -> Ping:
    return _new(Ping, (tid, sender))


def _read_find(tid: int, sender: InfoHash, body: dict[str, object]) -> Find:
    target = read_hash(body["target"]) if "target" in body else ZERO_HASH
    return _new(Find, (tid, sender, target, _read_want(body.get("w"))))


def _read_get(tid: int, sender: InfoHash, body: dict[str, object]) -> Get:
    query = _read_query(body)
    return _new(Get, (tid, sender, _read_key(body), query, _read_want(body.get("w"))))


def _read_put(tid: int, sender: InfoHash, body: dict[str, object]) -> Put:
    values, sizes = _read_values(body.get("values", []))
    token = _read_token(body)
    return Put(tid, sender, _read_key(body), values, _read_created(body), token, sizes)


def _read_refresh(tid: int, sender: InfoHash, body: dict[str, object]) -> Refresh:
    value_id = read_uint(body.get("vid", 0), UINT64_MAX)
    return Refresh(tid, sender, _read_key(body), value_id, _read_token(body))


def _read_listen(tid: int, sender: InfoHash, body: dict[str, object]) -> Listen:
    return Listen(
        tid,
        sender,
        _read_key(body),
        _read_token(body),
        _read_socket_id(body),
        _read_query(body),
        read_uint(body.get("ve", 0), _VERSION_MAX),
    )


def _read_update(tid: int, sender: InfoHash, body: dict[str, object]) -> Update:
    values, sizes = _read_values(body.get("values", []))
    return Update(
        tid,
        sender,
        _read_socket_id(body),
        _read_token(body),
        read_hash(body["h"]) if "h" in body else None,
        values,
        _read_created(body),
        _read_ids(body.get("re", [])),
        _read_ids(body.get("exp", [])),
        read_uint(body.get("ve", 0), _VERSION_MAX),
        sizes,
    )


def _read_socket_id(body: dict[str, object]) -> int:
    """Read a socket id, 0 if there is none."""
    item = body.get("sid", 0)
    return item if type(item) is int and 0 <= item <= UINT32_MAX else _read_tid(item)


_READERS: Final[dict[str, Callable[[int, InfoHash, dict[str, object]], Message]]] = {
    "ping": _read_ping,
    "find": _read_find,
    "get": _read_get,
    "put": _read_put,
    "refresh": _read_refresh,
    "listen": _read_listen,
    "update": _read_update,
}


def _read_reply(tid: int, body: object) -> Reply:
    """Read the body of a reply."""
    if type(body) is not dict:
        raise DecodeError("a reply that is not a map")
    sender = read_hash(body.get("id"))
    get = body.get
    seen_ip = get("sa")
    if seen_ip is not None or "sa" in body:
        if type(seen_ip) is not bytes:
            raise DecodeError("a reported address that is not a bin")
        if len(seen_ip) not in _NODE_LAYOUTS:
            seen_ip = None
    nodes4, nodes6, token = get("n4", b""), get("n6", b""), get("token")
    values: tuple[Value, ...] = ()
    sizes = fields = None
    if "values" in body:
        values, sizes = _read_values(body["values"])
    elif "fileds" in body:
        fields = FieldTable.from_object(body["fileds"])
    return _new(
        Reply,
        (
            tid,
            sender,
            seen_ip,
            nodes4 if type(nodes4) is bytes else read_blob(nodes4),
            nodes6 if type(nodes6) is bytes else read_blob(nodes6),
            token if type(token) is bytes or "token" not in body else read_blob(token),
            values,
            fields,
            read_uint(body["vid"], UINT64_MAX) if "vid" in body else None,
            sizes,
        ),
    )


def _read_error(tid: int, top: dict[str, object]) -> Error:
    """Read an error; the sender is unknown when there is no body."""
    error = top["e"]
    if type(error) is not list or not error:
        raise DecodeError("an error that is not an array")
    text = error[1] if len(error) > 1 else ""
    body = top["a"] if "a" in top else top.get("r", {})
    if type(body) is not dict:
        raise DecodeError("an error whose body is not a map")
    sender = read_hash(body["id"]) if "id" in body else None
    return Error(tid, sender, read_uint(error[0], UINT16_MAX), text if type(text) is str else "")


def _read_notification(tid: int, body: object) -> Notification:
    """Read what legacy listeners are told about refreshed and expired values."""
    if type(body) is not dict:
        raise DecodeError("a notification that is not a map")
    return Notification(
        tid,
        read_hash(body.get("id")),
        _read_token(body),
        _read_ids(body.get("re", [])),
        _read_ids(body.get("exp", [])),
    )


def _read_part(tid: int, body: object) -> Part:
    """Read pieces; one that lacks its offset or data is skipped."""
    if type(body) is not dict:
        raise DecodeError("parts that are not a map")
    pieces = []
    for index, piece in body.items():
        if type(piece) is not dict:
            raise DecodeError("a part that is not a map")
        if "o" in piece and "d" in piece:
            pieces.append(
                Piece(
                    read_uint(index, UINT32_MAX),
                    read_uint(piece["o"], UINT64_MAX),
                    read_blob(piece["d"]),
                )
            )
    return Part(tid, tuple(pieces))


# ---- writing ------------------------------------------------------------------------------------


class _Envelope(NamedTuple):
    """The constant bytes around the body of each kind of message of one node.

    A head is the size of the map, what precedes the body, and the key of the body; a tail runs
    from the value of `t` or from the body to the end.
    """

    query_head: bytes
    query_tail: bytes
    notice_tail: bytes
    reply_head: bytes
    reply_tail: bytes
    error_head: bytes
    error_tail: bytes
    legacy_head: bytes
    legacy_tail: bytes
    part_head: bytes


@lru_cache(maxsize=64)
def _envelope(network: int, is_client: bool, agent: str) -> _Envelope:
    """Prepare the constant bytes of a node's messages."""
    extra = (b"\xa1n" + pack_uint(network) if network else b"") + (
        b"\xa1s\xc3" if is_client else b""
    )
    more = bool(network) + is_client
    signed = b"\xa1v" + pack_text(agent) + extra

    def size(count: int) -> bytes:
        return bytes((0x80 + count + more,))

    return _Envelope(
        query_head=size(5) + b"\xa1a",
        query_tail=b"\xa1y\xa1q" + signed,
        notice_tail=b"\xa1y\xa1q" + signed + b"\xa1q\xa6update\xa1t",
        reply_head=size(4) + b"\xa1r",
        reply_tail=b"\xa1y\xa1r" + signed,
        error_head=size(5) + b"\xa1e\x92",
        error_tail=b"\xa1y\xa1e" + signed,
        legacy_head=size(4) + b"\xa1u",
        legacy_tail=b"\xa1y\xa1r" + signed + b"\xa1t",
        part_head=size(3) + extra + b"\xa1y\xa1p\xa1t",
    )


def _want(families: tuple[int, ...]) -> bytes:
    return b"\xa1w" + pack_array_header(len(families)) + b"".join(map(pack_uint, families))


def _ids(key: bytes, numbers: tuple[int, ...]) -> bytes:
    return key + pack_array_header(len(numbers)) + b"".join(map(pack_uint, numbers))


def _values(values: tuple[Value, ...], sizes: tuple[int, ...] | None) -> tuple[bytes, list[bytes]]:
    """Return the `values` entry, and the packed values that must follow in parts."""
    if sizes is not None:
        announced = b"".join([pack_uint(max(size, 0)) for size in sizes])
        return b"\xa6values" + pack_array_header(len(sizes)) + announced, []
    packed = [value.packed() for value in values]
    header = b"\xa6values" + pack_array_header(len(packed))
    inline = b"".join(packed)
    if len(packed) < INLINE_COUNT and len(inline) < INLINE_SIZE:
        return header + inline, []
    return header + b"".join([pack_uint(len(one)) for one in packed]), packed


def _parts(tid: bytes, packed: list[bytes], envelope: _Envelope) -> list[bytes]:
    """Cut packed values into datagrams, in order: older nodes take them in no other."""
    head = envelope.part_head + tid + b"\xa1p\x81"
    return [
        b"%b%b\x82\xa1o%b\xa1d%b"
        % (head, pack_uint(index), pack_uint(offset), pack_bin(one[offset : offset + PART_SIZE]))
        for index, one in enumerate(packed)
        for offset in range(0, len(one), PART_SIZE)
    ]


def _write_ping(message: Ping, envelope: _Envelope) -> list[bytes]:
    return [
        b"%b\x81\xa2id\xc4\x14%b\xa1q\xa4ping\xa1t%b%b"
        % (envelope.query_head, message[1], pack_uint(message[0]), envelope.query_tail)
    ]


def _write_find(message: Find, envelope: _Envelope) -> list[bytes]:
    tid, sender, target, want = message
    head, tail = envelope.query_head, envelope.query_tail
    if want is None:
        layout = b"%b\x82\xa2id\xc4\x14%b\xa6target\xc4\x14%b\xa1q\xa4find\xa1t%b%b"
        return [layout % (head, sender, target, pack_uint(tid), tail)]
    layout = b"%b\x83\xa2id\xc4\x14%b\xa6target\xc4\x14%b%b\xa1q\xa4find\xa1t%b%b"
    return [layout % (head, sender, target, _want(want), pack_uint(tid), tail)]


def _write_get(message: Get, envelope: _Envelope) -> list[bytes]:
    tid, sender, key, query, want = message
    optional = b""
    count = 0x82
    if query is not None and query.is_sendable:
        optional = b"\xa1q" + query.pack()
        count += 1
    if want is not None:
        optional += _want(want)
        count += 1
    return [
        b"%b%c\xa2id\xc4\x14%b\xa1h\xc4\x14%b%b\xa1q\xa3get\xa1t%b%b"
        % (
            envelope.query_head,
            count,
            sender,
            key,
            optional,
            pack_uint(tid),
            envelope.query_tail,
        )
    ]


def _write_put(message: Put, envelope: _Envelope) -> list[bytes]:
    tid = pack_uint(message.tid)
    entry, packed = _values(message.values, message.sizes)
    created = message.created
    header = b"%b%c\xa2id\xc4\x14%b\xa1h\xc4\x14%b%b%b\xa5token%b\xa1q\xa3put\xa1t%b%b" % (
        envelope.query_head,
        0x84 if created is None else 0x85,
        message.sender,
        message.key,
        entry,
        b"" if created is None else b"\xa1c" + pack_uint(created),
        pack_bin(message.token),
        tid,
        envelope.query_tail,
    )
    return [header, *_parts(tid, packed, envelope)]


def _write_refresh(message: Refresh, envelope: _Envelope) -> list[bytes]:
    tid, sender, key, value_id, token = message
    return [
        b"%b\x84\xa2id\xc4\x14%b\xa1h\xc4\x14%b\xa3vid%b\xa5token%b\xa1q\xa7refresh\xa1t%b%b"
        % (
            envelope.query_head,
            sender,
            key,
            pack_uint(value_id),
            pack_bin(token),
            pack_uint(tid),
            envelope.query_tail,
        )
    ]


def _write_listen(message: Listen, envelope: _Envelope) -> list[bytes]:
    tid, sender, key, token, socket_id, query, version = message
    optional = b""
    if query is not None and query.is_sendable:
        optional = b"\xa1q" + query.pack()
    return [
        b"%b%c\xa2id\xc4\x14%b\xa2ve%b\xa1h\xc4\x14%b\xa5token%b\xa3sid%b%b"
        b"\xa1q\xa6listen\xa1t%b%b"
        % (
            envelope.query_head,
            0x86 if optional else 0x85,
            sender,
            pack_uint(version),
            key,
            pack_bin(token),
            pack_uint(socket_id),
            optional,
            pack_uint(tid),
            envelope.query_tail,
        )
    ]


def _write_update(message: Update, envelope: _Envelope) -> list[bytes]:
    """Write an update: of values if it has a key, else of refreshed and expired ids."""
    tid = pack_uint(message.tid)
    socket_id, token = pack_uint(message.socket_id), pack_bin(message.token)
    ids, count = _refreshed_and_expired(message.refreshed, message.expired)
    if message.key is None:
        return [
            b"%b%c\xa2id\xc4\x14%b\xa3sid%b\xa5token%b%b%b%b"
            % (
                envelope.query_head,
                0x83 + count,
                message.sender,
                socket_id,
                token,
                ids,
                envelope.notice_tail,
                tid,
            )
        ]
    entry, packed = _values(message.values, message.sizes)
    created = message.created
    header = (
        b"%b%c\xa2id\xc4\x14%b\xa2ve%b\xa1h\xc4\x14%b\xa3sid%b%b%b\xa5token%b%b"
        b"\xa1q\xa6update\xa1t%b%b"
        % (
            envelope.query_head,
            0x86 + (created is not None) + count,
            message.sender,
            pack_uint(message.version),
            message.key,
            socket_id,
            entry,
            b"" if created is None else b"\xa1c" + pack_uint(created),
            token,
            ids,
            tid,
            envelope.query_tail,
        )
    )
    return [header, *_parts(tid, packed, envelope)]


def _refreshed_and_expired(
    refreshed: tuple[int, ...], expired: tuple[int, ...]
) -> tuple[bytes, int]:
    """Return the entries `re` and `exp`, each only if it has ids, and their number."""
    packed, count = b"", 0
    if refreshed:
        packed, count = _ids(b"\xa2re", refreshed), 1
    if expired:
        packed, count = packed + _ids(b"\xa3exp", expired), count + 1
    return packed, count


def _write_reply(message: Reply, envelope: _Envelope) -> list[bytes]:
    tid, sender, seen_ip, nodes4, nodes6, token, values, fields, value_id, sizes = message
    packed_tid = pack_uint(tid)
    body = [envelope.reply_head, b"", sender]
    count = 0x81
    if value_id is not None:
        body += (b"\xa3vid", pack_uint(value_id))
        count += 1
    if seen_ip is not None:
        body += (b"\xa2sa", pack_bin(seen_ip))
        count += 1
    if nodes4:
        body += (b"\xa2n4", pack_bin(nodes4))
        count += 1
    if nodes6:
        body += (b"\xa2n6", pack_bin(nodes6))
        count += 1
    if token is not None:
        body += (b"\xa5token", pack_bin(token))
        count += 1
    packed: list[bytes] = []
    if values or sizes is not None:
        entry, packed = _values(values, sizes)
        body.append(entry)
        count += 1
    elif fields is not None:
        body += (b"\xa6fileds", fields.pack())
        count += 1
    body[1] = b"%c\xa2id\xc4\x14" % count
    body += (b"\xa1t", packed_tid, envelope.reply_tail)
    datagrams = [b"".join(body)]
    if packed:
        datagrams += _parts(packed_tid, packed, envelope)
    return datagrams


def _write_error(message: Error, envelope: _Envelope) -> list[bytes]:
    tid, sender, code, text = message
    body = b"\x80" if sender is None else b"\x81\xa2id\xc4\x14" + sender
    return [
        b"%b%b%b\xa1r%b\xa1t%b%b"
        % (
            envelope.error_head,
            pack_uint(code),
            pack_text(text),
            body,
            pack_uint(tid),
            envelope.error_tail,
        )
    ]


def _write_notification(message: Notification, envelope: _Envelope) -> list[bytes]:
    ids, count = _refreshed_and_expired(message.refreshed, message.expired)
    return [
        b"%b%c\xa2id\xc4\x14%b\xa5token%b%b%b%b"
        % (
            envelope.legacy_head,
            0x82 + count,
            message.sender,
            pack_bin(message.token),
            ids,
            envelope.legacy_tail,
            pack_uint(message.tid),
        )
    ]


def _write_part(message: Part, envelope: _Envelope) -> list[bytes]:
    pieces = [
        b"%b\x82\xa1o%b\xa1d%b" % (pack_uint(index), pack_uint(offset), pack_bin(data))
        for index, offset, data in message.pieces
    ]
    head = envelope.part_head + pack_uint(message.tid) + b"\xa1p"
    return [head + _map_header(len(pieces)) + b"".join(pieces)]


def _map_header(length: int) -> bytes:
    """Return the header of a map of *length* entries, at most 65,535."""
    return bytes((0x80 + length,)) if length < 0x10 else b"\xde" + _PORTS(length)  # noqa: PLR2004


_WRITERS: Final[dict[type, Callable[..., list[bytes]]]] = {
    Ping: _write_ping,
    Find: _write_find,
    Get: _write_get,
    Put: _write_put,
    Refresh: _write_refresh,
    Listen: _write_listen,
    Update: _write_update,
    Reply: _write_reply,
    Error: _write_error,
    Notification: _write_notification,
    Part: _write_part,
}
