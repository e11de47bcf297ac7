"""`ProxyServer`: offers a DHT node to clients without UDP, over HTTP."""

from __future__ import annotations

import asyncio
import logging
import ssl
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final, assert_never

from shoal.core import Persist
from shoal.core.driver import SystemEntropy
from shoal.dht.driver import Added, Expired, Lagged
from shoal.dht.driver.files import write_atomic
from shoal.dht.errors import DhtError, StateFileError
from shoal.dht.proxy.config import ProxyServerConfig
from shoal.dht.proxy.driver.application import Application
from shoal.dht.proxy.driver.protocol import HttpServer
from shoal.dht.proxy.driver.push_sender import PushSender, seal
from shoal.dht.proxy.driver.tasks import TaskSet
from shoal.dht.proxy.effects import Announce, SendPush, StartListen, StopListen, Withdraw
from shoal.dht.proxy.server_engine import ProxyServerEngine

if TYPE_CHECKING:
    import os
    from collections.abc import Iterable
    from typing import Self

    from shoal.core import InfoHash
    from shoal.dht.proxy.driver.node import ServedNode
    from shoal.dht.proxy.effects import ServerEffect
    from shoal.dht.value import Value

_log = logging.getLogger(__name__)

STATE_SIZE_MAX: Final = 256 * 1024 * 1024  # ours: thrice what the default limits can fill


class ProxyServer:
    """Serves a node over HTTP or HTTPS.

        async with DhtNode(...) as node, ProxyServer(node) as server:
            print(server.url)

    Attributes:
        engine: permanent puts, subscriptions and their figures.
        pushes: delivers notifications, and counts them.
    """

    def __init__(
        self,
        node: ServedNode,
        config: ProxyServerConfig | None = None,
        *,
        state: str | os.PathLike[str] | None = None,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        """Describe the server; `async with` opens it.

        Args:
            node: whom to serve; it must be open, and stay so longer than the server.
            config: where to listen, and what to grant.
            state: file that remembers permanent puts and subscriptions from run to run.
            tls: makes it HTTPS; see `tls_context`.
        """
        self.config = config or ProxyServerConfig()
        self._node = node
        self._state = None if state is None else Path(state)
        self._tls = tls
        self._is_open = False
        self._listens: dict[int, asyncio.Task[None]] = {}
        self._timer: asyncio.TimerHandle | None = None
        self._writes: asyncio.Lock = asyncio.Lock()

    async def __aenter__(self) -> Self:
        await self.open()
        return self

    async def __aexit__(self, *unused: object) -> None:
        await self.close()

    async def open(self) -> None:
        """Read the state, listen, and take up what was promised before the last end.

        Raises:
            PortTakenError: another program has the port.
            BindError: the address cannot be listened on.
            StateFileError: the state file cannot be read.
        """
        self._loop = asyncio.get_running_loop()
        entropy = SystemEntropy()
        self.engine = ProxyServerEngine(
            self.config,
            entropy,
            self._loop.time(),
            wall_offset=time.time() - self._loop.time(),
            state=None if self._state is None else _read(self._state),
            seal=seal,
        )
        self._tasks = TaskSet()
        self._application = Application(self, self._node, self.config, entropy)
        self._http = HttpServer(self._application, self.config)
        await self._http.open(self._tls)
        self.pushes = PushSender(self.config)
        self.pushes.start()
        self._is_open = True
        self.apply(self.engine.start())
        _log.info("= proxy on %s", self.url)

    async def close(self) -> None:
        """End the streams, stop listening, write the state. Harmless twice."""
        if not self._is_open:
            return
        self._is_open = False
        if self._timer is not None:
            self._timer.cancel()
        await self._application.close()
        await self._http.close()
        await self._tasks.close()
        await self.pushes.close()
        for effect in self.engine.close(self._loop.time()):
            if isinstance(effect, Persist):
                await self._save(effect)
        _log.info("= proxy closed")

    @property
    def port(self) -> int:
        """The TCP port."""
        return self._http.port

    @property
    def connections(self) -> int:
        """How many TCP connections clients hold."""
        return self._http.connections.used

    @property
    def url(self) -> str:
        """Where clients find the server, seen from its own machine if it is bound to all."""
        host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(self.config.host, self.config.host)  # noqa: S104
        shown = f"[{host}]" if ":" in host else host
        return f"{'https' if self._tls else 'http'}://{shown}:{self.port}"

    def apply(self, effects: Iterable[ServerEffect]) -> None:
        """Carry out what the engine orders, and wake it when it wants."""
        for effect in effects:
            match effect:
                case StartListen(listen_id, key):
                    task = self._tasks.start(self._follow(listen_id, key))
                    self._listens[listen_id] = task
                case StopListen(listen_id):
                    self._listens.pop(listen_id).cancel()
                case Announce(key, value):
                    self._tasks.start(self._announce(key, value))
                case Withdraw(key, value_id):
                    self._withdraw(key, value_id)
                case SendPush():
                    self.pushes.send(effect)
                case Persist():
                    self._tasks.start(self._save(effect))
                case _:
                    assert_never(effect)
        self._arm()

    def _arm(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        deadline = self.engine.next_deadline()
        if deadline is not None and self._is_open:
            self._timer = self._loop.call_at(deadline, self._wake)

    def _wake(self) -> None:
        self.engine.wall_offset = time.time() - self._loop.time()
        self.apply(self.engine.advance(self._loop.time()))

    async def _follow(self, listen_id: int, key: InfoHash) -> None:
        """Tell the engine what happens to a key that a push subscription is for."""
        operation = self._node.listen(key, raw=True)
        try:
            async for event in operation:
                match event:
                    case Added(value):
                        self._changed(listen_id, value, is_expired=False)
                    case Expired(value):
                        self._changed(listen_id, value, is_expired=True)
                    case Lagged(missed):
                        _log.warning("! %d changes of %s were not notified", missed, key)
        except DhtError as error:
            _log.info("x subscription to %s ends: %s", key, error)
        finally:
            operation.close()

    def _changed(self, listen_id: int, value: Value, *, is_expired: bool) -> None:
        now = self._loop.time()
        self.apply(self.engine.values_changed(listen_id, (value,), now, is_expired=is_expired))

    async def _announce(self, key: InfoHash, value: Value) -> None:
        try:
            await self._node.put(key, value, permanent=True)
        except DhtError as error:
            _log.warning("! a permanent value at %s is not announced: %s", key, error)

    def _withdraw(self, key: InfoHash, value_id: int) -> None:
        try:
            self._node.cancel_put(key, value_id)
        except DhtError as error:
            _log.debug("x %s", error)

    async def _save(self, state: Persist) -> None:
        if self._state is None:
            return
        async with self._writes:
            try:
                await asyncio.to_thread(write_atomic, self._state, state.data)
            except StateFileError as error:
                _log.error("! %s", error)


def tls_context(
    certificate: str | os.PathLike[str],
    private_key: str | os.PathLike[str],
    password: str | None = None,
) -> ssl.SSLContext:
    """Return what makes a server speak HTTPS: its certificate chain and its key, both PEM files.

    Raises:
        OSError: a file cannot be read; `ssl.SSLError`: they do not belong together.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.load_cert_chain(certificate, private_key, password)
    return context


def _read(path: Path) -> bytes | None:
    """Return the state file's bytes, None if there is none.

    Raises:
        StateFileError: it cannot be read.
    """
    try:
        with path.open("rb") as file:
            data = file.read(STATE_SIZE_MAX + 1)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise StateFileError(f"{path} cannot be read: {error.strerror}") from error
    if len(data) > STATE_SIZE_MAX:
        raise StateFileError(f"{path} is larger than {STATE_SIZE_MAX} bytes")
    return data
