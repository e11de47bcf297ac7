"""ICE sessions: roles, early data, strangers, floods, faults at every step."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field
from typing import Final, TypeVar

import pytest
from aioice.stun import message_integrity
from hypothesis import given, settings
from hypothesis import strategies as st

from shoal.core import Address
from shoal.net import stun
from shoal.net.ice import (
    IceConfig,
    IceDescription,
    IceEngine,
    Outcome,
    PathKind,
    Scope,
    StunServer,
    Transport,
    TurnServer,
    binding,
)
from shoal.net.ice.binding import Credentials
from shoal.net.ice.checklist import ACCEPTED_MAX, INCOMING_MAX
from shoal.net.ice.effects import (
    Closed,
    CloseLink,
    CloseSocket,
    Connect,
    Effect,
    Failed,
    Gathered,
    Listen,
    Received,
    ResolveServer,
    Selected,
    Write,
)
from shoal.net.ice.errors import (
    IceError,
    IceStateError,
    IceTimeoutError,
    LinkLostError,
    NoCandidatesError,
    NominationTimeoutError,
    NoPathError,
)
from shoal.net.ice.framing import frame
from shoal.net.ice.paths import CHECKS_BURST, EARLY_DATA_MAX
from shoal.net.stun import Class
from shoal.sim import Conditions, Constant, SeededEntropy
from tests.unit.net.ice.world import IceWorld, Site

HOST: Final = Address.parse("10.0.0.1", 0)
PORT: Final = 4001
PEER: Final = Address.parse("10.0.0.2", 5001)
PEER_TEXT: Final = (
    "cafebabe\nc0ffeec0ffeec0ffeec0ffee\nH1 1 TCP 2130706431 10.0.0.2 5001 typ host tcptype passive"
)
PEER_PWD: Final = "c0ffeec0ffeec0ffeec0ffee"  # noqa: S105 - made up
TIE_BREAKER_MAX: Final = 2**64 - 1


E = TypeVar("E")


@dataclass
class Alone:
    """An engine played by hand: whoever drives it is the peer."""

    is_controlling: bool = True
    config: IceConfig = field(default_factory=IceConfig)
    now: float = 0.0
    effects: list[Effect] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.engine = IceEngine(self.config, SeededEntropy(7), is_controlling=self.is_controlling)

    def gathered(self) -> Alone:
        """Gather with one socket."""
        self.do(self.engine.gather([HOST.ip], [], self.now))
        listen = self.last(Listen)
        self.do(self.engine.socket_opened(listen.socket, HOST._replace(port=PORT), self.now))
        return self

    def started(self) -> Alone:
        """Gather, start, and connect our own link."""
        self.gathered()
        self.do(self.engine.start(IceDescription.parse(PEER_TEXT), self.now))
        return self

    def accepted(self, link: int = -1, port: int = 40_000) -> Alone:
        """Let the peer connect."""
        listen = self.last(Listen)
        local = HOST._replace(port=PORT)
        remote = PEER._replace(port=port)
        self.do(self.engine.link_accepted(listen.socket, link, local, remote, self.now))
        return self

    def do(self, effects: list[Effect]) -> list[Effect]:
        """Write *effects* down."""
        self.effects += effects
        return effects

    def last(self, kind: type[E]) -> E:
        """Return the latest effect of a kind."""
        return [each for each in self.effects if isinstance(each, kind)][-1]

    def wait(self, until: float) -> list[Effect]:
        """Let time pass."""
        found: list[Effect] = []
        while (deadline := self.engine.next_deadline()) is not None and deadline <= until:
            self.now = max(self.now, deadline)
            found += self.do(self.engine.advance(self.now))
            after = self.engine.next_deadline()
            assert after is None or after > deadline
        self.now = until
        return found

    def check(self, transaction: bytes = bytes(12), **changes: object) -> bytes:
        """Return the peer's check, in its frame."""
        arguments: dict[str, object] = {
            "priority": 1,
            "is_controlling": not self.is_controlling,
            "tie_breaker": 1,
            **changes,
        }
        credentials = Credentials("cafebabe", PEER_PWD, self.engine.ufrag, self.engine.pwd)
        return frame(binding.request(transaction, credentials, **arguments))  # type: ignore[arg-type]

    def answer(self, write: Write) -> bytes:
        """Return the peer's answer to our check."""
        request = stun.decode(write.data[2:])
        assert request.kind is Class.REQUEST
        return frame(binding.success(request.transaction, PEER, PEER_PWD))

    def connected(self, link: int = -1) -> Alone:
        """Be controlled, and let the peer connect, check, be checked and nominate."""
        assert not self.is_controlling
        self.started().accepted(link)
        self.do(self.engine.receive(link, self.check(), self.now))
        ours = [each for each in self.effects if isinstance(each, Write) and each.link == link][-1]
        self.do(self.engine.receive(link, self.answer(ours), self.now))
        self.do(self.engine.receive(link, self.check(bytes(11) + b"\1", nominates=True), self.now))
        return self


# Transcripts


def test_a_controlled_session_by_hand() -> None:
    """Gather, start, connect, check both ways, wait for the nomination, then data."""
    alone = Alone(is_controlling=False).connected()
    kinds = [type(each).__name__ for each in alone.effects]

    assert kinds == [
        "Listen",
        "Gathered",
        "Connect",
        "Write",  # the answer to the peer's check
        "Write",  # our own
        "Write",  # the answer to the nomination
        "CloseLink",  # the connection that we were making
        "Selected",
        "CloseSocket",
    ]
    path = alone.last(Selected).path
    assert path.is_incoming
    assert path.kind is PathKind.LAN
    assert [name for name, _ in path.steps] == ["gather", "signal", "connect", "check", "nominate"]
    assert alone.engine.is_connected
    assert alone.engine.data_links == {-1}
    assert alone.engine.send(b"hello", alone.now) == [Write(-1, b"\0\5hello")]
    received = alone.engine.receive(-1, b"\0\5world", alone.now)
    assert received == [Received(b"world", 1)]


def test_the_text_that_goes_to_the_peer() -> None:
    """A passive and an active candidate per address, as Jami has them."""
    alone = Alone().gathered()
    lines = alone.last(Gathered).description.to_text().splitlines()

    assert lines[0] == alone.engine.ufrag
    assert lines[1] == alone.engine.pwd
    assert (len(lines[0]), len(lines[1])) == (8, 24)
    assert lines[2:] == [
        "Ha000001 1 TCP 2130706431 10.0.0.1 4001 typ host tcptype passive",
        "Ha000001 1 TCP 2130706175 10.0.0.1 9 typ host tcptype active",
    ]


def test_priorities_in_checks_are_peer_reflexive() -> None:
    """Reference 5.6: the passive end says 6effffff, the active one 6efffeff."""
    alone = Alone().started()
    link = alone.last(Connect).link
    active = alone.do(alone.engine.link_opened(link, HOST, PEER, 0.0))
    alone.accepted()
    passive = alone.do(alone.engine.receive(-1, alone.check(), 0.0))

    assert isinstance(active[0], Write)
    assert isinstance(passive[1], Write)
    assert stun.decode(active[0].data[2:]).attributes["PRIORITY"] == 0x6EFFFEFF
    assert stun.decode(passive[1].data[2:]).attributes["PRIORITY"] == 0x6EFFFFFF


def test_regular_nomination() -> None:
    """The controlling side checks plainly first, then again with USE-CANDIDATE."""
    alone = Alone().started()
    link = alone.last(Connect).link
    (plain,) = alone.do(alone.engine.link_opened(link, HOST, PEER, 0.0))
    assert isinstance(plain, Write)
    assert "USE-CANDIDATE" not in stun.decode(plain.data[2:]).attributes

    (nominating,) = alone.do(alone.engine.receive(link, alone.answer(plain), 0.0))

    assert isinstance(nominating, Write)
    assert "USE-CANDIDATE" in stun.decode(nominating.data[2:]).attributes
    assert not alone.engine.is_connected
    alone.do(alone.engine.receive(link, alone.answer(nominating), 0.0))
    assert alone.engine.is_connected


def test_checks_are_repeated_on_tcp() -> None:
    """The same bytes again after 500 ms, 1 s, 2 s: a relay may lose the first ones."""
    alone = Alone().started()
    link = alone.last(Connect).link
    (first,) = alone.do(alone.engine.link_opened(link, HOST, PEER, 0.0))

    assert alone.wait(0.49) == []
    assert alone.wait(0.5) == [first]
    assert alone.wait(3.6) == [first, first]


def test_refused_connections_are_tried_again() -> None:
    """Every 500 ms, eight times, then the pair has failed."""
    alone = Alone().started()
    attempts = 0
    while alone.engine.pairs()[0].outcome is not Outcome.REFUSED or attempts < 9:
        attempts += 1
        link = alone.last(Connect).link
        alone.do(alone.engine.link_failed(link, "connection refused", alone.now))
        if attempts < 9:
            before = len([each for each in alone.effects if isinstance(each, Connect)])
            alone.wait(alone.now + 0.55)
            assert len([each for each in alone.effects if isinstance(each, Connect)]) == before + 1

    failure = [each for each in alone.wait(10.1) if isinstance(each, Failed)]
    assert isinstance(failure[0].error, NoPathError)
    assert failure[0].error.pairs[0].detail == "connection refused"


def test_a_connection_that_never_opens() -> None:
    """15 s of patience for the connection; then nothing is left to wait for."""
    alone = Alone().started()
    link = alone.last(Connect).link

    assert alone.wait(14.9) == []
    effects = alone.wait(15.0)

    assert effects[0] == CloseLink(link)
    assert isinstance(alone.last(Failed).error, NoPathError)
    assert alone.engine.pairs()[0].outcome is Outcome.CONNECT_TIMEOUT
    assert alone.engine.next_deadline() is None


def test_keep_alives() -> None:
    """An indication every 20 to 24 s for the life of the connection, and theirs are ignored."""
    alone = Alone(is_controlling=False).connected()
    alone.effects.clear()
    moments = []
    while alone.now < 200:
        deadline = alone.engine.next_deadline()
        assert deadline is not None
        (write,) = alone.wait(deadline)
        assert isinstance(write, Write)
        assert len(write.data) == 30
        assert stun.decode(write.data[2:]).kind is Class.INDICATION
        assert alone.engine.receive(-1, write.data, alone.now) == []
        moments.append(deadline)
    gaps = [later - earlier for earlier, later in itertools.pairwise(moments)]
    assert all(20.0 <= gap <= 24.0 for gap in gaps)


def test_the_end_and_the_loss_of_a_connection() -> None:
    """An orderly end is no failure; a reset is."""
    ended = Alone(is_controlling=False).connected()
    assert ended.engine.receive_eof(-1, 1.0) == [CloseLink(-1), Closed()]
    assert ended.engine.is_over

    lost = Alone(is_controlling=False).connected()
    (failed,) = lost.engine.link_failed(-1, "connection reset", 1.0)
    assert isinstance(failed, Failed)
    assert isinstance(failed.error, LinkLostError)
    assert str(failed.error) == "connection reset"


def test_early_data_is_kept_in_order() -> None:
    """What overtakes our own check's answer comes out when the path is selected."""
    alone = Alone(is_controlling=False).started().accepted()
    alone.do(alone.engine.receive(-1, alone.check(nominates=True), 0.0))
    own = alone.last(Write)
    assert alone.engine.receive(-1, b"\0\3abc\0\2de", 0.0) == []

    effects = alone.engine.receive(-1, alone.answer(own) + b"\0\1f", 0.0)

    data = [bytes(each.data) for each in effects if isinstance(each, Received)]
    assert data == [b"abc", b"de", b"f"]


def test_what_many_frames_hold_is_told_at_once() -> None:
    """In one piece, up to a check between them, which is answered in its turn."""
    alone = Alone(is_controlling=False).connected()
    check = alone.check(bytes(11) + b"\2")

    effects = alone.engine.receive(-1, b"\0\3abc\0\2de" + check + b"\0\1f\0\2g", 0.0)

    told = [each for each in effects if isinstance(each, Received | Write)]
    assert [type(each) for each in told] == [Received, Write, Received]
    assert [bytes(each.data) for each in told if isinstance(each, Received)] == [b"abcde", b"f"]
    assert alone.engine.receive(-1, b"h", 0.0) == [Received(b"gh", 1)]


def test_the_peer_may_be_done_before_we_know_it() -> None:
    """The callee connects, checks and nominates while its answer still travels to us."""
    alone = Alone(is_controlling=False).gathered().accepted()
    alone.do(alone.engine.receive(-1, alone.check(), 0.0))
    alone.do(alone.engine.receive(-1, alone.check(bytes(11) + b"\1", nominates=True), 0.0))
    alone.do(alone.engine.receive(-1, b"\0\5hello", 0.0))
    assert not alone.engine.is_connected

    effects = alone.do(alone.engine.start(IceDescription.parse(PEER_TEXT), 3.0))
    own = next(each for each in effects if isinstance(each, Write))
    effects = alone.engine.receive(-1, alone.answer(own), 3.0)

    assert [each for each in effects if isinstance(each, Received)] == [Received(b"hello", 1)]
    assert alone.engine.is_connected


# Strangers


def test_a_wrong_password_closes_the_link() -> None:
    """Whoever connects and does not know our password is not kept."""
    alone = Alone().started().accepted()
    check = alone.check()
    spoilt = binding.request(
        bytes(12),
        Credentials("x", "y", alone.engine.ufrag, "guess"),
        priority=1,
        is_controlling=False,
        tie_breaker=1,
    )
    assert alone.engine.receive(-1, frame(spoilt), 0.0) == [CloseLink(-1)]
    assert alone.engine.stats.unauthenticated == 1
    assert alone.engine.receive(-1, check, 0.0) == []


def test_a_check_without_priority_is_not_answered() -> None:
    """Reference 9.21: Jami says nothing to it either."""
    alone = Alone().started().accepted()
    message = stun.Message(
        stun.Method.BINDING,
        Class.REQUEST,
        bytes(12),
        {"ICE-CONTROLLED": 1, "USERNAME": f"{alone.engine.ufrag}:cafebabe"},
    )
    data = frame(stun.encode(message, key=alone.engine.pwd.encode()))
    assert not any(isinstance(each, Write) for each in alone.engine.receive(-1, data, 0.0))


def test_data_from_a_stranger_closes_the_link() -> None:
    """Nothing is kept for somebody who has not shown the password."""
    alone = Alone().started().accepted()
    assert alone.engine.receive(-1, b"\0\4GET ", 0.0) == [CloseLink(-1)]
    assert alone.engine.stats.unwanted_data == 1


def test_silent_links_are_bounded_and_short_lived() -> None:
    """Too many: the oldest goes. Too long: it goes."""
    alone = Alone().gathered()
    for number in range(ACCEPTED_MAX + 5):
        alone.accepted(-1 - number, 40_000 + number)
    closed = [each.link for each in alone.effects if isinstance(each, CloseLink)]
    assert closed == [-1, -2, -3, -4, -5]

    alone.wait(10.0)

    closed = [each.link for each in alone.effects if isinstance(each, CloseLink)]
    assert len(closed) == ACCEPTED_MAX + 5
    assert alone.engine.open_links == frozenset()


def test_slow_loris() -> None:
    """A frame that never ends does not keep a link open."""
    alone = Alone().gathered().accepted()
    for moment in range(9):
        alone.do(alone.engine.receive(-1, b"\0"[:1] if moment == 0 else b"\1", float(moment)))
    alone.wait(10.0)
    assert alone.engine.open_links == frozenset()


def test_too_much_early_data() -> None:
    """What is kept before a path is chosen has a limit, even from the peer."""
    alone = Alone(is_controlling=False).started().accepted()
    alone.do(alone.engine.receive(-1, alone.check(), 0.0))
    chunk = frame(b"d" * 65_535)
    for _ in range(EARLY_DATA_MAX // 65_535):
        assert alone.engine.receive(-1, chunk, 0.0) == []
    assert alone.engine.receive(-1, chunk, 0.0) == [CloseLink(-1)]


def test_a_flood_of_checks_is_not_answered() -> None:
    """A peer that only sends checks and reads nothing cannot fill our memory with answers."""
    alone = Alone(is_controlling=False).connected()
    flood = alone.check() * 1000
    answers = [each for each in alone.engine.receive(-1, flood, 0.0) if isinstance(each, Write)]
    assert len(answers) < CHECKS_BURST
    assert alone.engine.stats.ignored_checks > 900
    later = alone.engine.receive(-1, alone.check(), 10.0)
    assert len(later) == 1


def test_an_answer_with_another_password_is_not_believed() -> None:
    """Only who has the peer's password can say that a check arrived."""
    alone = Alone().started()
    link = alone.last(Connect).link
    (plain,) = alone.do(alone.engine.link_opened(link, HOST, PEER, 0.0))
    assert isinstance(plain, Write)
    transaction = stun.decode(plain.data[2:]).transaction
    forged = frame(binding.success(transaction, PEER, "wrong"))
    assert alone.engine.receive(link, forged, 0.0) == []
    assert alone.engine.stats.unsolicited == 1


@settings(deadline=None, max_examples=60)
@given(st.lists(st.binary(max_size=120), max_size=6), st.booleans())
def test_any_bytes_on_a_link(pieces: list[bytes], is_connected: bool) -> None:
    """Garbage never raises, before and after a path is selected."""
    alone = Alone(is_controlling=False)
    if is_connected:
        alone.connected()
    else:
        alone.started().accepted()
    for piece in pieces:
        alone.engine.receive(-1, piece, 1.0)
        alone.engine.receive(-1, frame(piece), 1.0)
    alone.engine.receive_datagram(1, b"".join(pieces), PEER, 1.0)


# Roles


@pytest.mark.parametrize("transport", Transport)
@pytest.mark.parametrize("roles", [(True, True), (False, False)], ids=str)
@pytest.mark.parametrize("seed", range(4))
def test_role_conflicts_are_settled(
    transport: Transport, roles: tuple[bool, bool], seed: int
) -> None:
    """Both controlling or both controlled: one of each in the end, and one path."""
    world = IceWorld(roles=roles, transport=transport, seed=seed)
    world.connect()

    assert world.kind() is PathKind.DIRECT
    assert world.caller.agent.engine.is_controlling is not world.callee.agent.engine.is_controlling
    world.exchange(b"x" * 1000)
    world.close()


def test_a_conflict_by_hand() -> None:
    """The greater tie breaker stays controlling; the other one is told, or gives way."""
    greater = Alone().started().accepted()
    (answer,) = greater.engine.receive(-1, greater.check(is_controlling=True, tie_breaker=0), 0.0)
    assert isinstance(answer, Write)
    assert stun.decode(answer.data[2:]).error[0] == 487
    assert greater.engine.is_controlling

    less = Alone().started().accepted()
    less.engine.receive(-1, less.check(is_controlling=True, tie_breaker=TIE_BREAKER_MAX), 0.0)
    assert not less.engine.is_controlling


# Gathering


def test_calls_in_the_wrong_order() -> None:
    """They raise, and change nothing."""
    alone = Alone()
    with pytest.raises(IceStateError):
        alone.engine.start(IceDescription.parse(PEER_TEXT), 0.0)
    with pytest.raises(IceStateError):
        alone.engine.send(b"x", 0.0)
    alone.gathered()
    with pytest.raises(IceStateError):
        alone.engine.gather([], [], 0.0)
    alone.do(alone.engine.start(IceDescription.parse(PEER_TEXT), 0.0))
    with pytest.raises(IceStateError):
        alone.engine.start(IceDescription.parse(PEER_TEXT), 0.0)
    closed = alone.engine.close(0.0)
    assert {type(each) for each in closed} == {CloseLink, CloseSocket}
    assert alone.engine.close(0.0) == []
    assert alone.engine.advance(99.0) == []


def test_no_address_at_all() -> None:
    """A machine without a network has nothing to offer; a relay-only one without relay neither."""
    (failed,) = Alone().engine.gather([], [], 0.0)
    assert isinstance(failed, Failed)
    assert isinstance(failed.error, NoCandidatesError)

    (failed,) = Alone(config=IceConfig(scope=Scope.RELAY_ONLY)).engine.gather([HOST.ip], [], 0.0)
    assert isinstance(failed, Failed)
    assert isinstance(failed.error, NoPathError)


def test_a_socket_that_cannot_be_opened() -> None:
    """It is done without."""
    alone = Alone()
    alone.do(alone.engine.gather([HOST.ip], [], 0.0))
    (failed,) = alone.do(alone.engine.socket_failed(alone.last(Listen).socket, "no", 0.0))
    assert isinstance(failed, Failed)


def test_servers_that_do_not_answer_are_not_waited_for() -> None:
    """After four seconds the description goes out without them, and their links are closed."""
    server = TurnServer("turn.example", "u", "p")
    alone = Alone(config=IceConfig(turn=(server,), stun=(StunServer("192.0.2.1"),))).gathered()
    assert alone.last(ResolveServer) == ResolveServer("turn.example", 3478)
    alone.do(
        alone.engine.server_resolved("turn.example", 3478, [Address.parse("192.0.2.2", 3478)], 0.0)
    )
    links = {each.link for each in alone.effects if isinstance(each, Connect)}
    assert len(links) == 2

    effects = alone.wait(4.0)

    assert {each.link for each in effects if isinstance(each, CloseLink)} == links
    assert len(alone.last(Gathered).description.candidates) == 2


def test_a_stun_server_over_tcp() -> None:
    """Its answer makes a reflexive candidate, and the guess that our port is kept."""
    alone = Alone(config=IceConfig(stun=(StunServer("192.0.2.1"),))).gathered()
    link = alone.last(Connect).link
    (ask,) = alone.do(alone.engine.link_opened(link, HOST, PEER, 0.0))
    assert isinstance(ask, Write)
    mapped = Address.parse("44.1.2.3", 777)
    transaction = stun.decode(ask.data).transaction
    answer = stun.encode(
        stun.Message(
            stun.Method.BINDING, Class.SUCCESS, transaction, {"XOR-MAPPED-ADDRESS": mapped}
        )
    )
    alone.do(alone.engine.receive(link, answer[:10], 0.0))
    alone.do(alone.engine.receive(link, answer[10:], 0.0))

    lines = alone.last(Gathered).description.to_text().splitlines()[4:]
    assert lines == [
        "Sa000001 1 TCP 1694498303 44.1.2.3 4001 typ srflx tcptype passive",
        "Sa000001 1 TCP 1694498047 44.1.2.3 9 typ srflx tcptype active",
    ]


def test_never_more_than_fifteen_lines() -> None:
    """Many addresses of a machine are too many for a message."""
    hosts = [
        *(bytes([10, 0, 0, last]) for last in range(1, 30)),
        *(bytes.fromhex("20010db8") + bytes([last]) * 12 for last in range(1, 30)),
        bytes([169, 254, 0, 1]),
    ]
    public = [bytes([44, 0, 0, last]) for last in range(1, 30)]
    alone = Alone()
    alone.do(alone.engine.gather(hosts, public, 0.0))
    for number, listen in enumerate(
        each for each in list(alone.effects) if isinstance(each, Listen)
    ):
        alone.do(
            alone.engine.socket_opened(listen.socket, listen.local._replace(port=99 + number), 0.0)
        )
    assert 10 < len(alone.last(Gathered).description.candidates) <= 15


def test_candidates_that_are_not_contacted() -> None:
    """Loopback, multicast and other families are left out of the pairs."""
    alone = Alone().gathered()
    text = (
        "u\np\n"
        "H1 1 TCP 1 127.0.0.1 5 typ host tcptype passive\n"
        "H1 1 TCP 1 224.0.0.1 5 typ host tcptype passive\n"
        "H1 1 TCP 1 2001:db8::1 5 typ host tcptype passive\n"
        "H1 1 TCP 1 10.0.0.9 5 typ host tcptype active\n"
        "H1 1 UDP 1 10.0.0.9 5 typ host\n"
        "H1 2 TCP 1 10.0.0.9 5 typ host tcptype passive\n"
    )
    assert alone.do(alone.engine.start(IceDescription.parse(text), 0.0)) == []
    assert alone.engine.pairs() == ()


# Limits


def test_the_controlled_side_does_not_wait_for_ever() -> None:
    """Its checks succeed and nobody nominates: ten seconds."""
    alone = Alone(is_controlling=False).started()
    link = alone.last(Connect).link
    (plain,) = alone.do(alone.engine.link_opened(link, HOST, PEER, 0.0))
    assert isinstance(plain, Write)
    alone.do(alone.engine.receive(link, alone.answer(plain), 0.0))

    alone.wait(9.9)
    assert not alone.engine.is_over
    alone.wait(10.0)

    assert isinstance(alone.last(Failed).error, NominationTimeoutError)
    assert alone.engine.open_links == frozenset()


def test_a_peer_that_answers_nothing() -> None:
    """Connected, and silent: the time limit ends it."""
    alone = Alone().started()
    alone.do(alone.engine.link_opened(alone.last(Connect).link, HOST, PEER, 0.0))
    alone.wait(60.0)
    assert isinstance(alone.last(Failed).error, IceTimeoutError)


# Faults


@pytest.mark.parametrize("transport", Transport)
@pytest.mark.parametrize("sites", [(Site.OPEN, Site.OPEN), (Site.SYMMETRIC, Site.SYMMETRIC)])
@pytest.mark.parametrize("step", range(40))
def test_the_network_vanishes(transport: Transport, sites: tuple[Site, Site], step: int) -> None:
    """At any moment: a path that was there, or a typed error in time, and no socket left."""
    world = IceWorld(sites, turn=(True, True), transport=transport)
    hosts = [device.host for device in world.devices]
    others = [host for host in world.network.hosts.values() if host not in hosts]

    def vanish() -> None:
        world.network.partition([hosts[0]], [hosts[1]], others)

    world.network.call_at(0.03 * step, vanish)
    world.gather()
    world.start()
    world.run(world.is_decided, 40.0)
    world.network.run(world.network.now + 35.0)

    for device in world.devices:
        engine = device.agent.engine
        if device.description is None:
            assert device.error is not None
        elif not engine.is_connected and engine.is_over:
            assert isinstance(device.error, IceError)
            assert device.is_closed
    world.network.heal()
    world.close_quietly()


@pytest.mark.parametrize("transport", Transport)
@pytest.mark.parametrize("seed", range(25))
def test_bad_networks(transport: Transport, seed: int) -> None:
    """Jitter and a tenth of all packets lost: connected all the same, or failed in time."""
    chance = SeededEntropy(seed, "sites")
    sites = list(Site)
    pair = (sites[chance.below(len(sites))], sites[chance.below(len(sites))])
    conditions = Conditions(latency=Constant(0.05), jitter=0.5, loss=0.1)
    world = IceWorld(pair, seed=seed, turn=(True, True), transport=transport, conditions=conditions)
    world.connect(patience=40.0)

    assert world.is_decided()
    assert isinstance(world.kind(), PathKind), (pair, world.kind())
    world.network.conditions = Conditions(latency=Constant(0.05), jitter=0.0)
    world.network.run(world.network.now + 5.0)
    world.exchange(b"x" * 1000)
    world.close()


def test_equal_seeds_give_equal_sessions() -> None:
    """No clock and no chance of its own."""
    runs = []
    for _ in range(2):
        world = IceWorld((Site.PORT_DEPENDENT, Site.SYMMETRIC), turn=(True, True), seed=5)
        world.connect()
        runs.append([device.agent.events for device in world.devices])
    assert runs[0] == runs[1]


@pytest.mark.parametrize("transport", Transport)
def test_two_components(transport: Transport) -> None:
    """Media want two paths; each has its own and data tells which."""
    world = IceWorld(components=2, transport=transport)
    world.connect()
    for device in world.devices:
        selected = [each.path for each in device.agent.events if isinstance(each, Selected)]
        assert [path.component for path in selected] == [1, 2]
    world.caller.agent.feed(lambda engine, now: engine.send(b"one", now, 1))
    world.caller.agent.feed(lambda engine, now: engine.send(b"two", now, 2))
    world.network.run(world.network.now + 1.0)
    received = [each for each in world.callee.agent.events if isinstance(each, Received)]
    assert sorted((each.component, bytes(each.data)) for each in received) == [
        (1, b"one"),
        (2, b"two"),
    ]
    world.close()


def test_an_hour_on_a_relay() -> None:
    """Permissions, channels and allocations are refreshed, and the nonce goes stale."""
    for transport in Transport:
        world = IceWorld((Site.SYMMETRIC, Site.SYMMETRIC), turn=(True, True), transport=transport)
        world.connect()
        assert world.kind() is PathKind.RELAYED
        for minute in range(60):
            world.server.nonce = b"nonce %d" % minute
            world.network.run(world.network.now + 60.0)
        world.exchange(b"still here")
        world.close()


# Answers that are errors


def test_a_role_conflict_in_an_answer() -> None:
    """We take the other role and check again; with the right one it goes on."""
    alone = Alone().started()
    link = alone.last(Connect).link
    (plain,) = alone.do(alone.engine.link_opened(link, HOST, PEER, 0.0))
    assert isinstance(plain, Write)
    transaction = stun.decode(plain.data[2:]).transaction
    conflict = frame(binding.failure(transaction, 487, "Role Conflict", PEER_PWD))

    (again,) = alone.do(alone.engine.receive(link, conflict, 0.0))

    assert isinstance(again, Write)
    assert "ICE-CONTROLLED" in stun.decode(again.data[2:]).attributes
    assert not alone.engine.is_controlling


def test_another_error_in_an_answer() -> None:
    """The pair has failed, and says with which number."""
    alone = Alone().started()
    link = alone.last(Connect).link
    (plain,) = alone.do(alone.engine.link_opened(link, HOST, PEER, 0.0))
    assert isinstance(plain, Write)
    transaction = stun.decode(plain.data[2:]).transaction
    refused = frame(binding.failure(transaction, 400, "Bad Request", PEER_PWD))
    assert alone.do(alone.engine.receive(link, refused, 0.0)) == [CloseLink(link)]
    (report,) = alone.engine.pairs()
    assert (report.outcome, report.detail) == (Outcome.CHECK_FAILED, "400")


def with_length(message: bytes) -> bytes:
    """Set the length of a STUN message to what it has."""
    return message[:2] + (len(message) - 20).to_bytes(2) + message[4:]


def test_attributes_that_we_do_not_understand() -> None:
    """Required ones are refused with 420 (RFC 8489 section 6.3.1)."""
    alone = Alone().started().accepted()
    plain = stun.decode(alone.check()[2:])
    bare = stun.Message(plain.method, plain.kind, plain.transaction, plain.attributes)
    head = stun.encode(bare, has_fingerprint=False)
    unsigned = with_length(head + bytes.fromhex("7001000400000000"))
    digest = message_integrity(unsigned, alone.engine.pwd.encode())
    signed = with_length(unsigned + b"\0\x08\0\x14" + digest)
    (answer,) = alone.engine.receive(-1, frame(signed), 0.0)
    assert isinstance(answer, Write)
    assert stun.decode(answer.data[2:]).error[0] == 420


def test_too_many_links_even_of_the_peer() -> None:
    """Links that showed the password count, too: at the limit new ones are closed."""
    alone = Alone(is_controlling=False).started()
    for number in range(INCOMING_MAX):
        link = -1 - number
        alone.accepted(link, 30_000 + number)
        alone.do(alone.engine.receive(link, alone.check(), 0.0))
    alone.accepted(-500, 29_999)
    assert alone.last(CloseLink).link == -500
    assert alone.engine.stats.refused_links == 1


def test_garbage_on_a_link_is_counted() -> None:
    """A STUN message that cannot be read, or of another kind, changes nothing."""
    alone = Alone().started().accepted()
    broken = bytearray(alone.check())
    broken[40] ^= 1
    assert alone.engine.receive(-1, bytes(broken), 0.0) == []
    assert alone.engine.stats.malformed == 1
    other = stun.encode(stun.Message(stun.Method.ALLOCATE, Class.REQUEST, bytes(12)))
    assert alone.engine.receive(-1, frame(other), 0.0) == []


def test_inputs_for_what_is_gone() -> None:
    """A driver may be late: nothing happens, and what is new is closed."""
    alone = Alone().started()
    effects = [
        *alone.engine.socket_opened(99, HOST, 0.0),
        *alone.engine.socket_failed(99, "x", 0.0),
        *alone.engine.link_opened(99, HOST, PEER, 0.0),
        *alone.engine.link_failed(99, "x", 0.0),
        *alone.engine.receive(99, b"x", 0.0),
        *alone.engine.receive_eof(99, 0.0),
        *alone.engine.receive_datagram(99, b"x", PEER, 0.0),
        *alone.engine.server_resolved("x", 1, [PEER], 0.0),
        *alone.engine.port_mapped(99, PEER, 0.0),
    ]
    assert effects == []
    alone.engine.close(0.0)
    assert alone.engine.link_accepted(1, -7, HOST, PEER, 0.0) == [CloseLink(-7)]
    assert alone.engine.server_resolved("x", 1, [PEER], 0.0) == []
