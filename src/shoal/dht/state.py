"""What a node remembers between two runs: its id, the nodes it knew, the values it stored.

The file is OpenDHT's, so that a node can change implementation and keep its place: one msgpack
map with the keys below, in this order. In a node entry `id` comes before `addr`, because the
reference reader depends on it.

| Key | Type | Content |
| --- | --- | --- |
| `v` | int | 1 |
| `id` | bin 20 | the node's id |
| `nodes` | array of maps | `id`: bin 20, `addr`: raw socket address |
| `values` | array of `[key, blob]` | the blob is a packed array with one entry per value |

An entry of the blob is `[created, value]` in OpenDHT 2.4, with *created* in nanoseconds of the
monotonic clock, and `[created, value, storer, expiry]` in 4.x, with msgpack timestamps (extension
type -1). Both are read; the second is written.

Source: OpenDHT dht.cpp, saveState, loadState, exportValues, importValues; sockaddr.h.
"""

from __future__ import annotations

import math
import struct
from typing import TYPE_CHECKING, Final, NamedTuple

import msgpack

from shoal.core import Address, DecodeError, InfoHash
from shoal.core.addresses import unmapped
from shoal.dht.value import Value

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

STATE_SIZE_MAX: Final = 256 * 1024 * 1024  # ours: the largest store a reference node may hold, x4
STATE_NODES_MAX: Final = 65_536  # ours: far above what any routing table exports
_PORT_MAX: Final = 0xFFFF
_VERSION: Final = 1  # OpenDHT dht.cpp: DhtState::v
_NANOSECONDS: Final = 1_000_000_000
_FAMILY_IPV4: Final = 2  # Linux AF_INET, as the reference writes it
_FAMILIES_IPV6: Final = (10, 30, 23)  # AF_INET6 of Linux, macOS and Windows
_SOCKADDR_IPV4: Final = struct.Struct("!H4s8x")  # after the family: port, ip, zeros
_SOCKADDR_IPV6: Final = struct.Struct("!H4x16s4x")  # after the family: port, flow, ip, scope


class SavedValue(NamedTuple):
    """A stored value as it leaves a node, or comes back.

    Attributes:
        created_wall: when its life began, seconds since 1970.
        expiry_wall: when it ends at the latest; infinity where only its type's life counts.
        storer: who made us keep it; None for our own.
    """

    key: InfoHash
    value: Value
    created_wall: float
    expiry_wall: float
    storer: Address | None


class NodeState(NamedTuple):
    """The content of a state file.

    Attributes:
        skipped: entries that could not be read; the rest of the file is still good.
    """

    node_id: InfoHash | None
    nodes: tuple[tuple[InfoHash, Address], ...] = ()
    values: tuple[SavedValue, ...] = ()
    skipped: int = 0


def encode_state(
    node_id: InfoHash,
    nodes: Sequence[tuple[InfoHash, Address]],
    values: Iterable[SavedValue],
) -> bytes:
    """Return the bytes of a state file in the form of OpenDHT 4.x, which 2.4 reads as well."""
    return b"".join(state_chunks(node_id, nodes, values))


def state_chunks(
    node_id: InfoHash,
    nodes: Sequence[tuple[InfoHash, Address]],
    values: Iterable[SavedValue],
) -> Iterator[bytes]:
    """Yield the bytes of a state file piece by piece: a store can be large, and is not copied."""
    by_key: dict[InfoHash, list[SavedValue]] = {}
    for stored in values:
        by_key.setdefault(stored.key, []).append(stored)
    packer = msgpack.Packer(autoreset=False)
    packer.pack_map_header(4)
    for field in ("v", _VERSION, "id", bytes(node_id), "nodes"):
        packer.pack(field)
    packer.pack_array_header(len(nodes))
    for id_, addr in nodes:
        packer.pack({"id": bytes(id_), "addr": pack_sockaddr(addr)})
    packer.pack("values")
    packer.pack_array_header(len(by_key))
    yield packer.bytes()
    for key, entries in by_key.items():
        yield msgpack.packb([bytes(key), _pack_values(entries)])


def decode_state(data: bytes, now: float, wall_now: float) -> NodeState:
    """Read a state file of either generation of OpenDHT, or our own.

    Args:
        data: the whole file, at most `STATE_SIZE_MAX` bytes.
        now: monotonic seconds; 2.4 writes creation times on that clock.
        wall_now: seconds since 1970.

    Raises:
        DecodeError: this is no state file. A bad entry inside a good file is skipped and counted.
    """
    if len(data) > STATE_SIZE_MAX:
        raise DecodeError(f"a state of {len(data)} bytes is larger than {STATE_SIZE_MAX}")
    state = _unpack(data)
    if not isinstance(state, dict):
        raise DecodeError("a state file holds one msgpack map")
    if state.get("v", _VERSION) != _VERSION:
        raise DecodeError(f"state version {state['v']!r:.20} is unknown; {_VERSION} is understood")
    node_id = state.get("id")
    if node_id is not None and not _is_hash(node_id):
        raise DecodeError("the id of a state file takes 20 bytes")
    nodes, bad_nodes = _read_nodes(_list_of(state, "nodes"))
    values, bad_values = _read_values(_list_of(state, "values"), now, wall_now)
    known_id = InfoHash(node_id) if node_id is not None and any(node_id) else None
    return NodeState(known_id, nodes, values, bad_nodes + bad_values)


def pack_sockaddr(addr: Address) -> bytes:
    """Return *addr* as Linux lays out `sockaddr_in` (16 bytes) or `sockaddr_in6` (28 bytes).

    The family is little-endian whatever our host is: that is what the peers' files hold.
    """
    if len(addr.ip) == 4:  # noqa: PLR2004 - bytes of IPv4
        return struct.pack("<H", _FAMILY_IPV4) + _SOCKADDR_IPV4.pack(addr.port, addr.ip)
    return struct.pack("<H", _FAMILIES_IPV6[0]) + _SOCKADDR_IPV6.pack(addr.port, addr.ip)


def unpack_sockaddr(data: bytes) -> Address:
    """Read the raw socket address of a Linux, macOS or Windows node.

    Raises:
        DecodeError: unknown family or wrong length.
    """
    if len(data) < 2:  # noqa: PLR2004 - the family
        raise DecodeError("a socket address has at least 2 bytes")
    # macOS puts a length in the first byte and the family in the second.
    family = data[1] if data[1] and data[0] == len(data) else int.from_bytes(data[:2], "little")
    if family == _FAMILY_IPV4 and len(data) == _SOCKADDR_IPV4.size + 2:
        port, ip = _SOCKADDR_IPV4.unpack_from(data, 2)
    elif family in _FAMILIES_IPV6 and len(data) == _SOCKADDR_IPV6.size + 2:
        port, ip = _SOCKADDR_IPV6.unpack_from(data, 2)
    else:
        raise DecodeError(f"unknown socket address: family {family}, {len(data)} bytes")
    return Address(unmapped(ip), port)


def encode_ports(ipv4: int, ipv6: int) -> bytes:
    """Return the content of `<state>_port.txt`: one decimal line per family, 0 for none."""
    return f"{ipv4}\n{ipv6}\n".encode()


def decode_ports(data: bytes) -> tuple[int, int]:
    """Read the content of `<state>_port.txt`: the IPv4 and the IPv6 port, 0 for none.

    Raises:
        DecodeError: not one or two decimal ports.
    """
    ports = [_port(field) for field in data[:64].split()]
    if not ports or len(ports) > 2:  # noqa: PLR2004 - one per family
        raise DecodeError("a port file holds two lines: the IPv4 and the IPv6 port")
    return ports[0], ports[1] if len(ports) > 1 else 0


def _port(field: bytes) -> int:
    if not field.isdigit() or int(field) > _PORT_MAX:
        raise DecodeError(f"not a port: {field[:20]!r}")
    return int(field)


def _pack_values(values: Sequence[SavedValue]) -> bytes:
    packer = msgpack.Packer(autoreset=False)
    packer.pack_array_header(len(values))
    chunks = [packer.bytes()]
    for stored in values:
        storer = b"" if stored.storer is None else pack_sockaddr(stored.storer)
        # The value keeps its canonical bytes: signatures cover them.
        chunks += (
            b"\x94",  # an array of four
            msgpack.packb(_timestamp(stored.created_wall)),
            stored.value.packed(),
            msgpack.packb(storer),
            msgpack.packb(_timestamp(stored.expiry_wall)),
        )
    return b"".join(chunks)


def _timestamp(wall_time: float) -> msgpack.Timestamp:
    # Never (infinity) becomes the last moment of a 34-bit timestamp, in the year 2514.
    nanoseconds = min(int(min(wall_time, 2.0**34) * _NANOSECONDS), 2**34 * _NANOSECONDS - 1)
    return msgpack.Timestamp.from_unix_nano(max(nanoseconds, 0))


def _unpack(data: bytes) -> object:
    try:
        unpacked: object = msgpack.unpackb(data, strict_map_key=False)
    except (ValueError, TypeError, OverflowError, RecursionError, msgpack.UnpackException) as error:
        raise DecodeError(f"not msgpack: {error}") from error
    return unpacked


def _is_hash(field: object) -> bool:
    return isinstance(field, bytes) and len(field) == InfoHash.length


def _list_of(state: dict[object, object], key: str) -> list[object]:
    entries = state.get(key, [])
    if not isinstance(entries, list):
        raise DecodeError(f"{key!r} of a state file is an array")
    return entries


def _read_nodes(entries: list[object]) -> tuple[tuple[tuple[InfoHash, Address], ...], int]:
    nodes = []
    for entry in entries[:STATE_NODES_MAX]:
        try:
            nodes.append(_read_node(entry))
        except DecodeError:
            continue
    return tuple(nodes), len(entries) - len(nodes)


def _read_node(entry: object) -> tuple[InfoHash, Address]:
    match entry:
        case {"id": bytes(node_id), "addr": bytes(addr)}:
            return InfoHash(node_id), unpack_sockaddr(addr)
        case _:
            raise DecodeError("a node entry has an id of 20 bytes and an address")


def _read_values(
    entries: list[object], now: float, wall_now: float
) -> tuple[tuple[SavedValue, ...], int]:
    values: list[SavedValue] = []
    skipped = 0
    for entry in entries:
        match entry:
            case [bytes(key), bytes(blob)] if len(key) == InfoHash.length:
                read, bad = _read_blob(InfoHash(key), blob, now, wall_now)
                values += read
                skipped += bad
            case _:
                skipped += 1
    return tuple(values), skipped


def _read_blob(
    key: InfoHash, blob: bytes, now: float, wall_now: float
) -> tuple[list[SavedValue], int]:
    try:
        entries = _unpack(blob)
    except DecodeError:
        return [], 1
    if not isinstance(entries, list):
        return [], 1
    values = []
    for entry in entries:
        try:
            values.append(_read_value(key, entry, now, wall_now))
        except DecodeError:
            continue
    return values, len(entries) - len(values)


def _read_value(key: InfoHash, entry: object, now: float, wall_now: float) -> SavedValue:
    match entry:
        # 2.4's clock is our monotonic one until the machine restarts; a time after now is of
        # another boot, and the reference counts such values as new.
        case [int(nanoseconds), dict(value), *_]:
            age = max(0.0, now - nanoseconds / _NANOSECONDS)
            return SavedValue(key, Value.from_object(value), wall_now - age, math.inf, None)
        case [msgpack.Timestamp() as created, dict(value)]:
            created_wall = min(_seconds(created), wall_now)
            return SavedValue(key, Value.from_object(value), created_wall, math.inf, None)
        case [
            msgpack.Timestamp() as created,
            dict(value),
            bytes(storer),
            msgpack.Timestamp() as expiry,
        ]:
            created_wall = min(_seconds(created), wall_now)
            # "Never" overflows in the reference and lands before the creation.
            expiry_wall = _seconds(expiry) if _seconds(expiry) > created_wall else math.inf
            addr = unpack_sockaddr(storer) if storer else None
            return SavedValue(key, Value.from_object(value), created_wall, expiry_wall, addr)
        case _:
            raise DecodeError("a stored value is [created, value] or has a storer and an expiry")


def _seconds(moment: msgpack.Timestamp) -> float:
    return float(moment.to_unix())
