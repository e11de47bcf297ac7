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

from typing import TYPE_CHECKING, Final, assert_never

from shoal.core import DecodeError, Family, InfoHash
from shoal.core.records import dataclass
from shoal.dht.effects import Done, RowsFound, Status, ValuesFound
from shoal.dht.errors import TooManyOperationsError, ValueTooLargeError
from shoal.dht.proxy import wire
from shoal.dht.proxy.client_context import ClientContext
from shoal.dht.proxy.client_tasks import (
    AskInfo,
    Follow,
    Get,
    ProxyStats,
    Put,
    Timer,
    Unsubscribe,
)
from shoal.dht.proxy.effects import ClientEffect, HttpCancel, PushResult
from shoal.dht.proxy.following import Following
from shoal.dht.proxy.listens import VALUES_MAX
from shoal.dht.proxy.reachability import Reachability
from shoal.dht.query import FieldTable, Query, matches_all
from shoal.dht.value import VALUE_SIZE_MAX

if TYPE_CHECKING:
    from collections.abc import Mapping

    from shoal.core import Address, Entropy
    from shoal.dht.proxy.config import ProxyClientConfig, PushRegistration
    from shoal.dht.query import Where
    from shoal.dht.value import Value

PUT_PATIENCE_MIN: Final = 10.0  # ours: wait after a permanent put failed, doubled each time
PUT_PATIENCE_MAX: Final = 900.0
PERMANENT_MAX: Final = 4096  # ours: values of at most 64 KiB: 256 MiB
OPERATIONS_MAX: Final = 8192  # ours: gets and puts under way or waiting
_INFO: Final = Timer("info")


@dataclass(slots=True)
class _Permanent:
    value: Value
    failures: int = 0


class ProxyEngine:
    """A backend for DHT operations that asks a proxy. See `DhtCommands` for the commands."""

    def __init__(self, config: ProxyClientConfig, entropy: Entropy, now: float) -> None:
        """Begin at *now*: the first `advance` asks the proxy who it is."""
        self._context = ClientContext(config.push, entropy)
        self._reachability = Reachability(config.node_id)
        self._following = Following(self._context)
        self._gets: dict[int, int] = {}  # op to request
        self._permanent: dict[tuple[InfoHash, int], _Permanent] = {}
        self._context.timers.set(_INFO, now)
        self._is_closed = False

    @property
    def stats(self) -> ProxyStats:
        """What the engine has counted."""
        return self._context.stats

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
        return self._start_get(Get(op, key, Query(where=where)))

    def query(self, op: int, key: InfoHash, query: Query, now: float) -> list[ClientEffect]:
        """Look for fields of the values at *key*; the proxy sends whole values.

        Raises:
            TooManyOperationsError: too many are under way.
        """
        return self._start_get(Get(op, key, query))

    def listen(
        self, op: int, key: InfoHash, now: float, *, where: Where = ()
    ) -> list[ClientEffect]:
        """Follow the values at *key* that *where* lets through, until cancelled.

        Raises:
            TooManyOperationsError: too many keys are followed.
        """
        return self._following.listen(op, key, where, now)

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
        if len(self._context.queue) >= OPERATIONS_MAX:
            raise TooManyOperationsError
        if permanent:
            if (key, value.id) not in self._permanent and len(self._permanent) >= PERMANENT_MAX:
                raise TooManyOperationsError
            self._permanent[key, value.id] = _Permanent(value)
        return self._send_put(Put(op, key, value, permanent))

    def cancel(self, op: int, now: float) -> list[ClientEffect]:
        """End a get, query or listen without another event."""
        return [*self._context.drop(self._gets.pop(op, None)), *self._following.cancel(op)]

    def cancel_put(self, key: InfoHash, value_id: int, now: float) -> list[ClientEffect]:
        """Put a value no more. The proxy keeps it for up to 24 hours: it can't be told."""
        self._permanent.pop((key, value_id), None)
        self._context.timers.cancel(Timer("put", key, value_id))
        return []

    def connectivity_changed(self, now: float) -> list[ClientEffect]:
        """Take note that the network below has changed: send again what may be lost."""
        effects: list[ClientEffect] = []
        for request, task in list(self._context.tasks.items()):
            match task:
                case Get():
                    effects += self._context.drop(request)
                    effects += self._start_get(task)
                case Put():
                    effects += self._context.drop(request)
                    effects += self._send_put(task)
                case _:
                    pass  # what follows sees to these
        effects += self._following.begin_again(now)
        return [*effects, *self._ask_info(now)]

    def set_push(self, push: PushRegistration | None, now: float) -> list[ClientEffect]:
        """Be notified at another address from now on, or, with None, by streams again."""
        return [] if push == self._context.push else self._following.set_push(push, now)

    def close(self, now: float) -> list[ClientEffect]:
        """End everything. Push subscriptions stay, so that notifications can wake us."""
        self._is_closed = True
        cancels: list[ClientEffect] = []
        for request in list(self._context.tasks):
            cancels += (e for e in self._context.drop(request) if isinstance(e, HttpCancel))
        self._following.clear()
        self._gets.clear()
        self._permanent.clear()
        self._context.timers.clear()
        return cancels

    # Inputs.

    def receive(self, datagram: bytes, addr: Address, now: float) -> list[ClientEffect]:
        """Drop and count a datagram: there is no socket that it could have come from."""
        self.stats.datagrams += 1
        return []

    def http_line(self, request: int, line: bytes, now: float) -> list[ClientEffect]:
        """Take one line of an answer with status 200."""
        match self._context.tasks.get(request):
            case AskInfo() as task:
                task.lines.append(line)
            case Get() as task:
                return self._get_line(task, line)
            case Follow() as task:
                return self._following.line(task, line, now)
            case None | Put() | Unsubscribe():
                pass  # a late line, or an answer that tells nothing new
        return []

    def http_ended(self, request: int, status: int | None, now: float) -> list[ClientEffect]:
        """Take the end of an answer.

        *status* is that of HTTP; None says that the proxy wasn't reached, or the answer broke off.
        """
        task = self._context.tasks.pop(request, None)
        if task is None:
            return []
        is_ok = status == wire.OK
        self.stats.failed += not is_ok
        effects: list[ClientEffect] = [*self._context.queue.ended(request)]
        match task:
            case AskInfo():
                return [*effects, *self._info_ended(task, now, is_ok=is_ok)]
            case Get():
                del self._gets[task.op]
                effects.append(Done(task.op, is_ok, int(is_ok)))
            case Put():
                effects += self._put_ended(task, now, is_ok=is_ok)
            case Follow():
                effects += self._following.ended(task, now, is_ok=is_ok)
            case Unsubscribe():
                pass
            case _:
                assert_never(task)
        return effects if status is not None else [*effects, *self._lost(now)]

    def push_received(
        self, notification: Mapping[str, str], now: float
    ) -> tuple[PushResult, list[ClientEffect]]:
        """Take the data of a push notification, as the push service delivered it."""
        if self._is_closed:
            return PushResult.IGNORED_STOPPED, []
        if self._context.push is None:
            return PushResult.IGNORED_DISABLED, []
        if notification.get("s", self._context.session) != self._context.session:
            return PushResult.IGNORED_WRONG_SESSION, []
        try:
            if "timeout" in notification:
                return self._renewal_asked(notification, now)
            return self._following.announced(notification)
        except (DecodeError, ValueError):
            return PushResult.ERROR, []

    # Time.

    def next_deadline(self) -> float | None:
        """When `advance` next has work."""
        return self._context.timers.next_deadline()

    def advance(self, now: float) -> list[ClientEffect]:
        """Renew, reconnect and ask what is due at *now*."""
        effects: list[ClientEffect] = []
        for timer in self._context.timers.due(now):
            effects += self._due(timer, now)
        return effects

    def _due(self, timer: Timer, now: float) -> list[ClientEffect]:
        match timer.kind:
            case "info":
                return self._ask_info(now)
            case "follow":
                return self._following.due(timer.key, now)
            case "silence":
                self.stats.silences += 1
                return self._following.due(timer.key, now)
            case "put":
                return self._put_again(timer.key, timer.value_id)
            case _:
                assert_never(timer.kind)

    # Gets and puts.

    def _start_get(self, task: Get) -> list[ClientEffect]:
        if len(self._context.queue) >= OPERATIONS_MAX:
            raise TooManyOperationsError
        self._gets[task.op], effects = self._context.begin(task, "GET", f"/key/{task.key}")
        return effects

    def _get_line(self, task: Get, line: bytes) -> list[ClientEffect]:
        decoded = self._context.decode(line)
        if decoded is None or decoded.is_expired or len(task.seen) >= VALUES_MAX:
            return []
        value = decoded.value
        if task.seen.get(value.id) == value or not matches_all(task.query.where, value):
            return []
        task.seen[value.id] = value
        if task.query.select:
            return [RowsFound(task.op, FieldTable.of(task.query.select, (value,)).rows())]
        return [ValuesFound(task.op, (value,))]

    def _send_put(self, task: Put) -> list[ClientEffect]:
        is_pushed = task.is_permanent and self._context.push is not None
        permanent = self._context.target if is_pushed else task.is_permanent
        body = wire.encode_put(task.value, permanent)
        return self._context.begin(task, "POST", f"/key/{task.key}", body)[1]

    def _put_again(self, key: InfoHash, value_id: int) -> list[ClientEffect]:
        value = self._permanent[key, value_id].value
        return self._send_put(Put(None, key, value, is_permanent=True))

    def _put_ended(self, task: Put, now: float, *, is_ok: bool) -> list[ClientEffect]:
        permanent = self._permanent.get((task.key, task.value.id))
        if task.is_permanent and permanent is not None and permanent.value == task.value:
            permanent.failures = 0 if is_ok else permanent.failures + 1
            wait = (
                self._context.renewal()
                if is_ok
                else self._context.patience(permanent.failures, PUT_PATIENCE_MIN, PUT_PATIENCE_MAX)
            )
            self._context.timers.set(Timer("put", task.key, task.value.id), now + wait)
        return [] if task.op is None else [Done(task.op, is_ok, int(is_ok))]

    def _renewal_asked(
        self, notification: Mapping[str, str], now: float
    ) -> tuple[PushResult, list[ClientEffect]]:
        key = InfoHash.from_hex(notification["timeout"])
        if "vid" not in notification:
            return self._following.renewal_asked(key, now)
        value_id = int(notification["vid"])
        if (key, value_id) not in self._permanent:
            return PushResult.IGNORED_NO_OPERATION, []
        return PushResult.PUT_REFRESH, self._put_again(key, value_id)

    # Whether the proxy is there.

    @property
    def _questions(self) -> list[int]:
        tasks = self._context.tasks
        return [request for request, task in tasks.items() if isinstance(task, AskInfo)]

    def _ask_info(self, now: float) -> list[ClientEffect]:
        effects: list[ClientEffect] = []
        for request in self._questions:
            effects += self._context.drop(request)
        effects += self._reachability.asked(now)
        self._context.timers.cancel(_INFO)
        for family in Family:
            effects += self._context.begin(AskInfo(family), "GET", "/", family=family)[1]
        return effects

    def _info_ended(self, task: AskInfo, now: float, *, is_ok: bool) -> list[ClientEffect]:
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
        if not self._questions:
            self._context.timers.set(_INFO, now + self._reachability.interval)
        return effects

    def _lost(self, now: float) -> list[ClientEffect]:
        """Doubt the proxy after a request that found no server."""
        if self._questions:
            return []
        self._context.timers.set(_INFO, self._reachability.next_question(now))
        return [*self._reachability.lost()]

    def _take_up(self, now: float) -> list[ClientEffect]:
        """Go on with a proxy that has come back, or is another one and knows nothing of us."""
        effects = self._following.take_up(now)
        for key, value_id in self._permanent:
            timer = Timer("put", key, value_id)
            if timer in self._context.timers:  # else it is on its way
                self._context.timers.cancel(timer)
                effects += self._put_again(key, value_id)
        return effects
