"""Linking devices with `jami-auth`: this one to an account, or another one to ours."""

from __future__ import annotations

import asyncio
import inspect
import logging
import time
from functools import partial
from typing import TYPE_CHECKING, Any, Final, TypeAlias, assert_never

from shoal.core import Compute
from shoal.core.driver import SystemEntropy
from shoal.identity import LinkAddress
from shoal.identity import linking as lk
from shoal.identity.errors import LinkError, LinkNetworkError
from shoal.net.driver import Connections
from shoal.net.errors import NetError
from shoal.node.account import effects as fx
from shoal.node.account.guest import GuestEngine
from shoal.node.driver.dht import DHT_ORDERS, DhtPort
from shoal.node.driver.tasks import TaskSet

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from shoal.dht import DhtNode
    from shoal.identity import Archive, CertificateStore
    from shoal.net import Peer
    from shoal.net.driver import Channel
    from shoal.net.effects import SendSignal
    from shoal.net.ice import IceConfig
    from shoal.node.driver.account import Account
    from shoal.node.driver.tasks import WorkerPool

_log = logging.getLogger(__name__)

FAREWELL_TIME: Final = 5.0  # seconds that the last words may take to be sent; ours

Confirm: TypeAlias = "Callable[[str], bool | Awaitable[bool]]"
AskPassword: TypeAlias = "Callable[[bool], str | Awaitable[str]] | str"


class LinkSession:
    """A linking engine of either role on its channel."""

    def __init__(
        self, engine: lk.LinkNewDevice | lk.LinkOldDevice, pool: WorkerPool, tasks: TaskSet
    ) -> None:
        self.engine = engine
        self._pool = pool
        self._tasks = tasks
        self._loop = asyncio.get_running_loop()
        self._channel: Channel | None = None
        self._ended: asyncio.Future[Archive | None] = self._loop.create_future()
        self._timer: asyncio.TimerHandle | None = None
        self.changed: Callable[[lk.LinkChanged], None] = lambda _: None
        self.connect: Callable[[lk.ConnectChannel], None] = lambda _: None

    async def wait(self) -> Archive | None:
        """Return what came of it: on the new device, the account.

        Raises:
            LinkError: it failed.
        """
        try:
            return await asyncio.shield(self._ended)
        finally:
            if not self._ended.done():
                self.run(self.engine.cancel(self._loop.time()))
            if self._ended.done() and not self._ended.cancelled():
                self._ended.exception()  # it was seen, even if the waiter was cancelled
            if self._timer is not None:
                self._timer.cancel()

    def begin(self, channel: Channel, effects: Sequence[lk.LinkEffect]) -> None:
        """Take the channel, once it is open; *effects* are the engine's first words on it."""
        self._channel = channel
        self.run(effects)
        self._tasks.start(self._read(channel))

    def run(self, effects: Sequence[lk.LinkEffect]) -> None:
        """Carry out what the engine orders."""
        for effect in effects:
            self._obey(effect)
        if self._timer is not None:
            self._timer.cancel()
        deadline = self.engine.next_deadline()
        if deadline is not None:
            self._timer = self._loop.call_at(deadline, self._wake)

    def _wake(self) -> None:
        self._timer = None
        self.run(self.engine.advance(self._loop.time()))

    def _obey(self, effect: lk.LinkEffect) -> None:
        match effect:
            case Compute(number, job):
                self._pool.submit(job, lambda result: self._computed(number, result))
            case lk.ConnectChannel():
                self.connect(effect)
            case lk.WriteChannel() | lk.CloseChannel():
                self._use(effect)
            case lk.LinkChanged():
                self.changed(effect)
            case lk.LinkEnded(error, archive):
                if error is None:
                    self._ended.set_result(archive)
                else:
                    self._ended.set_exception(error)
            case _:
                assert_never(effect)

    def _use(self, effect: lk.WriteChannel | lk.CloseChannel) -> None:
        """Write to the channel, or close it, as long as it is there."""
        if self._channel is None or self._channel.is_closed:
            return
        if isinstance(effect, lk.WriteChannel):
            self._channel.write(effect.data)
        else:
            self._tasks.start(_close_when_sent(self._channel))

    def _computed(self, number: int, result: object) -> None:
        assert isinstance(self.engine, lk.LinkOldDevice), "only it has something to compute"
        if isinstance(result, BaseException):
            _log.error("! a job failed: %s", result, exc_info=result)
            result = LinkError(str(result))
        self.run(self.engine.computed(number, result, self._loop.time()))

    async def _read(self, channel: Channel) -> None:
        try:
            async for packet in channel:
                self.run(self.engine.receive(packet, self._loop.time()))
        except NetError as error:
            _log.info("x %s: %s", channel.name, error)
        self.run(self.engine.channel_closed(self._loop.time()))


async def _close_when_sent(channel: Channel) -> None:
    if not channel.is_closed:
        await channel.drain()
    channel.close()


class GuestRuntime:
    """A throw-away device on the network: it takes one kind of channel, and knows nobody."""

    def __init__(
        self,
        keys: lk.TemporaryKeys,
        *,
        store: CertificateStore,
        dht: DhtNode,
        pool: WorkerPool,
        tasks: TaskSet,
        ice: IceConfig,
        hosts: Callable[[], Sequence[bytes]] | None,
        accepts: Callable[[str], bool],
        on_channel: Callable[[Channel], None],
    ) -> None:
        self._loop = asyncio.get_running_loop()
        now = self._loop.time()
        self._engine = GuestEngine(
            keys.identity.certificate,
            store=store,
            entropy=SystemEntropy(),
            now=now,
            wall_offset=time.time() - now,
        )
        self._pool = pool
        self._accepts = accepts
        self._port = DhtPort(dht, keys.identity, self._engine, self._apply)
        self._published = asyncio.Event()
        self._timer: asyncio.TimerHandle | None = None
        self._is_closed = False
        self.connections = Connections(
            keys.identity,
            policy=self,
            send_signal=self._send_signal,
            on_channel=on_channel,
            ice=ice,
            hosts=hosts,
        )

    async def start(self) -> None:
        """Be found; returns once a node of the DHT has the chain."""
        self._apply(self._engine.start(self._loop.time()))
        self.connections.set_public_addresses([addr.ip for addr in self._port.public_addresses])
        await self._published.wait()

    async def close(self) -> None:
        """Be gone."""
        self._apply(self._engine.stop(self._loop.time()))
        self._is_closed = True
        if self._timer is not None:
            self._timer.cancel()
        await self.connections.close()
        self._port.close()

    def may_connect(self, peer: Peer) -> bool:
        """Whoever knows the address may connect."""
        return True

    def accepts(self, peer: Peer, name: str) -> bool:
        """Only the channel that the address names, once."""
        return self._accepts(name)

    def _send_signal(self, signal: SendSignal) -> None:
        self._apply(self._engine.send_signal(signal, self._loop.time()))

    def _apply(self, effects: Sequence[object]) -> None:
        for effect in effects:
            match effect:
                case _ if isinstance(effect, DHT_ORDERS):
                    self._port.obey(effect)
                case Compute(number, job):
                    self._pool.submit(job, partial(self._computed, number))
                case fx.DeliverSignal(request, peer, route):
                    self.connections.signal_received(request, peer, route=route)
                case fx.FailSignal(attempt, reason):
                    self.connections.signal_failed(attempt, reason)
                case _:
                    assert isinstance(effect, fx.KeepChain), f"nobody carries out {effect!r}"
        if self._engine.is_published:
            self._published.set()
        self._arm()

    def _computed(self, number: int, result: object) -> None:
        if not self._is_closed:
            self._apply(self._engine.computed(number, result, self._loop.time()))

    def _arm(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        deadline = self._engine.next_deadline()
        if deadline is not None and not self._is_closed:
            self._timer = self._loop.call_at(deadline, self._wake)

    def _wake(self) -> None:
        self._timer = None
        self._apply(self._engine.advance(self._loop.time()))


class LinkNewDevice:
    """This device while it waits to be added to an account; `Accounts.link_new_device` makes it."""

    def __init__(
        self,
        keys: lk.TemporaryKeys,
        *,
        pool: WorkerPool,
        password: AskPassword,
        adopt: Callable[[Archive, str], Awaitable[Account]],
        guest: Callable[..., GuestRuntime],
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self._tasks = TaskSet()
        self._address = LinkAddress.draw(keys.device, SystemEntropy())
        self._engine = lk.LinkNewDevice(self._address, self._loop.time())
        self._session = LinkSession(self._engine, pool, self._tasks)
        self._session.changed = self._changed
        self._password = password
        self._given = ""
        self._adopt = adopt
        self._guest = guest(
            keys,
            pool=pool,
            tasks=self._tasks,
            accepts=self._engine.accepts,
            on_channel=self._opened,
        )

    @property
    def uri(self) -> str:
        """What the other device scans: `jami-auth://…`."""
        return str(self._address)

    async def start(self) -> None:
        """Be found under the address."""
        await self._guest.start()
        self._session.run(self._engine.start(self._loop.time()))

    async def close(self) -> None:
        """End it; the other device is told, if it is there."""
        self._session.run(self._engine.cancel(self._loop.time()))
        await self._guest.close()
        await self._tasks.close()

    async def wait(self) -> Account:
        """Return the account once the other device has handed it over.

        Raises:
            LinkPasswordError: the password was wrong too often.
            LinkTimeoutError: nobody came within five minutes.
            LinkCanceledError: the other side gave up.
            LinkError: whatever else went wrong.
        """
        archive = await self._session.wait()
        assert archive is not None, "the new device ends with an account, or an error"
        return await self._adopt(archive, self._given)

    def _opened(self, channel: Channel) -> None:
        self._session.begin(channel, self._engine.channel_opened(self._loop.time()))

    def _changed(self, changed: lk.LinkChanged) -> None:
        if changed.needs_password:
            self._tasks.start(self._give_password(is_wrong=changed.is_wrong))

    async def _give_password(self, *, is_wrong: bool) -> None:
        asked = self._password(is_wrong) if callable(self._password) else self._password
        self._given = await asked if inspect.isawaitable(asked) else asked
        self._session.run(self._engine.give_password(self._given, self._loop.time()))


async def link_old_device(
    address: LinkAddress,
    archive: bytes,
    current: Archive | None,
    *,
    pool: WorkerPool,
    confirm: Confirm | None,
    connect: Callable[[lk.ConnectChannel], Awaitable[Channel]],
) -> None:
    """Hand the account to the new device at *address*.

    Raises:
        LinkError: what went wrong.
    """
    loop = asyncio.get_running_loop()
    tasks = TaskSet()
    engine = lk.LinkOldDevice(address, archive, loop.time(), current=current)
    session = LinkSession(engine, pool, tasks)

    async def reach(order: lk.ConnectChannel) -> None:
        try:
            channel = await connect(order)
        except Exception as error:  # noqa: BLE001 - whatever it is, linking has failed by it
            session.run(engine.channel_failed(str(error), loop.time()))
            return
        session.begin(channel, engine.channel_opened(_address_of(channel), loop.time()))

    async def ask(peer_address: str) -> None:
        agreed: Any = True if confirm is None else confirm(peer_address)
        if inspect.isawaitable(agreed):
            agreed = await agreed
        session.run(engine.confirm(loop.time()) if agreed else engine.cancel(loop.time()))

    session.connect = lambda order: _start(tasks, reach(order))
    session.changed = lambda changed: (
        _start(tasks, ask(changed.peer_address)) if changed.peer_address else None
    )
    try:
        session.run(engine.start(loop.time()))
        await session.wait()
    finally:
        await tasks.close(patience=FAREWELL_TIME)


def _start(tasks: TaskSet, work: Any) -> None:
    tasks.start(work)


def _address_of(channel: Channel) -> str:
    """Return the IP address of a channel's far end, or words where there is none."""
    connection = channel.connection
    if connection is None or connection.path is None:
        raise LinkNetworkError("the connection is gone")
    return connection.path.remote.addr.host
