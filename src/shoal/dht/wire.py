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
from typing import TYPE_CHECKING, Final

from shoal.core import Address, DecodeError, InfoHash
from shoal.core.ids import ZERO_HASH
from shoal.dht.messages import (
    Datagram,
    Error,
    Find,
    Get,
    Listen,
    Message,
    Notification,
    Part,
    Piece,
    Ping,
    Put,
    Refresh,
    Reply,
    Request,
    Update,
)
from shoal.dht.packing import (
    UINT16_MAX,
    UINT32_MAX,
    UINT64_MAX,
    read_blob,
    read_hash,
    read_uint,
    unpack,
)
from shoal.dht.query import FieldTable, Query
from shoal.dht.value import PACKED_SIZE_MAX, Value
from shoal.dht.wire_write import INLINE_COUNT, INLINE_SIZE, PART_SIZE, WRITERS, prepare_envelope

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

__all__ = [
    "AGENT",
    "INLINE_COUNT",
    "INLINE_SIZE",
    "PART_SIZE",
    "Datagram",
    "Error",
    "Find",
    "Get",
    "Listen",
    "Message",
    "Notification",
    "Part",
    "Piece",
    "Ping",
    "Put",
    "Refresh",
    "Reply",
    "Request",
    "Update",
    "compact_nodes",
    "decode",
    "encode",
    "parse_compact",
]

AGENT: Final = "o2"  # what OpenDHT has written since 2.6.0; informative, never a condition
_TIME_MAX: Final = 2**63 - 1
_VERSION_MAX: Final = 2**31 - 1


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
    return WRITERS[type(message)](message, prepare_envelope(network, is_client, agent))


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
_NODE_LAYOUTS: Final = {4: struct.Struct(">20s4sH"), 16: struct.Struct(">20s16sH")}

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
