"""The DHT through an HTTP proxy: `DhtCommands` over requests and lines of JSON.

    get            GET /key/:hash           lines until the answer ends
    listen         GET /key/:hash/listen    lines for ever, or, with a push registration,
                   SUBSCRIBE /key/:hash     and a GET whenever a notification says so
    put            POST /key/:hash          permanent ones again every 22 hours

Filters, decryption and verification are not the proxy's business: they stay on this side.

The proxy is *up* while `/` answers over an address family; that is asked every 15 minutes, every
minute while it is down, and at once when a request finds no server. A listen that breaks is begun
again with growing patience and compared with a GET: what is no longer there has expired.

Source: OpenDHT dht_proxy_client.cpp. Ours: heartbeats, back-off, the bounds, one stream per key.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Literal, NamedTuple, TypeAlias, assert_never

from shoal.core import Address, DecodeError, Entropy, Family, InfoHash
from shoal.core.ids import ZERO_HASH
from shoal.dht.effects import Done, RowsFound, Status, ValuesFound
from shoal.dht.errors import TooManyOperationsError, ValueTooLargeError
from shoal.dht.proxy import wire
from shoal.dht.proxy.effects import ClientEffect, HttpCancel, HttpRequest, PushResult
from shoal.dht.proxy.listens import VALUES_MAX, Listen
from shoal.dht.proxy.push import Platform, PushTarget
from shoal.dht.proxy.reachability import Reachability
from shoal.dht.proxy.request_queue import RequestQueue
from shoal.dht.proxy.timers import Timers
from shoal.dht.query import FieldTable, Query, Where, matches_all
from shoal.dht.value import VALUE_SIZE_MAX, Value

if TYPE_CHECKING:
    from collections.abc import Mapping

    from shoal.dht.proxy.config import ProxyClientConfig, PushRegistration

RENEWAL: Final = 22 * 3600.0  # OpenDHT proxy.h: OP_TIMEOUT less OP_MARGIN
RENEWAL_SPREAD: Final = 600.0  # ours: renewals of what was put together drift apart
PATIENCE_MIN: Final = 1.0  # ours: wait after the first failure, doubled at each further one
PATIENCE_MAX: Final = 60.0
PUT_PATIENCE_MIN: Final = 10.0  # ours: the same for permanent puts
PUT_PATIENCE_MAX: Final = 900.0
HEARTBEAT_PATIENCE: Final = 150.0  # ours: two and a half heartbeats of our server
STEADY: Final = 60.0  # ours: a stream that lasted so long has not failed
LISTENS_MAX: Final = 4096  # ours: keys followed; each holds a connection
PERMANENT_MAX: Final = 4096  # ours: values of at most 64 KiB: 256 MiB
OPERATIONS_MAX: Final = 8192  # ours: gets and puts under way or waiting
SESSION_LENGTH: Final = 8  # OpenDHT dht_proxy_client.cpp, getRandomSessionId
_SESSION_ALPHABET: Final = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.~"


@dataclass(slots=True)
class ProxyStats:
    """Counters of a proxy client.

    Attributes:
        requests: requests ordered.
        failed: requests that ended without status 200.
        malformed: lines of answers that were no JSON of the protocol.
        listens_broken: streams and subscriptions that had to be begun again.
        silences: streams given up because their heartbeat stopped.
        datagrams: datagrams handed to an engine that has no use for them.
    """

    requests: int = 0
    failed: int = 0
    malformed: int = 0
    listens_broken: int = 0
    silences: int = 0
    datagrams: int = 0


@dataclass(slots=True)
class _Info:
    family: Family
    lines: list[bytes] = field(default_factory=list)


@dataclass(slots=True)
class _Get:
    op: int
    key: InfoHash
    query: Query
    seen: dict[int, Value] = field(default_factory=dict)


@dataclass(slots=True)
class _Put:
    op: int | None
    key: InfoHash
    value: Value
    is_permanent: bool


@dataclass(slots=True)
class _Follow:
    """A listen stream, a SUBSCRIBE, or the GET that a followed key is compared with."""

    key: InfoHash
    kind: Literal["stream", "subscribe", "check"]


@dataclass(slots=True)
class _Unsubscribe:
    pass


_Task: TypeAlias = _Info | _Get | _Put | _Follow | _Unsubscribe


@dataclass(slots=True)
class _Permanent:
    value: Value
    failures: int = 0


class _Timer(NamedTuple):
    kind: Literal["info", "follow", "silence", "put"]
    key: InfoHash = ZERO_HASH
    value_id: int = 0


_INFO: Final = _Timer("info")


class ProxyEngine:
    """A backend for DHT operations that asks a proxy. See `DhtCommands` for the commands."""

    def __init__(self, config: ProxyClientConfig, entropy: Entropy, now: float) -> None:
        """Begin at *now*: the first `advance` asks the proxy who it is."""
        self.stats = ProxyStats()
        self._push = config.push
        self._entropy = entropy
        self._reachability = Reachability(config.node_id)
        self._session = "".join(
            _SESSION_ALPHABET[entropy.below(len(_SESSION_ALPHABET))] for _ in range(SESSION_LENGTH)
        )
        self._next_request = 0
        self._tasks: dict[int, _Task] = {}
        self._queue = RequestQueue()
        self._gets: dict[int, int] = {}  # op to request
        self._listen_keys: dict[int, InfoHash] = {}  # op to key
        self._listens: dict[InfoHash, Listen] = {}
        self._permanent: dict[tuple[InfoHash, int], _Permanent] = {}
        self._timers: Timers[_Timer] = Timers()
        self._timers.set(_INFO, now)
        self._is_closed = False

    @property
    def status(self) -> tuple[Status, Status]:
        """The connection to the proxy, and beyond it, over IPv4 and over IPv6."""
        return self._reachability.status

    @property
    def node_id(self) -> InfoHash | None:
        """Id of the proxy's node, None before it is known."""
        return self._reachability.node_id

    @property
    def node_info(self) -> wire.NodeInfo | None:
        """What the proxy last told about its node, None before that."""
        return self._reachability.info

    # Commands.

    def get(self, op: int, key: InfoHash, now: float, *, where: Where = ()) -> list[ClientEffect]:
        """Look for the values at *key* that *where* lets through.

        Raises:
            TooManyOperationsError: too many are under way.
        """
        return self._start_get(_Get(op, key, Query(where=where)))

    def query(self, op: int, key: InfoHash, query: Query, now: float) -> list[ClientEffect]:
        """Look for fields of the values at *key*; the proxy sends whole values.

        Raises:
            TooManyOperationsError: too many are under way.
        """
        return self._start_get(_Get(op, key, query))

    def listen(
        self, op: int, key: InfoHash, now: float, *, where: Where = ()
    ) -> list[ClientEffect]:
        """Follow the values at *key* that *where* lets through, until cancelled.

        Raises:
            TooManyOperationsError: too many keys are followed.
        """
        listen = self._listens.get(key)
        if listen is None:
            if len(self._listens) >= LISTENS_MAX:
                raise TooManyOperationsError
            listen = self._listens[key] = Listen(key)
        self._listen_keys[op] = key
        effects: list[ClientEffect] = [*listen.add(op, where)]
        if len(listen.operations) == 1:
            effects += self._open(listen, now, is_again=False)
            if self._push is not None:
                effects += self._check(listen)  # a first notification may be long in coming
        return effects

    def put(
        self,
        op: int,
        key: InfoHash,
        value: Value,
        now: float,
        *,
        created: float | None = None,
        permanent: bool = False,
    ) -> list[ClientEffect]:
        """Store *value* at *key*; its life begins when the proxy gets it, whatever *created* says.

        Raises:
            TooManyOperationsError: too many are under way, or too many are permanent.
            ValueTooLargeError: no node would take it.
        """
        if value.size > VALUE_SIZE_MAX:
            raise ValueTooLargeError
        if permanent and (key, value.id) not in self._permanent:
            if len(self._permanent) >= PERMANENT_MAX:
                raise TooManyOperationsError
        elif len(self._queue) >= OPERATIONS_MAX:
            raise TooManyOperationsError
        if permanent:
            self._permanent[key, value.id] = _Permanent(value)
        return self._send_put(_Put(op, key, value, permanent))

    def cancel(self, op: int, now: float) -> list[ClientEffect]:
        """End a get, query or listen without another event."""
        request = self._gets.pop(op, None)
        if request is not None:
            return self._drop(request)
        key = self._listen_keys.pop(op, None)
        if key is None:
            return []
        listen = self._listens[key]
        del listen.operations[op]
        return [] if listen.operations else self._close_listen(listen)

    def cancel_put(self, key: InfoHash, value_id: int, now: float) -> list[ClientEffect]:
        """Put a value no more. The proxy keeps it for up to 24 hours: it can't be told."""
        self._permanent.pop((key, value_id), None)
        self._timers.cancel(_Timer("put", key, value_id))
        return []

    def connectivity_changed(self, now: float) -> list[ClientEffect]:
        """Take note that the network below has changed: send again what may be lost."""
        effects: list[ClientEffect] = []
        for request, task in list(self._tasks.items()):
            effects += self._drop(request)
            if isinstance(task, _Get):
                effects += self._start_get(task)
            elif isinstance(task, _Put):
                effects += self._send_put(task)
        for listen in self._listens.values():
            effects += self._reopen(listen, now)
        return [*effects, *self._ask_info(now)]

    def set_push(self, push: PushRegistration | None, now: float) -> list[ClientEffect]:
        """Be notified at another address from now on, or, with None, by streams again."""
        if push == self._push:
            return []
        effects: list[ClientEffect] = []
        for listen in self._listens.values():
            effects += self._leave(listen)
        self._push = push
        for listen in self._listens.values():
            effects += self._reopen(listen, now)
        return effects

    def close(self, now: float) -> list[ClientEffect]:
        """End everything. Push subscriptions stay, so that notifications can wake us."""
        self._is_closed = True
        cancels: list[ClientEffect] = [HttpCancel(request) for request in self._tasks]
        for container in (self._tasks, self._gets, self._listens, self._listen_keys):
            container.clear()
        self._permanent.clear()
        self._timers.clear()
        return cancels

    # Inputs.

    def receive(self, datagram: bytes, addr: Address, now: float) -> list[ClientEffect]:
        """Drop and count a datagram: there is no socket that it could have come from."""
        self.stats.datagrams += 1
        return []

    def http_line(self, request: int, line: bytes, now: float) -> list[ClientEffect]:
        """Take one line of an answer with status 200."""
        match self._tasks.get(request):
            case _Info() as task:
                task.lines.append(line)
            case _Get() as task:
                return self._get_line(request, task, line)
            case _Follow() as task:
                return self._follow_line(task, line, now)
            case None | _Put() | _Unsubscribe():
                pass  # a late line, or an answer that tells nothing new
        return []

    def http_ended(self, request: int, status: int | None, now: float) -> list[ClientEffect]:
        """Take the end of an answer.

        *status* is that of HTTP; None says that the proxy wasn't reached, or the answer broke off.
        """
        task = self._tasks.pop(request, None)
        if task is None:
            return []
        is_ok = status == wire.OK
        self.stats.failed += not is_ok
        effects: list[ClientEffect] = [*self._queue.ended(request)]
        match task:
            case _Info():
                effects += self._info_ended(task, is_ok, now)
                return effects
            case _Get():
                del self._gets[task.op]
                effects.append(Done(task.op, is_ok, int(is_ok)))
            case _Put():
                effects += self._put_ended(task, is_ok, now)
            case _Follow():
                effects += self._follow_ended(task, is_ok, now)
            case _Unsubscribe():
                pass
            case _:
                assert_never(task)
        if status is None:
            effects += self._lost(now)
        return effects

    def push_received(
        self, notification: Mapping[str, str], now: float
    ) -> tuple[PushResult, list[ClientEffect]]:
        """Take the data of a push notification, as the push service delivered it."""
        if self._is_closed:
            return PushResult.IGNORED_STOPPED, []
        if self._push is None:
            return PushResult.IGNORED_DISABLED, []
        if notification.get("s", self._session) != self._session:
            return PushResult.IGNORED_WRONG_SESSION, []
        try:
            if "timeout" in notification:
                return self._renewal_asked(notification, now)
            return self._values_announced(notification)
        except (DecodeError, ValueError):
            return PushResult.ERROR, []

    # Time.

    def next_deadline(self) -> float | None:
        """When `advance` next has work."""
        return self._timers.next_deadline()

    def advance(self, now: float) -> list[ClientEffect]:
        """Renew, reconnect and ask what is due at *now*."""
        effects: list[ClientEffect] = []
        for timer in self._timers.due(now):
            effects += self._due(timer, now)
        return effects

    def _due(self, timer: _Timer, now: float) -> list[ClientEffect]:
        match timer.kind:
            case "info":
                return self._ask_info(now)
            case "follow":
                return self._reopen(self._listens[timer.key], now)
            case "silence":
                self.stats.silences += 1
                return self._reopen(self._listens[timer.key], now)
            case "put":
                permanent = self._permanent[timer.key, timer.value_id]
                return self._send_put(_Put(None, timer.key, permanent.value, is_permanent=True))
            case _:
                assert_never(timer.kind)

    # Gets and puts.

    def _start_get(self, task: _Get) -> list[ClientEffect]:
        if len(self._queue) >= OPERATIONS_MAX:
            raise TooManyOperationsError
        request = self._new_request("GET", f"/key/{task.key}")
        self._gets[task.op] = request.id
        return self._submit(request, task)

    def _get_line(self, request: int, task: _Get, line: bytes) -> list[ClientEffect]:
        decoded = self._decode(line)
        if decoded is None or decoded.is_expired or len(task.seen) >= VALUES_MAX:
            return []
        value = decoded.value
        if task.seen.get(value.id) == value or not matches_all(task.query.where, value):
            return []
        task.seen[value.id] = value
        if task.query.select:
            return [RowsFound(task.op, FieldTable.of(task.query.select, (value,)).rows())]
        return [ValuesFound(task.op, (value,))]

    def _send_put(self, task: _Put) -> list[ClientEffect]:
        permanent = self._target() if task.is_permanent and self._push else task.is_permanent
        body = wire.encode_put(task.value, permanent)
        return self._submit(self._new_request("POST", f"/key/{task.key}", body), task)

    def _put_ended(self, task: _Put, is_ok: bool, now: float) -> list[ClientEffect]:
        permanent = self._permanent.get((task.key, task.value.id))
        if task.is_permanent and permanent is not None and permanent.value == task.value:
            timer = _Timer("put", task.key, task.value.id)
            if is_ok:
                permanent.failures = 0
                self._timers.set(timer, now + self._renewal())
            else:
                permanent.failures += 1
                wait = self._patience(permanent.failures, PUT_PATIENCE_MIN, PUT_PATIENCE_MAX)
                self._timers.set(timer, now + wait)
        return [] if task.op is None else [Done(task.op, is_ok, int(is_ok))]

    # Listens.

    def _open(self, listen: Listen, now: float, *, is_again: bool) -> list[ClientEffect]:
        listen.opened = now
        self._timers.cancel(_Timer("follow", listen.key))
        self._timers.cancel(_Timer("silence", listen.key))
        if self._push is None:
            request = self._new_request("GET", f"/key/{listen.key}/listen", is_stream=True)
            listen.request = request.id
            return self._submit(request, _Follow(listen.key, "stream"))
        body = wire.encode_subscription(self._target(), is_refresh=is_again)
        request = self._new_request("SUBSCRIBE", f"/key/{listen.key}", body)
        listen.request = request.id
        return self._submit(request, _Follow(listen.key, "subscribe"))

    def _reopen(self, listen: Listen, now: float) -> list[ClientEffect]:
        """Begin a listen again, and find out what was missed meanwhile."""
        effects: list[ClientEffect] = []
        if listen.request is not None:
            effects += self._drop(listen.request)
        return [*effects, *self._open(listen, now, is_again=True), *self._check(listen)]

    def _check(self, listen: Listen) -> list[ClientEffect]:
        effects: list[ClientEffect] = []
        if listen.check is not None:
            effects += self._drop(listen.check)
        listen.doubt()
        request = self._new_request("GET", f"/key/{listen.key}")
        listen.check = request.id
        return [*effects, *self._submit(request, _Follow(listen.key, "check"))]

    def _follow_line(self, task: _Follow, line: bytes, now: float) -> list[ClientEffect]:
        listen = self._listens[task.key]
        silence = _Timer("silence", task.key)
        decoded = self._decode(line)
        if task.kind == "stream":
            if line.strip() == wire.HEARTBEAT.strip() or silence in self._timers:
                self._timers.set(silence, now + HEARTBEAT_PATIENCE)
            listen.failures = 0
        if decoded is None:
            return []
        if decoded.is_expired:
            return [*listen.expired(decoded.value.id)]
        return [*listen.found(decoded.value)]

    def _follow_ended(self, task: _Follow, is_ok: bool, now: float) -> list[ClientEffect]:
        listen = self._listens[task.key]
        if task.kind == "check":
            listen.check = None
            return [*listen.settle()] if is_ok else []
        listen.request = None
        timer = _Timer("follow", task.key)
        if task.kind == "subscribe" and is_ok:
            listen.failures = 0
            self._timers.set(timer, now + self._renewal())
            return []
        self._timers.cancel(_Timer("silence", task.key))
        self.stats.listens_broken += 1
        listen.failures = 1 if now - listen.opened >= STEADY else listen.failures + 1
        wait = self._patience(listen.failures, PATIENCE_MIN, PATIENCE_MAX)
        self._timers.set(timer, now + wait)
        return []

    def _leave(self, listen: Listen) -> list[ClientEffect]:
        """End the stream or the subscription of a listen."""
        effects: list[ClientEffect] = []
        for request in (listen.request, listen.check):
            if request is not None:
                effects += self._drop(request)
        self._timers.cancel(_Timer("follow", listen.key))
        self._timers.cancel(_Timer("silence", listen.key))
        if self._push is None:
            return effects
        body = wire.encode_subscription(self._target(), is_refresh=False)
        unsubscribe = self._new_request("UNSUBSCRIBE", f"/key/{listen.key}", body)
        return [*effects, *self._submit(unsubscribe, _Unsubscribe())]

    def _close_listen(self, listen: Listen) -> list[ClientEffect]:
        effects = self._leave(listen)
        del self._listens[listen.key]
        return effects

    def _values_announced(
        self, notification: Mapping[str, str]
    ) -> tuple[PushResult, list[ClientEffect]]:
        listen = self._listens.get(InfoHash.from_hex(notification.get("key", "")))
        gone = [int(text) for text in notification.get("exp", "").split(",") if text]
        if listen is None:
            return PushResult.IGNORED_NO_OPERATION, []
        if not gone:
            return PushResult.VALUES, self._check(listen)
        effects: list[ClientEffect] = []
        for value_id in gone:
            effects += listen.expired(value_id)
        return PushResult.VALUES_EXPIRED, effects

    def _renewal_asked(
        self, notification: Mapping[str, str], now: float
    ) -> tuple[PushResult, list[ClientEffect]]:
        key = InfoHash.from_hex(notification["timeout"])
        if "vid" in notification:
            permanent = self._permanent.get((key, int(notification["vid"])))
            if permanent is None:
                return PushResult.IGNORED_NO_OPERATION, []
            task = _Put(None, key, permanent.value, is_permanent=True)
            return PushResult.PUT_REFRESH, self._send_put(task)
        listen = self._listens.get(key)
        if listen is None:
            return PushResult.IGNORED_NO_OPERATION, []
        return PushResult.LISTEN_REFRESH, self._reopen(listen, now)

    # Whether the proxy is there.

    def _ask_info(self, now: float) -> list[ClientEffect]:
        effects: list[ClientEffect] = []
        for running, task in list(self._tasks.items()):
            if isinstance(task, _Info):
                effects += self._drop(running)
        effects += self._reachability.asked(now)
        self._timers.cancel(_INFO)
        for family in Family:
            request = self._new_request("GET", "/", family=family)
            effects += self._submit(request, _Info(family))
        return effects

    def _info_ended(self, task: _Info, is_ok: bool, now: float) -> list[ClientEffect]:
        info = None
        if is_ok:
            try:
                info = wire.decode_info(b"".join(task.lines))
            except DecodeError:
                self.stats.malformed += 1
        answer = self._reachability.answered(task.family, info)
        effects: list[ClientEffect] = [*answer.effects]
        if answer.is_new_node:
            effects += self._take_up(now)
        if not any(isinstance(other, _Info) for other in self._tasks.values()):
            self._timers.set(_INFO, now + self._reachability.interval)
        return effects

    def _lost(self, now: float) -> list[ClientEffect]:
        """Doubt the proxy after a request that found no server."""
        if any(isinstance(task, _Info) for task in self._tasks.values()):
            return []
        self._timers.set(_INFO, self._reachability.next_question(now))
        return [*self._reachability.lost()]

    def _take_up(self, now: float) -> list[ClientEffect]:
        """Go on with a proxy that has come back, or is another one and knows nothing of us."""
        effects: list[ClientEffect] = []
        for listen in self._listens.values():
            if listen.request is None:
                effects += self._reopen(listen, now)
        for (key, value_id), permanent in self._permanent.items():
            timer = _Timer("put", key, value_id)
            if timer in self._timers:  # else it is on its way
                self._timers.cancel(timer)
                task = _Put(None, key, permanent.value, is_permanent=True)
                effects += self._send_put(task)
        return effects

    # Requests.

    def _new_request(
        self,
        method: str,
        path: str,
        body: bytes | None = None,
        *,
        is_stream: bool = False,
        family: Family | None = None,
    ) -> HttpRequest:
        self._next_request += 1
        return HttpRequest(self._next_request, method, path, body, is_stream, family)

    def _submit(self, request: HttpRequest, task: _Task) -> list[ClientEffect]:
        self.stats.requests += 1
        self._tasks[request.id] = task
        if request.is_stream or isinstance(task, _Info):
            return [request]
        return [*self._queue.submit(request)]

    def _drop(self, request: int) -> list[ClientEffect]:
        task = self._tasks.pop(request, None)
        if task is None:
            return []
        if isinstance(task, _Follow):
            listen = self._listens[task.key]
            if task.kind == "check":
                listen.check = None
            else:
                listen.request = None
        return [*self._queue.cancel(request)]

    def _decode(self, line: bytes) -> wire.Line | None:
        try:
            return wire.decode_line(line)
        except DecodeError:
            self.stats.malformed += 1
            return None

    def _target(self) -> PushTarget:
        assert self._push is not None, "only a registered client names a target"
        push = self._push
        platform = Platform.named(push.platform)
        return PushTarget(push.token, push.client_id, self._session, platform, push.topic)

    def _patience(self, failures: int, low: float, high: float) -> float:
        """Return a wait that doubles with each failure, jittered so that clients spread."""
        return min(high, low * 2.0 ** min(failures - 1, 32)) * self._entropy.uniform(0.5, 1.0)

    def _renewal(self) -> float:
        return RENEWAL - self._entropy.uniform(0.0, RENEWAL_SPREAD)
