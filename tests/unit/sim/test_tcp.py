"""TCP in the simulator: opening, refusing, data, ends, resets, NATs, faults."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pytest

from shoal.core import Address, Family
from shoal.sim import Conditions, Constant, Network
from shoal.sim.errors import AddressTakenError, ScenarioError
from shoal.sim.nat import FULL_CONE, PORT_RESTRICTED_CONE, SYMMETRIC, NatBehaviour
from shoal.sim.tcp import End, Listening, Tcp

if TYPE_CHECKING:
    from collections.abc import Sequence

    from shoal.sim import Host

DELAY = 0.1


class Idle:
    """Nothing runs there."""

    def receive(self, datagram: bytes, addr: Address, now: float) -> Sequence[object]:
        """Take nothing."""
        return ()

    def next_deadline(self) -> float | None:
        """Want nothing."""
        return None

    def advance(self, now: float) -> Sequence[object]:
        """Do nothing."""
        return ()


@dataclass
class User:
    """Writes down what it hears, and when."""

    network: Network
    heard: list[tuple[str, float]] = field(default_factory=list)
    data: bytes = b""
    end: End | None = None

    def opened(self, end: End) -> None:
        """Note it."""
        self.note("opened")

    def received(self, end: End, data: bytes) -> None:
        """Keep it."""
        self.data += data

    def ended(self, end: End) -> None:
        """Note it."""
        self.note("ended")

    def broken(self, end: End, reason: str) -> None:
        """Note it."""
        self.note(reason)

    def accept(self, end: End) -> User:
        """Take an end of a listener's."""
        self.end = end
        self.note("accepted")
        return self

    def note(self, word: str) -> None:
        """Write down with the time."""
        self.heard.append((word, round(self.network.now, 3)))

    @property
    def words(self) -> list[str]:
        """What it heard, without the times."""
        return [word for word, _ in self.heard]


class World:
    """A server on the public network, and a client perhaps behind a NAT."""

    def __init__(
        self, nat: NatBehaviour | None = None, *, loss: float = 0.0, seed: int = 1
    ) -> None:
        conditions = Conditions(latency=Constant(DELAY), jitter=0.0, loss=loss)
        self.network = Network(seed, conditions)
        self.tcp = Tcp(self.network)
        self.server = self.network.add_host(Idle())
        gateway = None if nat is None else self.network.add_gateway(nat)
        self.gateway = gateway
        self.client = self.network.add_host(Idle(), behind=gateway)
        self.serving = User(self.network)
        self.asking = User(self.network)
        self.addr = Address(self.server.address.ip, 80)

    def listen(self, host: Host | None = None, port: int = 80) -> Listening:
        """Let the server listen."""
        host = host or self.server
        return self.tcp.listen(host, Address(host.address.ip, port), self.serving.accept)

    def connect(self, target: Address | None = None) -> End:
        """Let the client connect."""
        return self.tcp.connect(self.client, None, target or self.addr, self.asking)

    def run(self, seconds: float) -> None:
        """Let time pass."""
        self.network.run(self.network.now + seconds)


def test_a_connection_from_beginning_to_end() -> None:
    """One round trip to open, one way for data, and an orderly end."""
    world = World()
    world.listen()
    end = world.connect()
    end.write(b"too early")
    world.run(1.0)
    assert world.asking.heard == [("opened", 0.2)]
    assert world.serving.heard == [("accepted", 0.3)]

    end.write(b"x" * 200_000)
    end.write(b"end")
    end.close()
    world.run(1.0)

    assert world.serving.data == b"x" * 200_000 + b"end"
    assert world.serving.heard[1:] == [("ended", 1.1)]
    assert world.serving.end is not None
    assert world.serving.end.remote == end.local
    world.serving.end.close()
    world.run(5.0)
    assert world.asking.words == ["opened"]  # who has closed hears no more
    assert world.tcp.open_count(world.client) == 0
    assert world.tcp.open_count(world.server) == 1  # the listener


def test_nobody_listens() -> None:
    """Refused after a round trip; an address that nobody has is silence."""
    world = World()
    world.connect()
    world.connect(Address(bytes([99, 1, 2, 3]), 80))
    world.run(50.0)
    assert world.asking.heard == [("connection refused", 0.2)]
    world.run(50.0)
    assert world.asking.heard[1:] == [("timed out", 63.0)]
    assert world.tcp.open_count(world.client) == 0


def test_writing_to_an_end_that_was_closed() -> None:
    """A reset."""
    world = World()
    world.listen()
    end = world.connect()
    world.run(1.0)
    assert world.serving.end is not None
    world.serving.end.close()
    world.run(1.0)
    end.write(b"anybody?")
    world.run(5.0)
    assert world.asking.words == ["opened", "ended", "connection reset"]


def test_a_listener_that_goes_away() -> None:
    """Its connections stay; new ones are refused; its port is free again."""
    world = World()
    listening = world.listen()
    end = world.connect()
    world.run(1.0)
    listening.close()
    listening.close()
    world.connect()
    end.write(b"still")
    world.run(1.0)
    assert world.serving.data == b"still"
    assert world.asking.words == ["opened", "connection refused"]
    end.close()
    assert world.serving.end is not None
    world.serving.end.close()
    world.run(1.0)
    assert world.listen().local == world.addr


def test_a_listener_that_goes_away_during_the_opening() -> None:
    """The client was told yes, and hears a reset when it speaks."""
    world = World()
    listening = world.listen()
    end = world.connect()
    world.run(0.25)
    listening.close()
    end.write(b"hello")
    world.run(3.0)
    assert world.asking.words == ["opened", "connection reset"]
    assert world.serving.words == []


def test_addresses() -> None:
    """A port is taken once; a host has only its own addresses."""
    world = World()
    world.listen()
    with pytest.raises(AddressTakenError):
        world.listen()
    with pytest.raises(ScenarioError):
        world.tcp.listen(world.server, Address(bytes(4), 0), world.serving.accept)
    with pytest.raises(ScenarioError):
        world.tcp.connect(world.client, None, Address(bytes(16), 1), world.asking)
    ports = {world.connect().local.port for _ in range(5)}
    assert len(ports) == 5


def test_ipv6() -> None:
    """The same, in the public realm."""
    world = World()
    families = (Family.IPV4, Family.IPV6)
    both = [world.network.add_host(Idle(), families=families) for _ in range(2)]
    assert both[0].ipv6 is not None
    target = Address(both[0].ipv6.address.ip, 80)
    world.tcp.listen(both[0], target, world.serving.accept)
    world.tcp.connect(both[1], None, target, world.asking)
    world.run(1.0)
    assert world.asking.words == ["opened"]


@pytest.mark.parametrize("seed", range(5))
def test_loss_costs_time_and_no_data(seed: int) -> None:
    """A fifth of all segments vanish: everything arrives in order."""
    world = World(loss=0.2, seed=seed)
    world.listen()
    end = world.connect()
    world.network.run(200.0, lambda: "opened" in world.asking.words)
    for number in range(100):
        end.write(b"%3d" % number)
    end.close()
    world.run(200.0)
    assert world.serving.data == b"".join(b"%3d" % number for number in range(100))
    assert world.serving.words == ["accepted", "ended"]


def test_a_partition_breaks_it_in_the_end() -> None:
    """Half a minute is survived, two are not."""
    world = World()
    world.listen()
    end = world.connect()
    world.run(1.0)
    world.network.partition([world.client], [world.server])
    end.write(b"one")
    world.run(30.0)
    world.network.heal()
    world.run(40.0)
    assert world.serving.data == b"one"
    world.network.partition([world.client], [world.server])
    end.write(b"two")
    world.run(130.0)
    assert world.asking.words == ["opened", "timed out"]


def test_a_host_that_is_off_is_silent_and_one_that_rebooted_resets() -> None:
    """As machines do."""
    world = World()
    world.listen()
    end = world.connect()
    world.run(1.0)
    world.network.crash(world.server)
    end.write(b"hello")
    world.run(2.0)
    assert world.asking.words == ["opened"]
    world.tcp.drop_host(world.server)
    world.network.restart(world.server, Idle())
    world.run(20.0)
    assert world.asking.words == ["opened", "connection reset"]
    assert world.tcp.open_count(world.server) == 0


@pytest.mark.parametrize("nat", [FULL_CONE, PORT_RESTRICTED_CONE, SYMMETRIC])
def test_outwards_through_a_nat(nat: NatBehaviour) -> None:
    """The server sees an external address, the answers find their way back."""
    world = World(nat)
    world.listen()
    end = world.connect()
    world.run(1.0)
    assert world.serving.end is not None
    assert world.gateway is not None
    assert world.serving.end.remote.ip == world.gateway.tcp.external[0]
    world.serving.end.write(b"hello")
    world.run(1.0)
    assert world.asking.data == b"hello"
    end.close()


def test_inwards_through_a_nat() -> None:
    """A port that nobody mapped is silence; a forwarded one and an exposed host are reached."""
    world = World(PORT_RESTRICTED_CONE)
    assert world.gateway is not None
    inside = world.client
    world.client, world.server = world.server, inside
    world.listen(inside, 80)
    external = Address(world.gateway.tcp.external[0], 80)
    world.connect(external)
    world.run(20.0)
    assert world.asking.words == []

    assert world.gateway.tcp.forward(external, Address(inside.address.ip, 80))
    world.connect(external)
    world.run(1.0)
    assert world.asking.words == ["opened"]

    world.gateway.tcp.unforward(external)
    world.gateway.tcp.unforward(external)
    world.asking.heard.clear()
    world.connect(external)
    world.run(9.0)
    assert world.asking.words == []

    world.gateway.tcp.expose(inside.address.ip)
    world.connect(external)
    world.run(1.0)
    assert "opened" in world.asking.words


def test_half_open_connections_are_given_up() -> None:
    """A client that vanishes during the opening leaves nothing behind."""
    world = World()
    world.listen()
    world.connect()
    world.run(0.15)
    world.network.crash(world.client)
    world.run(70.0)
    assert world.tcp.open_count(world.server) == 1
    assert world.serving.words == []
