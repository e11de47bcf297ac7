"""Ways through NATs: out, in, nested, and back inside."""

from __future__ import annotations

from dataclasses import replace

from shoal.core import Address, SendDatagram
from shoal.sim import Conditions, Constant, Gateway, Host, Network, Place
from shoal.sim.nat import FULL_CONE, PORT_RESTRICTED_CONE, SYMMETRIC, Hairpinning, NatBehaviour
from tests.unit.sim.toys import Echo, Sink

STILL = Conditions(latency=Constant(0.05), jitter=0.0, lan_delay=0.001)


class World:
    """A network whose hosts keep what they receive."""

    def __init__(self) -> None:
        self.network = Network(1, STILL)

    def host(self, behind: Gateway | None = None) -> tuple[Host, Sink]:
        """A host that keeps what it receives."""
        sink = Sink()
        return self.network.add_host(sink, behind=behind), sink

    def send(self, source: Host, target: Address, data: bytes = b"hi") -> None:
        """Send a datagram, and wait until it is wherever it gets."""
        self.network.apply(source, [SendDatagram(data, target)])
        self.network.run(self.network.now + 1.0)

    def seen_from(self, source: Host) -> Address:
        """The address under which a public host sees *source*."""
        server, sink = self.host()
        self.send(source, server.address)
        return sink.received[0][1]


def test_a_host_behind_a_nat_is_answered_under_its_external_address() -> None:
    """Out through the NAT, echoed, and back in."""
    world = World()
    gateway = world.network.add_gateway(PORT_RESTRICTED_CONE)
    home, sink = world.host(gateway)
    server = world.network.add_host(Echo())
    world.send(home, server.address)
    (datagram, source, moment) = sink.received[0]
    assert (datagram, source, moment) == (b"hi", server.address, 0.1)
    assert home.address.ip[0] == 10


def test_a_stranger_does_not_get_in() -> None:
    """Filtered by the NAT, and counted."""
    world = World()
    home, sink = world.host(world.network.add_gateway(PORT_RESTRICTED_CONE))
    external = world.seen_from(home)
    stranger, _ = world.host()
    world.send(stranger, external)
    assert not sink.received
    assert world.network.stats.translated_away == 1


def test_hosts_of_one_home_talk_directly() -> None:
    """Private addresses, at the speed of the local network."""
    world = World()
    gateway = world.network.add_gateway(SYMMETRIC)
    (a, _), (b, sink) = world.host(gateway), world.host(gateway)
    world.send(a, b.address)
    assert sink.received == [(b"hi", a.address, 0.001)]


def test_private_addresses_mean_nothing_elsewhere() -> None:
    """Sent to a private address of another home, a datagram goes nowhere."""
    world = World()
    a, _ = world.host(world.network.add_gateway(FULL_CONE))
    other = world.network.add_gateway(FULL_CONE)
    world.host(other)
    b, sink = world.host(other)
    world.send(a, b.address)
    assert not sink.received
    assert world.network.stats.unreachable == 1


def test_two_homes_reach_each_other_by_external_addresses() -> None:
    """Endpoint-independent filters let the first datagram in."""
    world = World()
    a, _ = world.host(world.network.add_gateway(FULL_CONE))
    b, sink = world.host(world.network.add_gateway(FULL_CONE))
    external = world.seen_from(b)
    world.send(a, external)
    assert [data for data, _, _ in sink.received] == [b"hi"]
    assert sink.received[0][1] == world.seen_from(a)


def test_hole_punching_works_between_cones_and_fails_between_symmetric_nats() -> None:
    """Both send to where a server saw the other: the reason why mapping behaviours have names."""
    outcomes = []
    for behaviour in (PORT_RESTRICTED_CONE, SYMMETRIC):
        world = World()
        ends = [world.host(world.network.add_gateway(behaviour)) for _ in range(2)]
        external = [world.seen_from(host) for host, _ in ends]
        for _ in range(2):
            world.send(ends[0][0], external[1])
            world.send(ends[1][0], external[0])
        outcomes.append([bool(sink.received) for _, sink in ends])
    assert outcomes == [[True, True], [False, False]]


def test_hairpins_turn_back_inside() -> None:
    """A neighbour is reached by its external endpoint, if the NAT hairpins."""
    for hairpinning in Hairpinning:
        world = World()
        gateway = world.network.add_gateway(replace(FULL_CONE, hairpinning=hairpinning))
        (a, _), (b, sink) = world.host(gateway), world.host(gateway)
        external_a, external_b = world.seen_from(a), world.seen_from(b)
        world.send(a, external_b)
        seen = [source for _, source, _ in sink.received]
        assert (
            seen
            == {
                Hairpinning.NONE: [],
                Hairpinning.EXTERNAL_SOURCE: [external_a],
                Hairpinning.INTERNAL_SOURCE: [a.address],
            }[hairpinning]
        )


def test_a_hairpin_to_a_host_that_left_is_unreachable() -> None:
    """The mapping outlives the host."""
    world = World()
    gateway = world.network.add_gateway(FULL_CONE)
    (a, _), (b, _) = world.host(gateway), world.host(gateway)
    external = world.seen_from(b)
    world.network.remove(b)
    world.send(a, external)
    assert world.network.stats.unreachable == 1


def nested(inner: NatBehaviour, outer: NatBehaviour) -> tuple[World, Gateway, Gateway]:
    """Two homes behind one carrier-grade NAT."""
    world = World()
    carrier = world.network.add_gateway(outer)
    homes = [world.network.add_gateway(inner, behind=carrier) for _ in range(2)]
    return world, homes[0], homes[1]


def test_nested_nats_translate_twice() -> None:
    """Out through home and carrier, and back in through both."""
    world, home, _ = nested(PORT_RESTRICTED_CONE, SYMMETRIC)
    host, sink = world.host(home)
    server = world.network.add_host(Echo())
    world.send(host, server.address)
    assert [data for data, _, _ in sink.received] == [b"hi"]
    assert len(home.nat) == len(home.outer.gateway.nat if home.outer.gateway else ()) == 1


def test_homes_behind_one_carrier_meet_in_its_realm() -> None:
    """By the carrier's inner addresses, without passing the carrier's NAT."""
    world, first, second = nested(FULL_CONE, SYMMETRIC)
    (a, _), (b, sink) = world.host(first), world.host(second)
    helper, helper_sink = world.host(first.outer.gateway)
    world.send(b, helper.address)
    inner_b = helper_sink.received[0][1]
    world.send(a, inner_b)
    assert len(sink.received) == 1
    assert sink.received[0][2] == 1.001  # sent at 1, over the local network


def test_homes_behind_one_carrier_hairpin_through_it() -> None:
    """By the carrier's external endpoint, which turns the datagram back and into the other home."""
    world, first, second = nested(FULL_CONE, FULL_CONE)
    (a, _), (b, sink) = world.host(first), world.host(second)
    external_b = world.seen_from(b)
    world.send(a, external_b)
    assert [source for _, source, _ in sink.received] == [world.seen_from(a)]


def test_a_nat_that_is_full_drops_what_leaves() -> None:
    """Counted as translated away."""
    world = World()
    gateway = world.network.add_gateway(FULL_CONE)
    server, sink = world.host()
    host, _ = world.host(gateway)
    gateway.nat.outbound = lambda *_: None  # type: ignore[method-assign]
    world.send(host, server.address)
    assert not sink.received
    assert world.network.stats.translated_away == 1


def test_no_hairpin_at_the_carrier_drops() -> None:
    """The outer NAT does not turn back either."""
    world, first, second = nested(FULL_CONE, SYMMETRIC)
    (a, _), (b, sink) = world.host(first), world.host(second)
    external_b = world.seen_from(b)
    world.send(a, external_b)
    assert not sink.received
    assert world.network.stats.translated_away == 1


def test_a_gateway_stands_where_it_is_put() -> None:
    """Hosts behind it stand there too."""
    world = World()
    gateway = world.network.add_gateway(FULL_CONE, place=Place(3, 0.01))
    assert world.host(gateway)[0].place == Place(3, 0.01)


def test_nobody_behind_a_nat_hears_of_closed_ports() -> None:
    """Notices are not translated: a NAT swallows them."""
    world = World()
    world.network.conditions = replace(STILL, unreachable_notices=1.0)
    home, _ = world.host(world.network.add_gateway(FULL_CONE))
    server, _ = world.host()
    world.network.crash(server)
    world.send(home, server.address)
    assert world.network.stats.unreachable == 1
