"""The simulated TURN server refuses what a real one refuses."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from shoal.core import Address
from shoal.net import stun
from shoal.net.stun import Class, Message, Method
from shoal.net.turn.client import RelayTransport, TurnClient
from shoal.net.turn.effects import (
    Allocated,
    ConnectRefused,
    Effect,
    PeerConnected,
    PeerSent,
    SendToServer,
    TurnFailed,
)
from shoal.net.turn.errors import TurnCredentialsError, TurnUnreachableError
from shoal.sim import Conditions, Constant, Network, SeededEntropy
from shoal.sim.tcp import End, Tcp
from shoal.sim.turn import LIFETIME, PERMISSION_LIFETIME, TurnServer

if TYPE_CHECKING:
    from collections.abc import Sequence

    from shoal.sim.hosts import Endpoint

PASSWORD: Final = "pass"  # noqa: S105 - the model's


class ClientHost:
    """A host that runs one UDP client of the server, or one over TCP."""

    def __init__(self, client: TurnClient) -> None:
        self.client = client
        self.events: list[Effect] = []
        self.end: End | None = None
        self.endpoint: Endpoint | None = None
        self.server = Address(bytes(4), 0)
        self.network: Network | None = None

    def apply(self, effects: Sequence[Effect]) -> None:
        """Send what is to be sent."""
        for effect in effects:
            if not isinstance(effect, SendToServer):
                self.events.append(effect)
            elif self.end is not None:
                self.end.write(effect.data)
            else:
                assert self.network is not None
                assert self.endpoint is not None
                self.network.send_from(self.endpoint, effect.data, self.server)

    def receive(self, datagram: bytes, addr: Address, now: float) -> Sequence[object]:
        """Take a datagram of the server."""
        self.apply(self.client.receive(datagram, now))
        return ()

    def next_deadline(self) -> float | None:
        """The client's."""
        return self.client.next_deadline()

    def advance(self, now: float) -> Sequence[object]:
        """Let the client do what is due."""
        self.apply(self.client.advance(now))
        return ()

    def opened(self, end: End) -> None:
        """Begin."""
        assert self.network is not None
        self.apply(self.client.start(self.network.now))

    def received(self, end: End, data: bytes) -> None:
        """Take bytes of the server."""
        assert self.network is not None
        self.apply(self.client.receive(data, self.network.now))

    def ended(self, end: End) -> None:
        """Say so."""
        assert self.network is not None
        self.apply(self.client.server_lost(self.network.now))

    def broken(self, end: End, reason: str) -> None:
        """Say so."""
        self.ended(end)


class World:
    """A server, a client, and a peer."""

    def __init__(self, *, is_tcp: bool = False, password: str = PASSWORD) -> None:
        self.network = Network(1, Conditions(latency=Constant(0.01), jitter=0.0))
        self.tcp = Tcp(self.network)
        client = TurnClient(
            "user",
            password,
            SeededEntropy(2),
            transport=RelayTransport.TCP if is_tcp else RelayTransport.UDP,
            is_stream=is_tcp,
        )
        self.ours = ClientHost(client)
        idle = ClientHost(TurnClient("", "", SeededEntropy(3), transport=RelayTransport.UDP))
        self.server = TurnServer(self.tcp, self.network.add_host(idle), "user", PASSWORD)
        self.host = self.network.add_host(self.ours)
        self.peer = self.network.add_host(idle)
        self.ours.server, self.ours.network = self.server.addr, self.network
        self.ours.endpoint = self.host.ipv4
        self.is_tcp = is_tcp

    def start(self) -> Address:
        """Get an allocation."""
        if self.is_tcp:
            self.ours.end = self.tcp.connect(self.host, None, self.server.addr, self.ours)
        else:
            self.do(self.ours.client.start(self.network.now))
        self.run(1.0)
        event = self.ours.events[-1]
        assert isinstance(event, Allocated)
        return event.relayed

    def do(self, effects: list[Effect]) -> None:
        """Carry a command out."""
        self.ours.apply(effects)
        self.network.apply(self.host, ())

    def run(self, seconds: float) -> None:
        """Let time pass."""
        self.network.run(self.network.now + seconds)


def test_datagrams_need_a_permission() -> None:
    """Without one nothing goes in or out; it lapses when nobody renews it."""
    world = World()
    relayed = world.start()
    peer = world.peer.ipv4
    assert peer is not None
    world.network.send_from(peer, b"early", relayed)
    world.run(1.0)
    assert len(world.ours.events) == 1

    world.do(world.ours.client.permit(peer.address, world.network.now))
    world.run(1.0)
    world.network.send_from(peer, b"hello", relayed)
    world.run(1.0)
    assert world.ours.events[-1] == PeerSent(b"hello", peer.address)

    world.network.suspend(world.host)
    world.run(PERMISSION_LIFETIME)
    world.network.resume(world.host)
    world.network.send_from(peer, b"late", relayed)
    world.run(0.005)
    assert world.ours.events[-1] == PeerSent(b"hello", peer.address)


def test_an_allocation_lapses() -> None:
    """Unless it is refreshed."""
    world = World()
    relayed = world.start()
    world.run(LIFETIME * 3)
    assert relayed in world.server.allocations
    world.network.crash(world.host)
    world.run(LIFETIME + 1.0)
    assert world.server.allocations == {}


def test_credentials_and_silence() -> None:
    """A wrong password is refused, a deaf server is given up."""
    world = World(password="guess")  # noqa: S106 - wrong on purpose
    world.do(world.ours.client.start(0.0))
    world.run(1.0)
    (failed,) = world.ours.events
    assert isinstance(failed, TurnFailed)
    assert isinstance(failed.error, TurnCredentialsError)

    world = World()
    world.server.is_deaf = True
    world.do(world.ours.client.start(0.0))
    world.run(60.0)
    (failed,) = world.ours.events
    assert isinstance(failed, TurnFailed)
    assert isinstance(failed.error, TurnUnreachableError)


def test_connections_need_a_permission_and_a_binding() -> None:
    """A peer without permission is turned away, one that nobody binds after half a minute."""
    world = World(is_tcp=True)
    relayed = world.start()
    peer = world.peer
    user = Recorder()
    world.tcp.connect(peer, None, relayed, user)
    world.run(1.0)
    assert user.words == ["opened", "ended"]

    world.do(world.ours.client.permit(peer.address, world.network.now))
    world.run(1.0)
    end = world.tcp.connect(peer, None, relayed, user)
    world.run(1.0)
    event = world.ours.events[-1]
    assert isinstance(event, PeerConnected)
    assert event.peer == end.local
    world.run(31.0)
    assert user.words[-1] == "ended"


def test_connecting_for_a_client() -> None:
    """The server connects to a peer, or says that nobody listens there."""
    world = World(is_tcp=True)
    world.start()
    target = Address(world.peer.address.ip, 80)
    world.do(world.ours.client.connect(target, world.network.now))
    world.run(1.0)
    assert isinstance(world.ours.events[-1], ConnectRefused)
    user = Recorder()
    world.tcp.listen(world.peer, target, lambda end: user)
    world.do(world.ours.client.connect(target, world.network.now))
    world.run(1.0)
    assert isinstance(world.ours.events[-1], PeerConnected)


def test_the_control_connection_is_the_allocation() -> None:
    """When it ends, so does the allocation."""
    world = World(is_tcp=True)
    world.start()
    assert world.ours.end is not None
    world.ours.end.close()
    world.run(1.0)
    assert world.server.allocations == {}


def test_requests_out_of_place() -> None:
    """A binding is answered to anybody; garbage and a second allocation are not taken."""
    world = World()
    world.start()
    endpoint = world.host.ipv4
    assert endpoint is not None
    heard: list[bytes] = []

    def receive(data: bytes, addr: Address, now: float) -> Sequence[object]:
        heard.append(data)
        return ()

    endpoint.receive = receive
    probe = stun.encode(Message(Method.BINDING, Class.REQUEST, bytes(12)))
    world.network.send_from(endpoint, probe, world.server.addr)
    world.network.send_from(endpoint, b"garbage", world.server.addr)
    world.run(1.0)
    assert stun.decode(heard[0]).attributes == {"XOR-MAPPED-ADDRESS": endpoint.address}
    heard.clear()
    world.ours.apply(world.ours.client._ask(Method.ALLOCATE, {}, _ignore, _refuse, 0.0))  # noqa: SLF001
    world.run(1.0)
    assert stun.decode(heard[0]).error[0] == 437


def _ignore(message: Message, now: float) -> list[Effect]:
    return []


def _refuse(error: Exception) -> list[Effect]:
    return []


class Recorder:
    """Writes down what it hears."""

    def __init__(self) -> None:
        self.words: list[str] = []

    def opened(self, end: End) -> None:
        """Note it."""
        self.words.append("opened")

    def received(self, end: End, data: bytes) -> None:
        """Note it."""
        self.words.append("received")

    def ended(self, end: End) -> None:
        """Note it, and end our side."""
        self.words.append("ended")
        end.close()

    def broken(self, end: End, reason: str) -> None:
        """Note it."""
        self.words.append(reason)
