"""Notices to and from devices: on `msg:` channels, or as SIP messages where those are declined.

A device of 2026 takes `msg:`; Debian's Jami declines it and takes `sip`. Which of the two a device
speaks is learnt once, and remembered while we run. Notices wait only as long as a channel is being
opened: of each kind and conversation the latest one. What cannot be delivered is dropped, since
nothing depends on a notice: histories are compared again whenever a device appears.
"""

from __future__ import annotations

import enum
from dataclasses import field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final, TypeAlias

from shoal.core import DecodeError, DeviceId
from shoal.core.records import dataclass
from shoal.swarm.effects import CloseChannel, OpenChannel, WriteChannel
from shoal.swarm.message_wire import DeviceMessage, MessageReader, encode
from shoal.swarm.notices import read_notice, write_notice
from shoal.swarm.sip_wire import SipMessage, SipReader, encode_message, encode_response

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable

    from shoal.core import AccountId, Entropy
    from shoal.swarm.notices import Notice

WAITING_MAX: Final = 64  # ours: notices for one device while its channel is being opened
CHANNELS_MAX: Final = 4  # ours: from one device; it opens another when it has lost one
LINES_MAX: Final = 4_096  # ours: devices that we remember the dialect of
TOKENS_MAX: Final = 4_096  # ours: message ids of SIP that are not treated twice
MSG_SCHEME: Final = "msg:"
SIP_NAME: Final = "sip"


class Dialect(enum.Enum):
    """How notices travel."""

    MSG = "msg"
    SIP = "sip"


@dataclass(frozen=True, slots=True)
class NoticeArrived:
    """Event: a device of this account said something."""

    account: AccountId
    device: DeviceId
    notice: Notice


@dataclass(frozen=True, slots=True)
class LineOpened:
    """Event: notices can be exchanged with this device from now on."""

    account: AccountId
    device: DeviceId
    dialect: Dialect


MessengerEffect: TypeAlias = OpenChannel | WriteChannel | CloseChannel | NoticeArrived | LineOpened


@dataclass(slots=True)
class _Line:
    """What we know about talking to one device."""

    account: AccountId
    device: DeviceId
    channels: dict[int, Dialect] = field(default_factory=dict)  # the newest last
    opening: int | None = None
    tried: Dialect = Dialect.MSG
    waiting: dict[Hashable, Notice] = field(default_factory=dict)


@dataclass(slots=True)
class MessengerStats:
    """Counters.

    Attributes:
        sent: notices written.
        dropped: notices for devices that could not be reached.
        undecodable: channels whose bytes made no sense, and were closed.
        spoofed: SIP messages in another account's name than the channel's.
    """

    sent: int = 0
    dropped: int = 0
    undecodable: int = 0
    spoofed: int = 0


class Messenger:
    """The lines to all devices."""

    def __init__(
        self,
        own_account: AccountId,
        own_device: DeviceId,
        entropy: Entropy,
        new_op: Callable[[], int],
    ) -> None:
        self.name = ""
        self.stats = MessengerStats()
        self._account = own_account
        self._device = own_device
        self._entropy = entropy
        self._new_op = new_op
        self._lines: dict[DeviceId, _Line] = {}
        self._opening: dict[int, _Line] = {}
        self._channels: dict[int, tuple[_Line, MessageReader | SipReader]] = {}
        self._treated: dict[str, None] = {}
        self._sequence = 0

    def __contains__(self, op: int) -> bool:
        """Whether *op* opens one of our channels."""
        return op in self._opening

    def has_channel(self, channel: int) -> bool:
        """Whether a channel is one of ours."""
        return channel in self._channels

    def accepts(self, name: str) -> bool:
        """Whether a channel of this name is for us."""
        return name in (SIP_NAME, f"{MSG_SCHEME}{self._device}")

    def dialect(self, device: DeviceId) -> Dialect | None:
        """How a device with an open channel speaks; None if there is no channel."""
        line = self._lines.get(device)
        return next(reversed(line.channels.values()), None) if line is not None else None

    def devices(self) -> list[tuple[AccountId, DeviceId]]:
        """Devices with an open channel."""
        return [(line.account, line.device) for line in self._lines.values() if line.channels]

    def send(
        self, account: AccountId, device: DeviceId, notice: Notice, wall_now: float, *, dial: bool
    ) -> list[MessengerEffect]:
        """Tell a device something; open a channel for it if there is none and *dial* says so."""
        line = self._line(account, device)
        if line.channels:
            channel = next(reversed(line.channels))
            return [self._write(line, channel, notice, wall_now)]
        if not dial and line.opening is None:
            self.stats.dropped += 1
            return []
        conversation = notice.conversation
        line.waiting.pop((type(notice), conversation), None)
        line.waiting[type(notice), conversation] = notice
        while len(line.waiting) > WAITING_MAX:
            del line.waiting[next(iter(line.waiting))]
            self.stats.dropped += 1
        return self._open(line)

    def connect(self, account: AccountId, device: DeviceId) -> list[MessengerEffect]:
        """Open a channel to a device if there is none."""
        line = self._line(account, device)
        return [] if line.channels else self._open(line)

    def opened(self, op: int, channel: int, wall_now: float) -> list[MessengerEffect]:
        """A channel that we asked for is open."""
        line = self._opening.pop(op)
        line.opening = None
        return self._add(line, channel, line.tried, wall_now)

    def open_failed(self, op: int, *, was_declined: bool) -> list[MessengerEffect]:
        """A channel could not be opened: try the other dialect if the device declined this one."""
        line = self._opening.pop(op)
        line.opening = None
        if was_declined and line.tried is Dialect.MSG:
            line.tried = Dialect.SIP
            return self._open(line)
        line.tried = Dialect.MSG  # it may be another version the next time
        self.stats.dropped += len(line.waiting)
        line.waiting.clear()
        return []

    def accepted(
        self, channel: int, account: AccountId, device: DeviceId, name: str, wall_now: float
    ) -> list[MessengerEffect]:
        """A device opened a channel to us."""
        dialect = Dialect.SIP if name == SIP_NAME else Dialect.MSG
        return self._add(self._line(account, device), channel, dialect, wall_now)

    def receive(self, channel: int, data: bytes, wall_now: float) -> list[MessengerEffect]:
        """Take what a device wrote."""
        line, reader = self._channels[channel]
        effects: list[MessengerEffect] = []
        try:
            if isinstance(reader, SipReader):
                for request in reader.feed(data):
                    effects += self._take_sip(line, channel, request)
            else:
                for message in reader.feed(data):
                    effects += self._take(line, message)
        except DecodeError:
            self.stats.undecodable += 1
            self.closed(channel)
            effects.append(CloseChannel(channel))
        return effects

    def closed(self, channel: int) -> None:
        """A channel is gone."""
        line, _ = self._channels.pop(channel)
        line.channels.pop(channel, None)

    # --- Inside -------------------------------------------------------------------------------

    def _line(self, account: AccountId, device: DeviceId) -> _Line:
        line = self._lines.get(device)
        if line is None:
            if len(self._lines) >= LINES_MAX:
                self._forget_one()
            line = self._lines[device] = _Line(account, device)
        return line

    def _forget_one(self) -> None:
        """Drop what we know about a device that we do not talk to."""
        for device, line in self._lines.items():
            if not line.channels and line.opening is None:
                del self._lines[device]
                return

    def _open(self, line: _Line) -> list[MessengerEffect]:
        if line.opening is not None:
            return []
        line.opening = op = self._new_op()
        self._opening[op] = line
        name = SIP_NAME if line.tried is Dialect.SIP else f"{MSG_SCHEME}{line.device}"
        return [OpenChannel(op, line.device, name)]

    def _add(
        self, line: _Line, channel: int, dialect: Dialect, wall_now: float
    ) -> list[MessengerEffect]:
        is_first = not line.channels
        line.channels[channel] = dialect
        line.tried = dialect
        reader = SipReader() if dialect is Dialect.SIP else MessageReader()
        self._channels[channel] = (line, reader)
        waiting, line.waiting = list(line.waiting.values()), {}
        effects: list[MessengerEffect] = []
        if len(line.channels) > CHANNELS_MAX:
            oldest = next(iter(line.channels))
            self.closed(oldest)
            effects.append(CloseChannel(oldest))
        effects += [self._write(line, channel, notice, wall_now) for notice in waiting]
        if is_first:
            effects.append(LineOpened(line.account, line.device, dialect))
        return effects

    def _write(self, line: _Line, channel: int, notice: Notice, wall_now: float) -> WriteChannel:
        mime, content = write_notice(notice)
        self.stats.sent += 1
        if line.channels[channel] is Dialect.MSG:
            number = self._entropy.below(2**53)
            return WriteChannel(channel, encode(DeviceMessage(mime, content), number))
        self._sequence += 1
        data = encode_message(
            to=line.account,
            sender=self._account,
            name=self.name,
            mime=mime,
            content=content,
            token=self._entropy.token_bytes(8).hex(),
            sequence=self._sequence,
            date=datetime.fromtimestamp(wall_now, UTC).strftime("%a %b %d %H:%M:%S %Y"),
        )
        return WriteChannel(channel, data)

    def _take(self, line: _Line, message: DeviceMessage) -> list[MessengerEffect]:
        try:
            notice = read_notice(message.mime, message.content)
        except DecodeError:
            self.stats.undecodable += 1
            return []  # one notice that makes no sense costs only itself
        return [] if notice is None else [NoticeArrived(line.account, line.device, notice)]

    def _take_sip(self, line: _Line, channel: int, request: SipMessage) -> list[MessengerEffect]:
        if request.status or request.method == "ACK":
            return []  # answers to what we sent: nothing waits for them
        if request.method != "MESSAGE":
            # Calls come later; a phone that is not there is busy.
            status = (486, "Busy Here") if request.method == "INVITE" else (501, "Not Implemented")
            return [WriteChannel(channel, encode_response(request, *status))]
        if request.sender != str(line.account):
            self.stats.spoofed += 1
            return [WriteChannel(channel, encode_response(request, 403, "Forbidden"))]
        answer = WriteChannel(channel, encode_response(request, 200, "OK"))
        token = request.header("message-id")
        if token and token in self._treated:
            return [answer]
        self._treated[token] = None
        if len(self._treated) > TOKENS_MAX:
            del self._treated[next(iter(self._treated))]
        content = request.body.decode(errors="replace")
        message = DeviceMessage(request.header("content-type"), content)
        return [answer, *self._take(line, message)]
