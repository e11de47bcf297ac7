"""Two multiplexers joined by hand."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shoal.net.config import MuxConfig
from shoal.net.errors import (
    BeaconTimeoutError,
    ChannelClosedError,
    ChannelDeclinedError,
    ChannelNameError,
    ChannelTimeoutError,
    ConnectionLostError,
    MuxProtocolError,
    PeerFloodsError,
    ReceiveBufferFullError,
    TooManyChannelsError,
)
from shoal.net.mux import MuxEngine
from shoal.net.mux.effects import (
    Asked,
    Closed,
    MuxEffect,
    MuxReading,
    MuxSend,
    Opened,
    Over,
    Packet,
    Unopened,
)
from shoal.net.mux.wire import (
    BeaconMessage,
    ChannelMessage,
    ChannelState,
    FrameReader,
    VersionMessage,
    decode_control,
    encode_frame,
    encode_message,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

SERVER_FIRST = 0x8000
KIB = 1024


def sent(effects: Iterable[MuxEffect]) -> bytes:
    """Return what *effects* send."""
    return b"".join(effect.data for effect in effects if isinstance(effect, MuxSend))


def events(effects: Iterable[MuxEffect]) -> list[MuxEffect]:
    """Return everything else."""
    return [effect for effect in effects if not isinstance(effect, MuxSend)]


def request(name: str, number: int) -> bytes:
    """Return a peer's request."""
    return encode_message(ChannelMessage(name, number, ChannelState.REQUEST))


def accept(name: str, number: int) -> bytes:
    """Return a peer's accept."""
    return encode_message(ChannelMessage(name, number, ChannelState.ACCEPT))


def started(config: MuxConfig | None = None, *, is_server: bool = True) -> MuxEngine:
    """Return an engine whose peer speaks version 1."""
    engine = MuxEngine(is_tls_server=is_server, config=config)
    assert sent(engine.start(0.0)) == bytes.fromhex("92cdffffc40481a17601")
    assert engine.receive(encode_message(VersionMessage(1)), 0.0) == []
    return engine


def with_channel(config: MuxConfig | None = None) -> MuxEngine:
    """Return an engine on which the peer has opened channel 5."""
    engine = started(config)
    engine.receive(request("a", 5), 0.0)
    engine.accept(5, 0.0)
    return engine


# Opening


def test_open_accept_talk_close() -> None:
    """Every byte of one channel's life, as Jami's vectors have them."""
    caller, callee = started(), started(is_server=False)

    asked = caller.open(7, "sip", 0.0)
    assert sent(asked) == bytes.fromhex("9200c40993a3736970cd800000")
    assert callee.receive(sent(asked), 0.0) == [Asked(SERVER_FIRST, "sip")]
    accepted = callee.accept(SERVER_FIRST, 0.0)
    assert sent(accepted) == bytes.fromhex("9200c40993a3736970cd800001")
    assert caller.receive(sent(accepted), 0.0) == [Opened(7, SERVER_FIRST, "sip")]
    said = sent(caller.write(SERVER_FIRST, b"hi", 0.0))
    assert said == bytes.fromhex("92cd8000c4026869")
    assert callee.receive(said, 0.0) == [Packet(SERVER_FIRST, b"hi")]
    closed = caller.close_channel(SERVER_FIRST, 0.0)
    assert sent(closed) == bytes.fromhex("92cd8000c400")
    assert events(closed) == [Closed(SERVER_FIRST, None)]
    assert callee.receive(sent(closed), 0.0) == [Closed(SERVER_FIRST, None)]
    assert caller.open_channels == callee.open_channels == 0
    assert caller.close_channel(SERVER_FIRST, 0.0) == []


def test_numbers_are_by_role() -> None:
    """From 0x8000 in the TLS server, from 1 in the client, and in use is skipped."""
    server, client = started(), started(is_server=False)
    server.receive(request("theirs", 0x8001), 0.0)
    numbers = []
    for op in range(3):
        (message,) = decode_control(FrameReader().feed(sent(server.open(op, "x", 0.0)))[0].data)
        assert isinstance(message, ChannelMessage)
        numbers.append(message.number)

    assert numbers == [0x8000, 0x8002, 0x8003]
    assert request("x", 1) == sent(client.open(1, "x", 0.0))


def test_numbers_come_around() -> None:
    """After all of one's half, the first ones again, and never the protocol's own."""
    engine = started(MuxConfig(requests_burst=10**6))
    seen = set()
    for op in range(0x7FFF):
        number = FrameReader().feed(sent(engine.open(op, "x", 0.0)))[0].data[-4:-1]
        seen.add(number)
        engine.cancel(op, 0.0)
        engine.receive(
            encode_message(ChannelMessage("x", int.from_bytes(number[-2:]), ChannelState.DECLINE)),
            0.0,
        )
    assert len(seen) == 0x7FFF
    assert sent(engine.open(1, "x", 0.0)) == request("x", 0x8000)


def test_a_decline_is_an_error_and_nothing_more() -> None:
    """The connection stays."""
    caller, callee = started(), started(is_server=False)
    callee.receive(sent(caller.open(1, "no", 0.0)), 0.0)
    (end,) = caller.receive(sent(callee.decline(SERVER_FIRST, 0.0)), 0.0)

    assert isinstance(end, Unopened)
    assert end.op == 1
    assert isinstance(end.error, ChannelDeclinedError)
    assert not caller.is_over
    assert caller.open_channels == callee.open_channels == 0


def test_nobody_answers() -> None:
    """After 30 s it has failed; an accept that comes later is closed at once."""
    engine = started()
    engine.open(1, "slow", 0.0)
    engine.open(2, "slower", 1.0)

    assert engine.next_deadline() == 30.0
    assert engine.advance(29.9) == []
    (end,) = engine.advance(30.0)
    assert isinstance(end, Unopened)
    assert isinstance(end.error, ChannelTimeoutError)
    assert engine.next_deadline() == 31.0
    assert engine.receive(accept("slow", SERVER_FIRST), 40.0) == [
        MuxSend(encode_frame(SERVER_FIRST, b""))
    ]
    assert engine.open_channels == 1


def test_who_gives_up_gets_no_channel() -> None:
    """A canceled open ends in silence; what the peer makes of it is closed."""
    engine = started()
    engine.open(1, "x", 0.0)

    assert engine.cancel(1, 0.0) == []
    assert engine.cancel(1, 0.0) == []
    assert engine.next_deadline() is None
    assert sent(engine.receive(accept("x", SERVER_FIRST), 1.0)) == encode_frame(SERVER_FIRST, b"")


def test_a_close_may_overtake_its_accept() -> None:
    """Jami handles control frames in threads: the accept counts first."""
    engine = started()
    engine.open(1, "x", 0.0)

    assert engine.receive(encode_frame(SERVER_FIRST, b""), 0.0) == []
    assert engine.receive(accept("x", SERVER_FIRST), 0.0) == [
        Opened(1, SERVER_FIRST, "x"),
        Closed(SERVER_FIRST, None),
    ]


def test_both_ask_for_one_number() -> None:
    """Theirs is declined, ours closed when it is answered, and asked for once more."""
    engine = started()
    engine.open(1, "ours", 0.0)
    declined = engine.receive(request("theirs", SERVER_FIRST), 0.0)
    again = engine.receive(accept("ours", SERVER_FIRST), 0.0)

    assert sent(declined) == encode_message(
        ChannelMessage("theirs", SERVER_FIRST, ChannelState.DECLINE)
    )
    assert sent(again) == encode_frame(SERVER_FIRST, b"") + request("ours", SERVER_FIRST + 1)
    assert engine.receive(accept("ours", SERVER_FIRST + 1), 0.0) == [
        Opened(1, SERVER_FIRST + 1, "ours")
    ]
    assert engine.stats.collisions == 1


def test_a_collision_that_the_peer_declines_too() -> None:
    """Jami of 2026 declines; ours is asked for under the next number."""
    engine = started()
    engine.open(1, "ours", 0.0)
    engine.receive(request("theirs", SERVER_FIRST), 0.0)
    decline = encode_message(ChannelMessage("ours", SERVER_FIRST, ChannelState.DECLINE))

    assert sent(engine.receive(decline, 0.0)) == request("ours", SERVER_FIRST + 1)


@pytest.mark.parametrize(("name", "number"), [("x", 0), ("x", 0xFFFF), ("", 9), ("x", 5)])
def test_requests_that_cannot_be(name: str, number: int) -> None:
    """Reserved numbers, no name, or a number in use: declined without asking anybody."""
    engine = with_channel()
    assert engine.receive(request(name, number), 0.0) == [
        MuxSend(encode_message(ChannelMessage(name, number, ChannelState.DECLINE)))
    ]


def test_names_have_a_size() -> None:
    """Ours raise, theirs are passed over."""
    engine = started()
    for name in ("", "x" * 1025, "\ud800"):
        with pytest.raises(ChannelNameError):
            engine.open(1, name, 0.0)
    assert engine.receive(request("ä" * 513, 7), 0.0) == []
    assert engine.stats.malformed == 1


def test_channels_have_a_limit() -> None:
    """At it ours raise and theirs are declined."""
    engine = started(MuxConfig(channels_max=2))
    engine.open(1, "x", 0.0)
    engine.receive(request("y", 1), 0.0)

    with pytest.raises(TooManyChannelsError):
        engine.open(2, "z", 0.0)
    assert sent(engine.receive(request("z", 2), 0.0)) == encode_message(
        ChannelMessage("z", 2, ChannelState.DECLINE)
    )


def test_a_request_withdrawn_before_it_is_answered() -> None:
    """The close of a channel that waits for the policy: answering it is harmless."""
    engine = started()
    engine.receive(request("x", 1) + encode_frame(1, b""), 0.0)

    assert engine.accept(1, 0.0) == engine.decline(1, 0.0) == []
    assert engine.open_channels == 0


# Data


def test_data_without_a_channel_are_dropped() -> None:
    """Before the accept, after the close, for numbers nobody knows."""
    engine = started()
    engine.open(1, "x", 0.0)
    engine.receive(request("y", 3), 0.0)
    for number in (SERVER_FIRST, 3, 77):
        assert engine.receive(encode_frame(number, b"early"), 0.0) == []
    assert engine.stats.dropped == 3
    with pytest.raises(ChannelClosedError):
        engine.write(SERVER_FIRST, b"early", 0.0)
    with pytest.raises(ChannelClosedError):
        engine.write(77, b"nowhere", 0.0)


def test_long_writes_become_several_packets() -> None:
    """65,535 bytes each; nothing at all sends nothing, since it would close the channel."""
    engine = with_channel()
    data = bytes(range(256)) * 600
    frames = FrameReader().feed(sent(engine.write(5, data, 0.0)))

    assert [len(frame.data) for frame in frames] == [65_535, 65_535, len(data) - 131_070]
    assert b"".join(frame.data for frame in frames) == data
    assert engine.write(5, b"", 0.0) == []


@given(st.lists(st.binary(min_size=1, max_size=200), max_size=20), st.integers(1, 50))
def test_packets_keep_their_boundaries(packets: list[bytes], cut: int) -> None:
    """Whatever the stream below does."""
    writer, reader = with_channel(), with_channel()
    stream = b"".join(sent(writer.write(5, packet, 0.0)) for packet in packets)
    found: list[MuxEffect] = []
    for start in range(0, len(stream), cut):
        found += reader.receive(stream[start : start + cut], 0.0)
    assert found == [Packet(5, packet) for packet in packets]


SMALL = MuxConfig(buffer_max=10 * KIB, buffer_high=4 * KIB, buffer_total_max=16 * KIB)


def fill(engine: MuxEngine, number: int, kib: int, now: float = 0.0) -> list[MuxEffect]:
    """Let *kib* KiB arrive on a channel."""
    packet = encode_frame(number, bytes(KIB - 64))
    return [each for _ in range(kib) for each in engine.receive(packet, now)]


def test_a_reader_that_lags_makes_the_peer_wait() -> None:
    """Reading pauses at the high mark, and goes on at half of it."""
    engine = with_channel(SMALL)
    effects = fill(engine, 5, 5)

    assert effects[-1] == MuxReading(is_paused=True)
    assert [each for each in effects if isinstance(each, MuxReading)] == effects[-1:]
    assert engine.consumed(5, 2 * (KIB - 64), 2, 0.1) == []
    assert engine.consumed(5, KIB - 64, 1, 0.1) == [MuxReading(is_paused=False)]
    assert engine.next_deadline() is None
    assert engine.held_bytes == 2 * KIB


def test_a_reader_that_stopped_loses_its_channel_alone() -> None:
    """It may keep the others waiting for a second; then, at the bound, it is closed."""
    engine = with_channel(SMALL)
    engine.receive(request("b", 6), 0.0)
    engine.accept(6, 0.0)
    fill(engine, 5, 5)

    assert engine.next_deadline() == 1.0
    assert engine.advance(1.0) == [MuxReading(is_paused=False)]
    effects = fill(engine, 5, 6, 1.5)
    assert not [each for each in effects if isinstance(each, MuxReading)]
    assert effects[-2] == MuxSend(encode_frame(5, b""))
    closed = effects[-1]
    assert isinstance(closed, Closed)
    assert isinstance(closed.error, ReceiveBufferFullError)
    assert engine.receive(encode_frame(6, b"alive"), 2.0) == [Packet(6, b"alive")]
    assert engine.consumed(5, 1, 1, 2.0) == []


def test_a_slow_reader_slows_down_the_peer() -> None:
    """As long as it reads something each second; the others wait with it."""
    engine = with_channel(SMALL)
    fill(engine, 5, 5)
    for second in (1.0, 2.0):
        assert engine.consumed(5, 100, 0, second - 0.5) == []
        assert engine.advance(second) == []
        assert engine.next_deadline() == second + 1.0
    assert engine.advance(3.0) == [MuxReading(is_paused=False)]
    assert engine.next_deadline() is None


def test_a_paused_connection_goes_on_when_the_full_channel_closes() -> None:
    """Nobody else is there to be waited for."""
    engine = with_channel(SMALL)
    fill(engine, 5, 5)
    assert engine.receive(encode_frame(5, b""), 0.5) == [
        Closed(5, None),
        MuxReading(is_paused=False),
    ]


def test_all_channels_together_have_a_limit() -> None:
    """The one that receives when it is reached is closed."""
    engine = with_channel(SMALL)
    for number in (6, 7):
        engine.receive(request("b", number), 0.0)
        engine.accept(number, 0.0)
    fill(engine, 5, 8)
    fill(engine, 6, 8)
    effects = fill(engine, 7, 1)

    assert [each.number for each in effects if isinstance(each, Closed)] == [7]


def test_tiny_packets_cost_more_than_their_bytes() -> None:
    """A flood of single bytes meets the bound long before it fills the memory."""
    engine = with_channel(SMALL)
    frame = encode_frame(5, b"x")
    effects = engine.receive(frame * 1000, 0.0)
    assert len([each for each in effects if isinstance(each, Packet)]) == 10 * KIB // 65


# Signs of life


def test_a_beacon_is_answered_at_once_and_not_for_ever() -> None:
    """A peer that does nothing else is not answered each time."""
    engine = started()
    asked, answer = (encode_message(BeaconMessage(is_request=each)) for each in (True, False))

    assert sent(engine.receive(asked, 0.0)) == answer
    assert sent(engine.receive(asked * 100, 0.0)) == answer * 15
    assert sent(engine.receive(asked, 2.0)) == b""
    assert sent(engine.receive(asked, 100.0)) == answer


def test_no_sign_of_life_ends_the_connection() -> None:
    """After three seconds; every channel says so."""
    engine = with_channel()
    engine.open(1, "x", 0.0)

    assert sent(engine.check(10.0)) == encode_message(BeaconMessage(is_request=True))
    assert engine.is_checking
    assert engine.check(11.0) == []
    assert engine.next_deadline() == 13.0
    closed, unopened, over = engine.advance(13.0)
    assert isinstance(closed, Closed)
    assert isinstance(unopened, Unopened)
    assert isinstance(over, Over)
    assert {type(each.error) for each in (closed, unopened, over)} == {BeaconTimeoutError}
    assert engine.check(14.0) == []


def test_a_sign_of_life_keeps_the_connection() -> None:
    """The answer ends the wait."""
    engine = started()
    engine.check(10.0)
    engine.receive(encode_message(BeaconMessage(is_request=False)), 11.0)
    assert engine.next_deadline() is None
    assert engine.last_heard == 11.0


def test_a_peer_that_knows_no_beacons_is_not_asked() -> None:
    """Until its version has come."""
    engine = MuxEngine(is_tls_server=False)
    engine.start(0.0)
    assert engine.check(1.0) == []
    engine.receive(encode_message(VersionMessage(0)), 1.0)
    assert engine.check(1.0) == []


# Hostile peers


def test_requests_have_a_rate() -> None:
    """Past the burst they are left without an answer; far past it the connection is cut."""
    engine = started(MuxConfig(requests_burst=3, requests_per_second=1.0))
    effects = engine.receive(b"".join(request("x", number) for number in range(1, 7)), 0.0)

    assert [each.number for each in effects if isinstance(each, Asked)] == [1, 2, 3]
    assert engine.stats.unanswered == 3
    for number in range(1, 4):
        engine.decline(number, 0.0)
    assert engine.receive(request("x", 9), 10.0) == [Asked(9, "x")]
    over = engine.receive(b"".join(request("x", number) for number in range(1, 60)), 10.0)[-1]
    assert isinstance(over, Over)
    assert isinstance(over.error, PeerFloodsError)


def test_control_data_that_make_no_sense_are_passed_over_for_a_while() -> None:
    """A thousand times; then we part."""
    engine = with_channel()
    nonsense = encode_frame(0, b"\xc1")
    assert engine.receive(nonsense * 1000, 0.0) == []
    effects = engine.receive(nonsense, 0.0)
    assert isinstance(effects[-1], Over)


@pytest.mark.parametrize("stream", [b"\x91", b"HTTP/1.1", bytes.fromhex("9205c600010000")])
def test_what_is_no_stream_of_frames_ends_it(stream: bytes) -> None:
    """Giant frames too, on their headers alone; nothing is taken afterwards."""
    engine = with_channel()
    closed, over = engine.receive(stream, 0.0)

    assert isinstance(closed, Closed)
    assert isinstance(over, Over)
    assert isinstance(over.error, MuxProtocolError)
    assert engine.is_over
    assert engine.receive(request("x", 9), 0.0) == engine.receive_eof(0.0) == []
    with pytest.raises(ConnectionLostError):
        engine.open(1, "x", 0.0)


def test_a_frame_must_end() -> None:
    """A peer that sends byte by byte has two minutes for each frame."""
    engine = with_channel()
    frame = encode_frame(5, bytes(200))
    engine.receive(frame[:10], 0.0)
    engine.receive(frame[10:20], 60.0)
    assert engine.next_deadline() == 120.0
    over = engine.advance(120.0)[-1]
    assert isinstance(over, Over)
    assert isinstance(over.error, MuxProtocolError)


def test_a_frame_in_time_starts_the_next_ones_time() -> None:
    """Each frame has its own."""
    engine = with_channel()
    frame = encode_frame(5, bytes(200))
    engine.receive(frame[:10], 0.0)
    engine.receive(frame[10:] + frame[:1], 60.0)
    assert engine.next_deadline() == 180.0
    engine.receive(frame[1:], 61.0)
    assert engine.next_deadline() is None


def test_the_end_of_the_stream_closes_everything() -> None:
    """Channels, and what was asked for."""
    engine = with_channel()
    engine.open(1, "x", 0.0)
    effects = engine.receive_eof(1.0)

    assert [type(each) for each in effects] == [Closed, Unopened, Over]
    assert engine.next_deadline() is None
    assert engine.open_channels == 0


FRAMES = st.builds(
    encode_message,
    st.builds(
        ChannelMessage, st.sampled_from("ab"), st.integers(0, 8), st.sampled_from(ChannelState)
    )
    | st.builds(BeaconMessage, st.booleans())
    | st.builds(VersionMessage, st.integers(0, 2)),
) | st.builds(encode_frame, st.integers(0, 8), st.binary(max_size=60))


@given(st.lists(FRAMES | st.binary(max_size=30)), st.booleans())
def test_whatever_comes_is_taken_and_bounded(pieces: Sequence[bytes], is_server: bool) -> None:
    """No exception, deadlines in the future, and nothing above its limit."""
    config = MuxConfig(channels_max=6, buffer_max=200, buffer_high=100, buffer_total_max=400)
    engine = started(config, is_server=is_server)
    for op, piece in enumerate(pieces):
        now = op * 0.7
        if not engine.is_over and engine.open_channels < config.channels_max:
            engine.open(op, "x", now)
        for effect in engine.receive(piece, now):
            if isinstance(effect, Asked):
                (engine.accept if op % 3 else engine.decline)(effect.number, now)
        engine.advance(now)
        deadline = engine.next_deadline()
        assert deadline is None or deadline > now
        assert engine.open_channels <= config.channels_max
        assert engine.held_bytes <= config.buffer_total_max
