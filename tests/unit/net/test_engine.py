"""Connections in a simulated network: real engines of every layer, from offer to channel."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from shoal.core import Persist
from shoal.net.config import ConnectionsConfig, MuxConfig
from shoal.net.effects import (
    AttemptEnded,
    ChannelClosed,
    ChannelId,
    ChannelOpened,
    ConnectionDown,
    ConnectionUp,
    OpenFailed,
    OpenPipe,
    SetReading,
    Way,
)
from shoal.net.errors import (
    BeaconTimeoutError,
    ChannelClosedError,
    ChannelDeclinedError,
    ChannelNameError,
    ConnectError,
    ConnectionLostError,
    ConnectionsClosedError,
    ConnectStep,
    DialError,
    NoAnswerError,
    ReceiveBufferFullError,
    SignalNotSentError,
    TlsError,
    TlsTruncatedError,
    TooManyAttemptsError,
    TooManyChannelsError,
    WrongPeerError,
)
from shoal.net.ice import PathKind
from shoal.net.ice.effects import CloseLink
from shoal.net.mux.effects import MuxSend
from shoal.net.mux.wire import ChannelMessage, ChannelState, encode_frame, encode_message
from shoal.net.signalling import PeerRequest
from tests.unit.net.devices import simulated
from tests.unit.net.world import Device, World, connected

if TYPE_CHECKING:
    from shoal.net.peer import Peer
    from shoal.net.tls.filter import TlsFilter

BOTH = pytest.mark.parametrize("is_reversed", [False, True], ids=["smaller calls", "larger calls"])


def pair(world: World, *, is_reversed: bool = False) -> tuple[Device, Device]:
    """Return a caller and a callee."""
    first, second = world.pair()
    return (second, first) if is_reversed else (first, second)


# Opening


@BOTH
def test_from_a_device_to_a_channel(is_reversed: bool) -> None:
    """An offer, an answer, a path, TLS, a channel; data both ways; closed in order."""
    world = World()
    caller, callee = pair(world, is_reversed=is_reversed)
    channel = connected(world, caller, callee)
    (accepted,) = callee.accepted()

    caller.write(channel, b"hello")
    callee.write(accepted, bytes(200_000))
    world.run(1.0)
    assert callee.said[accepted] == b"hello"
    assert caller.said[channel] == bytes(200_000)

    offer, answer = (request for _, _, request in world.signals)
    assert (offer.is_answer, answer.is_answer) == (False, True)
    assert offer.id == answer.id
    assert callee.sent[0].route == "long"  # an answer goes back the way the offer came
    (up,) = caller.engine.connections()
    assert up.is_caller
    assert up.path is not None
    assert up.path.kind is PathKind.DIRECT
    assert up.channels == 1

    caller.run(lambda now: caller.engine.close_channel(channel, now))
    world.run(1.0)
    assert callee.of(ChannelClosed) == [ChannelClosed(accepted, None)]
    assert caller.of(ChannelClosed) == [ChannelClosed(channel, None)]
    with pytest.raises(ChannelClosedError):
        caller.write(channel, b"late")


def test_the_trace_tells_each_step() -> None:
    """When what happened, with both sides' candidates and the path."""
    world = World()
    caller, callee = pair(world)
    connected(world, caller, callee)
    for device in (caller, callee):
        (ended,) = device.of(AttemptEnded)
        trace = ended.trace
        steps = [moment.event for moment in trace.moments]

        assert steps == [
            "gathered",
            *(["answered"] if device is caller else []),
            "path",
            "tls",
        ]
        assert trace.error is None
        assert trace.path is not None
        assert trace.local_candidates
        assert trace.remote_candidates
        assert trace.tls == "simulated"
        assert device.engine.traces() == [trace]
    assert caller.of(AttemptEnded)[0].trace.seconds_until("answered") == pytest.approx(0.6, abs=0.1)
    assert trace.seconds_until("nothing") is None


def test_one_connection_serves_all_channels_in_both_directions() -> None:
    """Two hundred of them, with one offer."""
    world = World()
    caller, callee = pair(world)
    ops = [caller.connect(callee, f"x:{number}") for number in range(100)]
    world.run(5.0)
    back = [callee.connect(caller, f"y:{number}") for number in range(100)]
    world.run(2.0)

    assert {caller.opened(op).connection for op in ops} == {1}
    assert {callee.opened(op).connection for op in back} == {1}
    assert len(world.signals) == 2
    assert caller.engine.connections()[0].channels == 200


def test_a_declined_channel_fails_alone() -> None:
    """Step and reason are in the error; the connection stays."""
    world = World()
    caller, callee = pair(world)
    op = caller.connect(callee, "no")
    world.run(5.0)
    error = caller.failed(op)

    assert error.step is ConnectStep.CHANNEL
    assert isinstance(error.cause, ChannelDeclinedError)
    assert str(error) == "channel: the peer declined 'no'"
    assert len(caller.engine.connections()) == 1
    assert callee.engine.stats.channels_declined == 1


def test_a_new_connection_can_be_insisted_on() -> None:
    """Then there are two."""
    world = World()
    caller, callee = pair(world)
    connected(world, caller, callee)
    op = caller.connect(callee, reuse=False)
    world.run(5.0)

    assert caller.opened(op).connection == 2
    assert len(callee.engine.connections()) == 2


def test_mistakes_raise_and_change_nothing() -> None:
    """Names, our own device, ids in use, no way, too many, after the end."""
    world = World()
    caller, callee = pair(world)
    caller.engine._config = replace(caller.engine._config, opens_per_device_max=2)  # noqa: SLF001
    with pytest.raises(ChannelNameError):
        caller.connect(callee, "")
    with pytest.raises(ConnectError):
        caller.connect(caller)
    with pytest.raises(TooManyAttemptsError):
        caller.connect(callee, ways=())
    assert caller.engine.sizes["connections"] == caller.engine.sizes["devices"] == 0
    caller.connect(callee)
    caller.connect(callee)
    with pytest.raises(TooManyAttemptsError):
        caller.connect(callee)
    caller.run(caller.engine.close)
    with pytest.raises(ConnectionsClosedError):
        caller.connect(callee)
    assert sorted(caller.ends().values()) == [1, 1]


# Failing


def test_nobody_answers() -> None:
    """After 30 s: the step is signalling; every socket is closed."""
    world = World()
    caller, callee = pair(world)
    world.carries = False
    op = caller.connect(callee)
    world.run(29.0)
    assert caller.ends() == {}
    world.run(2.0)
    error = caller.failed(op)

    assert error.step is ConnectStep.SIGNALLING
    assert isinstance(error.cause, NoAnswerError)
    assert caller.open_sockets() == 0
    assert caller.engine.next_deadline() is None
    (ended,) = caller.of(AttemptEnded)
    assert ended.trace.failed_step is ConnectStep.SIGNALLING
    assert caller.engine.sizes["devices"] == 0


def test_an_offer_that_could_not_be_sent_fails_at_once() -> None:
    """The carrier says so."""
    world = World()
    caller, callee = pair(world)
    world.carries = False
    op = caller.connect(callee)
    world.run(1.0)
    attempt = caller.sent[0].attempt
    caller.run(lambda now: caller.engine.signal_failed(attempt, "no DHT", now))

    error = caller.failed(op)
    assert error.step is ConnectStep.SIGNALLING
    assert isinstance(error.cause, SignalNotSentError)
    caller.run(lambda now: caller.engine.signal_failed(attempt, "again", now))
    assert caller.ends() == {op: 1}


def test_a_blocked_account_hears_nothing() -> None:
    """No answer, no socket, no memory of it; it looks like absence."""
    world = World()
    caller, callee = pair(world)
    callee.policy.blocked.add(caller.peer.account)
    op = caller.connect(callee)
    world.run(60.0)

    assert isinstance(caller.failed(op).cause, NoAnswerError)
    assert callee.sent == []
    assert callee.events == []
    assert callee.sockets == {}
    assert callee.engine.stats.offers_refused == 1


def test_blocked_while_connecting() -> None:
    """Asked again once the peer has proven who it is."""
    world = World()
    caller, callee = pair(world)
    caller.connect(callee)
    world.run(0.5)
    callee.policy.blocked.add(caller.peer.account)
    world.run(60.0)

    assert callee.engine.connections() == caller.engine.connections() == []
    assert callee.accepted() == []
    assert callee.open_sockets() == caller.open_sockets() == 0


def test_another_device_answers() -> None:
    """The caller finds out in TLS; the callee is refused."""
    world = World()
    caller, callee = pair(world)
    callee.engine._tls = caller.engine._tls  # noqa: SLF001 - it has stolen an id, but not the key
    op = caller.connect(callee)
    world.run(60.0)

    error = caller.failed(op)
    assert error.step is ConnectStep.TLS
    assert isinstance(error.cause, WrongPeerError)
    assert callee.open_sockets() == caller.open_sockets() == 0


def test_giving_up_is_silent_and_frees_everything() -> None:
    """Before the answer the attempt ends with it; on a connection the channel is closed."""
    world = World()
    caller, callee = pair(world)
    op = caller.connect(callee)
    world.run(0.1)
    caller.run(lambda now: caller.engine.cancel(op, now))
    caller.run(lambda now: caller.engine.cancel(op, now))
    world.run(60.0)
    assert caller.ends() == {}
    assert caller.open_sockets() == callee.open_sockets() == 0

    connected(world, caller, callee)
    op = caller.connect(callee, "second")
    caller.run(lambda now: caller.engine.cancel(op, now))
    world.run(1.0)
    assert op not in caller.ends()
    assert [type(each.error) for each in callee.of(ChannelClosed)] == [type(None)]
    assert caller.engine.connections()[0].channels == 1


# Two at once


@pytest.mark.parametrize("lag", [0.0, 0.01, 0.3, 0.62, 0.7])
def test_both_call_at_once(lag: float) -> None:
    """Both channels open; two connections at most, of which the one without channels goes."""
    world = World()
    alice, bob = world.pair()
    first = alice.connect(bob, "from alice")
    world.run(lag)
    second = bob.connect(alice, "from bob")
    world.run(10.0)
    ours, theirs = alice.opened(first), bob.opened(second)
    assert 1 <= len(alice.engine.connections()) == len(bob.engine.connections()) <= 2

    alice.write(ours, b"a")
    bob.write(theirs, b"b")
    world.run(1.0)
    assert list(bob.said.values()) == [b"a"]
    assert list(alice.said.values()) == [b"b"]

    bob.run(lambda now: bob.engine.close_channel(theirs, now))
    world.run(70.0)
    assert len(alice.engine.connections()) == len(bob.engine.connections()) == 1
    alice.write(ours, b"still")
    world.run(1.0)
    assert list(bob.said.values()) == [b"astill"]


def test_a_call_from_the_device_that_we_call_serves_us() -> None:
    """Our offer is lost, and theirs arrives: the channel opens on their connection."""
    world = World()
    alice, bob = world.pair()
    world.carries = False
    op = alice.connect(bob)
    world.run(1.0)
    world.carries = True
    bob.connect(alice)
    world.run(5.0)

    assert not alice.engine.connections()[0].is_caller
    assert alice.opened(op).connection == 2
    world.run(60.0)
    assert alice.ends() == {op: 1}


# Life and death of a connection


def vanish(world: World, device: Device) -> None:
    """Cut a device off, without a word."""
    others = [each.host for each in world.devices if each is not device]
    world.network.partition([device.host], others)


def test_reuse_after_a_minute_asks_for_a_sign_of_life() -> None:
    """The peer is gone: after 3 s the connection is closed, and a new one is sought, in vain."""
    world = World()
    caller, callee = pair(world)
    connected(world, caller, callee)
    world.run(70.0)
    vanish(world, callee)
    op = caller.connect(callee, "second")
    world.run(4.0)
    (down,) = caller.of(ConnectionDown)
    assert isinstance(down.error, BeaconTimeoutError)
    assert caller.ends()[op] == 0
    world.run(40.0)

    error = caller.failed(op)
    assert error.step is ConnectStep.SIGNALLING
    assert caller.engine.stats.opens_repeated == 1
    assert caller.open_sockets() == 0


def test_reuse_after_a_minute_when_the_peer_has_moved() -> None:
    """The new connection serves, within seconds."""
    world = World()
    caller, callee = pair(world)
    connected(world, caller, callee)
    world.run(70.0)
    world.tcp.drop_host(callee.host)
    callee.engine.__init__(  # type: ignore[misc]  # it has restarted
        callee.peer.device,
        tls=callee.engine._tls,  # noqa: SLF001
        ice=callee.engine._ice,  # noqa: SLF001
        policy=callee.policy,
        entropy=world.network.entropy("again"),
    )
    op = caller.connect(callee, "second")
    world.run(6.0)

    assert caller.opened(op).connection == 2
    assert len(caller.engine.connections()) == 1


def test_the_network_changed() -> None:
    """Connections that do not answer in 3 s go, with their channels; others stay."""
    world = World()
    caller, callee = world.pair()
    third = world.add("carol")
    channel = connected(world, caller, callee)
    connected(world, caller, third)
    vanish(world, callee)
    caller.run(caller.engine.network_changed)
    world.run(4.0)

    (down,) = caller.of(ConnectionDown)
    assert isinstance(down.error, BeaconTimeoutError)
    (closed,) = caller.of(ChannelClosed)
    assert closed.channel == channel
    assert isinstance(closed.error, BeaconTimeoutError)
    assert [each.device for each in caller.engine.connections()] == [third.peer.device]


def test_an_attempt_that_the_change_of_network_broke_is_repeated() -> None:
    """Once, and only for those who wait."""
    world = World()
    caller, callee = pair(world)
    world.carries = False
    op = caller.connect(callee)
    world.run(1.0)
    caller.run(caller.engine.network_changed)
    world.carries = True
    world.run(40.0)

    assert caller.opened(op).connection == 2


def test_a_new_connection_asks_the_older_ones_for_life() -> None:
    """As Jami of 2026 does; a dead one goes."""
    world = World()
    caller, callee = pair(world)
    connected(world, caller, callee)
    first = caller.engine.connections()[0].connection
    for sockets in callee.sockets.values():  # its end stops hearing
        sockets._links.clear()  # noqa: SLF001
        sockets._numbers.clear()  # noqa: SLF001
    caller.connect(callee, reuse=False)
    world.run(6.0)

    assert [each.connection for each in caller.of(ConnectionDown)] == [first]


def test_closing_an_account_closes_all_its_devices() -> None:
    """What is up, and what is under way; others stay."""
    world = World()
    caller = world.add("alice")
    phone, tablet = (world.add(name, account="bob") for name in ("phone", "tablet"))
    carol = world.add("carol")
    channel = connected(world, caller, phone)
    connected(world, caller, carol)
    world.carries = False
    op = caller.connect(tablet)
    world.run(1.0)
    caller.run(lambda now: caller.engine.close_account(phone.peer.account, now))

    assert isinstance(caller.failed(op).cause, ConnectionsClosedError)
    assert [each.channel for each in caller.of(ChannelClosed)] == [channel]
    assert [each.device for each in caller.engine.connections()] == [carol.peer.device]
    world.run(1.0)
    assert phone.engine.connections() == []
    assert phone.open_sockets() == tablet.open_sockets() == 0
    (closed,) = phone.of(ChannelClosed)
    assert isinstance(closed.error, ConnectionLostError)


def test_closing_one_connection_or_device() -> None:
    """And none that is not there."""
    world = World()
    caller, callee = pair(world)
    connected(world, caller, callee)
    caller.run(lambda now: caller.engine.close_connection(99, now))
    caller.run(lambda now: caller.engine.close_device(simulated("nobody").device, now))
    caller.run(lambda now: caller.engine.close_connection(1, now))
    assert caller.engine.connections() == []
    connected(world, caller, callee)
    caller.run(lambda now: caller.engine.close_device(callee.peer.device, now))
    world.run(1.0)
    assert caller.open_sockets() == callee.open_sockets() == 0
    assert caller.engine.sizes["devices"] == callee.engine.sizes["devices"] == 0


@BOTH
@pytest.mark.parametrize("instant", [round(0.04 * step, 2) for step in range(28)])
def test_the_network_vanishes_at_any_step(instant: float, is_reversed: bool) -> None:
    """A typed error within the step's deadline, and every socket closed, on both sides."""
    world = World(seed=int(instant * 100))
    caller, callee = pair(world, is_reversed=is_reversed)
    op = caller.connect(callee)
    world.run(instant)
    vanish(world, callee)
    world.run(80.0)
    opened = [each for each in caller.of(ChannelOpened) if each.op == op]
    if not opened:
        error = caller.failed(op)
        assert error.step in {
            ConnectStep.SIGNALLING,
            ConnectStep.ICE,
            ConnectStep.TLS,
            ConnectStep.CHANNEL,
        }
    for device in (caller, callee):
        device.run(device.engine.network_changed)
    world.run(5.0)

    assert caller.ends() == {op: 1}
    for device in (caller, callee):
        assert device.engine.connections() == []
        assert device.open_sockets() == 0
        assert device.engine.next_deadline() is None


# Slow readers


def test_a_channel_that_nobody_reads_is_closed_alone() -> None:
    """Reading from the network pauses first, for a second."""
    world = World()
    mux = MuxConfig(buffer_max=40_000, buffer_high=20_000)
    caller, callee = world.add("alice"), world.add("bob", config=ConnectionsConfig(mux=mux))
    stuck, other = connected(world, caller, callee, "stuck"), connected(world, caller, callee, "b")
    callee.reads = False
    caller.write(stuck, bytes(25_000))
    world.run(0.5)
    assert callee.of(SetReading) == [SetReading(1, is_paused=True)]
    world.run(1.0)
    assert callee.of(SetReading)[1:] == [SetReading(1, is_paused=False)]
    caller.write(stuck, bytes(25_000))
    caller.write(other, b"through")
    world.run(0.5)

    (closed,) = callee.of(ChannelClosed)
    assert isinstance(closed.error, ReceiveBufferFullError)
    assert b"through" in callee.said.values()
    assert [each.error for each in caller.of(ChannelClosed)] == [None]


# Hostile peers


def offer(number: int, message: str | None = None) -> PeerRequest:
    """Return an offer that leads nowhere."""
    text = "abcd1234\n0123456789abcdef01234567\nH1 1 TCP 1 192.0.2.77 9 typ host tcptype active\n"
    return PeerRequest(number, text if message is None else message, is_answer=False)


def hear(device: Device, request: PeerRequest, sender: str) -> None:
    """Let an offer of some device arrive."""
    peer = simulated(sender)
    device.run(lambda now: device.engine.signal_received(request, peer, now))


def test_an_offer_is_treated_once_even_after_a_restart() -> None:
    """Both keys of the DHT may bring it; what was treated is kept on disk before the answer."""
    world = World()
    world.carries = False
    callee = world.add("bob")
    world.add("eve")
    hear(callee, offer(5), "eve")
    hear(callee, offer(5), "eve")
    world.run(1.0)

    (saved,) = callee.of(Persist)
    assert saved.name == "treated"
    assert len(callee.sent) == 1
    assert callee.engine.stats.offers_repeated == 1
    world.run(120.0)
    assert callee.open_sockets() == 0
    assert callee.engine.stats.attempts_failed == 1


def test_offers_that_cannot_be_read() -> None:
    """Are counted."""
    callee = World().add("bob")
    hear(callee, offer(5, ""), "eve")
    hear(callee, offer(6, "x"), "eve")
    assert callee.engine.stats.offers_malformed == 2
    assert callee.engine.sizes["connections"] == callee.engine.sizes["devices"] == 0


def test_offers_have_a_rate_and_a_number() -> None:
    """Per device four at once and thirty a minute; then they are not looked at."""
    world = World()
    world.carries = False
    callee = world.add("bob")
    world.add("eve")
    for number in range(1, 100):
        hear(callee, offer(number), "eve")
    assert callee.engine.sizes["connections"] == 4
    assert callee.engine.stats.offers_limited == 95
    world.run(300.0)
    assert callee.engine.sizes["connections"] == 0
    assert callee.open_sockets() == 0
    hear(callee, offer(101), "eve")
    assert callee.engine.sizes["connections"] == 1


def test_attempts_have_a_number_in_all() -> None:
    """However many devices ask."""
    world = World()
    world.carries = False
    callee = world.add("bob", config=ConnectionsConfig(attempts_max=3))
    target = world.add("alice")
    for number in range(1, 9):
        world.add(f"eve {number}")
        hear(callee, offer(number), f"eve {number}")
    assert callee.engine.sizes["connections"] == 3
    with pytest.raises(TooManyAttemptsError):
        callee.connect(target)


def test_connections_of_one_device_have_a_number() -> None:
    """At the limit the older ones are asked for a sign of life, and dead ones make room."""
    world = World()
    caller = world.add("alice", config=ConnectionsConfig(redundant_after=None))
    config = ConnectionsConfig(connections_per_device_max=2, redundant_after=None)
    callee = world.add("bob", config=config)
    for number in range(3):
        caller.connect(callee, f"x{number}", reuse=False)
        world.run(5.0)
    assert len(callee.engine.connections()) == 2
    assert callee.engine.stats.offers_limited == 1


def test_answers_that_nobody_waits_for() -> None:
    """Of another device, for no offer, twice, or unreadable."""
    world = World()
    caller, callee = pair(world)
    world.carries = False
    op = caller.connect(callee)
    world.run(1.0)
    ours = caller.sent[0].request
    text = offer(1).ice_message
    answer = PeerRequest(ours.id, text, is_answer=True)
    hear(caller, answer, "eve")
    hear(caller, PeerRequest(12345, text, is_answer=True), callee.host.name)
    assert caller.engine.stats.answers_ignored == 2
    hear(caller, answer, callee.host.name)
    hear(caller, answer, callee.host.name)
    assert caller.engine.stats.answers_ignored == 3
    world.run(60.0)
    assert caller.failed(op).step is ConnectStep.ICE

    op = caller.connect(callee)
    world.run(1.0)
    hear(caller, PeerRequest(caller.sent[1].request.id, "", is_answer=True), callee.host.name)
    assert caller.failed(op).step is ConnectStep.SIGNALLING
    assert caller.open_sockets() == 0


def test_our_own_signals_and_those_after_the_end_are_not_for_us() -> None:
    """A device may hear itself where both listen."""
    world = World()
    device = world.add("bob")
    device.run(lambda now: device.engine.signal_received(offer(1), device.peer, now))
    device.run(device.engine.close)
    hear(device, offer(2), "eve")
    assert device.events == []


def test_inputs_for_attempts_that_are_gone() -> None:
    """Are harmless."""
    world = World()
    device = world.add("bob")
    engine = device.engine
    device.run(lambda now: engine.addresses_found(9, [], [], now))
    device.run(lambda now: engine.ice_input(9, lambda ice, now: ice.advance(now), now))
    device.run(lambda now: engine.pipe_received("none", b"x", now))
    device.run(lambda now: engine.pipe_eof("none", now))
    device.run(lambda now: engine.pipe_failed(9, DialError("none"), now))
    assert device.events == []


def test_a_machine_without_addresses() -> None:
    """The step is ICE."""
    world = World()
    caller, callee = pair(world)
    world.seen = lambda device: []  # type: ignore[method-assign]
    caller.host.ipv4 = None
    op = caller.connect(callee)
    world.run(20.0)
    assert caller.failed(op).step is ConnectStep.ICE


# Other ways than ICE


def test_another_transport_carries_the_same() -> None:
    """A pipe that somebody else made; the first way that comes up serves, and the other ends."""
    world = World()
    caller, callee = pair(world)

    def join(device: Device, order: OpenPipe) -> None:
        world.join(device, callee, order, order.way)

    caller.open_pipe = join
    op = caller.connect(callee, ways=(Way.DIRECT, Way.ICE))
    world.run(0.5)
    channel = caller.opened(op)
    (up,) = caller.of(ConnectionUp)
    assert up.info.way is Way.DIRECT
    caller.write(channel, b"hello")
    world.run(1.0)
    assert list(callee.said.values()) == [b"hello"]
    caller.run(lambda now: caller.engine.close_connection(channel.connection, now))
    world.run(1.0)
    assert [each.info.way for each in callee.of(ConnectionUp)] == [Way.DIRECT, Way.ICE]
    assert len(callee.of(ConnectionDown)) == 1


def test_a_transport_that_fails_or_says_nothing() -> None:
    """Its error is reported when no other way is left."""
    world = World()
    caller, callee = pair(world)
    error = DialError("nobody there")

    def fail(device: Device, order: OpenPipe) -> None:
        device.run(lambda now: device.engine.pipe_failed(order.attempt, error, now))

    caller.open_pipe = fail
    op = caller.connect(callee, ways=(Way.DIRECT,))
    assert caller.failed(op).cause is error
    caller.open_pipe = lambda device, order: None
    op = caller.connect(callee, ways=(Way.RELAY,))
    world.run(25.0)
    assert isinstance(caller.failed(op).cause, DialError)
    op = caller.connect(callee, ways=(Way.RELAY, Way.ICE))
    world.run(5.0)
    assert caller.opened(op).connection
    caller.run(lambda now: caller.engine.close_device(callee.peer.device, now))
    world.carries = False
    op = caller.connect(callee, ways=(Way.RELAY, Way.ICE))
    world.run(40.0)
    assert isinstance(caller.failed(op).cause, NoAnswerError)  # ICE's says most


def test_pipes_that_come_too_late_or_from_the_blocked_are_closed() -> None:
    """And nothing else."""
    world = World()
    caller, callee = pair(world)
    closed: list[object] = []
    world.close_pipe = lambda sender, pipe: closed.append(pipe)  # type: ignore[method-assign]
    caller.run(lambda now: caller.engine.pipe_opened(99, "late", now))
    callee.policy.blocked.add(caller.peer.account)
    callee.run(lambda now: callee.engine.accept_pipe("in", caller.peer, Way.DIRECT, now))
    callee.policy.blocked.clear()
    for number in range(20):
        callee.run(
            lambda now, n=number: callee.engine.accept_pipe(n, caller.peer, Way.DIRECT, now)  # type: ignore[misc]
        )
    assert closed[:2] == ["late", "in"]
    assert callee.engine.stats.offers_limited == 16
    world.run(60.0)  # their handshakes time out
    assert callee.engine.sizes["connections"] == 0
    assert set(closed[2:]) == set(range(20))
    assert {type(each.error) for each in callee.of(OpenFailed)} == set()


# Odd moments


class Refusing:
    """A factory whose certificates TLS does not take."""

    def __call__(self, peer: Peer, *, is_server: bool) -> TlsFilter:
        """Refuse."""
        raise TlsError("a certificate that TLS cannot use")


def test_certificates_that_tls_cannot_use() -> None:
    """The step is TLS."""
    world = World()
    caller, callee = pair(world)
    caller.engine._tls = Refusing()  # noqa: SLF001
    op = caller.connect(callee)
    world.run(60.0)
    assert caller.failed(op).step is ConnectStep.TLS
    assert caller.open_sockets() == callee.open_sockets() == 0


def test_no_further_channel_fits() -> None:
    """An event and not a mistake: nobody could know before."""
    world = World()
    caller, callee = pair(world)
    caller.engine._config = ConnectionsConfig(mux=MuxConfig(channels_max=1))  # noqa: SLF001
    connected(world, caller, callee)
    op = caller.connect(callee)
    assert isinstance(caller.failed(op).cause, TooManyChannelsError)


def test_closing_a_device_while_a_channel_is_asked_for() -> None:
    """One end for each."""
    world = World()
    caller, callee = pair(world)
    connected(world, caller, callee)
    op = caller.connect(callee, "second")
    caller.run(lambda now: caller.engine.close_device(callee.peer.device, now))
    world.run(60.0)
    assert caller.ends()[op] == 1
    assert isinstance(caller.failed(op).cause, ConnectionsClosedError)


def test_a_channel_moves_to_another_connection_when_its_own_dies() -> None:
    """The one that is left, without a new attempt."""
    world = World()
    caller, callee = pair(world)
    connected(world, caller, callee)
    caller.connect(callee, reuse=False)
    world.run(5.0)
    op = caller.connect(callee, "moves")
    number = caller.engine._registry.opens[op].connection  # noqa: SLF001
    assert number is not None
    caller.run(lambda now: caller.engine.close_connection(number, now))
    world.run(2.0)
    assert caller.opened(op).connection != number
    assert caller.engine.stats.opens_repeated == 1


def test_no_room_for_another_try() -> None:
    """Then it has failed."""
    world = World()
    caller, callee = world.add("alice", config=ConnectionsConfig(connections_max=2)), world.add("b")
    connected(world, caller, callee)
    world.carries = False
    caller.connect(world.add("carol"))
    op = caller.connect(callee, "second")
    caller.run(lambda now: caller.engine.close_connection(1, now))
    caller.run(lambda now: [])
    assert isinstance(caller.failed(op).cause, ConnectionLostError)


@pytest.mark.parametrize("tail", [b"\x91", encode_frame(1, b"")], ids=["garbage", "withdrawn"])
def test_a_request_with_its_end_in_one_breath(tail: bytes) -> None:
    """Nobody is told of a channel that is gone already."""
    world = World()
    caller, callee = pair(world)
    connected(world, caller, callee)
    session = caller.engine._registry.connections[1].session  # noqa: SLF001
    assert session is not None
    frame = encode_message(ChannelMessage("x", 1, ChannelState.REQUEST)) + tail
    caller.run(
        lambda now: caller.engine._apply(  # noqa: SLF001
            caller.engine._registry.connections[1],  # noqa: SLF001
            session.from_mux([MuxSend(frame)], now),
            now,
        )
    )
    world.run(1.0)
    assert len(callee.accepted()) == 1


def test_a_path_that_ends_without_a_good_bye() -> None:
    """Is an error, and says which."""
    world = World()
    caller, callee = pair(world)
    connected(world, caller, callee)
    for sockets in callee.sockets.values():
        for link in list(sockets._links):  # noqa: SLF001
            sockets.carry_out(CloseLink(link))
    world.run(2.0)
    (down,) = caller.of(ConnectionDown)
    assert isinstance(down.error, TlsTruncatedError)
    assert caller.open_sockets() == 0


def test_insisting_on_a_new_connection_by_several_ways() -> None:
    """It fails when the last of them has; a change of network gives it another try."""
    world = World()
    caller, callee = pair(world)
    caller.open_pipe = lambda device, order: None
    world.carries = False
    op = caller.connect(callee, ways=(Way.DIRECT, Way.ICE), reuse=False)
    world.run(25.0)
    assert caller.ends() == {}
    world.run(10.0)
    assert caller.failed(op).step is ConnectStep.SIGNALLING
    op = caller.connect(callee, reuse=False)
    world.run(1.0)
    caller.run(caller.engine.network_changed)
    world.carries = True
    world.run(40.0)
    assert caller.opened(op)


def test_an_answer_has_come_although_a_carrier_failed() -> None:
    """Another one has delivered the offer."""
    world = World()
    caller, callee = pair(world)
    op = caller.connect(callee)
    world.run(0.61)
    caller.run(lambda now: caller.engine.signal_failed(1, "one of two", now))
    world.run(2.0)
    assert caller.opened(op)


def test_channels_that_never_were() -> None:
    """Commands for them are harmless, but for writing."""
    world = World()
    device = world.add("bob")
    channel = ChannelId(7, 7)
    device.run(lambda now: device.engine.consumed(channel, 1, 1, now))
    device.run(lambda now: device.engine.close_channel(channel, now))
    with pytest.raises(ChannelClosedError):
        device.write(channel, b"x")
    assert device.engine.pipe_of(7) is None


def test_an_error_that_names_its_step_keeps_it() -> None:
    """A carrier of pipes may know better."""
    world = World()
    caller, callee = pair(world)
    error = ConnectError(ConnectStep.CHAIN, "no chain")

    def fail(device: Device, order: OpenPipe) -> None:
        device.run(lambda now: device.engine.pipe_failed(order.attempt, error, now))

    caller.open_pipe = fail
    op = caller.connect(callee, ways=(Way.DIRECT,))
    assert caller.failed(op) is error


def test_equal_seeds_give_equal_runs() -> None:
    """No clock and no chance of its own, in any layer."""

    def play(seed: int) -> list[str]:
        world = World(seed)
        alice, bob = world.pair()
        alice.connect(bob, "from alice")
        bob.connect(alice, "from bob")
        world.run(30.0)
        vanish(world, bob)
        alice.run(alice.engine.network_changed)
        world.run(30.0)
        return [repr(event) for device in (alice, bob) for event in device.events]

    assert play(1) == play(1)
    assert play(1) != play(2)
