"""Channels by name on one connection.

Theory of operation. Each side sends its version once and asks for channels under numbers of its
choice; the other accepts or declines. A channel of ours goes through

    open() ──► REQUESTED ──accepted──► OPEN ──closed by either side──► forgotten
                   │  └──declined──► forgotten
                   └──timed out or canceled──► ABANDONED ──answered──► closed, forgotten

and one of the peer's is ASKED until `accept` or `decline`. An abandoned number stays taken until it
is answered, since the peer may accept it and send on it at any time.

Nothing holds a peer back but TCP, which holds all channels back. So what a channel receives is
counted until `consumed` says that it was read. A channel with half a mebibyte unread asks to pause
reading from the network, as long as something of it is read each second: a slow reader slows down
the peer, one that has stopped keeps the others waiting for a second, and not longer. At the bound
the channel alone is closed.

Numbers: Jami of 2026 counts up, from 1 in the TLS client and from 0x8000 in the TLS server, so that
the two sides cannot meet; 13.7 draws at random. If the peer asks for a number that we are asking
for, theirs is declined, ours closed once it is answered, and asked for anew under another number.
"""

from __future__ import annotations

import enum
from typing import TYPE_CHECKING, Final

from shoal.core import DecodeError
from shoal.core.records import dataclass
from shoal.net.config import MuxConfig
from shoal.net.errors import (
    BeaconTimeoutError,
    ChannelClosedError,
    ChannelDeclinedError,
    ChannelNameError,
    ChannelTimeoutError,
    ConnectionLostError,
    MuxError,
    MuxProtocolError,
    PeerFloodsError,
    ReceiveBufferFullError,
    TooManyChannelsError,
)
from shoal.net.mux.budget import Budget
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
    CONTROL,
    PACKET_MAX,
    PROTOCOL,
    VERSION,
    BeaconMessage,
    ChannelMessage,
    ChannelState,
    Frame,
    FrameReader,
    VersionMessage,
    decode_control,
    encode_frame,
    encode_message,
    frame_head,
)

if TYPE_CHECKING:
    from collections.abc import Iterable

_SERVER_FIRST: Final = 0x8000  # dhtnet: where the TLS server's numbers begin
_CLIENT_FIRST: Final = 0x0001  # dhtnet: and the client's
_HALF: Final = 0x7FFF  # numbers of each side, less the protocol's own
_PACKET_COST: Final = 64  # bytes that keeping a packet takes besides its data, ours
_FLOOD_FACTOR: Final = 10  # ours: times the allowance at which a peer is cut off
_BEACONS_BURST: Final = 16  # ours: answers at once; peers ask when networks change
_BEACONS_RATE: Final = 1.0  # ours: answers per second beyond
_MALFORMED_MAX: Final = 1000  # ours: control data that make no sense before we part


class _Stage(enum.Enum):
    """Where a channel is in its life."""

    REQUESTED = "requested"
    ABANDONED = "abandoned"
    ASKED = "asked"
    OPEN = "open"


@dataclass(slots=True)
class _Channel:
    """One number in use."""

    number: int
    name: str
    stage: _Stage
    op: int = 0
    deadline: float = 0.0  # of a request of ours
    has_collided: bool = False  # the peer asked for this number while we did
    is_retry: bool = False
    is_closed_early: bool = False  # the peer's close came before its accept
    held: int = 0  # bytes that were not read yet, with what keeping them takes
    is_read: bool = False  # something was, since its readers were last looked at
    is_stalled: bool = False  # nothing was, for as long as it may pause the connection


@dataclass(slots=True)
class MuxStats:
    """Counters; each field says what one increment means."""

    opened: int = 0  # a channel of ours was accepted
    accepted: int = 0  # a channel of the peer's was accepted
    declined: int = 0  # a channel of the peer's was declined
    packets_received: int = 0  # a packet came on an open channel
    bytes_received: int = 0  # a byte of such a packet
    packets_sent: int = 0  # a packet was sent
    bytes_sent: int = 0  # a byte of such a packet
    dropped: int = 0  # a packet for a channel that is not open
    malformed: int = 0  # control data that make no sense
    unanswered: int = 0  # a request or beacon beyond what the peer may ask
    overflowed: int = 0  # a channel was closed because nobody read from it
    collisions: int = 0  # both sides asked for one number


class MuxEngine:
    """One multiplexed connection, above TLS.

    Args:
        is_tls_server: our side of the handshake below; it decides which numbers are ours.
        config: limits.
    """

    def __init__(self, *, is_tls_server: bool, config: MuxConfig | None = None) -> None:
        self.stats = MuxStats()
        self.last_heard = 0.0
        self.peer_version: int | None = None
        self._config = config or MuxConfig()
        self._first = _SERVER_FIRST if is_tls_server else _CLIENT_FIRST
        self._drawn = 0
        self._reader = FrameReader()
        self._channels: dict[int, _Channel] = {}
        self._requested: dict[int, _Channel] = {}  # ours that wait, oldest deadline first
        self._ops: dict[int, _Channel] = {}  # the same by operation
        self._frame_deadline: float | None = None
        self._beacon_deadline: float | None = None
        self._pause_deadline: float | None = None
        self._full: dict[int, _Channel] = {}  # channels that hold more than they should
        self._held = 0
        self._requests = Budget(self._config.requests_burst, self._config.requests_per_second)
        self._beacons = Budget(_BEACONS_BURST, _BEACONS_RATE)
        self._error: MuxError | None = None

    # Commands

    def start(self, now: float) -> list[MuxEffect]:
        """Say which version we speak."""
        self.last_heard = now
        return [MuxSend(encode_message(VersionMessage(VERSION)))]

    def open(self, op: int, name: str, now: float) -> list[MuxEffect]:
        """Ask for a channel; ends with `Opened` or `Unopened`.

        Raises:
            ChannelNameError: *name* is empty or too long.
            TooManyChannelsError: no further channel fits.
            ConnectionLostError: the connection is over.
        """
        check_name(name, self._config.name_max)
        self._must_live()
        if len(self._channels) >= self._config.channels_max:
            raise TooManyChannelsError(f"{len(self._channels)} channels are open")
        return self._request(op, name, now, is_retry=False)

    def cancel(self, op: int, now: float) -> list[MuxEffect]:
        """Give up on a channel that is not open yet; harmless for others."""
        channel = self._ops.pop(op, None)
        if channel is not None:
            del self._requested[channel.number]
            channel.stage = _Stage.ABANDONED
        return []

    def accept(self, number: int, now: float) -> list[MuxEffect]:
        """Take a channel that the peer asked for; harmless if it has gone."""
        channel = self._asked(number)
        if channel is None:
            return []
        channel.stage = _Stage.OPEN
        self.stats.accepted += 1
        return [_answer(channel, ChannelState.ACCEPT)]

    def decline(self, number: int, now: float) -> list[MuxEffect]:
        """Do not take a channel that the peer asked for; harmless if it has gone."""
        channel = self._asked(number)
        if channel is None:
            return []
        del self._channels[number]
        self.stats.declined += 1
        return [_answer(channel, ChannelState.DECLINE)]

    def write(self, number: int, data: bytes, now: float) -> list[MuxEffect]:
        """Send *data* on an open channel, as one packet if it has at most 65,535 bytes.

        Raises:
            ChannelClosedError: the channel is not open.
        """
        channel = self._channels.get(number)
        if channel is None or channel.stage is not _Stage.OPEN:
            raise ChannelClosedError
        size = len(data)
        if not size:
            return []  # an empty packet would close the channel
        stats = self.stats
        stats.bytes_sent += size
        if size <= PACKET_MAX:
            stats.packets_sent += 1
            return [MuxSend(frame_head(number, size) + data)]
        effects: list[MuxEffect] = []
        for start in range(0, size, PACKET_MAX):
            part = data[start : start + PACKET_MAX]
            stats.packets_sent += 1
            effects.append(MuxSend(frame_head(number, len(part)) + part))
        return effects

    def consumed(self, number: int, size: int, packets: int, now: float) -> list[MuxEffect]:
        """Note that so many packets, of *size* bytes together, were read; harmless when closed."""
        channel = self._channels.get(number)
        if channel is None:
            return []
        freed = min(channel.held, size + packets * _PACKET_COST)
        channel.held -= freed
        channel.is_read = True
        self._held -= freed
        if channel.held > self._config.buffer_high // 2 or number not in self._full:
            return []
        channel.is_stalled = False
        return self._no_longer_full(number)

    def close_channel(self, number: int, now: float) -> list[MuxEffect]:
        """Close an open channel; harmless if it is closed."""
        channel = self._channels.get(number)
        if channel is None or channel.stage is not _Stage.OPEN:
            return []
        return [MuxSend(encode_frame(number, b"")), *self._forget(channel)]

    def check(self, now: float) -> list[MuxEffect]:
        """Ask the peer for a sign of life, if it knows how to give one; `Over` without one."""
        if self._error is not None or self._beacon_deadline is not None or not self.peer_version:
            return []
        self._beacon_deadline = now + self._config.beacon_timeout
        return [MuxSend(encode_message(BeaconMessage(is_request=True)))]

    def close(self, error: MuxError, now: float) -> list[MuxEffect]:
        """Note that the connection is over: every channel ends with *error*."""
        return [] if self._error is not None else self._end(error)

    # Input

    def receive(self, data: bytes | memoryview, now: float) -> list[MuxEffect]:
        """Take clear text."""
        if self._error is not None:
            return []
        self.last_heard = now
        try:
            frames = self._reader.feed(data)
        except DecodeError as error:
            return self._end(MuxProtocolError(str(error)))
        effects: list[MuxEffect] = []
        for frame in frames:
            channel = self._channels.get(frame.channel)
            if channel is not None and channel.stage is _Stage.OPEN and frame.data:
                self._take_packet(channel, frame, now, effects)
            elif frame.channel in {CONTROL, PROTOCOL}:
                effects += self._take_control(frame.data, now)
            else:
                effects += self._take_other(frame, channel, now)
            if self._error is not None:
                return effects
        if not self._reader.is_inside:
            self._frame_deadline = None
        elif frames or self._frame_deadline is None:
            self._frame_deadline = now + self._config.frame_timeout
        return effects

    def receive_eof(self, now: float) -> list[MuxEffect]:
        """Take the end of the stream."""
        return self.close(ConnectionLostError("the peer closed the connection"), now)

    # Time

    def next_deadline(self) -> float | None:
        """When a request, a beacon, a frame or a pause has waited long enough."""
        deadlines = [
            each
            for each in (self._frame_deadline, self._beacon_deadline, self._pause_deadline)
            if each is not None
        ]
        if self._requested:
            deadlines.append(next(iter(self._requested.values())).deadline)
        return min(deadlines, default=None)

    def advance(self, now: float) -> list[MuxEffect]:
        """End what has waited long enough."""
        if self._beacon_deadline is not None and self._beacon_deadline <= now:
            return self._end(BeaconTimeoutError("no sign of life from the peer"))
        if self._frame_deadline is not None and self._frame_deadline <= now:
            return self._end(MuxProtocolError("a frame that is never completed"))
        effects: list[MuxEffect] = []
        while self._requested:
            channel = next(iter(self._requested.values()))
            if channel.deadline > now:
                break
            effects += self.cancel(channel.op, now)
            effects.append(Unopened(channel.op, ChannelTimeoutError("the peer does not answer")))
        if self._pause_deadline is not None and self._pause_deadline <= now:
            effects += self._look_at_readers(now)
        return effects

    # What it is

    @property
    def is_over(self) -> bool:
        """Whether the connection is of no more use."""
        return self._error is not None

    @property
    def open_channels(self) -> int:
        """How many channels are open or being opened."""
        return len(self._channels)

    @property
    def is_checking(self) -> bool:
        """Whether a sign of life is awaited."""
        return self._beacon_deadline is not None

    @property
    def held_bytes(self) -> int:
        """What waits for readers."""
        return self._held

    # Inside

    def _must_live(self) -> None:
        if self._error is not None:
            raise ConnectionLostError(str(self._error))

    def _asked(self, number: int) -> _Channel | None:
        channel = self._channels.get(number)
        return channel if channel is not None and channel.stage is _Stage.ASKED else None

    def _request(self, op: int, name: str, now: float, *, is_retry: bool) -> list[MuxEffect]:
        deadline = now + self._config.accept_timeout
        channel = _Channel(
            self._draw_number(), name, _Stage.REQUESTED, op, deadline, is_retry=is_retry
        )
        self._channels[channel.number] = self._requested[channel.number] = channel
        self._ops[op] = channel
        message = ChannelMessage(name, channel.number, ChannelState.REQUEST)
        return [MuxSend(encode_message(message))]

    def _draw_number(self) -> int:
        """Return the next number of ours that is free; there are more than channels may be."""
        while True:
            number = self._first + self._drawn % _HALF
            self._drawn += 1
            if number not in self._channels and number != PROTOCOL:
                return number

    def _forget(self, channel: _Channel, error: MuxError | None = None) -> list[MuxEffect]:
        """Take an open channel away."""
        del self._channels[channel.number]
        self._held -= channel.held
        return [Closed(channel.number, error), *self._no_longer_full(channel.number)]

    def _no_longer_full(self, number: int) -> list[MuxEffect]:
        """Go on reading if *number* was the last channel that kept us from it."""
        if self._full.pop(number, None) is None or self._full or self._pause_deadline is None:
            return []
        self._pause_deadline = None
        return [MuxReading(is_paused=False)]

    def _look_at_readers(self, now: float) -> list[MuxEffect]:
        """Wait on for slow readers, but not for those that have read nothing since."""
        for channel in list(self._full.values()):
            if not channel.is_read:
                channel.is_stalled = True
                del self._full[channel.number]
            channel.is_read = False
        if self._full:
            self._pause_deadline = now + self._config.pause_max
            return []
        self._pause_deadline = None
        return [MuxReading(is_paused=False)]

    def _end(self, error: MuxError) -> list[MuxEffect]:
        """Close everything."""
        self._error = error
        self._frame_deadline = self._beacon_deadline = self._pause_deadline = None
        channels, self._channels = self._channels, {}
        self._requested.clear()
        self._ops.clear()
        self._full.clear()
        self._held = 0
        effects: list[MuxEffect] = []
        for channel in channels.values():
            if channel.stage is _Stage.OPEN:
                effects.append(Closed(channel.number, error))
            elif channel.stage is _Stage.REQUESTED:
                effects.append(Unopened(channel.op, error))
        return [*effects, Over(error)]

    # What the peer sends

    def _take_packet(
        self, channel: _Channel, frame: Frame, now: float, effects: list[MuxEffect]
    ) -> None:
        """Take data for an open channel."""
        size, config = len(frame.data), self._config
        channel.held += size + _PACKET_COST
        self._held += size + _PACKET_COST
        if channel.held > config.buffer_max or self._held > config.buffer_total_max:
            self.stats.overflowed += 1
            effects.append(MuxSend(encode_frame(channel.number, b"")))
            effects += self._forget(channel, ReceiveBufferFullError("nobody reads the channel"))
            return
        self.stats.packets_received += 1
        self.stats.bytes_received += size
        effects.append(Packet(channel.number, frame.data))
        if channel.held > config.buffer_high and not channel.is_stalled:
            if channel.number not in self._full:
                self._full[channel.number] = channel
                channel.is_read = False
            if self._pause_deadline is None:
                self._pause_deadline = now + config.pause_max
                effects.append(MuxReading(is_paused=True))

    def _take_other(self, frame: Frame, channel: _Channel | None, now: float) -> list[MuxEffect]:
        """Take a close, or data that nobody can want."""
        if channel is None or frame.data:
            self.stats.dropped += 1
            return []
        match channel.stage:
            case _Stage.OPEN:
                return self._forget(channel)
            case _Stage.ASKED:
                del self._channels[channel.number]
            case _Stage.REQUESTED | _Stage.ABANDONED:
                # Jami handles control frames in threads of their own, so a close may overtake the
                # accept that came before it.
                channel.is_closed_early = True
        return []

    def _take_control(self, data: bytes, now: float) -> list[MuxEffect]:
        effects: list[MuxEffect] = []
        try:
            for message in decode_control(data):
                match message:
                    case ChannelMessage(state=ChannelState.REQUEST):
                        effects += self._take_request(message, now)
                    case ChannelMessage():
                        effects += self._take_answer(message, now)
                    case VersionMessage(version):
                        self.peer_version = version
                    case BeaconMessage(is_request):
                        effects += self._take_beacon(is_request, now)
                if self._error is not None:
                    break
        except DecodeError:
            self.stats.malformed += 1
            if self.stats.malformed > _MALFORMED_MAX:
                effects += self._end(MuxProtocolError("too much that makes no sense"))
        return effects

    def _take_request(self, message: ChannelMessage, now: float) -> list[MuxEffect]:
        """The peer asks for a channel."""
        left = self._requests.take(now)
        if left < 0:
            self.stats.unanswered += 1
            if left < -_FLOOD_FACTOR * self._config.requests_burst:
                return self._end(PeerFloodsError("channels are asked for without end"))
            return []
        name, number, _ = message
        if len(name.encode()) > self._config.name_max:
            self.stats.malformed += 1
            return []
        taken = self._channels.get(number)
        if taken is not None and taken.stage is _Stage.REQUESTED:
            taken.has_collided = True
            self.stats.collisions += 1
        is_impossible = number in {CONTROL, PROTOCOL} or not name
        if taken or is_impossible or len(self._channels) >= self._config.channels_max:
            self.stats.declined += 1
            return [MuxSend(encode_message(ChannelMessage(name, number, ChannelState.DECLINE)))]
        self._channels[number] = _Channel(number, name, _Stage.ASKED)
        return [Asked(number, name)]

    def _take_answer(self, message: ChannelMessage, now: float) -> list[MuxEffect]:
        """The peer accepts or declines a channel of ours."""
        channel = self._channels.get(message.number)
        if channel is None or channel.stage in {_Stage.ASKED, _Stage.OPEN}:
            return []
        is_accepted = message.state is ChannelState.ACCEPT
        if channel.stage is _Stage.ABANDONED:
            del self._channels[channel.number]
            return [MuxSend(encode_frame(channel.number, b""))] if is_accepted else []
        del self._requested[channel.number]
        del self._ops[channel.op]
        if channel.has_collided and not channel.is_retry:
            del self._channels[channel.number]
            close = [MuxSend(encode_frame(channel.number, b""))] if is_accepted else []
            return [*close, *self._request(channel.op, channel.name, now, is_retry=True)]
        if not is_accepted:
            del self._channels[channel.number]
            error = ChannelDeclinedError(f"the peer declined {channel.name!r}")
            return [Unopened(channel.op, error)]
        channel.stage = _Stage.OPEN
        self.stats.opened += 1
        opened = Opened(channel.op, channel.number, channel.name)
        return [opened, *(self._forget(channel) if channel.is_closed_early else ())]

    def _take_beacon(self, is_request: bool, now: float) -> Iterable[MuxEffect]:
        if not is_request:
            self._beacon_deadline = None
            return []
        if self._beacons.take(now) < 0:
            self.stats.unanswered += 1
            return []
        return [MuxSend(encode_message(BeaconMessage(is_request=False)))]


def check_name(name: str, size_max: int) -> None:
    """Refuse names that no channel can have.

    Raises:
        ChannelNameError: *name* is empty or longer than *size_max* bytes.
    """
    try:
        size = len(name.encode())
    except UnicodeEncodeError as error:
        raise ChannelNameError("a name that is no text") from error
    if not 0 < size <= size_max:
        raise ChannelNameError(f"a name of {size} bytes")


def _answer(channel: _Channel, state: ChannelState) -> MuxSend:
    """Return the answer to a request: it repeats name and number."""
    return MuxSend(encode_message(ChannelMessage(channel.name, channel.number, state)))
