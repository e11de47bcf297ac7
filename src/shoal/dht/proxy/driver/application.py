"""What the proxy server does for each route, as an ASGI application."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import replace
from typing import TYPE_CHECKING, Final, Protocol

from shoal.core import DecodeError, InfoHash
from shoal.dht.driver import Added, Expired, Lagged
from shoal.dht.errors import (
    DhtError,
    NodeClosedError,
    NoIdentityError,
    TooManyOperationsError,
)
from shoal.dht.proxy import wire
from shoal.dht.proxy.driver.backlog import Backlog
from shoal.dht.proxy.driver.exchange import (
    CLOSE,
    HEADERS,
    DisconnectedError,
    Exchange,
    RefusedError,
)
from shoal.dht.proxy.driver.figures import RequestRate, info_of, public_host
from shoal.dht.proxy.driver.tasks import TaskSet
from shoal.dht.proxy.quotas import Quota
from shoal.dht.proxy.routes import Action, Route, route
from shoal.dht.value import VALUE_SIZE_MAX

if TYPE_CHECKING:
    from collections.abc import Awaitable, Coroutine, Iterable
    from typing import Any

    from uvicorn._types import ASGIReceiveCallable, ASGISendCallable, Scope

    from shoal.core import Entropy
    from shoal.dht.driver import PutResult
    from shoal.dht.proxy.config import ProxyServerConfig
    from shoal.dht.proxy.driver.node import ServedNode
    from shoal.dht.proxy.effects import ServerEffect
    from shoal.dht.proxy.push import PushTarget
    from shoal.dht.proxy.server_engine import ProxyServerEngine
    from shoal.dht.value import Value

_log = logging.getLogger(__name__)

_METHODS: Final = b"OPTIONS, GET, POST, LISTEN"
_ID_LENGTH: Final = 8
_EMPTY: Final = b"{}\n"


class Host(Protocol):
    """Who carries out the effects of the server's engine."""

    engine: ProxyServerEngine

    def apply(self, effects: Iterable[ServerEffect]) -> None:
        """Carry out *effects*."""
        ...


class Application:
    """Answers the requests of a proxy's clients."""

    def __init__(
        self, host: Host, node: ServedNode, config: ProxyServerConfig, entropy: Entropy
    ) -> None:
        self._host = host
        self._engine = host.engine
        self._node = node
        self._config = config
        self._entropy = entropy
        self._operations = Quota(config.limits.operations_per_client, config.limits.connections)
        self._watches = TaskSet()
        self._streams: set[asyncio.Timeout] = set()
        self._quiet = asyncio.Event()
        self._is_closing = False
        self._rate = RequestRate(_now())

    async def __call__(
        self, scope: Scope, receive: ASGIReceiveCallable, send: ASGISendCallable
    ) -> None:
        """Answer one request."""
        assert scope["type"] == "http", "the server has neither lifespan nor WebSockets"
        exchange = Exchange(scope, receive, send, self._config.request_timeout)
        self._engine.stats.requests += 1
        self._rate.count(_now())
        try:
            await self._answer(exchange)
        except RefusedError as refusal:
            self._engine.stats.refused += refusal.body == wire.TOO_MANY
            headers = (*HEADERS, *CLOSE) if refusal.is_last else HEADERS
            await exchange.respond(refusal.status, refusal.body, headers)
        except DisconnectedError:
            await exchange.abort()
        except Exception:  # noqa: BLE001 - here a request ends, and must not take others along
            _log.exception("! %s %s", exchange.method, exchange.path)
            if exchange.is_started:
                await exchange.abort()
            else:
                await exchange.respond(500, wire.INTERNAL_ERROR)

    async def close(self) -> None:
        """End the streams properly, so that clients know it was not an accident."""
        self._is_closing = True
        for scope in list(self._streams):
            _expire(scope)
        if self._streams:
            self._quiet.clear()
            await self._quiet.wait()
        await self._watches.close()

    async def _answer(self, exchange: Exchange) -> None:
        wanted = route(exchange.method, exchange.path)
        if wanted is None or self._is_closing:
            await exchange.respond(501 if wanted is None else 503, b"", CLOSE)
            return
        match wanted.action:
            case Action.INFO:
                info = replace(self._info(), public_ip=public_host(exchange.host))
                await exchange.respond(200, wire.encode(info.to_json()))
            case Action.STATS:
                await exchange.respond(200, wire.encode(self._stats()))
            case Action.OPTIONS:
                await self._options(exchange)
            case Action.LISTEN:
                await self._listen(exchange, wanted.key)
            case Action.UNSUBSCRIBE | Action.PING_PUSH:
                await self._push_request(exchange, wanted)
            case _:
                with self._operation(exchange):
                    await self._operate(exchange, wanted)

    async def _operate(self, exchange: Exchange, wanted: Route) -> None:
        match wanted.action:
            case Action.GET:
                await exchange.body(0)
                await self._get(exchange, wanted.key)
            case Action.PUT:
                await self._put(exchange, wanted.key)
            case Action.SUBSCRIBE:
                await self._subscribe(exchange, wanted.key)
            case Action.SIGN | Action.ENCRYPT if self._node.stats().key_id is None:
                await exchange.respond(501, b"", CLOSE)  # as builds of the reference without it
            case Action.SIGN:
                await self._sign(exchange, wanted.key)
            case Action.ENCRYPT:
                await self._encrypt(exchange, wanted.key)
            case _:
                raise AssertionError(f"{wanted.action} is answered elsewhere")

    def _operation(self, exchange: Exchange) -> _Hold:
        return _Hold(self._operations, exchange.client)

    # Reading.

    async def _get(self, exchange: Exchange, key: InfoHash) -> None:
        await exchange.start()
        await self._while_connected(exchange, self._send_values(exchange, key))
        await exchange.end()

    async def _send_values(self, exchange: Exchange, key: InfoHash) -> None:
        operation = self._node.get(key, timeout=self._config.get_timeout, raw=True)
        try:
            async for value in operation:
                await exchange.write(wire.encode_value(value))
        except (DhtError, TimeoutError) as error:
            # As with the reference, an answer can't say that it might not be complete.
            _log.debug("get of %s ends: %s", key, error)
        finally:
            operation.close()

    async def _listen(self, exchange: Exchange, key: InfoHash) -> None:
        await exchange.body(0)
        with _Hold(self._engine.streams, exchange.client):
            await exchange.start()
            backlog = Backlog(self._config.limits.stream_backlog)
            reader = self._watches.start(self._follow(exchange, key, backlog))
            try:
                await self._while_connected(exchange, self._send_lines(exchange, backlog))
            finally:
                reader.cancel()
            await exchange.end()

    async def _follow(self, exchange: Exchange, key: InfoHash, backlog: Backlog) -> None:
        """Turn what happens to *key* into lines, as long as they are read."""
        operation = self._node.listen(key, raw=True)
        try:
            async for event in operation:
                match event:
                    case Added(value):
                        backlog.push(wire.encode_value(value))
                    case Expired(value):
                        backlog.push(wire.encode_value(value, is_expired=True))
                    case Lagged():
                        break  # the client listens anew, and hears what it has missed
                if backlog.is_overfull:
                    _log.info("x a listener reads too slowly")
                    exchange.drop()
                    break
        except DhtError as error:
            _log.debug("listen to %s ends: %s", key, error)
        finally:
            operation.close()
            backlog.finish()

    async def _send_lines(self, exchange: Exchange, backlog: Backlog) -> None:
        while True:
            lines = await backlog.take(self._config.heartbeat_interval)
            if lines or backlog.is_open:
                await exchange.write(lines or wire.HEARTBEAT)
            if not backlog.is_open:
                return

    async def _while_connected(self, exchange: Exchange, work: Coroutine[Any, Any, None]) -> None:
        """Do *work*, unless the client goes away or the server closes first."""
        try:
            async with asyncio.timeout(None) as scope:
                self._streams.add(scope)
                watch = self._watches.start(_end_when_gone(exchange, scope))
                try:
                    await work
                finally:
                    watch.cancel()
                    self._streams.discard(scope)
                    if not self._streams:
                        self._quiet.set()
        except TimeoutError:
            if not scope.expired():
                raise

    # Writing.

    async def _put(self, exchange: Exchange, key: InfoHash) -> None:
        body = await self._body(exchange)
        try:
            value, is_permanent, target = wire.decode_put(body)
        except DecodeError:
            raise RefusedError(400, wire.INCORRECT_JSON) from None
        if not is_permanent:
            await self._store(exchange, key, self._checked(value), permanent=False)
            return
        if value.size > VALUE_SIZE_MAX:
            raise RefusedError(413, wire.TOO_LARGE)
        try:
            value, is_there = self._engine.put_permanent(
                key, value, target, exchange.client, _now()
            )
        except TooManyOperationsError:
            raise RefusedError(429, wire.TOO_MANY) from None
        self._host.apply(())
        if is_there:
            await exchange.respond(200, wire.encode_value(value))
        else:
            await self._store(exchange, key, value, permanent=True)

    async def _store(
        self, exchange: Exchange, key: InfoHash, value: Value, *, permanent: bool
    ) -> None:
        if not permanent:
            work = self._node.put(key, value, timeout=self._config.request_timeout)
            await self._conclude(exchange, work, value)
            return
        # It goes on whatever becomes of its first attempt, and of the client that waits for it.
        attempt = self._watches.start(self._node.put(key, value, permanent=True))
        patience = asyncio.wait_for(asyncio.shield(attempt), self._config.request_timeout)
        await self._conclude(exchange, patience, value)

    async def _sign(self, exchange: Exchange, key: InfoHash) -> None:
        body = await self._body(exchange)
        try:
            value = self._checked(wire.decode_put(body).value)
        except DecodeError:
            raise RefusedError(400, wire.INCORRECT_JSON) from None
        work = self._node.put_signed(key, value, timeout=self._config.request_timeout)
        await self._conclude(exchange, work, value)

    async def _encrypt(self, exchange: Exchange, key: InfoHash) -> None:
        body = await self._body(exchange)
        try:
            value, recipient = wire.decode_encrypted_put(body)
        except DecodeError:
            raise RefusedError(400, wire.INCORRECT_JSON) from None
        if recipient is None:
            raise RefusedError(400, wire.NO_DESTINATION)
        value = self._checked(value)
        work = self._node.put_encrypted(key, value, recipient, timeout=self._config.request_timeout)
        await self._conclude(exchange, work, value)

    async def _conclude(self, exchange: Exchange, work: Awaitable[PutResult], value: Value) -> None:
        """Answer with *value* if *work* stores it on the network."""
        try:
            result = await work
        except NoIdentityError:
            await exchange.respond(501, b"", CLOSE)
        except NodeClosedError:
            raise RefusedError(503, wire.UNAVAILABLE) from None
        except (DhtError, TimeoutError) as error:
            _log.debug("put fails: %s", error)
            raise RefusedError(502, wire.PUT_FAILED) from None
        else:
            if result.is_only_here:
                raise RefusedError(502, wire.PUT_FAILED)
            await exchange.respond(200, wire.encode_value(value))

    async def _body(self, exchange: Exchange) -> bytes:
        body = await exchange.body(self._config.limits.body_max)
        if not body:
            raise RefusedError(400, wire.MISSING_PARAMETERS)
        return body

    def _checked(self, value: Value) -> Value:
        """Give a value an id if it has none, and refuse what no node would store."""
        if value.size > VALUE_SIZE_MAX:
            raise RefusedError(413, wire.TOO_LARGE)
        if value.id:
            return value
        return replace(value, id=int.from_bytes(self._entropy.token_bytes(_ID_LENGTH)) or 1)

    # Push.

    async def _subscribe(self, exchange: Exchange, key: InfoHash) -> None:
        target, is_refresh = await self._subscription(exchange)
        try:
            is_new, effects = self._engine.subscribe(key, target, exchange.client, _now())
        except TooManyOperationsError:
            raise RefusedError(429, wire.TOO_MANY) from None
        self._host.apply(effects)
        if is_new or is_refresh:
            await exchange.respond(200, _EMPTY)
        else:
            await self._get(exchange, key)

    async def _push_request(self, exchange: Exchange, wanted: Route) -> None:
        target, _ = await self._subscription(exchange)
        if wanted.action is Action.UNSUBSCRIBE:
            self._host.apply(self._engine.unsubscribe(wanted.key, target, _now()))
            await exchange.respond(200, b"")
        else:  # the reference never answers a pingPush, and its client would wait
            self._host.apply(self._engine.ping_push(target, _now()))
            await exchange.respond(200, _EMPTY)

    async def _subscription(self, exchange: Exchange) -> tuple[PushTarget, bool]:
        body = await exchange.body(self._config.limits.body_max)
        try:
            subscription = wire.decode_subscription(body)
        except DecodeError:
            raise RefusedError(400, wire.INCORRECT_JSON) from None
        if not subscription.target.token:
            raise RefusedError(400, wire.NO_TOKEN)
        return subscription.target, subscription.is_refresh

    # What the server is.

    async def _options(self, exchange: Exchange) -> None:
        has_identity = self._node.stats().key_id is not None
        methods = _METHODS + b", SIGN, ENCRYPT" if has_identity else _METHODS
        headers = (
            *HEADERS,
            (b"Access-Control-Allow-Methods", methods),
            (b"Access-Control-Allow-Headers", b"content-type"),
            (b"Access-Control-Max-Age", b"86400"),
        )
        await exchange.respond(200, b"", headers)

    def _stats(self) -> dict[str, object]:
        return self._engine.counts() | {
            "lastUpdated": int(_now() + self._engine.wall_offset),
            "nodeInfo": self._info().to_json(),
            "requestRate": self._rate.per_second(_now()),
        }

    def _info(self) -> wire.NodeInfo:
        try:
            stats = self._node.stats()
        except NodeClosedError:
            raise RefusedError(503, wire.UNAVAILABLE) from None
        return info_of(stats)


class _Hold:
    """Holds one of a client's shares while a request runs."""

    def __init__(self, quota: Quota, client: str) -> None:
        self._quota = quota
        self._client = client

    def __enter__(self) -> None:
        granted = self._quota.take(self._client)
        if granted != "granted":
            raise RefusedError(429 if granted == "client" else 503, wire.TOO_MANY)

    def __exit__(self, *_: object) -> None:
        self._quota.give_back(self._client)


async def _end_when_gone(exchange: Exchange, scope: asyncio.Timeout) -> None:
    await exchange.disconnected()
    _expire(scope)


def _expire(scope: asyncio.Timeout) -> None:
    if not scope.expired():
        scope.reschedule(_now())


def _now() -> float:
    return asyncio.get_running_loop().time()
