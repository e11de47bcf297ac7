"""LAN discovery: the two datagrams, whom we believe, and when we ask again."""

from __future__ import annotations

import msgpack
import msgpack.fallback
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shoal.core import Address, Family, InfoHash, SendDatagram
from shoal.dht.discovery import (
    ANSWERS_PER_SECOND_MAX,
    GROUPS,
    QUERY,
    SERVICES_MAX,
    DiscoveryEngine,
    NodeAnnouncement,
    NodeDiscovered,
    ServiceDiscovered,
)
from tests import engine_laws

OURS = InfoHash.of(b"ours")
THEIRS = InfoHash.of(b"theirs")
NEIGHBOUR = Address.parse("192.0.2.7", 8888)
# A node of network 5 at port 47300, as OpenDHT 4 sends it (reference section 4.5).
ANNOUNCEMENT = bytes.fromhex("81a364687493c414") + THEIRS + bytes.fromhex("cdb8c405")


def engine(network: int = 5, *, is_published: bool = True) -> DiscoveryEngine:
    """Our node on both families."""
    ports = {Family.IPV4: 4222, Family.IPV6: 4223}
    return DiscoveryEngine(OURS, network, ports, is_published=is_published)


def test_the_reference_announcement_names_a_node() -> None:
    """The port is the announced one, the IP that of the datagram."""
    found = engine().receive(ANNOUNCEMENT, NEIGHBOUR, now=0.0)

    assert found == [NodeDiscovered(THEIRS, Address.parse("192.0.2.7", 47300))]


def test_our_announcement_has_the_reference_form() -> None:
    """Byte for byte."""
    packed = b"\x81\xa3dht" + NodeAnnouncement(THEIRS, 47300, 5).packed()

    assert packed == ANNOUNCEMENT


def test_start_asks_and_announces_on_both_groups() -> None:
    """Each family announces the port of its own socket."""
    effects = engine().start(now=0.0)

    assert [e.addr for e in effects if isinstance(e, SendDatagram)] == [
        GROUPS[f] for f in Family for _ in range(2)
    ]
    datagrams = [e.data for e in effects if isinstance(e, SendDatagram)]
    assert datagrams[0] == datagrams[2] == QUERY
    assert [msgpack.unpackb(d)["dht"] for d in datagrams[1::2]] == [
        [OURS, 4222, 5],
        [OURS, 4223, 5],
    ]


def test_queries_are_answered_to_the_asker_only() -> None:
    """Unicast, with the announcement of its family; limited per second."""
    publisher = engine()

    answers = [publisher.receive(QUERY, NEIGHBOUR, now=3.0) for _ in range(25)]

    assert [a.addr for a in answers[0] if isinstance(a, SendDatagram)] == [NEIGHBOUR]
    assert sum(map(bool, answers)) == ANSWERS_PER_SECOND_MAX
    assert publisher.stats.queries_limited == 25 - ANSWERS_PER_SECOND_MAX
    assert publisher.receive(QUERY, NEIGHBOUR, now=4.0)
    assert engine(is_published=False).receive(QUERY, NEIGHBOUR, now=3.0) == []


def test_itself_and_other_networks_are_ignored() -> None:
    """Neither is a way into our network."""
    other = engine(network=6)
    own = b"\x81\xa3dht" + NodeAnnouncement(OURS, 1, 6).packed()

    assert other.receive(ANNOUNCEMENT, NEIGHBOUR, now=0.0) == []
    assert other.receive(own, NEIGHBOUR, now=0.0) == []
    assert other.stats.ignored == 2


def test_other_services_share_the_map() -> None:
    """They are passed on packed; names that are no text and bad nodes are skipped."""
    mixed = msgpack.packb({1: 2, "dht": [b"short", 1, 5], "chat": ["x", 7]})

    assert engine().receive(mixed, NEIGHBOUR, 0.0) == [
        ServiceDiscovered("chat", msgpack.packb(["x", 7]), NEIGHBOUR)
    ]


def test_what_cannot_be_passed_on_is_ignored(monkeypatch: pytest.MonkeyPatch) -> None:
    """The packer written in Python gives up earlier on nested arrays than the readers do."""
    deep = b"\x81\xa4deep" + b"\x91" * 1000 + b"\x01"
    monkeypatch.setattr(msgpack, "packb", msgpack.fallback.Packer().pack)
    listener = engine()

    assert listener.receive(deep, NEIGHBOUR, 0.0) == []
    assert listener.stats.ignored == 1
    assert listener.receive(b"\x93\x01\x02\x03", NEIGHBOUR, 0.0) == []
    assert listener.stats.malformed == 1


def test_who_is_not_published_only_asks() -> None:
    """On both groups."""
    effects = engine(is_published=False).start(now=0.0)

    assert [e.data for e in effects if isinstance(e, SendDatagram)] == [QUERY, QUERY]


def test_our_own_services_are_announced_beside_the_node() -> None:
    """One map for all, in a fixed order."""
    publisher = DiscoveryEngine(OURS, 0, {Family.IPV4: 1}, services={"chat": b"\x07"})

    (answer,) = publisher.receive(QUERY, NEIGHBOUR, now=0.0)

    assert isinstance(answer, SendDatagram)
    assert msgpack.unpackb(answer.data) == {"dht": [OURS, 1, 0], "chat": 7}
    with pytest.raises(ValueError, match="services"):
        DiscoveryEngine(OURS, 0, {}, services={str(n): b"\x07" for n in range(SERVICES_MAX)})


def test_repeats_double_up_to_a_minute_and_end_when_connected() -> None:
    """10, 20, 40, 60, 60 seconds; a new disconnection starts over."""
    lonely = engine()
    lonely.start(now=0.0)
    moments = []
    for _ in range(5):
        deadline = lonely.next_deadline()
        assert deadline is not None
        assert lonely.advance(deadline - 0.1) == []
        assert len(lonely.advance(deadline)) == 4
        moments.append(deadline)

    assert moments == [10.0, 30.0, 70.0, 130.0, 190.0]
    assert lonely.connected(200.0) == []
    assert lonely.next_deadline() is None
    assert lonely.advance(1000.0) == []
    assert len(lonely.disconnected(1000.0)) == 4
    assert lonely.next_deadline() == 1010.0


@given(st.binary(max_size=200), st.binary(max_size=30))
def test_any_bytes_never_raise(noise: bytes, tail: bytes) -> None:
    """What a neighbour sends is not our error."""
    listener = engine()

    for datagram in (noise, b"\x81\xa3dht" + tail, b"\x81\xa4chat" + tail, bytes(70_000)):
        assert isinstance(listener.receive(datagram, NEIGHBOUR, now=0.0), list)


CASE = engine_laws.Case(
    make=lambda entropy: DiscoveryEngine(
        InfoHash(entropy.token_bytes(20)), 5, {Family.IPV4: 4222}, services={"chat": b"\x07"}
    ),
    commands=(
        lambda engine, op, addrs, now: engine.start(now),
        lambda engine, op, addrs, now: engine.connected(now),
        lambda engine, op, addrs, now: engine.disconnected(now),
    ),
    datagrams=st.sampled_from([QUERY, ANNOUNCEMENT, b"\x81\xa4chat\x07", b"\x81\xa3dht\x90"]),
    effects=(SendDatagram, NodeDiscovered, ServiceDiscovered),
    sizes=lambda engine: {"answers": (engine._answers, ANSWERS_PER_SECOND_MAX)},  # noqa: SLF001
)


@pytest.mark.parametrize("law", engine_laws.LAWS, ids=lambda law: law.__name__)
def test_laws(law: engine_laws.Law[DiscoveryEngine]) -> None:
    """All that is promised of engines."""
    law(CASE)
