"""The packet path alone: one node answering requests, per second of processor time.

A client without a protocol of its own throws encoded requests at a node of either side and counts
answers, so both sides do exactly the same work. The same requests are then handed to Shoal's engine
without sockets, which splits its cost into system calls and protocol.
"""

from __future__ import annotations

import random
import socket
import time
from typing import TYPE_CHECKING, Final

from shoal.core import Address, Family, InfoHash
from shoal.core.driver import SystemEntropy
from shoal.dht import DhtConfig, DhtEngine, wire
from shoal.dht.config import UNLIMITED

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from bench.workers import Worker

WINDOW: Final = 64  # requests under way: fills the node's queue, overflows no buffer
LOST_AFTER: Final = 0.5  # seconds without an answer: ours, far above any answer's time
CLIENTS: Final = 8  # sockets; a node tells peers apart by address
LOOPBACK: Final = Address.parse("127.0.0.1", 1)


def requests(kind: str, count: int, seed: int) -> list[bytes]:
    """Return encoded requests of one kind, each with a transaction id and a target of its own."""
    chance = random.Random(seed)
    sender = InfoHash(chance.randbytes(20))
    build: dict[str, Callable[[int], wire.Message]] = {
        "ping": lambda tid: wire.Ping(tid, sender),
        "find": lambda tid: wire.Find(tid, sender, InfoHash(chance.randbytes(20)), (Family.IPV4,)),
        "get": lambda tid: wire.Get(
            tid, sender, InfoHash(chance.randbytes(20)), None, (Family.IPV4,)
        ),
    }
    return [wire.encode(build[kind](tid))[0] for tid in range(1, count + 1)]


def answered_per_processor_second(worker: Worker, kind: str, count: int) -> float:
    """Ask node 0 of the *worker* with *count* requests; return answers per second of its time."""
    target = ("127.0.0.1", worker.call("port", node=0))
    clients = [socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(CLIENTS)]
    for client in clients:
        client.settimeout(LOST_AFTER)
        client.connect(target)
    begin = worker.processor_seconds()
    answered = exchange(clients, requests(kind, count, seed=count))
    seconds = worker.processor_seconds() - begin
    for client in clients:
        client.close()
    return answered / seconds


def exchange(clients: Sequence[socket.socket], datagrams: Sequence[bytes]) -> int:
    """Send all, a window ahead of the answers; return how many answers came."""
    answered = waiting = 0
    for index, datagram in enumerate(datagrams):
        clients[index % CLIENTS].send(datagram)
        waiting += 1
        if waiting == WINDOW:
            answered += collect(clients)
            waiting = 0
    return answered + collect(clients, waiting)


def collect(clients: Sequence[socket.socket], waiting: int = WINDOW) -> int:
    """Receive up to *waiting* answers, in the order asked; what is late counts as lost."""
    answered = 0
    for index in range(waiting):
        try:
            clients[index % CLIENTS].recv(65_536)
        except TimeoutError:
            continue
        answered += 1
    return answered


def engine_microseconds(kind: str, count: int) -> float:
    """Return what one request costs in Shoal's engine, decoding and encoding included."""
    config = DhtConfig(rate_limit_total=UNLIMITED, rate_limit_per_address=UNLIMITED)
    engine = DhtEngine(config, SystemEntropy(), 0.0, wall_offset=1.7e9)
    chance = random.Random(count)
    for index in range(64):  # a table to choose neighbours from
        engine.insert_node(InfoHash(chance.randbytes(20)), LOOPBACK._replace(port=index + 2), 0.0)
    datagrams = requests(kind, count, seed=count)
    begin = time.process_time()
    for datagram in datagrams:
        engine.receive(datagram, LOOPBACK, 1.0)
    return (time.process_time() - begin) / count * 1e6
