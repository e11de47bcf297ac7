"""Connections engines on simulated hosts: TCP, NATs and faults are real, only keys are not."""

from __future__ import annotations

from collections import Counter, deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeVar

from shoal.core import Persist
from shoal.crypto.testing import SeededSuite
from shoal.net.config import ConnectionsConfig
from shoal.net.effects import (
    AttemptEnded,
    ChannelAccepted,
    ChannelClosed,
    ChannelId,
    ChannelOpened,
    ChannelReceived,
    ClosePipe,
    ConnectionDown,
    Effect,
    FindAddresses,
    IceAction,
    OpenFailed,
    OpenPipe,
    SendPipe,
    SendSignal,
    SetReading,
)
from shoal.net.engine import ConnectionsEngine
from shoal.net.ice import IceConfig, IceEngine
from shoal.net.tls.testing import CarryingTls
from shoal.sim import Conditions, Constant, Network
from shoal.sim.ice import SimIceSockets
from shoal.sim.tcp import Tcp
from tests.unit.net.devices import SimulatedPeer, simulated

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Sequence

    from shoal.core import Address
    from shoal.net.errors import ConnectError
    from shoal.net.ice.effects import Effect as IceEffect
    from shoal.net.peer import Peer
    from shoal.net.signalling import PeerRequest
    from shoal.sim.hosts import Gateway, Host

_E = TypeVar("_E")

DELAY = 0.02  # seconds, one way
SIGNAL_DELAY = 0.3  # seconds that the DHT takes


@dataclass
class Policy:
    """What one device allows."""

    blocked: set[bytes] = field(default_factory=set)
    declined: set[str] = field(default_factory=lambda: {"no"})

    def may_connect(self, peer: Peer) -> bool:
        """Everybody but blocked accounts."""
        return peer.account not in self.blocked

    def accepts(self, peer: Peer, name: str) -> bool:
        """Everything but declined names."""
        return name not in self.declined


class Device:
    """A device on its host."""

    def __init__(self, world: World, name: str, account: str | None, config: ConnectionsConfig):
        self.world = world
        self.peer: SimulatedPeer = simulated(name, account)
        self.policy = Policy()
        self.events: list[Effect] = []
        self.sent: list[SendSignal] = []
        self.sockets: dict[int, SimIceSockets] = {}
        self.open_pipe: Callable[[Device, OpenPipe], None] | None = None
        self.reads = True  # whether what comes on channels is read at once
        self.said: dict[ChannelId, bytes] = {}
        self._queue: deque[Effect] = deque()
        self._is_applying = False
        self._ops = 0
        suite, entropy = SeededSuite(), world.network.entropy("device", name)
        self.engine = ConnectionsEngine(
            self.peer.device,
            tls=CarryingTls(suite.identity(name), suite),
            ice=lambda *, is_controlling: IceEngine(
                IceConfig(), entropy, is_controlling=is_controlling
            ),
            policy=self.policy,
            entropy=entropy,
            config=config,
        )
        self.host: Host

    # What tests do

    def connect(self, other: Device, name: str = "sip", **wishes: object) -> int:
        """Ask for a channel; return the operation's id."""
        self._ops += 1
        op = self._ops
        self.run(lambda now: self.engine.connect(op, other.peer, name, now, **wishes))  # type: ignore[arg-type]
        return op

    def opened(self, op: int) -> ChannelId:
        """Return the channel that *op* opened."""
        (found,) = [e for e in self.of(ChannelOpened) if e.op == op]
        return found.channel

    def failed(self, op: int) -> ConnectError:
        """Return why *op* failed."""
        (found,) = [e for e in self.of(OpenFailed) if e.op == op]
        return found.error

    def of(self, kind: type[_E]) -> list[_E]:
        """Return the events of a kind so far."""
        return [event for event in self.events if isinstance(event, kind)]

    def ends(self) -> Counter[int]:
        """Return how often each operation has ended."""
        return Counter(e.op for e in self.events if isinstance(e, ChannelOpened | OpenFailed))

    def accepted(self) -> list[ChannelId]:
        """Return the channels that others opened."""
        return [event.channel for event in self.of(ChannelAccepted)]

    def write(self, channel: ChannelId, data: bytes) -> None:
        """Send."""
        self.run(lambda now: self.engine.write(channel, data, now))

    def open_sockets(self) -> int:
        """Return how many sockets the device has."""
        return sum(each.open_count for each in self.sockets.values())

    # The host's side

    def run(self, command: Callable[[float], Sequence[Effect]]) -> None:
        """Run a command of the engine, and carry out what it orders."""
        self._queue += command(self.world.network.now)
        self._carry_out()
        self.world.network.apply(self.host, ())

    def receive(self, datagram: bytes, addr: Address, now: float) -> Sequence[object]:
        """Nothing arrives at the host's own port."""
        return ()

    def next_deadline(self) -> float | None:
        """The engine's."""
        return self.engine.next_deadline()

    def advance(self, now: float) -> Sequence[object]:
        """Let the engine do what is due."""
        self._queue += self.engine.advance(now)
        self._carry_out()
        return ()

    def _carry_out(self) -> None:
        if self._is_applying:
            return
        self._is_applying = True
        while self._queue:
            self._apply(self._queue.popleft())
        self._is_applying = False

    def _apply(self, effect: Effect) -> None:
        network, engine = self.world.network, self.engine
        match effect:
            case FindAddresses(attempt):
                hosts = [end.address.ip for end in self.host.endpoints]
                public = self.world.seen(self)
                self.run(lambda now: engine.addresses_found(attempt, hosts, public, now))
            case IceAction(attempt, action):
                self._sockets_of(attempt).carry_out(action)
            case SendSignal():
                self.sent.append(effect)
                self.world.carry(self, effect)
            case OpenPipe():
                assert self.open_pipe is not None, "nobody wanted another way"
                self.open_pipe(self, effect)
            case SendPipe(pipe, data):
                self.world.send_pipe(self, pipe, data)
            case ClosePipe(pipe):
                self.world.close_pipe(self, pipe)
            case ChannelReceived(channel, data):
                self.said[channel] = self.said.get(channel, b"") + data
                if self.reads:
                    self._queue += engine.consumed(channel, len(data), 1, network.now)
            case _:
                self.events.append(effect)

    def _sockets_of(self, attempt: int) -> SimIceSockets:
        found = self.sockets.get(attempt)
        if found is None:

            def feed(command: Callable[[IceEngine, float], Sequence[IceEffect]]) -> None:
                if self.host.is_running:
                    self.run(lambda now: self.engine.ice_input(attempt, command, now))

            found = self.sockets[attempt] = SimIceSockets(self.world.tcp, self.host, feed)
        return found


class World:
    """A network with devices, and something that carries their signals."""

    def __init__(self, seed: int = 1, conditions: Conditions | None = None) -> None:
        self.network = Network(seed, conditions or Conditions(latency=Constant(DELAY)))
        self.tcp = Tcp(self.network)
        self.devices: list[Device] = []
        self.carries = True
        self.signals: list[tuple[Device, Device, PeerRequest]] = []
        self._pipes: dict[Hashable, tuple[Device, Device, Hashable]] = {}

    def add(
        self,
        name: str,
        *,
        account: str | None = None,
        config: ConnectionsConfig | None = None,
        behind: Gateway | None = None,
    ) -> Device:
        """Start a device."""
        device = Device(self, name, account, config or ConnectionsConfig())
        device.host = self.network.add_host(device, name=name, behind=behind)
        self.devices.append(device)
        return device

    def pair(self, **wishes: object) -> tuple[Device, Device]:
        """Start alice and bob; alice has the smaller device id."""
        alice, bob = self.add("alice", **wishes), self.add("bob", **wishes)  # type: ignore[arg-type]
        if alice.peer.device > bob.peer.device:
            return bob, alice
        return alice, bob

    def run(self, seconds: float) -> None:
        """Let time pass."""
        self.network.run(self.network.now + seconds)

    def seen(self, device: Device) -> list[bytes]:
        """Return the address under which the world sees a device."""
        own = device.host.ipv4
        assert own is not None
        gateway = own.realm.gateway
        return [own.address.ip] if gateway is None else [gateway.nat.external[0]]

    # Signals

    def carry(self, sender: Device, signal: SendSignal) -> None:
        """Deliver a signal, after a while."""
        (target,) = [each for each in self.devices if each.peer.device == signal.peer.device]
        self.signals.append((sender, target, signal.request))
        if self.carries:
            self.deliver(sender, target, signal.request)

    def deliver(self, sender: Device, target: Device, request: PeerRequest) -> None:
        """Deliver a signal if both hosts are there."""

        def arrive() -> None:
            if target.host.is_running and not self.network.is_cut(sender.host, target.host):
                target.run(
                    lambda now: target.engine.signal_received(
                        request, sender.peer, now, route="long"
                    )
                )

        self.network.call_at(self.network.now + SIGNAL_DELAY, arrive)

    # Pipes: another transport, for which a link is a pair of keys

    def join(self, caller: Device, callee: Device, order: OpenPipe, way: object) -> None:
        """Make a pipe."""
        near, far = ("near", order.attempt), ("far", caller.peer.device, order.attempt)
        self._pipes[near] = caller, callee, far
        self._pipes[far] = callee, caller, near
        callee.run(lambda now: callee.engine.accept_pipe(far, caller.peer, order.way, now))
        caller.run(lambda now: caller.engine.pipe_opened(order.attempt, near, now))

    def send_pipe(self, sender: Device, pipe: Hashable, data: bytes) -> None:
        """Deliver bytes."""
        if pipe in self._pipes:
            _, other, end = self._pipes[pipe]
            self._later(lambda: other.run(lambda now: other.engine.pipe_received(end, data, now)))

    def close_pipe(self, sender: Device, pipe: Hashable) -> None:
        """Deliver the end."""
        found = self._pipes.pop(pipe, None)
        if found is not None:
            _, other, end = found
            self._later(lambda: other.run(lambda now: other.engine.pipe_eof(end, now)))

    def _later(self, action: Callable[[], None]) -> None:
        self.network.call_at(self.network.now + DELAY, action)


def connected(world: World, caller: Device, callee: Device, name: str = "sip") -> ChannelId:
    """Open a channel, which must succeed."""
    op = caller.connect(callee, name)
    world.run(5.0)
    return caller.opened(op)


__all__ = [
    "AttemptEnded",
    "ChannelClosed",
    "ConnectionDown",
    "Persist",
    "SetReading",
]
