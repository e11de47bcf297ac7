"""`ProxyNode`: a DHT node that can work through an HTTP proxy instead of over UDP."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

from shoal.dht.driver import DhtNode
from shoal.dht.driver.lifecycle import CLOSE_GRACE
from shoal.dht.driver.stats import counters_of
from shoal.dht.proxy.config import ProxyClientConfig
from shoal.dht.proxy.driver.client import HttpTransport
from shoal.dht.proxy.effects import HttpCancel, HttpRequest, PushResult
from shoal.dht.proxy.engine import ProxyEngine

if TYPE_CHECKING:
    import ssl
    from collections.abc import Mapping

    from shoal.dht.driver import NodeStats
    from shoal.dht.proxy.config import PushRegistration
    from shoal.dht.proxy.wire import NodeInfo


class ProxyNode(DhtNode):
    """A `DhtNode` whose operations go through a proxy while one is set.

        async with ProxyNode(proxy="https://dhtproxy.example.org") as node:
            await node.put("a key", "a value")

    Signing, encrypting, verifying and decrypting stay here. Without further arguments it has no
    UDP socket at all; with *bind* it has, and `disable_proxy` lets it go on as a node of its own.
    """

    def __init__(
        self,
        port: int = 0,
        *,
        proxy: str | None = None,
        push: PushRegistration | None = None,
        tls: ssl.SSLContext | None = None,
        bind: tuple[str, ...] = (),
        **options: Any,
    ) -> None:
        """Describe the node.

        Args:
            port: UDP port, if it has addresses to listen on.
            proxy: URL of the proxy to begin with.
            push: how notifications reach us; listening then holds no connection.
            tls: whom to trust, and who we are to the proxy.
            bind: UDP addresses to listen on.
            options: all else that a `DhtNode` takes.
        """
        super().__init__(port, bind=bind, **options)
        self._proxy_url = proxy
        self._push = push
        self._tls = tls
        self._proxy: ProxyEngine | None = None
        self._transport: HttpTransport | None = None

    async def start(self) -> None:
        """Start as `DhtNode` does, then go through the proxy.

        Raises:
            ProxyError: the URL is none of a proxy.
        """
        await super().start()
        if self._proxy_url is not None:
            await self.enable_proxy(self._proxy_url)

    async def close(self, grace: float = CLOSE_GRACE) -> None:
        """Close as `DhtNode` does."""
        await super().close(grace)
        transport, self._transport = self._transport, None
        if transport is not None:
            await transport.close()

    async def enable_proxy(self, url: str) -> None:
        """Let operations go through the proxy at *url* from now on, those under way too.

        Raises:
            ProxyError: *url* is none of a proxy.
        """
        runtime = self._running()
        engine = ProxyEngine(ProxyClientConfig(push=self._push), self._entropy, runtime.now)
        transport = HttpTransport(
            url, partial(self._line, engine), partial(self._ended, engine), tls=self._tls
        )
        previous = self._leave_proxy()
        self._transport, self._proxy = transport, engine
        runtime.handlers[HttpRequest] = transport.send
        runtime.handlers[HttpCancel] = lambda effect: transport.cancel(effect.id)
        runtime.call(lambda now: runtime.secure.replace_backend(engine, now))
        if previous is not None:
            await previous.close()

    async def disable_proxy(self) -> None:
        """Let operations go over UDP again, those under way too."""
        runtime = self._running()
        transport = self._leave_proxy()
        if transport is not None:
            runtime.call(lambda now: runtime.secure.replace_backend(runtime.engine, now))
            await transport.close()

    def set_push(self, push: PushRegistration | None) -> None:
        """Be notified at another address from now on; None goes back to streams."""
        self._push = push
        proxy, runtime = self._proxy, self._running()
        if proxy is not None:
            runtime.call_engine(lambda now: proxy.set_push(push, now))

    def push_received(self, notification: Mapping[str, str]) -> PushResult:
        """Take the data of a push notification, as the push service delivered it."""
        proxy, runtime = self._proxy, self._opened()
        if runtime.is_closed:
            return PushResult.IGNORED_STOPPED
        if proxy is None:
            return PushResult.IGNORED_DISABLED
        result, effects = proxy.push_received(notification, runtime.now)
        runtime.call_engine(lambda _: effects)
        return result

    def connectivity_changed(self) -> None:
        """Tell the node that the network below has changed; it also looks by itself."""
        if self._transport is not None:
            self._transport.renew()
        super().connectivity_changed()

    @property
    def proxy_info(self) -> NodeInfo | None:
        """What the proxy last told about its node; None without a proxy, or before that."""
        return None if self._proxy is None else self._proxy.node_info

    def stats(self) -> NodeStats:
        """Return a snapshot of the node, with the counters of its proxy client."""
        stats = super().stats()
        if self._proxy is None:
            return stats
        counters = {**stats.counters, "proxy": counters_of(self._proxy.stats)}
        return replace(stats, counters=counters)

    def _leave_proxy(self) -> HttpTransport | None:
        """Forget the proxy; its transport is to be closed when nothing refers to it any more."""
        transport, self._transport, self._proxy = self._transport, None, None
        return transport

    def _line(self, proxy: ProxyEngine, request: int, line: bytes) -> None:
        runtime = self._opened()
        if proxy is self._proxy and not runtime.is_closed:  # else it is of a proxy we left
            runtime.call_engine(lambda now: proxy.http_line(request, line, now))

    def _ended(self, proxy: ProxyEngine, request: int, status: int | None) -> None:
        runtime = self._opened()
        if proxy is self._proxy and not runtime.is_closed:
            runtime.call_engine(lambda now: proxy.http_ended(request, status, now))
