"""Mappings over both protocols: found, refused, renewed, lost, given back."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shoal.core import Address, SendDatagram
from shoal.net.mapping import igd, natpmp
from shoal.net.mapping.effects import AskOverHttp, Effect, Mapped, MappingFailed
from shoal.net.mapping.engine import HTTP_PENDING_MAX, MAPPINGS_MAX, MapperEngine
from shoal.net.mapping.errors import (
    MappingError,
    MappingRefusedError,
    NoRouterError,
    NotPublicError,
    TooManyMappingsError,
)
from shoal.net.mapping.routers import IGD_ANSWERS_MAX, TCP_PORTS, UDP_PORTS
from shoal.sim import SeededEntropy
from tests.unit.net.mapping import samples
from tests.unit.net.mapping.samples import GATEWAY, PUBLIC, ROUTER

if TYPE_CHECKING:
    from collections.abc import Callable

LOCAL: Final = Address.parse("192.168.1.2", 4444)
NATPMP: Final = Address(GATEWAY, natpmp.PORT)
SSDP: Final = Address(GATEWAY, 1900)


@dataclass
class Home:
    """An engine, and whoever answers it."""

    gateway: bytes | None = GATEWAY
    now: float = 0.0
    sent: list[SendDatagram] = field(default_factory=list)
    asked: list[AskOverHttp] = field(default_factory=list)
    events: list[Mapped | MappingFailed] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.engine = MapperEngine(SeededEntropy(3), self.gateway)

    def do(self, effects: list[Effect]) -> None:
        """Sort effects."""
        for effect in effects:
            if isinstance(effect, SendDatagram):
                self.sent.append(effect)
            elif isinstance(effect, AskOverHttp):
                self.asked.append(effect)
            else:
                self.events.append(effect)

    def start(self) -> Home:
        """Search."""
        self.do(self.engine.start(self.now))
        return self

    def map(self, number: int = 1, *, is_tcp: bool = True, port: int = 4444) -> Home:
        """Ask for a port."""
        local = LOCAL._replace(port=port)
        self.do(self.engine.map(number, local, self.now, is_tcp=is_tcp))
        return self

    def hear(self, data: bytes, addr: Address = NATPMP) -> None:
        """Let a datagram arrive."""
        self.do(self.engine.receive(data, addr, self.now))

    def reply(self, data: bytes | None) -> str:
        """Answer the latest HTTP request; return it."""
        asked = self.asked.pop()
        self.do(self.engine.http_answered(asked.id, data, self.now))
        return asked.request.decode()

    def wait(self, until: float) -> None:
        """Let time pass."""
        while (deadline := self.engine.next_deadline()) is not None and deadline <= until:
            self.now = deadline
            self.do(self.engine.advance(deadline))
            after = self.engine.next_deadline()
            assert after is None or after > deadline
        self.now = until

    def with_natpmp(self) -> Home:
        """Find a router that speaks NAT-PMP."""
        self.start()
        self.hear(samples.public_address())
        return self

    def with_igd(self, service: str = samples.SERVICE) -> Home:
        """Find a router that speaks UPnP only."""
        self.start()
        self.hear(samples.ANSWER, SSDP)
        assert "GET /rootDesc.xml" in self.reply(samples.description(service=service))
        request = self.reply(samples.result(NewExternalIPAddress="44.128.0.1"))
        assert "GetExternalIPAddress" in request
        self.wait(4.0)
        self.sent.clear()
        return self


def requested(sent: SendDatagram) -> tuple[int, int, int, int]:
    """Return opcode, internal port, external port and lifetime of a NAT-PMP request."""
    data = sent.data
    return (
        data[1],
        int.from_bytes(data[4:6]),
        int.from_bytes(data[6:8]),
        int.from_bytes(data[8:12]),
    )


def test_natpmp_from_search_to_release() -> None:
    """Asked for, granted on another port, renewed at half-time, given back."""
    home = Home().start()
    assert home.sent[0] == SendDatagram(b"\0\0", NATPMP)
    home.map()  # waits for the search
    home.hear(samples.public_address())
    opcode, internal, external, lifetime = requested(home.sent[-1])
    assert (opcode, internal, lifetime) == (natpmp.MAP_TCP, 4444, 3600)
    assert external in TCP_PORTS

    home.hear(samples.natpmp_mapping(4444, 12_345))
    assert home.events == [Mapped(1, Address(PUBLIC, 12_345))]
    assert home.engine.external_addresses == (PUBLIC,)

    home.wait(1799.0)
    before = len(home.sent)
    home.wait(1800.0)
    assert requested(home.sent[before]) == (natpmp.MAP_TCP, 4444, 12_345, 3600)
    home.hear(samples.natpmp_mapping(4444, 12_345, epoch=1900))
    assert len(home.events) == 1

    home.do(home.engine.unmap(1, home.now))
    assert requested(home.sent[-1]) == (natpmp.MAP_TCP, 4444, 0, 0)
    home.hear(samples.natpmp_mapping(4444, 0, lifetime=0, epoch=1900))
    assert home.engine.next_deadline() is None or len(home.events) == 1


def test_questions_are_repeated_and_given_up() -> None:
    """250 ms, doubled, four sendings; then there is no such router."""
    home = Home().start()
    home.wait(3.7)
    assert sum(each.addr == NATPMP for each in home.sent) == 4
    home.map()
    home.wait(4.0)
    assert [type(each) for each in home.events] == [MappingFailed]
    failed = home.events[0]
    assert isinstance(failed, MappingFailed)
    assert isinstance(failed.error, NoRouterError)


def test_without_any_router_the_answer_is_immediate() -> None:
    """Until some minutes later: then the search begins again."""
    home = Home().start()
    home.wait(10.0)
    home.map(1)
    assert len(home.events) == 1
    home.now = 301.0
    home.sent.clear()
    home.map(2)
    assert len(home.events) == 1
    assert {each.addr for each in home.sent} == {NATPMP, igd.SSDP}


def test_igd_from_search_to_release() -> None:
    """Description, public address, a mapping with our mark, renewal, release."""
    home = Home(gateway=None).with_igd().map()
    request = home.reply(samples.result())
    for part in (
        "<NewRemoteHost></NewRemoteHost>",
        "<NewProtocol>TCP</NewProtocol>",
        "<NewInternalPort>4444</NewInternalPort>",
        "<NewInternalClient>192.168.1.2</NewInternalClient>",
        "<NewEnabled>1</NewEnabled>",
        "<NewPortMappingDescription>SHOAL-4444</NewPortMappingDescription>",
        "<NewLeaseDuration>7200</NewLeaseDuration>",
    ):
        assert part in request
    (mapped,) = home.events
    assert isinstance(mapped, Mapped)
    assert mapped.external.port in TCP_PORTS
    assert f"<NewExternalPort>{mapped.external.port}</NewExternalPort>" in request

    home.wait(4.0 + 3600.0)
    assert f"<NewExternalPort>{mapped.external.port}<" in home.reply(samples.result())
    home.do(home.engine.close(home.now))
    request = home.reply(samples.result())
    assert "DeletePortMapping" in request
    assert f"<NewExternalPort>{mapped.external.port}<" in request
    assert home.engine.next_deadline() is None
    assert home.engine.advance(1e9) == []


def test_igd_chooses_a_port() -> None:
    """WANIPConnection:2 may give another one than we want."""
    home = Home(gateway=None).with_igd(igd.SERVICES[0]).map(is_tcp=False)
    request = home.reply(samples.result(NewReservedPort=23_456))
    assert "AddAnyPortMapping" in request
    assert home.events == [Mapped(1, Address(PUBLIC, 23_456))]


def test_igd_conflicts_and_endless_leases() -> None:
    """A taken port: another one. No leases: an endless one, looked after all the same."""
    home = Home(gateway=None).with_igd().map(is_tcp=False)
    first = home.reply(samples.fault(igd.CONFLICT))
    second = home.reply(samples.fault(igd.PERMANENT_ONLY))
    third = home.reply(samples.result())
    assert first != second
    assert "<NewLeaseDuration>0</NewLeaseDuration>" in third
    (mapped,) = home.events
    assert isinstance(mapped, Mapped)
    assert mapped.external.port in UDP_PORTS
    home.wait(4.0 + 3600.0)
    assert len(home.asked) == 1


def test_conflicts_without_end() -> None:
    """After four other ports it is a refusal."""
    home = Home(gateway=None).with_igd().map()
    for _ in range(5):
        home.reply(samples.fault(igd.CONFLICT))
    (failed,) = home.events
    assert isinstance(failed, MappingFailed)
    assert isinstance(failed.error, MappingRefusedError)
    assert failed.error.code == igd.CONFLICT


@pytest.mark.parametrize(
    "data", [None, b"", samples.result(NewReservedPort="99999999"), samples.response("<")]
)
def test_answers_without_sense(data: bytes | None) -> None:
    """A router that fails in the middle."""
    home = Home(gateway=None).with_igd(igd.SERVICES[0]).map()
    home.reply(data)
    (failed,) = home.events
    assert isinstance(failed, MappingFailed)


def test_the_other_protocol_is_tried() -> None:
    """What NAT-PMP refuses, UPnP may grant."""
    home = Home().with_natpmp()
    home.hear(samples.ANSWER, SSDP)
    home.reply(samples.description())
    home.reply(samples.result(NewExternalIPAddress="44.128.0.1"))
    home.map()
    home.hear(samples.natpmp_mapping(4444, 0, result=2, lifetime=0))
    home.reply(samples.result())
    assert [type(each) for each in home.events] == [Mapped]


def test_a_refusal_while_the_other_protocol_is_sought() -> None:
    """It is waited for, as long as the search takes."""
    home = Home().with_natpmp().map()
    home.hear(samples.natpmp_mapping(4444, 0, result=2, lifetime=0))
    assert home.events == []
    home.wait(4.0)
    (failed,) = home.events
    assert isinstance(failed, MappingFailed)


def test_a_router_behind_another_one() -> None:
    """Its ports are of no use to peers."""
    home = Home(gateway=None).start().map()
    home.hear(samples.ANSWER, SSDP)
    home.reply(samples.description())
    home.reply(samples.result(NewExternalIPAddress="100.64.0.9"))
    (failed,) = home.events
    assert isinstance(failed, MappingFailed)
    assert isinstance(failed.error, NotPublicError)


def test_several_routers_answer() -> None:
    """They are looked at one after the other, a few of them, until one serves."""
    home = Home(gateway=None).start()
    for number in range(IGD_ANSWERS_MAX + 3):
        home.hear(samples.ANSWER.replace(b"rootDesc", b"r%d" % number), SSDP)
    assert len(home.asked) == 1
    home.reply(b"broken")
    home.reply(samples.description(service="urn:other"))
    home.reply(samples.description())
    home.reply(samples.fault(401))
    home.reply(samples.description())
    home.reply(samples.result(NewExternalIPAddress="44.128.0.1"))
    assert home.engine.external_addresses == (PUBLIC,)
    assert home.asked == []


def test_renewals_that_fail() -> None:
    """Tried again every minute until the lease ends; then it is lost."""
    home = Home().with_natpmp().map()
    home.hear(samples.natpmp_mapping(4444, 12_345, lifetime=600))
    home.wait(4.0)
    home.wait(301.0)
    home.hear(samples.natpmp_mapping(4444, 0, result=4, lifetime=0, epoch=400))
    assert len(home.events) == 1
    home.wait(1000.0)
    assert [type(each) for each in home.events] == [Mapped, MappingFailed]


def test_a_router_that_rebooted() -> None:
    """Its epoch begins anew: the mappings are made again (RFC 6886 section 3.6)."""
    home = Home().with_natpmp().map(1).map(2, port=5555)
    home.hear(samples.natpmp_mapping(4444, 11_111, epoch=1000))
    home.sent.clear()
    home.hear(samples.natpmp_mapping(5555, 12_222, epoch=1))
    home.wait(0.0)
    assert requested(home.sent[0])[:3] == (natpmp.MAP_TCP, 4444, 11_111)
    assert home.engine.stats.reboots == 1


def test_a_change_of_networks() -> None:
    """The search begins anew, and mappings are made at whatever router is there."""
    home = Home().with_natpmp().map()
    home.hear(samples.natpmp_mapping(4444, 12_345))
    home.start()
    home.hear(samples.public_address())
    home.hear(samples.natpmp_mapping(4444, 12_399))
    assert home.events[-1] == Mapped(1, Address(PUBLIC, 12_399))


def test_given_back_before_it_was_there() -> None:
    """A port that comes too late is returned at once."""
    home = Home(gateway=None).with_igd().map()
    home.do(home.engine.unmap(1, home.now))
    home.do(home.engine.unmap(1, home.now))
    home.reply(samples.result())
    assert "DeletePortMapping" in home.asked[-1].request.decode()
    assert home.events == []

    home = Home().with_natpmp().map()
    home.do(home.engine.unmap(1, home.now))
    home.hear(samples.natpmp_mapping(4444, 12_345))  # the answer to the request before
    assert home.events == []


def test_limits() -> None:
    """So many mappings, and no more exchanges than make sense."""
    home = Home(gateway=None).with_igd()
    for number in range(MAPPINGS_MAX):
        home.map(number)
    with pytest.raises(TooManyMappingsError):
        home.map(MAPPINGS_MAX)
    for number in range(MAPPINGS_MAX):
        home.do(home.engine.unmap(number, home.now))
    for number in range(1000, 1000 + 5 * MAPPINGS_MAX):
        home.map(number)
        home.do(home.engine.unmap(number, home.now))
    assert len(home.engine._waiting) == HTTP_PENDING_MAX  # noqa: SLF001


def test_strangers() -> None:
    """Only the gateway speaks NAT-PMP, only machines of the home speak UPnP."""
    home = Home().start()
    home.hear(samples.public_address(), Address(bytes([192, 168, 1, 9]), natpmp.PORT))
    home.hear(samples.ANSWER, Address(bytes([44, 1, 1, 1]), 1900))
    assert home.engine.stats.unsolicited == 2
    home.hear(b"garbage")
    home.hear(b"garbage", SSDP)
    assert home.engine.stats.malformed == 2
    assert home.asked == []
    home.do(home.engine.http_answered(99, b"", 0.0))


@given(
    st.lists(
        st.tuples(
            st.sampled_from([NATPMP, SSDP, ROUTER]),
            st.binary(max_size=40)
            | st.sampled_from([samples.ANSWER, samples.public_address()])
            | st.builds(samples.natpmp_mapping, st.just(4444), st.integers(0, 65_535)),
        )
    ),
    st.lists(
        st.none()
        | st.binary(max_size=60)
        | st.sampled_from([samples.description(), samples.result()])
    ),
)
def test_any_bytes(datagrams: list[tuple[Address, bytes]], bodies: list[bytes | None]) -> None:
    """Whatever comes in whatever order, nothing raises, and every wish has an end or a port."""
    home = Home().start().map()
    for addr, data in datagrams:
        home.hear(data, addr)
    for body in bodies:
        if home.asked:
            home.reply(body)
    while home.asked:
        home.reply(None)
    home.wait(home.now + 5.0)
    while home.asked:
        home.reply(None)
    assert len(home.events) >= 1


def test_errors_are_told_apart() -> None:
    """Each says what to do."""
    kinds: list[Callable[[], MappingError]] = [NoRouterError, NotPublicError, TooManyMappingsError]
    for kind in kinds:
        assert isinstance(kind(), MappingError)
    assert "718" in str(MappingRefusedError(718))
