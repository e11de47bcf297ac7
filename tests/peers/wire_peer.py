"""A bare UDP socket that speaks hand-made datagrams: the ruler all peers are measured with.

Written on msgpack alone, apart from the package's own codec, so that a misreading of the wire there
is not repeated here.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import socket
import threading
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, Self

import msgpack

from tests.peers.waiting import NotReachedError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

Message = dict[str, Any]
Endpoint = tuple[str, int]

PART_SIZE: Final = 1280  # bytes of a value in one part
INLINE_MAX: Final = 600  # bytes of packed values that no longer travel inline
USER_AGENT: Final = "o2"
_DATAGRAM_MAX: Final = 65_536
TOKEN: Final = bytes(range(32))  # what this peer hands out; it never checks one


@dataclass(frozen=True, slots=True)
class Arrival:
    """One datagram that came in."""

    at: float  # monotonic seconds
    source: Endpoint
    raw: bytes
    message: Message

    @property
    def kind(self) -> str:
        """Name of the query, or `reply`, `error`, `part`, `notice`, `unknown`."""
        if "e" in self.message:
            return "error"
        if "r" in self.message:
            return "reply"
        if "p" in self.message:
            return "part"
        if "u" in self.message:
            return "notice"
        return str(self.message.get("q", "unknown"))

    @property
    def tid(self) -> int:
        """The transaction id."""
        return int(self.message["t"])

    @property
    def body(self) -> Message:
        """The argument map."""
        for name in "aru":
            if name in self.message:
                body: Message = self.message[name]
                return body
        return {}


@dataclass(slots=True)
class Whole:
    """A message together with the values that followed it in parts."""

    header: Arrival
    values: list[Message] = field(default_factory=list)
    parts: int = 0

    @property
    def body(self) -> Message:
        """The argument map of the header."""
        return self.header.body


class WirePeer:
    """Sends what it is told, keeps what arrives, answers queries as a small honest node would."""

    def __init__(
        self,
        *,
        node_id: bytes | None = None,
        network: int = 0,
        host: str = "127.0.0.1",
        answers: bool = True,
        is_client: bool = False,
    ) -> None:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self.node_id = node_id or os.urandom(20)
        self.network = network
        self.arrivals: list[Arrival] = []
        self.nodes: list[tuple[bytes, str, int]] = []  # what find and get replies name
        self.stored: dict[bytes, list[Message]] = {}  # what get replies hold, by key
        self.mute: set[str] = set()  # names of queries that stay unanswered
        self.answers = answers
        self.is_client = is_client  # others then never put it into their tables
        # drawn, because 2.4.12 tells unfinished messages of different senders apart by this alone
        self._tids = itertools.count(int.from_bytes(os.urandom(3)) + 1)
        self._changed = threading.Condition()
        self._closing = False
        self._socket = socket.socket(family, socket.SOCK_DGRAM)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 22)
        self._socket.bind((host, 0))
        self._socket.settimeout(0.1)
        self.host, self.port = self._socket.getsockname()[:2]
        self._thread = threading.Thread(target=self._receive, name="wire peer", daemon=True)
        self._thread.start()

    # Sending

    def next_tid(self) -> int:
        """Return a transaction id not used before."""
        return next(self._tids)

    def send_raw(self, data: bytes, to: Endpoint) -> None:
        """Send bytes as they are."""
        self._socket.sendto(data, to)

    def send(self, message: Message, to: Endpoint) -> None:
        """Send one packed map."""
        self.send_raw(msgpack.packb(message), to)

    def query(
        self, name: str, arguments: Message, *, tid: int | None = None, **top: object
    ) -> tuple[int, Message]:
        """Return the transaction id and the map of a query in the reference's key order."""
        number = self.next_tid() if tid is None else tid
        message: Message = {
            "a": {"id": self.node_id, **arguments},
            "q": name,
            "t": number,
            "y": "q",
            "v": USER_AGENT,
        }
        if self.network:
            message["n"] = self.network
        if self.is_client:
            message["s"] = True
        message.update(top)
        return number, message

    def ask(
        self, to: Endpoint, name: str, arguments: Message | None = None, *, timeout: float = 3.0
    ) -> Whole:
        """Send a query and return its reply or error, parts included; sends only once."""
        tid, message = self.query(name, arguments or {})
        mark = self.mark()
        self.send(message, to)
        return self.whole(tid, to, after=mark, timeout=timeout)

    def ask_nothing(
        self, to: Endpoint, name: str, arguments: Message, *, probe_network: int | None = None
    ) -> bool:
        """Send a query; return True if it stays unanswered although the node is alive.

        A ping goes out behind it: datagrams of one socket to one peer are treated in order, so once
        the ping is answered, an answer to the first query would have come.
        """
        tid, message = self.query(name, arguments)
        mark = self.mark()
        self.send(message, to)
        self.ping(to)
        return not [a for a in self.since(mark) if a.source == to and a.message.get("t") == tid]

    def ping(self, to: Endpoint) -> Arrival:
        """Ping and return the pong."""
        return self.ask(to, "ping").header

    def token(self, to: Endpoint, key: bytes) -> bytes:
        """Return the write token that *to* hands out."""
        token: bytes = self.ask(to, "get", {"h": key, "w": []}).body["token"]
        return token

    def put(
        self,
        to: Endpoint,
        key: bytes,
        values: Iterable[Message],
        *,
        token: bytes | None = None,
        created: int | None = None,
        timeout: float = 3.0,
    ) -> list[Arrival]:
        """Put values as one request; return all answers that came before the next pong."""
        packed = [msgpack.packb(value) for value in values]
        arguments: Message = {"h": key}
        inline = len(packed) < 50 and sum(map(len, packed)) < INLINE_MAX
        arguments["values"] = (
            [msgpack.unpackb(value) for value in packed] if inline else list(map(len, packed))
        )
        if created is not None:
            arguments["c"] = created
        arguments["token"] = self.token(to, key) if token is None else token
        tid, message = self.query("put", arguments)
        mark = self.mark()
        self.send(message, to)
        if not inline:
            for data in parts_of(tid, packed, network=self.network):
                self.send_raw(data, to)
        self.ask(to, "ping", timeout=timeout)
        return [a for a in self.since(mark) if a.source == to and a.message.get("t") == tid]

    # Receiving

    def mark(self) -> int:
        """Return a place in the arrivals to wait from."""
        return len(self.arrivals)

    def since(self, mark: int) -> list[Arrival]:
        """Return what arrived after *mark*."""
        return self.arrivals[mark:]

    def wait_for(
        self,
        wanted: Callable[[Arrival], bool],
        what: str,
        *,
        timeout: float = 5.0,
        after: int = 0,
        count: int = 1,
    ) -> list[Arrival]:
        """Return the first *count* arrivals that are *wanted*.

        Raises:
            NotReachedError: fewer came in *timeout* seconds.
        """
        deadline = time.monotonic() + timeout
        with self._changed:
            while True:
                found = [arrival for arrival in self.arrivals[after:] if wanted(arrival)]
                if len(found) >= count:
                    return found[:count]
                left = deadline - time.monotonic()
                if left <= 0:
                    kinds = [arrival.kind for arrival in self.arrivals[after:]]
                    raise NotReachedError(f"not within {timeout:g} s: {what}; came: {kinds}")
                self._changed.wait(left)

    def asked(
        self, name: str, *, timeout: float = 10.0, after: int = 0, count: int = 1
    ) -> list[Arrival]:
        """Wait for queries called *name* from anybody."""
        return self.wait_for(
            lambda a: a.kind == name, f"query {name}", timeout=timeout, after=after, count=count
        )

    def whole(self, tid: int, source: Endpoint, *, after: int = 0, timeout: float = 5.0) -> Whole:
        """Wait for the message with that *tid* and all of its parts."""

        def of_it(arrival: Arrival) -> bool:
            return arrival.source == source and arrival.message.get("t") == tid

        (header,) = self.wait_for(
            lambda a: of_it(a) and a.kind != "part", f"an answer to {tid}",
            timeout=timeout, after=after,
        )  # fmt: skip
        values = header.body.get("values", [])
        if not values or not isinstance(values[0], int):
            return Whole(header, values)
        count = sum(-(-size // PART_SIZE) for size in values)
        parts = self.wait_for(
            lambda a: of_it(a) and a.kind == "part", f"{count} parts",
            timeout=timeout, after=after, count=count,
        )  # fmt: skip
        return Whole(header, join_parts(values, parts), count)

    # The node it plays

    def _receive(self) -> None:
        while not self._closing:
            try:
                raw, source = self._socket.recvfrom(_DATAGRAM_MAX)
            except TimeoutError:
                continue
            except OSError:
                return
            try:
                message = msgpack.unpackb(raw, strict_map_key=False)
            except (ValueError, msgpack.exceptions.ExtraData):
                message = {}
            arrival = Arrival(time.monotonic(), source[:2], raw, message)
            with self._changed:
                self.arrivals.append(arrival)
                self._changed.notify_all()
            if not self.answers:
                continue
            with contextlib.suppress(OSError):
                if message.get("y") == "q" and arrival.kind not in self.mute:
                    self._answer(arrival)
                elif arrival.kind == "part":
                    self._answer_finished(arrival)

    def _answer(self, query: Arrival) -> None:
        if query.message.get("n", 0) != self.network:
            return
        body: Message = {
            "id": self.node_id,
            "sa": socket.inet_pton(self._socket.family, query.source[0]),
        }
        arguments = query.body
        match query.kind:
            case "find" | "get":
                if self.nodes:
                    body["n4"] = compact_nodes(self.nodes)
                body["token"] = TOKEN
                held = self.stored.get(arguments.get("h", b""), [])
                if query.kind == "get" and held:
                    self._answer_values(query, body, held)
                    return
            case "put":
                self._answer_put(query, arguments["values"])
                return
            case "refresh":
                body = {"id": self.node_id, "vid": arguments["vid"], "sa": body["sa"]}
            case "listen":
                body["token"] = TOKEN
            case "ping" | "update":
                pass
            case _:
                return
        self.reply(query, body)

    def _answer_put(self, query: Arrival, values: list[Any]) -> None:
        if isinstance(values[0], int):
            return  # answered when the last part is here
        seen_as = socket.inet_pton(self._socket.family, query.source[0])
        for value in values:
            self.reply(query, {"id": self.node_id, "vid": value["id"], "sa": seen_as})

    def _answer_finished(self, part: Arrival) -> None:
        """Answer the put that *part* completes, if it does."""
        same = [
            a for a in self.arrivals if (a.source, a.message.get("t")) == (part.source, part.tid)
        ]
        headers = [a for a in same if a.kind == "put"]
        if not headers or "put" in self.mute:
            return
        sizes = headers[-1].body["values"]
        parts = [a for a in same[same.index(headers[-1]) :] if a.kind == "part"]
        if len(parts) == sum(-(-size // PART_SIZE) for size in sizes):
            self._answer_put(headers[-1], join_parts(sizes, parts))

    def _answer_values(self, query: Arrival, body: Message, held: list[Message]) -> None:
        asked = query.body.get("q", {"s": [], "w": []})
        ids = [condition["v"] for condition in asked["w"] if condition["f"] == 1]
        chosen = [value for value in held if not ids or value["id"] in ids]
        if asked["s"]:
            rows = [_column(value, number) for value in chosen for number in sorted(asked["s"])]
            body["fileds"] = {"f": sorted(asked["s"]), "v": rows}
        else:
            body["values"] = chosen
        self.reply(query, body)

    def reply(self, query: Arrival, body: Message) -> None:
        """Answer *query* with *body*."""
        message: Message = {"r": body, "t": query.message["t"], "y": "r", "v": USER_AGENT}
        if self.network:
            message["n"] = self.network
        if self.is_client:
            message["s"] = True
        self.send(message, query.source)

    def close(self) -> None:
        """Close the socket."""
        self._closing = True
        with contextlib.suppress(OSError):
            self._socket.sendto(b"", (self.host, self.port))  # wakes the reader
        self._thread.join()
        self._socket.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *unused: object) -> None:
        self.close()


def plain_value(value_id: int, data: bytes, *, kind: int = 0, user_type: str = "") -> Message:
    """Return the wire map of a plain value."""
    body: Message = {"type": kind, "data": data}
    if user_type:
        body["utype"] = user_type
    return {"id": value_id, "dat": {"body": body}}


def value_of_size(value_id: int, size: int) -> Message:
    """Return a plain value whose packed form has exactly *size* bytes (at least 40)."""
    data = b""
    for _ in range(4):  # the header of the blob grows with it
        data = bytes(max(0, len(data) + size - len(msgpack.packb(plain_value(value_id, data)))))
    assert len(msgpack.packb(plain_value(value_id, data))) == size
    return plain_value(value_id, data)


def parts_of(tid: int, packed: list[bytes], *, network: int = 0) -> list[bytes]:
    """Return the part datagrams of packed values, in order."""
    top: Message = {"n": network} if network else {}
    return [
        msgpack.packb(
            {**top, "y": "p", "t": tid, "p": {index: {"o": at, "d": value[at : at + PART_SIZE]}}}
        )
        for index, value in enumerate(packed)
        for at in range(0, len(value), PART_SIZE)
    ]


def join_parts(sizes: list[int], parts: list[Arrival]) -> list[Message]:
    """Return the values that *parts* make up; they must be complete."""
    buffers = [bytearray(size) for size in sizes]
    filled = [0] * len(sizes)
    for arrival in parts:
        for index, piece in arrival.message["p"].items():
            buffers[index][piece["o"] : piece["o"] + len(piece["d"])] = piece["d"]
            filled[index] += len(piece["d"])
    assert filled == sizes, "parts are missing"
    return [msgpack.unpackb(bytes(buffer)) for buffer in buffers]


def compact_nodes(nodes: Iterable[tuple[bytes, str, int]]) -> bytes:
    """Return an `n4` list."""
    return b"".join(
        node_id + socket.inet_aton(host) + port.to_bytes(2, "big") for node_id, host, port in nodes
    )


def _column(value: Mapping[str, Any], number: int) -> object:
    body = value["dat"]["body"] if isinstance(value["dat"], dict) else {}
    columns = {1: value["id"], 2: body.get("type", 0), 3: bytes(20), 4: body.get("seq", 0)}
    return columns.get(number, body.get("utype", ""))
