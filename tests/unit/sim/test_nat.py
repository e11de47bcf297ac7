"""The NATs of RFC 4787, requirement by requirement."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shoal.core import Address
from shoal.sim import SeededEntropy, nat
from shoal.sim.nat import (
    FULL_CONE,
    PORT_RESTRICTED_CONE,
    RESTRICTED_CONE,
    SYMMETRIC,
    Dependence,
    Hairpinning,
    Nat,
    NatBehaviour,
    Pooling,
    PortAssignment,
)

OUTSIDE = bytes((192, 0, 2, 1))
OUTSIDE_TOO = bytes((192, 0, 2, 2))
X = Address(bytes((10, 1, 0, 1)), 5000)
X2 = Address(bytes((10, 1, 0, 2)), 5000)
Y1 = Address(bytes((198, 51, 100, 1)), 1000)
Y1_OTHER_PORT = Y1._replace(port=1001)
Y2 = Address(bytes((198, 51, 100, 2)), 1000)

behaviours = st.builds(
    NatBehaviour,
    mapping=st.sampled_from(Dependence),
    filtering=st.sampled_from(Dependence),
    ports=st.sampled_from(PortAssignment),
    pooling=st.sampled_from(Pooling),
    hairpinning=st.sampled_from(Hairpinning),
    timeout=st.floats(1, 400),
    keeps_parity=st.booleans(),
    refreshes_inbound=st.booleans(),
)


def box(behaviour: NatBehaviour = FULL_CONE, *external: bytes) -> Nat:
    """A NAT with these external addresses."""
    return Nat(behaviour, external or [OUTSIDE], SeededEntropy(1))


def mapped(box: Nat, source: Address, target: Address, now: float = 0.0) -> Address:
    """The external endpoint of an outgoing datagram."""
    external = box.outbound(source, target, now)
    assert external is not None
    return external


@pytest.mark.parametrize(
    ("mapping", "same_address", "other_address"),
    [
        (Dependence.ENDPOINT_INDEPENDENT, True, True),
        (Dependence.ADDRESS_DEPENDENT, True, False),
        (Dependence.ADDRESS_AND_PORT_DEPENDENT, False, False),
    ],
)
def test_mapping_behaviour(mapping: Dependence, *, same_address: bool, other_address: bool) -> None:
    """Section 4.1: when X:x keeps its external endpoint for another target."""
    symmetric = box(NatBehaviour(mapping=mapping))
    first = mapped(symmetric, X, Y1)
    assert first == mapped(symmetric, X, Y1)
    assert (first == mapped(symmetric, X, Y1_OTHER_PORT)) is same_address
    assert (first == mapped(symmetric, X, Y2)) is other_address


@pytest.mark.parametrize(
    ("filtering", "same_address", "other_address"),
    [
        (Dependence.ENDPOINT_INDEPENDENT, True, True),
        (Dependence.ADDRESS_DEPENDENT, True, False),
        (Dependence.ADDRESS_AND_PORT_DEPENDENT, False, False),
    ],
)
def test_filtering_behaviour(
    filtering: Dependence, *, same_address: bool, other_address: bool
) -> None:
    """Section 5: from whom X:x hears after it sent to Y1:y1."""
    cone = box(NatBehaviour(filtering=filtering))
    external = mapped(cone, X, Y1)
    assert cone.inbound(external, Y1, 1.0) == X
    assert (cone.inbound(external, Y1_OTHER_PORT, 1.0) == X) is same_address
    assert (cone.inbound(external, Y2, 1.0) == X) is other_address
    assert cone.stats.filtered == 2 - same_address - other_address


def test_the_filter_is_of_the_internal_endpoint() -> None:
    """Having sent to Y2 through one mapping lets Y2 in through another (section 5's words)."""
    odd = box(replace(SYMMETRIC, filtering=Dependence.ADDRESS_DEPENDENT))
    through_first = mapped(odd, X, Y1)
    mapped(odd, X, Y2)
    assert odd.inbound(through_first, Y2, 1.0) == X


def test_nothing_enters_unmapped() -> None:
    """An external endpoint without a mapping leads nowhere."""
    cone = box()
    assert cone.inbound(Address(OUTSIDE, 5000), Y1, 0.0) is None
    assert cone.stats.unmapped == 1


@pytest.mark.parametrize("behaviour", [FULL_CONE, RESTRICTED_CONE, PORT_RESTRICTED_CONE, SYMMETRIC])
def test_unused_mappings_expire(behaviour: NatBehaviour) -> None:
    """REQ-5: gone after the timeout, alive until then."""
    cone = box(behaviour)
    external = mapped(cone, X, Y1)
    assert cone.inbound(external, Y1, behaviour.timeout) == X
    assert cone.inbound(external, Y1, behaviour.timeout + 0.1) is None
    assert (cone.stats.expired, len(cone)) == (1, 0)


def test_sending_refreshes_a_mapping_and_receiving_only_if_set() -> None:
    """REQ-6: outbound refresh is true; inbound refresh is a choice."""
    for refreshes_inbound in (False, True):
        cone = box(replace(PORT_RESTRICTED_CONE, refreshes_inbound=refreshes_inbound))
        external = mapped(cone, X, Y1)
        assert mapped(cone, X, Y1, 200.0) == external
        assert cone.inbound(external, Y1, 400.0) == X
        assert (cone.inbound(external, Y1, 600.0) == X) is refreshes_inbound


def test_a_permission_expires_though_its_mapping_lives() -> None:
    """X:x keeps sending to Y2, and Y1 is forgotten."""
    cone = box(RESTRICTED_CONE)
    external = mapped(cone, X, Y1)
    for moment in (100.0, 200.0, 300.0, 400.0):
        assert mapped(cone, X, Y2, moment) == external
    assert cone.inbound(external, Y1, 400.0) is None
    assert cone.inbound(external, Y2, 400.0) == X


def test_ports_are_preserved_unless_taken() -> None:
    """The first host keeps its port; the second gets another of the same parity (REQ-4)."""
    cone = box()
    assert mapped(cone, X, Y1) == Address(OUTSIDE, 5000)
    second = mapped(cone, X2, Y1)
    assert second.port != 5000
    assert second.port % 2 == 0
    assert second.port >= 1024


def test_port_overloading_tells_hosts_apart_by_their_remotes() -> None:
    """Two hosts share an external endpoint; an answer goes to whoever asked there."""
    cone = box(replace(PORT_RESTRICTED_CONE, ports=PortAssignment.OVERLOADING))
    shared = mapped(cone, X, Y1)
    assert mapped(cone, X2, Y2) == shared
    assert cone.inbound(shared, Y1, 1.0) == X
    assert cone.inbound(shared, Y2, 1.0) == X2
    assert cone.inbound(shared, Y1, 400.0) is None
    assert cone.stats.expired == 2


def test_sequential_ports_follow_one_another() -> None:
    """What port prediction hopes for, parity kept or not."""
    for keeps_parity, step in ((True, 2), (False, 1)):
        behaviour = replace(SYMMETRIC, ports=PortAssignment.SEQUENTIAL, keeps_parity=keeps_parity)
        predictable = box(behaviour)
        ports = [mapped(predictable, X, Y1._replace(port=port)).port for port in range(1, 5)]
        assert ports == [1024 + step * place for place in range(4)]


def test_well_known_ports_stay_well_known() -> None:
    """REQ-3a: the range of the internal port is kept."""
    random_ports = box(replace(SYMMETRIC, mapping=Dependence.ENDPOINT_INDEPENDENT))
    assert mapped(random_ports, X._replace(port=80), Y1).port < 1024
    assert mapped(random_ports, X, Y1).port >= 1024


def test_a_full_table_drops() -> None:
    """All 511 odd well-known ports in use: the next mapping fails and is counted."""
    cone = box(replace(FULL_CONE, ports=PortAssignment.RANDOM))
    hosts = [Address(bytes((10, 1, place >> 8, place & 255)), 81) for place in range(513)]
    ports = [cone.outbound(host, Y1, 0.0) for host in hosts]
    assert ports.count(None) == 1
    assert cone.stats.exhausted == 1
    assert len(set(ports)) == 513


def test_the_table_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Beyond MAPPINGS_MAX nothing new is mapped; beyond REMOTES_MAX the oldest is forgotten."""
    monkeypatch.setattr(nat, "MAPPINGS_MAX", 2)
    monkeypatch.setattr(nat, "REMOTES_MAX", 2)
    cone = box(PORT_RESTRICTED_CONE)
    external = mapped(cone, X, Y1)
    mapped(cone, X2, Y1)
    assert cone.outbound(X._replace(port=7), Y1, 0.0) is None
    for target in (Y1_OTHER_PORT, Y2):
        mapped(cone, X, target)
    assert cone.inbound(external, Y1, 0.0) is None
    assert cone.inbound(external, Y2, 0.0) == X


def test_pooling() -> None:
    """REQ-2: paired keeps one external address per internal one; arbitrary need not."""
    paired = box(SYMMETRIC, OUTSIDE, OUTSIDE_TOO)
    targets = [Y1._replace(port=port) for port in range(1, 40)]
    assert len({mapped(paired, X, target).ip for target in targets}) == 1
    assert mapped(paired, X2, Y1).ip != mapped(paired, X, Y1).ip
    arbitrary = box(replace(SYMMETRIC, pooling=Pooling.ARBITRARY), OUTSIDE, OUTSIDE_TOO)
    assert len({mapped(arbitrary, X, target).ip for target in targets}) == 2


@pytest.mark.parametrize(
    ("hairpinning", "seen"),
    [
        (Hairpinning.NONE, None),
        (Hairpinning.EXTERNAL_SOURCE, Address(OUTSIDE, 5000)),
        (Hairpinning.INTERNAL_SOURCE, X),
    ],
)
def test_hairpinning(hairpinning: Hairpinning, seen: Address | None) -> None:
    """Section 6: what X2 sees when X sends to its external endpoint."""
    cone = box(replace(FULL_CONE, hairpinning=hairpinning))
    mapped(cone, X, Y1)
    target = mapped(cone, X2, Y1)
    turned = cone.hairpin(X, target, 1.0)
    assert turned == (None if seen is None else (seen, X2))
    assert cone.stats.hairpin_refused == (seen is None)


def test_hairpinning_obeys_the_filter_and_the_table() -> None:
    """A datagram from inside is filtered as one from outside, and needs a mapping."""
    cone = box(PORT_RESTRICTED_CONE)
    target = mapped(cone, X2, Y1)
    assert cone.hairpin(X, target, 1.0) is None
    assert cone.stats.filtered == 1
    mapped(cone, X2, mapped(cone, X, Y1))
    assert cone.hairpin(X, target, 1.0) == (mapped(cone, X, Y1), X2)


def test_a_hairpin_needs_a_mapping(monkeypatch: pytest.MonkeyPatch) -> None:
    """A full table drops it."""
    monkeypatch.setattr(nat, "MAPPINGS_MAX", 1)
    cone = box()
    target = mapped(cone, X2, Y1)
    assert cone.hairpin(X, target, 1.0) is None
    assert cone.stats.exhausted == 1


def test_forwarded_ports_are_open_for_good() -> None:
    """UPnP and friends: in from anybody, out from the same endpoint, after any time."""
    router = box(SYMMETRIC)
    door = Address(OUTSIDE, 4222)
    assert router.forward(door, X)
    assert router.inbound(door, Y2, 1e6) == X
    assert mapped(router, X, Y1) == door
    assert not router.forward(door, X2)
    assert not router.forward(Address(OUTSIDE, 4223), X)
    assert not router.forward(Address(OUTSIDE_TOO, 1), X2)
    taken = mapped(router, X2, Y1)
    assert not router.forward(taken, Address(X2.ip, 1))


def test_no_mapping_takes_a_forwarded_port() -> None:
    """A preserved port that is forwarded elsewhere counts as taken."""
    router = box()
    assert router.forward(Address(OUTSIDE, 5000), Address(X2.ip, 80))
    assert mapped(router, X, Y1).port != 5000


def test_a_reboot_forgets_mappings_and_keeps_forwards() -> None:
    """What datagrams taught is gone."""
    router = box(PORT_RESTRICTED_CONE)
    assert router.forward(Address(OUTSIDE, 4222), X2)
    external = mapped(router, X, Y1)
    router.reboot()
    assert router.inbound(external, Y1, 1.0) is None
    assert router.inbound(Address(OUTSIDE, 4222), Y1, 1.0) == X2


@given(behaviours, st.lists(st.tuples(st.booleans(), *[st.integers(0, 5)] * 4), max_size=60))
def test_answers_come_back_to_who_asked(
    behaviour: NatBehaviour, steps: list[tuple[bool, int, int, int, int]]
) -> None:
    """Whatever the behaviour: an answer at once returns, and two hosts never share an endpoint.

    Under port overloading the latest asker may get it instead, so there it need only be an asker.
    """
    middle = box(behaviour, OUTSIDE, OUTSIDE_TOO)
    now = 0.0
    owners: dict[Address, tuple[Address, float]] = {}
    for waits, host, port, remote, remote_port in steps:
        now += behaviour.timeout * 0.6 * waits
        source = Address(bytes((10, 1, 0, host)), 5000 + port)
        target = Address(bytes((198, 51, 100, remote)), 1000 + remote_port)
        external = mapped(middle, source, target, now)
        assert external.ip in middle.external
        if behaviour.ports is PortAssignment.OVERLOADING:
            assert middle.inbound(external, target, now) is not None
        else:
            assert middle.inbound(external, target, now) == source
            owner, until = owners.get(external, (source, now))
            assert owner == source or until < now
            owners[external] = (source, now + behaviour.timeout)
        if behaviour.keeps_parity and behaviour.ports is not PortAssignment.OVERLOADING:
            assert (external.port - source.port) % 2 == 0
