"""Targets of the fuzzer: functions that take any bytes and may raise documented errors only."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

from shoal.core import Address, DecodeError, InfoHash
from shoal.dht import state, value_json, wire
from shoal.dht.config import DhtConfig
from shoal.dht.engine import DhtEngine
from shoal.dht.proxy import wire as proxy_wire
from shoal.dht.query import Query
from shoal.dht.value import Value
from shoal.sim import SeededEntropy
from tests.fuzz import (
    chain_codecs,
    connection_codecs,
    dht_codecs,
    ice_codecs,
    identity_codecs,
    name_codecs,
    node_codecs,
    state_codecs,
    swarm_codecs,
    transfer_codecs,
)

VECTORS: Final = Path(__file__).parents[1] / "vectors"
STORAGE_LIMIT: Final = 64 * 1024  # bytes: small, so that eviction runs
TRACKED_MAX: Final = 100_000  # bytes of input between fresh engines: keeps findings short
HEADER: Final = 3  # bytes before each datagram: who and when, then its length in two


def datagram(data: bytes) -> None:
    """A datagram decodes to a message, which encodes, or raises DecodeError."""
    try:
        decoded = wire.decode(data)
    except DecodeError:
        return
    wire.encode(decoded.message, network=decoded.network, agent=decoded.agent)


def value(data: bytes) -> None:
    """A value that unpacks packs to something that unpacks to the same."""
    try:
        unpacked = Value.unpack(data)
    except DecodeError:
        return
    assert Value.unpack(unpacked.packed()) == unpacked
    value_json.value_to_json(unpacked)


def query(data: bytes) -> None:
    """A query's text parses or raises DecodeError."""
    try:
        Query.parse(data.decode(errors="replace"))
    except DecodeError:
        return


def saved_state(data: bytes) -> None:
    """A state file of either upstream form is read or refused."""
    try:
        state.decode_state(data, 0.0, 1.7e9)
    except DecodeError:
        return


def proxy_body(data: bytes) -> None:
    """What a proxy's peer sends is read or refused."""
    for decode in (
        proxy_wire.decode_line,
        proxy_wire.decode_put,
        proxy_wire.decode_encrypted_put,
        proxy_wire.decode_subscription,
        proxy_wire.decode_info,
    ):
        try:
            decode(data)
        except DecodeError:
            continue


def engine(data: bytes) -> None:
    """A node takes any datagrams from anybody at any time, and stays within its limits."""
    node = DhtEngine(
        DhtConfig(storage_limit=STORAGE_LIMIT, node_id=InfoHash(bytes(20))),
        SeededEntropy(len(data)),
        0.0,
        wall_offset=1.7e9,
    )
    now = 0.0
    node.listen(1, InfoHash(bytes(20)), now)
    node.put(2, InfoHash(bytes(20)), Value(b"ours", id=1), now, permanent=True)
    for who, pause, payload in scenes(data[:TRACKED_MAX]):
        now += pause
        node.receive(payload, Address(bytes([10, 0, 0, 1 + who]), 4222), now)
        node.advance(now)
        deadline = node.next_deadline()
        assert deadline is None or deadline > now, "advance must move the deadline"
    values, size = node.storage_size()
    assert size <= STORAGE_LIMIT + len(b"ours") + 1024, (values, size)


def scenes(data: bytes) -> Iterator[tuple[int, float, bytes]]:
    """Cut *data* into datagrams: one byte says who sends and after which pause, two how long."""
    position = 0
    while position + HEADER <= len(data):
        who, pause = divmod(data[position], 16)
        length = int.from_bytes(data[position + 1 : position + HEADER])
        position += HEADER
        yield who, pause * pause * 0.1, data[position : position + length]
        position += length


def as_scenes(datagrams: list[bytes]) -> bytes:
    """Join datagrams into one input of the engine's target."""
    return b"".join(
        bytes([16 * (index % 16) + 3]) + len(each).to_bytes(2) + each
        for index, each in enumerate(datagrams)
    )


def known_datagrams() -> list[bytes]:
    """Return the datagrams of the vectors."""
    vectors = json.loads((VECTORS / "dht" / "datagrams.json").read_text())
    return [bytes.fromhex(vector["hex"]) for vector in vectors]


def known_bodies() -> list[bytes]:
    """Return what the vectors of the proxy hold as bodies, asked and answered."""
    exchanges = json.loads((VECTORS / "proxy" / "server-2.4.12.json").read_text())
    bodies = [exchange["body"] for exchange in exchanges]
    answers = [exchange["answer"].partition("\r\n\r\n")[2] for exchange in exchanges]
    return [body.encode() for body in itertools.chain(bodies, answers)]


Target = Callable[[bytes], None]
# Each target with what it starts from: the fuzzer mutates these.
TARGETS: Final[dict[str, tuple[Target, Callable[[], list[bytes]]]]] = {
    "datagram": (datagram, known_datagrams),
    "engine": (engine, lambda: [as_scenes(known_datagrams())]),
    "proxy-body": (proxy_body, known_bodies),
    "query": (query, lambda: [b"SELECT id,seq WHERE value_type=3,owner_pk=" + b"ab" * 20]),
    "state": (
        saved_state,
        lambda: [bytes.fromhex((VECTORS / "proxy" / "state-2.4.12.hex").read_text())],
    ),
    "value": (value, lambda: [Value(b"data", id=7, user_type="text/plain").packed()]),
    **chain_codecs.TARGETS,
    **connection_codecs.TARGETS,
    **dht_codecs.TARGETS,
    **ice_codecs.TARGETS,
    **identity_codecs.TARGETS,
    **name_codecs.TARGETS,
    **node_codecs.TARGETS,
    **state_codecs.TARGETS,
    **swarm_codecs.TARGETS,
    **transfer_codecs.TARGETS,
}
