"""`Connections`: the connections of one device, as an asyncio object."""

# ruff: noqa: ASYNC109 - connecting takes a timeout, because cancelling it has effects of its own

from __future__ import annotations

import asyncio
import logging
from collections import deque
from functools import partial
from typing import TYPE_CHECKING, Final, Self, TypeAlias, TypeVar

from shoal.core import DeviceId, Persist, ShoalError
from shoal.core.driver import SystemEntropy
from shoal.identity import TreatedIds
from shoal.net.driver.channel import Channel
from shoal.net.driver.direct import DirectLinks
from shoal.net.effects import (
    AttemptEnded,
    ChannelAccepted,
    ChannelClosed,
    ChannelId,
    ChannelOpened,
    ChannelReceived,
    ClosePipe,
    ConnectionDown,
    ConnectionUp,
    Effect,
    FindAddresses,
    IceAction,
    OpenFailed,
    OpenPipe,
    SendPipe,
    SendSignal,
    SetReading,
    Way,
)
from shoal.net.engine import ConnectionsEngine
from shoal.net.errors import ConnectionsClosedError, DialError, SendBufferFullError
from shoal.net.ice import IceConfig, IceEngine
from shoal.net.ice.driver import IceSockets, local_addresses
from shoal.net.multiaddr import Multiaddr
from shoal.net.tls.driver import TlsIdentity

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Hashable, Sequence

    from shoal.core import AccountId, Address
    from shoal.crypto import Identity
    from shoal.net.config import ConnectionsConfig
    from shoal.net.errors import NetError
    from shoal.net.ice.driver.sockets import Command, Mapper
    from shoal.net.peer import ChannelPolicy, Peer
    from shoal.net.signalling import PeerRequest
    from shoal.net.trace import AttemptTrace, ConnectionInfo, ConnectionsStats

FindAddressesOf: TypeAlias = "Callable[[Peer], Awaitable[Sequence[Multiaddr]]]"

BUFFERED_MAX: Final = 64 * 1024 * 1024  # bytes that a writer who never waits may pile up, ours

_log = logging.getLogger(__name__)

Item = TypeVar("Item")
Event: TypeAlias = ConnectionUp | ConnectionDown | AttemptEnded | Persist


class Connections:
    """All connections of one device of one account.

    Offers and answers go out by *send_signal*, which only sets out to deliver them, and come in by
    `signal_received`; the connections themselves do not know who carries them::

        async with Connections(identity, policy=policy, send_signal=carry) as connections:
            channel = await connections.connect(peer, "sip")

    Args:
        identity: the device's key and chain.
        policy: who may connect and open what.
        send_signal: delivers an offer or an answer; reports a failure by `signal_failed`, later.
        on_channel: takes a channel that a peer opened and the policy accepted.
        on_event: hears of connections and attempts, and keeps what is to persist.
        config: limits and times.
        ice: how paths are found.
        treated: what the last `Persist("treated", …)` said.
        hosts: says which addresses of this machine to offer; by default all but loopback.
        mapper: has the router forward ports to us, if given.
        find_addresses: finds the addresses that a device publishes, best first; without it there
            is no way but ICE.
    """

    def __init__(
        self,
        identity: Identity,
        *,
        policy: ChannelPolicy,
        send_signal: Callable[[SendSignal], None],
        on_channel: Callable[[Channel], None] | None = None,
        on_event: Callable[[Event], None] | None = None,
        config: ConnectionsConfig | None = None,
        ice: IceConfig | None = None,
        treated: Sequence[int] = (),
        hosts: Callable[[], Sequence[bytes]] | None = None,
        mapper: Mapper | None = None,
        find_addresses: FindAddressesOf | None = None,
    ) -> None:
        entropy = SystemEntropy()
        self._engine = ConnectionsEngine(
            DeviceId(identity.certificate.long_id),
            tls=TlsIdentity(identity),
            ice=partial(IceEngine, ice or IceConfig(), entropy),
            policy=policy,
            entropy=entropy,
            config=config,
            treated=TreatedIds(treated),
        )
        self._identity = identity
        self._mapper = mapper
        self._find_addresses = find_addresses
        self._direct: DirectLinks | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._send_signal = send_signal
        self._on_channel = on_channel or _close_unwanted
        self._on_event = on_event or _ignore
        self._hosts = hosts or local_addresses
        self._public: tuple[bytes, ...] = ()
        self._channels: dict[ChannelId, Channel] = {}
        self._opening: dict[int, asyncio.Future[Channel]] = {}
        self._sockets: dict[int, IceSockets] = {}
        self._closing: set[IceSockets] = set()
        self._effects: deque[Effect] = deque()
        self._is_applying = False
        self._timer: asyncio.TimerHandle | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._ops = 0
        self._is_closed = False

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *unused: object) -> None:
        await self.close()

    # Commands

    async def connect(
        self,
        peer: Peer,
        name: str,
        *,
        connection_type: str = "",
        ways: Sequence[Way] = (Way.ICE,),
        reuse: bool = True,
        timeout: float | None = None,
    ) -> Channel:
        """Open a channel called *name* to a device.

        It runs on a connection that is up, or else on the first that comes up.

        Args:
            peer: the device, with its checked chain.
            name: what the channel is called.
            connection_type: what for; a hint that travels with the offer.
            ways: how to reach the device, all at once.
            reuse: whether a connection that is up will do.
            timeout: seconds for all of it. Each step has a limit of its own besides.

        Raises:
            ConnectError: it failed; the error says at which step, and why.
            ChannelNameError: no channel can be called so.
            TooManyAttemptsError: too much is under way.
            ConnectionsClosedError: all connections are, or were, closed here.
            TimeoutError: the time given has passed.
        """
        if self._is_closed:
            raise ConnectionsClosedError
        self._ops += 1
        op = self._ops
        command = partial(
            self._engine.connect,
            op,
            peer,
            name,
            connection_type=connection_type,
            ways=tuple(ways),
            reuse=reuse,
        )
        opened = self._opening[op] = asyncio.get_running_loop().create_future()
        try:
            self._run(command)
            async with asyncio.timeout(timeout):
                channel: Channel = await opened
                return channel
        except (asyncio.CancelledError, TimeoutError):
            if opened.done() and not opened.cancelled() and opened.exception() is None:
                opened.result().close()
            else:
                self._run(partial(self._engine.cancel, op))
            raise
        finally:
            self._opening.pop(op, None)

    def signal_received(self, request: PeerRequest, sender: Peer, *, route: str = "") -> None:
        """Take an offer or an answer of a device whose chain was checked."""
        self._run(partial(self._engine.signal_received, request, sender, route=route))

    def signal_failed(self, attempt: int, reason: str) -> None:
        """Learn that an offer or an answer could not be delivered."""
        self._run(partial(self._engine.signal_failed, attempt, reason))

    def set_public_addresses(self, addresses: Sequence[bytes]) -> None:
        """Learn under which IP addresses others see this machine; new attempts offer them."""
        self._public = tuple(addresses)

    def listen(self, local: Address) -> Multiaddr:
        """Let devices connect to *local* directly, by TCP; return the address to publish.

        Port 0 is any. What is published is for the caller to decide.

        Raises:
            OSError: the address cannot be listened on.
        """
        return Multiaddr.tcp(self._links().listen(local))

    def close_account(self, account: AccountId) -> None:
        """Close everything to the devices of an account."""
        self._run(partial(self._engine.close_account, account))

    def close_device(self, device: DeviceId) -> None:
        """Close everything to one device."""
        self._run(partial(self._engine.close_device, device))

    def close_connection(self, connection: int) -> None:
        """Close one connection."""
        self._run(partial(self._engine.close_connection, connection))

    def network_changed(self) -> None:
        """Learn that the network below has changed: see which connections still live."""
        self._run(self._engine.network_changed)

    async def close(self) -> None:
        """Close everything, and wait until no socket is left; harmless twice."""
        self._is_closed = True
        if self._loop is not None:
            self._run(self._engine.close)
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self._direct is not None:
            self._direct.close()
        for sockets in [*self._sockets.values()]:
            self._let_go(sockets)
        self._sockets.clear()
        while self._closing:
            sockets = self._closing.pop()
            await sockets.wait_closed()
        if self._direct is not None:
            await self._direct.wait_closed()
        if self._timer is not None:
            self._timer.cancel()

    # What it is

    def connections(self) -> list[ConnectionInfo]:
        """Return the connections that are up."""
        return self._engine.connections()

    def connection(self, number: int) -> ConnectionInfo | None:
        """Return one connection, if it is up."""
        return next((each for each in self.connections() if each.connection == number), None)

    def traces(self) -> list[AttemptTrace]:
        """Return the latest attempts that have ended, then those under way."""
        return self._engine.traces()

    @property
    def stats(self) -> ConnectionsStats:
        """Counters."""
        return self._engine.stats

    # For channels

    def write(self, channel: ChannelId, data: bytes) -> None:
        """Send on a channel."""
        if (waiting := self._buffered(channel.connection)) > BUFFERED_MAX:
            raise SendBufferFullError(f"{waiting} bytes wait to be sent")
        self._run(partial(self._engine.write, channel, data))

    def consumed(self, channel: ChannelId, size: int, packets: int) -> None:
        """Note that packets were read."""
        assert self._loop is not None, "that is how the packets came"
        effects = self._engine.consumed(channel, size, packets, self._loop.time())
        if effects:  # seldom; and without any nothing is due any sooner
            self._run(lambda _: effects)

    def close_channel(self, channel: ChannelId) -> None:
        """Close a channel."""
        self._run(partial(self._engine.close_channel, channel))

    async def drain(self, connection: int) -> None:
        """Wait until the network takes more of a connection."""
        sockets = self._sockets.get(connection)
        if sockets is not None:
            await sockets.drain()
        elif (pipe := self._engine.pipe_of(connection)) is not None:
            await self._links().drain(_link_of(pipe))

    # As the user of direct links

    def dialled(self, dial: int, link: int) -> None:
        """Tell the engine."""
        self._run(partial(self._engine.pipe_opened, dial, link))

    def dial_failed(self, dial: int, error: NetError) -> None:
        """Tell the engine."""
        self._run(partial(self._engine.pipe_failed, dial, error))

    def greeted(self, link: int, peer: Peer) -> None:
        """Tell the engine."""
        self._run(partial(self._engine.accept_pipe, link, peer, Way.DIRECT))

    def came(self, link: int, data: bytes | memoryview) -> None:
        """Tell the engine."""
        self._run(partial(self._engine.pipe_received, link, data))

    def ended(self, link: int) -> None:
        """Tell the engine."""
        self._run(partial(self._engine.pipe_eof, link))

    # Inside

    def _links(self) -> DirectLinks:
        """Return the direct links, which are made when they are first needed."""
        if self._direct is None:
            self._direct = DirectLinks(self._identity, self)
        return self._direct

    def _open_pipe(self, order: OpenPipe) -> None:
        """Look for a device's addresses and dial them."""
        attempt, peer = order.attempt, order.peer
        if order.way is not Way.DIRECT or self._find_addresses is None:
            self.dial_failed(attempt, DialError("there is no such way here"))
            return
        loop = asyncio.get_running_loop()
        task = loop.create_task(self._dial(attempt, peer, self._find_addresses))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _dial(self, attempt: int, peer: Peer, find: FindAddressesOf) -> None:
        try:
            self._links().dial(attempt, peer, await find(peer))
        except ShoalError as error:
            self.dial_failed(attempt, DialError(f"no addresses of the device: {error}"))
        except Exception:  # noqa: BLE001 - logged, and the dial fails
            _log.exception("! addresses could not be looked for")
            self.dial_failed(attempt, DialError("its addresses could not be looked for"))

    def _buffered(self, connection: int) -> int:
        """Return how many bytes wait to be sent."""
        sockets = self._sockets.get(connection)
        if sockets is not None:
            return sockets.buffered
        pipe = self._engine.pipe_of(connection)
        return 0 if pipe is None else self._links().buffered(_link_of(pipe))

    def _run(self, command: Callable[[float], Sequence[Effect]]) -> None:
        """Run a command of the engine, and carry out what it returns, after what waits already."""
        if self._loop is None:
            self._loop = asyncio.get_running_loop()
        self._effects += command(self._loop.time())
        if self._is_applying:
            return
        self._is_applying = True
        try:
            while self._effects:
                self._apply(self._effects.popleft())
        finally:
            self._is_applying = False
        self._set_timer(self._loop)

    def _set_timer(self, loop: asyncio.AbstractEventLoop) -> None:
        """Wake up for the engine; a timer that is early is left, since waking early is harmless."""
        deadline = self._engine.next_deadline()
        if deadline is None:
            return
        if self._timer is not None:
            if self._timer.when() <= deadline:
                return
            self._timer.cancel()
        self._timer = loop.call_at(deadline, self._wake)

    def _wake(self) -> None:
        self._timer = None
        self._run(self._engine.advance)

    def _apply(self, effect: Effect) -> None:
        match effect:
            case ChannelReceived(channel, data):
                if (stream := self._channels.get(channel)) is not None:
                    stream.feed(data)
            case IceAction(attempt, action):
                self._sockets_of(attempt).carry_out(action)
            case ChannelOpened(op, channel, peer, name):
                self._opened(op, self._new_channel(channel, peer, name))
            case ChannelAccepted(channel, peer, name):
                self._call(self._on_channel, self._new_channel(channel, peer, name))
            case ChannelClosed(channel, error):
                if (stream := self._channels.pop(channel, None)) is not None:
                    stream.end(error)
            case OpenFailed(op, failure):
                if (opening := self._opening.get(op)) is not None and not opening.done():
                    opening.set_exception(failure)
            case _:
                self._apply_rest(effect)

    def _apply_rest(
        self,
        effect: FindAddresses
        | SendSignal
        | OpenPipe
        | SendPipe
        | ClosePipe
        | SetReading
        | Persist
        | ConnectionUp
        | ConnectionDown
        | AttemptEnded,
    ) -> None:
        match effect:
            case FindAddresses(attempt):
                hosts = self._hosts()
                self._run(partial(self._engine.addresses_found, attempt, hosts, self._public))
            case SendSignal():
                self._call(self._send_signal, effect)
            case OpenPipe() | SetReading() | SendPipe() | ClosePipe():
                self._apply_pipe(effect)
            case Persist() | ConnectionUp():
                self._call(self._on_event, effect)
            case ConnectionDown(connection):
                self._release(connection)
                self._call(self._on_event, effect)
            case AttemptEnded(trace):
                if trace.error is not None:
                    self._release(trace.attempt)
                    if trace.way is Way.DIRECT and self._direct is not None:
                        self._direct.cancel(trace.attempt)
                _log.debug("= attempt %d to %s: %s", trace.attempt, trace.device, trace.error)
                self._call(self._on_event, effect)

    def _apply_pipe(self, effect: OpenPipe | SetReading | SendPipe | ClosePipe) -> None:
        match effect:
            case OpenPipe():
                self._open_pipe(effect)
            case SetReading(connection, is_paused):
                self._set_reading(connection, is_paused)
            case SendPipe(pipe, data):
                self._links().send(_link_of(pipe), data)
            case ClosePipe(pipe):
                self._links().close_link(_link_of(pipe))

    def _set_reading(self, connection: int, is_paused: bool) -> None:
        sockets = self._sockets.get(connection)
        if sockets is not None:
            (sockets.pause_reading if is_paused else sockets.resume_reading)()
        elif (pipe := self._engine.pipe_of(connection)) is not None:
            self._links().set_reading(_link_of(pipe), is_paused)

    def _opened(self, op: int, channel: Channel) -> None:
        opening = self._opening.get(op)
        if opening is None or opening.done():
            channel.close()
        else:
            opening.set_result(channel)

    def _new_channel(self, channel: ChannelId, peer: Peer, name: str) -> Channel:
        stream = self._channels[channel] = Channel(self, channel, peer, name)
        return stream

    def _sockets_of(self, attempt: int) -> IceSockets:
        sockets = self._sockets.get(attempt)
        if sockets is None:

            def feed(command: Command) -> None:
                self._run(partial(self._engine.ice_input, attempt, command))

            sockets = self._sockets[attempt] = IceSockets(feed, self._mapper)
        return sockets

    def _release(self, attempt: int) -> None:
        """Close what a connection has used."""
        if (sockets := self._sockets.pop(attempt, None)) is not None:
            self._let_go(sockets)

    def _let_go(self, sockets: IceSockets) -> None:
        sockets.close()
        self._closing = {each for each in self._closing if each.open_count}
        self._closing.add(sockets)

    def _call(self, function: Callable[[Item], None], argument: Item) -> None:
        """Call what we were handed; its errors are its own affair."""
        try:
            function(argument)
        except Exception:  # noqa: BLE001 - logged; one failure must not stop the rest
            _log.exception("! a callback of the connections failed")


def _link_of(pipe: Hashable) -> int:
    """Return the number of the direct link that a pipe is."""
    assert isinstance(pipe, int), "ours are numbers"
    return pipe


def _close_unwanted(channel: Channel) -> None:
    """Nobody takes channels here."""
    channel.close()


def _ignore(event: Event) -> None:
    """Nobody wants to hear."""
