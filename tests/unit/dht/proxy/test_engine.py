"""The proxy client's engine: what it asks, and what it makes of the answers."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shoal.core import Address, Family, InfoHash
from shoal.dht.effects import (
    Done,
    PublicAddressChanged,
    RowsFound,
    Status,
    StatusChanged,
    ValuesExpired,
    ValuesFound,
)
from shoal.dht.errors import TooManyOperationsError, ValueTooLargeError
from shoal.dht.proxy import engine as engine_module
from shoal.dht.proxy import wire
from shoal.dht.proxy.client_context import RENEWAL, RENEWAL_SPREAD
from shoal.dht.proxy.config import ProxyClientConfig, PushRegistration
from shoal.dht.proxy.effects import HttpCancel, HttpRequest, PushResult
from shoal.dht.proxy.engine import OPERATIONS_MAX, ProxyEngine
from shoal.dht.proxy.following import HEARTBEAT_PATIENCE, PATIENCE_MAX
from shoal.dht.proxy.reachability import DOWN_INTERVAL, UP_INTERVAL
from shoal.dht.proxy.request_queue import RUNNING_MAX
from shoal.dht.proxy.wire import FamilyCounts, NodeInfo
from shoal.dht.query import Condition, Field, Query, Row
from shoal.dht.value import Value
from shoal.sim import SeededEntropy

if TYPE_CHECKING:
    from collections.abc import Sequence

    from shoal.dht.backend import DhtCommands

KEY = InfoHash.of(b"key")
OTHER = InfoHash.of(b"other")
NODE = InfoHash.of(b"node")
PUSH = PushRegistration("device", "client", "android", "topic")
CONNECTED = (Status.CONNECTED, Status.CONNECTED)
A, B = Value(b"a", id=1), Value(b"b", id=2)


class Proxy:
    """An engine, the requests it has under way, and the events it reported."""

    def __init__(self, push: PushRegistration | None = None, *, is_up: bool = True) -> None:
        self.engine = ProxyEngine(ProxyClientConfig(push=push), SeededEntropy(0), 0.0)
        self.now = 0.0
        self.running: dict[int, HttpRequest] = {}
        self.events: list[object] = []
        if is_up:
            self.wait(0.0)
            self.answer_info()
            self.events.clear()

    def take(self, effects: Sequence[object]) -> list[object]:
        """Carry out effects; return the events among them."""
        events: list[object] = []
        for effect in effects:
            match effect:
                case HttpRequest():
                    assert effect.id not in self.running, "ids are drawn fresh"
                    self.running[effect.id] = effect
                case HttpCancel(request):
                    del self.running[request]
                case _:
                    events.append(effect)
        self.events += events
        return events

    def wait(self, seconds: float) -> list[object]:
        """Let time pass, deadline by deadline."""
        events: list[object] = []
        end = self.now + seconds
        while (deadline := self.engine.next_deadline()) is not None and deadline <= end:
            self.now = max(self.now, deadline)
            events += self.take(self.engine.advance(self.now))
            later = self.engine.next_deadline()
            assert later is None or later > deadline, "a driver would spin"
        self.now = end
        return events

    def request(self, method: str, path: str) -> int:
        """Return the id of the only request under way to *path*."""
        (found,) = self.requests(method, path)
        return found

    def requests(self, method: str, path: str) -> list[int]:
        """Return the ids of the requests under way to *path*."""
        return [
            request.id
            for request in self.running.values()
            if (request.method, request.path) == (method, path)
        ]

    def line(self, request: int, line: bytes) -> list[object]:
        """Let a line of an answer arrive."""
        assert request in self.running
        return self.take(self.engine.http_line(request, line, self.now))

    def end(self, request: int, status: int | None = 200) -> list[object]:
        """Let an answer end."""
        del self.running[request]
        return self.take(self.engine.http_ended(request, status, self.now))

    def answer(self, method: str, path: str, *values: Value, status: int = 200) -> list[object]:
        """Answer a request with values."""
        request = self.request(method, path)
        events: list[object] = []
        for value in values:
            events += self.line(request, wire.encode_value(value))
        return events + self.end(request, status)

    def answer_info(self, good: int = 3, dubious: int = 0, node: InfoHash = NODE) -> list[object]:
        """Answer both questions for the node."""
        info = NodeInfo(node, FamilyCounts(good, dubious), public_ip="192.0.2.1")
        events: list[object] = []
        for request in self.requests("GET", "/"):
            events += self.line(request, wire.encode(info.to_json()))
            events += self.end(request)
        return events

    def fail_info(self) -> list[object]:
        """Let both questions find no server."""
        events: list[object] = []
        for request in self.requests("GET", "/"):
            events += self.end(request, None)
        return events

    def put_body(self, request: int) -> dict[str, Any]:
        """Return the JSON that a request sends."""
        body = json.loads(self.running[request].body or b"null")
        assert isinstance(body, dict)
        return body

    @property
    def stream(self) -> int:
        """The listen stream of KEY."""
        return self.request("GET", f"/key/{KEY}/listen")


def test_is_a_backend() -> None:
    """It has the commands of the secure layer's backends."""
    backend: DhtCommands = Proxy().engine
    assert backend.status == CONNECTED


# Whether the proxy is there.


def test_asks_over_both_families_at_once() -> None:
    """The first thing it does; meanwhile it is connecting."""
    proxy = Proxy(is_up=False)

    events = proxy.wait(0.0)

    assert events == [StatusChanged(Status.CONNECTING, Status.CONNECTING)]
    assert [request.family for request in proxy.running.values()] == [Family.IPV4, Family.IPV6]
    assert {(r.method, r.path, r.is_stream) for r in proxy.running.values()} == {
        ("GET", "/", False)
    }


def test_families_are_judged_apart() -> None:
    """A proxy that has no IPv6 is connected over IPv4."""
    proxy = Proxy(is_up=False)
    proxy.wait(0.0)
    ipv4, ipv6 = proxy.requests("GET", "/")
    info = NodeInfo(NODE, FamilyCounts(good=1), public_ip="::ffff:192.0.2.1")
    proxy.line(ipv4, wire.encode(info.to_json()))

    events = proxy.end(ipv4) + proxy.end(ipv6, None)

    assert events == [
        StatusChanged(Status.CONNECTED, Status.CONNECTING),
        PublicAddressChanged((Address(bytes((192, 0, 2, 1)), 0),)),
        StatusChanged(Status.CONNECTED, Status.DISCONNECTED),
    ]
    assert proxy.engine.node_id == NODE
    assert proxy.engine.node_info == info


@pytest.mark.parametrize(
    ("good", "dubious", "status"),
    [(0, 1, Status.CONNECTING), (0, 0, Status.DISCONNECTED)],
)
def test_a_node_without_neighbours(good: int, dubious: int, status: Status) -> None:
    """The proxy is there, its node isn't connected: it is asked again soon."""
    proxy = Proxy(is_up=False)
    proxy.wait(0.0)
    proxy.answer_info(good, dubious)

    assert proxy.engine.status == (status, status)
    proxy.wait(11.0)
    assert len(proxy.requests("GET", "/")) == 2


def test_asks_now_and_then() -> None:
    """Every 15 minutes while it is up, every minute while it is down."""
    proxy = Proxy()
    proxy.wait(UP_INTERVAL - 1.0)
    assert proxy.running == {}
    proxy.wait(1.0)
    proxy.fail_info()
    assert proxy.engine.status == (Status.DISCONNECTED, Status.DISCONNECTED)
    proxy.wait(DOWN_INTERVAL - 1.0)
    assert proxy.running == {}
    proxy.wait(1.0)
    assert len(proxy.requests("GET", "/")) == 2


def test_an_address_that_is_none() -> None:
    """A proxy that doesn't say where we are is a proxy all the same."""
    proxy = Proxy(is_up=False)
    proxy.wait(0.0)
    for request in proxy.requests("GET", "/"):
        info = NodeInfo(NODE, FamilyCounts(good=1), public_ip="somewhere")
        proxy.line(request, wire.encode(info.to_json()))
        proxy.end(request)

    assert proxy.engine.status == CONNECTED
    assert not any(isinstance(event, PublicAddressChanged) for event in proxy.events)


@pytest.mark.parametrize("body", [b"{}", b"<html>", b'{"node_id":"x"}'])
def test_nonsense_is_no_proxy(body: bytes) -> None:
    """A server that answers something else isn't one."""
    proxy = Proxy(is_up=False)
    proxy.wait(0.0)
    for request in proxy.requests("GET", "/"):
        proxy.line(request, body)
        proxy.end(request)

    assert proxy.engine.status == (Status.DISCONNECTED, Status.DISCONNECTED)
    assert proxy.engine.stats.malformed == 2


def test_a_request_without_server_doubts_the_proxy() -> None:
    """It is asked at once, but not for each of many requests that fail together."""
    proxy = Proxy()
    proxy.wait(60.0)
    for op in range(3):
        proxy.take(proxy.engine.get(op, KEY, proxy.now))
    requests = proxy.requests("GET", f"/key/{KEY}")

    events = proxy.end(requests[0], None)
    proxy.wait(0.0)
    for request in requests[1:]:
        proxy.end(request, None)

    assert events == [
        Done(0, ok=False, nodes=0),
        StatusChanged(Status.DISCONNECTED, Status.DISCONNECTED),
    ]
    assert len(proxy.requests("GET", "/")) == 2


# Gets.


def test_get() -> None:
    """Lines are values, the end is the end."""
    proxy = Proxy()
    assert proxy.take(proxy.engine.get(7, KEY, 0.0)) == []

    events = proxy.answer("GET", f"/key/{KEY}", A, B)

    assert events == [ValuesFound(7, (A,)), ValuesFound(7, (B,)), Done(7, ok=True, nodes=1)]


def test_get_filters_here() -> None:
    """The proxy knows no conditions."""
    proxy = Proxy()
    proxy.take(proxy.engine.get(7, KEY, 0.0, where=(Condition(Field.ID, 2),)))

    assert proxy.answer("GET", f"/key/{KEY}", A, B)[0] == ValuesFound(7, (B,))


def test_get_tells_values_once() -> None:
    """A repeated value is no news, another version is."""
    proxy = Proxy()
    proxy.take(proxy.engine.get(7, KEY, 0.0))
    edited = Value(b"edited", id=1)

    events = proxy.answer("GET", f"/key/{KEY}", A, A, edited)

    assert events[:-1] == [ValuesFound(7, (A,)), ValuesFound(7, (edited,))]


def test_damaged_lines_are_left_out() -> None:
    """What isn't JSON of a value is counted and skipped."""
    proxy = Proxy()
    proxy.take(proxy.engine.get(7, KEY, 0.0))
    request = proxy.request("GET", f"/key/{KEY}")

    assert proxy.line(request, b"<html>") == []
    assert proxy.line(request, b"") == []
    assert proxy.line(request, wire.encode_value(A, is_expired=True)) == []
    assert proxy.line(request, wire.encode_value(A)) == [ValuesFound(7, (A,))]
    assert proxy.engine.stats.malformed == 1


@pytest.mark.parametrize("status", [400, 429, 502, None])
def test_get_fails(status: int | None) -> None:
    """Any other status than 200 is a failure, whose body isn't looked at."""
    proxy = Proxy()
    proxy.take(proxy.engine.get(7, KEY, 0.0))

    assert Done(7, ok=False, nodes=0) in proxy.end(proxy.request("GET", f"/key/{KEY}"), status)
    assert proxy.engine.stats.failed == 1


def test_query() -> None:
    """Fields are cut out here."""
    proxy = Proxy()
    query = Query((Field.ID, Field.TYPE), (Condition(Field.TYPE, 3),))
    proxy.take(proxy.engine.query(7, KEY, query, 0.0))

    events = proxy.answer("GET", f"/key/{KEY}", A, Value(b"c", type=3, id=3))

    assert events == [RowsFound(7, (Row(id=3, type=3),)), Done(7, ok=True, nodes=1)]


def test_cancelled_get() -> None:
    """Its request ends, and nothing more is heard."""
    proxy = Proxy()
    proxy.take(proxy.engine.get(7, KEY, 0.0))

    assert proxy.take(proxy.engine.cancel(7, 0.0)) == []
    assert proxy.take(proxy.engine.cancel(7, 0.0)) == []
    assert proxy.running == {}


def test_requests_wait_for_their_turn() -> None:
    """So many run at a time; what waits can be cancelled; too many are refused."""
    proxy = Proxy()
    for op in range(RUNNING_MAX + 2):
        proxy.take(proxy.engine.get(op, KEY, 0.0))
    assert len(proxy.running) == RUNNING_MAX

    proxy.take(proxy.engine.cancel(RUNNING_MAX, 0.0))
    assert len(proxy.running) == RUNNING_MAX
    proxy.end(next(iter(proxy.running)))
    assert len(proxy.running) == RUNNING_MAX
    proxy.end(next(iter(proxy.running)))
    assert len(proxy.running) == RUNNING_MAX - 1

    for op in range(100, 100 + OPERATIONS_MAX - len(proxy.running)):
        proxy.take(proxy.engine.get(op, KEY, 0.0))
    with pytest.raises(TooManyOperationsError):
        proxy.engine.get(99_999, KEY, 0.0)
    with pytest.raises(TooManyOperationsError):
        proxy.engine.put(99_999, KEY, A, 0.0)


# Puts.


def test_put() -> None:
    """The value goes as JSON; 200 is success."""
    proxy = Proxy()
    proxy.take(proxy.engine.put(7, KEY, A, 0.0))
    request = proxy.request("POST", f"/key/{KEY}")

    assert proxy.put_body(request) == {"data": "YQ==", "id": "1", "type": 0}
    assert proxy.line(request, wire.encode_value(A)) == []
    assert proxy.end(request) == [Done(7, ok=True, nodes=1)]
    assert proxy.wait(2 * RENEWAL) == []


def test_put_too_large() -> None:
    """No proxy is asked to store what no node would."""
    with pytest.raises(ValueTooLargeError):
        Proxy().engine.put(7, KEY, Value(bytes(65_537), id=1), 0.0)


def test_permanent_put_is_renewed() -> None:
    """Every 22 hours, before the proxy's 24 end; until it is cancelled."""
    proxy = Proxy()
    proxy.take(proxy.engine.put(7, KEY, A, 0.0, permanent=True))
    path = f"/key/{KEY}"
    assert proxy.put_body(proxy.request("POST", path))["permanent"] is True
    assert proxy.answer("POST", path) == [Done(7, ok=True, nodes=1)]

    for _ in range(2):
        proxy.wait(RENEWAL - RENEWAL_SPREAD - 1.0)
        assert proxy.requests("POST", path) == []
        proxy.wait(RENEWAL_SPREAD + 2.0)
        assert proxy.answer("POST", path) == []
        for request in proxy.requests("GET", "/"):
            proxy.end(request, 500)

    proxy.take(proxy.engine.cancel_put(KEY, 1, proxy.now))
    proxy.wait(2 * RENEWAL)
    assert proxy.requests("POST", path) == []


def test_failed_permanent_put_is_tried_again() -> None:
    """Its operation fails once; it goes on with growing patience."""
    proxy = Proxy()
    proxy.take(proxy.engine.put(7, KEY, A, 0.0, permanent=True))
    assert proxy.answer("POST", f"/key/{KEY}", status=502) == [Done(7, ok=False, nodes=0)]
    waits = []
    for _ in range(9):
        began = proxy.now
        while not proxy.requests("POST", f"/key/{KEY}"):
            proxy.wait(1.0)
        waits.append(proxy.now - began)
        assert proxy.answer("POST", f"/key/{KEY}", status=502) == []

    assert 5 <= waits[0] <= 11
    assert 450 <= waits[-1] <= 901
    assert sum(waits[:3]) < sum(waits[3:6]) < sum(waits[6:])


def test_permanent_puts_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """By their number; a value that is there can be put again."""
    monkeypatch.setattr(engine_module, "PERMANENT_MAX", 1)
    proxy = Proxy()
    proxy.take(proxy.engine.put(1, KEY, A, 0.0, permanent=True))

    with pytest.raises(TooManyOperationsError):
        proxy.engine.put(2, KEY, B, 0.0, permanent=True)
    proxy.take(proxy.engine.put(3, KEY, A, 0.0, permanent=True))


# Listens.


def listening(push: PushRegistration | None = None) -> Proxy:
    """Return a proxy at which operation 7 listens to KEY."""
    proxy = Proxy(push)
    proxy.take(proxy.engine.listen(7, KEY, 0.0))
    return proxy


def test_listen() -> None:
    """Lines of a stream are additions and expirations."""
    proxy = listening()
    assert proxy.running[proxy.stream].is_stream

    assert proxy.line(proxy.stream, wire.encode_value(A)) == [ValuesFound(7, (A,))]
    assert proxy.line(proxy.stream, wire.encode_value(A)) == []
    assert proxy.line(proxy.stream, wire.encode_value(A, is_expired=True)) == [
        ValuesExpired(7, (A,))
    ]
    assert proxy.line(proxy.stream, wire.encode_value(A, is_expired=True)) == []


def test_edits_are_news() -> None:
    """Another content is; an older version that comes late isn't."""
    proxy = listening()
    owner = {"owner": b"\0", "signature": b"\0"}
    old, new = (Value(str(seq).encode(), id=1, seq=seq, **owner) for seq in (1, 2))  # type: ignore[arg-type]
    listen = proxy.engine._following._listens[KEY]  # noqa: SLF001 - such an owner has no JSON

    assert listen.found(old) == [ValuesFound(7, (old,))]
    assert listen.found(new) == [ValuesFound(7, (new,))]
    assert listen.found(old) == []


def test_listens_share_a_stream() -> None:
    """A second listen hears what is known, each only what its conditions let through."""
    proxy = listening()
    proxy.line(proxy.stream, wire.encode_value(A))
    where = (Condition(Field.ID, 2),)

    assert proxy.take(proxy.engine.listen(8, KEY, 0.0)) == [ValuesFound(8, (A,))]
    assert proxy.take(proxy.engine.listen(9, KEY, 0.0, where=where)) == []
    assert proxy.line(proxy.stream, wire.encode_value(B)) == [
        ValuesFound(op, (B,)) for op in (7, 8, 9)
    ]
    assert proxy.line(proxy.stream, wire.encode_value(A, is_expired=True)) == [
        ValuesExpired(op, (A,)) for op in (7, 8)
    ]


def test_cancelled_listen() -> None:
    """The stream ends with its last listener."""
    proxy = listening()
    proxy.take(proxy.engine.listen(8, KEY, 0.0))

    proxy.take(proxy.engine.cancel(7, 0.0))
    assert proxy.line(proxy.stream, wire.encode_value(A)) == [ValuesFound(8, (A,))]
    proxy.take(proxy.engine.cancel(8, 0.0))

    assert proxy.running == {}
    assert proxy.wait(600.0) == []


def test_broken_stream_is_begun_again() -> None:
    """And compared: what is gone has expired, what came is found, what stayed is no news."""
    proxy = listening()
    for value in (A, B):
        proxy.line(proxy.stream, wire.encode_value(value))
    proxy.wait(100.0)
    proxy.end(proxy.stream)
    assert proxy.wait(1.0) == []
    c = Value(b"c", id=3)

    assert proxy.line(proxy.stream, wire.encode_value(c)) == [ValuesFound(7, (c,))]
    assert proxy.answer("GET", f"/key/{KEY}", B) == [ValuesExpired(7, (A,))]
    assert proxy.engine.stats.listens_broken == 1


def test_comparison_that_fails_expires_nothing() -> None:
    """Only a complete list says what is gone."""
    proxy = listening()
    proxy.line(proxy.stream, wire.encode_value(A))
    proxy.wait(100.0)
    proxy.end(proxy.stream)
    proxy.wait(1.0)

    assert proxy.answer("GET", f"/key/{KEY}", status=502) == []
    assert proxy.line(proxy.stream, wire.encode_value(A, is_expired=True)) == [
        ValuesExpired(7, (A,))
    ]


def test_patience_grows() -> None:
    """A proxy that refuses streams is asked less and less; one that lasted, soon again."""
    proxy = listening()
    waits = []
    for _ in range(9):
        proxy.end(proxy.stream, 503)
        for check in proxy.requests("GET", f"/key/{KEY}"):
            proxy.end(check)
        began = proxy.now
        while not proxy.requests("GET", f"/key/{KEY}/listen"):
            proxy.wait(0.25)
        waits.append(proxy.now - began)
    assert waits[0] <= 1.25
    assert PATIENCE_MAX / 2 <= waits[-1] <= PATIENCE_MAX + 1.0

    proxy.wait(100.0)
    proxy.end(proxy.stream)
    proxy.wait(1.0)
    assert proxy.stream


def test_heartbeat_that_stops() -> None:
    """A stream with heartbeats that falls silent is begun again; one without may be silent."""
    proxy = listening()
    proxy.wait(10 * HEARTBEAT_PATIENCE)
    first = proxy.stream
    proxy.line(first, wire.HEARTBEAT.strip())
    proxy.wait(HEARTBEAT_PATIENCE - 1.0)
    proxy.line(first, wire.encode_value(A))
    proxy.wait(HEARTBEAT_PATIENCE - 1.0)
    assert proxy.stream == first

    proxy.wait(1.0)

    assert proxy.stream != first
    assert proxy.engine.stats.silences == 1
    proxy.wait(10 * HEARTBEAT_PATIENCE)
    assert proxy.engine.stats.silences == 1


def test_values_of_a_hostile_proxy_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Beyond so many values, or bytes, none is remembered or reported."""
    monkeypatch.setattr("shoal.dht.proxy.listens.VALUES_MAX", 2)
    monkeypatch.setattr("shoal.dht.proxy.listens.SIZE_MAX", 10)
    proxy = listening()

    assert proxy.line(proxy.stream, wire.encode_value(Value(bytes(11), id=9))) == []
    assert proxy.line(proxy.stream, wire.encode_value(A)) != []
    assert proxy.line(proxy.stream, wire.encode_value(B)) != []
    assert proxy.line(proxy.stream, wire.encode_value(Value(b"c", id=3))) == []
    proxy.line(proxy.stream, wire.encode_value(A, is_expired=True))
    assert proxy.line(proxy.stream, wire.encode_value(Value(b"c", id=3))) != []


def test_listens_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """By the number of keys."""
    monkeypatch.setattr("shoal.dht.proxy.following.LISTENS_MAX", 1)
    proxy = listening()

    with pytest.raises(TooManyOperationsError):
        proxy.engine.listen(8, OTHER, 0.0)
    proxy.take(proxy.engine.listen(8, KEY, 0.0))


# The proxy, or the network, comes back.


def test_proxy_comes_back() -> None:
    """What broke is begun again at once, and permanent puts are put again."""
    proxy = listening()
    proxy.take(proxy.engine.put(8, KEY, A, 0.0, permanent=True))
    proxy.answer("POST", f"/key/{KEY}")
    proxy.wait(100.0)
    for _ in range(3):
        proxy.end(proxy.stream, None)
        for check in proxy.requests("GET", f"/key/{KEY}"):
            proxy.end(check, None)
        proxy.fail_info()
        while not proxy.requests("GET", f"/key/{KEY}/listen"):
            proxy.wait(1.0)
    proxy.end(proxy.stream, None)
    while not proxy.requests("GET", "/"):
        proxy.wait(1.0)

    events = proxy.answer_info()

    assert StatusChanged(Status.CONNECTED, Status.CONNECTING) in events
    assert proxy.stream
    assert proxy.put_body(proxy.request("POST", f"/key/{KEY}"))["id"] == "1"


def test_another_node_behind_the_proxy() -> None:
    """It knows nothing of what we asked its predecessor to keep."""
    proxy = Proxy()
    proxy.take(proxy.engine.put(8, KEY, A, 0.0, permanent=True))
    proxy.answer("POST", f"/key/{KEY}")
    proxy.wait(UP_INTERVAL)

    proxy.answer_info(node=OTHER)

    assert proxy.put_body(proxy.request("POST", f"/key/{KEY}"))["permanent"] is True


def test_network_changes() -> None:
    """Every request is sent again: the old connections may be dead without a word."""
    proxy = listening()
    proxy.take(proxy.engine.get(8, KEY, 0.0))
    proxy.take(proxy.engine.put(9, OTHER, A, 0.0))
    old = set(proxy.running)

    proxy.take(proxy.engine.connectivity_changed(0.0))

    assert not old & set(proxy.running)
    assert len(proxy.requests("GET", "/")) == 2
    assert proxy.line(proxy.stream, wire.encode_value(A)) == [ValuesFound(7, (A,))]
    get, check = proxy.requests("GET", f"/key/{KEY}")
    assert proxy.end(get) == [Done(8, ok=True, nodes=1)]
    assert proxy.end(check) == []
    assert proxy.answer("POST", f"/key/{OTHER}") == [Done(9, ok=True, nodes=1)]


# Push.


def test_subscribes() -> None:
    """With a registration no stream is held: a subscription, and a look at what is there."""
    proxy = listening(PUSH)
    body = proxy.put_body(proxy.request("SUBSCRIBE", f"/key/{KEY}"))

    session = body.pop("session_id")
    assert len(session) == 8
    assert body == {
        "client_id": "client",
        "key": "device",
        "platform": "android",
        "topic": "topic",
    }
    proxy.line(proxy.request("SUBSCRIBE", f"/key/{KEY}"), b"{}")
    assert proxy.answer("SUBSCRIBE", f"/key/{KEY}") == []
    assert proxy.answer("GET", f"/key/{KEY}", A) == [ValuesFound(7, (A,))]
    assert proxy.running == {}


def test_subscription_of_a_known_client_tells_values() -> None:
    """After a restart of ours, the proxy answers with what is there."""
    proxy = listening(PUSH)

    assert proxy.answer("SUBSCRIBE", f"/key/{KEY}", A) == [ValuesFound(7, (A,))]
    assert proxy.answer("GET", f"/key/{KEY}", A) == []


def test_subscription_is_renewed() -> None:
    """Before its day ends, and with a look at what a lost notification may have said."""
    proxy = listening(PUSH)
    proxy.answer("SUBSCRIBE", f"/key/{KEY}", A)
    proxy.answer("GET", f"/key/{KEY}", A)

    while not proxy.requests("SUBSCRIBE", f"/key/{KEY}"):
        proxy.wait(60.0)
        for request in proxy.requests("GET", "/"):
            proxy.end(request, 500)

    assert RENEWAL - RENEWAL_SPREAD <= proxy.now <= RENEWAL + 60.0
    assert proxy.put_body(proxy.request("SUBSCRIBE", f"/key/{KEY}"))["refresh"] is True
    proxy.answer("SUBSCRIBE", f"/key/{KEY}")
    assert proxy.answer("GET", f"/key/{KEY}") == [ValuesExpired(7, (A,))]


def test_failed_subscription_is_tried_again() -> None:
    """With growing patience, as a stream."""
    proxy = listening(PUSH)
    proxy.answer("SUBSCRIBE", f"/key/{KEY}", status=429)

    proxy.wait(2.0)

    assert proxy.requests("SUBSCRIBE", f"/key/{KEY}")


def test_unsubscribes() -> None:
    """The proxy is told when nobody listens any more."""
    proxy = listening(PUSH)
    proxy.answer("SUBSCRIBE", f"/key/{KEY}")

    proxy.take(proxy.engine.cancel(7, 0.0))

    body = proxy.put_body(proxy.request("UNSUBSCRIBE", f"/key/{KEY}"))
    assert (body["key"], body["client_id"]) == ("device", "client")
    assert proxy.answer("UNSUBSCRIBE", f"/key/{KEY}") == []


def pushed(proxy: Proxy, **notification: str) -> PushResult:
    """Let a notification arrive."""
    result, effects = proxy.engine.push_received(notification, proxy.now)
    proxy.take(effects)
    return result


def subscribed() -> tuple[Proxy, str]:
    """Return a proxy at which operation 7 has subscribed and heard of A, and the session."""
    proxy = listening(PUSH)
    session = proxy.put_body(proxy.request("SUBSCRIBE", f"/key/{KEY}"))["session_id"]
    proxy.answer("SUBSCRIBE", f"/key/{KEY}")
    proxy.answer("GET", f"/key/{KEY}", A)
    proxy.events.clear()
    return proxy, str(session)


def test_push_of_values() -> None:
    """The values are fetched and compared."""
    proxy, session = subscribed()

    assert pushed(proxy, key=str(KEY), s=session, t="5", to="client") is PushResult.VALUES
    proxy.answer("GET", f"/key/{KEY}", B)

    assert proxy.events == [ValuesFound(7, (B,)), ValuesExpired(7, (A,))]


def test_push_while_a_push_is_being_followed() -> None:
    """The later look replaces the earlier one, which may have been too early."""
    proxy, session = subscribed()
    pushed(proxy, key=str(KEY), s=session)
    pushed(proxy, key=str(KEY), s=session)

    proxy.answer("GET", f"/key/{KEY}", A, B)

    assert proxy.events == [ValuesFound(7, (B,))]


def test_push_of_expirations() -> None:
    """Ids are enough; those we never heard of are no news."""
    proxy, session = subscribed()

    result = pushed(proxy, key=str(KEY), s=session, exp="1,99")

    assert result is PushResult.VALUES_EXPIRED
    assert proxy.events == [ValuesExpired(7, (A,))]


def test_push_that_asks_for_renewal() -> None:
    """Of a subscription by its key, of a put by its id too."""
    proxy, session = subscribed()
    proxy.take(proxy.engine.put(8, KEY, B, 0.0, permanent=True))
    first = proxy.request("POST", f"/key/{KEY}")
    assert proxy.put_body(first)["permanent"]["session_id"] == session
    proxy.end(first)

    assert pushed(proxy, timeout=str(KEY), s=session) is PushResult.LISTEN_REFRESH
    assert proxy.requests("SUBSCRIBE", f"/key/{KEY}")
    assert pushed(proxy, timeout=str(KEY), s=session, vid="2") is PushResult.PUT_REFRESH
    assert proxy.put_body(proxy.request("POST", f"/key/{KEY}"))["id"] == "2"


@pytest.mark.parametrize(
    ("notification", "result"),
    [
        ({"s": "other", "key": str(KEY)}, PushResult.IGNORED_WRONG_SESSION),
        ({"key": str(OTHER)}, PushResult.IGNORED_NO_OPERATION),
        ({"timeout": str(OTHER)}, PushResult.IGNORED_NO_OPERATION),
        ({"timeout": str(KEY), "vid": "99"}, PushResult.IGNORED_NO_OPERATION),
        ({"key": str(KEY)}, PushResult.VALUES),
        ({}, PushResult.ERROR),
        ({"key": "x"}, PushResult.ERROR),
        ({"key": str(KEY), "exp": "x"}, PushResult.ERROR),
        ({"timeout": "x"}, PushResult.ERROR),
        ({"timeout": str(KEY), "vid": "x"}, PushResult.ERROR),
    ],
)
def test_pushes_of_all_kinds(notification: dict[str, str], result: PushResult) -> None:
    """Those that aren't for us, and those that aren't notifications."""
    assert pushed(subscribed()[0], **notification) is result


def test_pushes_that_nobody_expects() -> None:
    """Without a registration, and after the end."""
    proxy = listening()
    assert pushed(proxy, key=str(KEY)) is PushResult.IGNORED_DISABLED
    proxy.take(proxy.engine.close(0.0))
    assert pushed(proxy, key=str(KEY)) is PushResult.IGNORED_STOPPED


def test_another_push_token() -> None:
    """The old one is unsubscribed, the new one subscribed; without any there are streams."""
    proxy, _ = subscribed()
    later = PushRegistration("later", "client")

    proxy.take(proxy.engine.set_push(later, 0.0))
    proxy.take(proxy.engine.set_push(later, 0.0))

    assert proxy.put_body(proxy.request("UNSUBSCRIBE", f"/key/{KEY}"))["key"] == "device"
    assert proxy.put_body(proxy.request("SUBSCRIBE", f"/key/{KEY}"))["key"] == "later"
    proxy.take(proxy.engine.set_push(None, 0.0))
    assert proxy.stream
    assert proxy.requests("SUBSCRIBE", f"/key/{KEY}") == []


# The rest.


def test_close() -> None:
    """Every request ends; subscriptions stay, for notifications may wake us."""
    proxy = listening()
    proxy.take(proxy.engine.get(8, KEY, 0.0))
    proxy.take(proxy.engine.put(9, KEY, A, 0.0, permanent=True))

    proxy.take(proxy.engine.close(0.0))

    assert proxy.running == {}
    assert proxy.engine.next_deadline() is None
    pushing, _ = subscribed()
    pushing.take(pushing.engine.close(0.0))
    assert pushing.running == {}


def test_datagrams_are_counted() -> None:
    """There is no socket; whoever hands it datagrams has forgotten to close one."""
    engine = Proxy().engine

    assert engine.receive(b"x", Address(bytes(4), 1), 0.0) == []
    assert engine.stats.datagrams == 1


def test_inputs_about_nothing() -> None:
    """Lines and ends of requests that don't exist, or no longer do, are ignored."""
    engine = Proxy().engine

    assert engine.http_line(999, b"{}", 0.0) == []
    assert engine.http_ended(999, 200, 0.0) == []


LINES = st.sampled_from(
    (b"", b"{}", b"x", *(wire.encode_value(v, is_expired=e) for v in (A, B) for e in (False, True)))
)
STEPS = st.one_of(
    st.tuples(st.just("get"), st.integers(0, 9)),
    st.tuples(st.just("listen"), st.integers(10, 19)),
    st.tuples(st.just("put"), st.integers(20, 29)),
    st.tuples(st.just("cancel"), st.integers(0, 29)),
    st.tuples(st.just("line"), st.integers(0, 9), LINES),
    st.tuples(st.just("end"), st.integers(0, 9), st.sampled_from((200, 429, None))),
    st.tuples(st.just("wait"), st.sampled_from((0.0, 1.0, 60.0, 1000.0, RENEWAL))),
    st.tuples(st.just("network")),
    st.tuples(st.just("push"), st.sampled_from((None, PUSH))),
    st.tuples(st.just("pushed"), st.sampled_from(({"key": str(KEY)}, {"timeout": str(KEY)}))),
)


class Player:
    """Plays a script; notes which operations must have ended."""

    def __init__(self) -> None:
        self.proxy = Proxy()
        self.used: set[int] = set()
        self.expected: set[int] = set()

    def _is_new(self, op: int) -> bool:
        is_new = op not in self.used
        self.used.add(op)
        return is_new

    def get(self, op: int) -> None:
        """Get under a new id."""
        if self._is_new(op):
            self.expected.add(op)
            self.proxy.take(self.proxy.engine.get(op, KEY, self.proxy.now))

    def listen(self, op: int) -> None:
        """Listen under a new id."""
        if self._is_new(op):
            self.proxy.take(self.proxy.engine.listen(op, KEY, self.proxy.now))

    def put(self, op: int) -> None:
        """Put under a new id, every other time permanently."""
        if self._is_new(op):
            self.expected.add(op)
            value, engine = Value(b"x", id=op), self.proxy.engine
            self.proxy.take(engine.put(op, KEY, value, self.proxy.now, permanent=op % 2 == 0))

    def cancel(self, op: int) -> None:
        """Cancel; puts don't mind."""
        if op < 20:
            self.expected.discard(op)
        self.proxy.take(self.proxy.engine.cancel(op, self.proxy.now))

    def line(self, choice: int, line: bytes) -> None:
        """Let a line of some answer arrive."""
        if self.proxy.running:
            self.proxy.line(self._some(choice), line)

    def end(self, choice: int, status: int | None) -> None:
        """Let some answer end."""
        if self.proxy.running:
            self.proxy.end(self._some(choice), status)

    def wait(self, seconds: float) -> None:
        """Let time pass."""
        self.proxy.wait(seconds)

    def network(self) -> None:
        """Change the network."""
        self.proxy.take(self.proxy.engine.connectivity_changed(self.proxy.now))

    def push(self, registration: PushRegistration | None) -> None:
        """Change the push registration."""
        self.proxy.take(self.proxy.engine.set_push(registration, self.proxy.now))

    def pushed(self, notification: dict[str, str]) -> None:
        """Let a notification arrive."""
        pushed(self.proxy, **notification)

    def _some(self, choice: int) -> int:
        return list(self.proxy.running)[choice % len(self.proxy.running)]


@given(st.lists(STEPS, max_size=40))
def test_every_operation_ends_once(script: list[tuple[Any, ...]]) -> None:
    """Whatever the proxy and the network do; and at rest nothing is left."""
    player = Player()
    proxy = player.proxy
    for verb, *arguments in script:
        getattr(player, verb)(*arguments)

    for _ in range(5):
        for request in list(proxy.running):
            if request in proxy.running and not proxy.running[request].is_stream:
                proxy.end(request)
    done = [event.op for event in proxy.events if isinstance(event, Done)]
    assert len(done) == len(set(done))
    assert player.expected <= set(done) <= player.used
    for op in range(10, 20):
        proxy.take(proxy.engine.cancel(op, proxy.now))
    assert len(proxy.engine._following) == 0  # noqa: SLF001 - nothing is left
    assert not any(request.is_stream for request in proxy.running.values())
