"""One account's engine at work: its effects are carried out, and what comes of them goes back in.

DhtPort ─────┐                    ┌─► DhtPort
Connections ─┤                    ├─► Connections, sync channels
timer ───────┼─► AccountEngine ───┼─► files, in order
WorkerPool ──┤                    ├─► WorkerPool
Account ─────┘                    └─► event bus, and whoever waits for an answer
"""

from __future__ import annotations

import asyncio
import itertools
import logging
from collections import Counter
from typing import TYPE_CHECKING, Any, TypeVar

from shoal.core import Compute, Persist
from shoal.crypto import Certificate
from shoal.identity import DeviceChain, list_file
from shoal.identity.driver.folder import TREATED_FILE
from shoal.net.driver import Channel, Connections, DhtAddresses
from shoal.net.effects import AttemptEnded, ConnectionDown, ConnectionUp, SendSignal
from shoal.net.errors import ConnectError, ConnectStep, NetError
from shoal.node import events as ev
from shoal.node.account import effects as fx
from shoal.node.account.sync import SCHEME as SYNC_SCHEME
from shoal.node.driver.channels import ChannelHandlers
from shoal.node.driver.dht import DHT_ORDERS, DhtPort
from shoal.node.driver.dialing import listen_and_publish
from shoal.node.driver.ordered import OrderedEffects
from shoal.node.driver.paths import describe_path
from shoal.node.driver.tasks import TaskSet
from shoal.node.errors import NodeStoppedError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from shoal.core import AccountId, DeviceId
    from shoal.crypto import Identity
    from shoal.dht import DhtNode
    from shoal.identity import CertificateStore
    from shoal.identity.driver import AccountFolder
    from shoal.net import Peer
    from shoal.net.ice import IceConfig
    from shoal.net.mapping.driver import PortMapper
    from shoal.node.account.engine import AccountEngine
    from shoal.node.driver.bus import EventBus
    from shoal.node.driver.dialing import Dialing
    from shoal.node.driver.tasks import WorkerPool

_log = logging.getLogger(__name__)

T = TypeVar("T")


class AccountRuntime:
    """Runs one account. Used by `Account`, which is the public face.

    Attributes:
        engine: the account.
        identity: the device's key and chain.
        connections: its connections.
        published: addresses of devices, ours and others', in the DHT.
        handlers: who takes which channels.
    """

    def __init__(
        self,
        engine: AccountEngine,
        identity: Identity,
        *,
        folder: AccountFolder,
        store: CertificateStore,
        dht: DhtNode,
        pool: WorkerPool,
        bus: EventBus,
        ice: IceConfig,
        hosts: Callable[[], Sequence[bytes]] | None,
        mapper: PortMapper | None,
        treated: Sequence[int],
        dialing: Dialing,
    ) -> None:
        self.engine = engine
        self.identity = identity
        self.handlers = ChannelHandlers(engine)
        self.state = ev.AccountState.STOPPED
        self._store = store
        self._pool = pool
        self._bus = bus
        self._loop = asyncio.get_running_loop()
        self._tasks = TaskSet()
        self._effects = OrderedEffects(self._obey, folder.apply, self._tasks)
        self._port = DhtPort(dht, identity, engine, self.apply)
        self._dialing = dialing
        self.published = DhtAddresses(dht, identity)
        self.connections = Connections(
            identity,
            policy=self,
            send_signal=self._send_signal,
            on_channel=self._accepted,
            on_event=self._heard,
            ice=ice,
            treated=treated,
            hosts=hosts,
            mapper=mapper,
            find_addresses=self.published.find,
        )
        self._timer: asyncio.TimerHandle | None = None
        self._waiting: dict[int, asyncio.Future[Any]] = {}
        self._channels: dict[int, Channel] = {}
        self._numbers = itertools.count(1)
        self._wanted: Counter[DeviceId] = Counter()  # devices that we connect to ourselves
        self._ups: dict[int, DeviceChain] = {}
        self._announced = asyncio.Event()
        self._is_closed = False

    # Life

    def start(self) -> None:
        """Publish, listen, sync."""
        self._set_state(ev.AccountState.STARTING)
        self._run(self.engine.start)
        self._tasks.start(self._follow_dht())
        if self._dialing.listen is not None:
            self._tasks.start(listen_and_publish(self._dialing, self.connections, self.published))

    async def close(self) -> None:
        """Withdraw, close every connection, and wait until everything is on disk."""
        if self._is_closed:
            return
        self._run(self.engine.stop)
        self._is_closed = True
        if self._timer is not None:
            self._timer.cancel()
        await self.connections.close()
        self._port.close()
        await self._effects.drained()
        await self._tasks.close()
        for waiting in self._waiting.values():
            if not waiting.done():
                waiting.set_exception(NodeStoppedError())
        self._set_state(ev.AccountState.STOPPED)

    async def wait_announced(self) -> None:
        """Return once other nodes hold our announcement."""
        await self._announced.wait()

    async def drained(self) -> None:
        """Return once all that the engine wanted written is on disk.

        Raises:
            AccountFileError: something could not be written.
        """
        await self._effects.drained()
        error, self._effects.error = self._effects.error, None
        if error is not None:
            raise error

    def network_changed(self) -> None:
        """See which connections still live, and try again what had failed."""
        if self._is_closed:
            return
        self._look_at_addresses()
        self.connections.network_changed()
        self._run(self.engine.network_changed)

    def tick(self, wall_offset: float) -> None:
        """Look at what changes without a word: the clock on the wall, our public addresses."""
        self.engine.clock.wall_offset = wall_offset
        self._look_at_addresses()

    # For `Account`

    def command(self, command: Callable[[float], Sequence[object]]) -> None:
        """Give the engine a command, and carry out what follows.

        Raises:
            NodeStoppedError: the account does not run.
        """
        if self._is_closed:
            raise NodeStoppedError
        self._run(command)

    async def ask(self, command: Callable[[int, float], Sequence[object]]) -> Any:
        """Give the engine a command with a number, and return the event that answers it.

        Raises:
            NodeStoppedError: the account does not run, or was stopped meanwhile.
        """
        op = self.engine.begin()
        answer: asyncio.Future[Any] = self._loop.create_future()
        self._waiting[op] = answer
        try:
            self.command(lambda now: command(op, now))
            return await answer
        finally:
            self._waiting.pop(op, None)

    async def open_channel(
        self, peer: DeviceChain, name: str, *, connection_type: str = "", reuse: bool = True
    ) -> Channel:
        """Open a channel to a device that the user named: whoever it is, it may connect for that.

        Not so the blocked and the revoked: a connection of ours would be a way for them to us.

        Raises:
            NetError: it failed.
        """
        if not self.engine.book.is_allowed(peer, allow_public=True):
            raise ConnectError(ConnectStep.CHAIN, f"device {peer.device} is blocked or revoked")
        self._wanted[peer.device] += 1
        try:
            channel = await self.connections.connect(
                peer, name, connection_type=connection_type, reuse=reuse, ways=self._dialing.ways
            )
        except NetError:
            self.apply(self.engine.connection_failed(peer.account, peer.device, self._now))
            self._unwant(peer.device)
            raise
        except BaseException:
            self._unwant(peer.device)
            raise
        self._tasks.start(self._until_closed(channel, peer.device))
        self._publish_channel(channel, is_incoming=False)
        return channel

    # Whom connections ask

    def may_connect(self, peer: Peer) -> bool:
        """Whether a device may connect; one that the user wanted to reach may, unless blocked."""
        assert isinstance(peer, DeviceChain), "we hand out no others"
        if self._wanted[peer.device]:
            return self.engine.book.is_allowed(peer, allow_public=True)
        return self.engine.may_connect(peer)

    def accepts(self, peer: Peer, name: str) -> bool:
        """Whether a channel is taken."""
        assert isinstance(peer, DeviceChain), "we hand out no others"
        if name.startswith(SYNC_SCHEME):
            return self.engine.accepts_sync(peer, name)
        return self.handlers.accepts(peer, name)

    # Effects

    def apply(self, effects: Sequence[object]) -> None:
        """Carry out what the engine returned."""
        if effects:
            self._effects.apply(effects)
        self._arm()

    @property
    def _now(self) -> float:
        return self._loop.time()

    def _run(self, command: Callable[[float], Sequence[object]]) -> None:
        self.apply(command(self._now))

    def _arm(self) -> None:
        deadline = self.engine.next_deadline()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if deadline is not None and not self._is_closed:
            self._timer = self._loop.call_at(deadline, self._wake)

    def _wake(self) -> None:
        self._timer = None
        self._run(self.engine.advance)

    def _obey(self, effect: object) -> None:
        match effect:
            case _ if isinstance(effect, DHT_ORDERS):
                self._port.obey(effect)
            case Compute(number, job):
                self._pool.submit(job, lambda result: self._computed(number, result))
            case fx.DeliverSignal(request, peer, route):
                self.connections.signal_received(request, peer, route=route)
            case fx.FailSignal(attempt, reason):
                self.connections.signal_failed(attempt, reason)
            case fx.OpenChannel():
                self._tasks.start(self._open_sync(effect))
            case fx.SendPacket(number, data):
                self._send(number, data)
            case fx.CloseChannel(number):
                if (channel := self._channels.get(number)) is not None:
                    channel.close()
            case fx.CloseConnections(account, device):
                self._close_connections(account, device)
            case _:
                self._obey_rest(effect)

    def _obey_rest(self, effect: object) -> None:
        match effect:
            case fx.KeepChain(chain):
                assert isinstance(chain.certificate, Certificate), "simulations have no driver"
                self._effects.apply(self._store.pin(chain.certificate))
            case fx.KeepRevocations(account, revocations):
                name = list_file(account, revocations)
                self._effects.apply([Persist(name, revocations.der)])
            case fx.ChainFound(op) | fx.ChainMissing(op) | fx.DevicesFound(op):
                self._answer(op, effect)
            case fx.TrustRequestDone(_, account, count):
                self._publish(ev.RequestSent(self.engine.account, account, count))
            case fx.TrustRequestPut():
                pass
            case fx.Published(is_announced):
                self._published(is_announced)
            case _:
                assert isinstance(effect, ev.EVENTS), f"nobody carries out {effect!r}"
                self._publish(effect)

    def _answer(self, op: int, event: object) -> None:
        answer = self._waiting.get(op)
        if answer is not None and not answer.done():
            answer.set_result(event)

    def _computed(self, number: int, result: object) -> None:
        if isinstance(result, BaseException):
            _log.error("! a job failed: %s", result, exc_info=result)
        if not self._is_closed:
            self._run(lambda now: self.engine.computed(number, result, now))

    def _published(self, is_announced: bool) -> None:
        state = ev.AccountState.ANNOUNCED if is_announced else ev.AccountState.STARTING
        if is_announced:
            self._announced.set()
        else:
            self._announced.clear()
        self._set_state(state)

    def _set_state(self, state: ev.AccountState) -> None:
        if state is not self.state:
            self.state = state
            self._publish(ev.AccountStateChanged(self.engine.account, state))

    def _publish(self, event: ev.NodeEvent) -> None:
        self._bus.publish(event)

    # Connections

    def _send_signal(self, signal: SendSignal) -> None:
        self._run(lambda now: self.engine.send_signal(signal, now))

    def _heard(self, event: ConnectionUp | ConnectionDown | AttemptEnded | Persist) -> None:
        match event:
            case ConnectionUp(info):
                path = describe_path(info.path)
                self._publish(
                    ev.ConnectionOpened(self.engine.account, info.account, info.device, path)
                )
                self._run(lambda now: self.engine.connection_opened(info.account, info.device, now))
            case ConnectionDown(_, peer, error):
                self._connection_down(peer, error)
            case Persist(_, data):
                self._effects.apply([Persist(TREATED_FILE, data)])
            case AttemptEnded():
                pass

    def _connection_down(self, peer: Peer, error: Exception | None) -> None:
        if any(each.device == peer.device for each in self.connections.connections()):
            return
        reason = "" if error is None else str(error)
        self._publish(ev.ConnectionClosed(self.engine.account, peer.account, peer.device, reason))
        self._run(lambda now: self.engine.connection_closed(peer.account, peer.device, now))

    def _close_connections(self, account: AccountId, device: DeviceId | None) -> None:
        if device is None:
            self.connections.close_account(account)
        else:
            self.connections.close_device(device)

    def _unwant(self, device: DeviceId) -> None:
        self._wanted[device] -= 1
        if not self._wanted[device]:
            del self._wanted[device]

    async def _until_closed(self, channel: Channel, device: DeviceId) -> None:
        try:
            await channel.wait_closed()
        finally:
            self._unwant(device)

    # Channels

    def _accepted(self, channel: Channel) -> None:
        """Take a channel that a peer opened, which `accepts` has agreed to."""
        self._publish_channel(channel, is_incoming=True)
        if channel.name.startswith(SYNC_SCHEME):
            peer = channel.peer
            assert isinstance(peer, DeviceChain), "we hand out no others"
            number = self._adopt(channel)
            self._run(lambda now: self.engine.sync_accepted(number, peer, now))
            return
        handler = self.handlers.handler(channel.name)
        if handler is None:  # it was taken away a moment ago
            channel.close()
        else:
            self._tasks.start(_serve(channel, handler))

    def _publish_channel(self, channel: Channel, *, is_incoming: bool) -> None:
        peer = channel.peer
        self._publish(
            ev.ChannelOpened(
                self.engine.account, peer.account, peer.device, channel.name, is_incoming
            )
        )

    def _adopt(self, channel: Channel) -> int:
        number = next(self._numbers)
        self._channels[number] = channel
        self._tasks.start(self._pump(number, channel))
        return number

    async def _pump(self, number: int, channel: Channel) -> None:
        """Hand the packets of a sync channel to the engine, to its end."""
        try:
            async for packet in channel:
                self.apply(self.engine.channel_received(number, packet, self._now))
        except NetError as error:
            _log.info("x %s: %s", channel.name, error)
        finally:
            channel.close()
            del self._channels[number]
            if not self._is_closed:
                self._run(lambda now: self.engine.channel_closed(number, now))

    async def _open_sync(self, order: fx.OpenChannel) -> None:
        try:
            channel = await self.connections.connect(
                order.peer,
                order.name,
                connection_type=order.connection_type,
                ways=self._dialing.ways,
            )
        except NetError as error:
            _log.info("x %s: %s", order.name[:16], error)
            peer = order.peer
            self._run(lambda now: self.engine.connection_failed(peer.account, peer.device, now))
            self._run(lambda now: self.engine.channel_failed(order.op, now))
            return
        number = self._adopt(channel)
        self._publish_channel(channel, is_incoming=False)
        self._run(lambda now: self.engine.channel_opened(order.op, number, now))

    def _send(self, number: int, data: bytes) -> None:
        channel = self._channels.get(number)
        if channel is None:
            return
        try:
            channel.write(data)
        except NetError as error:
            _log.info("x %s: %s", channel.name, error)
            channel.close()

    async def _follow_dht(self) -> None:
        """Try again at once what had failed, as soon as the DHT is connected."""
        async for is_connected in self._port.connections():
            self._look_at_addresses()
            if is_connected:
                self._run(self.engine.network_changed)

    def _look_at_addresses(self) -> None:
        """Tell connections how the DHT sees us."""
        addresses = self._port.public_addresses
        self.connections.set_public_addresses([addr.ip for addr in addresses])


async def _serve(channel: Channel, handler: Callable[[Channel], Any]) -> None:
    """Run the handler of a channel; the channel ends with it."""
    try:
        await handler(channel)
    finally:
        channel.close()
